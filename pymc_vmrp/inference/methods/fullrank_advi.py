"""ADVI with a Gaussian of full rank, by PyMC."""

from __future__ import annotations

from functools import partial

from pymc_vmrp.inference.method import Method
from pymc_vmrp.inference.pymc_variational import PymcFitOptions, pymc_fit

METHOD = Method("fullrank_advi", PymcFitOptions, partial(pymc_fit, method="fullrank_advi"))
