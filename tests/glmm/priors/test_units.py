from __future__ import annotations

import numpy as np
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.priors.covariance import covariance_log_density
from pymc_vmrp.glmm.priors.units import in_units

UNITS = np.array([0.5, 3.0])
OF_TWO = [
    vmrp.HuangWand(2, 5),
    vmrp.HuangWand(3, (1.0, 4.0)),
    vmrp.InverseWishart(4.5, [[1.0, 0.3], [0.3, 2.0]]),
    vmrp.LKJ(1.5, [vmrp.HalfNormal(2), vmrp.Exponential(0.5)]),
]
OF_ONE = [
    vmrp.HalfStudentT(3, 2),
    vmrp.HalfCauchy(0.7),
    vmrp.HalfNormal(1.5),
    vmrp.Exponential(1.5),
    vmrp.Uniform(9.0),
    vmrp.Uniform(9.0, on="variance"),
    vmrp.Gamma(2.0, 1.5),
    vmrp.Gamma(1.5, 0.5, on="variance"),
    vmrp.InverseGamma(2.0, 1.0),
    vmrp.InverseGamma(2.0, 1.0, on="sd"),
    vmrp.LogNormal(-0.7, 1.3),
]


@pytest.mark.parametrize("prior", OF_TWO, ids=str)
def test_densities_of_matrices_change_by_the_jacobian(prior):
    rng = np.random.default_rng(1)
    root = rng.normal(size=(20, 2, 2))
    covariance = root @ np.swapaxes(root, 1, 2)
    moved = covariance * np.outer(UNITS, UNITS)
    jacobian = 3 * np.log(UNITS).sum()  # |dDΣD/dΣ| = |D|^(d + 1)
    expected = covariance_log_density(prior, covariance) - jacobian
    np.testing.assert_allclose(covariance_log_density(in_units(prior, UNITS), moved), expected)


@pytest.mark.parametrize("prior", OF_ONE, ids=str)
def test_densities_of_sds_change_by_the_unit(prior):
    sigma = np.array([0.1, 0.5, 1.0, 2.5])
    moved = in_units(prior, np.array([3.0]))
    expected = prior.log_density_sigma(sigma) - np.log(3.0)
    np.testing.assert_allclose(moved.log_density_sigma(3.0 * sigma), expected)
