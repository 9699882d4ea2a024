"""What an earlier fit is good for in NUTS: coordinates, start points, and a mass matrix."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.initial_point import make_initial_point_fn
from pymc.step_methods.hmc.quadpotential import QuadPotentialDiagAdapt

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.cavi.run import Fit, Options, run
from pymc_vmrp.errors import DataError, VmrpError
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.integration.integrate import START_TOL
from pymc_vmrp.mcmc.build import build_pymc
from pymc_vmrp.mcmc.build_whitened import WHITENED, build_whitened
from pymc_vmrp.mcmc.free_values import free_values
from pymc_vmrp.mcmc.whitening import whitening
from pymc_vmrp.results.idata import check_finite_draws, posterior_dataset
from pymc_vmrp.results.mixture import MixturePosterior
from pymc_vmrp.results.posterior import VariationalPosterior

if TYPE_CHECKING:
    import xarray as xr


WarmStart = Draws | VariationalPosterior | MixturePosterior

TUNE_COLD, TUNE_WARM, TUNE_WHITENED = 1000, 500, 200

_DRAWS = 400  # of the fit that starts are chosen from
_BEND = 0.5  # where the coordinate of σ is bent, in medians of σ
_SMALLEST = 1e-3  # of that, in units of η
# seconds of a gradient: of the Cholesky factor and its inverse, of a row's entry, and any
_BY_CUBE, _BY_ENTRY, _ANY = 8e-11, 8e-9, 3e-5
_MOST_TIMES_AS_LONG = 30.0  # a gradient in whitened coordinates may take, as so many fewer will do
_PRIOR_WEIGHT = 10.0  # in draws, of q's variances in the adaptation of the mass matrix


@dataclass(frozen=True)
class Start:
    """A pm.Model and where to start on it.

    Attributes
    ----------
    model : Model
    values : dict of str to ndarray
        Free variables of the model, draw by draw; the whitened ones are left out.
    size : int
        Number of draws in ``values``.
    whitened : int
        Number of whitened coordinates; 0 where the model is the non-centred one.
    """

    model: pm.Model
    values: dict[str, FloatArray]
    size: int
    whitened: int

    @property
    def tune(self) -> int:
        """How many tuning steps are enough."""
        return TUNE_WHITENED if self.whitened else TUNE_WARM

    @property
    def coordinates(self) -> str:
        """What the result's attributes call them."""
        return "whitened" if self.whitened else "non-centred"

    def at_random(self) -> dict[str, Any]:
        """Expressions of a random start, for samplers that evaluate them once per chain."""
        index = pm.DiscreteUniform.dist(0, self.size - 1)
        out = {name: pt.as_tensor(values)[index] for name, values in self.values.items()}
        if self.whitened:
            out[WHITENED] = pm.Normal.dist(shape=self.whitened)
        return out

    def of_chains(self, chains: int, random_seed: int | None) -> list[dict[str, FloatArray]]:
        """One start per chain, at distinct draws."""
        rng = np.random.default_rng(random_seed)
        out = []
        for s in rng.choice(self.size, size=chains, replace=self.size < chains):
            start = {name: values[s] for name, values in self.values.items()}
            if self.whitened:
                start[WHITENED] = rng.standard_normal(self.whitened)
            out.append(start)
        return out

    def potential(self) -> QuadPotentialDiagAdapt:
        """A diagonal mass matrix for PyMC's sampler, from the draws' unconstrained variances."""
        values = self.at_random()
        evaluate = make_initial_point_fn(model=self.model, overrides=values)
        points = [
            np.concatenate([np.ravel(v) for v in evaluate(s).values()]) for s in range(self.size)
        ]
        mean, variance = np.mean(points, axis=0), np.var(points, axis=0)
        return QuadPotentialDiagAdapt(len(mean), mean, np.maximum(variance, 1e-10), _PRIOR_WEIGHT)


def warm_start(
    glmm: GLMM, earlier: WarmStart, whiten: bool | None, random_seed: int | None
) -> Start:
    """The pm.Model to sample, and starts on it, from an earlier fit.

    θ starts at a draw of the fit, and the whitened coordinates as standard normals, which makes
    (β, u) a draw from the Gaussian of the fit given θ. The non-centred model starts at draws.

    Parameters
    ----------
    glmm : GLMM
    earlier : Draws, VariationalPosterior or MixturePosterior
        Draws hold no sites: a rough mean-field fit, which is quick, is made for them.
    whiten : bool, optional
        Whether to sample whitened coordinates; None decides by an estimate of the cost.
    random_seed : int, optional
    """
    draws = _draws(earlier, random_seed)
    whiten = whitening_pays(glmm) if whiten is None else whiten
    if not whiten:
        points = [free_values(glmm, draws, s) for s in range(len(draws))]
        return Start(build_pymc(glmm), _stacked(points, points[0]), len(draws), 0)
    sigma = [np.sqrt(c[:, 0, 0]) for c in draws.covariances]
    scales = [max(_BEND * float(np.median(s)), _SMALLEST) for s in sigma]
    gaussian = whitening(glmm, _fit(glmm, earlier))
    model = build_whitened(glmm, gaussian, scales)
    points = [free_values(glmm, draws, s) for s in range(len(draws))]
    names = {variable.name: None for variable in model.free_RVs if variable.name != WHITENED}
    return Start(model, _stacked(points, names), len(draws), gaussian.size)


