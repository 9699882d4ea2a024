"""Simulate a CCES-like survey, its population and the truth that the survey is to recover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit

from pymc_vmrp.arguments import check_count, check_seed
from pymc_vmrp.arrays import FloatArray

FORMULA = (
    "support ~ male + repvote + region + (1|state) + (1|eth) + (1|educ) + (1|age)"
    " + (1|male:eth) + (1|educ:age) + (1|educ:eth)"
)

# beyond these a survey or its population outgrows memory
_MOST_RESPONDENTS, _MOST_STATES = 100_000_000, 10_000

_REGIONS = ("Midwest", "Northeast", "South", "West")
_ETH = ("Black", "Hispanic", "Other", "White")
_AGE = ("18-29", "30-39", "40-49", "50-59", "60-69", "70+")
_EDUC = ("No HS", "HS", "Some college", "4-year college", "Post-grad")
_MALE = (-0.5, 0.5)


@dataclass(frozen=True)
class Simulation:
    """A simulated survey and what it was drawn from.

    Attributes
    ----------
    survey : DataFrame
        One row per respondent: ``support`` (0/1), ``state``, ``region``, ``repvote``, ``eth``,
        ``male`` (±0.5), ``age``, ``educ``.
    cells : DataFrame
        One row per population cell, with the same predictors and its count ``n``.
    truth : DataFrame
        Population mean of support by ``state``, in ``truth``.
    formula : str
        The model the data were simulated from.
    """

    survey: pd.DataFrame
    cells: pd.DataFrame
    truth: pd.DataFrame
    formula: str = FORMULA


def simulate(n: int = 5000, n_states: int = 50, random_seed: int | None = None) -> Simulation:
    """Simulate a survey whose respondents are not representative of the population.

    Older, white and educated people answer more often, so that raw means are biased and
    poststratification is needed.

    Parameters
    ----------
    n : int
        Number of respondents.
    n_states : int
        Number of states; at least 4, one per region.
    random_seed : int, optional

    Returns
    -------
    Simulation
    """
    check_count("n", n, most=_MOST_RESPONDENTS)
    check_count("n_states", n_states, least=len(_REGIONS), most=_MOST_STATES)
    check_seed(random_seed)
    rng = np.random.default_rng(random_seed)
    cells = _population(rng, n_states)
    probability = expit(_linear_predictor(rng, cells))
    response_rate = np.exp(
        0.25 * cells["age"].map(dict(zip(_AGE, range(6), strict=True))).to_numpy(float)
        + 0.3 * cells["educ"].map(dict(zip(_EDUC, range(5), strict=True))).to_numpy(float)
        + 0.4 * (cells["eth"] == "White").to_numpy(float)
    )
    share = cells["n"].to_numpy(float) * response_rate
    who = rng.choice(len(cells), size=n, p=share / share.sum())
    survey = cells.drop(columns="n").iloc[who].reset_index(drop=True)
    survey.insert(0, "support", (rng.random(n) < probability[who]).astype(int))
    weighted = pd.Series(probability * cells["n"]).groupby(cells["state"]).sum()
    truth = (weighted / cells.groupby("state")["n"].sum()).rename("truth").reset_index()
    return Simulation(survey, cells, truth)


def _population(rng: np.random.Generator, n_states: int) -> pd.DataFrame:
    """Cells with counts: each state has its own size and composition."""
    names = [f"S{i + 1:02d}" for i in range(n_states)]
    regions = np.resize(_REGIONS, n_states)
    lean = dict(zip(_REGIONS, (0.5, 0.43, 0.56, 0.48), strict=True))
    repvote = np.clip([rng.normal(lean[region], 0.08) for region in regions], 0.25, 0.75)
    size = np.exp(rng.normal(15, 0.9, n_states))
    frames = []
    for state, region, vote, people in zip(names, regions, repvote, size, strict=True):
        shares = [
            _shares(rng, (0.11, 0.15, 0.09, 0.65), 0.5),
            np.array([0.51, 0.49]),
            _shares(rng, (0.21, 0.18, 0.16, 0.17, 0.15, 0.13), 0.1),
            _shares(rng, (0.11, 0.28, 0.29, 0.20, 0.12), 0.15),
        ]
        counts = people * np.einsum("i,j,k,l->ijkl", *shares).ravel()
        index = pd.MultiIndex.from_product([_ETH, _MALE, _AGE, _EDUC])
        frame = index.to_frame(index=False, name=["eth", "male", "age", "educ"])
        frame = frame.assign(n=rng.poisson(counts))
        frame.insert(0, "state", state)
        frame.insert(1, "region", region)
        frame.insert(2, "repvote", round(float(vote), 4))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _shares(rng: np.random.Generator, base: tuple[float, ...], spread: float) -> FloatArray:
    shares = np.array(base) * np.exp(rng.normal(0, spread, len(base)))
    return shares / shares.sum()


def _linear_predictor(rng: np.random.Generator, cells: pd.DataFrame) -> FloatArray:
    """Draw the effects of FORMULA, and add them up."""
    eta = -0.2 + 0.3 * cells["male"] + 2.0 * (cells["repvote"] - 0.5)
    eta = eta + cells["region"].map(dict(zip(_REGIONS, (0.1, -0.1, 0.2, 0.0), strict=True)))
    sds = {
        ("state",): 0.25,
        ("eth",): 0.4,
        ("educ",): 0.25,
        ("age",): 0.3,
        ("male", "eth"): 0.1,
        ("educ", "age"): 0.1,
        ("educ", "eth"): 0.15,
    }
    for factor, sd in sds.items():
        code = cells.groupby(list(factor), sort=True).ngroup().to_numpy()
        eta = eta + rng.normal(0, sd, code.max() + 1)[code]
    return eta.to_numpy()
