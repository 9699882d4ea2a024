"""What `predictions`, `comparisons` and `slopes` are asked for, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pymc_vmrp.arguments import (
    check_flag,
    check_probability,
    check_progressbar,
    check_seed,
    names_of,
)
from pymc_vmrp.doors import read_model
from pymc_vmrp.errors import DataError
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.interpret.contrasts import arms_of
from pymc_vmrp.interpret.grid import Conditional
from pymc_vmrp.interpret.sample import Sample, given_sample, own_sample
from pymc_vmrp.read_model import ReadModel

ALL = "all"


@dataclass(frozen=True)
class Asked:
    """What all three functions are asked for."""

    read: ReadModel
    draws: Draws
    average_by: list[str] | None
    use_hdi: bool
    prob: tuple[float, ...]
    sample: Sample
    sample_new_groups: bool | None
    random_seed: Any
    progressbar: bool | None

    def levels(self, name: str) -> list[Any]:
        """Values of a column in the model's own data, where they are known."""
        if self.read.make_predictors is None:
            return []
        return arms_of(self.read.make_predictors().frame[name])


def read_asked(
    model: Any, idata: Any, call: str, average_by: Any, conditional: Conditional, use_hdi: Any,
    prob: Any, data: Any, weights: Any, sample_new_groups: Any, random_seed: Any, progressbar: Any,
) -> Asked:  # fmt: skip
    """Check the arguments that the three functions share; ``call`` is what messages call them."""
    read = read_model(model, call)
    read.check_has_mean()
    check_flag("use_hdi", use_hdi)
    if sample_new_groups is not None:
        check_flag("sample_new_groups", sample_new_groups)
    check_seed(random_seed, generator=True)
    check_progressbar(progressbar)
    if prob is None:
        import arviz as az

        prob = az.rcParams["stats.ci_prob"]
    probabilities = list(prob) if isinstance(prob, list | tuple) else [prob]
    if not probabilities:
        raise DataError("prob= is an empty list: name at least one probability, such as 0.9.")
    for one in probabilities:
        check_probability("prob", one)
    by = names_of("average_by=", average_by, "'all', a column, or a list of columns")
    further = [name for name in by or () if name != ALL] if conditional is None else []
    distinct = by is not None or conditional is not None
    if data is None:
        if weights is not None:
            raise DataError("weights= names a column of data=, which is missing.")
        sample = own_sample(read, further, "average_by=", distinct)
    else:
        sample = given_sample(read, data, weights, further, "average_by=", distinct=distinct)
    return Asked(
        read, read.reports.draws(idata), by, use_hdi,
        tuple(sorted(map(float, probabilities), reverse=True)), sample, sample_new_groups,
        random_seed, progressbar,
    )  # fmt: skip
