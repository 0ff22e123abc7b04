"""The small network, alone and with VGG-19, against VGG-19 alone: likeness at equal content, and time.

python -m benchmarks.networks FOLDER OUTPUT [--pairs 24] [--size 512] [--strengths 0.35 0.5 0.7]
    [--reference-strength 0.5] [--ways vgg19 compact mixed] [--preset standard] [--set NAME=VALUE ...] [--share 1/2]
    [--add report.json]

FOLDER has content/*.jpg and style/*.jpg. A way may have settings of its own, so that several can be compared: ``--ways
vgg19 mixed mixed+early_iterations=0.5``; those of --set are for all ways. With --reference-strength, VGG-19 alone,
which takes most of the time, paints each pair once, so strongly, and that picture is compared with the curves of the
others. OUTPUT gets WAY/CONTENT_STYLE_STRENGTH.png with its figures in a JSON beside it, report.md, report.json, contact
sheets of all pairs (pairs_1.png, ...) and of the worst ones (worst_WAY.png). What is there already is not painted
again, so after Ctrl-C the same command goes on where it was. Several processes may paint a --share each, with all else
the same, but then seconds say little. What an earlier report has, which --add names, is not painted again; a way that
it lacks is compared with those that it has.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError
from impasto.image.destination import write_bytes

from .curves import Dial, Pair, choose_pairs
from .earlier import Earlier
from .evaluations import Timing, time_evaluations
from .report import Report, write_report
from .runs import REFERENCE, Job, Judge, Pictures, StaleError, Way, fingerprints, outcome_of, paint, parse_setting

INTERRUPTED = 130


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.networks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--pairs", type=_count, default=24, help="how many, evenly spread over all, or 'all'")
    parser.add_argument("--size", default="512")
    parser.add_argument("--strengths", type=_strength, nargs="+", default=[0.35, 0.5, 0.7])
    parser.add_argument("--reference-strength", type=_strength, help="the only one of --strengths for vgg19")
    parser.add_argument("--ways", type=_way, nargs="+", default=[_way(name) for name in ("vgg19", "compact", "mixed")])
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--set", type=_setting, action="append", default=[], metavar="NAME=VALUE", dest="settings")
    parser.add_argument("--rounds", type=int, default=7, help="evaluations of each network that are timed; 0 for none")
    parser.add_argument("--cell", type=int, default=288, help="pixels of a cell of the contact sheets")
    parser.add_argument("--share", type=_share, default=(1, 1), metavar="K/N", help="of the pairs, to be painted here")
    parser.add_argument("--add", type=Path, metavar="REPORT", help="report.json with what need not be painted")
    parser.add_argument("--only-report", action="store_true", help="of what is there; paint nothing")
    parsed = parser.parse_args(arguments)
    if REFERENCE not in {way.name for way in parsed.ways}:
        parser.error(f"--ways has to have {REFERENCE}, with which the others are compared")
    if parsed.reference_strength not in (None, *parsed.strengths):
        parser.error("--strengths has to have that of --reference-strength")
    return parsed


def _count(text: str) -> int | None:
    """A number of pairs; None for all."""
    if text == "all":
        return None
    if int(text) < 1:
        raise ValueError
    return int(text)


def _share(text: str) -> tuple[int, int]:
    """K/N: the Kth of N parts, counted from 1."""
    part, of = map(int, text.split("/"))
    if not 1 <= part <= of:
        raise ValueError
    return part, of


def _strength(text: str) -> float:
    if not 0 < float(text) <= 1:
        raise argparse.ArgumentTypeError("above 0, up to 1: at 0 there is no error to compare")
    return float(text)


def _way(text: str) -> Way:
    try:
        return Way.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _setting(text: str) -> tuple[str, str]:
    try:
        return parse_setting(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def plan(arguments: argparse.Namespace, pairs: Sequence[Pair], weights: dict[str, str]) -> list[Job]:
    """All pictures that are wanted, the ways in turn, so that what else the machine does meets all of them.

    Raises OptionError for options that cannot be.
    """
    options = {**dict(arguments.settings), "size": arguments.size}
    jobs = [
        Job(pair, way, strength, arguments.preset, options, weights)
        for pair in pairs
        for strength in arguments.strengths
        for way in arguments.ways
        if way.name != REFERENCE or arguments.reference_strength in (None, strength)
    ]
    for job in jobs:
        job.resolved()
    return jobs


def share_of(jobs: Sequence[Job], part: int, of: int) -> list[Job]:
    """The jobs of every ``of``-th pair, from the ``part``-th on."""
    chosen = set(list(dict.fromkeys(job.pair for job in jobs))[part - 1 :: of])
    return [job for job in jobs if job.pair in chosen]


def paint_all(jobs: Sequence[Job], pictures: Pictures, output: Path) -> None:
    """Paint what is not there yet; what fails is told and left out."""
    missing = [job for job in jobs if job.kept(output) is None]
    if not missing:
        return
    judge = Judge(missing[0].resolved()[1])
    start = time.perf_counter()
    for number, job in enumerate(missing, start=1):
        title = f"{number} of {len(missing)}: {' x '.join(job.pair)}, {job.way.name}, {job.strength:g}"
        try:
            entry = paint(job, pictures, output, judge)
        except ImpastoError as error:
            tell(f"{title}: failed. {error}")
            continue
        left = (time.perf_counter() - start) / number * (len(missing) - number)
        tell(f"{title}: {entry['seconds']:.1f} s; about {left / 60:.0f} min to go")


def collect(jobs: Sequence[Job], output: Path) -> dict[str, dict[Pair, Dial]]:
    """The outcomes of all that is there, by way, pair and strength."""
    found: dict[str, dict[Pair, dict[float, Any]]] = {job.way.name: {} for job in jobs}
    for job in jobs:
        if entry := job.kept(output):
            found[job.way.name].setdefault(job.pair, {})[job.strength] = outcome_of(entry)
    return {way: dict(dials) for way, dials in found.items()}


def timed_evaluations(jobs: Sequence[Job], pictures: Pictures, output: Path, rounds: int) -> dict[str, Timing]:
    """The seconds of an evaluation of each network, as they were kept, or measured on the first pair and kept."""
    first, file = jobs[0], output / "evaluations.json"
    settings = {"preset": first.preset, "options": dict(first.options), "weights": dict(first.weights)}
    settings |= {"pair": list(first.pair)}
    kept = json.loads(file.read_text()) if file.is_file() else {}
    if kept.get("settings") == settings:
        return {name: Timing(**timing) for name, timing in kept["seconds"].items()}
    if not rounds:
        return {}
    tell(f"timing {rounds} evaluations of {', '.join(first.weights)}")
    networks = sorted(first.weights, key=lambda name: name != REFERENCE)
    found, precision = time_evaluations(*pictures.paths(first.pair), networks, first.preset, first.options, rounds)
    entry = {
        "settings": settings,
        "precision": precision,
        "seconds": {name: vars(timing) for name, timing in found.items()},
    }
    write_bytes(json.dumps(entry, indent=2).encode(), file, overwrite=True)
    return found


def settings_of(job: Job) -> dict[str, str]:
    """What all pictures were made with."""
    return {
        "preset": job.preset,
        "options": ", ".join(f"{name} {value}" for name, value in job.options.items()),
        "weights": ", ".join(f"{name} {digits}" for name, digits in job.weights.items()),
    }


def strengths_of(jobs: Sequence[Job]) -> dict[str, str]:
    """At which strengths each way paints."""
    names = dict.fromkeys(job.way.name for job in jobs)
    found = {name: dict.fromkeys(f"{job.strength:g}" for job in jobs if job.way.name == name) for name in names}
    return {"strengths": "; ".join(f"{name} {', '.join(strengths)}" for name, strengths in found.items())}


def circumstances(jobs: Sequence[Job], output: Path) -> dict[str, str]:
    """In which precision, where, and by which code those were painted that are there."""
    kept = [entry for job in jobs if (entry := job.kept(output))]
    names = {"precision": "precision", "machine": "machine", "commits": "commit"}
    return {name: ", ".join(sorted({entry.get(key, "unknown") for entry in kept})) for name, key in names.items()}


def tell(line: str) -> None:
    """Show how far it is."""
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Paint, compare, report; return the exit status."""
    parsed = parse_arguments(arguments)
    pictures, output, status = Pictures(parsed.folder), parsed.output, 0
    pairs = choose_pairs(pictures.names("content"), pictures.names("style"), parsed.pairs)
    if not pairs:
        tell(f"'{parsed.folder}' has no content/*.jpg, or no style/*.jpg.")
        return 2
    output.mkdir(parents=True, exist_ok=True)
    try:
        jobs = plan(parsed, pairs, fingerprints(parsed.ways))
        earlier = Earlier.read(parsed.add, settings_of(jobs[0])) if parsed.add else Earlier()
        own = earlier.missing(jobs)
        evaluations: dict[str, Timing] = {}
        try:
            alone = not parsed.only_report and parsed.share == (1, 1)
            evaluations = timed_evaluations(jobs, pictures, output, parsed.rounds if alone else 0)
            if not parsed.only_report:
                paint_all(share_of(own, *parsed.share), pictures, output)
        except KeyboardInterrupt:
            tell("stopped; the same command goes on from here")
            status = INTERRUPTED
        here = collect(jobs, output)
        elsewhere = earlier.beside(here, jobs)
        known = earlier if elsewhere else Earlier()
        facts = settings_of(jobs[0]) | strengths_of(jobs) | known.circumstances(circumstances(jobs, output))
        dials = earlier.added_to(here, jobs)
        report = Report(facts, dials, evaluations, elsewhere, parsed.reference_strength)
        sheets = write_report(report, output, pictures, parsed.cell)
    except (ImpastoError, StaleError) as error:
        tell(str(error))
        return 2
    print(report.to_markdown())
    tell("\n".join(map(str, [output / "report.md", output / "report.json", *sheets])))
    return status


if __name__ == "__main__":
    sys.exit(main())
