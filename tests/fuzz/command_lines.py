"""Command lines on a folder of small files, sound and damaged."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd

from tests.fuzz.frames import healthy

Rng = np.random.Generator

SURVEYS = ("survey.csv", "survey.tsv", "survey.parquet", "survey.csv.gz")
ODD_FILES = (
    "nosuch.csv", "empty.csv", "header.csv", "damaged.csv.gz", "damaged.parquet", "text.nc",
    "folder.csv", "binary.csv", "ragged.csv", "quotes.csv", "markup.csv", "survey.xlsx", "", ".",
)  # fmt: skip
FORMULAS = ("y ~ x", "y ~ x + (1|g)", "y ~ (1|g) + (1|h)")
ODD_FORMULAS = (
    "", "y", "~ x", "y ~ nosuch", "y ~ (1|g", "nosuch ~ 1", "y ~ __import__('os').system('true')",
    "y ~ [red]x[/red]", "y ~ np.log(x)", "y ~ pd.io.common.os.system('true')", "y ~ open('a')",
)  # fmt: skip

# option → values; an empty tuple is a flag
OPTIONS: dict[str, tuple[str, ...]] = {
    "--by": ("g", "h", "nosuch", "", "[/]"),
    "--cells": ("cells.csv", *ODD_FILES),
    "--join": ("groups.csv", *ODD_FILES),
    "--weights": ("n", "x", "nosuch", "g"),
    "--survey-weights": ("w", "x", "nosuch", "g"),
    "--family": ("bernoulli", "gaussian", "poisson", "nosuch", ""),
    "--link": ("logit", "probit", "nosuch"),
    "--draws": ("20", "0", "-1", "2.5", "a"),
    "--seed": ("1", "-1", "a"),
    "--dropna": (),
    "--diagnose": (),
    "--nosuch": ("1",),
    "--help": (),
}


def write_files(folder: Path) -> None:
    """Every file that a command line may name."""
    rng = np.random.default_rng(1)
    frame = healthy(rng).drop(columns="n")
    frame.to_csv(folder / "survey.csv", index=False)
    frame.to_csv(folder / "survey.tsv", index=False, sep="\t")
    frame.to_csv(folder / "survey.csv.gz", index=False)
    frame.to_parquet(folder / "survey.parquet")
    cells = frame[["g", "h", "x", "w"]].assign(n=np.arange(1, len(frame) + 1))
    cells.to_csv(folder / "cells.csv", index=False)
    groups = frame[["g"]].drop_duplicates().assign(v=1.0)
    groups.to_csv(folder / "groups.csv", index=False)
    (folder / "empty.csv").write_text("")
    (folder / "header.csv").write_text("y,x,g,h\n")
    (folder / "damaged.csv.gz").write_bytes(gzip.compress(b"y,x\n1,2\n" * 50)[:40])
    (folder / "damaged.parquet").write_bytes(b"PAR1 no table PAR1")
    (folder / "text.nc").write_text("not NetCDF")
    (folder / "folder.csv").mkdir()
    (folder / "binary.csv").write_bytes(bytes(range(256)) * 4)
    (folder / "ragged.csv").write_text("y,x,g\n1,2\n1,2,3,4,5\n")
    (folder / "quotes.csv").write_text('y,x,g\n1,"2\n')
    (folder / "survey.xlsx").write_bytes(b"PK\x03\x04")
    markup = pd.DataFrame({"y": [0, 1] * 6, "x": range(12), "g": ["[/]", "[red]", "=1+1"] * 4})
    markup.assign(h="\x1b[31m").to_csv(folder / "markup.csv", index=False)


def _value(rng: Rng, values: tuple[str, ...]) -> list[str]:
    return [] if not values else [values[int(rng.integers(len(values)))]]


def make(seed: int) -> list[str]:
    """The arguments of a seed."""
    rng = np.random.default_rng([20261128, seed])
    command = str(rng.choice(["fit", "fit", "fit", "poststratify", "compare", "nosuch", "--help"]))
    odd = rng.random() < 0.4
    files = SURVEYS if rng.random() < 0.8 else ODD_FILES
    arguments = [command]
    if command == "fit":
        formulas = ODD_FORMULAS if odd and rng.random() < 0.4 else FORMULAS
        arguments += [*_value(rng, files), "-f", *_value(rng, formulas), "--draws", "20"]
        if rng.random() < 0.6:
            arguments += ["--cells", "cells.csv", "--by", str(rng.choice(["g", "h"]))]
    elif command == "poststratify":
        results = ("out/fit.nc", "out/estimates.nc", *ODD_FILES) if odd else ("out/fit.nc",)
        arguments += [*_value(rng, results), *_value(rng, files), "cells.csv", "--by", "g"]
    elif command == "compare":
        results = ("out/fit.nc", "out/estimates.nc", *ODD_FILES)
        arguments += [*_value(rng, results), *_value(rng, results)]
    for _ in range(int(rng.integers(0, 3)) if odd else 0):
        option = str(rng.choice(list(OPTIONS)))
        arguments += [option, *_value(rng, OPTIONS[option])]
    if command in ("fit", "poststratify"):
        arguments += ["-o", str(rng.choice(["out2", "survey.csv", "out2/deep"])) if odd else "out2"]
    return arguments
