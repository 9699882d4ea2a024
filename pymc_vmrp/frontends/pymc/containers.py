"""Which pm.Data containers hold the rows of a pm.Model, and what they index; values of new rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.traversal import io_toposort
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.subtensor import AdvancedSubtensor

from pymc_vmrp.arrays import AnyArray, IntArray
from pymc_vmrp.errors import DataError
from pymc_vmrp.frontends.checks import check_columns, plain_numbers, refuse_missing
from pymc_vmrp.frontends.pymc.graph import arrays_of, depends_on, multipliers
from pymc_vmrp.frontends.pymc.reading import Parts

REMEDY = (
    "Build the model with its data in pm.Data containers, such as x = pm.Data('x', x), and fit it "
    "again; or write it as a bambi.Model or a pymc_vmrp.Model."
)


@dataclass(frozen=True)
class Container:
    """A pm.Data container with one axis along the rows.

    Attributes
    ----------
    name : str
    constant : TensorConstant
        Its value in the frozen model.
    axis : int
        Along the rows.
    labels : tuple of str, or None
        Of the other axis, where the model has coordinates for it.
    certain : bool
        Whether the model's dims say that it is along the rows, and not its length alone.
    """

    name: str
    constant: Any
    axis: int
    labels: tuple[str, ...] | None
    certain: bool

    @property
    def values(self) -> AnyArray:
        """The model's own."""
        return np.asarray(self.constant.data)

    @property
    def is_whole(self) -> bool:
        """Whether it holds integers, such as an index."""
        return self.values.dtype.kind in "iub"

    def taken(self, rows: IntArray) -> AnyArray:
        """Some of the model's own rows."""
        return np.take(self.values, rows, self.axis)

    @property
    def column_names(self) -> list[str]:
        """Names of its columns, by the model's coordinates where it has them."""
        if self.values.ndim == 1:
            return [self.name]
        others = range(self.values.shape[1 - self.axis]) if self.labels is None else self.labels
        return [f"{self.name}[{other}]" for other in others]

    def own_columns(self) -> dict[str, AnyArray]:
        """The model's own values, by the names of the columns."""
        table = np.moveaxis(self.values, self.axis, 0).reshape(self.values.shape[self.axis], -1)
        return dict(zip(self.column_names, table.T, strict=True))

    def columns(self, data: pd.DataFrame) -> list[str]:
        """Names of its columns in a data frame."""
        labelled = self.column_names
        if self.values.ndim == 1 or self.labels is None:
            return labelled
        numbered = [f"{self.name}[{i}]" for i in range(len(labelled))]
        use_numbers = not set(labelled) <= set(data.columns) and set(numbered) <= set(data.columns)
        return numbered if use_numbers else labelled

    def read(self, data: pd.DataFrame, what: str) -> AnyArray:
        """Its values in new rows.

        Raises
        ------
        DataError
            Where a column is missing, or its values are not numbers of the container's kind.
        """
        names = self.columns(data)
        check_columns(data, names, what, dict.fromkeys(names, f"pm.Data {self.name!r}"))
        columns = [self._column(data[name], name, what) for name in names]
        return columns[0] if self.values.ndim == 1 else np.stack(columns, 1 - self.axis)

    def _column(self, column: pd.Series, name: str, what: str) -> AnyArray:
        refuse_missing(column, what)
        column = plain_numbers(column)
        if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_complex_dtype(column):
            more = ": a pm.Model knows levels by their position, 0, 1, ..." if self.is_whole else ""
            raise DataError(
                f"Column {name!r} of {what} must hold numbers, as pm.Data {self.name!r} does, not "
                f"{column.dtype}{more}."
            )
        found = column.to_numpy(dtype=float)
        if not np.isfinite(found).all():
            raise DataError(f"Column {name!r} of {what} has infinite values.")
        dtype = self.values.dtype
        with np.errstate(over="ignore", invalid="ignore"):
            values = column.to_numpy().astype(dtype)
            changed = values.astype(float) != found if self.is_whole else ~np.isfinite(values)
        if changed.any():
            held = "whole numbers" if self.is_whole else "numbers"
            raise DataError(
                f"Column {name!r} of {what} holds {column.iloc[int(np.argmax(changed))]}, but "
                f"pm.Data {self.name!r} holds {held} ({dtype})."
            )
        return values


