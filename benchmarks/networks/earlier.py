"""Outcomes of an earlier report, of another folder or machine, so that its pairs need not be painted again."""

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


@dataclass(frozen=True)
class Earlier:
    """What an earlier report says: its ``facts``, and the ``dials`` by way and pair; nothing, if there is none."""

    facts: Mapping[str, str] = field(default_factory=dict)
    dials: Dials = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, settings: Mapping[str, str]) -> Earlier:
        """Read report.json; raise StaleError if it is none, or one of other ``settings``."""
        try:
            contents = json.loads(path.read_text())
            dials = {way: dict(map(_dial, pairs.items())) for way, pairs in contents["outcomes"].items()}
            facts = dict(contents["facts"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StaleError(f"'{path}' is no report.json of this benchmark: {error!r}.") from None
        if differing := [name for name, value in settings.items() if facts.get(name) != value]:
            raise StaleError(f"'{path}' was made with other {', '.join(differing)}, so it cannot be added.")
        return cls(facts, dials)

    def missing(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs of those pairs that it has not, or not as a whole: what is compared comes from one machine."""
        missing = {job.pair for job in jobs if not self._has(job)}
        return [job for job in jobs if job.pair in missing]

    def _has(self, job: Job) -> bool:
        return job.strength in self.dials.get(job.way.name, {}).get(job.pair, {})

    def added_to(self, dials: Dials, pairs: Sequence[Pair]) -> dict[str, dict[Pair, Dial]]:
        """``dials`` with its own outcomes for those of ``pairs`` that are not among them, in the order of ``pairs``."""
        own = {pair for found in dials.values() for pair in found}
        return {
            way: {
                pair: dial
                for pair in pairs
                if (dial := found.get(pair) if pair in own else self.dials.get(way, {}).get(pair))
            }
            for way, found in dials.items()
        }

    def beside(self, circumstances: Mapping[str, str]) -> dict[str, str]:
        """Where its own pictures come from, and after a semicolon the others."""
        names = dict.fromkeys([*circumstances, *(name for name in ("precision", "machine", "commits") if self.facts)])
        parts = {name: (self.facts.get(name), circumstances.get(name)) for name in names}
        return {name: "; ".join(dict.fromkeys(filter(None, both))) for name, both in parts.items()}


def _dial(item: tuple[str, Mapping[str, Mapping[str, Any]]]) -> tuple[Pair, Dial]:
    name, outcomes = item
    photo, painting = name.split(" x ")
    return (photo, painting), {float(strength): Outcome(**outcome) for strength, outcome in outcomes.items()}
