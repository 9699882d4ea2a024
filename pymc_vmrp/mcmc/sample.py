"""Run PyMC's inference methods on the pm.Model of a GLMM, and name the draws as CAVI's are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
from numpy.typing import NDArray

from pymc_vmrp.errors import VmrpError
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.priors import HuangWand, InverseWishart
from pymc_vmrp.glmm.spec import GLMM, GroupEffects, Observations
from pymc_vmrp.glmm.variables import effect_variables, posterior_variables
from pymc_vmrp.mcmc.build import build_pymc
from pymc_vmrp.mcmc.coefficients import free_coefficients
from pymc_vmrp.results.diagnostics import chain_diagnostics, warn_of_diagnostics
from pymc_vmrp.results.idata import datatree, read_draws

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]


def sample_nuts(
    glmm: GLMM,
    observations: Observations,
    *,
    draws: int,
    tune: int,
    chains: int | None,
    cores: int | None,
    random_seed: int | None,
    warm_start: xr.DataTree | None,
    progressbar: bool,
    log_likelihood: bool,
    **kwargs: Any,
) -> xr.DataTree:
    """Sample by NUTS; see :meth:`pymc_vmrp.Model.fit`."""
    model = build_pymc(glmm)
    if warm_start is not None:
        if kwargs.get("nuts_sampler", "pymc") != "pymc" or "initvals" in kwargs:
            raise VmrpError(
                "warm_start= gives each chain its own start, which PyMC's own sampler alone takes: "
                "leave out nuts_sampler= and initvals=."
            )
        n_chains = chains or max(2, min(4, cores or 2))
        kwargs |= {
            "initvals": start_values(glmm, warm_start, n_chains, random_seed),
            "nuts_sampler": "pymc",  # nutpie takes one start for all chains
            "init": kwargs.get("init", "adapt_diag"),  # the default would jitter the starts
        }
        chains = n_chains
    with model:
        tree = pm.sample(
            draws,
            tune=tune,
            chains=chains,
            cores=cores,
            random_seed=random_seed,
            progressbar=progressbar,
            **{"compute_convergence_checks": False, **kwargs},  # ours cover every sampler
        )
    out = _relabel(glmm, observations, tree, log_likelihood)
    diagnostics = nuts_diagnostics(out)
    out.attrs |= diagnostics
    warn_of_diagnostics("NUTS", diagnostics, stacklevel=3)
    return out


def nuts_diagnostics(tree: xr.DataTree) -> dict[str, float]:
    """Divergences besides :func:`chain_diagnostics`, from a NUTS DataTree."""
    divergences = int(tree["sample_stats"]["diverging"].sum())
    return {"divergences": divergences, **chain_diagnostics(tree)}


def fit_pymc_variational(
    glmm: GLMM,
    observations: Observations,
    method: str,
    *,
    draws: int,
    random_seed: int | None,
    progressbar: bool,
    log_likelihood: bool,
    **kwargs: Any,
) -> xr.DataTree:
    """Fit by PyMC's ADVI, full-rank ADVI, or pymc-extras' Pathfinder."""
    model = build_pymc(glmm)
    with model:
        if method == "pathfinder":
            tree = _pathfinder(draws, random_seed, progressbar, kwargs)
        else:
            kwargs = {"n": 30_000, **kwargs}
            approximation = pm.fit(
                method=method, random_seed=random_seed, progressbar=progressbar, **kwargs
            )
            tree = approximation.sample(draws, random_seed=random_seed)
    return _relabel(glmm, observations, tree, log_likelihood)


def _pathfinder(
    draws: int, random_seed: int | None, progressbar: bool, kwargs: dict[str, Any]
) -> xr.DataTree:
    try:
        from pymc_extras.inference import fit_pathfinder
    except ImportError:
        raise VmrpError(
            "inference_method='pathfinder' needs pymc-extras: pip install 'pymc-vmrp[pathfinder]'."
        ) from None
    return fit_pathfinder(
        num_draws=draws, random_seed=random_seed, progressbar=progressbar, **kwargs
    )


def _relabel(
    glmm: GLMM, observations: Observations, tree: xr.DataTree, log_likelihood: bool
) -> xr.DataTree:
    """The contract's DataTree: reported intercept, no offsets, one observation per respondent."""
    sample = read_draws(glmm, tree, centred_intercept=True)
    stats = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else None
    return datatree(glmm, sample, observations, stats, log_likelihood)


