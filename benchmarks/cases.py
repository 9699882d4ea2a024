"""The cases of the engine's benchmark: a formula, its priors, and how to make the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

import pymc_vmrp as vmrp
from benchmarks import data

FloatArray = NDArray[np.float64]

_SEED = 20240607  # of every simulation


@dataclass(frozen=True)
class Data:
    """What a case is fitted to.

    Attributes
    ----------
    frame : DataFrame
    truth : mapping of str to DataFrame
        True group-specific effects by grouping factor: a row per level (named as the model names
        it), a column per effect. Empty where the data are real.
    """

    frame: pd.DataFrame
    truth: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One model and its data.

    Attributes
    ----------
    name, about : str
    formula : str
    make : callable
        Folder of the real surveys → :class:`Data`.
    family : str
    priors : mapping, optional
    hmc_model : int, optional
        Number of the Ghitza-Gelman model whose state sds by HMC are on file.
    """

    name: str
    about: str
    formula: str
    make: Callable[[Path], Data]
    family: str = "bernoulli"
    priors: Mapping[str, Any] | None = None
    hmc_model: int | None = None

    def model(self, frame: pd.DataFrame) -> vmrp.Model:
        """The case's model of ``frame``."""
        return vmrp.Model(self.formula, frame, family=self.family, priors=self.priors)


def _cces(shared: Path) -> Data:
    return Data(data.cces(shared).survey)


def _deep(shared: Path, n: int | None = None) -> Data:
    survey = data.bh_item11(shared)
    return Data(survey if n is None else survey.sample(n, random_state=0))


def _ghitza_gelman(shared: Path) -> Data:
    return Data(data.ghitza_gelman(shared)[0])


def _rows(
    shared: Path, continuous: bool, n: int = 3_000_000, regions: int = 100, clusters: int = 5_000
) -> Data:
    """Bernoulli rows in clusters of uneven size, nested in regions; strings for a and b."""
    rng = np.random.default_rng(_SEED)
    region_of = rng.permutation(np.arange(clusters) % regions)
    cluster = _uneven_codes(rng, n, clusters, spread=0.7)
    a, b = rng.choice(4, n, p=[0.4, 0.3, 0.2, 0.1]), rng.integers(5, size=n)
    region_effect = rng.normal(0, 0.4, regions)
    cluster_effect = rng.normal(0, 0.6, clusters)
    eta = -0.5 + np.array([0, 0.3, -0.4, 0.6])[a] + np.array([0, 0.1, 0.2, -0.3, 0.5])[b]
    eta += region_effect[region_of[cluster]] + cluster_effect[cluster]
    frame = pd.DataFrame(
        {
            "a": pd.Series(["a1", "a2", "a3", "a4"]).take(a).to_numpy(),
            "b": pd.Series(["b1", "b2", "b3", "b4", "b5"]).take(b).to_numpy(),
            "region": region_of[cluster],
            "cluster": cluster,
        }
    ).astype({"a": "str", "b": "str"})
    if continuous:
        frame["x"] = rng.normal(size=n)
        eta += 0.35 * frame["x"].to_numpy()
    frame["y"] = _bernoulli(rng, eta)
    nested = [f"{r}:{c}" for c, r in enumerate(region_of)]
    return Data(
        frame,
        {
            "region": _effects(range(regions), region_effect),
            "region:cluster": _effects(nested, cluster_effect),
        },
    )


def _groups(shared: Path, n: int = 1_000_000, groups: int = 100_000) -> Data:
    """Intercepts and slopes, correlated by 0.3, of groups of uneven size: ten rows on average."""
    rng = np.random.default_rng(_SEED)
    sds = np.array([0.8, 0.4])
    covariance = np.outer(sds, sds) * np.array([[1, 0.3], [0.3, 1]])
    u = rng.multivariate_normal(np.zeros(2), covariance, groups)
    g, x = _uneven_codes(rng, n, groups, spread=0.6), rng.normal(size=n)
    eta = 0.3 + u[g, 0] + (0.5 + u[g, 1]) * x
    frame = pd.DataFrame({"g": g, "x": x, "y": _bernoulli(rng, eta)})
    return Data(frame, {"g": _effects(range(groups), u)})


