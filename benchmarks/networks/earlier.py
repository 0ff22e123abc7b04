"""Outcomes of an earlier report, of another folder or machine, so that its pairs need not be painted again.

What is compared of a pair comes from one machine: pairs that the report has in part count for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .curves import Dial, Outcome, Pair
from .runs import Job, StaleError

Dials = Mapping[str, Mapping[Pair, Dial]]
"""Outcomes by way, pair and strength."""

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
        """The jobs of those pairs that it does not have."""
        known = whole_pairs(self.dials, jobs)
        return [job for job in jobs if job.pair not in known]

    def beside(self, dials: Dials, jobs: Sequence[Job]) -> set[Pair]:
        """The pairs of ``jobs`` that it has and ``dials`` have not."""
        return whole_pairs(self.dials, jobs) - whole_pairs(dials, jobs)

    def added_to(self, dials: Dials, jobs: Sequence[Job]) -> Dials:
        """``dials`` with those pairs, in the order of ``jobs`` and at their strengths."""
        added, found = self.beside(dials, jobs), {way: dict[Pair, dict[float, Outcome]]() for way in dials}
        for job in jobs:
            of = (self.dials if job.pair in added else dials).get(job.way.name, {}).get(job.pair, {})
            if outcome := of.get(job.strength):
                found[job.way.name].setdefault(job.pair, {})[job.strength] = outcome
        return found

    def circumstances(self, own: Mapping[str, str]) -> dict[str, str]:
        """Where its pairs come from and, after a semicolon, where those come from of which ``own`` tells."""
        known = {name: [each for facts in (self.facts, own) if (each := facts.get(name))] for name in CIRCUMSTANCES}
        return {name: "; ".join(dict.fromkeys("; ".join(each).split("; "))) for name, each in known.items() if each}


def whole_pairs(dials: Dials, jobs: Sequence[Job]) -> set[Pair]:
    """The pairs of ``jobs`` of which ``dials`` have all outcomes."""
    partial = {job.pair for job in jobs if job.strength not in dials.get(job.way.name, {}).get(job.pair, {})}
    return {job.pair for job in jobs} - partial


def _dial(item: tuple[str, Mapping[str, Mapping[str, Any]]]) -> tuple[Pair, Dial]:
    name, outcomes = item
    photo, painting = name.split(" x ")
    return (photo, painting), {float(strength): Outcome(**outcome) for strength, outcome in outcomes.items()}
