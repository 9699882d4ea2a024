"""Predictions: the mean response of rows, new responses, and what each term contributes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pymc_vmrp.arguments import check_flag, check_progressbar, check_seed, names_of
from pymc_vmrp.arrays import AnyArray, FloatArray
from pymc_vmrp.doors import read_model
from pymc_vmrp.errors import DataError, warn
from pymc_vmrp.frontends.checks import check_frame
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.families.family import Parameters
from pymc_vmrp.glmm.spec import GLMM, Observations
from pymc_vmrp.prediction.overflow import explain_overflow
from pymc_vmrp.prediction.rows import (
    OFFSET,
    Chunk,
    Coefficients,
    OwnRows,
    Rows,
    group_terms,
    new_rows,
    refuse_unseen,
    smooth_terms,
    term_names,
)
from pymc_vmrp.progress import row_progress
from pymc_vmrp.results.idata import build_tree, posterior_dataset
from pymc_vmrp.solvers import choose

if TYPE_CHECKING:
    import xarray as xr

    from pymc_vmrp.read_model import ReadModel


KINDS = ("response_params", "response")
ROW_DIM = "__obs__"
LINEAR_PREDICTOR = "linear_predictor"

_BLOCK = 2**22  # linear predictors held at a time
_MOST_ROWS = 2**18  # read from a data frame at a time
_COPIES_OF_BLOCK = 6  # at the peak: η, the mean, responses, and what drawing them takes
_STORED_AS = {"binary": np.int8, "proportion": np.int64, "count": np.int64}


@dataclass(frozen=True)
class Request:
    """What is to be predicted.

    Attributes
    ----------
    kept : tuple of str
        Terms of the linear predictor that take part.
    contributions : bool
        Whether to return the contribution of each of them.
    responses : bool
        Whether to draw new responses.
    """

    kept: tuple[str, ...]
    contributions: bool
    responses: bool


def predict(
    model: Any,
    idata: xr.DataTree,
    kind: str = "response_params",
    data: pd.DataFrame | None = None,
    inplace: bool = True,
    include_group_specific: bool = True,
    sample_new_groups: bool = False,
    random_seed: int | np.random.Generator | None = None,
    *,
    exclude: str | Sequence[str] | None = None,
    terms: bool = False,
    progressbar: bool | None = None,
) -> xr.DataTree | None:
    """Predict the rows of a model's own data, or of new data.

    Parameters
    ----------
    model : pymc_vmrp.Model, bambi.Model or pm.Model
    idata : DataTree
        A fit of the model, by any inference method of this package or of its own.
    kind, data, inplace, include_group_specific, sample_new_groups, random_seed, exclude, terms, \
