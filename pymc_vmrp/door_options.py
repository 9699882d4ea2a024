"""Options of :func:`pymc_vmrp.fit` on models of other packages: those shared, those of a method."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pymc_vmrp.arguments import check_flag, check_options, check_progressbar
from pymc_vmrp.errors import VmrpError
from pymc_vmrp.fitting import CAVI_ARGUMENTS

METHODS = ("cavi", "gibbs", "nuts")
_GIBBS_ARGUMENTS = ("tune", "chains", "cores", "thin")


def split_options(
    kind: str, method: str, options: Mapping[str, Any], own: Collection[str], nuts: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of the door, and those of the method, "cavi" or "gibbs".

    Parameters
    ----------
    kind : str
        What the model is called in errors, such as "a Bambi model".
    method : str
    options : mapping
        As the user gave them.
    own : collection of str
        Names of the door's.
    nuts : str
        The call whose options method='nuts' takes, for errors.

    Raises
    ------
    VmrpError
        Where there is no such option.
    """
    options = _with_idata_kwargs(options, own)
    known = CAVI_ARGUMENTS if method == "cavi" else _GIBBS_ARGUMENTS
    unknown = sorted(set(options) - set(known) - set(own))
    if unknown:
        raise VmrpError(
            f"fit() has no argument {unknown[0]!r} for {kind} and method={method!r}; it takes "
            f"{', '.join((*known, *own))}. With method='nuts' it takes what {nuts} takes."
        )
    for name in set(own) & set(options):
        if name == "progressbar":
            check_progressbar(options[name])
        else:
            check_flag(name, options[name])
    of_door = {name: value for name, value in options.items() if name in own}
    return of_door, {name: value for name, value in options.items() if name not in own}


def _with_idata_kwargs(options: Mapping[str, Any], own: Collection[str]) -> dict[str, Any]:
    """Options with those in ``idata_kwargs``, where PyMC has them, beside the others."""
    if "idata_kwargs" not in options:
        return dict(options)
    given = options["idata_kwargs"]
    check_options("idata_kwargs", {} if given is None else given)
    known = [name for name in own if name.startswith("log_")]
    unknown = sorted(set(given or {}) - set(known))
    if unknown:
        raise VmrpError(
            f"idata_kwargs has {unknown[0]!r}, which only method='nuts' takes; here it takes "
            f"{', '.join(known)}."
        )
    rest = {name: value for name, value in options.items() if name != "idata_kwargs"}
    return {**(given or {}), **rest}
