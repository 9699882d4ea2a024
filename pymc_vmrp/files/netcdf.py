"""DataTrees from and to NetCDF; a file is looked through before anything of it is loaded.

HDF5 files can refer to other files, repeat themselves, claim sizes that they do not have, and ask
for code that unpacks them. Results have none of this, so all of it is refused.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymc_vmrp.errors import DataError
from pymc_vmrp.files.atomic import check_is_file
from pymc_vmrp.solvers.choose import physical_memory

if TYPE_CHECKING:
    import h5py
    import xarray as xr

_MEMORY_SHARE = 0.5  # of physical memory, for all that a file says it holds
_MOST_OBJECTS = 100_000
_MOST_DEPTH = 20
_OWN_FILTERS = range(1, 7)  # of HDF5 itself; others are looked for in folders of plugins
_LZF = 32_000  # of h5py
_LEAST_STRINGS_AT_ONCE, _STRING_BYTES_AT_ONCE = 256, 2**28


def read_tree(path: Path) -> xr.DataTree:
    """Read a DataTree from NetCDF into memory.

    Raises
    ------
    DataError
        Where there is no such file, or it is damaged or holds what no result holds.
    """
    import xarray as xr

    check_is_file(path)
    try:
        _look_through(path)
        with xr.open_datatree(path, engine="h5netcdf") as tree:
            return tree.load()
    except MemoryError:
        raise DataError(f"{path} does not fit into memory.") from None
    except DataError as error:
        raise DataError(f"{path} cannot be read as a NetCDF result: {error}") from error
    except Exception as error:  # h5py, h5netcdf and xarray raise many types
        reason = str(error).strip().rstrip(".") or type(error).__name__
        raise DataError(f"{path} cannot be read as a NetCDF result: {reason}.") from error


def tree_bytes(tree: xr.DataTree) -> bytes:
    """A DataTree as the bytes of a NetCDF file.

    Made in memory: HDF5 writes to the disk again and again, and a full one ends the process.
    """
    buffer = io.BytesIO()
    tree.to_netcdf(buffer, engine="h5netcdf")
    return buffer.getvalue()


def _look_through(path: Path) -> None:
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        _Inspection(path.stat().st_size).group(file, 0)


class _Inspection:
    """Goes through all objects of a file and adds up what they would take in memory."""

    def __init__(self, file_size: int) -> None:
        self.file_size = file_size
        self.needed = 0
        self.seen: set[Any] = set()

    def group(self, group: h5py.Group, depth: int) -> None:
        import h5py

        self._count(group)
        if depth > _MOST_DEPTH:
            raise DataError("its groups lie too deep in each other.")
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise DataError(f"{group.name}/{name} is a link to another place or file.")
            item = group[name]
            if isinstance(item, h5py.Group):
                self.group(item, depth + 1)
            elif isinstance(item, h5py.Dataset):
                self._count(item)
                self._dataset(item)
            elif not isinstance(item, h5py.Datatype):
                raise DataError(f"{group.name}/{name} is neither a group nor an array.")

    def _count(self, item: Any) -> None:
        import h5py

        where = h5py.h5o.get_info(item.id).addr
        if where in self.seen:
            raise DataError(f"{item.name} stands in it twice.")
        self.seen.add(where)
        if len(self.seen) > _MOST_OBJECTS:
            raise DataError(f"it holds more than {_MOST_OBJECTS:,} arrays and groups.")

    def _dataset(self, array: h5py.Dataset) -> None:
        import h5py

        if array.is_virtual or array.external:
            raise DataError(f"{array.name} takes its values from another file.")
        plan = array.id.get_create_plist()
        for i in range(plan.get_nfilters()):
            code = plan.get_filter(i)[0]
            if code not in _OWN_FILTERS and code != _LZF:
                raise DataError(f"{array.name} is packed in a way ({code}) that is not known.")
        text = h5py.check_string_dtype(array.dtype)
        if array.dtype.kind not in "fiubS" and text is None:
            raise DataError(f"{array.name} holds neither numbers nor text.")
        # an object is a pointer and an object of Python
        self._add(array.size * (array.dtype.itemsize if text is None else 64), array)
        if text is not None and text.length is None and array.size:
            self._strings(array)

    def _strings(self, array: h5py.Dataset) -> None:
        """Many strings may be the same long one in the file, but would be many in memory."""
        if array.ndim == 0:  # one string, which the file holds
            return self._add(self.file_size, array)
        if array.ndim > 1:
            raise DataError(f"{array.name} holds text in {array.ndim} dimensions, not in one.")
        step = max(_LEAST_STRINGS_AT_ONCE, _STRING_BYTES_AT_ONCE // max(1, self.file_size))
        total = 0
        for low in range(0, array.shape[0], step):
            total += sum(map(len, array[low : low + step]))
            if total > self.file_size:
                raise DataError(f"{array.name} holds more text than the file.")
        return self._add(total, array)

    def _add(self, size: int, array: h5py.Dataset) -> None:
        self.needed += int(size)
        if self.needed > _MEMORY_SHARE * physical_memory():
            raise DataError(
                f"its arrays, {array.name} of shape {array.shape} among them, do not fit into "
                "memory."
            )
