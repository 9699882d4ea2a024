"""Gaussian variables sorted into common effects, blocks of equal σ, and blocks of vectors.

Each element of z has a column of the design and a scale: a constant makes it a common effect, a
hyperparameter's σ a level of the block of all elements with that σ, wherever they come from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import csr_array, hstack

from pymc_vmrp.arrays import BoolArray, FloatArray, IntArray
from pymc_vmrp.frontends.pymc.graph import depends_on, evaluate, multipliers
from pymc_vmrp.frontends.pymc.latents import Latent
from pymc_vmrp.frontends.pymc.predictor import OfLatent, Predictor
from pymc_vmrp.frontends.pymc.probe import Columns
from pymc_vmrp.frontends.pymc.reading import Parts, Theta
from pymc_vmrp.frontends.pymc.refusal import refuse
from pymc_vmrp.frontends.pymc.scales import Scale, Trials, prior_of, prior_of_element, recognise
from pymc_vmrp.glmm.priors.lkj import LKJ
from pymc_vmrp.glmm.priors.scales import ScalePrior


@dataclass(frozen=True)
class CommonPart:
    """Elements of one variable with known scales: β = location + scale·z, or z itself.

    Attributes
    ----------
    latent : int
    elements : ndarray of int, shape (k,)
    matrix : csr_array, shape (N, k)
        Columns per unit of β.
    location, scale : ndarray, shape (k,)
    """

    latent: int
    elements: IntArray
    matrix: csr_array
    location: FloatArray
    scale: FloatArray


@dataclass(frozen=True)
class ScaleBlock:
    """All elements whose standard deviation is the same σ: u = σz.

    Attributes
    ----------
    scale : Scale
    latents, elements : ndarray of int, shape (L,)
        Where each level comes from.
    matrix : csr_array, shape (N, L)
        Columns per unit of u.
    """

    scale: Scale
    latents: IntArray
    elements: IntArray
    matrix: csr_array


@dataclass(frozen=True)
class VectorBlock:
    """Levels of d effects with one covariance matrix: u_g = Cz_g, C lower triangular.

    Attributes
    ----------
    latent, hyper : int
        The variable, and PyMC's LKJ variable behind its covariance matrix.
    elements : ndarray of int, shape (L, d)
        Which elements of z each level has.
    matrix : csr_array, shape (N, L·d)
        Columns per unit of u, level by level.
    prior : LKJ
    scales : tuple of Scale
        The σ of each effect where they are hyperparameters of their own; else empty.
    """

    latent: int
    hyper: int
    elements: IntArray
    matrix: csr_array
    prior: LKJ
    scales: tuple[Scale, ...] = ()

    @property
    def d(self) -> int:
        """Number of effects."""
        return int(self.elements.shape[1])

    def factor(self, theta: Theta) -> FloatArray:
        """C, shape (d, d)."""
        own = theta[self.hyper]
        if not self.scales:
            return unpack(own, self.d)
        return np.array([scale.value(theta) for scale in self.scales])[:, None] * own


@dataclass(frozen=True)
class Terms:
    """Every element of every latent, sorted.

    Attributes
    ----------
    offset : ndarray, shape (N,)
        η at z = 0, less what the locations of the common parts account for.
    common : tuple of CommonPart
    blocks : tuple of ScaleBlock
    vectors : tuple of VectorBlock
    untouched : tuple of (int, ndarray of int)
        Latents, and those of their elements that no row touches.
    """

    offset: FloatArray
    common: tuple[CommonPart, ...]
    blocks: tuple[ScaleBlock, ...]
    vectors: tuple[VectorBlock, ...]
    untouched: tuple[tuple[int, IntArray], ...] = field(default=())


def unpack(packed: FloatArray, d: int) -> FloatArray:
    """The lower triangle whose rows are laid out one after the other, shape (d, d)."""
    out = np.zeros((d, d))
    out[np.tril_indices(d)] = packed
    return out


def find_terms(parts: Parts, predictor: Predictor, trials: Trials) -> Terms:
    """Sort the elements of all latents.

    Raises
    ------
    ModelError
        Where a scale is none of those that can be handled; it names the variables.
    """
    rng = np.random.default_rng(0)
    offset = predictor.offset.copy()
    common, vectors, untouched = [], [], []
    gathered: dict[Scale, list[tuple[int, IntArray, csr_array]]] = {}
    for j, latent in enumerate(parts.latents):
        if not latent.size:
            continue
        function = OfLatent(parts, predictor.evaluate, predictor.offset, j)
        columns = function.columns(rng)
        if columns is None:
            raise refuse(latent.name, "has too many elements in each row of the linear predictor")
        _check_untouched(latent, columns.touched)
        beside = multipliers(latent.z, predictor.node)
        relevant = [h for h, hyper in enumerate(parts.hypers) if hyper.value in beside]
        tied = [h for h in relevant if parts.hypers[h].kind != "scalars"]
        tied = [h for h in tied if _changes_with(function, h, trials, rng)]
        if tied:
            vectors.append(_vector_block(parts, trials, function, columns, tied, rng))
            continue  # elements that no row touches stay with those that share their level
        if not columns.touched.all():
            untouched.append((j, np.flatnonzero(~columns.touched)))
        scales = function.scales(columns)
        rounding = 1e-16 * float(np.abs(predictor.offset).max(initial=0.0))
        found = recognise(parts, trials, latent.name, "a scale", scales, relevant, rounding)
        constant = np.array([scale is None for scale in found]) & columns.touched
        if constant.any():
            part = _common_part(parts, j, columns, np.flatnonzero(constant))
            offset -= part.matrix @ part.location
            common.append(part)
        for scale in sorted({s for s in found if s is not None}):
            if latent.kind in ("mixture", "flat"):
                raise refuse(latent.name, "has a prior of unknown scale that is not Gaussian")
            own = np.flatnonzero([s == scale for s in found])
            matrix = columns.matrix[:, own] / scale.value(trials.base)
            gathered.setdefault(scale, []).append((j, own, matrix))
    _check_once(parts, gathered, vectors)
    blocks = [_block(scale, pieces) for scale, pieces in gathered.items()]
    largest = np.abs(offset).max(initial=0.0)
    offset[np.abs(offset) < 1e-12 * max(largest, 1.0)] = 0.0
    return Terms(offset, tuple(common), tuple(blocks), tuple(vectors), tuple(untouched))


def _changes_with(function: OfLatent, h: int, trials: Trials, rng: np.random.Generator) -> bool:
    """Whether η depends on a hyperparameter by this latent."""
    z = rng.standard_normal(function.parts.latents[function.latent].size)
    other = list(trials.base)
    other[h] = function.parts.random_theta(rng)[h]
    here, there = function(z, trials.base), function(z, tuple(other))
    return not np.allclose(here, there, rtol=1e-9, atol=1e-9 * np.abs(here).max(initial=0.0))


def _check_untouched(latent: Latent, touched: BoolArray) -> None:
    kind = {"flat": "flat", "mixture": "not Gaussian"}.get(latent.kind)
    if kind is not None and not touched.all():
        raise refuse(latent.name, f"is {kind}, and no row depends on some of its elements")


def _common_part(parts: Parts, j: int, columns: Columns, own: IntArray) -> CommonPart:
    latent = parts.latents[j]
    matrix = columns.matrix[:, own]
    arguments = [latent.location, latent.scale]
    if latent.location is None or depends_on(arguments, parts.free):
        return CommonPart(j, own, matrix, np.zeros(len(own)), np.ones(len(own)))
    location, scale = (
        np.broadcast_to(np.asarray(v, dtype=float), latent.shape).ravel()[own]
        for v in evaluate(arguments)
    )
    return CommonPart(j, own, csr_array(matrix.multiply(1 / scale)), location, scale)


def _block(scale: Scale, pieces: list[tuple[int, IntArray, csr_array]]) -> ScaleBlock:
    latents = np.concatenate([np.full(len(own), j) for j, own, _ in pieces])
    elements = np.concatenate([own for _, own, _ in pieces])
    matrix = csr_array(hstack([m for *_, m in pieces], format="csr"))
    return ScaleBlock(scale, latents, elements, matrix)


def _check_once(parts: Parts, gathered: dict[Scale, Any], vectors: list[VectorBlock]) -> None:
    """No hyperparameter may be the scale of two blocks in two ways."""
    used: set[tuple[int, int]] = set()
    every = [*gathered, *(scale for block in vectors for scale in block.scales)]
    for key in [(s.hyper, s.element) for s in every] + [(v.hyper, 0) for v in vectors]:
        if key in used:
            name = parts.hypers[key[0]].name
            raise refuse(name, "scales several Gaussian variables, and not all in the same way")
        used.add(key)


def _vector_block(
    parts: Parts,
    trials: Trials,
    function: OfLatent,
    columns: Columns,
    tied: list[int],
    rng: np.random.Generator,
) -> VectorBlock:
    latent = parts.latents[function.latent]
    if len(tied) > 1:
        names = ", ".join(repr(parts.hypers[h].name) for h in tied)
        raise refuse(latent.name, f"has a covariance matrix that depends on {names}")
    h = tied[0]
    hyper = parts.hypers[h]
    d = _dimension(parts, h)
    found = recognise(parts, trials, latent.name, "a scale", function.scales(columns))
    numbers = np.arange(latent.size).reshape(latent.shape)
    candidates = []
    if latent.shape[-1] == d:
        candidates.append(numbers.reshape(-1, d))
    if latent.shape[0] == d and latent.kind == "normal":
        candidates.append(numbers.reshape(d, -1).T)
    for elements in candidates:
        scales: tuple[Scale, ...] = ()
        divisor = np.ones(d)
        if hyper.kind == "correlation factor":
            own = [{found[e] for e in column if columns.touched[e]} for column in elements.T]
            if any(len(s) != 1 or None in s for s in own):
                continue
            scales = tuple(next(iter(s)) for s in own)  # type: ignore[misc]
            divisor = np.array([scale.value(trials.base) for scale in scales])
        elif any(s is not None for s in found):
            continue
        order = elements.ravel()
        matrix = csr_array(
            columns.matrix[:, order].multiply(np.tile(1 / divisor, len(elements)))
        )  # fmt: skip
        prior = _lkj(parts, h, scales)
        block = VectorBlock(function.latent, h, elements, matrix, prior, scales)
        if _reproduces(parts, function, block, rng):
            return block
    raise refuse(
        latent.name,
        f"depends on the covariance matrix of {hyper.name!r} in a way that is not chol·z of each "
        "level",
    )


def _dimension(parts: Parts, h: int) -> int:
    hyper = parts.hypers[h]
    if hyper.kind == "correlation factor":
        return hyper.shape[-1]
    return round((np.sqrt(8 * hyper.size + 1) - 1) / 2)


def _lkj(parts: Parts, h: int, scales: tuple[Scale, ...]) -> LKJ:
    hyper = parts.hypers[h]
    inputs = hyper.rv.owner.inputs
    if hyper.kind == "correlation factor":
        (eta,) = evaluate([inputs[-1]])
        return LKJ(float(eta), tuple(prior_of(parts, scale) for scale in scales))
    _rng, _n, eta, sd = inputs
    d = _dimension(parts, h)
    (value,) = evaluate([eta])
    if depends_on([eta, sd], parts.free):
        raise refuse(hyper.name, "has a prior that depends on other variables")
    priors: list[ScalePrior] = [prior_of_element(sd, (d,), k, hyper.name) for k in range(d)]
    return LKJ(float(value), tuple(priors))


def _reproduces(
    parts: Parts, function: OfLatent, block: VectorBlock, rng: np.random.Generator
) -> bool:
    """Whether η is that of u = Cz at random hyperparameters."""
    for _ in range(2):
        theta = parts.random_theta(rng)
        z = rng.standard_normal(parts.latents[block.latent].size)
        u = z[block.elements] @ block.factor(theta).T
        expected = function(z, theta)
        size = np.abs(expected).max(initial=0.0)
        if not np.allclose(block.matrix @ u.ravel(), expected, rtol=1e-8, atol=1e-8 * size):
            return False
    return True
