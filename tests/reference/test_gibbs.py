"""The Gibbs sampler against long NUTS runs: skipped where ../shared is not there."""

from __future__ import annotations

import pytest

from benchmarks import accuracy


@pytest.mark.slow
def test_gibbs_agrees_with_nuts(shared):
    """But for the effects of ethnicity: NUTS missed the tail of their sd (docs/inference.md)."""
    case = accuracy.nuts_cases(shared)[0]
    idata = case.model().fit(3000, 500, inference_method="gibbs", random_seed=1)
    assert idata.attrs["max_rhat"] < 1.02
    posterior = idata["posterior"].to_dataset()
    mean, sd = posterior.mean(("chain", "draw")), posterior.std(("chain", "draw"))
    table = accuracy.elements(mean, sd, case.terms)
    assert len(table) == 136
    assert table["shift"].max() < 0.12
    ratio = table.set_index("term")["sd_ratio"]
    ratio = ratio[~ratio.index.str.endswith("_sigma")]  # themselves of heavy tails
    heavy = ratio.index.isin(["Intercept", "1|eth"])
    assert ratio[~heavy].between(0.85, 1.15).all()
    assert ratio[~heavy].mean() == pytest.approx(1, abs=0.02)
    assert (ratio["1|eth"] > 1.05).all()
