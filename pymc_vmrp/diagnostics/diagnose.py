"""diagnose: every check of a fit in one table, and a plain verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pymc_vmrp.arguments import check_model
from pymc_vmrp.cavi.integrate import MOST_DISAGREEMENT, MOST_MISSED
from pymc_vmrp.diagnostics import estimands as kinds_of
from pymc_vmrp.diagnostics.estimands import Estimands, Values
from pymc_vmrp.diagnostics.importance import (
    estimand_k,
    largest_k,
    log_ratios,
    smoothed_weights,
)
from pymc_vmrp.diagnostics.moves import moves
from pymc_vmrp.diagnostics.optima import other_optima
from pymc_vmrp.diagnostics.predictive import predictive_checks
from pymc_vmrp.diagnostics.short_mcmc import short_chains
from pymc_vmrp.errors import DataError, PriorError
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.responses import take_rows
from pymc_vmrp.results.idata import read_draws
from pymc_vmrp.selection.loo import loo as leave_one_out
from pymc_vmrp.selection.pointwise import distinct_rows

if TYPE_CHECKING:
    import xarray as xr

    from pymc_vmrp.model import Model

FloatArray = NDArray[np.float64]

FINE, CARE, NO_TRUST, NOTE = "fine", "use with care", "do not trust", "note"
_ORDER = (NOTE, FINE, CARE, NO_TRUST)

# what an estimand moves by, in sds and in log sds; standard errors taken off, three or (where it is
# far) two
_CARE_SHIFT, _CARE_LOG_RATIO = 0.1, float(np.log(1.1))
_MOST_SHIFT, _MOST_LOG_RATIO = 0.3, float(np.log(1.25))
_MOST_RHAT, _WORST_RHAT, _LEAST_ESS = 1.01, 1.05, 400
_DROP, _DROP_BY_COORDINATE = 3.0, 0.6  # nats; a Gaussian's draws lie 0.5 a coordinate below
_SMALLEST_P, _CARE_Z, _NO_Z = 0.01, 3.0, 5.0
_SHARE_OF_BAD_K = 0.01  # of the rows, whose leave-one-out estimates cannot be trusted
_MOST_OF_LOO = 4e7  # numbers of a matrix of log likelihoods


@dataclass(frozen=True)
class Diagnosis:
    """What the checks of a fit found.

    Attributes
    ----------
    verdict : {"fine", "use with care", "do not trust"}
        The worst of the table's; of hyperparameters alone at most "use with care".
    table : DataFrame
        One row per check: ``check``, ``of``, ``value``, ``limit``, ``verdict`` and ``meaning``.
    estimands : DataFrame
        Shift and sd ratio of every estimand against the short chains, and its k̂.
    """

    verdict: str
    table: pd.DataFrame
    estimands: pd.DataFrame

    @property
    def reasons(self) -> list[str]:
        """What is not fine, in words."""
        bad = self.table["verdict"].isin([CARE, NO_TRUST])
        return [str(text) for text in self.table.loc[bad, "meaning"]]

    def __repr__(self) -> str:
        table = self.table.drop(columns="meaning").to_string(index=False)
        lines = [f"Verdict: {self.verdict}", *(f"  - {reason}" for reason in self.reasons)]
        return "\n".join([*lines, "", table])


@dataclass(frozen=True)
class _Found:
    check: str
    of: str
    value: float
    limit: float
    verdict: str
    meaning: str
    caps: bool = False  # whether it alone never makes the whole fit one not to trust


def diagnose(
    model: Model,
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
    model : Model
        The model that ``idata`` is a fit of.
    idata : DataTree
        What ``model.fit`` returned, by any inference method.
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
    - other optima: fits that start elsewhere end at another mean, with an ELBO not far below.
    - k̂ of the weights p/q, at most min(1 − 1/log₁₀S, 0.7) (Vehtari et al. 2024; Yao et al. 2018).
      In high dimension k̂ is large for fits that are good enough; a large one is a note, and a
      small one says that q as a whole is near the posterior.
    - short MCMC: chains of steps that leave the posterior invariant start at draws of q; what moves
      was wrong: 0.1 sds or 10% of the sd beyond three standard errors call for care, 0.3 sds or 25%
      beyond two are not to be trusted. Lower bounds, in the manner of TADDAA (Wang,
      Kasprzak & Huggins 2023).
    - leave-one-out by Pareto-smoothed importance sampling, corrected for q (Magnusson et al. 2019):
      rows whose k̂ is above the limit are ones that the posterior depends on.
    - posterior predictive checks of means by group, and of the spread and tails of responses
      (Gelman, Meng & Stern 1996).
    """
    check_model("diagnose(model, idata)", model)
    glmm, observations = model.glmm, model.observations
    rng = np.random.default_rng(random_seed)
    draws = read_draws(glmm, idata)
    compute = Estimands(glmm, observations, estimands)
    own = compute(draws)
    flat = own.draws.reshape(-1, own.draws.shape[-1])
    table = pd.DataFrame({"estimand": own.names, "kind": own.kinds}).set_index("estimand")
    found = list(_convergence(idata))
    if "fit" in idata.children and restarts:
        found.append(_optima(model, rng, restarts))
    ratio = _ratios(idata)
    if ratio is not None:
        table["pareto_k"] = estimand_k(ratio, flat)
        found += _importance(ratio, table)
    if mcmc:
        moved, rows = _moves(model, idata, compute, own, random_seed, progressbar)
        table = table if moved is None else table.assign(**{c: moved[c].to_numpy() for c in moved})
        found += rows
    if loo:
        found += _loo(model, draws.flat(), ratio, rng)
    for _, check in predictive_checks(glmm, observations, draws.flat(), rng).iterrows():
        found.append(_predictive(check))
    verdict = max(
        (CARE if f.caps and f.verdict == NO_TRUST else f.verdict for f in found),
        key=_ORDER.index,
    )
    columns = ["check", "of", "value", "limit", "verdict", "meaning"]
    shown = pd.DataFrame([vars(f) for f in found])[columns]
    return Diagnosis(verdict if verdict != NOTE else FINE, shown, table)


