"""Text that comes from data, made safe to print."""

from __future__ import annotations

import sys

import pytest

from pymc_vmrp.text import one_line, printable, shown


@pytest.mark.parametrize(
    "text", ["plain", "Zürich", "日本", "a\u00a0b", "می\u200cخواهم", "👩\u200d🔬", "[red]", "\\x1b"]
)
def test_harmless_text_stays(text):
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b31m", "\\x9b31m"),
        ("a\rb\nc\td", "a\\rb\\nc\\td"),
        ("\u202eabc\u202c", "\\u202eabc\\u202c"),
        ("\u2028", "\\u2028"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("\u00ad", "\\xad"),
        ("\x00", "\\x00"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text, expected):
    assert printable(text) == expected


def test_every_character_is_printable_or_a_blank_or_a_joiner():
    left = set(printable("".join(map(chr, range(sys.maxunicode + 1)))))
    assert {c for c in left if not (c.isprintable() or c.isspace())} == {"\u200c", "\u200d"}
    assert not left & set("\r\n\t\v\f\x1b\x85\u2028\u2029")


def test_forms():
    assert printable("a\nb", keep="\n") == "a\nb"
    assert one_line("a\nb\rc\n") == "a b\\rc"
    assert shown("a") == "a"
    assert [shown(v) for v in ("", " ", "a ", "\t")] == ["''", "' '", "'a '", "\\t"]
    assert printable(3) == "3"
