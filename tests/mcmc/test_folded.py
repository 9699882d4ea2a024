"""The coordinate of a standard deviation: an inverse, and a density that integrates to one."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
from scipy.integrate import quad

from pymc_vmrp.mcmc.folded import Folded


def test_backward_undoes_forward_on_both_sides():
    transform, sigma = Folded(0.3), np.array([1e-6, 0.1, 1.0, 50.0])
    psi = transform.forward(sigma).eval()
    np.testing.assert_allclose(transform.backward(psi).eval(), sigma)
    np.testing.assert_allclose(transform.backward(-psi).eval(), sigma)


@pytest.mark.parametrize("scale", [0.05, 0.4, 3.0])
def test_each_side_has_the_density_of_sigma(scale):
    with pm.Model() as model:
        pm.HalfStudentT("s", nu=3, sigma=1.5, default_transform=Folded(scale))
    log_p = model.compile_logp(mode="FAST_COMPILE")
    name = model.value_vars[0].name
    for side in (1, -1):
        mass, _ = quad(lambda x, side=side: np.exp(log_p({name: side * x})), 0, 15)
        assert mass == pytest.approx(1, abs=1e-6)
