"""The log joint density, by scipy's distributions one by one."""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.special import expit

from pymc_vmrp.glmm.log_joint import log_joint
from pymc_vmrp.glmm.priors.covariance import covariance_log_density


def test_log_joint_adds_up_scipys_densities(survey, slopes_model):
    glmm = slopes_model.glmm
    rng = np.random.default_rng(3)
    theta = rng.normal(0, 0.5, (4, glmm.n_coefficients))
    slope_cov = np.array([[0.5, 0.1], [0.1, 0.3]])
    covariances = [np.tile(slope_cov, (4, 1, 1)), np.full((4, 1, 1), 0.4)]
    actual = log_joint(glmm, theta, covariances)

    # the likelihood row by row, from the data frame itself
    states, ages = sorted(survey["state"].unique()), sorted(survey["age"].unique())
    x, male = survey["x"].to_numpy(), survey["male"].to_numpy()
    for s in range(4):
        b, u = theta[s, :3], theta[s, 3:15].reshape(6, 2)
        v = theta[s, 15:]
        g = survey["state"].map(states.index).to_numpy()
        eta = (
            b[0]
            + b[1] * (x - x.mean())
            + b[2] * (male - male.mean())
            + u[g, 0]
            + u[g, 1] * (x - x.mean()) / x.std()  # in sds from the centre
            + v[survey["age"].map(ages.index).to_numpy()]
        )
        expected = stats.bernoulli.logpmf(survey["y"], expit(eta)).sum()
        sds = [2.5, 2.5 / x.std(), 2.5 / male.std()]
        expected += stats.norm.logpdf(b, 0, sds).sum()
        expected += stats.multivariate_normal.logpdf(u, [0, 0], slope_cov).sum()
        expected += stats.norm.logpdf(v, 0, np.sqrt(0.4)).sum()
        for group, sigma in zip(glmm.groups, covariances, strict=True):
            expected += covariance_log_density(group.prior, sigma[:1])[0]
        np.testing.assert_allclose(actual[s], expected, rtol=1e-10)