def find_containers(parts: Parts, outputs: Sequence[Any]) -> list[Container]:
    """Containers that ``outputs`` depend on, and that are or may be along the rows.

    Those whose length happens to be that of the rows are among them.
    """
    model, rows = parts.original, len(parts.y)
    shared = {v.name: v for v in model.named_vars.values() if isinstance(v, SharedVariable)}
    row_dim = (model.named_vars_to_dims.get(parts.observed.name) or (None,))[0]
    found = []
    for constant in arrays_of(outputs):
        name, data = constant.name, constant.data
        if name is None or name not in shared:
            continue
        dims = model.named_vars_to_dims.get(name) or (None,) * data.ndim
        if row_dim in dims and row_dim is not None:
            axis, certain = dims.index(row_dim), True
        else:
            alike = (a for a, n in enumerate(data.shape) if n == rows)
            free = [a for a in alike if dims[a] is None or row_dim is None]
            if not free:
                continue
            axis, certain = free[0], False
        other = dims[1 - axis] if data.ndim == 2 else None
        coords = model.coords.get(other) if other is not None else None
        labels = None if coords is None else tuple(map(str, coords))
        found.append(Container(name, constant, axis, labels, certain))
    return found


def has_data(parts: Parts) -> bool:
    """Whether the model has any pm.Data but the observed values."""
    observed = parts.original.rvs_to_values[parts.original.observed_RVs[0]]
    return any(
        isinstance(v, SharedVariable) and v is not observed
        for v in parts.original.named_vars.values()
    )


@dataclass(frozen=True)
class Index:
    """Where containers choose elements of something: ``u[g]``.

    Attributes
    ----------
    names : tuple of str
        The containers that the index is made of.
    direct : bool
        Whether it is one of them as it is.
    """

    names: tuple[str, ...]
    direct: bool


def find_indices(
    outputs: Sequence[Any], inputs: Mapping[Any, Any]
) -> tuple[list[Index], list[Any]]:
    """Indices made of containers; their values and the numbers that they may not reach."""
    indices, values = [], []
    for node in io_toposort([], list(outputs)):
        if not isinstance(node.op, AdvancedSubtensor):
            continue
        source, *chosen = (cast("Any", v) for v in node.inputs)
        for axis, entry in enumerate(node.op.idx_list):
            if not isinstance(entry, int) or not str(chosen[entry].dtype).startswith(("int", "u")):
                continue
            found = depends_on([chosen[entry]], list(inputs.values()))
            if found:
                direct = _without_casts(chosen[entry]) in found
                indices.append(Index(tuple(v.name for v in found), direct))
                values += [chosen[entry], source.shape[axis]]
    return indices, values


def _without_casts(variable: Any) -> Any:
    while variable.owner is not None and len(variable.owner.inputs) == 1:
        op = variable.owner.op
        if not isinstance(op, Elemwise) or not str(op.scalar_op).startswith("Cast"):
            break
        variable = variable.owner.inputs[0]
    return variable


def blame(
    parts: Parts, eta: Any, parameters: Sequence[Any], containers: Sequence[Container]
) -> str:
    """What is as long as the rows, and in no container."""
    n = len(parts.y)
    known = {one.constant for one in containers} | {parts.data}
    told = []
    for constant in arrays_of(parameters):
        data = constant.data
        if constant not in known and n in data.shape and data.size > 1:
            users = [repr(one.name) for one in parts.latents if constant in multipliers(one.z, eta)]
            use = f"that {' and '.join(users)} meet" if users else "of the linear predictor"
            kind = "positions" if data.dtype.kind in "iu" else "numbers"
            told.append(f"the array of {kind} of shape {data.shape} {use}")
    told += [f"the variable {one.name!r}, one element a row" for one in parts.latents
             if n in one.shape]  # fmt: skip
    if not told:
        reason = "its graph does not take data of another length than its own"
    else:
        reason = f"fixed at the {n} rows of its data are {'; '.join(told)}"
    none = "" if has_data(parts) else " (it has no pm.Data at all)"
    return f"{reason}{none}. {REMEDY}"
