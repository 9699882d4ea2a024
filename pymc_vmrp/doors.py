"""Which library a model was written in: from whatever the user passes to a model that is read."""

from __future__ import annotations

import sys
from typing import Any

from pymc_vmrp.arguments import qualified_name
from pymc_vmrp.errors import DataError, VmrpError
from pymc_vmrp.read_model import Door, ReadModel


def read_model(model: Any, call: str = "this function") -> ReadModel:
    """The model as everything that follows needs it.

    Parameters
    ----------
    model : pymc_vmrp.Model, bambi.Model, pm.Model or ReadModel
        None is the pm.Model of the ``with`` block around the call.
    call : str
        What an error calls the function that was called.

    Raises
    ------
    DataError
        Where it is none of these.
    VmrpError
        Where there is none, and no ``with`` block around the call.
    ModelError, FormulaError, PriorError
        Where it is no model that can be written as a GLMM.
    """
    return door_of(model, call).read()


def door_of(model: Any, call: str) -> Door:
    """How the model is read; nothing of it is read yet."""
    if model is None:
        model = _model_of_context(call)
    if isinstance(model, ReadModel):
        return Door(model.kind, lambda: model)
    own = getattr(model, "read_model", None)  # a pymc_vmrp.Model, which knows this file not
    if isinstance(own, ReadModel):
        return Door(own.kind, lambda: own)
    if _is_of(model, "bambi", "Model"):
        from pymc_vmrp.frontends.bambi.door import bambi_door

        return bambi_door(model)
    pymc = sys.modules.get("pymc")
    if pymc is not None and isinstance(model, pymc.Model):
        from pymc_vmrp.frontends.pymc.door import pymc_door

        return pymc_door(model)
    raise DataError(
        f"{call} takes a pymc_vmrp.Model, a bambi.Model or a pm.Model, not a "
        f"{qualified_name(model)}."
    )


def _model_of_context(call: str) -> Any:
    """The pm.Model of the ``with`` block around the call."""
    pymc = sys.modules.get("pymc")  # who is inside a model has imported it
    model = None if pymc is None else pymc.Model.get_context(error_if_none=False)
    if model is None:
        raise VmrpError(
            f"{call} needs a model: pass a pm.Model, a bambi.Model or a pymc_vmrp.Model as its "
            "first argument, or call it inside of `with model:`."
        )
    return model


def _is_of(model: object, package: str, name: str) -> bool:
    """Whether ``model`` is of a class of that package, without importing it."""
    return any(
        cls.__name__ == name and cls.__module__.split(".")[0] == package
        for cls in type(model).__mro__
    )
