"""Prior predictive draws: what the priors say of the data before there are any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pymc_vmrp.arguments import check_count, check_seed
from pymc_vmrp.errors import DataError, PriorError
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.priors.draws import check_proper, draw_prior
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.glmm.variables import Variables, coords, posterior_variables
from pymc_vmrp.prediction.predict import (
    Request,
    check_memory,
    own_known,
    predict_rows,
    rows_at_a_time,
)
from pymc_vmrp.prediction.rows import OwnRows, term_names
from pymc_vmrp.results.idata import build_tree, named_dataset, observed_data

if TYPE_CHECKING:
    import xarray as xr

    from pymc_vmrp.model import Model


def prior_predictive(
    model: Model, draws: int, random_seed: int | np.random.Generator | None
) -> xr.DataTree:
    """Draw from the prior; see :meth:`pymc_vmrp.Model.prior_predictive`."""
    check_count("draws", draws)
    check_seed(random_seed, generator=True)
    glmm, observations = model.glmm, model.observations
    check_proper(glmm, "prior_predictive()")
    rng = np.random.default_rng(random_seed)
    request = Request(tuple(term_names(glmm, bool(model.encoder.offsets))), False, True)
    rows = OwnRows(glmm, observations)
    check_memory(request, rows.size, draws, glmm.n_coefficients)
    sample = _draw(glmm, draws, rng)
    known = None if model.known_argument is None else own_known(glmm, observations)
    try:
        predicted = predict_rows(
            model, rows, sample.flat(), known, request, rows_at_a_time(draws), rng, False
        )
    except DataError as error:
        raise PriorError(
            "prior_predictive(): the priors allow responses beyond the largest number, which "
            "cannot be drawn. Narrower priors, such as priors={'common': Normal(0, 0.5), "
            f"'group_specific': HalfNormal(0.5)}}, would say what is plausible. ({error})"
        ) from None
    assert predicted.responses is not None
    named = posterior_variables(glmm, sample.coefficients, sample.covariances, sample.parameters)
    rows_of = {"__obs__": observations.index}
    means: Variables = {glmm.family.parent: (("__obs__",), predicted.mean[None])}
    responses: Variables = {observations.name: (("__obs__",), predicted.responses[None])}
    sample_coords = {"chain": np.arange(1), "draw": np.arange(draws)}
    tree = build_tree(
        {
            "prior": named_dataset(named | means, coords(glmm) | rows_of, sample_coords),
            "prior_predictive": named_dataset(responses, rows_of, sample_coords),
            "observed_data": observed_data(observations),
        }
    )
    tree.attrs |= {"formula": model.formula, "family": model.family, "link": model.link}
    return tree


def _draw(glmm: GLMM, draws: int, rng: np.random.Generator) -> Draws:
    """Draws of one chain, shape (1, draws, ...)."""
    drawn = [draw_prior(glmm, rng) for _ in range(draws)]
    covariances = tuple(
        np.stack([one[1][j] for one in drawn])[None] for j in range(len(glmm.groups))
    )
    return Draws(
        np.stack([one[0] for one in drawn])[None],
        covariances,
        np.stack([one[2] for one in drawn])[None],
    )
