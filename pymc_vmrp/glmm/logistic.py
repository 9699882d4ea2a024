"""Expectations of the logistic likelihood under a Gaussian, in closed form and vectorised."""

from __future__ import annotations

import math

import numba
import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.glmm.threads import share_out
from pymc_vmrp.glmm.vectorised import COMPILED, exp_of_nonpositive

# Monahan and Stefanski (1992), Normal scale mixture approximations to F*(z) and computation of
# the logistic-normal integral, k = 8: logit⁻¹(η) ≈ Σ p_k Φ(s_k η). Against the exact functions the
# error of the mixture is at most 2.2e-9, of its derivative 1.4e-8, of its integral (softplus)
# 8.2e-9; averaging over a Gaussian cannot increase them.
MIXTURE_P = (
    0.003246343272134,
    0.051517477033972,
    0.195077912673858,
    0.315569823632818,
    0.274149576158423,
    0.131076880695470,
    0.027912418727972,
    0.001449567805354,
)
MIXTURE_S = (
    1.365340806296348,
    1.059523971016916,
    0.830791313765644,
    0.650732166639391,
    0.508135425366489,
    0.396313345166341,
    0.308904252267995,
    0.238212616409306,
)
_COMPONENT_VARIANCE = tuple(1.0 / (s * s) for s in MIXTURE_S)
_INV_SQRT_2PI = 1.0 / math.sqrt(2.0 * math.pi)

# Φ(−x) e^(x²/2) (x + c) as a polynomial in t = (x − c)/(x + c), after Shepherd and Laframboise
# (1981), Chebyshev approximation of (1 + 2x)exp(x²)erfc x in 0 <= x < ∞. Made by interpolation at
# the Chebyshev nodes of 0 <= x <= 38, beyond which e^(−x²/2) is 0, with 40 digits, then converted
# to powers of t. The c with the smallest error; relative error 1.1e-15.
_CENTRE = 4.25
_G = (
    0.7595542082672075,
    -0.6251297770834349,
    0.4182275258223993,
    -0.22051601745390054,
    0.0852720761512678,
    -0.019358324050643198,
    -0.0007453380359777939,
    0.0021493823769868927,
    -0.00040445546609818036,
    -0.00019212098093468406,
    7.800179970507728e-05,
    2.0641035141527906e-05,
    -1.2609665962973512e-05,
    -3.176488076676416e-06,
    1.9872642117504944e-06,
    6.446102701348246e-07,
    -2.818122912867237e-07,
    -1.2707134060524242e-07,
    2.586560052853035e-08,
    1.5295994833475578e-08,
)

CHUNK = 256  # elements at a time: their intermediate values stay in the first-level cache
PARALLEL_FROM = 32_768  # elements; below it, a second thread saves little, or nothing
# larger values stand for these, whose squares and products do not overflow
_LARGEST_MEAN = 1e100
_LARGEST_VARIANCE = 1e200


