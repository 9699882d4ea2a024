"""Every option with values that make no sense: one message, no traceback, nothing written."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import pymc_vmrp as vmrp
from pymc_vmrp.cli import estimates
from pymc_vmrp.cli import run as steps
from tests.cli.runner import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("options")
    rng = np.random.default_rng(1)
    n = 60
    frame = pd.DataFrame({"y": rng.integers(0, 2, n), "x": rng.normal(size=n)})
    frame["g"] = np.resize(list("abc"), n)
    frame.to_csv(folder / "s.csv", index=False)
    frame.loc[:4, "x"] = np.nan
    frame.to_csv(folder / "holes.csv", index=False)
    cells = pd.DataFrame({"x": rng.normal(size=9), "g": np.resize(list("abc"), 9), "n": 2})
    cells.assign(zero=0, minus=-1).to_csv(folder / "c.csv", index=False)
    (folder / "taken").write_text("a file")
    (folder / "empty.csv").touch()
    run("fit", "s.csv", "-f", "y ~ x", "--cells", "c.csv", "-o", "a", folder=folder)
    return folder


FIT = ("fit", "s.csv", "-f", "y ~ x", "--cells", "c.csv", "--by", "g", "-o", "new")
POST = ("poststratify", "a/fit.nc", "s.csv", "c.csv", "-o", "new")
BAD = [
    ((*FIT, "--seed", "-1"), "--seed"),
    ((*FIT, "--seed", "1.5"), "--seed"),
    ((*FIT, "--seed", str(2**32)), "--seed"),
    ((*FIT, "--draws", "0"), "--draws"),
    ((*FIT, "--draws", "1"), "--draws"),
    ((*FIT, "--draws", "nan"), "--draws"),
    ((*FIT, "--draws", "99999999999"), "memory"),
    ((*FIT, "--diagnose", "--draws", "2"), "--diagnose needs --draws"),
    ((*FIT, "--nuts-rows", "-1"), "--nuts-rows"),
    ((*FIT, "--nuts-rows", "1"), "constant"),
    ((*FIT, "--method", "magic"), "inference_method"),
    ((*FIT, "--family", ""), "family"),
    ((*FIT, "--link", "magic"), "link"),
    ((*FIT, "--survey-weights", "nope"), "'nope'"),
    ((*FIT, "--weights", "g"), "numeric"),
    ((*FIT, "--weights", "zero"), "zero in every row"),
    ((*FIT, "--weights", "minus"), "negative"),
    ((*FIT, "--by", ""), "no column ''"),
    ((*FIT, "--join", "."), "is a folder"),
    ((*FIT, "--join", "empty.csv"), "empty.csv"),
    ((*FIT, "--level-order", "g"), "--level-order"),
    ((*FIT, "--formula", " "), "formula"),
    ((*FIT, "--out", "taken"), "--out taken"),
    ((*FIT, "--out", "taken/x"), "--out taken/x"),
    ((*FIT, "--out", "x" * 300), "--out"),
    ((*FIT, "--nonsense"), "--nonsense"),
    (("fit", "holes.csv", "-f", "y ~ x", "-o", "new"), "missing values"),
    (("fit", ".", "-f", "y ~ x", "-o", "new"), "is a folder"),
    (("fit", "s.csv", "-o", "new"), "--formula"),
    (("fit", "s.csv", "-f", "y ~ x", "--by", "g", "-o", "new"), "--by needs --cells"),
    ((*POST, "--seed", "-1"), "--seed"),
    ((*POST, "--by", "nope"), "'nope'"),
    ((*POST, "--formula", "y ~ 1"), "another model"),
    (("poststratify", "a/estimates.nc", "s.csv", "c.csv", "-o", "new"), "holds estimates"),
    (("poststratify", "s.csv", "s.csv", "c.csv", "-o", "new"), "s.csv cannot be read"),
    (("poststratify", "a", "s.csv", "c.csv", "-o", "new"), "is a folder"),
    (("poststratify", "a/fit.nc", "a", "c.csv", "-o", "new"), "is a folder"),
    (("compare", "a/fit.nc", "a/fit.nc", "--plot", "x.txt"), "must end in"),
    (("compare", "a/fit.nc", "a/fit.nc", "--csv", "a/fit.nc"), "is read"),
    (("compare", "a/fit.nc", "a/fit.nc", "--csv", "a"), "is a folder"),
    (("compare", "a/fit.nc", "a/fit.nc", "--csv", "x.png", "--plot", "x.png"), "same file"),
    (("compare", "a/fit.nc", "a/estimates.nc"), "in common"),
    (("demo", "--n", "1"), "--n"),
    (("demo", "--n", "99999999999999"), "--n"),
    (("demo", "--nuts-n", "-1"), "--nuts-n"),
    (("nonsense",), "nonsense"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_arguments(folder, arguments, message):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    ended = run(*arguments, folder=folder, code=None)
    assert ended.code in (1, 2)
    assert message in ended.err
    assert ended.err.startswith("Error: ")
    assert ended.err.count("\n") == 1
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert after == before


def test_a_column_given_twice_counts_once(folder, tmp_path):
    run(*FIT[:-1], tmp_path / "o", "--by", "g", folder=folder)
    table = pd.read_csv(tmp_path / "o" / "estimates.csv")
    assert list(table.columns[:3]) == ["g", "mean", "sd"]
    assert (tmp_path / "o" / "estimates.png").exists()


def test_dropna_keeps_answers_and_raw_means(folder, tmp_path):
    arguments = ("--cells", "c.csv", "--by", "g", "--dropna", "-o", tmp_path / "o")
    ended = run("fit", "holes.csv", "-f", "y ~ x", *arguments, folder=folder)
    assert "dropped 5 of 60 rows" in ended.err
    table = pd.read_csv(tmp_path / "o" / "estimates.csv").set_index("g")
    known = pd.read_csv(folder / "holes.csv").dropna().groupby("g")["y"].agg(["size", "mean"])
    assert table["answers"].to_dict() == known["size"].to_dict()
    np.testing.assert_allclose(table["raw"], known["mean"])


@pytest.mark.parametrize("kind", ["category", "str", "object"])
def test_raw_means_do_not_depend_on_how_columns_are_stored(folder, tmp_path, kind):
    survey, cells = pd.read_csv(folder / "s.csv"), pd.read_csv(folder / "c.csv")
    survey["k"], cells["k"] = survey["g"].map({"a": 1, "b": 2, "c": 3}), [1.0, 2.0, 3.0] * 3
    survey.to_parquet(tmp_path / "s.parquet")
    cells.assign(g=cells["g"].astype(kind)).to_parquet(tmp_path / "c.parquet")
    arguments = ("--cells", "c.parquet", "--by", "g", "--by", "k", "-o", "o")
    run("fit", "s.parquet", "-f", "y ~ x", *arguments, folder=tmp_path)
    table = pd.read_csv(tmp_path / "o" / "estimates.csv")
    np.testing.assert_allclose(table["raw"], survey.groupby("g")["y"].mean())


def test_a_rerun_that_fails_leaves_the_earlier_results(folder, tmp_path, monkeypatch):
    arguments = (*FIT[:-1], tmp_path)
    run(*arguments, "--seed", "1", folder=folder)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    run(*arguments, "--seed", "2", "--weights", "zero", folder=folder, code=1)

    def fails(*_, **__):
        raise vmrp.VmrpError("too late")

    monkeypatch.setattr("pymc_vmrp.plots.plot_estimates", fails)
    run(*arguments, "--seed", "2", folder=folder, code=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("where", "said", "written"),
    [
        ("pymc_vmrp.cli.model.Model", "nothing was written", set()),
        ("pymc_vmrp.model.Model.fit", "there was no fit to keep", set()),
        ("pymc_vmrp.mrp.poststratify.add_means", "there was no fit to keep", set()),
        ("pymc_vmrp.cli.run.estimate", "the fit is kept in", {"fit-interrupted.nc"}),
        ("pymc_vmrp.plots.plot_estimates", "the fit is kept in", {"fit-interrupted.nc"}),
        (
            "pymc_vmrp.diagnostics.diagnose.diagnose",
            "complete, and written",
            {"fit.nc", "estimates.nc", "estimates.csv", "estimates.png"},
        ),
    ],
)
def test_ctrl_c_says_what_is_kept(folder, tmp_path, monkeypatch, where, said, written):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupt)
    ended = run(*FIT[:-1], tmp_path / "o", "--diagnose", folder=folder, code=130)
    assert "Interrupted while" in ended.err
    assert said in ended.err
    found = {p.name for p in (tmp_path / "o").iterdir()} if (tmp_path / "o").exists() else set()
    assert found == written
    if "fit-interrupted.nc" in found:
        monkeypatch.undo()
        run("poststratify", tmp_path / "o" / "fit-interrupted.nc", "s.csv", "c.csv",
            "-o", tmp_path / "p", folder=folder)  # fmt: skip


def test_ctrl_c_in_other_commands(folder, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pymc_vmrp.mrp.poststratify.add_means", interrupt)
    ended = run(*POST[:-1], tmp_path / "o", folder=folder, code=130)
    assert "nothing was written" in ended.err
    assert not (tmp_path / "o").exists()
    monkeypatch.setattr("pymc_vmrp.summaries.compare._statistics", interrupt)
    ended = run("compare", "a/fit.nc", "a/fit.nc", folder=folder, code=130)
    assert "nothing was written" in ended.err


def test_the_order_of_levels_is_kept_from_fit_to_poststratify(tmp_path):
    simulation = vmrp.simulate(300, n_states=4, random_seed=1)
    simulation.survey.to_csv(tmp_path / "s.csv", index=False)
    simulation.cells.to_csv(tmp_path / "c.csv", index=False)
    order = ["70+", "18-29", "60-69", "30-39", "50-59", "40-49"]
    typed = ("--level-order", "age=" + ",".join(order))
    base = ("fit", "s.csv", "-f", "support ~ male + age", "--cells", "c.csv", "--by", "age")
    run(*base, *typed, "-o", "a", folder=tmp_path)
    assert pd.read_csv(tmp_path / "a/estimates.csv")["age"].tolist() == order
    again = ("poststratify", "a/fit.nc", "s.csv", "c.csv", "--by", "age", "-o", "b")
    run(*again, folder=tmp_path)
    first, second = (pd.read_csv(tmp_path / f / "estimates.csv") for f in "ab")
    pd.testing.assert_frame_equal(first, second)


def test_estimates_on_one_dimension_make_the_same_table():
    """Sparse combinations of --by lie along one dimension, with the columns as coordinates."""
    values = np.arange(6.0).reshape(1, 2, 3)
    along = {"a": ("__group__", ["x", "y", "y"]), "b": ("__group__", [1, 1, 2])}
    stacked = xr.Dataset({"estimate": (("chain", "draw", "__group__"), values)}, coords=along)
    population = xr.Dataset({"population": ("__group__", [1.0, 2.0, 3.0])}, coords=along)
    grid = xr.Dataset(
        {"estimate": (("chain", "draw", "a", "b"), np.full((1, 2, 2, 2), np.nan))},
        coords={"a": ["x", "y"], "b": [1, 2]},
    )
    counts = xr.Dataset({"population": (("a", "b"), np.zeros((2, 2)))}, coords=grid.coords)
    for i, (a, b) in enumerate([(0, 0), (1, 0), (1, 1)]):
        grid["estimate"][..., a, b] = values[..., i]
        counts["population"][a, b] = i + 1.0
    tables = [
        estimates.estimates_table(
            xr.DataTree.from_dict({"posterior": posterior, "constant_data": constant}),
            estimates.Target(("a", "b")),
            None,
        )
        for posterior, constant in ((stacked, population), (grid, counts))
    ]
    pd.testing.assert_frame_equal(*tables)
    assert list(tables[0].columns[:3]) == ["a", "b", "mean"]


@pytest.mark.skipif(
    "sample_new_groups" not in inspect.signature(vmrp.poststratify).parameters,
    reason="poststratify takes new levels without a word",
)
def test_levels_that_the_survey_never_saw(tmp_path):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"y": rng.normal(size=40), "g": np.resize(list("abcd"), 40)})
    frame.to_csv(tmp_path / "s.csv", index=False)
    pd.DataFrame({"g": list("ABCD"), "n": 1}).to_csv(tmp_path / "c.csv", index=False)
    fit = ("fit", "s.csv", "-f", "y ~ (1|g)", "--family", "gaussian", "--cells", "c.csv")
    run(*fit, "-o", "o", folder=tmp_path, code=1)
    assert not (tmp_path / "o").exists()
    ended = run(*fit, "-o", "o", "--sample-new-groups", folder=tmp_path)
    assert "were drawn anew: g: 'A', 'B'" in ended.out


def test_a_fit_that_fell_short_ends_with_3(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "_fell_short", lambda *_: True)
    run("fit", "s.csv", "-f", "y ~ x", "-o", tmp_path / "o", folder=folder, code=3)
    assert (tmp_path / "o" / "fit.nc").exists()
