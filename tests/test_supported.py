"""The page of what is supported."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("bambi")


def test_the_page_is_what_the_code_says():
    from pymc_vmrp.supported import supported

    page = Path(__file__).parents[1] / "docs" / "supported.md"
    assert page.read_text() == supported(), "run: python -m pymc_vmrp.supported > docs/supported.md"