progressbar
        As in :meth:`pymc_vmrp.Model.predict`. A pm.Model predicts new
        rows where its data are in pm.Data containers: columns have their names, ``X[0]`` or
        ``X[label]`` those of a table ``X``, and hold positions where a container is an index.

    Returns
    -------
    DataTree or None
        As of :meth:`pymc_vmrp.Model.predict`; the mean response of a pm.Model is called after its
        observed variable, such as ``y_mean``.

    Raises
    ------
    DataError
        Where columns are missing, a level was never seen, or memory would not do.
    ModelError
        Where the model does not say how new rows get its columns.
    """
    model = read_model(model, "predict()")
    check_flag("inplace", inplace)
    check_flag("include_group_specific", include_group_specific)
    check_flag("sample_new_groups", sample_new_groups)
    check_flag("terms", terms)
    check_seed(random_seed, generator=True)
    check_progressbar(progressbar)
    if not isinstance(kind, str) or kind not in KINDS:
        shown = "a data frame (pass it as data=)" if isinstance(kind, pd.DataFrame) else repr(kind)
        raise DataError(f"kind must be one of {', '.join(KINDS)}, not {shown}.")
    glmm = model.glmm
    model.check_has_mean()
    has_offset = model.has_offset if data is None else model.encoder.has_offset
    kept = _kept_terms(model, exclude, include_group_specific, has_offset)
    request = Request(kept, bool(terms), kind == "response")
    if request.contributions and LINEAR_PREDICTOR in request.kept:  # it would be overwritten
        raise DataError(
            f"terms=True stores the sum as {LINEAR_PREDICTOR!r}, but the model has a term of that "
            "name: rename the column and fit again, or exclude it."
        )
    draws = model.reports.draws(idata)
    chains, n_draws = draws.coefficients.shape[:2]
    frame = None if data is None else check_frame(data, "data")
    size = rows_at_a_time(chains * n_draws)
    rows: Rows
    if frame is None:
        rows = OwnRows(glmm, model.observations, OFFSET in request.kept)
    else:
        rows = new_rows(glmm, model.encoder, frame, "data", size, request.kept)
        if not sample_new_groups:
            refuse_unseen(rows)
    check_memory(request, rows.size, chains * n_draws, draws.coefficients.shape[-1])
    known = own_known(glmm, model.observations) if request.responses else None
    if request.responses and frame is not None and model.known is not None:
        known = model.known.read(frame, "data")
    elif known is not None and frame is not None:
        raise DataError(
            f"New responses of {model.observations.name!r} need the trials or sds of new rows, "
            f"which {model.kind} does not say: kind='response_params' gives their means."
        )
    predicted = predict_rows(
        model, rows, draws.flat(), known, request, size, np.random.default_rng(random_seed),
        progressbar,
    )  # fmt: skip
    if predicted.overflow is not None:
        warn(predicted.overflow)
    return _store(model, idata, predicted, rows.labels, inplace)


def rows_at_a_time(n_draws: int) -> int:
    """How many rows to predict for together."""
    return min(max(1, _BLOCK // n_draws), _MOST_ROWS)


# --- what takes part ---------------------------------------------------------------------------


def _kept_terms(
    model: ReadModel,
    exclude: str | Sequence[str] | None,
    include_group_specific: bool,
    has_offset: bool,
) -> tuple[str, ...]:
    names = term_names(model.glmm, has_offset)
    blocks = {group.name: group_terms(model.glmm, group) for group in model.glmm.groups}
    known = {_squeezed(name): [name] for name in names}
    for block, members in blocks.items():
        known.setdefault(_squeezed(block), members)
    for smooth in model.smooths:  # excluded as a whole under its own name
        known[_squeezed(smooth.name)] = smooth_terms(smooth)
    excluded: set[str] = set()
    for name in names_of("exclude=", exclude, "the name of a term, a list of them") or ():
        if _squeezed(name) not in known:
            raise DataError(
                f"exclude= has {name!r}, but the model has no such term. Its terms are "
                f"{', '.join(map(repr, names))}."
            )
        excluded.update(known[_squeezed(name)])
    if not include_group_specific:
        excluded.update(name for members in blocks.values() for name in members)
    return tuple(name for name in names if name not in excluded)


def _squeezed(name: str) -> str:
    """A name without spaces, so that ``1 + x | g`` is ``1+x|g``."""
    return "".join(name.split())


def check_memory(request: Request, n_rows: int, n: int, n_coefficients: int) -> None:
    """Refuse before the work what would run out of memory during it; ``n`` draws."""
    contributions = 1 + len(request.kept) if request.contributions else 0
    arrays = 1 + int(request.responses) + contributions
    work = _COPIES_OF_BLOCK * min(n * n_rows, _BLOCK)
    needed = 8 * (n * n_rows * arrays + work + 3 * n * n_coefficients)
    if needed > choose.physical_memory():
        fewer = "predict fewer rows at a time"
        fewer += ", leave out terms=True" if request.contributions else ""
        raise DataError(
            f"Predictions of {n_rows:,} rows with {n:,} draws need about {needed / 2**30:,.0f} GB "
            "of memory. Take fewer draws, as in idata.isel(draw=slice(None, None, 10)), or "
            f"{fewer}; averages over rows are what vmrp.poststratify is for."
        )


# --- the work ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Predicted:
    """Arrays of shape (chain · draw, rows), and what to say where means are not finite."""

    mean: FloatArray
    contributions: dict[str, FloatArray]
    responses: AnyArray | None
    overflow: str | None = None


def predict_rows(
    model: ReadModel,
    rows: Rows,
    draws: Draws,
    known: AnyArray | None,
    request: Request,
    size: int,
    rng: np.random.Generator,
    progressbar: bool | None,
) -> Predicted:
    """Predict rows, some at a time; ``draws`` have one sample dimension."""
    glmm = model.glmm
    family = glmm.family
    coefficients = rows.coefficients(draws, rng)
    shape = (len(draws), rows.size)
    names = [*request.kept, LINEAR_PREDICTOR] if request.contributions else []
    out = Predicted(
        np.empty(shape),
        {name: np.empty(shape) for name in names},
        np.empty(shape, _STORED_AS.get(family.response, np.float64)) if request.responses else None,
    )
    phi = glmm.family_arguments(draws.parameters.T)
    with row_progress(progressbar, rows.size, "Predicting") as report:
        for chunk in rows.chunks(coefficients, size):
            part = chunk.part
            with np.errstate(over="ignore", invalid="ignore"):  # said below
                eta = _linear_predictor(chunk, coefficients, request.kept, out.contributions)
                mean = family.inverse_link(eta)
            out.mean[:, part] = mean.T
            if out.overflow is None and not np.isfinite(mean).all():
                text = explain_overflow(rows, chunk, coefficients, mean)
                if out.responses is not None:
                    raise DataError(f"New responses cannot be drawn: {text}")
                out = replace(out, overflow=f"predict: {text}")
            if out.responses is not None and family.response == "binary":
                out.responses[:, part] = (rng.random(mean.shape) < mean).T  # faster than binomials
            elif out.responses is not None:
                of_part = None if known is None else known[part, None]
                out.responses[:, part] = draw_responses(glmm, eta, of_part, phi, rng).T
            report(part.stop)
    return out


def _linear_predictor(
    chunk: Chunk,
    coefficients: Coefficients,
    kept: Collection[str],
    contributions: dict[str, FloatArray],
) -> FloatArray:
    """η of a chunk, shape (rows, draws); contributions are filled in where they are wanted."""
    if not contributions:
        return chunk.linear_predictor(coefficients, kept)
    n_draws = coefficients.values.shape[1]
    total = np.zeros((chunk.part.stop - chunk.part.start, n_draws))
    for name in kept:
        if name == OFFSET and chunk.offset is not None:
            term = np.broadcast_to(chunk.offset[:, None], total.shape)
        else:
            term = coefficients.linear_predictor(chunk, (name,))
        contributions[name][:, chunk.part] = term.T
        total += term
    contributions[LINEAR_PREDICTOR][:, chunk.part] = total.T
    return total


def draw_responses(
    glmm: GLMM,
    eta: FloatArray,
    known: AnyArray | None,
    phi: Parameters,
    rng: np.random.Generator,
) -> AnyArray:
    """New responses, shape (rows, draws); ``known`` are trials or sds, shape (rows, 1).

    Raises
    ------
    DataError
        Where linear predictors are so large that responses cannot be drawn.
    """
    counts = glmm.family.response == "proportion"
    if known is not None and not counts:
        phi = (known,)  # se(y, sd) knows σ row by row
    trials = np.broadcast_to(known, eta.shape) if known is not None and counts else None
    try:
        with np.errstate(over="ignore"):
            return np.asarray(glmm.family.draw(rng, eta, trials, phi))
    except ValueError as error:  # NumPy refuses means beyond its integers
        raise DataError(
            f"New responses cannot be drawn: linear predictors reach {eta.max():.3g} on the "
            f"{glmm.family.link} scale ({error}). Predictors far outside of the model's data, or "
            "new levels of a term with a huge standard deviation, do that; kind='response_params' "
            "works."
        ) from error


def own_known(glmm: GLMM, observations: Observations) -> AnyArray | None:
    """Trials or known sds of the model's own rows."""
    rows = observations.rows
    return rows.trials if glmm.family.response == "proportion" else rows.sd


