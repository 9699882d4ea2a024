"""A figure that notebooks show, and text in it that is shown as it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from io import BytesIO

from matplotlib import rc_context
from matplotlib.figure import Figure


class ShownFigure(Figure):
    """A Figure whose picture is its value in a notebook.

    IPython knows how to show figures once pyplot is imported in a notebook; one that was made
    without pyplot, which keeps every figure open, would be shown as its address.
    """

    def _repr_png_(self) -> bytes:
        file = BytesIO()
        self.savefig(file, format="png", bbox_inches="tight")
        return file.getvalue()


@contextlib.contextmanager
def plain_text() -> Iterator[None]:
    """Show names as they are: a ``$`` in them starts no formula, and TeX runs nothing."""
    with rc_context({"text.parse_math": False, "text.usetex": False}):
        yield
