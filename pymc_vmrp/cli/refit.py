"""Refit a part of the survey by NUTS, and compare: a step of ``fit`` and ``demo``."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pandas as pd

from pymc_vmrp.cli.console import console, print_comparison, say
from pymc_vmrp.cli.estimates import Target
from pymc_vmrp.cli.outputs import Results
from pymc_vmrp.model import Model

_READING = (
    "Shift is in posterior sds of NUTS; 0, and ratios of 1, are agreement. Two equal samples reach "
    "an overlap of about 0.96."
)


@dataclass(frozen=True)
class Refit:
    """A model of some rows of the survey."""

    model: Model
    rows: int

    def run(self, cells: pd.DataFrame | None, target: Target, results: Results) -> None:
        """Fit by CAVI and by NUTS, which starts from the fit by CAVI; compare; add the results."""
        from pymc_vmrp.plots import draw_comparison
        from pymc_vmrp.summaries.compare import compare

        say(f"Refitting {self.rows:,} rows by NUTS, to compare (compiling takes a while) ...")
        fast = self.model.fit(random_seed=target.seed, progressbar=False)
        start = time.perf_counter()
        slow = self.model.fit(
            1000,
            inference_method="nuts",
            warm_start=fast,
            chains=2,
            cores=2,
            random_seed=target.seed,
            progressbar=console.is_terminal,
        )
        attrs = slow.attrs
        say(
            f"NUTS took {time.perf_counter() - start:.1f} s, compilation included: "
            f"{attrs['divergences']} divergences, R-hat up to {attrs['max_rhat']:.3f}, effective "
            f"sample size from {attrs['min_ess']:.0f}."
        )
        table = drawn = compare(fast, slow)
        if cells is not None:
            estimates = [target.estimates(self.model, tree, cells) for tree in (fast, slow)]
            drawn = compare(estimates[0], estimates[1])
            table = pd.concat([drawn, table])
        print_comparison(table, "CAVI against NUTS, means over each variable's elements")
        say(_READING)
        results.table(table.reset_index(), "comparison.csv")
        labels = (f"CAVI, {self.rows:,} rows", f"NUTS, {self.rows:,} rows")
        results.figure(draw_comparison(drawn, labels), "comparison.png")
