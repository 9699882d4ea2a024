"""DataTrees: the one form in which every inference method returns its draws."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_vmrp.arguments import qualified_name
from pymc_vmrp.arrays import AnyArray, FloatArray
from pymc_vmrp.errors import DataError, VmrpError
from pymc_vmrp.glmm.cells import Cells
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.spec import GLMM, Observations
from pymc_vmrp.glmm.variables import (
    Variables,
    coefficients_from_variables,
    coords,
    covariances_from_variables,
    factor_dim,
    group_variables,
    parameter_variables,
    parameters_from_variables,
    posterior_dims,
    sigma_variables,
    written_common_variables,
)
from pymc_vmrp.glmm.written import written_coefficients
from pymc_vmrp.results.layout import Layout, sources
from pymc_vmrp.results.posterior import VariationalPosterior
from pymc_vmrp.solvers import choose

if TYPE_CHECKING:
    import xarray as xr

    from pymc_vmrp.results.mixture import MixturePosterior


INTERFACE = ("modeling_interface", "modeling_interface_version")
_COPIES_OF_DRAWS = 2.6  # at the peak of a fit, measured with 200,000 coefficients


def check_memory_of_draws(glmm: GLMM, draws: int, observations: Observations | None) -> None:
    """Refuse before the fit what would run out of memory after it.

    ``observations`` are given where their log likelihoods are to be kept.
    """
    rows = 0 if observations is None else len(observations.cell)
    needed = 8 * draws * (_COPIES_OF_DRAWS * glmm.n_coefficients + rows)
    if needed > choose.physical_memory():
        parts = f"{draws:,} draws of {glmm.n_coefficients:,} coefficients"
        parts += f" and log likelihoods of {rows:,} rows" if rows else ""
        raise VmrpError(
            f"{parts} need about {needed / 2**30:,.0f} GB of memory. Lower draws=, or use "
            "approximate(), whose mean() and sd() need no draws."
        )


def observed_data(observations: Observations) -> xr.Dataset:
    """The response of each row."""
    import xarray as xr

    return xr.Dataset(
        {observations.name: ("__obs__", _plain_numbers(observations.rows.y))},
        coords={"__obs__": observations.index},
    )


def constant_data(glmm: GLMM, observations: Observations) -> xr.Dataset:
    """Trials, and where there are weights, offsets and known sds, those of each row."""
    import xarray as xr

    rows = observations.rows
    known = {
        "trials": rows.trials if glmm.family.response != "binary" else np.ones(len(rows.y)),
        "weights": rows.weights,
        "offset": observations.whole_offset,
        "sd": rows.sd,
    }
    return xr.Dataset(
        {k: ("__obs__", _plain_numbers(v)) for k, v in known.items() if v is not None},
        coords={"__obs__": observations.index},
    )


def named_dataset(
    named: Variables, every_coord: Mapping[str, Any], sample_coords: Mapping[str, Any]
) -> xr.Dataset:
    """Named draws as a Dataset with the coordinates that they use."""
    import xarray as xr

    return xr.Dataset(
        {name: (("chain", "draw", *dims), value) for name, (dims, value) in named.items()},
        coords={**sample_coords, **_used(named, every_coord)},
    )


def _used(named: Variables, every_coord: Mapping[str, Any]) -> dict[str, Any]:
    """The coordinates that some variable has."""
    used = {dim for dims, _ in named.values() for dim in dims}
    return {dim: labels for dim, labels in every_coord.items() if dim in used}


def read_draws(
    glmm: GLMM,
    tree: xr.DataTree,
    centred_common: bool = False,
    argument: str = "idata",
    layout: Layout | None = None,
) -> Draws:
    """Draws of shape (chain, draw, ...) from a DataTree's posterior.

    Parameters
    ----------
    glmm : GLMM
    tree : DataTree
    centred_common : bool
        Whether the common effects are those of the centred design, as in our own pm.Model.
    argument : str
        What errors call ``tree``.
    layout : Layout, optional
        Of the library whose names the posterior has; None means those of ``glmm.variables``.

    Raises
    ------
    DataError
        Where the posterior lacks a variable of the model, or its levels differ.
    """
    posterior = posterior_dataset(tree, argument)
    digest = tree.attrs.get("data_digest")
    if digest is not None and digest != data_digest(glmm):
        raise DataError(
            "The fit belongs to another model or to other data: pass the model that it was made "
            "with (same formula, same rows)."
        )
    shape = (posterior.sizes["chain"], posterior.sizes["draw"])
    dims_of = posterior_dims(glmm)
    labels: Mapping[str, Any] = coords(glmm)
    if layout is not None:
        dims_of, labels = {one.name: one.dims for one in layout.variables}, layout.coords
    variables = {}
    for name, dims in dims_of.items():
        if name not in posterior:
            raise DataError(f"The posterior has no variable {name!r}: it belongs to another model.")
        value = posterior[name]
        if value.dtype.kind not in "fiu":
            raise DataError(f"{name!r} holds no numbers in the posterior: the file is damaged.")
        if set(value.dims) != {"chain", "draw", *dims}:
            raise DataError(
                f"{name!r} has dimensions {value.dims} in the posterior, not "
                f"{('chain', 'draw', *dims)}: it belongs to another model."
            )
        for dim in dims:
            if list(map(str, value[dim].values)) != list(map(str, labels[dim])):
                raise DataError(
                    f"The levels of {dim!r} in the posterior differ from the model's: it belongs "
                    "to another model or other data."
                )
        variables[name] = value.transpose("chain", "draw", *dims).to_numpy()
        check_finite_draws(name, variables[name], argument)
    if layout is not None:
        variables = sources(layout, variables)
    return Draws(
        coefficients_from_variables(glmm, variables, centred_common),
        covariances_from_variables(glmm, variables),
        parameters_from_variables(glmm, variables, shape),
    )


def check_finite_draws(name: str, values: AnyArray, argument: str) -> None:
    """Raise DataError where draws are NaN, infinite or no numbers."""
    if values.dtype.kind not in "iuf":
        raise DataError(f"{argument}: the draws of {name!r} are not real numbers ({values.dtype}).")
    bad = int(np.size(values) - np.isfinite(values).sum())
    if bad:
        raise DataError(
            f"{argument}: {bad:,} of {values.size:,} draws of {name!r} are not finite (NaN or "
            "infinite). Fit again, or leave those draws out, as in idata.sel(draw=...)."
        )


def read_group(tree: Any, name: str, remedy: str, argument: str = "idata") -> xr.Dataset:
    """A group of a DataTree; a DataError that says the ``remedy`` where there is none."""
    import xarray as xr

    if not isinstance(tree, xr.DataTree):
        raise DataError(
            f"{argument} must be a DataTree with a group {name!r}, as fit() returns it, not a "
            f"{qualified_name(tree)}."
        )
    if name not in tree.children:
        raise DataError(f"{argument} has no group {name!r}: {remedy}")
    return tree[name].to_dataset()


def posterior_dataset(tree: Any, argument: str = "idata") -> xr.Dataset:
    """The posterior of a DataTree; a DataError where there is none with chains and draws."""
    needed = "a 'posterior' group of chains and draws is needed, as fit() and poststratify() return"
    posterior = read_group(tree, "posterior", f"{needed} it.", argument)
    if not {"chain", "draw"} <= set(posterior.dims):
        raise DataError(f"{argument}: {needed} it; dimensions are {tuple(posterior.dims)}.")
    if 0 in [posterior.sizes[dim] for dim in ("chain", "draw")]:
        raise DataError(f"{argument}: the posterior has no draws.")
    return posterior


def data_digest(glmm: GLMM) -> str:
    """A short fingerprint of the design and the response, to tell whose fit a DataTree is."""
    digest = hashlib.blake2b(digest_size=12)
    parts: list[AnyArray] = [*glmm.response.statistics, glmm.common.columns]
    parts += [] if glmm.response.offset is None else [glmm.response.offset]
    for group in glmm.groups:
        digest.update(f"{group.name} {group.levels}".encode())
        parts += [group.codes, group.values]
    digest.update(str([term.name for term in glmm.common.terms]).encode())
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def build_tree(
    groups: Mapping[str, xr.Dataset], interface: Mapping[str, str] | None = None
) -> xr.DataTree:
    """A DataTree of these groups, each of which says which library made it.

    ``interface`` are the attributes of the library that the model was written in, if another.
    """
    import xarray as xr

    attrs = _library_attrs() | dict(interface or {})
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


def _plain_numbers(values: AnyArray) -> AnyArray:
    """Whole numbers as int64, so that files and merges agree on the type."""
    integer = values.dtype.kind in "iub" or bool(np.all(values == np.floor(values)))
    return values.astype(np.int64 if integer else np.float64)


def log_likelihood_of_rows(glmm: GLMM, draws: Draws, observations: Observations) -> FloatArray:
    """Log likelihood of each respondent, shape (chain, draw, rows), constants included.

    That of a row with a weight is multiplied by it.
    """
    family, data = glmm.family, observations.rows
    every = np.arange(len(data.y))
    statistics = family.pool(data, Cells(every, every))
    constants = data.weighted(family.constants(data))
    rows, beta = glmm.rows, draws.coefficients
    out = np.empty((*beta.shape[:2], len(every)))
    for index in np.ndindex(*beta.shape[:2]):
        eta = np.einsum("ik,ik->i", rows.values, beta[index][rows.columns])[observations.cell]
        if observations.offset is not None:
            eta = eta + observations.offset
        phi = glmm.family_arguments(draws.parameters[index])
        out[index] = constants + family.log_likelihood(eta, statistics, phi)
    return out


def stats_dataset(
    stats: Mapping[str, FloatArray] | xr.Dataset,
    added: Mapping[str, Any],
    sample_coords: Mapping[str, Any],
) -> xr.Dataset:
    """Statistics of draws, shape (chain, draw), with something added to some of them."""
    import xarray as xr

    if isinstance(stats, xr.Dataset):
        return stats
    return xr.Dataset(
        {k: (("chain", "draw"), v + added.get(k, 0.0)) for k, v in stats.items()},
        coords=dict(sample_coords),
    )


def fit_dataset(posterior: VariationalPosterior | MixturePosterior) -> xr.Dataset:
    """The ELBO by step, and as attributes how the fit went."""
    import xarray as xr

    trace = posterior.trace()
    elbo = xr.Dataset({"elbo": ("step", trace)}, coords={"step": np.arange(len(trace))})
    return elbo.assign_attrs(posterior.attributes())


def note(tree: xr.DataTree, noted: Mapping[str, Any]) -> None:
    """Attributes of the groups of draws."""
    for group in ("posterior", "sample_stats") if noted else ():
        tree[group].attrs.update(noted)


def add_fit(
    tree: xr.DataTree,
    posterior: VariationalPosterior | MixturePosterior,
    mean: Variables,
    sd: Variables,
    every_coord: Mapping[str, Any],
) -> xr.DataTree:
    """Add the group ``fit``: the ELBO, how the fit went, and the moments of q."""
    import xarray as xr

    tree["fit"] = xr.DataTree(fit_dataset(posterior))
    for name, named in (("mean", mean), ("sd", sd)):
        tree[f"fit/{name}"] = xr.DataTree(xr.Dataset(named, coords=_used(named, every_coord)))
    return tree


def moments(posterior: VariationalPosterior | MixturePosterior) -> tuple[Variables, Variables]:
    """Mean and sd of q for each coefficient and standard deviation, without Monte Carlo error."""
    glmm = posterior.glmm
    sigma, phi = posterior.sigma_moments(), posterior.parameter_moments()
    vectors = (written_coefficients(glmm, posterior.mean()), _written_sd(posterior))
    both: list[Variables] = []
    for which, vector in enumerate(vectors):
        named = written_common_variables(glmm, vector)
        for j, group in enumerate(glmm.groups):
            effects = vector[glmm.group_slice(j)].reshape(-1, group.d)
            if which == 1 and group.report is not None:
                named[group.name] = ((factor_dim(group),), _reported_sd(posterior, j))
            else:
                named |= group_variables(glmm, group, effects)
            named |= sigma_variables(glmm, group, sigma[j][which])
        if phi is not None:
            named |= parameter_variables(glmm, phi[which])
        both.append(named)
    return both[0], both[1]


def _written_sd(posterior: VariationalPosterior | MixturePosterior) -> FloatArray:
    """Posterior sd of every coefficient as the formula writes it, shape (p,)."""
    glmm = posterior.glmm
    k = glmm.common.size
    sd = posterior.sd().copy()
    # each column of a map that is linear is what it makes of a unit vector
    units = np.zeros((k, glmm.n_coefficients))
    units[:, :k] = np.eye(k)
    contrasts = written_coefficients(glmm, units)[:, :k].T
    sd[:k] = _sds(contrasts, posterior.common_covariance())
    for j, group in enumerate(glmm.groups):
        if group.basis is not None:
            variances = _sds(group.basis, posterior.level_covariances(j))
            sd[glmm.group_slice(j)] = variances.ravel()
    return sd


def _sds(contrasts: FloatArray, covariance: FloatArray) -> FloatArray:
    """Sds of linear combinations, shape (..., K), of what has this covariance, (..., d, d)."""
    return np.sqrt(np.einsum("kl,...lm,km->...k", contrasts, covariance, contrasts))


def _reported_sd(posterior: VariationalPosterior | MixturePosterior, j: int) -> FloatArray:
    """Sds of the combinations of effects that results show of block j."""
    glmm = posterior.glmm
    report, where = glmm.groups[j].report, glmm.group_slice(j)
    assert report is not None
    return _sds(report.forward, posterior.covariance(np.arange(where.start, where.stop)))
