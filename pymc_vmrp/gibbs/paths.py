"""Moves of a term's effects together with their covariance matrix.

u_g and Σ hold each other in place: σ given u moves by about 1/√L, and u given σ is as large as σ.
So after both were drawn, (u_g, Σ) → (A u_g, A Σ A') for A along a one-parameter group: scaling one
effect by e^t, or adding t times another effect to it. All u_g'Σ⁻¹u_g stay what they are. Where x is
moved to γ_t(x), the law of t that leaves p(x) invariant has the density p(γ_t(x)) |∂γ_t(x)/∂x| by
t (Liu & Sabatti 2000, theorem 1; Haar measure of the group's parameter t is dt). With L levels the
Jacobian is |A|^L of the u_g, which the |Σ|^(−L/2) of p(u | Σ) cancels, and |A|^(d+1) of Σ. What is
left is

    log p(AΣA') + (d + 1) log |A| + the sites' quadratic in Au,

with the auxiliaries of a Huang–Wand prior integrated out. This is parameter expansion (Liu & Wu
1999) and an interweaving of the centred and the non-centred parametrisation (Yu & Meng 2011).

Where effect a has a common counterpart (the intercept, for an intercept that varies), what the move
adds to the mean of the effect is taken from it: β moves by −T(w'Au − w'u), with weights w that do
not change along the path. That is a one-parameter group too and has the same Jacobian, and log p(β)
joins in. Without it the data would hold the mean where it is, and a large σ of few levels with it.

References
----------
Liu, J. S. and Wu, Y. N. (1999). Parameter expansion for data augmentation. JASA 94(448). Liu, J. S.
and Sabatti, C. (2000). Generalised Gibbs sampler and multigrid Monte Carlo for Bayesian
computation. Biometrika 87(2). Yu, Y. and Meng, X.-L. (2011). To center or not to center: that is
not the question. Journal of Computational and Graphical Statistics 20(3).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.gibbs.covariances import improper
from pymc_vmrp.glmm.priors.covariance import CovariancePrior, HuangWand, InverseWishart
from pymc_vmrp.glmm.priors.scales import ScalePrior, log_density_at

LogDensity = Callable[[float], float]


def log_prior_along(
    prior: CovariancePrior, covariance: FloatArray, precision: FloatArray, a: int, b: int
) -> LogDensity:
    """Log p(AΣA') + (d + 1) log |A| as a function of t, up to a constant.

    A scales effect a by e^t where a = b, and otherwise adds t times effect b to effect a.

    Parameters
    ----------
    prior : CovariancePrior
    covariance, precision : ndarray, shape (d, d)
        Σ and Σ⁻¹ at t = 0.
    a, b : int
    """
    if isinstance(prior, ScalePrior):
        return _of_sigma(prior, math.sqrt(covariance[0, 0]))
    if isinstance(prior, HuangWand):
        return _huang_wand(prior, precision, a, b)
    if isinstance(prior, InverseWishart):
        return _inverse_wishart(prior, precision, a, b)
    raise improper(prior)


def _of_sigma(prior: ScalePrior, sigma: float) -> LogDensity:
    # the density of σ², times σ⁴ for |A|²: that of log σ
    return lambda t: log_density_at(prior, sigma * math.exp(t)) + t


def _huang_wand(prior: HuangWand, precision: FloatArray, a: int, b: int) -> LogDensity:
    """−½(ν + 2d) log |Σ| − ½(ν + d) Σ_k log(1/A_k² + ν (Σ⁻¹)_kk): Huang & Wand (2013), section 2.

    A change of effect a by b leaves all (Σ⁻¹)_kk but that of b as they are.
    """
    d, nu = len(precision), prior.nu
    rate, power = float(prior.scales(d)[b]) ** -2, 0.5 * (nu + d)
    if a == b:
        here = nu * float(precision[a, a])
        return lambda t: -(nu + d - 1) * t - power * math.log(rate + here * math.exp(-2 * t))
    own, cross, other = (float(precision[i]) for i in ((b, b), (a, b), (a, a)))
    return lambda t: -power * math.log(rate + nu * (own - 2 * t * cross + t * t * other))


def _inverse_wishart(prior: InverseWishart, precision: FloatArray, a: int, b: int) -> LogDensity:
    """−½(df + d + 1) log |Σ| − ½ tr(ΨΣ⁻¹), where Σ⁻¹ becomes A⁻ᵀΣ⁻¹A⁻¹."""
    df, scale = prior.parameters(len(precision))
    if a == b:
        square = float(scale[a, a] * precision[a, a])
        linear = float(scale[a] @ precision[a]) - square
        return lambda t: -df * t - 0.5 * square * math.exp(-2 * t) - linear * math.exp(-t)
    linear, square = float(scale[b] @ precision[a]), float(scale[b, b] * precision[a, a])
    return lambda t: t * linear - 0.5 * t * t * square
