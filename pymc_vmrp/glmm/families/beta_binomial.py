"""Beta-binomial family with logit link: p ~ Beta(κμ, κ(1 − μ)) with μ = logit⁻¹(η).

Cells hold (successes, weight, trials). ℓ is not concave in η everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, gammaln, psi

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.cells import Cells
from pymc_vmrp.glmm.families.family import (
    Family,
    Parameter,
    Parameters,
    Rows,
    Statistics,
    TwoArrays,
    log_binomial_coefficients,
)
from pymc_vmrp.glmm.priors.scales import HalfCauchy

_LARGEST_PREDICTOR = 30.0  # beyond it, 1 − μ loses its digits


def _pool(rows: Rows, cells: Cells) -> Statistics:
    assert rows.trials is not None
    first = cells.first
    return rows.y[first].astype(float), cells.sum(rows.ones), rows.trials[first].astype(float)


def _shapes(eta: FloatArray, kappa: Any) -> TwoArrays:
    eta = np.clip(eta, -_LARGEST_PREDICTOR, _LARGEST_PREDICTOR)
    return kappa * expit(eta), kappa * expit(-eta)


def _log_likelihood(eta: FloatArray, statistics: Statistics, phi: Parameters) -> FloatArray:
    y, weight, trials = statistics
    a, b = _shapes(eta, phi[0])
    with_data = gammaln(y + a) + gammaln(trials - y + b) - gammaln(trials + phi[0])
    return np.asarray(weight * (with_data - gammaln(a) - gammaln(b) + gammaln(phi[0])))


def _derivatives(eta: FloatArray, statistics: Statistics, phi: Parameters) -> TwoArrays:
    y, weight, trials = statistics
    (kappa,) = phi
    a, b = _shapes(eta, kappa)
    slope = a * b / kappa  # κ dμ/dη
    first = psi(y + a) - psi(a) - psi(trials - y + b) + psi(b)
    second = _trigamma(y + a) - _trigamma(a) + _trigamma(trials - y + b) - _trigamma(b)
    return weight * slope * first, weight * slope * (second * slope + first * (b - a) / kappa)


def _trigamma(x: FloatArray) -> FloatArray:
    """ψ′(x) for x > 0: recurrence up to x + 8, then the asymptotic series.

    Abramowitz & Stegun (1964), 6.4.6 and 6.4.12; SciPy's polygamma takes several times as long.
    """
    total = np.zeros_like(x)
    for shift in range(8):
        total += 1 / (x + shift) ** 2
    x = x + 8
    z = 1 / x**2
    series = z * (1 / 6 - z * (1 / 30 - z * (1 / 42 - z * (1 / 30 - z * 5 / 66))))
    return np.asarray(total + 1 / x + 0.5 * z + series / x)


def _start(statistics: Statistics) -> TwoArrays:
    y, weight, trials = statistics
    share = (weight @ y + 0.5) / (weight @ trials + 1)
    p = (y + 2 * share) / (trials + 2)
    return np.log(p) - np.log1p(-p), np.full(len(y), 0.25)


def _likelihood(
    name: str, eta: Any, statistics: Statistics, parameters: dict[str, Any], dims: str
) -> None:
    import pymc as pm

    from pymc_vmrp.glmm.pymc_likelihoods import weighted

    y, weight, trials = statistics
    mu, kappa = pm.math.invlogit(eta), parameters["kappa"]
    weighted(
        name, pm.BetaBinomial, weight, y.astype(np.int64), dims,
        n=trials.astype(np.int64), alpha=kappa * mu, beta=kappa * (1 - mu),
    )  # fmt: skip


def _draw(rng: np.random.Generator, eta: FloatArray, trials: Any, phi: Parameters) -> Any:
    a, b = _shapes(eta, phi[0])
    return rng.binomial(np.asarray(trials, dtype=np.int64), rng.beta(a, b))


FAMILIES = (
    Family(
        name="beta_binomial",
        link="logit",
        response="proportion",
        inverse_link=lambda eta: np.asarray(expit(eta)),
        log_likelihood=_log_likelihood,
        derivatives=_derivatives,
        pool=_pool,
        constants=log_binomial_coefficients,
        start=_start,
        likelihood=_likelihood,
        draw=_draw,
        parameters=(Parameter("kappa", lambda _: HalfCauchy(1), (-2.0, 7.0)),),
        log_concave=False,
    ),
)
