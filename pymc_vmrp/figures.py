"""A figure that notebooks show."""

from __future__ import annotations

from io import BytesIO

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
