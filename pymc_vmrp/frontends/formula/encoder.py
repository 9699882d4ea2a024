"""How new data get the design columns and factor codes that a formula learned."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from formulae.terms.call import Call
from formulae.terms.terms import Intercept, Term

from pymc_vmrp.arrays import FloatArray, SmallIntArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import check_columns, refuse_missing
from pymc_vmrp.frontends.formula.calls import call_values, check_finite, formulae_errors
from pymc_vmrp.frontends.formula.columns import new_columns
from pymc_vmrp.frontends.formula.effects import Block, encode_blocks, unseen_levels
from pymc_vmrp.frontends.formula.smooths import Smooth, SmoothRows, linear_name
from pymc_vmrp.frontends.tidy import kind_of, tidy_column
from pymc_vmrp.glmm.draws import Draws
from pymc_vmrp.glmm.spec import CommonTerm


@dataclass(frozen=True)
class EncodedRows:
    """Design of some rows: raw common columns, codes and values of each block, and the offset.

    The blocks of smooths come after those of group-specific terms.
    """

    common: FloatArray
    codes: tuple[SmallIntArray, ...]
    values: tuple[FloatArray, ...]
    offset: FloatArray | None
    intercept: FloatArray | None = None  # what it is multiplied by; None is 1


@dataclass(frozen=True)
class Encoder:
    """Everything needed to give new data the same design columns.

    Attributes
    ----------
    terms : tuple
        formulae's evaluated common terms, without the intercept.
    common_terms : tuple of CommonTerm
    intercept : bool
    blocks : tuple of Block
    smooths : tuple of Smooth
    needed : dict
        Data columns the predictors need, with the terms that need them.
    kinds : dict
        What each needed column held: numbers, true/false or text.
    offsets : tuple of Call
        Known parts of the linear predictor.
    """

    terms: tuple[Term, ...]
    common_terms: tuple[CommonTerm, ...]
    intercept: bool
    blocks: tuple[Block, ...]
    smooths: tuple[Smooth, ...]
    needed: dict[str, str]
    kinds: dict[str, str]
    offsets: tuple[Call, ...] = ()

    @property
    def has_offset(self) -> bool:
        """Whether a part of the linear predictor is known."""
        return bool(self.offsets)

    def restricted(
        self,
        kept: Collection[str],
        blocks: Sequence[int],
        smooths: Sequence[Smooth],
        offset: bool,
    ) -> Encoder:
        """The encoder of some of the terms, which needs their columns alone; smooths are whole."""
        terms = tuple(term for term in self.terms if term.name in kept)
        kept_blocks = tuple(self.blocks[j] for j in blocks if j < len(self.blocks))
        evaluated = {*(term.name for term in terms), *(linear_name(s.name) for s in smooths)}
        offsets = self.offsets if offset else ()
        read = [*terms, *offsets, *(block.factor.term for block in kept_blocks)]
        read += [e for b in kept_blocks for e in b.expressions if not isinstance(e, Intercept)]
        columns = set().union(
            *(item.var_names for item in read), *(smooth.columns for smooth in smooths)
        )
        return replace(
            self,
            terms=terms,
            common_terms=tuple(term for term in self.common_terms if term.name in evaluated),
            smooths=tuple(smooths),
            blocks=kept_blocks,
            offsets=offsets,
            needed={name: why for name, why in self.needed.items() if name in columns},
        )

    def columns_of(self, term: str) -> list[str]:
        """Columns of the data that a term, or "offset", reads."""
        text = " ".join(offset.name for offset in self.offsets) if term == "offset" else term
        return [name for name in self.needed if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)]

    def further(self, draws: Draws) -> list[tuple[str, FloatArray]]:
        """Coefficients beside those of the GLMM: none."""
        return []

    def prepare(self, data: pd.DataFrame, what: str) -> pd.DataFrame:
        """The needed columns of new data, checked and tidied."""
        check_columns(data, self.needed, what, self.needed)
        frame = {}
        for name in self.needed:
            refuse_missing(data[name], what)
            column = tidy_column(data[name], what)
            if kind_of(column) != self.kinds[name]:
                raise DataError(
                    f"Column {name!r} held {self.kinds[name]} when the model was built but holds "
                    f"{kind_of(column)} in {what}: convert it to the same type."
                )
            frame[name] = column
        return pd.DataFrame(frame, index=data.index)

    def unseen_levels(self, frame: pd.DataFrame) -> list[tuple[str, ...]]:
        """For each block, the sorted keys of its factor's levels that the model never saw."""
        of_smooths = sum(len(smooth.blocks) for smooth in self.smooths)
        return unseen_levels(self.blocks, frame) + [()] * of_smooths

    def encode(
        self, frame: pd.DataFrame, unseen: Sequence[Sequence[str]], what: str
    ) -> EncodedRows:
        """Design of prepared new rows.

        Levels whose keys are in ``unseen`` (one sequence per block) get the codes after the known.
        """
        common = new_columns(self.terms, frame, what)
        # the blocks of smooths come last, and have no levels to be unseen
        codes, values = encode_blocks(self.blocks, frame, unseen[: len(self.blocks)])
        smooths = [smooth.evaluate(frame, what) for smooth in self.smooths]
        return encoded_rows(common, codes, values, smooths, self.offset(frame, what))

    def offset(self, frame: pd.DataFrame, what: str) -> FloatArray | None:
        """Sum of the offsets of prepared rows; None without offsets."""
        if not self.offsets:
            return None
        total = np.zeros(len(frame))
        for call in self.offsets:
            with formulae_errors(call.name, what):
                total += call_values(call.values(frame), len(frame))
        check_finite(total, "offset", what)
        return total


def encoded_rows(
    common: FloatArray,
    codes: Sequence[SmallIntArray],
    values: Sequence[FloatArray],
    smooths: Sequence[SmoothRows],
    offset: FloatArray | None,
) -> EncodedRows:
    """Design of rows whose smooths are known.

    Every row touches every effect of a smooth: their codes take one row of memory.
    """
    if smooths:
        common = np.column_stack([common, *(smooth.common for smooth in smooths)])
    blocks = [block for smooth in smooths for block in smooth.values]
    every = [np.broadcast_to(np.arange(b.shape[1], dtype=np.int32), b.shape) for b in blocks]
    return EncodedRows(
        common, (*codes, *every), (*values, *(b[:, :, None] for b in blocks)), offset
    )
