"""Times and amounts of memory as people write them: 90, 60s, 1.5min, 1h30m; 800M, 4G."""

from __future__ import annotations

import math
import re

__all__ = ["parse_bytes", "parse_seconds", "spell_bytes"]

NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"

PATTERN = re.compile(
    rf"(?:{NUMBER}\s*h(?:rs?|ours?)?)?\s*(?:{NUMBER}\s*m(?:ins?|inutes?)?)?\s*(?:{NUMBER}\s*s(?:ecs?|econds?)?)?",
    re.ASCII,
)
"""Hours, minutes and seconds in this order, any of them left out."""


def parse_seconds(text: str) -> float:
    """Return the seconds, above 0 and finite, that "90", "60s", "1.5m", "2 min" or "1h 30m" stands for.

    A number without a unit is one of seconds if it stands alone; "1h30" could be either. Raises ValueError, which says
    what is expected, for everything else.
    """
    text = text.strip().lower()
    alone = re.fullmatch(NUMBER, text, re.ASCII)
    parts = PATTERN.fullmatch(f"{text}s" if alone else text)
    hours, minutes, seconds = (float(part or 0) for part in parts.groups()) if parts else (0.0, 0.0, 0.0)
    total = 3600 * hours + 60 * minutes + seconds
    if not 0 < total < math.inf:
        raise ValueError("expected a time above 0, such as 60s, 1.5min or 1h30m")
    return total


BYTES = re.compile(rf"{NUMBER}\s*([kmgt]?)(?:i?b)?", re.ASCII)

POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_bytes(text: str) -> int:
    """Return the bytes, at least 1, that "800M", "4G", "4 GiB" or "1.5g" stands for: K is 1024, M 1024 K, and so on.

    Raises ValueError, which says what is expected, for everything else.
    """
    found = BYTES.fullmatch(text.strip().lower())
    number = float(found[1]) * 1024.0 ** POWERS[found[2]] if found else 0.0
    if not 1 <= number < 2**63:
        raise ValueError("expected an amount of memory, such as 800M or 4G")
    return int(number)


def spell_bytes(number: float | None) -> str:
    """Return "3.50 GiB" for 3.5 * 2**30, and "unknown" for None."""
    return "unknown" if number is None else f"{number / 2**30:.2f} GiB"
