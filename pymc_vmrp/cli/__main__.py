"""``python -m pymc_vmrp.cli``."""

from pymc_vmrp.cli.app import main

main()
