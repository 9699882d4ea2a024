"""Bernoulli and binomial families with logit, probit and complementary log-log links.

Cells hold (successes, trials). The constant Σ log C(n, y) is kept apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import expit, log_ndtr, ndtr, ndtri

from pymc_vmrp.arrays import AnyArray, FloatArray
from pymc_vmrp.glmm.cells import Cells
from pymc_vmrp.glmm.families.family import (
    Expected,
    Family,
    Parameters,
    Rows,
    Statistics,
    TwoArrays,
    log_binomial_coefficients,
    no_constants,
)

_LARGEST_PREDICTOR = 30.0  # of the cloglog link, beyond which e^η says nothing more
_HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)


def _pool(rows: Rows, cells: Cells) -> Statistics:
    trials = np.broadcast_to(1.0, len(rows.y)) if rows.trials is None else rows.trials
    return cells.sum(rows.weighted(rows.y)), cells.sum(rows.weighted(trials))


def _draw(inverse_link: Callable[[FloatArray], FloatArray]) -> Callable[..., AnyArray]:
    def draw(rng: np.random.Generator, eta: FloatArray, trials: Any, _: Parameters) -> Any:
        n = np.ones_like(eta, dtype=np.int64) if trials is None else np.asarray(trials, np.int64)
        return rng.binomial(n, inverse_link(eta))

    return draw


def _likelihood(link: str) -> Callable[..., None]:
    def likelihood(
        name: str, eta: Any, statistics: Statistics, _: dict[str, Any], dims: str
    ) -> None:
        import pymc as pm

        from pymc_vmrp.glmm.pymc_likelihoods import log_odds, observed

        successes, trials = statistics
        if np.all(successes == np.floor(successes)) and np.all(trials == np.floor(trials)):
            n = trials.astype(np.int64)
            y = successes.astype(np.int64)
            pm.Binomial(name, n=n, logit_p=log_odds(link, eta), observed=y, dims=dims)
            return
        # fractional weights: the log likelihood is linear in the counts
        observed(name, successes, dims, _fractional(link), eta, trials)

    return likelihood


def _fractional(link: str) -> Callable[..., Any]:
    def logp(value: Any, eta: Any, trials: Any) -> Any:
        from pymc_vmrp.glmm.pymc_likelihoods import log_probabilities

        log_p, log_q = log_probabilities(link, eta)
        return value * log_p + (trials - value) * log_q

    return logp


# --- logit -------------------------------------------------------------------------------------


def _logit_log_likelihood(eta: FloatArray, statistics: Statistics, _: Parameters) -> FloatArray:
    y, n = statistics
    return np.asarray(y * eta - n * np.logaddexp(0, eta))


def _logit_derivatives(eta: FloatArray, statistics: Statistics, _: Parameters) -> TwoArrays:
    y, n = statistics
    p = expit(eta)
    return y - n * p, -n * p * (1 - p)


def _logit_expectations(
    mean: FloatArray, variance: FloatArray, statistics: Statistics, _: Parameters
) -> Expected:
    """Those of a scale mixture of probits, which is the logistic function to eight digits."""
    from pymc_vmrp.glmm.logistic import logistic_expectations

    y, n = statistics
    softplus, probability, slope = (np.empty_like(mean) for _ in range(3))
    logistic_expectations(mean, variance, softplus, probability, slope)
    return Expected(y * mean - n * softplus, y - n * probability, n * slope)


def _logit_augment(
    rng: np.random.Generator, eta: FloatArray, statistics: Statistics, _: Parameters
) -> TwoArrays:
    """Pólya–Gamma: Polson, Scott & Windle (2013)."""
    from pymc_vmrp.glmm.polya_gamma import random_polya_gamma

    y, n = statistics
    return random_polya_gamma(rng, n, eta), y - 0.5 * n


def _logit_start(statistics: Statistics) -> TwoArrays:
    """Every cell at the overall share: from far away the Pólya–Gamma bound comes slowly."""
    y, n = statistics
    overall = np.log((y.sum() + 0.5) / ((n - y).sum() + 0.5))
    return np.full(len(y), overall), np.ones(len(y))


# --- probit ------------------------------------------------------------------------------------


def _probit_log_likelihood(eta: FloatArray, statistics: Statistics, _: Parameters) -> FloatArray:
    y, n = statistics
    return np.asarray(y * log_ndtr(eta) + (n - y) * log_ndtr(-eta))


def _mills(x: FloatArray) -> FloatArray:
    """φ(x)/Φ(x)."""
    return np.asarray(np.exp(-0.5 * x**2 - _HALF_LOG_2PI - log_ndtr(x)))


def _probit_derivatives(eta: FloatArray, statistics: Statistics, _: Parameters) -> TwoArrays:
    y, n = statistics
    up, down = _mills(eta), _mills(-eta)
    second = -y * up * (eta + up) - (n - y) * down * (down - eta)
    return y * up - (n - y) * down, second


def _rate_start(
    link: Callable[[FloatArray], FloatArray],
) -> Callable[[Statistics], tuple[FloatArray, FloatArray]]:
    """Each cell's share of successes, drawn towards the overall share as by two more trials."""

    def start(statistics: Statistics) -> TwoArrays:
        y, n = statistics
        share = (y.sum() + 0.5) / (n.sum() + 1)
        return link((y + 2 * share) / (n + 2)), np.full(len(y), 0.25)

    return start


