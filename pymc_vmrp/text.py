"""Text that comes from data or files, made safe to print."""

from __future__ import annotations

import unicodedata

_JOINERS = "\u200c\u200d"  # Persian, Indic scripts and emoji need them


def printable(value: object, keep: str = "") -> str:
    r"""``str(value)``, with every character that a terminal would obey written as an escape.

    Control characters (escape codes, carriage returns), directional overrides, line separators and
    lone surrogates become ``\x1b``, ``\u202e`` ...: what is read is what is there.

    Parameters
    ----------
    value : object
    keep : str
        Characters that stay, such as a newline in a message of several lines.
    """
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if _is_harmless(c) or c in keep else _escape(c) for c in text)


def shown(value: object) -> str:
    """:func:`printable`, in quotes where blanks at its ends, or nothing at all, would not show."""
    text = printable(value)
    return text if text and text == text.strip() else repr(text)


def one_line(value: object) -> str:
    """:func:`printable`, with newlines as blanks."""
    return printable(" ".join(str(value).split("\n")).strip())


def _is_harmless(character: str) -> bool:
    if character.isprintable() or character in _JOINERS:
        return True
    return unicodedata.category(character) == "Zs"  # a no-break space and the like


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
