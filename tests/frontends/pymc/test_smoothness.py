"""Differences in place of derivatives, and kinks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pymc_vmrp.frontends.pymc.smoothness import best_step, differences, has_kinks


@pytest.mark.parametrize("scale", [0.05, 1.0, 40.0])
def test_differences_are_the_derivatives(scale):
    eta = np.linspace(-2, 2, 9) * scale

    def density(at):
        return stats.t(5, scale=scale).logpdf(at)

    step = best_step(density, eta)
    assert step is not None
    slope, curvature = differences(density, eta, step)
    z = eta / scale
    expected = -6 * z / (5 + z**2) / scale, 6 * (z**2 - 5) / (5 + z**2) ** 2 / scale**2
    np.testing.assert_allclose(slope, expected[0], atol=1e-6 / scale)
    np.testing.assert_allclose(curvature, expected[1], atol=2e-5 / scale**2)


def test_no_step_will_do_across_a_kink():
    assert best_step(lambda at: -np.abs(at), np.zeros(3)) is None


def _student(eta):
    z = (eta - 0.3) / 0.02
    slope, curvature = -5 * z / (4 + z**2) / 0.02, 5 * (z**2 - 4) / (4 + z**2) ** 2 / 4e-4
    return -2.5 * np.log1p(z**2 / 4), slope, curvature


def _laplace(eta):
    return -np.abs(eta - 0.3), -np.sign(eta - 0.3), np.zeros(len(eta))


def _huber(eta):
    inside = np.abs(eta) < 1
    level = np.where(inside, -0.5 * eta**2, 0.5 - np.abs(eta))
    return level, -np.clip(eta, -1, 1), -inside.astype(float)


def _broken_far_out(eta):
    noise = np.where(np.abs(eta) > 11, 1e6 * np.sin(1e5 * eta), 0)
    return -0.5 * eta**2, -eta, -1 + noise


CASES = {_student: False, _huber: False, _laplace: True, _broken_far_out: False}


@pytest.mark.parametrize(("case", "kinked"), CASES.items())
def test_kinks_are_told_from_narrow_peaks_and_corners_of_the_slope(case, kinked):
    found = has_kinks(
        lambda eta: case(eta)[0][None],
        lambda eta: (case(eta)[1][None], case(eta)[2][None]),
        -12.0,
        12.0,
    )
    assert found is kinked
