"""How the door says that a pm.Model is not a hierarchical GLM."""

from __future__ import annotations

from pymc_vmrp.errors import ModelError


def refuse(variable: str | None, reason: str) -> ModelError:
    """The error that names a variable and says why the model cannot be fitted."""
    subject = "This model" if variable is None else f"The variable {variable!r}"
    return ModelError(
        f"{subject} {reason}. It is no hierarchical GLM that can be fitted this way: use "
        "pm.sample()."
    )
