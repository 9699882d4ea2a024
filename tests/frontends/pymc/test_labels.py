"""Levels of a pm.Model are called what its coords call them, whatever is done with them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pymc as pm
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.diagnostics.estimands import group_means
from pymc_vmrp.doors import read_model

pytestmark = pytest.mark.filterwarnings("ignore")
N = 60
STATES = ["AL", "AK", "AZ", "CA"]
COORDS = {"state": STATES, "age": [18, 30], "effect": ["intercept", "slope"], "male": ["male"]}
G = np.arange(N) % 3  # CA has no rows
H = np.arange(N) // 3 % 2
X = np.linspace(-1, 1, N) ** 3


def observed(eta):
    pm.Normal("y", eta, 1, observed=np.sin(np.arange(N)))


def read(build, coords=COORDS):
    with pm.Model(coords=coords) as model:
        observed(pm.Normal("a") + build(pm.Data("g", G), pm.Data("h", H), pm.Data("x", X)))
    return read_model(model)


def levels(build, coords=COORDS):
    return [group.levels for group in read(build, coords).glmm.groups]


def centred(g, h, x):
    return pm.Normal("u", 0, pm.HalfNormal("s"), dims="state")[g]


def non_centred(g, h, x):
    return (pm.Normal("z", dims="state") * pm.HalfNormal("s"))[g]


def numbers(g, h, x):
    return pm.Normal("u", 0, pm.HalfNormal("s"), dims="age")[h]


def table(g, h, x):
    return pm.Normal("u", 0, pm.HalfNormal("s"), dims=("state", "age"))[g, h]


def one_sd(g, h, x):
    s = pm.HalfNormal("s")
    u, v = pm.Normal("u", 0, s, dims="state"), pm.Normal("v", 0, s, dims="age")
    return u[g] + v[h] * x + pm.Normal("w", 0, s) * x**2


def chol():
    sd = pm.HalfNormal.dist(1, shape=2)
    return pm.LKJCholeskyCov("chol", n=2, eta=2, sd_dist=sd)[0]


def correlated(g, h, x):
    u = pm.MvNormal("u", np.zeros(2), chol=chol(), dims=("state", "effect"))
    return u[g, 0] + u[g, 1] * x


def correlated_levels_last(g, h, x):
    u = chol() @ pm.Normal("z", dims=("effect", "state"))
    return u[0, g] + u[1, g] * x


def zero_sum(g, h, x):
    return pm.ZeroSumNormal("u", pm.HalfNormal("s"), dims="state")[g]


def walk(g, h, x):
    s = pm.HalfNormal("s")
    start = pm.Normal.dist(0, s)
    return pm.GaussianRandomWalk("u", sigma=s, init_dist=start, dims="state")[g]


SHOWN = {
    centred: [("AL", "AK", "AZ")],
    non_centred: [("AL", "AK", "AZ")],
    numbers: [("18", "30")],
    table: [("AL, 18", "AL, 30", "AK, 18", "AK, 30", "AZ, 18", "AZ, 30")],
    one_sd: [("w", "v[18]", "v[30]", "u[AL]", "u[AK]", "u[AZ]")],
    correlated: [tuple(STATES)],
    correlated_levels_last: [tuple(STATES)],
    zero_sum: [("contrast 0", "contrast 1", "contrast 2")],  # no effects of single states
    walk: [("step AL", "step AK", "step AZ")],
}


@pytest.mark.parametrize(
    ("build", "expected"), SHOWN.items(), ids=lambda b: getattr(b, "__name__", "")
)
def test_levels_are_called_by_their_coords(build, expected):
    assert levels(build) == expected


@pytest.mark.parametrize("build", [correlated, correlated_levels_last])
def test_effects_of_a_vector_too(build):
    (group,) = read(build).glmm.groups
    assert [effect.name for effect in group.effects] == ["effect[intercept]", "effect[slope]"]


def test_relabelled_coords_relabel_the_levels():
    renamed = {"state": ["d", "c", "b", "a"]}
    assert levels(centred, COORDS | renamed) == [("d", "c", "b")]


@pytest.mark.parametrize("same", [["AL", "AL", "AZ", "CA"], ["1", 1, 2, 3]])
def test_coords_that_repeat_tell_no_levels_apart(same):
    assert levels(centred, COORDS | {"state": same}) == [("0", "1", "2")]


def test_without_coords_levels_are_positions():
    def shape(g, h, x):
        return pm.Normal("u", 0, pm.HalfNormal("s"), shape=4)[g]

    def shapes(g, h, x):
        sd = pm.HalfNormal("s")
        u = pm.Normal("u", 0, sd, shape=(4, 2))
        return u[g, h] + pm.Normal("v", 0, sd) * x

    assert levels(shape) == [("0", "1", "2")]
    every = tuple(f"u[{i}, {k}]" for i in range(3) for k in range(2))
    assert levels(shapes) == [("v", *every)]


def test_common_effects_too():
    def build(g, h, x):
        b = pm.Normal("b", dims="effect")
        return b[0] * x + b[1] * h + pm.Normal("c") * x**2 + pm.Normal("d", dims="male")[0] * x**3

    terms = read(build).glmm.common.terms
    assert {t.name: t.labels for t in terms} == {
        "b": ("intercept", "slope"), "c": None, "d": ("male",)
    }  # fmt: skip


def test_tables_show_them_and_new_rows_do_not_care():
    def model(**coords):
        with pm.Model(coords=COORDS | coords) as out:
            g, x = pm.Data("g", G), pm.Data("x", X)
            v = pm.Normal("v", 0, pm.HalfNormal("t"), shape=4)
            u = pm.Normal("u", 0, pm.HalfNormal("s"), dims="state")
            observed(pm.Normal("a") + u[g] + (pm.Normal("b") + v[g]) * x)
        return out

    named, other = model(), model(state=["d", "c", "b", "a"])
    idata = vmrp.fit(named, draws=50, random_seed=1, progressbar=False)
    same = vmrp.fit(other, draws=50, random_seed=1, progressbar=False)
    table = vmrp.ranef(named, idata)
    assert table.loc["u"].index.get_level_values("level").tolist() == STATES[:3]
    assert table.loc["v"].index.get_level_values("level").tolist() == ["0", "1", "2"]
    np.testing.assert_array_equal(table, vmrp.ranef(other, same))
    read = read_model(named)
    names, _ = group_means(read.glmm, read.observations, read.reports.draws(idata))
    assert set(names) >= {"u=AL", "u=AK", "u=AZ", "v=0"}
    cells = pd.DataFrame({"g": [0, 1, 2, 3], "x": [0.1, 0.2, 0.3, 0.4], "n": 1})
    for call in (
        lambda m, fit: vmrp.predict(m, fit, data=cells, inplace=False)["posterior"]["y_mean"],
        lambda m, fit: vmrp.poststratify(m, fit, cells, by="g")["posterior"]["estimate"],
    ):
        np.testing.assert_array_equal(call(named, idata), call(other, same))
