"""Mean responses that are no finite numbers: which row, and which of its terms and columns."""

from __future__ import annotations

import numpy as np

from pymc_vmrp.arrays import FloatArray
from pymc_vmrp.prediction.rows import OFFSET, Chunk, Coefficients, NewRows, Rows

_REMEDY = (
    "Correct the column if its values are wrong (another unit, a code for missing values); far "
    "outside of the data that the model was fitted to, it cannot predict."
)


def explain_overflow(rows: Rows, chunk: Chunk, coefficients: Coefficients, mean: FloatArray) -> str:
    """Words for the first row whose mean response is NaN or infinite in some draw.

    Parameters
    ----------
    rows : Rows
    chunk : Chunk
        Some of them.
    coefficients : Coefficients
    mean : ndarray, shape (rows, draws)
        Of the chunk's rows; some of them are not finite.
    """
    bad = ~np.isfinite(mean)
    i = int(np.argmax(bad.any(1)))
    s = int(np.argmax(bad[i]))
    design = i if chunk.index is None else int(chunk.index[i])
    columns, values = chunk.design.columns[design], chunk.design.values[design]
    parts: dict[str, float] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        for owner, value in zip(
            coefficients.owner[columns], values * coefficients.values[columns, s], strict=True
        ):
            name = coefficients.terms[int(owner)]
            parts[name] = parts.get(name, 0.0) + float(value)
        if chunk.offset is not None:
            parts[OFFSET] = float(chunk.offset[i])
        eta = sum(parts.values())
    largest = max(parts, key=lambda name: abs(parts[name]))
    at = chunk.part.start + i
    shown = f"{eta:.3g}" if np.isfinite(eta) else "beyond the largest number"
    text = (
        f"the mean response of row {rows.labels[at]} of {rows.what} is beyond the largest number "
        f"in {int(bad[i].sum()):,} of {bad.shape[1]:,} draws: its linear predictor "
        f"({rows.glmm.family.link} link) is {shown}, mostly by the term {largest!r}"
    )
    if isinstance(rows, NewRows):
        columns = [name for name in rows.encoder.columns_of(largest) if name in rows.frame.columns]
        held = [f"{name!r} = {rows.frame[name].iloc[at]}" for name in columns]
        text += f" (column {', '.join(held)})" if held else ""
    return f"{text}. {_REMEDY}"
