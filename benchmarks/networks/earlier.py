"""Outcomes of an earlier report, of another folder or machine, so that they need not be painted again.

What one way makes of a pair comes from one machine: what the report has only in part counts for nothing. A way that it
does not have is compared with what others made there of the same pairs, and then seconds say little.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .curves import Dial, Outcome, Pair
from .runs import REFERENCE, Job, StaleError

Dials = Mapping[str, Mapping[Pair, Dial]]
"""Outcomes by way, pair and strength."""

Part = tuple[str, Pair]
"""A way, and a pair that is painted in it at all strengths."""

CIRCUMSTANCES = ("precision", "machine", "commits")
"""Facts that may differ from picture to picture."""


@dataclass(frozen=True)
class Earlier:
    """What an earlier report says: its ``facts``, and the ``dials``; nothing, if there is none."""

    facts: Mapping[str, str] = field(default_factory=dict)
    dials: Dials = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, settings: Mapping[str, str]) -> Earlier:
        """Read report.json; raise StaleError if it cannot be read, or is one of other ``settings``."""
        try:
            contents = json.loads(path.read_text())
            dials = {way: dict(map(_dial, pairs.items())) for way, pairs in contents["outcomes"].items()}
            facts = dict(contents["facts"])
        except OSError as error:
            raise StaleError(f"'{path}' cannot be read: {error.strerror}.") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StaleError(f"'{path}' is no report.json of this benchmark.") from None
        if differing := [name for name, value in settings.items() if facts.get(name) != value]:
            raise StaleError(f"'{path}' was made with other {', '.join(differing)}, so it cannot be added.")
        return cls(facts, dials)

    def missing(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs of what it does not have."""
        known = whole_parts(self.dials, jobs)
        return [job for job in jobs if (job.way.name, job.pair) not in known]

    def beside(self, dials: Dials, jobs: Sequence[Job]) -> set[Part]:
        """What of ``jobs`` it has and ``dials`` have not."""
        return whole_parts(self.dials, jobs) - whole_parts(dials, jobs)

    def added_to(self, dials: Dials, jobs: Sequence[Job]) -> Dials:
        """``dials`` with that, in the order of ``jobs`` and at their strengths; of the reference the whole curve."""
        added, found = self.beside(dials, jobs), {way: dict[Pair, dict[float, Outcome]]() for way in dials}
        for job in jobs:
            way, pair = job.way.name, job.pair
            of = (self.dials if (way, pair) in added else dials).get(way, {}).get(pair, {})
            strengths = of.keys() if way == REFERENCE else of.keys() & {job.strength}
            if strengths:
                found[way].setdefault(pair, {}).update({strength: of[strength] for strength in strengths})
        return found

    def circumstances(self, own: Mapping[str, str]) -> dict[str, str]:
        """Where its pairs come from and, after a semicolon, where those come from of which ``own`` tells."""
        known = {name: [each for facts in (self.facts, own) if (each := facts.get(name))] for name in CIRCUMSTANCES}
        return {name: "; ".join(dict.fromkeys("; ".join(each).split("; "))) for name, each in known.items() if each}


def whole_parts(dials: Dials, jobs: Sequence[Job]) -> set[Part]:
    """What of ``jobs`` the ``dials`` have at all strengths."""
    missing = {
        (job.way.name, job.pair) for job in jobs if job.strength not in dials.get(job.way.name, {}).get(job.pair, {})
    }
    return {(job.way.name, job.pair) for job in jobs} - missing


def _dial(item: tuple[str, Mapping[str, Mapping[str, Any]]]) -> tuple[Pair, Dial]:
    name, outcomes = item
    photo, painting = name.split(" x ")
    return (photo, painting), {float(strength): Outcome(**outcome) for strength, outcome in outcomes.items()}
