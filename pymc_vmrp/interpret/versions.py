"""The same rows under several values of a column, with one draw of each new level for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from pymc_vmrp.arrays import FloatArray, IntArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.prediction.averages import add_means, mean_design
from pymc_vmrp.prediction.overflow import explain_overflow
from pymc_vmrp.prediction.rows import Chunk, Coefficients, NewRows, new_rows
from pymc_vmrp.prediction.unseen import check_unseen
from pymc_vmrp.progress import row_progress
from pymc_vmrp.read_model import ReadModel


@dataclass(frozen=True)
class Versions:
    """Rows under several values of a column.

    Attributes
    ----------
    model : ReadModel
    rows : tuple of NewRows
        One for each version, in the same order of rows.
    coefficients : Coefficients
        Draws of what the design of all of them refers to.
    chunk_size : int
    """

    model: ReadModel
    rows: tuple[NewRows, ...]
    coefficients: Coefficients
    chunk_size: int

    @property
    def n_draws(self) -> int:
        """Draws of all chains."""
        return self.coefficients.values.shape[1]

    def chunks(self, progressbar: bool | None = None) -> Iterator[tuple[slice, list[Chunk]]]:
        """Some rows at a time, under each of the values."""
        runs = zip(*(r.chunks(self.coefficients, self.chunk_size) for r in self.rows), strict=True)
        with row_progress(progressbar, self.rows[0].size, "Predicting") as report:
            for chunks in runs:
                yield chunks[0].part, list(chunks)
                report(chunks[0].part.stop)

    def means(self, chunks: Sequence[Chunk]) -> list[FloatArray]:
        """Mean responses of a chunk under each value, shape (rows, draws)."""
        inverse_link = self.model.glmm.family.inverse_link
        found = []
        for version, chunk in enumerate(chunks):
            with np.errstate(over="ignore", invalid="ignore"):  # an error, next
                mean = np.asarray(inverse_link(chunk.linear_predictor(self.coefficients)))
            if not np.isfinite(mean).all():
                raise self.explain(version, chunk, mean)
            found.append(mean)
        return found

    def explain(self, version: int, chunk: Chunk, mean: FloatArray) -> DataError:
        """The error of mean responses that are not finite."""
        rows = self.rows[version]
        text = explain_overflow(rows, chunk, self.coefficients, mean)
        return DataError(f"{text[0].upper()}{text[1:]}")


def make_versions(
    model: ReadModel,
    frames: Sequence[pd.DataFrame],
    draws: Draws,
    what: str,
    *,
    chunk_size: int,
    sample_new_groups: bool | None = None,
    random_seed: int | np.random.Generator | None = None,
) -> Versions:
    """Read frames that differ in a column.

    Parameters
    ----------
    model : ReadModel
    frames : sequence of DataFrame
    draws : Draws
        With one sample dimension.
    what : str
        What messages call the frames.
    chunk_size : int
        Rows at a time.
    sample_new_groups, random_seed
        As in :func:`pymc_vmrp.poststratify`.
    """
    read = [new_rows(model.glmm, model.encoder, frame, what, chunk_size) for frame in frames]
    for rows in read:
        check_unseen(rows, sample_new_groups)
    # a level that is new under one value alone is a level of all
    unseen = tuple(
        tuple(sorted(set().union(*keys))) for keys in zip(*(r.unseen for r in read), strict=True)
    )
    together = tuple(replace(rows, unseen=unseen) for rows in read)
    rng = np.random.default_rng(random_seed)
    return Versions(model, together, together[0].coefficients(draws, rng), chunk_size)


def with_value(frame: pd.DataFrame, column: str, value: Any) -> pd.DataFrame:
    """The frame with one value in all rows of a column, or a value for each row.

    The column keeps its dtype where that can hold the value.
    """
    dtype = frame[column].dtype if column in frame.columns else None
    if np.ndim(value) == 0:
        value = [value] * len(frame)
    if isinstance(dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(dtype):
        typed = pd.Series(value, index=frame.index, dtype=holding(dtype, value))
        return frame.assign(**{column: typed})
    return frame.assign(**{column: np.asarray(value)})


def holding(dtype: Any, values: Sequence[Any]) -> Any:
    """A dtype with categories for values that it lacks; the dtype itself where it has none."""
    if not isinstance(dtype, pd.CategoricalDtype):
        return dtype
    further = [value for value in dict.fromkeys(values) if value not in dtype.categories]
    return pd.CategoricalDtype([*dtype.categories, *further], dtype.ordered) if further else dtype


def mean_responses(
    versions: Versions, shares: FloatArray, groups: IntArray, n_groups: int,
    progressbar: bool | None = None,
) -> list[FloatArray]:  # fmt: skip
    """Weighted sums of the response by group, for each version, shape (groups, draws) each.

    Raises
    ------
    DataError
        Where a mean response is not finite.
    """
    family = versions.model.glmm.family
    totals = [np.zeros((n_groups, versions.n_draws)) for _ in versions.rows]
    for part, chunks in versions.chunks(progressbar):
        for version, (chunk, total) in enumerate(zip(chunks, totals, strict=True)):
            add_means(family, chunk, versions.coefficients, shares[part], groups[part], total)
            if not np.isfinite(total[np.unique(groups[part])]).all():
                with np.errstate(over="ignore", invalid="ignore"):
                    eta = chunk.linear_predictor(versions.coefficients)
                    raise versions.explain(version, chunk, np.asarray(family.inverse_link(eta)))
    return totals


def mean_designs(
    versions: Versions, shares: FloatArray, groups: IntArray, n_groups: int,
    progressbar: bool | None = None,
) -> list[tuple[csr_array, FloatArray]]:  # fmt: skip
    """Weighted sums of design rows (groups, p), and of offsets (groups,), for each version."""
    p = len(versions.coefficients.values)
    totals = [csr_array((n_groups, p)) for _ in versions.rows]
    offsets = [np.zeros(n_groups) for _ in versions.rows]
    for part, chunks in versions.chunks(progressbar):
        for version, chunk in enumerate(chunks):
            totals[version] += mean_design(chunk, p, shares[part], groups[part], n_groups)
            if chunk.offset is not None:
                known = shares[part] * chunk.offset
                offsets[version] += np.bincount(groups[part], known, minlength=n_groups)
    return list(zip(totals, offsets, strict=True))


def shares_of(weights: FloatArray, groups: IntArray, n_groups: int) -> FloatArray:
    """Weights that sum to one within each group."""
    total = np.bincount(groups, weights=weights, minlength=n_groups)
    return np.asarray(weights / total[groups])
