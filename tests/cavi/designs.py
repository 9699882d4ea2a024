"""Random hierarchical designs for property-based tests: uneven, with empty levels, with slopes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pymc_vmrp.cavi.bounds import PolyaGamma, Quadrature
from pymc_vmrp.glmm.families import get_family
from pymc_vmrp.glmm.memberships import order_members
from pymc_vmrp.glmm.priors.covariance import HuangWand, InverseWishart
from pymc_vmrp.glmm.priors.horseshoe import Horseshoe
from pymc_vmrp.glmm.priors.mixtures import Cauchy, Laplace, StudentT
from pymc_vmrp.glmm.priors.scales import HalfNormal
from pymc_vmrp.glmm.spec import (
    GLMM,
    CommonEffects,
    CommonTerm,
    Effect,
    GroupEffects,
    Mixture,
    Response,
)

BOUNDS = {"quadrature": Quadrature(), "polya-gamma": PolyaGamma()}


def random_glmm(seed: int, states: int | None = None) -> GLMM:
    """A model of 20 to 200 cells in a few states of very different size.

    Terms: an intercept and a slope by state; state:age; age; perhaps a factor that crosses the
    states; perhaps several memberships in one term; perhaps a spline; up to eight dense common
    columns. Some levels have no cell.
    """
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 200))
    n_states = int(rng.integers(1, 9)) if states is None else states
    state = rng.choice(n_states, n, p=rng.dirichlet(np.full(n_states, 0.4)))
    age = rng.integers(0, 3, n)
    x = rng.normal(size=n)
    groups = [
        _group("state", ("1", "x"), state, n_states, np.column_stack([np.ones(n), x]), HuangWand()),
        _group("state:age", ("1",), state * 3 + age, 3 * n_states, np.ones((n, 1)), HuangWand()),
        _group("age", ("1",), age, 3 + int(rng.integers(0, 2)), np.ones((n, 1)), HalfNormal(1)),
    ]
    if rng.random() < 0.7:
        eth, d = rng.integers(0, 4, n), int(rng.integers(1, 4))
        values = np.column_stack([np.ones(n), rng.normal(size=(n, d - 1))])
        names = ("1", "x", "z")[:d]
        groups.insert(
            int(rng.integers(0, 3)), _group("eth", names, eth, 4, values, InverseWishart())
        )
    if rng.random() < 0.6:
        groups.insert(int(rng.integers(0, 4)), _members(rng, state, n_states))
    if rng.random() < 0.5:
        groups.append(_spline(rng, n))
    k = int(rng.integers(0, 9))
    columns = rng.normal(size=(n, k)) * (rng.random((n, k)) < 0.7)
    trials = rng.integers(0, 6, n).astype(float)
    common = CommonEffects(
        columns=columns,
        terms=tuple(CommonTerm(f"x{i}", None, i, i + 1) for i in range(k)),
        intercept=bool(rng.random() < 0.8),
        center=columns.mean(0),
        prior_mean=np.zeros(0),
        prior_sd=np.zeros(0),
    )
    size = common.size
    prior = {"prior_mean": rng.normal(size=size), "prior_sd": rng.uniform(0.5, 3, size)}
    common = CommonEffects(**{**vars(common), **prior})
    response = Response("y", (rng.binomial(trials.astype(int), 0.4).astype(float), trials))
    return GLMM(get_family("binomial"), response, common, tuple(groups))


def _members(rng, state, n_states):
    """Two or three memberships of a cell, some of them twice in one level, with a slope or not.

    They cross the states, or are nested in them.
    """
    n, m, d = len(state), int(rng.integers(2, 4)), int(rng.integers(1, 3))
    nested = rng.random() < 0.5
    codes = (
        state[:, None] * 3 + rng.integers(0, 3, (n, m)) if nested else rng.integers(0, 5, (n, m))
    )
    values = rng.normal(size=(n, m, d))
    values[:, :, 0] = rng.dirichlet(np.ones(m), n)  # weights of the intercept
    codes, values = order_members(codes, values)
    n_levels = 3 * n_states if nested else 6
    return _group("mm", ("1", "x")[:d], codes, n_levels, values, HuangWand())


def _spline(rng, n):
    """One or six basis functions: a cell touches them all."""
    size = int(rng.choice([1, 6]))
    codes = np.broadcast_to(np.arange(size, dtype=np.int32), (n, size))
    return _group("s(x)", ("s(x)",), codes, size, rng.normal(size=(n, size, 1)), HuangWand())


def with_mixtures(glmm: GLMM, seed: int) -> GLMM:
    """The same model with heavy-tailed and shrinking priors on some common coefficients."""
    rng = np.random.default_rng(seed)
    common = glmm.common
    kinds = [
        StudentT(rng.uniform(1, 8), 0.0, rng.uniform(0.2, 2)),
        Laplace(0.0, rng.uniform(0.1, 1)),
        Cauchy(0.0, rng.uniform(0.2, 2)),
        Horseshoe(rng.uniform(0.05, 1)),
        Horseshoe(),
    ]
    kind_of = rng.integers(0, len(kinds) + 1, common.size)  # the last one stays normal
    mixtures = [
        Mixture(f"m{i}", tuple(np.flatnonzero(kind_of == i).tolist()), kind)
        for i, kind in enumerate(kinds)
        if (kind_of == i).any()
    ]
    sd = np.where(kind_of < len(kinds), np.nan, common.prior_sd)
    return replace(glmm, common=replace(common, prior_sd=sd, mixtures=tuple(mixtures)))


def _group(factor, effects, codes, n_levels, values, prior):
    return GroupEffects(
        factor=factor,
        effects=tuple(Effect(name) for name in effects),
        levels=tuple(f"{factor}{i}" for i in range(n_levels)),
        codes=codes.astype(np.int32, copy=False),
        values=values,
        prior=prior,
    )
