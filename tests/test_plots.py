"""Pictures are drawn, and hold what they should."""

from __future__ import annotations

import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.plots import plot_estimates


@pytest.fixture(scope="module")
def trees(survey):
    model = vmrp.Model("y ~ x + (1|state) + (1|state:age)", survey)
    cells = survey.assign(n=1)
    fits = [model.fit(200, random_seed=s) for s in (1, 2)]
    return model, cells, fits


def test_plot_compare_by_element_and_by_variable(trees, tmp_path):
    model, cells, fits = trees
    by_element = vmrp.plot_compare(*fits, labels=("CAVI", "NUTS"))
    labels = [t.get_text() for t in by_element.axes[0].get_yticklabels()]
    assert "1|state[A]" in labels
    by_element.savefig(tmp_path / "elements.png")
    estimates = [vmrp.poststratify(model, fit, cells, by=["state", "age", "x"][:2]) for fit in fits]
    vmrp.plot_compare(*estimates).savefig(tmp_path / "estimates.png")


def test_a_notebook_shows_the_picture_and_pyplot_keeps_none(trees):
    import pickle

    import matplotlib.pyplot as plt

    model, cells, fits = trees
    estimates = vmrp.poststratify(model, fits[0], cells, by="state")
    before = plt.get_fignums()  # other tests may have left some
    for figure in (vmrp.plot_compare(*fits), plot_estimates(estimates)):
        assert figure._repr_png_().startswith(b"\x89PNG")
        assert pickle.loads(pickle.dumps(figure))._repr_png_().startswith(b"\x89PNG")
    assert plt.get_fignums() == before


def test_plot_compare_of_many_elements_is_by_variable(survey, tmp_path):
    data = survey.assign(many=survey.index % 100)
    model = vmrp.Model("y ~ (1|many)", data)
    figure = vmrp.plot_compare(model.fit(100, random_seed=1), model.fit(100, random_seed=2))
    assert [t.get_text() for t in figure.axes[1].get_yticklabels()] == [
        "Intercept", "1|many", "1|many_sigma",
    ]  # fmt: skip
    figure.savefig(tmp_path / "many.png")


def test_plot_estimates(trees, tmp_path):
    model, cells, fits = trees
    estimates = vmrp.poststratify(model, fits[0], cells, by="state")
    truth = cells.groupby("state")["y"].mean()
    figure = plot_estimates(estimates, truth)
    assert len(figure.axes[0].get_yticklabels()) == 6
    figure.savefig(tmp_path / "estimates.png")
    with pytest.raises(vmrp.DataError, match="by one column"):
        plot_estimates(vmrp.poststratify(model, fits[0], cells))
