"""Text that is safe to show: names of files, and what pictures say of themselves, may hold commands for a terminal."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """``text`` with a mark for each character that is not to be seen, line breaks aside."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text)
