"""What a method of `benchmarks.methods` returns, and the settings it is given."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.isolate import Row

FloatArray = NDArray[np.float64]


class Unavailable(Exception):
    """The method cannot be run here; the message says what is missing."""


@dataclass(frozen=True)
class Settings:
    """What all methods are run with.

    Attributes
    ----------
    draws : int
        Of a variational method.
    chains, chain_draws : int
        Of MCMC, and draws of each.
    steps, flow_steps : int
        Of stochastic gradients: ADVI, and the flow.
    seed : int
    """

    draws: int = 4000
    chains: int = 4
    chain_draws: int = 1000
    steps: int = 30_000
    flow_steps: int = 30_000
    seed: int = 2018


@dataclass(frozen=True)
class Fitted:
    """A fit, and what it took.

    Attributes
    ----------
    tree : DataTree
        With the names of ``model.fit``.
    seconds : float
        Fit and draws, without compilation where that can be told apart.
    compile_s : float
        Compilation; nan where it is in ``seconds``.
    log_ratio : ndarray of shape (draws,), optional
        Log p(y, θ) − log q(θ) of the method's own draws, before any resampling.
    extra : dict
        Further columns of the table.
    """

    tree: Any
    seconds: float
    compile_s: float = float("nan")
    log_ratio: FloatArray | None = None
    extra: Row = field(default_factory=dict)


def need(module: str, remedy: str) -> None:
    """Raise Unavailable with the remedy where a module is not installed."""
    if importlib.util.find_spec(module) is None:
        raise Unavailable(f"{module} is not installed: {remedy}")
