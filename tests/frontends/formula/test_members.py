"""Multi-membership terms against a design written by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.glmm.memberships import order_members


@pytest.fixture(scope="module")
def pupils():
    rng = np.random.default_rng(8)
    n = 300
    effect = dict(zip("pqrstu", rng.normal(0, 1, 6), strict=True))
    frame = pd.DataFrame({"a": rng.choice(list("pqrs"), n), "b": rng.choice(list("rstu"), n)})
    frame["x"] = rng.normal(size=n).round(2)
    frame["wa"], frame["wb"] = rng.random(n), rng.integers(0, 3, n)
    eta = 0.5 * (frame["a"].map(effect) + frame["b"].map(effect))
    frame["y"] = (rng.random(n) < 1 / (1 + np.exp(-2 * eta))).astype(int)
    return frame


def by_hand(frame, levels, weights):
    """Z, shape (N, L)."""
    total = sum(weights)
    return sum(
        (w / total)[:, None] * (frame[c].to_numpy()[:, None] == np.array(levels))
        for c, w in zip(("a", "b"), weights, strict=True)
    )


def design(model, frame):
    rows = model.glmm.rows.dense(model.glmm.n_coefficients)
    return rows[model.observations.cell][:, model.glmm.common.size :]


def test_equal_weights(pupils):
    model = vmrp.Model("y ~ x + (1|mm(a, b))", pupils)
    (group,) = model.glmm.groups
    assert group.levels == tuple("pqrstu")
    assert group.name == "1|mm(a, b)"
    ones = np.ones(len(pupils))
    np.testing.assert_allclose(
        design(model, pupils), by_hand(pupils, group.levels, (ones, ones)), atol=1e-12
    )


def test_weights_sum_to_one_and_slopes_are_weighted(pupils):
    model = vmrp.Model("y ~ x + (1 + x|mm(a, b, weights=cbind(wa, wb)))", pupils)
    (group,) = model.glmm.groups
    z = by_hand(pupils, group.levels, (pupils["wa"].to_numpy(), pupils["wb"].to_numpy()))
    written = np.stack([z, z * pupils["x"].to_numpy()[:, None]], axis=-1)
    expected = (written @ group.basis).reshape(len(z), -1)
    np.testing.assert_allclose(design(model, pupils), expected, atol=1e-12)


def test_the_order_of_the_columns_does_not_matter(pupils):
    one = vmrp.Model("y ~ x + (1|mm(a, b))", pupils).approximate(
        tol=1e-8, hyperparameters="mean_field"
    )
    other = vmrp.Model("y ~ x + (1|mm(b, a))", pupils).approximate(
        tol=1e-8, hyperparameters="mean_field"
    )
    assert one.elbo == pytest.approx(other.elbo, abs=1e-8)
    np.testing.assert_allclose(one.mean(), other.mean(), atol=1e-6)


def test_all_members_alike_are_one_membership(pupils):
    data = pupils.assign(b=pupils["a"])
    twice = vmrp.Model("y ~ x + (1|mm(a, b))", data).approximate(
        tol=1e-8, hyperparameters="mean_field"
    )
    once = vmrp.Model("y ~ x + (1|a)", data).approximate(tol=1e-8, hyperparameters="mean_field")
    assert twice.elbo == pytest.approx(once.elbo, abs=1e-7)
    np.testing.assert_allclose(twice.mean(), once.mean(), atol=1e-6)
    np.testing.assert_allclose(twice.sd(), once.sd(), atol=1e-6)


def test_new_levels_are_drawn_and_known_ones_repeated(pupils):
    model = vmrp.Model("y ~ x + (1|mm(a, b))", pupils)
    encoder = model.encoder
    frame = encoder.prepare(pupils, "new")
    encoded = encoder.encode(frame, encoder.unseen_levels(frame), "new")
    cell = model.observations.cell
    np.testing.assert_array_equal(encoded.codes[0], model.glmm.groups[0].codes[cell])
    np.testing.assert_array_equal(encoded.values[0], model.glmm.groups[0].values[cell])
    new = pupils.head(3).assign(a=["z", "p", "w"], b=["w", "z", "u"], n=1.0)
    frame = encoder.prepare(new, "new")
    unseen = encoder.unseen_levels(frame)
    assert unseen == [("w", "z")]
    codes = encoder.encode(frame, unseen, "new").codes[0]
    np.testing.assert_array_equal(codes, [[6, 7], [0, 7], [5, 6]])
    tree = vmrp.poststratify(model, model.fit(200, random_seed=1), new, by="a", random_seed=2)
    assert "mm(a, b)" in tree.attrs["unseen_levels"]
    assert np.isfinite(tree["posterior"]["estimate"]).all()


def test_bad_columns_are_refused(pupils):
    with pytest.raises(vmrp.DataError, match="weights"):
        vmrp.Model("y ~ (1|mm(a, b, weights=cbind(wa, wb)))", pupils.assign(wb=-1.0))
    with pytest.raises(vmrp.DataError, match="different types"):
        vmrp.Model("y ~ (1|mm(a, b))", pupils.assign(b=1))
    with pytest.raises(vmrp.DataError, match="only one level"):
        vmrp.Model("y ~ (1|mm(a, b))", pupils.assign(a="p", b="p"))


def test_memberships_are_ordered_and_added_up():
    codes = np.array([[3, 1, 3], [0, 1, 2]])
    values = np.arange(6.0).reshape(2, 3, 1) + 1
    ordered, summed = order_members(codes, values)
    np.testing.assert_array_equal(ordered, [[1, 3, 3], [0, 1, 2]])
    np.testing.assert_array_equal(summed[:, :, 0], [[2, 0, 4], [4, 5, 6]])
    triple, added = order_members(np.array([[2, 2, 2]]), np.ones((1, 3, 1)))
    np.testing.assert_array_equal(added[:, :, 0], [[0, 0, 3]])
    assert triple.dtype == np.int32
