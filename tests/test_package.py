"""What importing the package costs and offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pymc_vmrp as vmrp

HEAVY = [
    "pymc", "bambi", "arviz", "xarray", "matplotlib", "pytensor", "formulae", "statsmodels",
]  # fmt: skip


def loaded_after(code: str) -> list[str]:
    script = f"import sys\n{code}\nprint([m for m in {HEAVY} if m in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    return eval(out.splitlines()[-1])


def test_importing_is_light():
    """Neither the package, nor the engine."""
    code = "import pymc_vmrp, pymc_vmrp.cavi.run, pymc_vmrp.results.posterior"
    assert loaded_after(code) == []


def test_a_fit_never_imports_pymc():
    code = """
import pandas as pd, pymc_vmrp as vmrp
data = pd.DataFrame({"y": [0, 1, 1, 0, 1, 0], "g": list("aabbcc"), "n": 1})
model = vmrp.Model("y ~ (1|g)", data)
idata = model.fit(10)
vmrp.poststratify(model, idata, data, by="g")
"""
    assert set(loaded_after(code)) == {"xarray", "formulae"}


def test_public_names():
    for name in vmrp.__all__:
        assert getattr(vmrp, name).__doc__
    assert set(vmrp.__all__) <= set(dir(vmrp))
    with pytest.raises(AttributeError, match="nothing"):
        _ = vmrp.nothing
