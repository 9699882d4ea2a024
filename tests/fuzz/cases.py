"""One input of the fuzzer: small enough to be read, and made of parts that can be left out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from tests.fuzz import formulas, frames

Rng = np.random.Generator

FIT_OPTIONS: dict[str, tuple[Any, ...]] = {
    "draws": (1, 2, 0, -1, 2.5, "a", None, True),
    "random_seed": (-1, 1.5, "a", 2**70, True),
    "tol": (1e-10, 0, -1, np.nan, "a", 1e30),
    "max_iter": (1, 0, -3, 2.5),
    "bound": ("polya-gamma", "nosuch", 3),
    "solver": ("dense", "partitioned", "nosuch"),
    "accelerate": ("squarem", "none", "nosuch"),
    "expansion": ("mean", "none", "nosuch"),
    "factorization": ("partial", "strong", "collapsed", "nosuch"),
    "kept": (("1|g",), ("nosuch",), "1|g", 3),
    "hyperparameters": ("integrated", "nosuch", None),
    "theta_ess": (20, 0, -1, 1e9, "a"),
    "log_likelihood": (True, "a"),
    "progressbar": (False, "a"),
    "chains": (0, 4),
    "cores": (-1, 1),
    "tune": (-5, 3),
    "nosuch": (1,),
}

MODEL_OPTIONS: dict[str, tuple[Any, ...]] = {
    "weights": ("w", "x", "nosuch", "g", 3, "k"),
    "dropna": (True, "a", None),
    "center_predictors": (False, "a", None),
    "link": ("logit", "probit", "cloglog", "log", "identity", "nosuch", 3),
}

GIBBS = {"inference_method": "gibbs", "draws": 10, "tune": 5, "chains": 1}

NEXT = ("summary", "fixef", "ranef", "varcorr", "icc", "predict", "response", "poststratify",
        "ppc_by_group", "compare", "pickle", "netcdf")  # fmt: skip


@dataclass(frozen=True)
class Case:
    """What one input consists of.

    Attributes
    ----------
    seed : int
        Of the healthy frame.
    response, terms, family : str, tuple of str, str
    columns : tuple of (column, kind of values)
        Columns that are replaced, before the fit.
    shapes : tuple of str
        What is done to the frame as a whole.
    priors : dict
        Texts, see ``formulas.PRIORS``.
    model, fit : dict
        Arguments besides the defaults.
    next : str
        What is asked of the fit.
    new : tuple of (column, kind of values)
        Columns that are replaced in new rows.
    new_shapes : tuple of str
    arguments : dict
        Of what is asked.
    """

    seed: int
    response: str
    terms: tuple[str, ...]
    family: str
    columns: tuple[tuple[str, str], ...] = ()
    shapes: tuple[str, ...] = ()
    priors: dict[str, str] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    fit: dict[str, Any] = field(default_factory=dict)
    next: str = "summary"
    new: tuple[tuple[str, str], ...] = ()
    new_shapes: tuple[str, ...] = ()
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def formula(self) -> str:
        """The formula as text."""
        return f"{self.response} ~ {' + '.join(self.terms) or '1'}"

    def frame(self) -> Any:
        """The data of the model."""
        return _mutated(_base(self.seed), self.columns, self.shapes, self.seed)

    def new_rows(self) -> Any:
        """Rows to predict for, or cells."""
        base = _base(self.seed).head(8).assign(count=np.arange(1.0, 9.0))
        return _mutated(base, self.new, self.new_shapes, self.seed + 1)


def _base(seed: int) -> pd.DataFrame:
    frame = frames.healthy(np.random.default_rng(seed))
    return frame.assign(g2=frame["g"].to_numpy()[::-1])


def _mutated(
    frame: pd.DataFrame, columns: tuple[tuple[str, str], ...], shapes: tuple[str, ...], seed: int
) -> Any:
    for column, kind in columns:
        frame = frames.replaced(frame, column, kind, seed)
    for shape in shapes:
        frame = frames.SHAPES[shape](frame)
    return frame


def _some(rng: Rng, options: dict[str, tuple[Any, ...]], share: float) -> dict[str, Any]:
    if rng.random() > share:
        return {}
    name = str(rng.choice(list(options)))
    return {name: options[name][int(rng.integers(len(options[name])))]}


def _columns(rng: Rng, share: float) -> tuple[tuple[str, str], ...]:
    if rng.random() > share:
        return ()
    names = [*frames.NUMBERS, *frames.FACTORS, *frames.RESPONSES, "g2"]
    return tuple(
        (str(rng.choice(names)), str(rng.choice(frames.KINDS))) for _ in range(rng.integers(1, 3))
    )


def _shapes(rng: Rng, share: float) -> tuple[str, ...]:
    return (str(rng.choice(list(frames.SHAPES))),) if rng.random() < share else ()


def _arguments(rng: Rng, what: str) -> dict[str, Any]:
    own: dict[str, dict[str, tuple[Any, ...]]] = {
        "poststratify": {
            "weights": ("count", "x", "nosuch", "g", 3),
            "by": ("g", ["g", "h"], "x", "nosuch", [], ["g", "g"], 3),
            "random_seed": (-1, 1.5, "a"),
            "chunk_size": (1, 0, -1, "a"),
        },
        "predict": {
            "exclude": (["1|g"], ["nosuch"], "1|g", 3, ["offset"]),
            "sample_new_groups": (True, "a"),
            "include_group_specific": (False, "a"),
            "terms": (True, "a"),
            "inplace": (False, "no"),
            "random_seed": (-1, 1.5, "a"),
        },
        "ppc_by_group": {"by": ("x", "c", "nosuch", 3, None, ["g"], [1, 2])},
        "summary": {"ci_prob": (0.5, 0, 1, 2, "a", np.nan)},
    }
    return _some(rng, own.get("predict" if what == "response" else what, {"nosuch": (1,)}), 0.4)


def make(seed: int) -> Case:
    """The input of a seed: sound in most parts, so that what is not sound is met deep inside."""
    rng = np.random.default_rng([20261127, seed])
    family = str(rng.choice(list(formulas.RESPONSES)))
    response, terms = formulas.formula(rng, family)
    fit = {"hyperparameters": "mean_field"} | _some(rng, FIT_OPTIONS, 0.25)
    if rng.random() < 0.1:
        fit = GIBBS | _some(rng, {k: FIT_OPTIONS[k] for k in ("chains", "cores", "tune")}, 0.3)
    what = str(rng.choice(NEXT))
    return Case(
        seed, response, terms, family, _columns(rng, 0.35), _shapes(rng, 0.1),
        formulas.priors(rng), _some(rng, MODEL_OPTIONS, 0.25), fit, what, _columns(rng, 0.35),
        _shapes(rng, 0.1), _arguments(rng, what),
    )  # fmt: skip


def simpler(case: Case) -> list[Case]:
    """The case with one part left out, each."""
    out = []
    for name in ("columns", "shapes", "new", "new_shapes", "terms"):
        parts = getattr(case, name)
        out += [replace(case, **{name: parts[:i] + parts[i + 1 :]}) for i in range(len(parts))]
    for name in ("priors", "model", "fit", "arguments"):
        parts = getattr(case, name)
        out += [replace(case, **{name: {k: parts[k] for k in parts if k != key}}) for key in parts
                if key != "hyperparameters"]  # fmt: skip
    return out
