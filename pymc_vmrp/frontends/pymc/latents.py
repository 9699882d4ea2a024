"""Gaussian variables in one form: x = location + scale·z with independent standard normal z.

Centred, non-centred and hierarchical priors become the same thing in z: u ~ N(μ, σ), μ + σz, and
u_j ~ N(x_j'γ, σ). ``location`` and ``scale`` may depend on other variables of the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.continuous import FlatRV
from pymc.distributions.multivariate import ZeroSumNormalRV
from pymc.distributions.timeseries import RandomWalkRV
from pytensor.tensor.random.basic import CauchyRV, LaplaceRV, MvNormalRV, NormalRV, StudentTRV
from scipy.linalg import helmert

from pymc_vmrp.frontends.pymc.graph import named_input


@dataclass(frozen=True)
class Latent:
    """A variable of a Gaussian prior, or of one that is a scale mixture of Gaussians.

    Attributes
    ----------
    name : str
    rv : TensorVariable
        The variable in the frozen model.
    z : TensorVariable
        Its standard form; an input of every graph.
    shape : tuple of int
        Of ``z``.
    expression : TensorVariable
        The variable in terms of ``z`` and other variables of the model.
    standard : TensorVariable
        ``z`` in terms of the variable and others of the model.
    log_scale : TensorVariable
        Log of the absolute value of the determinant of dx/dz.
    kind : {"normal", "flat", "mixture", "multivariate"}
        "multivariate" for vectors along the last axis that share a covariance matrix.
    location, scale : TensorVariable or None
        μ and σ, of shape that broadcasts against x; None where x is not elementwise in z.
    arguments : dict
        Of a mixture: PyMC's name of the distribution, and its parameters.
    element : str
        What an element of z is, where it is not one of the variable less its mean.
    """

    name: str
    rv: Any
    z: Any
    shape: tuple[int, ...]
    expression: Any
    standard: Any
    log_scale: Any
    kind: str = "normal"
    location: Any = None
    scale: Any = None
    arguments: dict[str, Any] = field(default_factory=dict)
    element: str = ""

    @property
    def size(self) -> int:
        """Number of elements of z."""
        return int(np.prod(self.shape))


def as_latent(rv: Any, shape: tuple[int, ...]) -> Latent | None:
    """The variable in its standard form; None where its prior is none of those known here.

    Parameters
    ----------
    rv : TensorVariable
        A free variable of a frozen pm.Model.
    shape : tuple of int
        Its shape.
    """
    make = GAUSSIAN_FORMS.get(type(rv.owner.op))
    return None if make is None else make(rv, shape)


def _standard(name: str, shape: tuple[int, ...]) -> Any:
    return named_input(f"{name}__z", shape)


def _elementwise(rv: Any, shape: tuple[int, ...], location: Any, scale: Any, **more: Any) -> Latent:
    z = _standard(rv.name, shape)
    scale = pt.cast(scale, "float64")
    log_scale = pt.log(pt.broadcast_to(scale, shape)).sum()
    expression = location + scale * z
    standard = (rv - location) / scale
    return Latent(
        rv.name, rv, z, shape, expression, standard, log_scale,
        location=location, scale=scale, **more,
    )  # fmt: skip


def _normal(rv: Any, shape: tuple[int, ...]) -> Latent:
    location, scale = rv.owner.op.dist_params(rv.owner)
    return _elementwise(rv, shape, location, scale)


def _flat(rv: Any, shape: tuple[int, ...]) -> Latent:
    return _elementwise(rv, shape, pt.constant(0.0), pt.constant(1.0), kind="flat")


def _mixture(rv: Any, shape: tuple[int, ...]) -> Latent:
    """Its location and its scale are PyMC's last two parameters."""
    distribution, names = _MIXTURES[type(rv.owner.op)]
    parameters = rv.owner.op.dist_params(rv.owner)
    arguments = {"distribution": distribution, **dict(zip(names, parameters, strict=True))}
    return _elementwise(rv, shape, *parameters[-2:], kind="mixture", arguments=arguments)


