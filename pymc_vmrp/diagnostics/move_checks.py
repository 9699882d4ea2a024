"""Whether estimands move under short chains of MCMC that start from the fit, as findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pymc_vmrp.diagnostics.estimands import HYPERPARAMETER, Estimands, Values
from pymc_vmrp.diagnostics.finding import CARE, FINE, NO_TRUST, Finding
from pymc_vmrp.diagnostics.moves import moves
from pymc_vmrp.diagnostics.short_mcmc import short_chains
from pymc_vmrp.errors import VmrpError

if TYPE_CHECKING:
    import xarray as xr

    from pymc_vmrp.read_model import ReadModel

# what an estimand moves by, in sds and in log sds; standard errors taken off, three or (where it is
# far) two
_CARE_SHIFT, _CARE_LOG_RATIO = 0.1, float(np.log(1.1))
_MOST_SHIFT, _MOST_LOG_RATIO = 0.3, float(np.log(1.25))


def short_mcmc(
    model: ReadModel,
    idata: xr.DataTree,
    compute: Estimands,
    own: Values,
    random_seed: int | None,
    progressbar: bool | None,
) -> tuple[pd.DataFrame | None, list[Finding]]:
    """What estimands move by under short chains: a row for each, and findings by kind."""
    try:
        chains = short_chains(model, idata, random_seed, progressbar)
    except VmrpError as error:
        meaning = f"No MCMC could check the fit: {error}"
        return None, [Finding("short MCMC", "all", np.nan, np.nan, CARE, meaning)]
    flat = own.draws.reshape(-1, own.draws.shape[-1])
    moved = moves(flat, compute(chains.draws).draws, chains.pieces)
    labelled = moved.assign(name=own.names, kind=own.kinds)
    parts = [(str(kind), part) for kind, part in labelled.groupby("kind", sort=False)]
    return moved, [check(*part) for check in (_shift, _ratio) for part in parts]


def _worst(part: pd.DataFrame, what: str) -> pd.Series:
    """The estimand that moved most, as far as the standard errors tell."""
    by = part[f"sure_{what}"].abs()
    return part.loc[(by if by.max() > 0 else part[f"likely_{what}"].abs()).idxmax()]


def _moved(worst: pd.Series, what: str, care: float, most: float) -> str:
    if abs(worst[f"likely_{what}"]) > most:
        return NO_TRUST
    return CARE if abs(worst[f"sure_{what}"]) > care else FINE


def _shift(kind: str, part: pd.DataFrame) -> Finding:
    worst = _worst(part, "shift")
    shift, error = float(worst["shift"]), float(worst["shift_se"])
    verdict = _moved(worst, "shift", _CARE_SHIFT, _MOST_SHIFT)
    if verdict != FINE:
        meaning = f"{worst['name']} ({kind}) moves by {abs(shift):.2f} sd under MCMC."
    elif abs(shift) > _CARE_SHIFT:
        meaning = (
            f"{worst['name']} moves by {abs(shift):.2f} ± {error:.2f} sd: no more than the noise "
            "of short chains allows."
        )
    else:
        meaning = f"Means of {kind} stay where they are."
    return Finding(
        "short MCMC: shift", kind, shift, (-_CARE_SHIFT, _CARE_SHIFT), verdict, meaning,
        caps=kind == HYPERPARAMETER, mcse=error,
    )  # fmt: skip


def _ratio(kind: str, part: pd.DataFrame) -> Finding:
    worst = _worst(part, "log_ratio")
    ratio = float(worst["sd_ratio"])
    error = ratio * float(worst["log_ratio_se"])
    verdict = _moved(worst, "log_ratio", _CARE_LOG_RATIO, _MOST_LOG_RATIO)
    how = "small" if ratio < 1 else "large"
    if verdict != FINE:
        meaning = (
            f"The sd of {worst['name']} ({kind}) is {ratio:.2f} of what MCMC finds, too {how}; the "
            f"median of {kind} is {part['sd_ratio'].median():.2f}."
        )
    elif abs(np.log(ratio)) > _CARE_LOG_RATIO:
        meaning = (
            f"The sd of {worst['name']} is {ratio:.2f} ± {error:.2f} of what MCMC finds: no "
            "further from 1 than the noise of short chains allows."
        )
    else:
        meaning = f"Sds of {kind} stay what they are."
    limit = (float(np.exp(-_CARE_LOG_RATIO)), float(np.exp(_CARE_LOG_RATIO)))
    return Finding(
        "short MCMC: sd ratio", kind, ratio, limit, verdict, meaning,
        caps=kind == HYPERPARAMETER, mcse=error,
    )  # fmt: skip