# --- the result --------------------------------------------------------------------------------


def _store(
    model: ReadModel, idata: xr.DataTree, predicted: Predicted, labels: AnyArray, inplace: bool
) -> xr.DataTree | None:
    """Add predictions to ``idata``, or to a copy that shares its arrays."""
    import xarray as xr

    posterior = posterior_dataset(idata)
    posterior = posterior.drop_dims(ROW_DIM, errors="ignore")  # of an earlier prediction
    shape = (posterior.sizes["chain"], posterior.sizes["draw"], len(labels))
    sample = {name: posterior[name].to_numpy() for name in ("chain", "draw")}
    dims = ("chain", "draw", ROW_DIM)

    def dataset(arrays: dict[str, AnyArray]) -> xr.Dataset:
        named = {name: (dims, values.reshape(shape)) for name, values in arrays.items()}
        return xr.Dataset(named, coords={**sample, ROW_DIM: labels})

    new = {"terms": dataset(predicted.contributions)} if predicted.contributions else {}
    if predicted.responses is not None:
        new["posterior_predictive"] = dataset({model.observations.name: predicted.responses})
    groups = {name: group.to_dataset() for name, group in build_tree(new).children.items()}
    groups["posterior"] = posterior.merge(dataset({model.mean_name: predicted.mean}))
    target = idata if inplace else idata.copy(deep=False)
    if "terms" in target.children:  # of other rows, perhaps
        del target["terms"]
    for name, group in groups.items():
        target[name] = xr.DataTree(group)
    return None if inplace else target
