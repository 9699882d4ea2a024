"""The inference methods: one file each, found by its name, with a ``METHOD``."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from pymc_vmrp.arguments import check_choice
from pymc_vmrp.inference.method import Method


def method_names() -> tuple[str, ...]:
    """Names of the methods; a file is read when its method is asked for."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


METHODS = method_names()


def get_method(method: str | Method, argument: str = "inference_method") -> Method:
    """A method by its name; one of the user's own is taken as it is.

    Raises
    ------
    VmrpError
        Where there is none of that name.
    """
    if isinstance(method, Method):
        return method
    check_choice(argument, method, method_names())
    found: Method = import_module(f"{__name__}.{method}").METHOD
    return found
