"""diagnose: every check of a fit in one table, and a plain verdict."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from pymc_vmrp.diagnostics import estimands as kinds_of
from pymc_vmrp.diagnostics.estimands import Estimands, Values
from pymc_vmrp.diagnostics.finding import CARE, FINE, NO_TRUST, NOTE, Finding, overall
from pymc_vmrp.diagnostics.model_checks import leave_one_out, predictive
from pymc_vmrp.diagnostics.moves import moves
from pymc_vmrp.diagnostics.optima import other_optima
from pymc_vmrp.diagnostics.predictive import predictive_checks
from pymc_vmrp.diagnostics.short_mcmc import short_chains
from pymc_vmrp.doors import read_model
from pymc_vmrp.errors import DataError, VmrpError
from pymc_vmrp.integration.integrate import MOST_DISAGREEMENT, MOST_MISSED
from pymc_vmrp.results.diagnostics import chain_diagnostics
from pymc_vmrp.results.importance import (
    estimand_k,
    largest_k,
    log_ratios,
    smoothed_weights,
)

if TYPE_CHECKING:
    import xarray as xr

    from pymc_vmrp.read_model import ReadModel


_WIDTH, _WIDTH_OF = 80, 36
_ABOUT_ERRORS = (
    "± is one Monte Carlo standard error of the short chains. What is beyond a limit by more than "
    "three of them calls for care."
)

# what an estimand moves by, in sds and in log sds; standard errors taken off, three or (where it is
# far) two
_CARE_SHIFT, _CARE_LOG_RATIO = 0.1, float(np.log(1.1))
_MOST_SHIFT, _MOST_LOG_RATIO = 0.3, float(np.log(1.25))
_MOST_RHAT, _WORST_RHAT, _LEAST_ESS = 1.01, 1.05, 400
_BETTER = 1.0  # nats by which the ELBO of another fit is higher
_DROP, _DROP_BY_COORDINATE = 3.0, 0.6  # nats; a Gaussian's draws lie 0.5 a coordinate below


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
    found = list(_convergence(idata))
    if "fit" in idata.children and restarts:
        found.append(_optima(model, idata, rng, restarts))
    ratio = _ratios(idata)
    if ratio is not None:
        table["pareto_k"] = estimand_k(ratio, flat)
        found += _importance(ratio, table)
    if mcmc:
        moved, rows = _moves(model, idata, compute, own, random_seed, progressbar)
        table = table if moved is None else table.assign(**{c: moved[c].to_numpy() for c in moved})
        found += rows
    if loo:
        found += leave_one_out(model, draws.flat(), ratio, rng)
    if not model.no_mean:
        checks = predictive_checks(glmm, observations, draws.flat(), rng)
        found += [predictive(check) for _, check in checks.iterrows()]
    return Diagnosis(overall(found), pd.DataFrame([f.row() for f in found]), table, tuple(found))


# --- the approximation -------------------------------------------------------------------------


def _convergence(idata: xr.DataTree) -> Iterator[Finding]:
    if "fit" in idata.children:
        attrs = idata["fit"].attrs
        done = bool(attrs.get("converged", 0))
        meaning = (
            f"Coordinate ascent stopped ({attrs.get('stopped')}) before it converged: raise "
            "max_iter, or rescale the predictors."
        )
        if attrs.get("hyperparameters") == "integrated" and not done:
            meaning = (
                f"The points of the hyperparameters, worth {attrs['theta_ess']:.0f} draws, did not "
                f"settle ({attrs.get('stopped')}): compare with inference_method='gibbs' or 'nuts'."
            )
        yield Finding(
            "convergence", "fit", float(done), (1.0, None), FINE if done else NO_TRUST,
            "Coordinate ascent converged." if done else meaning,
        )  # fmt: skip
        yield from _points(attrs)
    chains = _of_chains(idata)
    if chains:
        rhat, ess = float(chains["max_rhat"]), float(chains["min_ess"])
        verdict = FINE if rhat <= _MOST_RHAT else NO_TRUST if rhat > _WORST_RHAT else CARE
        meaning = "The chains agree."
        if np.isnan(rhat):
            meaning = "One chain cannot tell whether it has mixed: raise chains=."
        elif verdict != FINE:
            meaning = f"The chains have not mixed (R-hat {rhat:.3f}): raise tune= and draws=."
        yield Finding("R-hat", "largest", rhat, (None, _MOST_RHAT), verdict, meaning)
        few = not ess >= _LEAST_ESS
        yield Finding(
            "bulk ESS", "smallest", ess, (_LEAST_ESS, None), CARE if few else FINE,
            f"Few effective draws ({ess:.0f}): raise draws=." if few else "Enough effective draws.",
        )  # fmt: skip
        divergences = float(chains.get("divergences", 0))
        if divergences:
            yield Finding(
                "divergences", "transitions", divergences, (None, 0.0), CARE,
                "NUTS diverged: raise target_accept=.",
            )  # fmt: skip


def _of_chains(idata: xr.DataTree) -> Mapping[Any, Any]:
    """What a fit says of its chains; computed for one by another library, which says nothing."""
    if "max_rhat" in idata.attrs:
        return idata.attrs
    if "fit" in idata.children or "sample_stats" not in idata.children:
        return {}
    stats = idata["sample_stats"].to_dataset()
    if not {"diverging", "tree_depth", "n_steps"} & set(stats.data_vars):
        return {}  # draws of one approximation, and no chains
    found = chain_diagnostics(idata)
    if "diverging" in stats:
        found["divergences"] = float(stats["diverging"].sum())
    return found


def _points(attrs: Mapping[Any, Any]) -> Iterator[Finding]:
    """Of an integrated fit: whether its points of the hyperparameters are where the mass is."""
    limits = {
        "theta_error": (MOST_MISSED, "what proposed them errs, in nats"),
        "theta_disagreement": (MOST_DISAGREEMENT, "the share in which the rounds disagree"),
        "theta_drop": (
            _DROP + _DROP_BY_COORDINATE * attrs.get("theta_size", 0),
            "how far they lie below the best known, in nats",
        ),
    }
    for name, (limit, what) in limits.items():
        if name not in attrs:
            continue
        value = float(attrs[name])
        good = value <= limit
        meaning = (
            f"The points of the hyperparameters: {what}, is small."
            if good
            else f"The points of the hyperparameters may be in the wrong place ({what}: "
            f"{value:.2f}, limit {limit:.2f}): compare with inference_method='gibbs' or 'nuts'."
        )
        verdict = FINE if good else CARE if name == "theta_drop" else NO_TRUST
        yield Finding("hyperparameters", name, value, (None, limit), verdict, meaning)


def _optima(
    model: ReadModel, idata: xr.DataTree, rng: np.random.Generator, restarts: int
) -> Finding:
    optima = other_optima(model.glmm, rng, restarts)
    better = optima.best - _own_bound(idata)
    if better > _BETTER:
        return Finding(
            "other optima", "ELBO above the fit's", better, (None, _BETTER), NO_TRUST,
            f"A fit from elsewhere has an ELBO that is {better:.1f} higher: this one has missed "
            "the better optimum. Fit again, with centred predictors.",
        )  # fmt: skip
    if not optima.several:
        meaning = f"{optima.starts} fits from elsewhere end at the same optimum."
        if optima.others:
            meaning = (
                f"Other optima are worse by {-optima.gain:.0f} in the ELBO, and do not matter."
            )
        return Finding("other optima", "fits", float(optima.others), (None, 0.0), FINE, meaning)
    meaning = (
        f"{optima.others} of {optima.starts} fits from elsewhere end at another optimum, whose "
        f"ELBO is {abs(optima.gain):.1f} {'higher' if optima.gain > 0 else 'lower'}: the posterior "
        "has several modes, and the fit has one. Use stronger priors, or inference_method='nuts' "
        "with many chains."
    )
    return Finding("other optima", "fits", float(optima.others), (None, 0.0), NO_TRUST, meaning)


def _own_bound(idata: xr.DataTree) -> float:
    """The fit's log evidence or ELBO; inf where it is no bound of the kind that restarts have."""
    attrs = idata["fit"].attrs
    if attrs.get("bound", "quadrature") != "quadrature":
        return np.inf
    if attrs.get("factorization", "joint") != "joint":
        return np.inf
    return float(idata["fit"]["elbo"].to_numpy()[-1])