def logistic_expectations(
    mean: FloatArray,
    variance: FloatArray,
    softplus: FloatArray,
    probability: FloatArray,
    slope: FloatArray,
) -> None:
    """E log(1 + e^η), E logit⁻¹(η) and E of its derivative over η ~ N(mean, variance).

    Parameters
    ----------
    mean, variance : ndarray, shape (N,)
    softplus, probability, slope : ndarray, shape (N,)
        Receive the three expectations. The absolute error is below 2e-8, of ``softplus`` relative
        to its value where that exceeds 1. Below ``mean`` = −5 − 2 ``variance`` the relative error
        is below 1e-5: there they are multiplied by as many trials as it takes to see one success.

    Notes
    -----
    Results do not depend on the number of threads.
    """
    n_chunks = -(-len(mean) // CHUNK)
    parallel = len(mean) >= PARALLEL_FROM
    arrays = (mean, variance, softplus, probability, slope)
    share_out(_expectations_of_chunks, n_chunks, *arrays, parallel=parallel)


@numba.njit(**COMPILED)
def _tail(t):  # type: ignore[no-untyped-def]
    total = ((_G[19] * t + _G[18]) * t + _G[17]) * t + _G[16]
    total = (((total * t + _G[15]) * t + _G[14]) * t + _G[13]) * t + _G[12]
    total = (((total * t + _G[11]) * t + _G[10]) * t + _G[9]) * t + _G[8]
    total = (((total * t + _G[7]) * t + _G[6]) * t + _G[5]) * t + _G[4]
    return (((total * t + _G[3]) * t + _G[2]) * t + _G[1]) * t + _G[0]


@numba.njit(**COMPILED)
def _far_below(mean, variance):  # type: ignore[no-untyped-def]
    """The three expectations where the mixture, whose tails are Gaussian, would be far too small.

    As logit⁻¹(η) = e^η (1 − logit⁻¹(η)), and e^η N(η; μ, v) = e^(μ+v/2) N(η; μ + v, v), those of
    the probability and its derivative follow from the mixture at μ + v. softplus is
    −log(1 − p) = p + p²/2 + p³/3 + ..., where p² = p − p(1 − p), and p³ matters little.
    """
    tail, density = 0.0, 0.0
    size = -mean - variance
    for k in range(len(MIXTURE_P)):
        tau = math.sqrt(variance + _COMPONENT_VARIANCE[k])
        x = size / tau
        e = MIXTURE_P[k] * math.exp(-0.5 * x * x)
        density += e / tau
        tail += e * _tail((x - _CENTRE) / (x + _CENTRE)) / (x + _CENTRE)
    density *= _INV_SQRT_2PI
    scale = math.exp(mean + 0.5 * variance)
    probability = scale * (1.0 - tail)
    slope = scale * (1.0 - tail - density)
    cube = math.exp(3.0 * mean + 4.5 * variance) / (1.0 + math.exp(mean + 3.0 * variance)) ** 3
    return probability + 0.5 * (probability - slope) + cube / 3.0, probability, slope


@numba.njit(**COMPILED)
def _expectations_of_chunks(mean, variance, softplus, probability, slope, first, last):  # type: ignore[no-untyped-def]
    """Write the expectations of the chunks from ``first`` to before ``last``.

    With τ² = v + 1/s² and x = |μ|/τ, a component adds Φ(−x), φ(x)/τ and τ(φ(x) − xΦ(−x)): the
    expectations at −|μ|. At |μ| the probability is what is left of 1, and softplus is greater
    by |μ|.
    """
    scratch = np.empty((5, CHUNK))
    size, spread = scratch[0], scratch[1]
    tail, density, excess = scratch[2], scratch[3], scratch[4]
    for start in range(first * CHUNK, min(last * CHUNK, len(mean)), CHUNK):
        n = min(CHUNK, len(mean) - start)
        for i in range(n):
            m = abs(mean[start + i])
            v = variance[start + i]
            size[i] = _LARGEST_MEAN if m > _LARGEST_MEAN else m
            spread[i] = _LARGEST_VARIANCE if v > _LARGEST_VARIANCE else v
            tail[i] = 0.0
            density[i] = 0.0
            excess[i] = 0.0
        for k in range(len(MIXTURE_P)):
            share = MIXTURE_P[k]
            component = _COMPONENT_VARIANCE[k]
            for i in range(n):
                w = spread[i] + component
                tau = math.sqrt(w)
                u = size[i] + _CENTRE * tau
                d = 1.0 / (tau * u)  # the only division: 1/τ = ud and 1/(x + c) = τ/u = τ²d
                inv_tau = u * d
                q = w * d
                x = size[i] * inv_tau
                e = share * exp_of_nonpositive(-0.5 * x * x)
                ratio = q * _tail(1.0 - (2.0 * _CENTRE) * q)
                tail[i] += e * ratio
                density[i] += e * inv_tau
                excess[i] += e * tau * (_INV_SQRT_2PI - x * ratio)
        for i in range(n):
            m = mean[start + i]
            positive = m > 0.0
            softplus[start + i] = (m if positive else 0.0) + excess[i]
            probability[start + i] = 1.0 - tail[i] if positive else tail[i]
            slope[start + i] = _INV_SQRT_2PI * density[i]
            if size[i] > 5.0 + 2.0 * spread[i]:
                excess_i, tail_i, slope_i = _far_below(-size[i], spread[i])
                softplus[start + i] = (m if positive else 0.0) + excess_i
                probability[start + i] = 1.0 - tail_i if positive else tail_i
                slope[start + i] = slope_i
