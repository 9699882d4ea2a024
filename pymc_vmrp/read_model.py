"""`ReadModel`: a model that has been read, from whichever library; all that follows needs no more.

The door that made it (:mod:`pymc_vmrp.doors`) is not known any more: methods fit its GLMM, and its
``reports`` turn draws into the results that its library would show, and back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from pymc_vmrp.arrays import AnyArray, FloatArray, IndexArray
from pymc_vmrp.errors import ModelError
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.spec import GLMM, CommonTerm, Observations

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from pymc_vmrp.frontends.formula.effects import Block
    from pymc_vmrp.frontends.formula.encoder import EncodedRows
    from pymc_vmrp.frontends.formula.smooths import Smooth
    from pymc_vmrp.results.sampled import Sampled


class Reports(Protocol):
    """How the library that a model was written in names and lays out what is unknown."""

    def check_memory(self, draws: int, log_likelihood: bool) -> None:
        """Refuse before the fit what would run out of memory after it; ``draws`` of all chains."""

    def datatree(
        self,
        sampled: Sampled,
        *,
        log_likelihood: bool = False,
        log_prior: bool = False,
        progressbar: bool | None = None,
    ) -> xr.DataTree:
        """Draws as the library lays them out."""

    def draws(self, idata: xr.DataTree, argument: str = "idata") -> Draws:
        """Draws of the GLMM, shape (chain, draw, ...), from what ``datatree`` or the library made.

        Raises
        ------
        DataError
            Where ``idata`` is no fit of the model.
        """


class RowEncoder(Protocol):
    """How new rows become design rows of the GLMM."""

    @property
    def common_terms(self) -> Sequence[CommonTerm]:
        """Those that take part."""

    @property
    def blocks(self) -> Sequence[Block]:
        """Blocks whose levels are found in columns of the data, and may be new."""

    @property
    def smooths(self) -> tuple[Smooth, ...]:
        """Smooths and random walks."""

    @property
    def has_offset(self) -> bool:
        """Whether a part of the linear predictor of new rows is known."""

    @property
    def needed(self) -> Collection[str]:
        """Columns of the data that are read."""

    def restricted(
        self, kept: Collection[str], blocks: Sequence[int], smooths: Sequence[Smooth], offset: bool
    ) -> RowEncoder:
        """The encoder of some of the terms and blocks, which needs their columns alone."""

    def columns_of(self, term: str) -> list[str]:
        """Columns of the data that a term, or "offset", reads."""

    def prepare(self, data: pd.DataFrame, what: str) -> Any:
        """The columns that are needed, checked."""

    def unseen_levels(self, frame: Any) -> list[tuple[str, ...]]:
        """For each block of the GLMM that takes part, the keys of levels that are new."""

    def encode(self, frame: Any, unseen: Sequence[Sequence[str]], what: str) -> EncodedRows:
        """Design of prepared rows; codes of ``further`` coefficients come last."""

    def further(self, draws: Draws) -> list[tuple[str, FloatArray]]:
        """Coefficients beside those of the GLMM: their term, and values of shape (k, draws)."""


class KnownArgument(Protocol):
    """Trials or known sds of responses, which new responses are drawn with."""

    def read(self, data: pd.DataFrame, what: str) -> AnyArray:
        """Those of new rows."""


@dataclass(frozen=True)
class Always[T]:
    """A function that returns one value; unlike a closure it can be pickled."""

    value: T

    def __call__(self) -> T:
        """The value."""
        return self.value


@dataclass(frozen=True)
class Predictors:
    """Columns that the predictors of a model read, in the data that it was built from.

    Attributes
    ----------
    frame : DataFrame
        Rows that differ.
    row : ndarray of integers, shape (rows of the data,)
        Which of them each row of the data is.
    """

    frame: pd.DataFrame
    row: IndexArray


@dataclass(frozen=True)
class ReadModel:
    """A model that has been read.

    Attributes
    ----------
    glmm : GLMM
    observations : Observations
        The response of each row, and the cell that it is in.
    reports : Reports
    kind : str
        What messages call the model, such as "a Bambi model".
    make_encoder : callable
        Makes what gives new rows the model's columns.
    no_mean : str
        Why mean responses, and new ones, cannot be had of the GLMM; empty where they can.
    known : KnownArgument, optional
    attributes : mapping of str to str
        Of results: the formula, the family ...
    mean_name : str
        Under which name predictions hold the mean response.
    make_predictors : callable, optional
        The columns that the encoder reads, of the model's own data.
    smooths : tuple of Smooth
        Smooths and random walks of a formula.
    """

    glmm: GLMM
    observations: Observations
    reports: Reports
    kind: str
    make_encoder: Callable[[], RowEncoder]
    known: KnownArgument | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    mean_name: str = "mu"
    no_mean: str = ""
    make_predictors: Callable[[], Predictors] | None = None
    smooths: tuple[Smooth, ...] = ()

    @cached_property
    def encoder(self) -> RowEncoder:
        """How new data are given the model's design columns."""
        return self.make_encoder()

    def check_has_mean(self) -> None:
        """Raise ModelError where mean responses cannot be had of the GLMM."""
        if self.no_mean:
            raise ModelError(self.no_mean)

    @property
    def has_offset(self) -> bool:
        """Whether a part of the linear predictor is known."""
        return self.observations.whole_offset is not None


@dataclass(frozen=True)
class Door:
    """How a model of one library is read, and what that library does itself.

    Attributes
    ----------
    kind : str
        What messages call the model.
    read : callable
        Reads it.
    own_nuts : callable, optional
        (draws, random seed, options) → what the library's own NUTS returns.
    nuts_call : str
        The library's own call, for messages.
    unknowns : callable, optional
        Names of the variables of the library's own result that R-hat and ESS are of, as
        deterministics are not; without it all.
    options : tuple of str
        Options of :func:`pymc_vmrp.fit` for models of this library alone: flags.
    warn : callable
        (model that was read) → None, before it is fitted: warnings that are given once.
    finish : callable
        (DataTree, those options) → None, once there is a result.
    """

    kind: str
    read: Callable[[], ReadModel]
    own_nuts: Callable[[int, int | None, dict[str, Any]], xr.DataTree] | None = None
    nuts_call: str = ""
    options: tuple[str, ...] = ()
    warn: Callable[[ReadModel], None] = lambda model: None
    finish: Callable[[xr.DataTree, Sequence[str]], None] = lambda tree, options: None
    unknowns: Callable[[], Collection[str] | None] = lambda: None