def start_from(model: pm.Model, earlier: xr.DataTree, random_seed: int | None) -> Start:
    """Starts on a pm.Model as it is, at draws of its own free variables.

    Raises
    ------
    DataError
        Where ``earlier`` has no draws, or lacks a free variable of the model, or has it in another
        shape.
    """
    posterior = posterior_dataset(earlier, "warm_start").stack(sample=("chain", "draw"))
    size = min(posterior.sizes["sample"], _DRAWS)
    rng = np.random.default_rng(random_seed)
    chosen = rng.choice(posterior.sizes["sample"], size, replace=False)
    values = {}
    shapes = model.eval_rv_shapes()
    for rv in model.free_RVs:
        if rv.name not in posterior:
            raise DataError(f"warm_start= has no variable {rv.name!r}: it is of another model.")
        found = posterior[rv.name].transpose("sample", ...).to_numpy()[chosen]
        if found.shape[1:] != tuple(shapes[rv.name]):
            raise DataError(
                f"{rv.name!r} has shape {found.shape[1:]} in warm_start=, and "
                f"{tuple(shapes[rv.name])} in the model: it is of another model or other data."
            )
        check_finite_draws(rv.name, found, "warm_start")
        values[rv.name] = found
    return Start(model, values, size, 0)


def whitening_pays(glmm: GLMM) -> bool:
    """Whether a draw in whitened coordinates is likely to be cheaper than a non-centred one.

    An effective draw takes a thirtieth of the gradients or less, but each of them factors a p × p
    matrix.
    """
    plain = _ANY + _BY_ENTRY * glmm.rows.values.size
    return plain + _BY_CUBE * glmm.n_coefficients**3 < _MOST_TIMES_AS_LONG * plain


def sampler_options(
    start: Start,
    chains: int | None,
    cores: int | None,
    random_seed: int | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Arguments of ``pm.sample`` that start it where ``start`` says.

    Raises
    ------
    VmrpError
        Where they contradict those given, or the sampler is not there.
    """
    for name in ("initvals", "step"):
        if name in options:
            raise VmrpError(f"warm_start= sets {name}= itself: leave out one of the two.")
    sampler = options.get("nuts_sampler") or _default_sampler(options)
    out = {**options, "nuts_sampler": sampler}
    if sampler == "nutpie":  # takes one start for all chains, or an expression
        compiling = {"jitter_rvs": set(), **options.get("compile_kwargs", {})}
        return out | {"initvals": start.at_random(), "compile_kwargs": compiling}
    _check_installed(sampler)
    cores = min(4, pm.sampling.mcmc._cpu_count()) if cores is None else cores
    n_chains = max(2, cores) if chains is None else chains
    out |= {"initvals": start.of_chains(n_chains, random_seed), "chains": n_chains}
    if sampler != "pymc":
        return out | {"nuts": {"jitter": False, **options.get("nuts", {})}}
    if start.whitened:  # the variances are ones, which adapt_diag starts from
        return {"init": "adapt_diag", **out}
    of_step = {**out.pop("nuts", {})}
    for name in ("target_accept", "max_treedepth"):
        if name in out:
            of_step[name] = out.pop(name)
    with start.model:
        return out | {"step": pm.NUTS(potential=start.potential(), **of_step)}


def started_options(
    start: Start, random_seed: int | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """As :func:`sampler_options`, with ``tune`` and ``chains`` among the arguments."""
    rest = {name: value for name, value in options.items() if name != "chains"}
    chains = options.get("chains")
    found = sampler_options(start, chains, options.get("cores"), random_seed, rest)
    given = {} if chains is None else {"chains": chains}
    return {"tune": start.tune, **found, **given}


def _default_sampler(options: Mapping[str, Any]) -> str:
    """That of ``pm.sample``, as far as our starts leave the choice to it."""
    found = importlib.util.find_spec("nutpie") is not None
    return "nutpie" if found and "init" not in options else "pymc"


def _check_installed(sampler: str) -> None:
    needed = {"numpyro": ("jax", "numpyro"), "blackjax": ("jax", "blackjax")}.get(sampler, ())
    for name in needed:
        if importlib.util.find_spec(name) is None:
            raise VmrpError(
                f"nuts_sampler={sampler!r} needs {name}: pip install {name}, or leave out "
                "nuts_sampler=."
            )


def _draws(earlier: WarmStart, random_seed: int | None) -> Draws:
    """Some draws of the fit, chosen at random."""
    if not isinstance(earlier, Draws):
        return earlier.sample(_DRAWS, random_seed)
    size = min(len(earlier), _DRAWS)
    chosen = np.random.default_rng(random_seed).choice(len(earlier), size, replace=False)
    return earlier.take(chosen)


def _fit(glmm: GLMM, earlier: WarmStart) -> Fit:
    """A mean-field fit, for its sites."""
    if isinstance(earlier, MixturePosterior):
        return earlier.fit.first
    if isinstance(earlier, VariationalPosterior):
        return earlier.fit
    return run(glmm, replace(Options(), tol=START_TOL))


def _stacked(
    points: list[dict[str, FloatArray]], names: Mapping[str, Any]
) -> dict[str, FloatArray]:
    return {name: np.array([point[name] for point in points]) for name in names}
