"""Nothing reaches stderr while a pm.Model is read: seen from outside, in a process of its own."""

from __future__ import annotations

import logging
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from pymc_vmrp.frontends.pymc.quiet import quiet

ROOT = Path(__file__).parents[3]

# What each model prints, and how it ended; models are built before the watch begins
WATCH = """
import os, sys, tempfile, warnings
import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
import pymc_vmrp as vmrp
from benchmarks.pymc_models import REFUSED, SUPPORTED


class Unfoldable(Op):
    '''Identity, on which PyTensor's rewrite of constants fails with a traceback.'''

    __props__ = ()

    def make_node(self, x):
        return Apply(self, [x], [x.type()])

    def perform(self, node, inputs, outputs):
        outputs[0][0] = inputs[0].copy()

    def do_constant_folding(self, fgraph, node):
        raise RuntimeError('no folding')


def unfoldable():
    with pm.Model() as model:
        u = pm.Normal('u', 0, pm.HalfNormal('s', 1), shape=5)
        eta = u[np.arange(20) % 5] + Unfoldable()(pt.constant(np.ones(20)))
        pm.Laplace('y', eta, 1, observed=np.random.default_rng(1).normal(size=20))
    return model


def infinite():
    with pm.Model() as model:
        u = pm.Normal('u', 0, 1.0, shape=2)
        pm.Normal('y', u[np.arange(8) % 2], 1, observed=np.where(np.arange(8) > 6, np.inf, 1.0))
    return model


def printed(model):
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            vmrp.fit(model, random_seed=1, draws=20, progressbar=False)
            ended = 'fitted'
        except vmrp.ModelError:
            ended = 'refused'
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
        file.seek(0)
        return ended, file.read().decode()


models = {
    'refused': {'unfoldable': unfoldable, 'infinite': infinite}
    | {name: make for name, (make, _) in REFUSED.items()},
    'fitted': SUPPORTED,
}[sys.argv[1]]
for name, make in models.items():
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        model = make()
    ended, text = printed(model)
    assert ended == sys.argv[1], (name, ended)
    assert text == '', (name, text[:2000])
print(len(models), 'silent')
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["refused", "fitted"])
def test_nothing_but_the_error_reaches_stderr(kind):
    result = subprocess.run(
        [sys.executable, "-c", WATCH, kind], capture_output=True, text=True, cwd=ROOT
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("silent\n")
    assert result.stderr == ""


def test_the_loggers_are_left_as_they_were(caplog):
    logger = logging.getLogger("pytensor.graph.rewriting.basic")
    with quiet():
        logger.error("a rewrite failed")
        np.log(-np.ones(1))
    assert caplog.records == []
    logger.error("somebody else's")
    assert [record.message for record in caplog.records] == ["somebody else's"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        np.log(-np.ones(1))
    assert [w.category for w in caught] == [RuntimeWarning]
