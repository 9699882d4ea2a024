"""Chains of the Gibbs sampler."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import numpy as np

from pymc_vmrp.gibbs.check import check_model
from pymc_vmrp.gibbs.iteration import Setup, State, iterate, set_up
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.solvers.blas import one_blas_thread

Callback = Callable[[Sequence[int]], None]

_STRETCH = 20  # iterations of one chain before the thread turns to its next one
_SECONDS_BETWEEN_REPORTS = 0.1


@dataclass(frozen=True)
class Chains:
    """What the chains drew.

    Attributes
    ----------
    draws : Draws
        Shape (chains, draws, ...).
    interrupted : bool
        Whether the user stopped them early.
    seconds : float
    """

    draws: Draws
    interrupted: bool
    seconds: float


def run_chains(glmm: GLMM, starts: Draws, steps: int, tune: int = 0, **options: Any) -> Draws:
    """The draws of :func:`sample_chains`, which takes the options."""
    return sample_chains(glmm, starts, steps, tune, **options).draws


def sample_chains(
    glmm: GLMM,
    starts: Draws,
    steps: int,
    tune: int = 0,
    *,
    thin: int = 1,
    random_seed: int | np.random.SeedSequence | None = None,
    cores: int = 1,
    setup: Setup | None = None,
    callback: Callback | None = None,
) -> Chains:
    """Run one chain from each start; Ctrl-C keeps the draws that all chains have made.

    Parameters
    ----------
    glmm : GLMM
    starts : Draws
        Shape (chains, ...).
    steps : int
        Draws to keep of each chain.
    tune : int
        Iterations before the first of them.
    thin : int
        Keep every thin-th iteration.
    random_seed : int or SeedSequence, optional
        Each chain has a stream of its own: draws do not depend on the number of threads.
    cores : int
        Threads. Pólya–Gamma draws hold Python's lock, so that more of them gain little.
    setup : Setup, optional
        Made by ``set_up(glmm)``: saves time where this function is called over and over.
    callback : callable, optional
        Told the iterations that each chain has made, tuning included.

    Returns
    -------
    Chains
        Draws of shape (chains, steps, ...).

    Raises
    ------
    VmrpError, PriorError
        Where the sampler cannot honour the model; see :func:`check_model`.
    """
    began = time.perf_counter()
    check_model(glmm)
    setup = set_up(glmm) if setup is None else setup
    seed = random_seed
    if not isinstance(seed, np.random.SeedSequence):
        seed = np.random.SeedSequence(seed)
    plan = _Plan(tune, steps, thin)
    chains = [
        _Chain(setup, plan, starts, c, np.random.default_rng(child))
        for c, child in enumerate(seed.spawn(len(starts)))
    ]
    threads = min(cores, len(chains))
    # a slice of the prior far out may overflow: its density there is zero
    with one_blas_thread(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        interrupted = _run(chains, threads, callback)
    kept = min(chain.kept for chain in chains)
    if interrupted and not kept:
        raise KeyboardInterrupt
    return Chains(_stack(chains, kept), interrupted, time.perf_counter() - began)


@dataclass(frozen=True)
class _Plan:
    tune: int
    steps: int
    thin: int

    @property
    def iterations(self) -> int:
        return self.tune + self.steps * self.thin


class _Chain:
    """One chain and the draws it has kept."""

    def __init__(
        self, setup: Setup, plan: _Plan, starts: Draws, c: int, rng: np.random.Generator
    ) -> None:
        self.setup, self.plan, self.rng = setup, plan, rng
        self.done = 0
        covariances = [covariance[c] for covariance in starts.covariances]
        self.state: State = setup.state(starts.coefficients[c], covariances, starts.parameters[c])
        self.draws = starts.map(lambda x: np.empty((plan.steps, *x.shape[1:])))

    @property
    def kept(self) -> int:
        return max(0, self.done - self.plan.tune) // self.plan.thin

    @property
    def finished(self) -> bool:
        return self.done == self.plan.iterations

    def advance(self) -> None:
        """One iteration."""
        state = self.state = iterate(self.setup, self.state, self.rng)
        at = self.kept
        self.done += 1
        if self.kept > at:
            self.draws.coefficients[at] = state.coefficients
            self.draws.parameters[at] = state.parameters
            for kept, covariance in zip(self.draws.covariances, state.covariances, strict=True):
                kept[at] = covariance


def _run(chains: list[_Chain], threads: int, callback: Callback | None) -> bool:
    """Advance all chains to their end; True where Ctrl-C came before."""
    stop = threading.Event()

    def work(mine: list[_Chain]) -> None:
        # by turns, so that an interruption finds them about equally long
        while not all(chain.finished for chain in mine):
            for chain in mine:
                for _ in range(min(_STRETCH, chain.plan.iterations - chain.done)):
                    if stop.is_set():
                        return
                    chain.advance()

    interrupted = False
    with ThreadPoolExecutor(threads) as pool:
        pending = {pool.submit(work, chains[t::threads]) for t in range(threads)}
        futures: set[Future[None]] = set(pending)
        while pending:
            try:
                _, pending = wait(pending, timeout=_SECONDS_BETWEEN_REPORTS)
                if callback is not None:
                    callback([chain.done for chain in chains])
                if any(future.done() and future.exception() for future in futures):
                    stop.set()
            except KeyboardInterrupt:
                interrupted = True
                stop.set()
    for future in futures:
        future.result()  # raises what the thread raised
    return interrupted


def _stack(chains: list[_Chain], kept: int) -> Draws:
    draws = [chain.draws.take(slice(kept)) for chain in chains]
    covariances = zip(*(d.covariances for d in draws), strict=True)
    return Draws(
        np.stack([d.coefficients for d in draws]),
        tuple(np.stack(of_term) for of_term in covariances),
        np.stack([d.parameters for d in draws]),
    )
