"""Draws of a Bambi model as values of the free variables of its pm.Model.

Bambi reports what a user asks for: the intercept of the formula as written, and the effects of
groups. Its pm.Model samples the intercept at the mean of the predictors, and standardized effects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_vmrp.errors import DataError
from pymc_vmrp.results.idata import posterior_dataset

if TYPE_CHECKING:
    import xarray as xr

_OFFSET = "_offset"  # Bambi's ending of the names of standardized effects


def free_variables(model: Any, earlier: xr.DataTree) -> xr.DataTree:
    """Draws of the free variables of ``model.backend.model``.

    Parameters
    ----------
    model : bambi.Model
        Built.
    earlier : DataTree
        As :func:`pymc_vmrp.fit` or ``model.fit()`` returns it.

    Raises
    ------
    DataError
        Where ``earlier`` has no draws, or lacks a variable or a level of the model.
    """
    import xarray as xr

    pm_model = model.backend.model
    posterior = posterior_dataset(earlier, "warm_start")
    dims = pm_model.named_vars_to_dims
    deterministic = {variable.name for variable in pm_model.deterministics}
    shifts = _shifts(model, posterior)
    values = {}
    for variable in pm_model.free_RVs:
        name = variable.name
        effect = name.removesuffix(_OFFSET)
        if effect != name and effect in deterministic and effect in dims:
            sd = _found(pm_model, posterior, _sd_of(model, effect))
            values[name] = _found(pm_model, posterior, effect) / sd
            values[name] = values[name].transpose("chain", "draw", *dims[effect])
        else:
            values[name] = _found(pm_model, posterior, name) + shifts.get(name, 0.0)
    return xr.DataTree.from_dict({"posterior": xr.Dataset(values)})


def _found(pm_model: Any, posterior: xr.Dataset, name: str) -> xr.DataArray:
    """A variable, its dimensions and labels in the order of the model."""
    if name not in posterior:
        raise DataError(f"warm_start= has no variable {name!r}: it is of another model.")
    values = posterior[name]
    of_model = pm_model.named_vars_to_dims.get(name, ())
    for dim in of_model:
        if dim not in values.dims or not np.array_equal(
            values[dim].to_numpy().astype(str), np.asarray(pm_model.coords[dim]).astype(str)
        ):
            raise DataError(
                f"{name!r} has other levels along {dim!r} in warm_start= than in the model: it is "
                "of another model or other data."
            )
    return values.transpose("chain", "draw", *of_model)


def group_specific_terms(model: Any) -> list[Any]:
    """Those of every linear predictor of a Bambi model."""
    components = model.conditional_parameters.values()
    return [term for one in components for term in one.group_specific_terms.values()]


def _sd_of(model: Any, effect: str) -> str:
    """The name of the sd of a term's effects."""
    for term in group_specific_terms(model):
        if effect in (term.alias, term.name):
            return f"{effect}_{term.hyperprior_alias.get('sigma', 'sigma')}"
    raise DataError(f"The standardized effects of {effect!r} are of no term of the model.")


def _shifts(model: Any, posterior: xr.Dataset) -> dict[str, xr.DataArray]:
    """What the centred intercepts have more than those of the formula: Σ x̄β."""
    import xarray as xr
    from bambi.backend.terms import CommonTerm

    if not model.center_predictors:
        return {}
    out = {}
    for component in model.conditional_parameters.values():
        intercept = component.intercept_term
        if intercept is None:
            continue
        shift: Any = 0.0
        for term in component.common_terms.values():
            own = CommonTerm(term)
            coefficients = _found(model.backend.model, posterior, own.name)
            means = np.atleast_1d(np.mean(term.data, axis=0))
            if own.coords:
                columns = xr.DataArray(means, dims=tuple(own.coords))
                shift = shift + (coefficients * columns).sum(columns.dims)
            else:
                shift = shift + coefficients * means[0]
        out[str(intercept.alias or intercept.name)] = shift
    return out
