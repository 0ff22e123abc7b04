"""Whether the time left that the progress bar shows is right, after the first tenth of a run and from then on.

python -m benchmarks.time_left FOLDER CONTENT:STYLE ... [--sizes 256 512] [--presets draft standard]

FOLDER has content/CONTENT.jpg and style/STYLE.jpg. Prints a table: the seconds a run took, what was estimated before it
began, what was said to be left after its first tenth, and of all that was said from then until nine tenths, which was
farthest off; relative to what was really left.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.speed import Files, files_of
from impasto.cli.outlook import Plan
from impasto.estimate import measure_cost
from impasto.prepare import prepare
from impasto.presets import resolve_spec
from impasto.spec import RunOptions
from impasto.steps import Steps


def said(files: Files, preset: str, size: int) -> dict[str, float]:
    """Run it, and compare what was said to be left with what was."""
    transfer = prepare(*files, resolve_spec(preset, {"size": size}), RunOptions())
    plan = Plan(transfer.levels, measure_cost(transfer))
    told = []
    for step in Steps(transfer):
        left = plan.seconds_left(step)
        told.append((time.monotonic() - plan.began, left))
    seconds = told[-1][0]
    ratios = [left / (seconds - when) for when, left in told if 0.1 * seconds <= when <= 0.9 * seconds] or [math.nan]
    return {
        "seconds": seconds,
        "estimated": plan.seconds / seconds,
        "after a tenth": ratios[0],
        "farthest off": max(ratios, key=lambda ratio: abs(math.log(max(ratio, 1e-9)))),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all, print the table."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.time_left", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("pairs", nargs="+", metavar="CONTENT:STYLE")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--presets", nargs="+", default=["draft", "standard"])
    parsed = parser.parse_args(arguments)
    print("| | seconds | estimated before | said after a tenth | farthest off |\n|---|---:|---:|---:|---:|")
    for preset in parsed.presets:
        for size in parsed.sizes:
            each = [said(files_of(parsed.folder, pair), preset, size) for pair in parsed.pairs]
            for row in each:
                print(f"| {preset}, {size} px | {' | '.join(f'{value:.2f}' for value in row.values())} |", flush=True)
            tenths = [row["after a tenth"] for row in each]
            print(f"| median | | | {median(tenths):.2f} | {min(tenths):.2f} to {max(tenths):.2f} |", flush=True)


if __name__ == "__main__":
    main()