# --- complementary log-log ---------------------------------------------------------------------


def _cloglog_inverse(eta: FloatArray) -> FloatArray:
    return np.asarray(-np.expm1(-np.exp(np.minimum(eta, _LARGEST_PREDICTOR))))


def _cloglog_log_likelihood(eta: FloatArray, statistics: Statistics, _: Parameters) -> FloatArray:
    y, n = statistics
    rate = np.exp(np.minimum(eta, _LARGEST_PREDICTOR))
    # log(1 − e^−λ), which is log λ for the smallest λ
    log_p = np.where(eta < -_LARGEST_PREDICTOR, eta, np.log(-np.expm1(-rate)))
    return np.asarray(y * log_p - (n - y) * rate)


def _cloglog_derivatives(eta: FloatArray, statistics: Statistics, _: Parameters) -> TwoArrays:
    y, n = statistics
    rate = np.exp(np.minimum(eta, _LARGEST_PREDICTOR))
    with np.errstate(over="ignore"):
        odds = rate / np.expm1(rate)
    odds = np.where(rate < 1e-300, 1.0, odds)
    return y * odds - (n - y) * rate, y * odds * (1 - rate - odds) - (n - y) * rate


_LINKS: dict[str, dict[str, Any]] = {
    "logit": {
        "inverse_link": lambda eta: np.asarray(expit(eta)),
        "log_likelihood": _logit_log_likelihood,
        "derivatives": _logit_derivatives,
        "expectations": _logit_expectations,
        "start": _logit_start,
        "augment": _logit_augment,
        "form": "logistic",
    },
    "probit": {
        "inverse_link": lambda eta: np.asarray(ndtr(eta)),
        "log_likelihood": _probit_log_likelihood,
        "derivatives": _probit_derivatives,
        "start": _rate_start(lambda p: np.asarray(ndtri(p))),
    },
    "cloglog": {
        "inverse_link": _cloglog_inverse,
        "log_likelihood": _cloglog_log_likelihood,
        "derivatives": _cloglog_derivatives,
        "start": _rate_start(lambda p: np.log(-np.log1p(-p))),
    },
}


def _family(name: str, link: str) -> Family:
    functions = _LINKS[link]
    return Family(
        name=name,
        link=link,
        response="binary" if name == "bernoulli" else "proportion",
        pool=_pool,
        likelihood=_likelihood(link),
        draw=_draw(functions["inverse_link"]),
        constants=no_constants if name == "bernoulli" else log_binomial_coefficients,
        pools=True,
        parent="p",
        **functions,
    )


FAMILIES = tuple(_family(name, link) for name in ("bernoulli", "binomial") for link in _LINKS)
