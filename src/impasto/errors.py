"""Everything that can go wrong and be put right by the user.

    ImpastoError                  exit 1: the run failed
    ├── OptionError               exit 2: an option has a value it cannot have
    ├── InputError                exit 2: an input picture or file is missing or cannot be used
    ├── OutputError               exit 2: the result cannot be written where it was asked for
    └── MissingError              exit 3: something has to be installed or fetched first
        ├── MissingWeightsError            a network's trained weights
        └── MissingExtraError              an optional dependency

Each message says what was expected, what was found and what to do about it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

__all__ = [
    "ImpastoError",
    "InputError",
    "MissingError",
    "MissingExtraError",
    "MissingWeightsError",
    "OptionError",
    "OutputError",
    "did_you_mean",
    "is_out_of_memory",
]


class ImpastoError(Exception):
    """Root of all errors that impasto raises on purpose."""

    exit_code = 1


class OptionError(ImpastoError, ValueError):
    """An option has a value it cannot have."""

    exit_code = 2


class InputError(ImpastoError, ValueError):
    """An input is missing, unreadable or not usable for this purpose."""

    exit_code = 2


class OutputError(ImpastoError):
    """The result cannot be written where it was asked for."""

    exit_code = 2


class MissingError(ImpastoError):
    """Something has to be installed or fetched first; the message has the command."""

    exit_code = 3


class MissingWeightsError(MissingError):
    """A network's trained weights are not on this machine."""


class MissingExtraError(MissingError, ImportError):
    """An optional dependency is not installed."""


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest of ``choices``, or "" when none is near."""
    near = difflib.get_close_matches(word.lower(), list(choices), n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else ""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that an allocation failed, or that a GPU cannot count so many values."""
    return isinstance(error, MemoryError) or NO_MEMORY.search(str(error)) is not None


NO_MEMORY = re.compile(
    r"out of memory|not enough memory|(can't|cannot) allocate memory|failed to map segment(?!.*not permitted)"
    r"|could not create a primitive(?! desc)"  # oneDNN, of what it compiles
    r"|must fit into 32-bit index math",
    re.IGNORECASE,
)
