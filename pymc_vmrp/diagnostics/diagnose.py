"""diagnose: every check of a fit in one table, and a plain verdict."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pymc_vmrp.arguments import (
    check_count,
    check_flag,
    check_progressbar,
    check_seed,
)
from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.diagnostics.estimands import Estimands
from pymc_vmrp.diagnostics.finding import CARE, NO_TRUST, Finding, overall
from pymc_vmrp.diagnostics.fit_checks import convergence, importance, optima_of
from pymc_vmrp.diagnostics.model_checks import leave_one_out, predictive
from pymc_vmrp.diagnostics.move_checks import short_mcmc
from pymc_vmrp.diagnostics.predictive import predictive_checks
from pymc_vmrp.doors import read_model
from pymc_vmrp.errors import DataError
from pymc_vmrp.results.importance import (
    estimand_k,
    log_ratios,
)

if TYPE_CHECKING:
    import xarray as xr


_WIDTH, _WIDTH_OF = 80, 36
_ABOUT_ERRORS = (
    "± is one Monte Carlo standard error of the short chains. What is beyond a limit by more than "
    "three of them calls for care."
)


@dataclass(frozen=True)
class Diagnosis:
    """What the checks of a fit found.

    Attributes
    ----------
    verdict : {"fine", "use with care", "do not trust"}
        The worst of the table's; of hyperparameters alone at most "use with care".
    table : DataFrame
        One row per check: ``check``, ``of``, ``value``, ``mcse`` (its Monte Carlo standard error),
        ``limit`` (in words), ``verdict`` and ``meaning``.
    estimands : DataFrame
        Shift and sd ratio of every estimand against the short chains, and its k̂.
    findings : tuple of Finding
        The rows of the table.
    """

    verdict: str
    table: pd.DataFrame
    estimands: pd.DataFrame
    findings: tuple[Finding, ...] = ()

    @property
    def reasons(self) -> list[str]:
        """What is not fine, in words."""
        bad = self.table["verdict"].isin([CARE, NO_TRUST])
        return [str(text) for text in self.table.loc[bad, "meaning"]]

    def __repr__(self) -> str:
        reasons = [
            textwrap.fill(r, _WIDTH, initial_indent="  - ", subsequent_indent="    ")
            for r in self.reasons
        ]
        return "\n".join([f"Verdict: {self.verdict}", *reasons, "", *_lines(self.findings)])


def _lines(found: Iterable[Finding]) -> Iterator[str]:
    """The table within 80 columns: checks with the same limit under one heading."""
    heading = None
    noisy = False
    for one in found:
        own = f"{one.check}, {one.limit_text}" if one.limit_text else one.check
        if own != heading:
            yield own
            heading = own
        of = textwrap.shorten(one.of, _WIDTH_OF, placeholder="…")
        yield f"  {of:{_WIDTH_OF}}  {one.value_text:>18}  {one.verdict}"
        noisy = noisy or not np.isnan(one.mcse)
    if noisy:
        yield from textwrap.wrap(_ABOUT_ERRORS, _WIDTH)


def diagnose(
    model: Any,
    idata: xr.DataTree,
    estimands: Callable[[xr.DataTree], Any] | None = None,
    *,
    mcmc: bool = True,
    loo: bool = True,
    restarts: int = 6,
    random_seed: int | None = None,
    progressbar: bool | None = None,
) -> Diagnosis:
    """Check a fit: whether it worked, and whether the model fits the data.

    Parameters
    ----------
    model : pymc_vmrp.Model, bambi.Model or pm.Model
        The model that ``idata`` is a fit of.
    idata : DataTree
        What ``model.fit`` or ``vmrp.fit`` returned, by any inference method, or the model's own
        library.
    estimands : callable, optional
        What the verdict is to be about: a function from a DataTree of draws to draws of scalars,
        such as ``lambda draws: vmrp.poststratify(model, draws, cells, by="state")``. By default the
        mean response of the rows with each level of each grouping factor, and the common and
        group-specific effects; the hyperparameters always.
    mcmc : bool
        Whether to run short chains from the fit's draws (seconds by Gibbs on cells; where the
        model needs NUTS, its compilation besides).
    loo : bool
        Whether to estimate the leave-one-out predictive density, with draws corrected as by
        ``az.loo_approximate_posterior`` where k̂ of the joint density allows.
    restarts : int
        Fits by coordinate ascent from elsewhere, to find other optima; 0 leaves them out.
    random_seed : int, optional
    progressbar : bool, optional

    Returns
    -------
    Diagnosis
        ``.verdict``, ``.table``, ``.estimands`` and ``.reasons``; printing it shows them.

    Raises
    ------
    DataError
        Where ``idata`` is no fit of the model, or ``estimands`` returns no draws.

    Notes
    -----
    The checks, and where their limits come from:

    - convergence: the fit's own report (CAVI), R̂ below 1.01 and bulk ESS above 400 (MCMC;
      Vehtari et al. 2021).
    - other optima: fits that start elsewhere end at another mean, with an ELBO not far below, or
      have one that is more than a nat above the fit's.
    - k̂ of the weights p/q, at most min(1 − 1/log₁₀S, 0.7) (Vehtari et al. 2024; Yao et al. 2018).
      In high dimension k̂ is large for fits that are good enough; a large one is a note, and a
      small one says that q as a whole is near the posterior.
    - short MCMC: chains of steps that leave the posterior invariant start at draws of q; what moves
      was wrong: 0.1 sds or 10% of the sd beyond three standard errors call for care, 0.3 sds or 25%
      beyond two are not to be trusted. Lower bounds, in the manner of TADDAA (Wang,
      Kasprzak & Huggins 2023).
    - leave-one-out by Pareto-smoothed importance sampling, corrected for q (Magnusson et al. 2019):
      rows whose k̂ is above the limit are ones that the posterior depends on. Rows that are the
      only ones of a level have a large k̂ under any posterior, and are counted apart.
    - posterior predictive checks of means by group, and of the spread and tails of responses
      (Gelman, Meng & Stern 1996).
    """
    model = read_model(model, "diagnose()")
    if estimands is not None and not callable(estimands):
        raise DataError(f"estimands must be a function of a DataTree, not {estimands!r}.")
    check_flag("mcmc", mcmc)
    check_flag("loo", loo)
    check_count("restarts", restarts, least=0)
    check_seed(random_seed)
    check_progressbar(progressbar)
    glmm, observations = model.glmm, model.observations
    rng = np.random.default_rng(random_seed)
    draws = model.reports.draws(idata)
    compute = Estimands(model, estimands)
    own = compute(draws)
    flat = own.draws.reshape(-1, own.draws.shape[-1])
    table = pd.DataFrame({"estimand": own.names, "kind": own.kinds}).set_index("estimand")
    found = list(convergence(idata))
    if "fit" in idata.children and restarts:
        found.append(optima_of(model, idata, rng, restarts))
    ratio = _ratios(idata)
    if ratio is not None:
        table["pareto_k"] = estimand_k(ratio, flat)
        found += importance(ratio, table)
    if mcmc:
        moved, rows = short_mcmc(model, idata, compute, own, random_seed, progressbar)
        table = table if moved is None else table.assign(**{c: moved[c].to_numpy() for c in moved})
        found += rows
    if loo:
        found += leave_one_out(model, draws.flat(), ratio, rng)
    if not model.no_mean:
        checks = predictive_checks(glmm, observations, draws.flat(), rng)
        found += [predictive(check) for _, check in checks.iterrows()]
    return Diagnosis(overall(found), pd.DataFrame([f.row() for f in found]), table, tuple(found))


def _ratios(idata: xr.DataTree) -> FloatArray | None:
    try:
        return log_ratios(idata)
    except DataError:
        return None
