"""Effects of a pm.Model that none of its own rows has, such as those of states without respondents.

They are no coefficients of the GLMM, but new rows may have them; draws of the pm.Model do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.errors import ModelError
from pymc_vmrp.frontends.pymc.data_graph import DataGraph, Values
from pymc_vmrp.frontends.pymc.predictor import OfLatent
from pymc_vmrp.frontends.pymc.probe import Columns
from pymc_vmrp.frontends.pymc.reading import Point, Theta
from pymc_vmrp.frontends.pymc.scales import Scale, make_trials, recognise
from pymc_vmrp.glmm.draws import Draws

INTERCEPT = "Intercept"


@dataclass(frozen=True)
class Further:
    """Elements of one latent variable with one σ: coefficients σ·z.

    Attributes
    ----------
    term : str
        Of which they are a part.
    latent : int
    elements : ndarray of int, shape (k,)
    position : ndarray of int, shape (k,)
        Among ``Draws.untouched``.
    block : int or None
        Which block of the GLMM has that σ; None where σ = 1.
    divisor : float
        σ at the hyperparameters' base.
    """

    term: str
    latent: int
    elements: IntArray
    position: IntArray
    block: int | None
    divisor: float

    def coefficients(self, draws: Draws) -> FloatArray:
        """Their draws, shape (k, draws)."""
        assert draws.untouched is not None
        z = draws.untouched[:, self.position].T
        return z if self.block is None else z * np.sqrt(draws.covariances[self.block][:, 0, 0])


def columns_of_latent(
    graph: DataGraph, data: Values, j: int, offset: FloatArray
) -> tuple[Columns, OfLatent]:
    """Columns of η by one latent at some data, and η less its offset as a function of it."""
    function = OfLatent(
        graph.parts, lambda point: graph.eta(point, data).ravel().astype(float), offset, j
    )
    columns = function.columns(np.random.default_rng(0))
    if columns is None:
        raise ModelError(
            f"The design of {graph.parts.latents[j].name!r} in so many rows is too large to be "
            "found at once: predict fewer rows at a time, or pass a smaller chunk_size= to "
            "poststratify."
        )
    return columns, function


def find_further(graph: DataGraph, data: Values) -> tuple[Further, ...]:
    """Those elements without own rows which other data show, with their σ.

    Parameters
    ----------
    graph : DataGraph
    data : mapping of str to ndarray
        Made up, so that rows have as many levels as possible.
    """
    parts, terms = graph.parts, graph.recognised.translation.terms
    trials = make_trials(parts)
    found: list[Further] = []
    offset = graph.eta(Point(parts.zeros(), parts.base()), data).ravel().astype(float)
    at = 0
    for j, elements in terms.untouched:
        position = np.full(parts.latents[j].size, -1)
        position[elements] = at + np.arange(len(elements))
        at += len(elements)
        columns, function = columns_of_latent(graph, data, j, offset)
        new = (position >= 0) & columns.touched
        if not new.any():
            continue

        of_theta = function.scales(columns)

        def scales(theta: Theta) -> FloatArray:
            return np.where(new, of_theta(theta), np.nan)  # noqa: B023

        sigmas = recognise(parts, trials, parts.latents[j].name, "a scale", scales)
        for sigma in dict.fromkeys(sigmas[e] for e in np.flatnonzero(new)):
            own = np.array([e for e in np.flatnonzero(new) if sigmas[e] == sigma])
            place = _place(graph, j, sigma)
            if place is not None:
                divisor = 1.0 if sigma is None else sigma.value(trials.base)
                found.append(Further(place[0], j, own, position[own], place[1], divisor))
    return tuple(found)


def _place(graph: DataGraph, j: int, sigma: Scale | None) -> tuple[str, int | None] | None:
    """Term, and block, of elements with that σ; None where the model's own rows have no such."""
    translation, glmm = graph.recognised.translation, graph.recognised.glmm
    if sigma is not None:
        for b, block in enumerate(translation.terms.blocks):
            same = replace(block.scale, rate=sigma.rate) == sigma
            if same and np.isclose(block.scale.rate, sigma.rate, rtol=1e-7):
                return glmm.groups[b].name, b
        return None
    names = {term.name for term in glmm.common.terms}
    for place in translation.assembled.common:
        if place.part.latent == j:
            name = graph.parts.latents[j].name
            return (name if name in names else INTERCEPT), None
    return None
