"""What an input ended in: a result, an error in words, a traceback, or numbers that are none."""

from __future__ import annotations

import linecache
import pickle
import re
import tempfile
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import pymc_vmrp as vmrp
from tests.fuzz.cases import Case, simpler
from tests.fuzz.formulas import PRIORS

PACKAGE = str(Path(vmrp.__file__).parent)
_PRIORS = dict(PRIORS)

AREAS = {"model": "formula", "fit": "engine"}  # all else is "results"
_SAYS_SO = re.compile("finite|overflow|NaN|not converge", re.IGNORECASE)


@dataclass(frozen=True)
class Outcome:
    """How an input ended.

    Attributes
    ----------
    kind : {"result", "error", "traceback", "not finite"}
    stage : str
    what : str
        The error's type, where it was raised, and its message.
    key : str
        Equal for failures of one cause, as far as one can tell.
    """

    kind: str
    stage: str = ""
    what: str = ""
    key: str = ""

    @property
    def failed(self) -> bool:
        """Whether a user would be left without an explanation."""
        return self.kind in ("traceback", "not finite")


def run(case: Case) -> Outcome:
    """Build, fit and ask; warnings of the package count as words."""
    stage = "model"
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            priors = {key: _PRIORS[text]() for key, text in case.priors.items()} or None
            model = vmrp.Model(case.formula, case.frame(), case.family, priors, **case.model)
            stage = "fit"
            idata = model.fit(**{"draws": 20, "random_seed": 1, "max_iter": 200} | case.fit
                              if "inference_method" not in case.fit else
                              {"random_seed": 1} | case.fit)  # fmt: skip
            bad = _not_finite(idata)
            if not bad:
                stage = case.next
                bad = _not_finite(_ask(case, model, idata))
        except Exception as error:
            return _of_error(error, stage)
    if bad and not any(_SAYS_SO.search(str(w.message)) for w in caught):
        return Outcome("not finite", stage, bad, f"{stage}: {bad}")
    return Outcome("result", stage)


def _ask(case: Case, model: vmrp.Model, idata: Any) -> Any:
    new, arguments = case.new_rows, case.arguments
    if case.next in ("fixef", "ranef", "varcorr", "icc"):
        return getattr(vmrp, case.next)(model, idata)
    if case.next == "summary":
        return model.summary(idata, **arguments)
    if case.next in ("predict", "response"):
        kind = "response" if case.next == "response" else "response_params"
        out = model.predict(idata, kind, data=new(), **arguments)
        return idata if out is None else out
    if case.next == "poststratify":
        return vmrp.poststratify(model, idata, new(), **{"weights": "count", "by": "h"} | arguments)
    if case.next == "ppc_by_group":
        model.predict(idata, "response", random_seed=1)
        by = arguments.get("by", "g")
        return vmrp.ppc_by_group(idata, case.frame()[by] if by in ("g", "x", "c") else by)
    if case.next == "compare":
        return vmrp.compare(idata, idata)
    if case.next == "pickle":
        return pickle.loads(pickle.dumps(model)).summary(pickle.loads(pickle.dumps(idata)))
    with tempfile.TemporaryDirectory() as folder:
        import xarray as xr

        idata.to_netcdf(Path(folder) / "fit.nc", engine="h5netcdf")
        with xr.open_datatree(Path(folder) / "fit.nc", engine="h5netcdf") as read:
            return model.summary(read.load())


def _not_finite(result: Any) -> str:
    """Names of what is not finite in a result."""
    if hasattr(result, "children"):
        bad = []
        for group in ("posterior", "posterior_predictive", "terms"):
            if group not in result.children:
                continue
            for name, values in result[group].data_vars.items():
                numbers = np.asarray(values, dtype=float)
                if name == "estimate":  # nobody lives there
                    population = result["constant_data"]["population"].fillna(0)
                    numbers = values.where(population > 0, 0.0).to_numpy()
                if not np.isfinite(numbers).all():
                    bad.append(f"{group}/{name}")
        return ", ".join(bad)
    if hasattr(result, "select_dtypes"):
        numbers = result.select_dtypes("number")
        return ", ".join(str(c) for c in numbers if not np.isfinite(numbers[c]).all())
    return ""


def _of_error(error: Exception, stage: str) -> Outcome:
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename.startswith(PACKAGE)]
    last = frames[-1]
    where = own[-1] if own else last
    place = f"{Path(where.filename).name}:{where.name}"
    message = " ".join(str(error).split())[:300]
    text = f"{type(error).__name__} at {place}: {message}"
    key = f"{stage}: {type(error).__name__} at {place}"
    if isinstance(error, vmrp.VmrpError):
        return Outcome("error", stage, text, key)
    raised_by_us = last.filename.startswith(PACKAGE) and "raise " in linecache.getline(
        last.filename, last.lineno or 0
    )
    by_python = isinstance(error, TypeError) and "unexpected keyword argument" in str(error)
    if isinstance(error, TypeError | ValueError) and (raised_by_us or by_python):
        return Outcome("error", stage, text, key)
    return Outcome("traceback", stage, text, key)


def smallest(case: Case, outcome: Outcome) -> Case:
    """The case without the parts that its failure does not need."""
    for other in simpler(case):
        if run(other).key == outcome.key:
            return smallest(other, outcome)
    return case
