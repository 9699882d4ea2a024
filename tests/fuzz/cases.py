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

SOUND_FIT: dict[str, tuple[Any, ...]] = {
    "draws": (2, 50),
    "solver": ("dense",),
    "accelerate": ("squarem", "none"),
    "expansion": ("mean", "none"),
    "factorization": ("partial", "strong", "collapsed"),
    "hyperparameters": ("integrated",),
    "log_likelihood": (True,),
    "progressbar": (False,),
}

_OF_GIBBS = ("bernoulli", "binomial", "gaussian", "negativebinomial", "t")

GIBBS: dict[str, Any] = {"inference_method": "gibbs", "draws": 10, "tune": 5, "chains": 1}

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


def _one(rng: Rng, options: dict[str, tuple[Any, ...]]) -> dict[str, Any]:
    name = str(rng.choice(list(options)))
    return {name: options[name][int(rng.integers(len(options[name])))]}


def _odd_columns(rng: Rng) -> tuple[tuple[str, str], ...]:
    names = [*frames.NUMBERS, *frames.FACTORS, *frames.RESPONSES, "g2"]
    return tuple(
        (str(rng.choice(names)), str(rng.choice(frames.KINDS))) for _ in range(rng.integers(1, 3))
    )


def _sound_columns(rng: Rng, terms: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Another kind of number or of factor, of columns of which the terms ask nothing besides."""
    plain = "".join(term for term in terms if not {*"(:*"} & {*term} or term in formulas.PLAIN_BARS)
    special = formulas.columns_of(
        "".join(t for t in terms if t not in formulas.PLAIN_BARS and len(t) > 1)
    )
    own = formulas.columns_of(plain) - special
    out = [
        (name, str(rng.choice(frames.SOUND[role])))
        for names, role in ((frames.NUMBERS, "numbers"), (frames.FACTORS, "factors"))
        for name in names
        if name in own and rng.random() < 0.4
    ]
    return tuple(out)


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
    return _one(rng, own.get("predict" if what == "response" else what, {"nosuch": (1,)}))


ASPECTS = (
    "formula", "columns", "shapes", "priors", "model", "fit", "new", "new_shapes", "arguments",
)  # fmt: skip


def make(seed: int) -> Case:
    """The input of a seed: half are sound, the others odd in one or two aspects only.

    What is odd is then met as deep inside as it can be.
    """
    rng = np.random.default_rng([20261127, seed])
    odd: set[str] = set()
    if rng.random() < 0.5:
        odd = {str(a) for a in rng.choice(ASPECTS, rng.integers(1, 3), replace=False)}
    family = str(rng.choice(list(formulas.RESPONSES)))
    make_formula = formulas.odd_formula if "formula" in odd else formulas.sound_formula
    response, terms = make_formula(rng, family)
    columns = _sound_columns(rng, terms)
    shapes = (str(rng.choice(frames.SOUND_SHAPES)),) if rng.random() < 0.2 else ()
    priors = formulas.sound_priors(rng, family, terms) if rng.random() < 0.3 else {}
    fit: dict[str, Any] = _one(rng, SOUND_FIT) if rng.random() < 0.3 else {}
    if rng.random() < 0.15 and (family in _OF_GIBBS or "fit" in odd):
        fit = GIBBS
        if "fit" in odd:
            fit = GIBBS | _one(rng, {k: FIT_OPTIONS[k] for k in ("chains", "cores", "tune")})
    else:
        fit = {"hyperparameters": "mean_field"} | fit
        if "fit" in odd:
            fit = fit | _one(rng, FIT_OPTIONS)
    what = str(rng.choice(NEXT))
    every = list(frames.SHAPES)
    return Case(
        seed, response, terms, family,
        columns=_odd_columns(rng) if "columns" in odd else columns,
        shapes=(str(rng.choice(every)),) if "shapes" in odd else shapes,
        priors=formulas.odd_priors(rng) if "priors" in odd else priors,
        model=_one(rng, MODEL_OPTIONS) if "model" in odd else {},
        fit=fit,
        next=what,
        new=_odd_columns(rng) if "new" in odd else columns,
        new_shapes=(str(rng.choice(every)),) if "new_shapes" in odd else (),
        arguments=_arguments(rng, what) if "arguments" in odd else {},
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
