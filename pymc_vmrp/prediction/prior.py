"""Prior predictive draws: what the priors say of the data before there are any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pymc_vmrp.arguments import check_count, check_seed
from pymc_vmrp.doors import read_model
from pymc_vmrp.errors import DataError, PriorError
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.prior_draws import check_proper, draw_prior
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.glmm.variables import Variables
from pymc_vmrp.prediction.predict import (
    Request,
    check_memory,
    own_known,
    predict_rows,
    rows_at_a_time,
)
from pymc_vmrp.prediction.rows import OwnRows, term_names
from pymc_vmrp.results.idata import INTERFACE, build_tree, named_dataset, observed_data
from pymc_vmrp.results.sampled import Sampled

if TYPE_CHECKING:
    import xarray as xr


def prior_predictive(
    model: Any, draws: int = 500, random_seed: int | np.random.Generator | None = None
) -> xr.DataTree:
    """Draws of the parameters from their prior, and of responses to the model's own rows.

    Parameters
    ----------
    model : pymc_vmrp.Model, bambi.Model or pm.Model
    draws : int
    random_seed : int or Generator, optional

    Returns
    -------
    DataTree
        As of Bambi: ``prior`` with the variables of a posterior and the mean response of each
        row (``p`` or ``mu``; ``Intercept`` is that of the formula as written, as in
        posteriors), ``prior_predictive`` with responses, and ``observed_data``.

    Raises
    ------
    PriorError
        Where priors are flat (it names the terms), or so wide that responses exceed the largest
        number.

    Examples
    --------
    >>> prior = vmrp.prior_predictive(model, random_seed=1)
    >>> az.plot_ppc_dist(prior, group="prior_predictive")
    """
    model = read_model(model, "prior_predictive()")
    check_count("draws", draws)
    check_seed(random_seed, generator=True)
    glmm, observations = model.glmm, model.observations
    check_proper(glmm, "prior_predictive()")
    model.check_has_mean()
    rng = np.random.default_rng(random_seed)
    request = Request(tuple(term_names(glmm, model.has_offset)), False, True)
    rows = OwnRows(glmm, observations)
    check_memory(request, rows.size, draws, glmm.n_coefficients)
    sample = _draw(glmm, draws, rng)
    known = own_known(glmm, observations)
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
    reported = model.reports.datatree(Sampled(sample, {}, rng), progressbar=False)
    rows_of = {"__obs__": observations.index}
    sample_coords = {"chain": np.arange(1), "draw": np.arange(draws)}
    means: Variables = {model.mean_name: (("__obs__",), predicted.mean[None])}
    responses: Variables = {observations.name: (("__obs__",), predicted.responses[None])}
    prior = reported["posterior"].to_dataset()
    tree = build_tree(
        {
            "prior": prior.merge(named_dataset(means, rows_of, sample_coords)),
            "prior_predictive": named_dataset(responses, rows_of, sample_coords),
            "observed_data": observed_data(observations),
        },
        {key: reported.attrs[key] for key in INTERFACE},
    )
    tree.attrs |= model.attributes
    return tree


def _draw(glmm: GLMM, draws: int, rng: np.random.Generator) -> Draws:
    """Draws of one chain, shape (1, draws, ...)."""
    drawn = [draw_prior(glmm, rng) for _ in range(draws)]
    coefficients, covariances, parameters = zip(*drawn, strict=True)
    return Draws(
        np.stack(coefficients)[None],
        tuple(np.stack(of_group)[None] for of_group in zip(*covariances, strict=True)),
        np.stack(parameters)[None],
    )
