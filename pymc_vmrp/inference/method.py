"""What an inference method is: its options, and a function from a GLMM to draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from pymc_vmrp.arguments import refuse_given
from pymc_vmrp.errors import VmrpError
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.spec import GLMM
from pymc_vmrp.results.mixture import MixturePosterior
from pymc_vmrp.results.posterior import VariationalPosterior
from pymc_vmrp.results.sampled import Sampled

Earlier = Draws | VariationalPosterior | MixturePosterior
"""An earlier fit that chains start from: its draws, with one sample dimension, or its q."""

Draw = Callable[[GLMM, int, int], Draws]
"""(model, number of draws, random seed) → nearly independent draws."""

MORE = "more"
_OF_CHAINS = ("tune", "chains", "cores")


@dataclass(frozen=True)
class Request:
    """What every method is asked for.

    Attributes
    ----------
    draws : int
        Of each chain.
    random_seed : int or None
    progressbar : bool or None
        None leaves it to the method.
    """

    draws: int
    random_seed: int | None = None
    progressbar: bool | None = None


def any_model(glmm: GLMM, options: Any) -> None:
    """Nothing to check: the options go with any model."""


@dataclass(frozen=True)
class Method:
    """An inference method.

    Attributes
    ----------
    name : str
    options : type
        A frozen dataclass, whose fields are the method's arguments, with their defaults, and which
        checks them as it is made. A field ``more`` takes all arguments that are not listed; one
        called ``warm_start`` an earlier fit of the model.
    sample : callable
        (GLMM, :class:`Request`, options) → :class:`pymc_vmrp.results.sampled.Sampled`.
    check : callable
        (GLMM, options) → None; a VmrpError where they do not go together, before any work.
    """

    name: str
    options: type[Any]
    sample: Callable[[GLMM, Request, Any], Sampled]
    check: Callable[[GLMM, Any], None] = any_model

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the options."""
        return tuple(field.name for field in fields(self.options) if field.name != MORE)

    @property
    def has_chains(self) -> bool:
        """Whether draws come in chains that depend on their last."""
        return "chains" in self.arguments

    def take(self, given: Mapping[str, Any], hint: str = "") -> Any:
        """The options given, checked; of chains and starts None is the default.

        Parameters
        ----------
        given : mapping
        hint : str
            What the error of an unknown option adds.

        Raises
        ------
        VmrpError
            Where the method has no such option; the message lists those it has.
        """
        unset = {name for name in (*_OF_CHAINS, "warm_start") if given.get(name) is None}
        given = {name: value for name, value in given.items() if name not in unset}
        if not self.has_chains:
            refuse_given(
                f"inference_method={self.name!r}",
                "its draws are independent, and make up one chain. Raise draws= for more of them.",
                **{name: given.get(name) for name in _OF_CHAINS},
            )
        if "warm_start" in given and "warm_start" not in self.arguments:
            raise VmrpError(
                f"warm_start= is for methods with chains, such as 'nuts' and 'gibbs', not for "
                f"{self.name!r}."
            )
        own = {name: value for name, value in given.items() if name in self.arguments}
        rest = {name: value for name, value in given.items() if name not in own}
        if any(field.name == MORE for field in fields(self.options)):
            return self.options(**own, more=rest)
        if rest:
            raise VmrpError(
                f"fit() has no argument {sorted(rest)[0]!r} for inference_method={self.name!r}; "
                f"besides its own it takes {', '.join(self.arguments) or 'none'}."
                f"{hint}"
            )
        return self.options(**own)


@dataclass(frozen=True)
class Drawing:
    """A method and its options as a function: (GLMM, number of draws, random seed) → draws.

    Those of chains are thinned evenly.
    """

    method: Method
    options: Any

    def __call__(self, glmm: GLMM, draws: int, random_seed: int) -> Draws:
        """Nearly independent draws, with one sample dimension."""
        request = Request(draws, random_seed, progressbar=False)
        sampled = self.method.sample(glmm, request, self.options)
        if sampled.interrupted:  # the engines keep Ctrl-C to themselves
            raise KeyboardInterrupt
        flat = sampled.draws.flat()
        if len(flat) == draws:
            return flat
        return flat.take(np.linspace(0, len(flat) - 1, draws).astype(np.int64))
