"""Finished pictures against those of the yardstick in ``baseline.py``: the same loss, or a better picture, sooner.

python -m benchmarks.parity FOLDER OUTPUT RESULTS.jsonl [--pairs 6] [--size 512] [--evaluations 1000] [--shares 20 8]
    [--strengths 0.35 0.5 0.7] [--set NAME=VALUE ...] [--only-baseline] [--skip 0]

FOLDER has content/*.jpg and style/*.jpg. For each pair the yardstick is run to its end, which takes long: its picture
is kept in OUTPUT/baseline, and --only-baseline does no more. Then an evaluation of it is timed, and

- preset ``classic``, which has the same objective, gets 1/20 and 1/8 of the time that it takes, with the settings of
  --set: the loss of the picture as it was saved, relative to that of the yardstick's, and to what that was before
  its values were clipped to be saved;
- preset ``standard`` is run at each of the strengths: its style errors at the content error of the yardstick's picture,
  relative to the yardstick's, at half and at quarter size.

A pair takes half an hour, so what was found of each is appended to RESULTS at once, and a pair that is there with the
same settings is not compared again. Pictures that are there are not made again either, and a yardstick that was begun
goes on from its checkpoint, to the last bit the same: after Ctrl-C or worse, give the same command again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import torch

from benchmarks.baseline import Baseline, Descent, preprocessed
from benchmarks.machine import commit, device_name
from benchmarks.networks.curves import Pair, choose_pairs, style_at
from benchmarks.networks.runs import Job, Judge, Pictures, StaleError, Way, fingerprints, paint, parse_setting
from benchmarks.speed import baseline_of, seconds_of
from impasto.image.destination import new_file_beside, write_bytes
from impasto.image.read import read_image
from impasto.image.write import to_pil
from impasto.spec import RunOptions

BETWEEN_CHECKPOINTS = 50
"""Evaluations of the yardstick that are at risk."""

WARM_UP, TIMED = 2, 5
"""Evaluations of the yardstick before its time is taken, and those that are timed."""

STANDARD = Way("standard", {"network": "vgg19", "coarse_network": "compact"})
FIGURES = ("style_error_half", "style_error_quarter", "sliced_wasserstein_half", "sliced_wasserstein_quarter")
"""What a picture of preset ``standard`` is compared by."""

Found: TypeAlias = Mapping[str, Mapping[str, float]]
"""Of one pair: way -> figure -> ratio to the yardstick's."""


@dataclass(frozen=True)
class Yardstick:
    """The yardstick of one pair, in a folder of its own."""

    pair: Pair
    files: tuple[Path, Path]
    size: int
    output: Path

    def file(self, extension: str) -> Path:
        """OUTPUT/baseline/CONTENT_STYLE.EXTENSION."""
        return self.output / "baseline" / f"{'_'.join(self.pair)}.{extension}"

    def finish(self, evaluations: int) -> dict[str, Any]:
        """Run it to the end unless that was done; the losses of all evaluations, and of the picture as it was saved."""
        if self.file("json").is_file():
            kept: dict[str, Any] = json.loads(self.file("json").read_text())
            if (kept["size"], len(kept["losses"])) != (self.size, evaluations):
                raise StaleError(f"'{self.file('json')}' has another size or number of evaluations: move it away.")
            return kept
        baseline = baseline_of(self.files, self.size)
        descent = Descent(baseline)
        begun = self.file("pt")
        begun.parent.mkdir(parents=True, exist_ok=True)
        if begun.is_file():
            descent.load_state_dict(torch.load(begun))
        last = None
        while len(descent.losses) < evaluations:
            last = descent.step()
            if len(descent.losses) % BETWEEN_CHECKPOINTS == 0 and len(descent.losses) < evaluations:
                tell(f"{' x '.join(self.pair)}: {len(descent.losses)} of {evaluations}, loss {last.loss:.4g}")
                part = new_file_beside(begun)
                torch.save(descent.state_dict(), part)
                part.replace(begun)
        if last is None:
            raise StaleError(f"'{begun}' is from a run of more evaluations: move it away.")
        to_pil(last.picture.cpu()).save(self.file("png"))
        entry = {"size": self.size, "losses": descent.losses, "saved": saved_loss(baseline, self.file("png"))}
        self.keep(entry)
        begun.unlink(missing_ok=True)
        return entry

    def keep(self, entry: Mapping[str, Any]) -> None:
        """Write down what is known of it."""
        write_bytes(json.dumps(entry).encode(), self.file("json"), overwrite=True)

    def timed(self, entry: dict[str, Any]) -> dict[str, Any]:
        """With the seconds of all its evaluations, by the time that some take now."""
        if "seconds" in entry:
            return entry
        steps = baseline_of(self.files, self.size).steps()
        each = [seconds_of(lambda: next(steps)) for _ in range(WARM_UP + TIMED)][WARM_UP:]
        entry = entry | {"seconds": len(entry["losses"]) * median(each)}
        self.keep(entry)
        return entry


def saved_loss(baseline: Baseline, file: Path) -> float:
    """The yardstick's objective of a picture as it was saved."""
    return float(baseline.loss(preprocessed(read_image(file))))


