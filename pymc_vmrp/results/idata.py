"""DataTrees: the one form in which every inference method returns its draws."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from pymc_vmrp.errors import DataError
from pymc_vmrp.glmm.spec import GLMM, Observations
from pymc_vmrp.glmm.variables import (
    coefficients_from_variables,
    common_variables,
    coords,
    covariances_from_variables,
    factor_dim,
    group_variables,
    posterior_variables,
    sigma_variables,
)
from pymc_vmrp.results.posterior import Draws, VariationalPosterior

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]


def variational_datatree(
    posterior: VariationalPosterior,
    observations: Observations,
    draws: int,
    random_seed: int | np.random.Generator | None,
    log_likelihood: bool,
) -> xr.DataTree:
    """Draw from q and lay the draws out as the other methods do."""
    sample = posterior.sample(draws, random_seed)
    sample_stats = {
        "lp": (("chain", "draw"), posterior.log_joint(sample)[None]),
        "log_q": (("chain", "draw"), posterior.log_density(sample)[None]),
    }
    tree = datatree(posterior.glmm, _with_chain(sample), observations, sample_stats, log_likelihood)
    return _add_fit(tree, posterior)


def datatree(
    glmm: GLMM,
    draws: Draws,
    observations: Observations,
    sample_stats: Mapping[str, Any] | xr.Dataset | None = None,
    log_likelihood: bool = False,
) -> xr.DataTree:
    """Lay out draws of shape (chain, draw, ...) as a DataTree.

    Parameters
    ----------
    glmm : GLMM
    draws : Draws
        With the sample dimensions (chain, draw) first.
    observations : Observations
    sample_stats : mapping or Dataset, optional
    log_likelihood : bool
        Whether to add the log likelihood of each respondent, shape (chain, draw, rows).
    """
    import xarray as xr

    shape = draws.coefficients.shape[:2]
    named = posterior_variables(glmm, draws.coefficients, draws.covariances)
    sample_coords = {"chain": np.arange(shape[0]), "draw": np.arange(shape[1])}
    posterior = xr.Dataset(
        {name: (("chain", "draw", *dims), value) for name, (dims, value) in named.items()},
        coords={**sample_coords, **coords(glmm)},
    )
    row_coords = {"__obs__": observations.index}
    groups = {"posterior": posterior}
    if sample_stats is not None:
        groups["sample_stats"] = (
            sample_stats
            if isinstance(sample_stats, xr.Dataset)
            else xr.Dataset(dict(sample_stats), coords=sample_coords)
        )
    if log_likelihood:
        groups["log_likelihood"] = xr.Dataset(
            {
                observations.name: (
                    ("chain", "draw", "__obs__"),
                    _log_likelihood(glmm, draws, observations),
                )
            },
            coords={**sample_coords, **row_coords},
        )
    groups["observed_data"] = xr.Dataset(
        {observations.name: ("__obs__", observations.successes.astype(np.int64))},
        coords=row_coords,
    )
    groups["constant_data"] = xr.Dataset(
        {"trials": ("__obs__", observations.trials.astype(np.int64))}, coords=row_coords
    )
    tree = build_tree(groups)
    tree.attrs["data_digest"] = data_digest(glmm)
    return tree


def read_draws(glmm: GLMM, tree: xr.DataTree, centred_intercept: bool = False) -> Draws:
    """Draws of shape (chain, draw, ...) from a DataTree's posterior.

    Raises
    ------
    DataError
        Where the posterior lacks a variable of the model, or its levels differ.
    """
    posterior = posterior_dataset(tree)
    digest = tree.attrs.get("data_digest")
    if digest is not None and digest != data_digest(glmm):
        raise DataError(
            "The fit belongs to another model or to other data: pass the model that it was made "
            "with (same formula, same rows)."
        )
    expected = coords(glmm)
    variables = {}
    template = posterior_variables(
        glmm,
        np.zeros((1, 1, glmm.n_coefficients)),
        tuple(np.broadcast_to(np.eye(g.d), (1, 1, g.d, g.d)) for g in glmm.groups),
    )
    for name, (dims, _) in template.items():
        if name not in posterior:
            raise DataError(f"The posterior has no variable {name!r}: it belongs to another model.")
        value = posterior[name]
        if set(value.dims) != {"chain", "draw", *dims}:
            raise DataError(
                f"{name!r} has dimensions {value.dims} in the posterior, not "
                f"{('chain', 'draw', *dims)}: it belongs to another model."
            )
        for dim in dims:
            if list(map(str, value[dim].values)) != expected[dim]:
                raise DataError(
                    f"The levels of {dim!r} in the posterior differ from the model's: it belongs "
                    "to another model or other data."
                )
        variables[name] = value.transpose("chain", "draw", *dims).to_numpy()
    return Draws(
        coefficients_from_variables(glmm, variables, centred_intercept),
        covariances_from_variables(glmm, variables),
    )


def posterior_dataset(tree: Any) -> xr.Dataset:
    """The posterior of a DataTree; a DataError where there is none with chains and draws."""
    try:
        posterior = tree["posterior"].to_dataset()
        sizes = [posterior.sizes[dim] for dim in ("chain", "draw")]
    except (KeyError, AttributeError, TypeError):
        raise DataError(
            "A DataTree with a 'posterior' group of chains and draws is needed, as fit() and "
            f"poststratify() return it, not {type(tree).__name__}."
        ) from None
    if 0 in sizes:
        raise DataError("The posterior has no draws.")
    return posterior


def data_digest(glmm: GLMM) -> str:
    """A short fingerprint of the design and the response, to tell whose fit a DataTree is."""
    digest = hashlib.blake2b(digest_size=12)
    parts: list[NDArray[Any]] = [glmm.response.successes, glmm.response.trials, glmm.common.columns]
    for group in glmm.groups:
        digest.update(f"{group.name} {group.levels}".encode())
        parts += [group.codes, group.values]
    digest.update(str([term.name for term in glmm.common.terms]).encode())
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def build_tree(groups: Mapping[str, xr.Dataset]) -> xr.DataTree:
    """A DataTree of these groups, each of which says which library made it."""
    import xarray as xr

    attrs = _library_attrs()
    tree = xr.DataTree.from_dict(
        {name: dataset.assign_attrs(attrs) for name, dataset in groups.items()}
    )
    tree.attrs.update(attrs)
    return tree


def _library_attrs() -> dict[str, str]:
    return {
        "inference_library": "pymc_vmrp",
        "inference_library_version": version("pymc-vmrp"),
        "modeling_interface": "pymc_vmrp",
        "modeling_interface_version": version("pymc-vmrp"),
    }


def _with_chain(draws: Draws) -> Draws:
    return Draws(draws.coefficients[None], tuple(c[None] for c in draws.covariances))


def _log_likelihood(glmm: GLMM, draws: Draws, observations: Observations) -> FloatArray:
    """Log likelihood of each respondent, shape (chain, draw, rows), constants included."""
    rows, beta = glmm.rows, draws.coefficients
    y, n = observations.successes, observations.trials
    constants = gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1)
    out = np.empty((*beta.shape[:2], len(observations.cell)))
    for index in np.ndindex(*beta.shape[:2]):
        eta = np.einsum("ik,ik->i", rows.values, beta[index][rows.columns])
        out[index] = constants + glmm.family.log_likelihood(eta[observations.cell], y, n)
    return out


def _add_fit(tree: xr.DataTree, posterior: VariationalPosterior) -> xr.DataTree:
    import xarray as xr

    fit = posterior.fit
    elbo = xr.Dataset(
        {"elbo": ("step", np.array(fit.elbo))}, coords={"step": np.arange(len(fit.elbo))}
    )
    attrs = {
        "converged": int(fit.converged),  # NetCDF has no booleans
        "stopped": fit.stopped,
        "iterations": fit.iterations,
        "polya_gamma_steps": fit.warmup,
        "change": fit.change,
        "seconds": fit.seconds,
        "factorization": "joint",
        "bound": fit.bound,
        "solver": fit.solver,
        "accelerator": fit.accelerator,
        "expansion": fit.expansion,
    }
    tree["fit"] = xr.DataTree(elbo.assign_attrs(attrs))
    mean, sd = _moments(posterior)
    tree["fit/mean"] = xr.DataTree(mean)
    tree["fit/sd"] = xr.DataTree(sd)
    return tree


def _moments(posterior: VariationalPosterior) -> tuple[xr.Dataset, xr.Dataset]:
    """Mean and sd of q for each coefficient and standard deviation, without Monte Carlo error."""
    import xarray as xr

    glmm, gaussian = posterior.glmm, posterior.fit.state.gaussian
    common = glmm.common
    k = common.size
    covariance = gaussian.marginal_covariance(np.arange(k))
    datasets = []
    sigma = [factor.sigma_moments() for factor in posterior.fit.state.factors]
    for which, vector in enumerate((posterior.mean(), posterior.sd())):
        beta = vector[:k]
        intercept = None
        if common.intercept:
            contrast = np.concatenate([[1.0], -common.center])
            intercept = np.asarray(
                contrast @ beta if which == 0 else np.sqrt(contrast @ covariance @ contrast)
            )
        named = common_variables(glmm, intercept, beta[int(common.intercept) :])
        for j, group in enumerate(glmm.groups):
            effects = vector[glmm.group_slice(j)].reshape(-1, group.d)
            if which == 1 and group.report is not None:
                named[group.name] = ((factor_dim(group),), _reported_sd(posterior, j))
            else:
                named |= group_variables(glmm, group, effects)
            named |= sigma_variables(glmm, group, sigma[j][which])
        used = {dim for dims, _ in named.values() for dim in dims}
        datasets.append(
            xr.Dataset(named, coords={k: v for k, v in coords(glmm).items() if k in used})
        )
    return datasets[0], datasets[1]


def _reported_sd(posterior: VariationalPosterior, j: int) -> FloatArray:
    """Sds of the combinations of effects that results show of block j."""
    glmm = posterior.glmm
    report, where = glmm.groups[j].report, glmm.group_slice(j)
    assert report is not None
    covariance = posterior.fit.state.gaussian.marginal_covariance(
        np.arange(where.start, where.stop)
    )
    return np.sqrt(np.einsum("kl,lm,km->k", report.forward, covariance, report.forward))
