"""Automatic differentiation variational inference, a diagonal Gaussian, by PyMC."""

from __future__ import annotations

from functools import partial

from pymc_vmrp.inference.method import Method
from pymc_vmrp.inference.pymc_variational import PymcFitOptions, pymc_fit

METHOD = Method("advi", PymcFitOptions, partial(pymc_fit, method="advi"))
