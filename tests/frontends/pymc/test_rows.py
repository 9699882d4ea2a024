"""Graphs at the rows whose data differ."""

from __future__ import annotations

import numpy as np
import pytensor.tensor as pt

from pymc_vmrp.frontends.pymc.graph import numeric
from pymc_vmrp.frontends.pymc.rows import at_distinct_rows

RNG = np.random.default_rng(1)
G, X = RNG.integers(0, 4, 200), RNG.integers(0, 2, (200, 2)).astype(float)


def test_elements_of_distinct_rows_are_those_of_all():
    u, b = pt.dvector("u"), pt.dvector("b")
    for design in (pt.constant(X) @ b, b @ pt.constant(X.T.copy())):
        node = u[pt.constant(G)] + design
        reduced = at_distinct_rows(node, 200)
        assert reduced is not None
        small, cells = reduced
        assert len(cells.first) == 16
        values = RNG.normal(size=4), RNG.normal(size=2)
        few, every = (numeric([u, b], [v])(*values)[0] for v in (small, node))
        np.testing.assert_allclose(few[cells.index], every)


def test_nothing_to_gain():
    u = pt.dvector("u")
    distinct = pt.constant(np.arange(200.0)) * u[0]
    missing = pt.constant(np.where(G == 0, np.nan, 1.0)) * u[0]
    for node in (distinct, missing, u):
        assert at_distinct_rows(node, 200) is None