def _crossed(shared: Path, n: int = 73_000, users: int = 3_000, items: int = 1_100) -> Data:
    """Ratings, none twice, of crossed levels; a latent rating above the threshold is a 1.

    The latent rating's noise is logistic, nearly Gaussian, so that the logistic model is true.
    """
    rng = np.random.default_rng(_SEED)
    user_effect, item_effect = rng.normal(0, 0.8, users), rng.normal(0, 1.0, items)
    eager, popular = _zipf(rng, users, 0.6), _zipf(rng, items, 0.9)
    # every user and every item once, then by chance
    user = np.concatenate([np.arange(users), rng.choice(users, items, p=eager)])
    item = np.concatenate([rng.choice(items, users, p=popular), np.arange(items)])
    pairs = pd.unique(user * items + item)
    while len(pairs) < n:
        more = rng.choice(users, n, p=eager) * items + rng.choice(items, n, p=popular)
        pairs = pd.unique(np.concatenate([pairs, more]))
    user, item = np.divmod(rng.permutation(pairs[:n]), items)
    rating = 0.4 + user_effect[user] + item_effect[item] + rng.logistic(size=n)
    frame = pd.DataFrame({"user": user, "item": item, "y": (rating > 0).astype(int)})
    return Data(
        frame,
        {"user": _effects(range(users), user_effect), "item": _effects(range(items), item_effect)},
    )


def _uneven_codes(
    rng: np.random.Generator, n: int, levels: int, spread: float
) -> NDArray[np.int64]:
    """``n`` codes in which every level occurs, with log-normal frequencies."""
    weights = rng.lognormal(0, spread, levels)
    codes = rng.choice(levels, n - levels, p=weights / weights.sum())
    return rng.permutation(np.concatenate([np.arange(levels), codes]))


def _zipf(rng: np.random.Generator, levels: int, power: float) -> FloatArray:
    """Probabilities that fall with a power of a random rank."""
    weights = (10.0 + rng.permutation(levels)) ** -power
    return weights / weights.sum()


def _bernoulli(rng: np.random.Generator, eta: FloatArray) -> NDArray[np.int64]:
    return (rng.random(len(eta)) < expit(eta)).astype(int)


def _effects(levels: Any, values: FloatArray) -> pd.DataFrame:
    return pd.DataFrame(values.reshape(len(levels), -1), index=[str(level) for level in levels])


def _deep_formula() -> str:
    factors = ("age", "educ", "gXr", "state", "region")
    # region is a property of the state: crossing the two adds nothing
    two_way = [f"{a}:{b}" for a, b in combinations(factors, 2) if (a, b) != ("state", "region")]
    bars = [f"(1|{name})" for name in (*factors, *two_way, "age:educ:gXr")]
    return f"y ~ pvote + religcon + {' + '.join(bars)}"


def _ghitza_gelman_case(number: int) -> Case:
    return Case(
        f"gg{number}",
        f"Ghitza-Gelman model {number}",
        data.ghitza_gelman_formula(number),
        _ghitza_gelman,
        family="binomial",
        priors=data.GHITZA_GELMAN_PRIORS,
        hmc_model=number,
    )


_ROWS = "y ~ a + b + (1|region/cluster)"

_ALL = (
    Case("cces", "CCES 2018, the running example", f"abortion ~ {data.PREDICTORS}", _cces),
    Case("deep_10000", "deep MRP, 10,000 answers", _deep_formula(), partial(_deep, n=10_000)),
    Case("deep_36832", "deep MRP, all 36,832 answers", _deep_formula(), _deep),
    *(_ghitza_gelman_case(number) for number in data.GHITZA_GELMAN),
    Case(
        "rows_3m", "3 million rows, 5,000 clusters in 100 regions", _ROWS,
        partial(_rows, continuous=False),
    ),
    Case(
        "rows_3m_continuous", "the same and a continuous predictor",
        "y ~ a + b + x + (1|region/cluster)", partial(_rows, continuous=True),
    ),
    Case("groups_100k", "intercept and slope of 100,000 groups", "y ~ x + (1 + x|g)", _groups),
    Case(
        "crossed", "73,000 ratings by 3,000 users of 1,100 items",
        "y ~ 1 + (1|user) + (1|item)", _crossed,
    ),
)  # fmt: skip
CASES = {case.name: case for case in _ALL}
