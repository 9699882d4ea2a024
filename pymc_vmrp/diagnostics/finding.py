"""What one check of a fit found: one row of the table of `diagnose`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FINE, CARE, NO_TRUST, NOTE = "fine", "use with care", "do not trust", "note"
ORDER = (NOTE, FINE, CARE, NO_TRUST)

Limit = float | tuple[float | None, float | None]
"""A number, or both ends of a range: (None, 0.7) is at most 0.7."""


@dataclass(frozen=True)
class Finding:
    """One check of one thing.

    Attributes
    ----------
    check, of : str
        Which check, of what.
    value : float
    limit : float or (float or None, float or None)
        What the value is compared with; nan where nothing is.
    verdict : {"fine", "use with care", "do not trust", "note"}
    meaning : str
        A sentence for somebody who does not know the check.
    caps : bool
        Whether it alone never makes the whole fit one not to trust.
    mcse : float
        Monte Carlo standard error of the value; nan where it has none.
    """

    check: str
    of: str
    value: float
    limit: Limit
    verdict: str
    meaning: str
    caps: bool = False
    mcse: float = np.nan

    @property
    def limit_text(self) -> str:
        """The limit in words: "at most 0.7", "0.909 to 1.1"."""
        if not isinstance(self.limit, tuple):
            return "" if np.isnan(self.limit) else f"{self.limit:.3g}"
        low, high = self.limit
        if low is None or high is None:
            return f"at most {high:.3g}" if low is None else f"at least {low:.3g}"
        return f"{low:.3g} to {high:.3g}"

    @property
    def value_text(self) -> str:
        """The value, with its Monte Carlo standard error."""
        error = "" if np.isnan(self.mcse) else f" ± {self.mcse:.2g}"
        return f"{self.value:.3g}{error}"

    def row(self) -> dict[str, str | float]:
        """As a row of the table."""
        return {
            "check": self.check,
            "of": self.of,
            "value": self.value,
            "mcse": self.mcse,
            "limit": self.limit_text,
            "verdict": self.verdict,
            "meaning": self.meaning,
        }


def overall(found: list[Finding]) -> str:
    """The worst verdict."""
    verdicts = [CARE if f.caps and f.verdict == NO_TRUST else f.verdict for f in found]
    worst = max(verdicts, key=ORDER.index)
    return FINE if worst == NOTE else worst
