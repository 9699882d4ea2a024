"""How Bambi names and lays out what is unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from pymc_vmrp.frontends.bambi.terms import Bar, Term
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.results.layout import Layout, Reported


def make_layout(
    model: Any, component: Any, glmm: GLMM, terms: Sequence[Term], bars: Sequence[Bar]
) -> Layout:
    """Names, dims and coords as Bambi's backend makes them, aliases included."""
    from bambi.backend.terms import CommonTerm as BackendCommon
    from bambi.backend.terms import GroupSpecificTerm as BackendGroupSpecific
    from bambi.backend.utils import noncentered_default_for

    coords: dict[str, Any] = {}
    variables = [
        Reported(one.alias or name, (), (name,))
        for name, one in model.marginal_parameters.items()
        if name in {parameter.name for parameter in glmm.free_parameters}
    ]
    if component.intercept_term is not None:
        term = component.intercept_term
        variables.append(Reported(term.alias or term.name, (), ("Intercept",)))
    for one in terms:
        backend = BackendCommon(one.term)
        variables.append(Reported(backend.name, tuple(backend.coords), (one.term.name,)))
        coords |= backend.coords
    effects: list[Reported] = []
    default = noncentered_default_for(model, component.name)
    for bar in bars:
        own = BackendGroupSpecific(bar.term, default)
        sigma, effect = _reported_bar(bar, own)
        variables.append(sigma)
        noncentered = default if bar.term.prior.noncentered is None else bar.term.prior.noncentered
        # PyMC reports what it samples before what it computes
        (effects if noncentered else variables).append(effect)
        for dim, labels in own.coords.items():
            coords.setdefault(dim, labels)
    levels = {
        source: bar.levels for bar in bars if len(bar.levels.unseen) for source in bar.sources
    }
    interface = {"modeling_interface": "bambi", "modeling_interface_version": version("bambi")}
    return Layout((*variables, *effects), coords, levels, interface)


def _reported_bar(bar: Bar, backend: Any) -> tuple[Reported, Reported]:
    """The variables of a term's sds and effects."""
    dims: Mapping[str, Any] = backend.coords
    factor = tuple(dim for dim in dims if dim.endswith("__factor_dim"))
    expr = tuple(dim for dim in dims if dim not in factor)
    sigma_name = f"{backend.name}_{bar.term.hyperprior_alias.get('sigma', 'sigma')}"
    sds = tuple(f"{source}_sigma" for source in bar.sources)
    stacked = bar.labels is not None
    return (
        Reported(sigma_name, expr, sds, -1 if stacked else None),
        Reported(backend.name, (*expr, *factor), bar.sources, -2 if stacked else None),
    )
