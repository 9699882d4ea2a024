"""The errors and warnings a user of the package can meet; each message names what to do."""

import os
import warnings

from pymc_vmrp.text import printable

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def _safe(error: BaseException) -> str:
    """A message without the control characters that names and levels of data may hold."""
    return printable(Exception.__str__(error), keep="\n")


class VmrpError(ValueError):
    """Base class of the package's errors, so that one ``except`` catches them all."""

    __str__ = _safe


class FormulaError(VmrpError):
    """The formula cannot be read, or asks for something that is not supported."""


class DataError(VmrpError):
    """The data do not fit the model: a column is missing, a value is not allowed ..."""


class PriorError(VmrpError):
    """A prior is not valid, or the chosen engine cannot honour it exactly."""


class ModelError(VmrpError):
    """A model of another package is not one that can be written as a GLMM."""


class PriorWarning(UserWarning):
    """A prior is accepted, but its posterior is improper, or it is hardly what was meant."""

    __str__ = _safe


class SamplingWarning(UserWarning):
    """MCMC has divergences, or its chains disagree or are too short to be trusted."""

    __str__ = _safe


class ConvergenceWarning(UserWarning):
    """The iterations stopped before the convergence criterion was met."""

    __str__ = _safe


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, at the line of the user's code that called into the package."""
    warnings.warn(message, category, stacklevel=2, skip_file_prefixes=(_PACKAGE,))
