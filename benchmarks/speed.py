"""Seconds of an evaluation, solver included, and memory, against the yardstick in ``baseline.py``.

python -m benchmarks.speed FOLDER RESULTS.jsonl CONTENT:STYLE ... [--sizes 512 1024] [--rounds 8] [--warm-up 4]

FOLDER has content/CONTENT.jpg and style/STYLE.jpg. All take steps of the objective of preset ``classic`` with a history
of 100: the yardstick, single precision, bfloat16, and bfloat16 with as little memory as it takes untiled. Each has a
process of its own, and they take turns, so that what else the machine does meets all of them; the peak of the memory is
that of --warm-up + --rounds steps, while the history is not yet full. Prints a table, and appends a line with machine,
commit, medians and spreads to RESULTS.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch

from benchmarks.baseline import HISTORY, Baseline
from benchmarks.machine import commit, device_name
from benchmarks.networks.runs import Pictures
from impasto.device import resolve_machine
from impasto.image.read import read_image
from impasto.image.resize import resize
from impasto.networks import VGG19
from impasto.prepare import prepare
from impasto.presets import resolve_spec
from impasto.pyramid import MOST_ITERATIONS
from impasto.spec import RunOptions, scaled_to_long_side
from impasto.steps import Steps
from impasto.weights import load_weights

Files = tuple[Path, Path]
Peaks = dict[str, int]
DEEPEST = "relu5_1"
WAYS = ("baseline", "fp32", "bf16", "bf16 lean")


def files_of(folder: Path, pair: str) -> Files:
    """The photo and the painting of CONTENT:STYLE."""
    content, _, style = pair.partition(":")
    return Pictures(folder).paths((content, style))


def baseline_of(files: Files, size: int) -> Baseline:
    """The yardstick with both pictures brought to the long side ``size``."""
    device = resolve_machine(RunOptions()).device
    images = [read_image(file).to(device) for file in files]
    content, style = (resize(image, scaled_to_long_side((image.shape[-2], image.shape[-1]), size)) for image in images)
    return Baseline(load_weights(VGG19), content, style)


def steps_of(way: str, files: Files, size: int) -> tuple[Iterator[object], int]:
    """The steps of one way without end, each taken when it is asked for; and the pixels of the picture."""
    if way == "baseline":
        baseline = baseline_of(files, size)
        return baseline.steps(), baseline.content.shape[-1] * baseline.content.shape[-2]
    settings = {"size": size, "network": "vgg19", "history": HISTORY, "num_iterations": MOST_ITERATIONS}
    precision, _, lean = way.partition(" ")
    transfer = prepare(*files, resolve_spec("classic", settings), RunOptions(precision=precision))
    (level,) = transfer.levels
    if lean:
        least = transfer.footprint.least_of_level(level)
        transfer = replace(transfer, footprint=replace(transfer.footprint, room=least))
    return Steps(transfer), level.pixels


class Runner:
    """One way in a process of its own, which takes a step when it is told to."""

    def __init__(self, way: str, files: Files, size: int) -> None:
        command = [sys.executable, "-m", "benchmarks.speed", "--steps", way, str(size), *map(str, files)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pixels = int(self._answer())

    def step(self) -> float:
        """The seconds of the next step."""
        return float(self._answer("step"))

    def close(self) -> int:
        """End it; the peak bytes above those of a process that has imported torch."""
        with self.process:
            return int(self._answer("end"))

    def _answer(self, question: str = "") -> str:
        assert self.process.stdin
        assert self.process.stdout
        if question:
            print(question, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a way ended with status {self.process.wait()}; what it said is above")
        return answer


def answer(way: str, size: int, photo: Path, painting: Path) -> None:
    """The other side of ``Runner``."""
    before = _status("VmRSS")
    steps, pixels = steps_of(way, (photo, painting), size)
    print(pixels, flush=True)
    for line in sys.stdin:
        if line.strip() == "end":
            break
        print(seconds_of(lambda: next(steps)), flush=True)
    print(_status("VmHWM") - before, flush=True)


def timed_in_turns(files: Files, size: int, rounds: int, warm_up: int) -> tuple[dict[str, list[float]], Peaks, int]:
    """The seconds of each step of each way after ``warm_up`` of them, their peak bytes, and the pixels."""
    runners = {way: Runner(way, files, size) for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(warm_up + rounds):
        for way, runner in runners.items():
            took = runner.step()
            if number >= warm_up:
                seconds[way].append(took)
    return seconds, {way: runner.close() for way, runner in runners.items()}, runners["bf16"].pixels


def seconds_of(work: Callable[[], object]) -> float:
    """How long it takes until the device has done it."""
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def matmul_rate(dtype: torch.dtype, size: int = 2048, rounds: int = 9) -> float:
    """The best rate of a square matrix product on this machine, in GFLOP/s."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    matrix = torch.randn(size, size).to(device, dtype)
    best = min(seconds_of(lambda: matrix @ matrix) for _ in range(rounds))
    return 2 * size**3 / best / 1e9