# --- the approximation -------------------------------------------------------------------------


def _convergence(idata: xr.DataTree) -> Iterator[_Found]:
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
        yield _Found(
            "convergence", "fit", float(done), 1.0, FINE if done else NO_TRUST,
            "Coordinate ascent converged." if done else meaning,
        )  # fmt: skip
        yield from _points(attrs)
    if "max_rhat" in idata.attrs:
        rhat, ess = float(idata.attrs["max_rhat"]), float(idata.attrs["min_ess"])
        verdict = FINE if rhat <= _MOST_RHAT else NO_TRUST if rhat > _WORST_RHAT else CARE
        meaning = "The chains agree."
        if np.isnan(rhat):
            meaning = "One chain cannot tell whether it has mixed: raise chains=."
        elif verdict != FINE:
            meaning = f"The chains have not mixed (R-hat {rhat:.3f}): raise tune= and draws=."
        yield _Found("R-hat", "largest", rhat, _MOST_RHAT, verdict, meaning)
        few = not ess >= _LEAST_ESS
        yield _Found(
            "bulk ESS", "smallest", ess, _LEAST_ESS, CARE if few else FINE,
            f"Few effective draws ({ess:.0f}): raise draws=." if few else "Enough effective draws.",
        )  # fmt: skip
        divergences = float(idata.attrs.get("divergences", 0))
        if divergences:
            yield _Found(
                "divergences", "transitions", divergences, 0.0, CARE,
                "NUTS diverged: raise target_accept=.",
            )  # fmt: skip


def _points(attrs: Mapping[Any, Any]) -> Iterator[_Found]:
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
        yield _Found("hyperparameters", name, value, limit, verdict, meaning)


def _optima(model: Model, rng: np.random.Generator, restarts: int) -> _Found:
    optima = other_optima(model.glmm, rng, restarts)
    if not optima.several:
        meaning = f"{optima.starts} fits from elsewhere end at the same optimum."
        if optima.others:
            meaning = (
                f"Other optima are worse by {-optima.gain:.0f} in the ELBO, and do not matter."
            )
        return _Found("other optima", "fits", float(optima.others), 0.0, FINE, meaning)
    meaning = (
        f"{optima.others} of {optima.starts} fits from elsewhere end at another optimum, whose "
        f"ELBO is {abs(optima.gain):.1f} {'higher' if optima.gain > 0 else 'lower'}: the posterior "
        "has several modes, and the fit has one. Use stronger priors, or inference_method='nuts' "
        "with many chains."
    )
    return _Found("other optima", "fits", float(optima.others), 0.0, NO_TRUST, meaning)


def _ratios(idata: xr.DataTree) -> FloatArray | None:
    try:
        return log_ratios(idata)
    except DataError:
        return None


def _importance(ratio: FloatArray, table: pd.DataFrame) -> Iterator[_Found]:
    _, khat = smoothed_weights(ratio)
    limit = largest_k(len(ratio))
    meaning = (
        "q as a whole is near the posterior; vmrp.resample(idata) can take out what is left."
        if khat <= limit
        else "Importance weights cannot vouch for q as a whole, nor correct it."
    )
    verdict = FINE if khat <= limit else NOTE
    yield _Found("k-hat", "joint density", khat, limit, verdict, meaning)
    for kind, part in table.groupby("kind", sort=False)["pareto_k"]:
        value = float(part.median())
        good = value <= limit
        meaning = "Their means can be corrected." if good else "Weights cannot correct their means."
        verdict = FINE if good else NOTE
        yield _Found("k-hat", f"{kind}, median", value, limit, verdict, meaning)


