"""Names, dimensions and coordinates."""

from __future__ import annotations

import numpy as np

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.variables import (
    coefficients_from_variables,
    coords,
    covariances_from_variables,
    posterior_variables,
    repeated_name,
)


def test_naming_and_unnaming_are_inverse(survey):
    glmm = vmrp.Model("y ~ x + age + (1 + age + x|state) + (x||educ)", survey).glmm
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(3, glmm.n_coefficients))
    covariances = []
    for group in glmm.groups:
        root = rng.normal(size=(3, group.d, group.d))
        covariances.append(root @ np.swapaxes(root, 1, 2))
    variables = posterior_variables(glmm, theta, tuple(covariances), np.empty((3, 0)))
    named = {k: v for k, (_, v) in variables.items()}
    back = coefficients_from_variables(glmm, named, centred_common=False)
    np.testing.assert_allclose(back, theta)
    for a, b in zip(covariances_from_variables(glmm, named), covariances, strict=True):
        np.testing.assert_allclose(a, b)


def test_coords_cover_the_dims(slopes_model):
    glmm = slopes_model.glmm
    covariances = tuple(np.eye(g.d)[None] for g in glmm.groups)
    named = posterior_variables(
        glmm, np.zeros((1, glmm.n_coefficients)), covariances, np.empty((1, 0))
    )
    sizes = {name: len(values) for name, values in coords(glmm).items()}
    for dims, value in named.values():
        assert value.shape[1:] == tuple(sizes[dim] for dim in dims)
    assert repeated_name(glmm) is None
