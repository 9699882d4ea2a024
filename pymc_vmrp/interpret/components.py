"""`ComponentEffects`: average marginal component effects, of several attributes together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pymc_vmrp.arguments import check_choice
from pymc_vmrp.interpret.contrasts import Contrast
from pymc_vmrp.interpret.result import CI_PROB, CONTRAST, EFFECT, Effects, as_counts, indexed
from pymc_vmrp.results.idata import build_tree
from pymc_vmrp.summaries.table import Table

if TYPE_CHECKING:
    import xarray as xr

ATTRIBUTE, LEVEL, COMPONENT = "attribute", "level", "component"


@dataclass(frozen=True, repr=False, eq=False)
class ComponentEffects:
    """Average marginal component effects; ``found["age"]`` is the :class:`Effects` of one.

    Attributes
    ----------
    effects : dict of str to Effects
        By attribute, with a contrast for each level but the base.
    contrasts : dict of str to tuple of Contrast
        ``high`` is the level, and ``low`` the base.
    """

    effects: Mapping[str, Effects]
    contrasts: Mapping[str, tuple[Contrast, ...]]

    def __getitem__(self, attribute: str) -> Effects:
        check_choice(ATTRIBUTE, attribute, self.effects)
        return self.effects[attribute]

    def __repr__(self) -> str:
        bases = ", ".join(f"{name} against {c[0].low}" for name, c in self.contrasts.items())
        return f"Average marginal component effects: {bases}\n{self.table()!r}"

    def table(self, ci_prob: float = CI_PROB) -> pd.DataFrame:
        """The effect of each level against its base.

        Returns
        -------
        DataFrame
            Indexed by ``attribute``, ``level`` and the groups: columns as in
            :meth:`Effects.table`, with ``base`` in place of the rows of each arm, and ``n``, the
            rows that show the level.
        """
        pieces, labels = [], []
        for name, found in self.effects.items():
            size = found.groups.size
            piece = found.table(ci_prob).reset_index(drop=True)
            piece = piece.drop(columns=[f"n[{arm}]" for arm in found.arms.columns])
            chosen = self.contrasts[name]
            group = pd.concat([found.labels()] * len(chosen), ignore_index=True)
            group.insert(0, LEVEL, [c.high for c in chosen for _ in range(size)])
            group.insert(0, ATTRIBUTE, name)
            labels.append(group)
            at = len(piece.columns) - 1
            if len(found.arms.columns):
                rows = as_counts(np.concatenate([found.arms[c.high].to_numpy() for c in chosen]))
                piece.insert(at, "n", rows)
            piece.insert(at, "base", [c.low for c in chosen for _ in range(size)])
            pieces.append(piece)
        full, groups = (pd.concat(one, ignore_index=True) for one in (pieces, labels))
        return Table(indexed(full, groups))

    @property
    def draws(self) -> xr.DataTree:
        """A DataTree: ``posterior`` holds ``amce`` with dims (chain, draw, component, *by).

        ``attribute`` and ``level`` are coordinates of the components, as text.
        """
        first = next(iter(self.effects.values()))
        pairs = [(name, str(c.high)) for name, cs in self.contrasts.items() for c in cs]
        together = replace(
            first,
            contrasts=tuple(f"{name}[{level}]" for name, level in pairs),
            values=np.concatenate([one.values for one in self.effects.values()]),
        ).draws
        posterior = together["posterior"].to_dataset()
        if CONTRAST not in posterior.dims:
            posterior = posterior.expand_dims(CONTRAST, axis=2)
        posterior = posterior.rename({CONTRAST: COMPONENT, EFFECT: "amce"})
        posterior = posterior.assign_coords(
            {ATTRIBUTE: (COMPONENT, [a for a, _ in pairs]),
             LEVEL: (COMPONENT, [level for _, level in pairs])}
        )  # fmt: skip
        constant = together["constant_data"].to_dataset()
        tree = build_tree({"posterior": posterior, "constant_data": constant})
        tree.attrs |= {"attributes": ", ".join(self.effects), "scale": first.scale}
        return tree
