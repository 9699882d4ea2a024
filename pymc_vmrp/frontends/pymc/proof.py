"""The proof before trust: both descriptions have the same log density, up to one constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pymc as pm
from pymc.logprob.utils import ParameterValueError
from scipy.sparse import csr_array

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.errors import ModelError
from pymc_vmrp.frontends.pymc.graph import in_double, numeric, substitute
from pymc_vmrp.frontends.pymc.reading import Parts, Point
from pymc_vmrp.frontends.pymc.refusal import refuse
from pymc_vmrp.frontends.pymc.translate import Translation
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.log_joint import log_joint

_POINTS = 6
_TOLERANCE = 1e-8  # relative
_DRAWS, _AT_DRAWS, _AT_DRAWS_ABSOLUTE = 8, 1e-7, 1e-4
_NEAR = 0.6  # size of η's parts at the random points, so that no probability is 0 or 1


@dataclass(frozen=True)
class Constant:
    """What to add to the GLMM's log density to have PyMC's, and how well it is known."""

    value: float
    error: float


def prove(translation: Translation) -> Constant:
    """Compare both log densities at random points.

    Raises
    ------
    ModelError
        Where they differ by more than one constant: then the graph was not understood.
    """
    found = _differences(translation, _LogDensity(translation.parts))
    if found.broken or found.spread > _TOLERANCE:
        # PyMC's graphs as written lose digits in the tails of some distributions
        found = _differences(translation, _LogDensity(translation.parts, stable=True))
    if found.broken:
        raise _not_finite(translation.parts, found.broken)
    if not found.spread <= _TOLERANCE:
        raise refuse(
            translation.parts.observed.name,
            "belongs to a model that was not understood: the log density of what was found in its "
            f"graph differs from PyMC's by {found.spread:.2g} of it",
        )
    return Constant(found.mean, _TOLERANCE * found.size)


def prove_at_draws(translation: Translation, constant: Constant, draws: Draws) -> None:
    """Compare both log densities where the posterior is.

    A limit, a floor or an overflow guard far from ordinary values makes another model there.

    Parameters
    ----------
    translation : Translation
    constant : Constant
        What :func:`prove` returned.
    draws : Draws
        Of the GLMM's posterior, shape (draws, ...); some of them are looked at.

    Raises
    ------
    ModelError
        Where they differ.
    """
    chosen = np.linspace(0, len(draws) - 1, min(_DRAWS, len(draws))).astype(np.int64)
    points = list(translation.to_points(draws.take(chosen), np.random.default_rng(0)))
    worst = np.inf
    for stable in (False, True):
        original = _LogDensity(translation.parts, stable=stable)
        expected = np.array([original(point) for point in points])
        known = np.flatnonzero(np.isfinite(expected))
        if not len(known):
            continue
        errors = np.array([expected[i] - _of_glmm(translation, points[i]) for i in known])
        away = np.abs(errors - constant.value).max() - constant.error
        worst = min(worst, float(max(np.ptp(errors), away)))
        if worst <= _AT_DRAWS * np.abs(expected[known]).max() + _AT_DRAWS_ABSOLUTE:
            return
    raise refuse(
        translation.parts.observed.name,
        "belongs to a model that is another one where its posterior is: at draws of the fit its "
        f"log density differs from PyMC's by {worst:.2g}. A floor, a limit or a clipped value may "
        "be what was not seen",
    )


def _of_glmm(translation: Translation, point: Point) -> float:
    """The GLMM's log density at a point, and the Jacobian."""
    draws, log_jacobian = translation.to_glmm(point)
    own = log_joint(
        translation.assembled.glmm, draws.coefficients, draws.covariances,
        parameters=draws.parameters,
    )  # fmt: skip
    return float(own[0]) + log_jacobian


@dataclass(frozen=True)
class _Differences:
    """PyMC's log density less the GLMM's: the mean, and the spread relative to their size.

    ``broken`` is a variable whose log density in PyMC is not finite.
    """

    mean: float
    spread: float
    size: float
    broken: str | None = None


