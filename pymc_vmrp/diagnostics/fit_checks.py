"""Checks of the fit itself: convergence, other optima, and importance weights, as findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.diagnostics.finding import CARE, FINE, NO_TRUST, NOTE, Finding
from pymc_vmrp.diagnostics.optima import other_optima
from pymc_vmrp.integration.integrate import MOST_DISAGREEMENT, MOST_MISSED
from pymc_vmrp.results.diagnostics import chain_diagnostics, sampler_attributes
from pymc_vmrp.results.importance import largest_k, smoothed_weights

if TYPE_CHECKING:
    import xarray as xr

    from pymc_vmrp.read_model import ReadModel

_MOST_RHAT, _WORST_RHAT, _LEAST_ESS = 1.01, 1.05, 400
_BETTER = 1.0  # nats by which the ELBO of another fit is higher
_DROP, _DROP_BY_COORDINATE = 3.0, 0.6  # nats; a Gaussian's draws lie 0.5 a coordinate below


def convergence(idata: xr.DataTree) -> Iterator[Finding]:
    """Whether coordinate ascent converged, or the chains did."""
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
    return {**sampler_attributes(idata), **chain_diagnostics(idata)}


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


def optima_of(
    model: ReadModel, idata: xr.DataTree, rng: np.random.Generator, restarts: int
) -> Finding:
    """Whether fits that start elsewhere end elsewhere."""
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


def importance(ratio: FloatArray, table: pd.DataFrame) -> Iterator[Finding]:
    """What Pareto-smoothed weights say of q as a whole, and of each kind of estimand."""
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