def start_values(
    glmm: GLMM, warm_start: xr.DataTree, chains: int, random_seed: int | None
) -> list[Mapping[str, Any]]:
    """One start per chain: distinct draws of ``warm_start`` as values of the free variables."""
    flat = read_draws(glmm, warm_start).flat()
    rng = np.random.default_rng(random_seed)
    chosen = rng.choice(len(flat), size=chains, replace=len(flat) < chains)
    return [free_values(glmm, flat, int(s)) for s in chosen]


def free_values(glmm: GLMM, draws: Draws, s: int) -> dict[str, FloatArray]:
    """Free variables of the pm.Model at draw ``s``; auxiliaries at their conditional mode."""
    theta = draws.coefficients[s]
    covariances = tuple(c[s] for c in draws.covariances)
    named = posterior_variables(glmm, theta, covariances, draws.parameters[s])
    beta = {term.name: np.asarray(named[term.name][1]) for term in glmm.common.terms}
    if glmm.common.intercept:
        beta["Intercept"] = np.asarray(theta[0])  # the pm.Model's intercept is the centred one
    values = free_coefficients(glmm.common, theta[: glmm.common.size], beta)
    for parameter in glmm.free_parameters:
        sigma = np.asarray(named[parameter.name][1])
        if _on_variance(parameter.prior):
            values[f"{parameter.name}_variance"] = sigma**2
        else:
            values[parameter.name] = sigma
    for j, group in enumerate(glmm.groups):
        u = theta[glmm.group_slice(j)].reshape(-1, group.d)
        values |= _free_block(glmm, group, u, draws.covariances[j][s])
    return values


def _on_variance(prior: Any) -> bool:
    """Whether a prior of one standard deviation is stated for its square."""
    return getattr(prior, "on", "sd") == "variance"


def _free_block(
    glmm: GLMM, group: GroupEffects, u: FloatArray, covariance: FloatArray
) -> dict[str, FloatArray]:
    if group.d == 1:
        variable = effect_variables(glmm, group)[0]
        sigma = np.sqrt(covariance[0, 0])
        width = () if variable.dim is None else (1,)
        values = {f"{variable.name}_offset": u[:, 0] / sigma}
        if isinstance(group.prior, InverseWishart) or _on_variance(group.prior):
            values[f"{variable.name}_variance"] = np.full(width, sigma**2)
        else:
            values[f"{variable.name}_sigma"] = np.full(width, sigma)
        return values
    precision = np.linalg.inv(covariance)
    triangle = np.linalg.cholesky(precision)
    values = {}
    if isinstance(group.prior, HuangWand):
        nu = group.prior.nu
        rate = group.prior.scales(group.d) ** -2 + nu * np.diag(precision)
        a = rate / (0.5 * (nu + group.d) + 1)  # mode of a | Σ
        values[f"{group.name}_a"] = a
        root = np.diag(np.sqrt(a / (2 * nu)))
    else:
        assert isinstance(group.prior, InverseWishart)
        root = np.linalg.cholesky(np.linalg.inv(group.prior.parameters(group.d)[1]))
    bartlett = np.linalg.solve(root, triangle)
    values[f"{group.name}_chi2"] = np.diag(bartlett) ** 2
    values[f"{group.name}_bartlett"] = np.array(
        [bartlett[b, a] for b in range(group.d) for a in range(b)]
    )
    values[f"{group.name}_offset"] = triangle.T @ u.T
    return values