@dataclass(frozen=True)
class Comparison:
    """All pairs of one folder of pictures, at one size, with the same settings."""

    pictures: Pictures
    output: Path
    size: int
    settings: Mapping[str, str]

    def yardstick(self, pair: Pair) -> Yardstick:
        """The yardstick of ``pair``."""
        return Yardstick(pair, self.pictures.paths(pair), self.size, self.output)

    def job(self, pair: Pair, way: Way, strength: float, preset: str, options: Mapping[str, str]) -> Job:
        """A picture that is wanted."""
        return Job(pair, way, strength, preset, {"size": str(self.size), **options}, fingerprints([way]))

    def done(self, job: Job) -> dict[str, Any]:
        """Paint a picture unless it is there."""
        return job.kept(self.output) or paint(job, self.pictures, self.output, Judge(RunOptions()))

    def parity(self, pair: Pair, entry: Mapping[str, Any], share: int) -> dict[str, float]:
        """The loss of preset ``classic`` over the yardstick's, and the share of its time that it took."""
        way = Way(f"classic_{share}", {"network": "vgg19", "coarse_network": "none"})
        options = {"time": f"{entry['seconds'] / share:.1f}", **self.settings}
        job = self.job(pair, way, 0.5, "classic", options)
        painted = self.done(job)
        loss = saved_loss(baseline_of(self.pictures.paths(pair), self.size), job.file(self.output, "png"))
        return {
            "loss": loss / entry["saved"],
            "loss over that before clipping": loss / min(entry["losses"]),
            "time": painted["seconds"] / entry["seconds"],
        }

    def standard(self, pair: Pair, entry: Mapping[str, Any], strengths: Sequence[float]) -> dict[str, float]:
        """The style errors of preset ``standard`` over the yardstick's at its content error, and the share of time."""
        dial = [self.done(self.job(pair, STANDARD, strength, "standard", {})) for strength in strengths]
        judge = Judge(RunOptions())
        baseline = judge.figures(self.yardstick(pair).file("png"), *self.pictures.paths(pair), 1.0)
        content = baseline["content_error"]
        ratios = {
            name: style_at([(each["figures"]["content_error"], each["figures"][name]) for each in dial], content).value
            / baseline[name]
            for name in FIGURES
        }
        lowest = min(each["figures"]["content_error"] for each in dial) / content
        time = median(each["seconds"] for each in dial) / entry["seconds"]
        return ratios | {"lowest content error": lowest, "time": time}

    def found(self, pair: Pair, entry: dict[str, Any], shares: Sequence[int], strengths: Sequence[float]) -> Found:
        """All that is compared of one pair."""
        entry = self.yardstick(pair).timed(entry)
        found = {f"classic, 1/{share}": self.parity(pair, entry, share) for share in shares}
        return found | ({"standard": self.standard(pair, entry, strengths)} if strengths else {})


def rows(found: Sequence[Found]) -> Iterator[str]:
    """A table in Markdown: medians over pairs, and their range."""
    yield "| | | median | from | to |"
    yield "|---|---|---:|---:|---:|"
    for way, figures in found[0].items():
        for name in figures:
            values = [each[way][name] for each in found]
            yield f"| {way} | {name} | {median(values):.3f} | {min(values):.3f} | {max(values):.3f} |"


def read_lines(results: Path) -> list[dict[str, Any]]:
    """What was found before, an entry a pair."""
    return [json.loads(line) for line in results.read_text().splitlines()] if results.is_file() else []


def tell(line: str) -> None:
    """Show how far it is."""
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, keep what is found, print the table."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.parity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--skip", type=int, default=0, help="leave so many of the first pairs to others")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--evaluations", type=int, default=1000)
    parser.add_argument("--shares", type=int, nargs="*", default=[20, 8])
    parser.add_argument("--strengths", type=float, nargs="*", default=[0.35, 0.5, 0.7])
    parser.add_argument("--set", type=parse_setting, action="append", default=[], metavar="NAME=VALUE", dest="settings")
    parser.add_argument("--only-baseline", action="store_true")
    parsed = parser.parse_args(arguments)
    pictures = Pictures(parsed.folder)
    comparison = Comparison(pictures, parsed.output, parsed.size, dict(parsed.settings))
    settings = {
        "size": parsed.size,
        "evaluations": parsed.evaluations,
        "shares": parsed.shares,
        "strengths": parsed.strengths,
        "settings": dict(parsed.settings),
    }
    before = {
        tuple(line["pair"]): line["found"] for line in read_lines(parsed.results) if settings.items() <= line.items()
    }
    found: list[Found] = []
    for pair in choose_pairs(pictures.names("content"), pictures.names("style"), parsed.pairs)[parsed.skip :]:
        if pair not in before:
            entry = comparison.yardstick(pair).finish(parsed.evaluations)
            if parsed.only_baseline:
                continue
            before[pair] = comparison.found(pair, entry, parsed.shares, parsed.strengths)
            tell(f"{' x '.join(pair)}: {json.dumps(before[pair])}")
            with parsed.results.open("a") as file:
                about = {"commit": commit(), "device": device_name(), "pair": pair} | settings
                file.write(json.dumps(about | {"found": before[pair]}) + "\n")
        found.append(before[pair])
    if found:
        print("\n".join(rows(found)))


if __name__ == "__main__":
    main()