def _differences(translation: Translation, original: _LogDensity) -> _Differences:
    parts, rng = translation.parts, np.random.default_rng(20)
    differences, sizes = [], []
    for _ in range(_POINTS):
        point = Point(_random_z(translation, rng), parts.random_theta(rng))
        expected = original(point)
        if not np.isfinite(expected):
            return _Differences(np.nan, np.nan, np.nan, original.broken(point))
        differences.append(expected - _of_glmm(translation, point))
        sizes.append(abs(expected))
    size = max(1.0, *sizes)
    return _Differences(float(np.mean(differences)), float(np.ptp(differences)) / size, size)


def _not_finite(parts: Parts, broken: str) -> ModelError:
    reason = "has a log density in PyMC that is no finite number at an ordinary point"
    if broken == parts.observed.name:
        return refuse(broken, f"{reason}: look for values outside of the distribution's support")
    return refuse(
        broken, f"{reason} (of integer arguments it may overflow: write 50.0 in place of 50)"
    )


def _random_z(translation: Translation, rng: np.random.Generator) -> tuple[FloatArray, ...]:
    """Values for which η stays within a few units."""
    parts, terms = translation.parts, translation.terms
    size = [np.ones(latent.size) for latent in parts.latents]
    for part in terms.common:
        size[part.latent][part.elements] = _column_size(part.matrix) * part.scale
    for block in terms.blocks:
        for k in np.unique(block.latents):
            own = block.latents == k
            size[k][block.elements[own]] = _column_size(block.matrix)[own]
    count = np.sqrt(max(len(parts.latents), 1))
    return tuple(
        (_NEAR * rng.standard_normal(latent.size) / (count * np.maximum(s, 1.0))).reshape(
            latent.shape
        )
        for latent, s in zip(parts.latents, size, strict=True)
    )


def _column_size(matrix: csr_array) -> FloatArray:
    return np.asarray(abs(matrix).max(axis=0).toarray()).ravel()


class _LogDensity:
    """Log p(y, x, θ) + log |dx/dz| of the pm.Model, at a :class:`Point`."""

    def __init__(self, parts: Parts, *, stable: bool = False) -> None:
        free = parts.frozen.free_RVs
        values = {rv: rv.type() for rv in free}
        terms = []
        for rv, value in [*values.items(), (parts.observed, parts.data)]:
            others = {other: v for other, v in values.items() if other is not rv}
            # before PyMC folds single precision into constants
            (own,) = in_double(substitute([rv], others))
            terms.append(pm.logp(own, value).sum())
        potentials = [potential for _, potential in parts.potentials]
        terms += [own.sum() for own in in_double(substitute(potentials, values))]
        self._names = [v.name for v in [*free, parts.observed, *potentials]]
        self._terms = numeric(list(values.values()), terms, stable=stable)
        log_scales = [latent.log_scale for latent in parts.latents]
        self._values = numeric(parts.inputs, parts.in_inputs([*free, *log_scales]))
        self._free = len(free)

    def __call__(self, point: Point) -> float:
        terms, log_scales = self._evaluate(point)
        return float(sum(terms) + sum(log_scales))

    def broken(self, point: Point) -> str:
        """A variable whose log density is not finite."""
        terms, _ = self._evaluate(point)
        bad = (name for name, v in zip(self._names, terms, strict=True) if not np.isfinite(v))
        return next(bad, self._names[-1])

    def _evaluate(self, point: Point) -> tuple[list[FloatArray], list[FloatArray]]:
        with np.errstate(all="ignore"):
            found = self._values(*point.arguments)
            try:
                terms = self._terms(*found[: self._free])
            except ParameterValueError as error:
                reason = f"has parameters outside of their support at an ordinary point ({error})"
                raise refuse(None, reason) from error
            return terms, found[self._free :]
