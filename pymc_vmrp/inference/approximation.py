"""From options to a variational posterior, with warnings where it fell short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pymc_vmrp.arguments import check_choice, check_count, check_positive, names_of
from pymc_vmrp.cavi.accelerate import ACCELERATORS
from pymc_vmrp.cavi.expand import EXPANSIONS
from pymc_vmrp.cavi.nodes import BOUNDS
from pymc_vmrp.cavi.run import Options, run
from pymc_vmrp.errors import ConvergenceWarning, VmrpError, warn
from pymc_vmrp.glmm.priors.improper import ImproperInverseWishart
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.integration.integrate import MOST_DISAGREEMENT, MOST_MISSED, START_TOL, integrate
from pymc_vmrp.interrupts import interruptible
from pymc_vmrp.progress import sweep_progress
from pymc_vmrp.results.mixture import MixturePosterior
from pymc_vmrp.results.posterior import VariationalPosterior
from pymc_vmrp.solvers.choose import SOLVERS, choose_solver
from pymc_vmrp.solvers.factorize import FACTORIZATIONS

HYPERPARAMETERS = ("auto", "mean_field", "integrated")

# of "auto": what some 400 fits at fixed hyperparameters may take, about ten seconds
_MOST_OPERATIONS = 2.5e7  # multiplications of one of them
_OPERATIONS_A_NODE, _NODES = 20, 40  # of a likelihood without expectations in closed form
_MOST_COORDINATES = 20  # of the hyperparameters
_LARGEST_TOL = 1.0  # a change of one sd a sweep is no convergence
_LARGEST_THETA_ESS = 1e5  # each draw of θ is a fit at least


@dataclass(frozen=True)
class CaviOptions:
    """Options of coordinate ascent; see :meth:`pymc_vmrp.Model.approximate`.

    Raises
    ------
    VmrpError
        Where one is none of the values that it may have.
    """

    bound: str = "quadrature"
    tol: float = 1e-4
    max_iter: int = 500
    solver: str = "auto"
    accelerate: str = "anderson"
    expansion: str = "translation"
    hyperparameters: str = "auto"
    theta_ess: float = 200.0
    factorization: str = "joint"
    kept: Sequence[str] | None = None

    def __post_init__(self) -> None:
        """Check what needs no model to be checked."""
        check_choice("bound", self.bound, BOUNDS)
        check_choice("solver", self.solver, SOLVERS)
        check_choice("accelerate", self.accelerate, ACCELERATORS)
        check_choice("expansion", self.expansion, EXPANSIONS)
        check_choice("factorization", self.factorization, FACTORIZATIONS)
        check_choice("hyperparameters", self.hyperparameters, HYPERPARAMETERS)
        check_positive("tol", self.tol, _LARGEST_TOL)
        check_count("max_iter", self.max_iter)
        check_positive("theta_ess", self.theta_ess, _LARGEST_THETA_ESS)
        names_of("kept", self.kept, "a sequence of names of terms")

    @property
    def of_run(self) -> Options:
        """Those of one run of coordinate ascent."""
        return Options(**{name: getattr(self, name) for name in Options.__dataclass_fields__})


def check_options(glmm: GLMM, options: CaviOptions) -> None:
    """Refuse what does not go with the model, before the work."""
    if options.hyperparameters == "integrated" and (glmm.groups or glmm.free_parameters):
        refusal = _refusal(glmm, options.of_run)
        if refusal is not None:
            raise VmrpError(refusal)


def approximate(
    glmm: GLMM, options: CaviOptions, progressbar: bool | None = False
) -> VariationalPosterior | MixturePosterior:
    """Fit q; see :meth:`pymc_vmrp.Model.approximate`."""
    check_options(glmm, options)
    if _integrates(glmm, options.of_run, options.hyperparameters):
        return _integrated(glmm, options.of_run, options.theta_ess, progressbar)
    return _mean_field(glmm, options.of_run, progressbar)


def _integrates(glmm: GLMM, options: Options, hyperparameters: str) -> bool:
    if hyperparameters == "mean_field" or not (glmm.groups or glmm.free_parameters):
        return False
    if hyperparameters == "integrated":
        return True
    return _refusal(glmm, options) is None and _is_quick(glmm, options)


def _is_quick(glmm: GLMM, options: Options) -> bool:
    """Whether integration takes seconds; by the size of the model alone, for repeatable results."""
    coordinates = sum(g.d * (g.d + 1) // 2 for g in glmm.groups) + len(glmm.free_parameters)
    if coordinates > _MOST_COORDINATES:
        return False
    rows, width = glmm.rows.values.shape
    of_likelihood = 1 if glmm.family.expectations is not None else _OPERATIONS_A_NODE * _NODES
    on_rows = rows * (width**2 + of_likelihood)
    if on_rows > _MOST_OPERATIONS:
        return False
    return on_rows + choose_solver(glmm, options.solver).operations <= _MOST_OPERATIONS


def _mean_field(glmm: GLMM, options: Options, progressbar: bool | None) -> VariationalPosterior:
    with sweep_progress(progressbar) as bar, interruptible(bar) as callback:
        fit = run(glmm, options, callback)
    if not fit.converged:
        reason, remedy = {
            "max_iter": (f"stopped at max_iter={options.max_iter}", "Raise max_iter"),
            "interrupted": ("was interrupted", "Let it run on"),
            "stalled": ("stalled: no step raises the ELBO any more", "Rescale the predictors"),
        }[fit.stopped]
        warn(
            f"coordinate ascent {reason}, after {fit.iterations} sweeps, before it converged: "
            f"the last change was {fit.change:.2g}, tol={options.tol:.2g}. {remedy}, or do not use "
            "the result.",
            ConvergenceWarning,
        )
    return VariationalPosterior(glmm, fit)


def _integrated(
    glmm: GLMM, options: Options, theta_ess: float, progressbar: bool | None
) -> VariationalPosterior | MixturePosterior:
    with sweep_progress(progressbar) as bar, interruptible(bar) as callback:
        first = run(glmm, replace(options, tol=max(options.tol, START_TOL)), callback)
        posterior: VariationalPosterior | MixturePosterior = VariationalPosterior(glmm, first)
        if not first.interrupted:
            try:
                fit = integrate(glmm, first, theta_ess, callback)
                posterior = MixturePosterior(glmm, fit)
            except KeyboardInterrupt:
                posterior = VariationalPosterior(glmm, replace(first, stopped="interrupted"))
    if isinstance(posterior, VariationalPosterior):
        warn(
            "the fit was interrupted before it had integrated over the hyperparameters: this is a "
            "rough mean-field fit. Let it run on, or do not use the result.",
            ConvergenceWarning,
        )
    elif not posterior.converged:
        found = posterior.fit.exploration
        warn(
            f"the points of the hyperparameters are worth {found.ess:.0f} independent draws "
            f"(theta_ess={theta_ess:.0f} were asked for), what proposed them errs by "
            f"{found.missed:.2f} nats (limit {MOST_MISSED:.0f}) and the rounds disagree by "
            f"{found.disagreement:.2f} (limit {MOST_DISAGREEMENT}); {posterior.fit.stopped}. "
            "Compare with inference_method='gibbs' or 'nuts' before you use the result, or give "
            "the standard deviations stronger priors.",
            ConvergenceWarning,
        )
    return posterior


def _refusal(glmm: GLMM, options: Options) -> str | None:
    """Why integration over θ does not go with the model or the options; None where it does."""
    if options.bound != "quadrature":
        return "hyperparameters='integrated' needs bound='quadrature'."
    if options.factorization != "joint":
        return "hyperparameters='integrated' needs factorization='joint'."
    if glmm.common.mixtures:
        return (
            "hyperparameters='integrated' needs normal or flat priors of the common effects: use "
            "hyperparameters='mean_field' or inference_method='nuts' with the others."
        )
    for group in glmm.groups:
        if isinstance(group.prior, ImproperInverseWishart):
            return (
                f"hyperparameters='integrated' needs a proper prior of {group.name!r}: give it "
                "HuangWand or InverseWishart."
            )
    return None
