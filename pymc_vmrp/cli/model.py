"""What a model is on the command line, besides its data."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import pandas as pd

from pymc_vmrp.model import Model


@dataclass(frozen=True)
class Specification:
    """See :class:`pymc_vmrp.Model`.

    ``environment`` is "saved" where the formula comes from a file, which anybody may have written.
    """

    formula: str
    family: str = "bernoulli"
    link: str | None = None
    weights: str | None = None
    dropna: bool = False
    environment: str = "command line"

    def model(self, survey: pd.DataFrame, quiet: bool = False) -> Model:
        """The model of a survey; ``quiet`` where its warnings have been seen."""
        with warnings.catch_warnings():
            if quiet:
                warnings.simplefilter("ignore", UserWarning)
            return Model(
                self.formula, survey, family=self.family, dropna=self.dropna, link=self.link,
                weights=self.weights, environment=self.environment,
            )  # fmt: skip
