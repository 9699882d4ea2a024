"""What the terms left of a bar, and common terms, span."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pymc_vmrp as vmrp

CATEGORIES = {"c": "pqr", "e": "uv", "f": "kl"}


def _frame():
    rng = np.random.default_rng(8)
    crossed = list(itertools.product(*CATEGORIES.values()))
    frame = pd.DataFrame(crossed * 12, columns=list(CATEGORIES))
    n = len(frame)
    frame["x"], frame["z"] = rng.normal(size=n), rng.normal(size=n)
    frame["g"] = rng.choice(list("ABC"), n)
    frame["h"] = rng.choice(list("ABC"), n)
    frame["y"] = rng.normal(size=n)
    return frame


FRAME = _frame()

piece = st.one_of(
    st.lists(st.sampled_from("xzcef"), min_size=1, max_size=3, unique=True).map(
        lambda names: (":".join(names), [names])
    ),
    st.lists(st.sampled_from("xzcef"), min_size=2, max_size=2, unique=True).map(
        lambda names: ("*".join(names), [[names[0]], [names[1]], names])
    ),
    st.lists(st.sampled_from("xzcef"), min_size=2, max_size=2, unique=True).map(
        lambda names: ("/".join(names), [[names[0]], names])
    ),
)
left_sides = st.tuples(st.booleans(), st.lists(piece, min_size=1, max_size=4))


def _written(intercept, pieces):
    return " + ".join(["1" if intercept else "0", *(text for text, _ in pieces)])


def _reference(intercept, pieces):
    """Every term with all its factors coded in full: more columns than needed, the same span."""
    columns = [np.ones((len(FRAME), 1))] if intercept else []
    for names in (names for _, terms in pieces for names in terms):
        product = np.ones((len(FRAME), 1))
        for name in names:
            column = FRAME[name]
            values = (
                column.to_numpy()[:, None]
                if name not in CATEGORIES
                else np.column_stack([column == level for level in CATEGORIES[name]]).astype(float)
            )
            product = (product[:, :, None] * values[:, None, :]).reshape(len(FRAME), -1)
        columns.append(product)
    return np.column_stack(columns)


def _check_span(design, reference):
    rank = np.linalg.matrix_rank(reference)
    assert design.shape[1] == rank
    assert np.linalg.matrix_rank(design) == rank
    assert np.linalg.matrix_rank(np.column_stack([design, reference])) == rank


def _design(model, which=None):
    frame = model.encoder.prepare(FRAME, "data")
    rows = model.encoder.encode(frame, model.encoder.unseen_levels(frame), "data")
    if which is None:
        ones = np.ones((len(FRAME), int(model.encoder.intercept)))
        return np.column_stack([ones, rows.common])
    return rows.values[which]


@given(left_sides)
@settings(max_examples=25, deadline=None)
def test_a_bar_spans_what_it_says(side):
    text = _written(*side)
    for others in ("", "(1|h) + ", "x + "):
        model = vmrp.Model(f"y ~ {others}({text}|g)", FRAME, "gaussian")
        _check_span(_design(model, -1 if others != "x + " else 0), _reference(*side))
    if not side[0]:
        model = vmrp.Model(f"y ~ (1|g) + ({text}|g)", FRAME, "gaussian")
        _check_span(_design(model, 1), _reference(*side))


@given(left_sides)
@settings(max_examples=60, deadline=None)
def test_common_terms_span_what_they_say(side):
    model = vmrp.Model(f"y ~ {_written(*side)}", FRAME, "gaussian")
    _check_span(_design(model), _reference(*side))


@given(left_sides)
@example((True, [(f"{a}*{b}", [[a], [b], [a, b]]) for a, b in ("xz", "xe", "zc", "fx")]))
@settings(max_examples=15, deadline=None)
def test_independent_effects_span_the_same(side):
    model = vmrp.Model(f"y ~ ({_written(*side)}||g)", FRAME, "gaussian")
    design = np.column_stack([_design(model, i) for i in range(len(model.glmm.groups))])
    _check_span(design, _reference(*side))


@pytest.mark.parametrize(
    ("bar", "effects"),
    [
        ("(x:c|g)", [["1", "x:c[p]", "x:c[q]", "x:c[r]"]]),
        ("(c:x|g)", [["1", "c:x[p]", "c:x[q]", "c:x[r]"]]),
        ("(1|g) + (0 + x:c|g)", [["1"], ["x:c[p]", "x:c[q]", "x:c[r]"]]),
        ("(c + x:c|g)", [["1", "c[q]", "c[r]", "x:c[p]", "x:c[q]", "x:c[r]"]]),
        ("(x + x:c|g)", [["1", "x", "x:c[q]", "x:c[r]"]]),
        ("(1|g) + (0 + c|g)", [["1"], ["c[p]", "c[q]", "c[r]"]]),
        ("(0 + c + e|g)", [["c[p]", "c[q]", "c[r]", "e[v]"]]),
        ("(0 + e + c|g)", [["e[u]", "e[v]", "c[q]", "c[r]"]]),
        ("(c|g) + (c|h)", [["1", "c[q]", "c[r]"], ["1", "c[q]", "c[r]"]]),
        ("(0 + c|g) + (c|h)", [["c[p]", "c[q]", "c[r]"], ["1", "c[q]", "c[r]"]]),
        ("(c:e|g)", [["1", "e[v]", "c:e[q, u]", "c:e[q, v]", "c:e[r, u]", "c:e[r, v]"]]),
        ("(c/x|g)", [["1", "c[q]", "c[r]", "c:x[p]", "c:x[q]", "c:x[r]"]]),
        ("(1|g) + (0 + C(f, Sum)|g)", [["1"], ["C(f, Sum)[mean]", "C(f, Sum)[k]"]]),
        ("(c||g)", [["1"], ["c[q]", "c[r]"]]),
        ("(x:z + z:x|g)", [["1", "x:z"]]),
    ],
)
def test_effects_of_bars(bar, effects):
    model = vmrp.Model(f"y ~ {bar}", FRAME, "gaussian")
    found = [
        [e.expression + (f"[{e.label}]" if e.label else "") for e in group.effects]
        for group in model.glmm.groups
    ]
    assert found == effects


@pytest.mark.parametrize("term", ["c/x", "c/e", "c/e/x", "c:e + c", "e:c:x + c", "c:e:np.exp(z)"])
@pytest.mark.parametrize("priors", [None, {"common": "flat", "Intercept": "flat"}])
def test_nested_common_terms_reach_the_results(term, priors):
    model = vmrp.Model(f"y ~ {term}", FRAME, "gaussian", priors=priors)
    idata = model.fit(20, random_seed=1, hyperparameters="mean_field")
    posterior = idata["posterior"]
    for part in model.glmm.common.terms:
        assert posterior[part.name].shape[2:] == (len(part.labels),)
    fitted = model.predict(idata, inplace=False)["posterior"]["mu"].mean(("chain", "draw"))
    design = _design(model)
    least_squares = design @ np.linalg.lstsq(design, FRAME["y"], rcond=None)[0]
    assert np.abs(fitted - least_squares).max() < 0.5


def test_slopes_of_every_level_vary():
    rng = np.random.default_rng(2)
    n = 3000
    data = pd.DataFrame(
        {"x": rng.normal(size=n), "c": rng.choice(list("pqr"), n), "g": rng.integers(0, 30, n)}
    )
    slopes = pd.DataFrame(rng.normal(0, 1.0, (30, 3)), columns=list("pqr"))
    slope = slopes.to_numpy()[data["g"], data["c"].map({"p": 0, "q": 1, "r": 2})]
    data["y"] = slope * data["x"] + rng.normal(0, 0.3, n)
    for bar in ("(c:x|g)", "(1|g) + (0 + x:c|g)"):
        model = vmrp.Model(f"y ~ {bar}", data, "gaussian")
        idata = model.fit(50, random_seed=1, hyperparameters="mean_field")
        fitted = model.predict(idata, inplace=False)["posterior"]["mu"].mean(("chain", "draw"))
        error = np.sqrt(np.mean((fitted - slope * data["x"]) ** 2))
        assert error < 0.12, bar


CALLS = [
    "scale(x)",
    "center(x)",
    "I(x**2)",
    "np.exp(x)",
    "poly(x, 2)",
    "bs(x, df=4)",
    "C(c)",
    "{x + z}",
    "scale(x):c",
    "scale(x)*c",
    "np.where(x > 0, 1, 0)",
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "bar", ["({}|g)", "({}||g)", "(0 + {}|g)", "({}|g/e)", "({}|mm(g, h))", "(z + {}|g + h)"]
)
def test_calls_left_of_a_bar_mean_the_same_in_new_rows(call, bar):
    model = vmrp.Model("y ~ " + bar.format(call), FRAME, "gaussian")
    encoder = model.encoder
    frame = encoder.prepare(FRAME, "data")
    whole = encoder.encode(frame, encoder.unseen_levels(frame), "data")
    new = FRAME.tail(5).assign(g="new", h="new")
    frame = encoder.prepare(new, "new data")
    part = encoder.encode(frame, encoder.unseen_levels(frame), "new data")
    assert len(whole.values) == len(part.values) == len(model.glmm.groups)
    for a, b, group in zip(whole.values, part.values, model.glmm.groups, strict=True):
        np.testing.assert_allclose(a[-5:].sum(axis=-2) if a.ndim > 2 else a[-5:],
                                   b.sum(axis=-2) if b.ndim > 2 else b)  # fmt: skip
        assert a.shape[-1] == len(group.effects)


def test_common_and_group_specific_calls_learn_the_same():
    model = vmrp.Model("y ~ scale(x) + (scale(x)|g)", FRAME, "gaussian")
    rows = model.encoder.encode(model.encoder.prepare(FRAME, "data"), [()], "data")
    np.testing.assert_array_equal(rows.common[:, 0], rows.values[0][:, 1])


def test_levels_that_never_meet_leave_their_effect_to_its_prior():
    data = FRAME[(FRAME["c"] != "r") | (FRAME["e"] != "v")]
    model = vmrp.Model("y ~ (c*e|g)", data, "gaussian")
    assert len(model.glmm.groups[0].effects) == 6
    assert model.approximate(hyperparameters="mean_field").converged


@pytest.mark.parametrize("formula", ["y ~ 0 + c:e", "y ~ (0 + c:e|g)"])
def test_combinations_that_read_alike(formula):
    data = FRAME.replace({"c": {"p": "p, u", "q": "p"}, "e": {"u": "v", "v": "u, v"}})
    with pytest.raises(vmrp.DataError, match="read alike"):
        vmrp.Model(formula, data, "gaussian")
