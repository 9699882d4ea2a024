"""The command line, end to end on small files."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.files import read_tree
from tests.cli.runner import run


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    simulation = vmrp.simulate(400, n_states=8, random_seed=1)
    state_columns = ["state", "region", "repvote"]
    simulation.survey.drop(columns=state_columns[1:]).to_csv(folder / "survey.csv", index=False)
    simulation.cells.drop(columns=state_columns[1:]).to_parquet(folder / "cells.parquet")
    simulation.cells[state_columns].drop_duplicates().to_csv(folder / "states.csv", index=False)
    return folder


FORMULA = "support ~ male + repvote + (1|state) + (1|eth) + (1|age)"


def fit(files, out, *more):
    return run(
        "fit", files / "survey.csv", "-f", FORMULA, "--cells", files / "cells.parquet",
        "--join", files / "states.csv", "--by", "state", "-o", out, *more,
    )  # fmt: skip


@pytest.mark.slow
def test_fit_poststratify_compare(files, tmp_path):
    result = fit(files, tmp_path / "a", "--seed", "1", "--diagnose")
    assert "converged" in result.out
    assert "Diagnosis: fine." in result.out
    written = {path.name for path in (tmp_path / "a").iterdir()}
    assert written == {"diagnosis.csv", "fit.nc", "estimates.nc", "estimates.csv", "estimates.png"}
    table = pd.read_csv(tmp_path / "a" / "estimates.csv")
    assert list(table.columns[:6]) == ["state", "mean", "sd", "q05", "q95", "population"]
    assert table["answers"].sum() == 400
    assert len(table) == 8

    run(
        "poststratify", tmp_path / "a" / "fit.nc", files / "survey.csv", files / "cells.parquet",
        "--join", files / "states.csv", "--by", "state", "--by", "age", "-o", tmp_path / "b",
    )  # fmt: skip
    assert len(pd.read_csv(tmp_path / "b" / "estimates.csv")) == 48

    fit(files, tmp_path / "c", "--seed", "2")
    result = run(
        "compare", tmp_path / "a" / "fit.nc", tmp_path / "c" / "fit.nc",
        "--csv", tmp_path / "c.csv", "--plot", tmp_path / "c.png",
    )  # fmt: skip
    assert "1|state_sigma" in result.out
    assert len(pd.read_csv(tmp_path / "c.csv")) > 20
    assert (tmp_path / "c.png").stat().st_size > 10_000


def test_fit_without_cells_prints_the_coefficients(files, tmp_path):
    result = run(
        "fit", files / "survey.csv", "-f", "support ~ male + (1|state)", "-o", tmp_path / "a"
    )
    assert "1|state_sigma" in result.out
    assert "male" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "nosuch.csv", "-f", "y ~ 1"], "no file"),
        (["fit", "survey.csv", "-f", "support ~ nosuch"], "no column 'nosuch'"),
        (["fit", "survey.csv", "-f", "support ~ (1|state"], "cannot be read"),
        (["fit", "survey.csv", "-f", "support ~ male", "--join", "empty.csv"], "shares no column"),
        (["fit", "survey.csv", "-f", "support ~ male", "--join", "one.csv"], "no row for"),
        (["fit", "survey.csv", "-f", "support ~ male", "--join", "twice.csv"], "more than one row"),
        (["fit", "survey.csv", "-f", "support ~ male", "--by", "x"], "--by needs --cells"),
        (
            [
                "fit",
                "survey.csv",
                "-f",
                "support ~ male",
                "--cells",
                "cells.parquet",
                "--by",
                "stat",
            ],
            "'stat', did you mean 'state'",
        ),
        (["fit", "survey.csv", "-f", "support ~ male", "--join", "text.csv"], "cannot be joined"),
        (["compare", "survey.csv", "survey.csv"], "survey.csv"),
    ],
)
def test_errors_are_one_message(files, arguments, message):
    (files / "empty.csv").write_text("zzz\n1\n")
    (files / "one.csv").write_text("state,v\nS01,1\n")
    (files / "text.csv").write_text("male,v\nyes,1\n")
    (files / "twice.csv").write_text("state,v\nS01,1\nS01,2\n")
    result = run(*arguments, folder=files, code=1)
    assert message in result.err
    assert "Traceback" not in result.err


def test_a_folder_that_cannot_be_made_is_one_message(files, tmp_path):
    (tmp_path / "taken").write_text("a file")
    result = run(
        "fit", files / "survey.csv", "-f", "support ~ male", "-o", tmp_path / "taken", code=1
    )
    assert "taken" in result.err
    assert "Traceback" not in result.err


def test_help_lists_the_commands():
    text = run("--help").out
    for command in ("demo", "fit", "poststratify", "compare"):
        assert command in text


@pytest.mark.slow
def test_demo(tmp_path):
    result = run("demo", "--n", 500, "--nuts-n", 200, "-o", tmp_path / "demo")
    written = {path.name for path in (tmp_path / "demo").iterdir()}
    assert written == {
        "fit.nc", "estimates.nc", "estimates.csv", "estimates.png",
        "comparison.csv", "comparison.png", "diagnosis.csv",
    }  # fmt: skip
    assert "Mean absolute error against the truth" in result.out
    assert "0 divergences" in result.out
    tree = read_tree(tmp_path / "demo" / "estimates.nc")
    assert tree["posterior"].sizes["state"] == 50


def command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "pymc_vmrp.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "160"},
        **options,
    )


@pytest.mark.slow
def test_a_full_disk_ends_in_a_message(files, tmp_path):
    (tmp_path / "mine").touch()
    limit = (10_000, resource.RLIM_INFINITY)
    result = command(
        "fit", files / "survey.csv", "-f", "support ~ male", "-o", tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )  # fmt: skip
    assert result.returncode == 1
    assert "fit.nc cannot be written: File too large" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.slow
def test_nobody_reads_the_output_any_more(files, tmp_path):
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(
        [sys.executable, "-m", "pymc_vmrp.cli", "fit", files / "survey.csv", "-f",
         "support ~ male", "-o", tmp_path],
        stdout=write, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(write)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "fit.nc").exists()


@pytest.mark.slow
def test_a_terminal_of_ascii(files, tmp_path):
    frame = pd.read_csv(files / "survey.csv")
    frame.assign(état="é").to_csv(tmp_path / "s.csv", index=False)
    result = subprocess.run(
        [sys.executable, "-m", "pymc_vmrp.cli", "fit", tmp_path / "s.csv", "-f",
         "support ~ nosuchétat", "-o", tmp_path / "o"],
        capture_output=True, text=True, env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert result.returncode == 1
    assert "nosuch\\xe9tat" in result.stderr
