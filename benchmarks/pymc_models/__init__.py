"""Models as teaching material writes them, in plain PyMC, on simulated data of its size.

``SUPPORTED`` are hierarchical GLMs in many spellings; ``REFUSED`` are not, with the variable that
the error must name.
"""

from __future__ import annotations

from benchmarks.pymc_models import designs, intercepts, likelihoods, refusals, slopes

SUPPORTED = {
    make.__name__: make
    for module in (intercepts, slopes, designs, likelihoods)
    for make in module.MODELS
}
REFUSED = {make.__name__: (make, variable) for make, variable in refusals.MODELS}