def _moves(
    model: Model,
    idata: xr.DataTree,
    compute: Estimands,
    own: Values,
    random_seed: int | None,
    progressbar: bool | None,
) -> tuple[pd.DataFrame | None, list[_Found]]:
    try:
        chains = short_chains(model, idata, random_seed, progressbar)
    except PriorError as error:
        meaning = f"No MCMC could check the fit: {error}"
        return None, [_Found("short MCMC", "all", np.nan, np.nan, CARE, meaning)]
    flat = own.draws.reshape(-1, own.draws.shape[-1])
    moved = moves(flat, compute(chains.draws).draws, chains.pieces)
    labelled = moved.assign(name=own.names, kind=own.kinds)
    rows: list[_Found] = []
    for kind, part in labelled.groupby("kind", sort=False):
        rows += [_shift(str(kind), part), _ratio(str(kind), part)]
    return moved, rows


def _worst(part: pd.DataFrame, what: str) -> pd.Series:
    """The estimand that moved most, as far as the standard errors tell."""
    by = part[f"sure_{what}"].abs()
    return part.loc[(by if by.max() > 0 else part[f"likely_{what}"].abs()).idxmax()]


def _moved(worst: pd.Series, what: str, care: float, most: float) -> str:
    if abs(worst[f"likely_{what}"]) > most:
        return NO_TRUST
    return CARE if abs(worst[f"sure_{what}"]) > care else FINE


def _shift(kind: str, part: pd.DataFrame) -> _Found:
    worst = _worst(part, "shift")
    verdict = _moved(worst, "shift", _CARE_SHIFT, _MOST_SHIFT)
    meaning = (
        f"Means of {kind} stay where they are."
        if verdict == FINE
        else f"{worst['name']} ({kind}) moves by {abs(worst['shift']):.2f} sd under MCMC."
    )
    return _Found(
        "short MCMC: shift", kind, float(worst["shift"]), _CARE_SHIFT, verdict, meaning,
        caps=kind == kinds_of.HYPERPARAMETER,
    )  # fmt: skip


def _ratio(kind: str, part: pd.DataFrame) -> _Found:
    limit = float(np.exp(_CARE_LOG_RATIO))
    worst = _worst(part, "log_ratio")
    verdict = _moved(worst, "log_ratio", _CARE_LOG_RATIO, _MOST_LOG_RATIO)
    how = "small" if worst["sd_ratio"] < 1 else "large"
    meaning = (
        f"Sds of {kind} stay what they are."
        if verdict == FINE
        else f"The sd of {worst['name']} ({kind}) is {worst['sd_ratio']:.2f} of what MCMC finds, "
        f"too {how}; the median of {kind} is {part['sd_ratio'].median():.2f}."
    )
    return _Found(
        "short MCMC: sd ratio", kind, float(worst["sd_ratio"]), limit, verdict, meaning,
        caps=kind == kinds_of.HYPERPARAMETER,
    )  # fmt: skip


# --- the model ---------------------------------------------------------------------------------


def _loo(
    model: Model, draws: Draws, ratio: FloatArray | None, rng: np.random.Generator
) -> Iterator[_Found]:
    observations = model.observations
    n = len(observations.cell)
    most = max(1, int(_MOST_OF_LOO / len(draws)))
    distinct = distinct_rows(observations)
    if distinct.size > most:
        chosen = np.sort(rng.choice(n, min(n, most), replace=False))
        distinct = distinct_rows(take_rows(observations, chosen))
    found = corrected = leave_one_out(model.glmm, distinct, draws)
    if ratio is not None and smoothed_weights(ratio)[1] <= largest_k(len(ratio)):
        corrected = leave_one_out(model.glmm, distinct, draws, ratio)
    rows = len(distinct.index)
    elpd = float(corrected.elpd[distinct.index].sum()) * n / rows
    p_loo = float((found.lpd - found.elpd)[distinct.index].sum()) * n / rows
    part = "" if rows == n else f", from {rows:,} of {n:,} rows"
    yield _Found(
        "LOO", "expected log predictive density", elpd, np.nan, NOTE,
        f"elpd {elpd:.1f}, effective number of parameters {p_loo:.1f}{part}.",
    )  # fmt: skip
    bad = float((found.k > found.threshold)[distinct.index].mean())
    verdict = CARE if bad > _SHARE_OF_BAD_K else FINE
    meaning = (
        f"{bad:.1%} of the rows decide their own prediction: look at them, and compare models by "
        "vmrp.select(criterion='kfold')."
        if verdict == CARE
        else "Hardly any row decides its own prediction."
    )
    yield _Found("LOO", "rows with large k-hat", bad, _SHARE_OF_BAD_K, verdict, meaning)


def _predictive(check: pd.Series) -> _Found:
    p, z = float(check["p"]), abs(float(check["z"]))
    verdict = FINE
    if p < _SMALLEST_P and z > _CARE_Z:
        verdict = NO_TRUST if z > _NO_Z else CARE
    meaning = (
        f"In {check['what']} the data are as the model replicates them."
        if verdict == FINE
        else f"In {check['what']} the data are not as the model replicates them "
        f"(z = {check['z']:.1f}): change the model, for example its family or terms."
    )
    return _Found("predictive check", str(check["what"]), p, _SMALLEST_P, verdict, meaning)
