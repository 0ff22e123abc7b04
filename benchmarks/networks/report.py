"""What came out, as tables in Markdown, as JSON, and as contact sheets."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from impasto.image.destination import write_bytes

from .curves import Comparison, Dial, Outcome, Pair, compare, summarize, worst
from .earlier import Part
from .evaluations import Timing
from .runs import FLAWS, REFERENCE, Pictures
from .sheet import Cell, save_sheet

ROWS = 24
"""Pairs on one contact sheet."""

SHOWN_STRENGTH = 0.5
"""The strength on the contact sheets; the nearest one, where it is not among them."""

SUMMARY_COLUMNS = (
    "way",
    "pairs",
    "style error at equal content error",
    "90 % of pairs",
    "extrapolated",
    "content error at equal strength",
    "style error at equal strength",
    "seconds",
)
SUMMARY_NOTE = (
    "Ratios to VGG-19 alone, medians over pairs. At equal content error: the style error over VGG-19's, which is"
    " interpolated between its strengths (linear in the logarithms of both; extrapolated beyond its ends; with"
    " --reference-strength, the other one's is); of a pair, the geometric mean over the strengths. The style"
    " error is the mean of those at full and half size."
)

FLAWS_NOTE = (
    "By how much larger each figure of `impasto evaluate` is than that of VGG-19's picture at the same strength: the"
    " median and the largest over all pictures. What is below 0 is cleaner than VGG-19's."
)


@dataclass(frozen=True)
class Report:
    """All that is to be told: ``dials`` by way and pair, ``facts`` about settings and machine; of what was painted
    ``elsewhere``, a way and a pair each, there are no pictures. Compared with the curve of the reference, or, if there
    is a ``reference_strength``, with its picture at that one."""

    facts: Mapping[str, Any]
    dials: Mapping[str, Mapping[Pair, Dial]]
    evaluations: Mapping[str, Timing]
    elsewhere: Collection[Part] = ()
    reference_strength: float | None = None

    @property
    def comparisons(self) -> dict[str, dict[Pair, Comparison]]:
        """Each other way beside the reference, for the pairs that both have; none for a way without such pairs."""
        found: dict[str, dict[Pair, Comparison]] = {}
        for way, dials in self.dials.items():
            for pair, dial in dials.items() if way != REFERENCE else ():
                if comparison := compare(self.dials[REFERENCE].get(pair, {}), dial, at=self.reference_strength):
                    found.setdefault(way, {})[pair] = comparison
        return found

    def to_markdown(self) -> str:
        """The tables."""
        parts = ["# Networks", *(f"- {name}: {value}" for name, value in self.facts.items())]
        compared = self.comparisons
        parts += ["", "## Beside VGG-19 alone", "", *_summary_table(compared), "", SUMMARY_NOTE]
        parts += ["", "## What is not right", "", *_flaws_table(compared), "", FLAWS_NOTE]
        parts += ["", "## Medians over pairs", "", *self._medians_table()]
        if self.evaluations:
            parts += ["", "## One evaluation", "", *self._evaluations_table()]
        for way, pairs in compared.items():
            parts += ["", f"## Worst pairs of {way}", "", *_worst_table(pairs)]
        return "\n".join(parts) + "\n"

    def to_json(self) -> str:
        """Everything, the single ratios too."""
        compared = self.comparisons
        contents = {
            "facts": dict(self.facts),
            "summary": {way: asdict(summarize(pairs.values())) for way, pairs in compared.items()},
            "evaluations": {name: asdict(timing) for name, timing in self.evaluations.items()},
            "worst": {way: [" x ".join(pair) for pair in worst(pairs)] for way, pairs in compared.items()},
            "comparisons": {way: _by_name(pairs) for way, pairs in compared.items()},
            "outcomes": {
                way: {" x ".join(pair): {key: asdict(outcome) for key, outcome in dial.items()} for pair, dial in of}
                for way, of in ((way, dials.items()) for way, dials in self.dials.items())
            },
        }
        return json.dumps(contents, indent=2)

    def _medians_table(self) -> list[str]:
        rows = []
        for way, dials in self.dials.items():
            for strength in sorted({strength for dial in dials.values() for strength in dial}):
                outcomes = [dial[strength] for dial in dials.values() if strength in dial]
                rows.append([way, f"{strength:g}", str(len(outcomes)), *_medians(outcomes)])
        return table(("way", "strength", "pairs", "content error", "style error", "seconds"), rows)

    def _evaluations_table(self) -> list[str]:
        rows = [
            [name, f"{t.best:.4f}", f"{t.median:.4f}", f"{t.best_ratio:.3f}", f"{t.median_ratio:.3f}"]
            for name, t in self.evaluations.items()
        ]
        return table(("network", "best s", "median s", "ratio of bests", "median ratio"), rows)


def _medians(outcomes: Sequence[Outcome]) -> list[str]:
    keys = (("content", 4), ("style", 4), ("seconds", 2))
    return [f"{median(getattr(outcome, key) for outcome in outcomes):.{digits}f}" for key, digits in keys]


def _summary_table(compared: Mapping[str, Mapping[Pair, Comparison]]) -> list[str]:
    rows = []
    for way, pairs in compared.items():
        s = summarize(pairs.values())
        ratios = (s.content_same_strength, s.style_same_strength, s.seconds)
        row = [way, str(s.pairs), f"{s.style:.3f}", f"{s.style_90:.3f}", f"{s.extrapolated} of {s.points}"]
        rows.append([*row, *(f"{ratio:.3f}" for ratio in ratios)])
    return table(SUMMARY_COLUMNS, rows)


def _flaws_table(compared: Mapping[str, Mapping[Pair, Comparison]]) -> list[str]:
    rows = []
    for way, pairs in compared.items():
        flaws = summarize(pairs.values()).flaws
        found = (flaws.get(name) for name in FLAWS)
        rows.append([way, *(f"{each[0]:+.3g}, {each[1]:+.3g}" if each else "" for each in found)])
    return table(("way", *(name.replace("_", " ") for name in FLAWS)), rows)


def _worst_table(pairs: Mapping[Pair, Comparison]) -> list[str]:
    rows = [[" x ".join(pair), f"{pairs[pair].style:.3f}", _by_strength(pairs[pair])] for pair in worst(pairs)]
    return [*table(("pair", "style ratio", "by strength"), rows), "", "* extrapolated"]


def _by_strength(comparison: Comparison) -> str:
    return ", ".join(
        f"{strength:g}: {ratio.value:.3f}{'*' if ratio.extrapolated else ''}"
        for strength, ratio in comparison.ratios.items()
    )


def _by_name(pairs: Mapping[Pair, Comparison]) -> dict[str, Any]:
    return {" x ".join(pair): asdict(comparison) for pair, comparison in pairs.items()}


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table in Markdown, the first column to the left and the others to the right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def write_report(report: Report, output: Path, pictures: Pictures, cell: int) -> list[Path]:
    """Write report.md, report.json and the contact sheets; return the sheets."""
    write_bytes(report.to_markdown().encode(), output / "report.md", overwrite=True)
    write_bytes(report.to_json().encode(), output / "report.json", overwrite=True)
    compared = report.comparisons
    pairs = list(dict.fromkeys(pair for dials in report.dials.values() for pair in dials))
    pages = {f"pairs_{i // ROWS + 1}": pairs[i : i + ROWS] for i in range(0, len(pairs), ROWS)}
    pages |= {f"worst_{way}": worst(found) for way, found in compared.items()}
    for name, chosen in pages.items():
        rows = [_row(report, compared, pair, pictures, output) for pair in chosen]
        save_sheet(rows, cell, output / f"{name}.png")
    return [output / f"{name}.png" for name in pages]


def _row(
    report: Report, compared: Mapping[str, Mapping[Pair, Comparison]], pair: Pair, pictures: Pictures, output: Path
) -> list[Cell]:
    photo, painting = pictures.paths(pair)
    row = [Cell(photo, (pair[0],)), Cell(painting, (pair[1],))]
    for way, dials in report.dials.items():
        dial = dials.get(pair, {})
        if not dial:
            row.append(Cell(None, (way, "not painted yet")))
            continue
        strength = min(dial, key=lambda value: abs(value - SHOWN_STRENGTH))
        comparison = compared.get(way, {}).get(pair)
        ratio = comparison.ratios.get(strength) if comparison else None
        mark = f": ratio {ratio.value:.3f}{'*' if ratio.extrapolated else ''}" if ratio else ""
        outcome = dial[strength]
        lines = (
            way,
            f"at {strength:g}{mark}",
            f"content {outcome.content:.3f}, style {outcome.style:.3f}",
            f"{outcome.seconds:.1f} s",
        )
        file = output / way / f"{'_'.join(pair)}_{strength:g}.png"
        row.append(Cell(None if (way, pair) in report.elsewhere else file, lines))
    return row
