"""`ReadModel`: a model that has been read, from whichever library; all that follows needs no more.

The door that made it (:mod:`pymc_vmrp.doors`) is not known any more: methods fit its GLMM, and its
``reports`` turn draws into the results that its library would show, and back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from pymc_vmrp.errors import ModelError
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.spec import GLMM, Observations

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from pymc_vmrp.frontends.formula.design import Encoder
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


class KnownArgument(Protocol):
    """Trials or known sds of responses, which new responses are drawn with."""

    def read(self, data: pd.DataFrame, what: str) -> NDArray[Any]:
        """Those of new rows."""


@dataclass(frozen=True)
class Always:
    """A function that returns one encoder; unlike a closure it can be pickled."""

    encoder: Encoder

    def __call__(self) -> Encoder:
        """The encoder."""
        return self.encoder


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
    make_encoder : callable or None
        Makes what gives new rows the model's columns; None where the model does not say.
    no_encoder : str
        What an error then says.
    no_mean : str
        Why mean responses, and new ones, cannot be had of the GLMM; empty where they can.
    known : KnownArgument, optional
    attributes : mapping of str to str
        Of results: the formula, the family ...
    mean_name : str
        Under which name predictions hold the mean response.
    """

    glmm: GLMM
    observations: Observations
    reports: Reports
    kind: str
    make_encoder: Callable[[], Encoder] | None
    known: KnownArgument | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    mean_name: str = "mu"
    no_encoder: str = ""
    no_mean: str = ""

    @cached_property
    def encoder(self) -> Encoder:
        """How new data are given the model's design columns.

        Raises
        ------
        ModelError
            Where the model does not say how its columns come from data.
        """
        if self.make_encoder is None:
            raise ModelError(self.no_encoder)
        return self.make_encoder()

    def check_has_mean(self) -> None:
        """Raise ModelError where mean responses cannot be had of the GLMM."""
        if self.no_mean:
            raise ModelError(self.no_mean)

    @property
    def smooths(self) -> tuple[Smooth, ...]:
        """Smooths and random walks; a model that says nothing of its columns has none."""
        return () if self.make_encoder is None else self.encoder.smooths

    @property
    def has_offset(self) -> bool:
        """Whether a part of the linear predictor is known."""
        return self.observations.offset is not None or self.observations.rows.offset is not None


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
    options: tuple[str, ...] = ()
    warn: Callable[[ReadModel], None] = lambda model: None
    finish: Callable[[xr.DataTree, Sequence[str]], None] = lambda tree, options: None
