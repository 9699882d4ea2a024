"""Methods are found by their files, and those of one's own are as good."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest

import pymc_vmrp as vmrp
from pymc_vmrp.inference import methods
from pymc_vmrp.inference.method import Drawing
from pymc_vmrp.inference.methods import get_method

TOY = textwrap.dedent(
    '''
    """Draws of the prior, whatever the data say."""

    from dataclasses import dataclass

    import numpy as np

    from pymc_vmrp.glmm.draws import Draws
    from pymc_vmrp.glmm.prior_draws import draw_prior
    from pymc_vmrp.inference.method import Method
    from pymc_vmrp.results.sampled import Sampled


    @dataclass(frozen=True)
    class ToyOptions:
        scale: float = 1.0


    def sample(glmm, request, options):
        rng = np.random.default_rng(request.random_seed)
        one = [draw_prior(glmm, rng) for _ in range(request.draws)]
        covariances = tuple(np.stack([d[1][j] for d in one])[None] for j in range(len(glmm.groups)))
        coefficients = options.scale * np.stack([d[0] for d in one])[None]
        parameters = np.stack([d[2] for d in one])[None]
        return Sampled(Draws(coefficients, covariances, parameters), {}, rng)


    METHOD = Method("toy", ToyOptions, sample)
    '''
)


def test_a_method_is_one_file(tmp_path, monkeypatch, intercepts_model):
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    assert "toy" in methods.method_names()
    idata = intercepts_model.fit(200, inference_method="toy", random_seed=1)
    assert idata.attrs["inference_method"] == "toy"
    zero = vmrp.fit(intercepts_model, method="toy", draws=5, scale=0.0)
    assert (zero["posterior"]["male"] == 0).all()
    with pytest.raises(vmrp.VmrpError, match=r"no argument 'size' .*it takes scale"):
        intercepts_model.fit(5, inference_method="toy", size=2)
    table = vmrp.fixef(intercepts_model, idata)
    assert np.isfinite(table.to_numpy()).all()
    own = get_method("toy")
    found = vmrp.calibrate(intercepts_model, 3, draws=20, inference_method=own, random_seed=1)
    assert not found.failed


def test_draws_of_chains_are_thinned(slopes_model):
    method = get_method("gibbs")
    draw = Drawing(method, method.take({"chains": 3, "tune": 10}))
    assert len(draw(slopes_model.glmm, 20, 1)) == 20


def test_options_of_approximate_are_those_of_cavi():
    """The signature spells them out: with the same defaults."""
    import inspect
    from dataclasses import fields

    written = inspect.signature(vmrp.Model.approximate).parameters
    for field in fields(get_method("cavi").options):
        assert written[field.name].default == field.default, field.name
    assert set(written) == {"self", "progressbar", *get_method("cavi").arguments}
