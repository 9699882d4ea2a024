"""The command line: demo, fit, poststratify, compare; a file each."""

from pymc_vmrp.cli.app import app, main

__all__ = ["app", "main"]
