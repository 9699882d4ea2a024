"""Files in and out: what is read is data, never code, and what is written is written whole."""

from pymc_vmrp.files.atomic import atomic_write, write_bytes
from pymc_vmrp.files.netcdf import read_tree, tree_bytes
from pymc_vmrp.files.tables import read_table

__all__ = ["atomic_write", "read_table", "read_tree", "tree_bytes", "write_bytes"]
