"""Fast, trustworthy variational inference for hierarchical regression and MRP."""

import importlib
from typing import TYPE_CHECKING, Any

from pymc_vmrp.errors import (
    ConvergenceWarning,
    DataError,
    FormulaError,
    ModelError,
    PriorError,
    PriorWarning,
    SamplingWarning,
    VmrpError,
)
from pymc_vmrp.glmm.priors.covariance import (
    Flat,
    HuangWand,
    InverseWishart,
    Normal,
)
from pymc_vmrp.glmm.priors.horseshoe import Horseshoe
from pymc_vmrp.glmm.priors.lkj import LKJ
from pymc_vmrp.glmm.priors.mixtures import Cauchy, Laplace, StudentT
from pymc_vmrp.glmm.priors.scales import (
    Exponential,
    Gamma,
    HalfCauchy,
    HalfNormal,
    HalfStudentT,
    InverseGamma,
    LogNormal,
    Uniform,
)
from pymc_vmrp.model import Model

if TYPE_CHECKING:
    from pymc_vmrp.calibration.calibrate import calibrate
    from pymc_vmrp.calibration.result import Calibration
    from pymc_vmrp.diagnostics.diagnose import Diagnosis, diagnose
    from pymc_vmrp.fitting import fit
    from pymc_vmrp.inference.method import Method
    from pymc_vmrp.inference.methods import METHODS
    from pymc_vmrp.interpret.before import groups
    from pymc_vmrp.interpret.components import ComponentEffects
    from pymc_vmrp.interpret.conjoint import amce
    from pymc_vmrp.interpret.estimate import effects
    from pymc_vmrp.interpret.interpret import comparisons, predictions, slopes
    from pymc_vmrp.interpret.plots.distribution import plot_effect_distribution
    from pymc_vmrp.interpret.plots.dots import plot_effects
    from pymc_vmrp.interpret.plots.grid import plot_effect_grid
    from pymc_vmrp.interpret.plots.moderators import plot_effect_moderators
    from pymc_vmrp.interpret.plots.slope import plot_effect_slope
    from pymc_vmrp.interpret.result import Effects
    from pymc_vmrp.mrp.poststratify import poststratify
    from pymc_vmrp.plots import plot_compare
    from pymc_vmrp.prediction.curves import smooth_effects
    from pymc_vmrp.prediction.predict import predict
    from pymc_vmrp.prediction.prior import prior_predictive
    from pymc_vmrp.results.importance import resample
    from pymc_vmrp.selection.result import Selection
    from pymc_vmrp.selection.select import select
    from pymc_vmrp.simulation import Simulation, simulate
    from pymc_vmrp.summaries.checks import ppc_by_group
    from pymc_vmrp.summaries.compare import compare
    from pymc_vmrp.summaries.summary import coef, fixef, icc, ranef, summary, varcorr

__all__ = [
    "LKJ",
    "METHODS",
    "Calibration",
    "Cauchy",
    "ComponentEffects",
    "ConvergenceWarning",
    "DataError",
    "Diagnosis",
    "Effects",
    "Exponential",
    "Flat",
    "FormulaError",
    "Gamma",
    "HalfCauchy",
    "HalfNormal",
    "HalfStudentT",
    "Horseshoe",
    "HuangWand",
    "InverseGamma",
    "InverseWishart",
    "Laplace",
    "LogNormal",
    "Method",
    "Model",
    "ModelError",
    "Normal",
    "PriorError",
    "PriorWarning",
    "SamplingWarning",
    "Selection",
    "Simulation",
    "StudentT",
    "Uniform",
    "VmrpError",
    "amce",
    "calibrate",
    "coef",
    "compare",
    "comparisons",
    "diagnose",
    "effects",
    "fit",
    "fixef",
    "groups",
    "icc",
    "plot_compare",
    "plot_effect_distribution",
    "plot_effect_grid",
    "plot_effect_moderators",
    "plot_effect_slope",
    "plot_effects",
    "poststratify",
    "ppc_by_group",
    "predict",
    "predictions",
    "prior_predictive",
    "ranef",
    "resample",
    "select",
    "simulate",
    "slopes",
    "smooth_effects",
    "summary",
    "varcorr",
]

# Imported when first used, so that importing the package stays quick.
_LAZY = {
    "Calibration": "pymc_vmrp.calibration.result",
    "METHODS": "pymc_vmrp.inference.methods",
    "ComponentEffects": "pymc_vmrp.interpret.components",
    "Method": "pymc_vmrp.inference.method",
    "Diagnosis": "pymc_vmrp.diagnostics.diagnose",
    "Selection": "pymc_vmrp.selection.result",
    "Simulation": "pymc_vmrp.simulation",
    "amce": "pymc_vmrp.interpret.conjoint",
    "calibrate": "pymc_vmrp.calibration.calibrate",
    "coef": "pymc_vmrp.summaries.summary",
    "compare": "pymc_vmrp.summaries.compare",
    "comparisons": "pymc_vmrp.interpret.interpret",
    "Effects": "pymc_vmrp.interpret.result",
    "effects": "pymc_vmrp.interpret.estimate",
    "predictions": "pymc_vmrp.interpret.interpret",
    "slopes": "pymc_vmrp.interpret.interpret",
    "diagnose": "pymc_vmrp.diagnostics.diagnose",
    "fit": "pymc_vmrp.fitting",
    "fixef": "pymc_vmrp.summaries.summary",
    "groups": "pymc_vmrp.interpret.before",
    "icc": "pymc_vmrp.summaries.summary",
    "plot_compare": "pymc_vmrp.plots",
    "plot_effect_distribution": "pymc_vmrp.interpret.plots.distribution",
    "plot_effect_grid": "pymc_vmrp.interpret.plots.grid",
    "plot_effect_moderators": "pymc_vmrp.interpret.plots.moderators",
    "plot_effect_slope": "pymc_vmrp.interpret.plots.slope",
    "plot_effects": "pymc_vmrp.interpret.plots.dots",
    "poststratify": "pymc_vmrp.mrp.poststratify",
    "predict": "pymc_vmrp.prediction.predict",
    "prior_predictive": "pymc_vmrp.prediction.prior",
    "ppc_by_group": "pymc_vmrp.summaries.checks",
    "ranef": "pymc_vmrp.summaries.summary",
    "resample": "pymc_vmrp.results.importance",
    "select": "pymc_vmrp.selection.select",
    "simulate": "pymc_vmrp.simulation",
    "smooth_effects": "pymc_vmrp.prediction.curves",
    "summary": "pymc_vmrp.summaries.summary",
    "varcorr": "pymc_vmrp.summaries.summary",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
