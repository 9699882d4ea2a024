"""What models may consist of, read from the code; `python -m pymc_vmrp.supported` prints the page.

docs/supported.md is that page.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping

_HEAD = """# What is supported

Written by `python -m pymc_vmrp.supported`: a test compares this page with the code.
All else ends in an error that names the term, variable or argument, and what to do.
"""

_FAMILIES = """## Families

"formula" is `pymc_vmrp.Model`; "Bambi" and "pm.Model" are `vmrp.fit` on those models (in a
pm.Model the link is known by its values, however it is written); "Gibbs" is that method.
"""

_GRAPH = """In a pm.Model any other distribution of the observed variable will do as well, if each
row has one linear predictor, the log density has two derivatives in it, and there are at most two
parameters besides: `Beta`, `LogNormal`, `Weibull`, `ZeroInflatedPoisson`, `Censored` ... Its log
density, from PyTensor's graph, is integrated by quadrature ([pymc.md](pymc.md#likelihoods)).
"""

_COEFFICIENTS = """## Priors of common effects
"""

_SCALES = """## Priors of standard deviations, and of parameters of the likelihood

In a pm.Model a standard deviation is `c·θ^p` or `c·exp(a·θ)` of a scalar θ of any prior: those of
this table are known by name, and all others are evaluated from the graph.
"""

_COVARIANCES = """## Priors of covariance matrices
"""

_METHODS = """## Methods
"""


def supported() -> str:
    """The page of what is supported, in Markdown."""
    parts = [
        _HEAD, _FAMILIES, _families(), _GRAPH, _COEFFICIENTS, _coefficients(), _SCALES, _scales(),
        _COVARIANCES, _covariances(), _METHODS, _methods(),
    ]  # fmt: skip
    return "\n".join(parts)


def _families() -> str:
    from bambi.defaults import get_builtin_family

    from pymc_vmrp.frontends.bambi.read import BAMBI_FAMILIES
    from pymc_vmrp.frontends.pymc.likelihood import FAMILY_MATCHES
    from pymc_vmrp.glmm.families import families

    in_graphs = {_plain(_print_name(op)) for op in FAMILY_MATCHES}
    rows = []
    for (name, link), family in families().items():
        in_bambi = False
        if name in BAMBI_FAMILIES.values():
            theirs = get_builtin_family(name)
            in_bambi = link in theirs.SUPPORTED_LINKS[theirs.likelihood.parent]
        of_graph = {"gaussian": "normal", "t": "studentt"}.get(name, _plain(name)) in in_graphs
        marks = (True, in_bambi, of_graph, family.augment is not None)
        rows.append((f"`{name}`", f"`{link}`", *map(_mark, marks)))
    return _table(("family", "link", "formula", "Bambi", "pm.Model", "Gibbs"), rows)


def _coefficients() -> str:
    from pymc_vmrp.frontends.bambi_priors import COEFFICIENT_PRIORS
    from pymc_vmrp.frontends.pymc.latents import GAUSSIAN_FORMS
    from pymc_vmrp.glmm.priors.covariance import CoefficientPrior

    ours = _names(CoefficientPrior)
    rename = {"MultivariateNormal": "MvNormal", "RandomWalk": "GaussianRandomWalk"}
    of_graph = [rename.get(name, name) for name in map(_print_name, GAUSSIAN_FORMS)]
    return _by_door(ours, COEFFICIENT_PRIORS, of_graph)


def _scales() -> str:
    from pymc_vmrp.frontends.bambi_priors import SCALE_PRIORS
    from pymc_vmrp.frontends.pymc.scales import NAMED_PRIORS
    from pymc_vmrp.glmm.priors.scales import ScaleDensity, ScalePrior

    ours = [name for name in _names(ScalePrior) if name != ScaleDensity.__name__]
    of_graph = [_print_name(op) for op in NAMED_PRIORS]
    return _by_door(ours, SCALE_PRIORS, of_graph)


def _covariances() -> str:
    from pymc_vmrp.frontends.pymc.reading import LKJ_FORMS
    from pymc_vmrp.glmm.priors.covariance import CovariancePrior
    from pymc_vmrp.glmm.priors.improper import IMPROPER_NAMES
    from pymc_vmrp.glmm.priors.scales import ScalePrior

    scales = set(_names(ScalePrior))
    improper = [f'"{name}"' for name in IMPROPER_NAMES]
    ours = [n for n in _names(CovariancePrior) if n not in scales]
    ours = [n for n in ours if not n.startswith("Improper")] + improper
    return _by_door(ours, [], [name for name, _ in LKJ_FORMS.values()])


def _methods() -> str:
    from pymc_vmrp.inference.methods import METHODS

    return _by_door(METHODS, METHODS, METHODS)


def _by_door(ours: Iterable[str], bambi: Iterable[str], graph: Iterable[str]) -> str:
    doors = [list(names) for names in (ours, bambi, graph)]
    every = dict.fromkeys(name for names in doors for name in names)
    rows = [(f"`{name}`", *(_mark(name in names) for names in doors)) for name in every]
    return _table(("", "formula", "Bambi", "pm.Model"), rows)


def _names(union: object) -> list[str]:
    """Names of the classes of a union, nested ones included."""
    return [cls.__name__ for cls in typing.get_args(union)]


def _print_name(op: type) -> str:
    names: Mapping[int, str] = getattr(op, "_print_name", {0: op.__name__})
    return names[0]


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _mark(yes: bool) -> str:
    return "yes" if yes else ""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head)]
    lines += [["---"] * len(lines[0]), *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    print(supported(), end="")