def _ratios(idata: xr.DataTree) -> FloatArray | None:
    try:
        return log_ratios(idata)
    except DataError:
        return None


def _importance(ratio: FloatArray, table: pd.DataFrame) -> Iterator[Finding]:
    _, khat = smoothed_weights(ratio)
    limit = largest_k(len(ratio))
    meaning = (
        "q as a whole is near the posterior; vmrp.resample(idata) can take out what is left."
        if khat <= limit
        else "Importance weights cannot vouch for q as a whole, nor correct it."
    )
    verdict = FINE if khat <= limit else NOTE
    yield Finding("k-hat", "joint density", khat, (None, limit), verdict, meaning)
    for kind, part in table.groupby("kind", sort=False)["pareto_k"]:
        value = float(part.median())
        good = value <= limit
        meaning = "Their means can be corrected." if good else "Weights cannot correct their means."
        verdict = FINE if good else NOTE
        yield Finding("k-hat", f"{kind}, median", value, (None, limit), verdict, meaning)


def _moves(
    model: ReadModel,
    idata: xr.DataTree,
    compute: Estimands,
    own: Values,
    random_seed: int | None,
    progressbar: bool | None,
) -> tuple[pd.DataFrame | None, list[Finding]]:
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
        caps=kind == kinds_of.HYPERPARAMETER, mcse=error,
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
        caps=kind == kinds_of.HYPERPARAMETER, mcse=error,
    )  # fmt: skip
