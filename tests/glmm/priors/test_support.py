"""Which priors are refused, by whom they could be honoured, and what to use instead."""

from __future__ import annotations

import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.priors.support import check_covariance_prior, refuse_unknown


def test_a_prior_on_one_sd_does_not_serve_correlated_effects():
    with pytest.raises(vmrp.PriorError) as caught:
        check_covariance_prior(vmrp.HalfNormal(1), 2, "1+x|g")
    message = str(caught.value)
    for part in ("'1+x|g'", "HalfNormal", "2 correlated", "LKJ(1, sd=HalfNormal(...))", "||"):
        assert part in message
    check_covariance_prior(vmrp.HalfNormal(1), 1, "1|g")


@pytest.mark.parametrize(
    "prior",
    [
        vmrp.HuangWand(A=[1, 2, 3]),
        vmrp.InverseWishart(3, [[1, 0.0], [0, 1]]),
        vmrp.LKJ(1, [vmrp.HalfNormal(1)] * 2),
    ],
)
def test_arguments_of_the_wrong_length(prior):
    with pytest.raises(vmrp.PriorError):
        check_covariance_prior(prior, 4, "1+x|g")


@pytest.mark.parametrize(
    ("name", "remedy"), [("LKJ", "vmrp.LKJ"), ("TruncatedNormal", "bounds"), ("Weibull", "A, B")]
)
def test_unknown_names_say_who_can_and_what_else_there_is(name, remedy):
    with pytest.raises(vmrp.PriorError) as caught:
        refuse_unknown(name, "x", "a common term", ("A", "B"))
    message = str(caught.value)
    for part in ("'x'", name, "Neither coordinate", "PyMC or Bambi, sampled by NUTS, can", remedy):
        assert part in message
