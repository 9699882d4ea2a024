"""Effects of a binary treatment by group from OLS with fully crossed interactions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import t as student

from pymc_vmrp.errors import DataError


def crossed_ols(
    data: pd.DataFrame,
    outcome: str,
    treatment: str,
    by: Sequence[str],
    ci_prob: float = 0.9,
    robust: bool = False,
) -> pd.DataFrame:
    """OLS of the outcome on the treatment and the groups' columns, all interactions included.

    That model is saturated: its estimates are the differences of the arms' means in each group.

    Parameters
    ----------
    data : DataFrame
    outcome, treatment : str
        The treatment is 0 or 1.
    by : sequence of str
    ci_prob : float
    robust : bool
        Whether standard errors are HC2, which in a saturated model are those of Neyman: each arm
        of each group with a variance of its own. Otherwise one variance for all rows.

    Returns
    -------
    DataFrame
        Indexed by the groups: ``mean``, ``se``, the interval ``low`` and ``high``, and the fitted
        means ``mean[0]`` and ``mean[1]`` of the arms. Groups that lack an arm, or a second row of
        an arm where ``robust``, have NaN.
    """
    if not set(data[treatment].unique()) <= {0, 1}:
        raise DataError(f"crossed_ols needs a treatment of 0 and 1; {treatment!r} has others.")
    cells = data.groupby([*by, treatment], observed=True)[outcome].agg(["mean", "var", "size"])
    freedom = len(data) - len(cells)
    pooled = (cells["var"] * (cells["size"] - 1)).sum() / freedom
    variance = (cells["var"] if robust else pooled) / cells["size"]
    control, treated = (cells["mean"].xs(arm, level=treatment) for arm in (0, 1))
    effect = treated - control
    se = np.sqrt(sum(variance.xs(arm, level=treatment) for arm in (0, 1)))
    half = student.ppf(0.5 + ci_prob / 2, freedom) * se
    return pd.DataFrame(
        {
            "mean": effect,
            "se": se,
            "low": effect - half,
            "high": effect + half,
            "mean[0]": control,
            "mean[1]": treated,
        }
    )