def peak_of_this_process() -> int:
    """The most bytes that this process has had in memory; Linux tells."""
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def measured(folder: Path, pairs: Sequence[str], size: int, rounds: int, warm_up: int) -> dict[str, Any]:
    """All that is measured at one size: medians over pairs and their range, and the quartiles of single steps.

    The rate of matrix products is taken before each pair; it changes with what else the machine does. In single
    precision, convolutions may exceed it: on some processors they are computed by another library.
    """
    rates: dict[str, list[float]] = {"fp32": [], "bf16": []}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    ratios: dict[str, list[float]] = {way: [] for way in WAYS}
    shares: dict[str, list[float]] = {way: [] for way in WAYS}
    peaks: dict[str, list[int]] = {way: [] for way in WAYS}
    for text in pairs:
        for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            rates[precision].append(matmul_rate(dtype))
        found, each_peak, pixels = timed_in_turns(files_of(folder, text), size, rounds, warm_up)
        flops = 2 * VGG19.megaflops_per_pixel(DEEPEST) * 1e6 * pixels
        for way, each in found.items():
            seconds[way] += [took / pixels * 1e6 for took in each]
            ratios[way].append(median(theirs / ours for theirs, ours in zip(found["baseline"], each, strict=True)))
            shares[way].append(flops / median(each) / 1e9 / rates["bf16" if way.startswith("bf16") else "fp32"][-1])
            peaks[way].append(each_peak[way])
    return {
        "size": size,
        "ways": {
            way: {
                "seconds a megapixel": median(seconds[way]),
                "quartiles": quantiles(seconds[way], n=4),
                "times faster": median(ratios[way]),
                "range": [min(ratios[way]), max(ratios[way])],
                "share of the matmul rate": median(shares[way]),
                "peak MB": median(peaks[way]) / 1e6,
                "share of memory": median(
                    ours / theirs for ours, theirs in zip(peaks[way], peaks["baseline"], strict=True)
                ),
            }
            for way in WAYS
        },
        "GFLOP/s": {precision: median(each) for precision, each in rates.items()},
    }


def machine() -> dict[str, Any]:
    """What it was measured on."""
    return {
        "commit": commit(),
        "device": device_name(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "system": platform.system(),
    }


def table(found: dict[str, Any]) -> str:
    """One size in Markdown."""
    lines = [
        f"| {found['size']} px | s/Mpixel | quartiles | times faster | of matmul rate | peak MB | of baseline |",
        "|---|---:|---|---:|---:|---:|---:|",
    ]
    for way, row in found["ways"].items():
        lower, _, upper = row["quartiles"]
        lines.append(
            f"| {way} | {row['seconds a megapixel']:.3f} | {lower:.3f} to {upper:.3f} | {row['times faster']:.2f}"
            f" | {row['share of the matmul rate']:.2f} | {row['peak MB']:.0f}"
            f" | {row['share of memory']:.2f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, append."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["--steps"]:
        way, size, photo, painting = arguments[1:]
        answer(way, int(size), Path(photo), Path(painting))
        return
    parser = argparse.ArgumentParser(
        "python -m benchmarks.speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("pairs", nargs="+", metavar="CONTENT:STYLE")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--warm-up", type=int, default=4)
    parsed = parser.parse_args(arguments)
    for size in parsed.sizes:
        found = measured(parsed.folder, parsed.pairs, size, parsed.rounds, parsed.warm_up)
        print(table(found), flush=True)
        parsed.results.parent.mkdir(parents=True, exist_ok=True)
        with parsed.results.open("a") as file:
            file.write(json.dumps(machine() | {"pairs": parsed.pairs} | found) + "\n")


if __name__ == "__main__":
    main()
