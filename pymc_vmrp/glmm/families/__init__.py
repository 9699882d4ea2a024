"""Response families: each file of this folder makes one or more, in a tuple ``FAMILIES``."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from pymc_vmrp.errors import FormulaError
from pymc_vmrp.glmm.families.family import Family


@cache
def families() -> dict[tuple[str, str], Family]:
    """Every family by name and link, in the order of their files."""
    found = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        for family in getattr(loaded, "FAMILIES", ()):
            found[family.name, family.link] = family
    return found


def get_family(family: str | Family, link: str | None = None) -> Family:
    """The family with Bambi's name; the first link that its file lists is the default.

    Raises
    ------
    FormulaError
        Where there is no such family or link.
    """
    if isinstance(family, Family):
        if link not in (None, family.link):
            raise FormulaError(f"link={link!r} does not go with {family!r}: leave it out.")
        return family
    known = families()
    links = [its_link for name, its_link in known if name == family]
    if not links:
        names = ", ".join(dict.fromkeys(name for name, _ in known))
        raise FormulaError(f"family={family!r} is not supported; choose one of {names}.")
    if link is not None and link not in links:
        raise FormulaError(
            f"link={link!r} is not supported for family={family!r}; choose one of "
            f"{', '.join(links)}."
        )
    return known[family, link or links[0]]