def _multivariate(rv: Any, shape: tuple[int, ...]) -> Latent:
    location, covariance = rv.owner.op.dist_params(rv.owner)
    z = _standard(rv.name, shape)
    # PyMC's covariance of chol= is a product of it: its factor is chol again
    chol = pt.linalg.cholesky(pt.cast(covariance, "float64"))
    expression = location + (chol * z[..., None, :]).sum(-1)
    diagonal = pt.diagonal(chol, axis1=-2, axis2=-1)
    log_scale = pt.log(pt.broadcast_to(diagonal, shape)).sum()
    centred = pt.broadcast_to(rv - location, shape)
    standard = pt.linalg.solve_triangular(
        pt.broadcast_to(chol, (*shape, shape[-1])), centred, lower=True, b_ndim=1
    )
    return Latent(
        rv.name, rv, z, shape, expression, standard, log_scale,
        kind="multivariate", element="whitened",
    )  # fmt: skip


def _zero_sum(rv: Any, shape: tuple[int, ...]) -> Latent:
    """σ Qz with orthonormal (Helmert) contrasts Q along each axis that sums to zero."""
    sigma = rv.owner.inputs[2]
    axes = rv.owner.op.ndim_supp
    inner = (*shape[: len(shape) - axes], *(n - 1 for n in shape[len(shape) - axes :]))
    z = _standard(rv.name, inner)
    sigma = pt.cast(sigma, "float64")
    x, standard = z, rv / sigma
    for axis in range(-axes, 0):
        contrasts = pt.constant(helmert(shape[axis]).T)
        x = pt.moveaxis(pt.dot(pt.moveaxis(x, axis, -1), contrasts.T), -1, axis)
        standard = pt.moveaxis(pt.dot(pt.moveaxis(standard, axis, -1), contrasts), -1, axis)
    log_scale = pt.log(pt.broadcast_to(sigma, inner)).sum()
    return Latent(rv.name, rv, z, inner, sigma * x, standard, log_scale, element="contrast")


def _random_walk(rv: Any, shape: tuple[int, ...]) -> Latent | None:
    """Cumulated independent steps; of Gaussian ones only."""
    first, steps = rv.owner.inputs[:2]
    if not all(isinstance(part.owner.op, NormalRV) for part in (first, steps)):
        return None
    z = _standard(rv.name, shape)
    parts, logs, back = [], [], []
    taken = rv[..., :1], rv[..., 1:] - rv[..., :-1]
    own_steps = (first, z[..., :1], taken[0], 1), (steps, z[..., 1:], taken[1], shape[-1] - 1)
    for part, own, step, n in own_steps:
        location, scale = part.owner.op.dist_params(part.owner)
        # the steps come first in the inner variables, and last in the walk
        step_shape = (n, *shape[:-1])
        location, scale = (
            pt.moveaxis(pt.broadcast_to(pt.cast(p, "float64"), step_shape), 0, -1)
            for p in (location, scale)
        )
        parts.append(location + scale * own)
        back.append((step - location) / scale)
        logs.append(pt.log(scale).sum())
    expression = pt.cumsum(pt.concatenate(parts, axis=-1), axis=-1)
    standard = pt.concatenate(back, axis=-1)
    return Latent(
        rv.name, rv, z, shape, expression, standard, logs[0] + logs[1], element="step"
    )  # fmt: skip


_MIXTURES = {
    StudentTRV: ("StudentT", ("nu", "mu", "sigma")),
    CauchyRV: ("Cauchy", ("alpha", "beta")),
    LaplaceRV: ("Laplace", ("mu", "b")),
}
GAUSSIAN_FORMS: dict[type, Callable[[Any, tuple[int, ...]], Latent | None]] = {
    NormalRV: _normal,
    FlatRV: _flat,
    **dict.fromkeys(_MIXTURES, _mixture),
    MvNormalRV: _multivariate,
    ZeroSumNormalRV: _zero_sum,
    RandomWalkRV: _random_walk,
}
