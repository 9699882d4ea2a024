"""From values of the pm.Model's variables to those of the GLMM, and back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.frontends.pymc.assemble import Assembled
from pymc_vmrp.frontends.pymc.reading import Parts, Point
from pymc_vmrp.frontends.pymc.terms import Terms, VectorBlock
from pymc_vmrp.frontends.pymc.view import Likelihood
from pymc_vmrp.glmm.draws import Draws

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class Translation:
    """Both descriptions of one model, and the way between them."""

    parts: Parts
    terms: Terms
    likelihood: Likelihood
    assembled: Assembled

    def to_glmm(self, point: Point) -> tuple[Draws, float]:
        """The GLMM's one draw at a point, and log |d(GLMM)/d(z, θ)| plus what it leaves out.

        What it leaves out are elements of z that no row depends on.
        """
        glmm, terms = self.assembled.glmm, self.terms
        coefficients = np.empty(glmm.n_coefficients)
        covariances: list[FloatArray] = []
        total = 0.0
        z = [values.ravel() for values in point.z]
        for place in self.assembled.common:
            part = place.part
            x = part.location + part.scale * z[part.latent][part.elements]
            coefficients[place.index] = place.factor * x
            total += float(np.log(np.abs(place.factor * part.scale)).sum())
        for j, block in enumerate(terms.blocks):
            sigma = block.scale.value(point.theta)
            own = np.array([z[k][e] for k, e in zip(block.latents, block.elements, strict=True)])
            coefficients[glmm.group_slice(j)] = sigma * own
            covariances.append(np.full((1, 1), sigma**2))
            total += len(own) * math.log(sigma)
            total += math.log(2 * sigma) - float(block.scale.log_slope(sigma))
        for j, vector in enumerate(terms.vectors, len(terms.blocks)):
            factor = vector.factor(point.theta)
            u = z[vector.latent][vector.elements] @ factor.T
            coefficients[glmm.group_slice(j)] = u.ravel()
            covariances.append(factor @ factor.T)
            total += len(u) * float(np.log(np.diag(factor)).sum())
            total += _log_jacobian(vector, point)
        parameters = []
        for free in self.likelihood.free:
            sigma = free.scale.value(point.theta)
            parameters.append(free.factor * sigma)
            total += math.log(free.factor) - float(free.scale.log_slope(sigma))
        for k, elements in terms.untouched:
            total += float((-0.5 * z[k][elements] ** 2 - _HALF_LOG_2PI).sum())
        untouched = np.concatenate([np.empty(0), *(z[k][own] for k, own in terms.untouched)])
        draws = Draws(
            coefficients[None],
            tuple(c[None] for c in covariances),
            np.array([parameters]),
            untouched[None],
        )
        return draws, total

    def to_points(self, draws: Draws, rng: np.random.Generator) -> Iterator[Point]:
        """The pm.Model's variables of each draw; elements without data come from their prior."""
        glmm, terms, parts = self.assembled.glmm, self.terms, self.parts
        n = len(draws)
        z = [np.full((n, latent.size), np.nan) for latent in parts.latents]
        theta = [np.full((n, hyper.size), np.nan) for hyper in parts.hypers]
        for place in self.assembled.common:
            part = place.part
            x = draws.coefficients[:, place.index] / place.factor
            z[part.latent][:, part.elements] = (x - part.location) / part.scale
        for j, block in enumerate(terms.blocks):
            sigma = np.sqrt(draws.covariances[j][:, 0, 0])
            own = draws.coefficients[:, glmm.group_slice(j)] / sigma[:, None]
            for k in np.unique(block.latents):
                z[k][:, block.elements[block.latents == k]] = own[:, block.latents == k]
            theta[block.scale.hyper][:, block.scale.element] = block.scale.theta(sigma)
        for j, vector in enumerate(terms.vectors, len(terms.blocks)):
            factor = np.linalg.cholesky(draws.covariances[j])
            u = draws.coefficients[:, glmm.group_slice(j)].reshape(n, -1, vector.d)
            own = np.linalg.solve(factor, np.swapaxes(u, 1, 2))
            z[vector.latent][:, vector.elements] = np.swapaxes(own, 1, 2)
            _set_factor(vector, factor, theta)
        for i, free in enumerate(self.likelihood.free):
            sigma = draws.parameters[:, i] / free.factor
            theta[free.scale.hyper][:, free.scale.element] = free.scale.theta(sigma)
        for k, elements in terms.untouched:
            z[k][:, elements] = rng.standard_normal((n, len(elements)))
        for i in range(n):
            yield Point(
                tuple(v[i].reshape(one.shape) for v, one in zip(z, parts.latents, strict=True)),
                tuple(v[i].reshape(one.shape) for v, one in zip(theta, parts.hypers, strict=True)),
            )


def _log_jacobian(block: VectorBlock, point: Point) -> float:
    """Log |dΣ/dθ| for θ the packed factor of Σ; or the sds, and the factor of the correlations."""
    factor, d = block.factor(point.theta), block.d
    powers = np.arange(d, 0, -1)
    if not block.scales:
        return d * math.log(2) + float((powers * np.log(np.diag(factor))).sum())
    sigma = np.array([scale.value(point.theta) for scale in block.scales])
    slopes = [float(scale.log_slope(s)) for scale, s in zip(block.scales, sigma, strict=True)]
    # of the correlations by the entries below the diagonal of their factor
    of_factor = float(((powers - 1) * np.log(np.diag(point.theta[block.hyper]))).sum())
    return d * math.log(2) + d * float(np.log(sigma).sum()) - sum(slopes) + of_factor


def _set_factor(block: VectorBlock, factor: FloatArray, theta: list[FloatArray]) -> None:
    d = block.d
    if not block.scales:
        rows, columns = np.tril_indices(d)
        theta[block.hyper][:] = factor[:, rows, columns]
        return
    sigma = np.sqrt((factor**2).sum(-1))
    theta[block.hyper][:] = (factor / sigma[:, :, None]).reshape(len(factor), -1)
    for a, scale in enumerate(block.scales):
        theta[scale.hyper][:, scale.element] = scale.theta(sigma[:, a])
