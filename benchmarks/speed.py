"""Seconds of an evaluation, solver included, and memory, against the yardstick in ``baseline.py``.

python -m benchmarks.speed FOLDER RESULTS.jsonl CONTENT:STYLE ... [--sizes 512 1024] [--rounds 8] [--warm-up 4]

FOLDER has content/CONTENT.jpg and style/STYLE.jpg. All take steps of the objective of preset ``classic`` with a history
of 100, in turns, so that what else the machine does meets all of them; then each is run alone in a process of its own
for the peak of its memory in --rounds steps, while the history is not yet full. Prints a table, and appends a line with
machine, commit, medians and spreads to RESULTS.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
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
from impasto.objective import bounded
from impasto.optimize import optimize
from impasto.prepare import prepare
from impasto.presets import resolve_spec
from impasto.spec import RunOptions, scaled_to_long_side
from impasto.weights import load_weights

Files = tuple[Path, Path]
Steps = Iterator[object]
DEEPEST = "relu5_1"
WAYS = ("baseline", "fp32", "bf16")


def files_of(folder: Path, pair: str) -> Files:
    """The photo and the painting of CONTENT:STYLE."""
    content, _, style = pair.partition(":")
    return Pictures(folder).paths((content, style))


def baseline_of(files: Files, size: int) -> Baseline:
    """The yardstick with both pictures brought to the long side ``size``."""
    device = resolve_machine(RunOptions()).device
    images = [read_image(file).to(device) for file in files]
    content, style = (resize(image, scaled_to_long_side(tuple(image.shape[-2:]), size)) for image in images)
    return Baseline(load_weights(VGG19), content, style)


def steps_of(way: str, files: Files, size: int) -> tuple[Steps, int]:
    """The steps of one way without end, each taken when it is asked for; and the pixels of the picture."""
    if way == "baseline":
        baseline = baseline_of(files, size)
        return baseline.steps(), baseline.content.shape[-1] * baseline.content.shape[-2]
    spec = resolve_spec("classic", {"size": size, "network": "vgg19", "history": HISTORY})
    transfer = prepare(*files, spec, RunOptions(precision=way))
    level = transfer.levels[-1]
    evaluate, solver = bounded(transfer.objective(level)), transfer.solver(level)
    return optimize(transfer.starting_point(level), evaluate, solver, 10**6), level.pixels


def timed_in_turns(files: Files, size: int, rounds: int, warm_up: int) -> tuple[dict[str, list[float]], int]:
    """The seconds of each step of each way after ``warm_up`` of them, and the pixels."""
    running = {way: steps_of(way, files, size) for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(warm_up + rounds):
        for way, (steps, _) in running.items():
            took = seconds_of(lambda steps=steps: next(steps))
            if number >= warm_up:
                seconds[way].append(took)
    return seconds, running["bf16"][1]


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


def peak_in_own_process(way: str, files: Files, size: int, evaluations: int) -> int:
    """Peak bytes of a process that takes so many steps, above those of one that has imported torch."""
    command = [sys.executable, "-m", "benchmarks.speed", "--peak", way, str(size), str(evaluations)]
    done = subprocess.run([*command, *map(str, files)], check=True, capture_output=True, text=True)
    return int(done.stdout)


def peak(way: str, size: int, evaluations: int, photo: Path, painting: Path) -> int:
    """The same, in this process; Linux tells."""
    before = _status("VmRSS")
    steps, _ = steps_of(way, (photo, painting), size)
    for _ in range(evaluations):
        next(steps)
    return _status("VmHWM") - before


def peak_of_this_process() -> int:
    """The most bytes that this process has had in memory; Linux tells."""
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def measured(folder: Path, pairs: Sequence[str], size: int, rounds: int, warm_up: int) -> dict[str, Any]:
    """All that is measured at one size: medians over pairs, and the quartiles of single steps."""
    rates = {"fp32": matmul_rate(torch.float32), "bf16": matmul_rate(torch.bfloat16)}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    ratios: dict[str, list[float]] = {way: [] for way in WAYS}
    shares: dict[str, list[float]] = {way: [] for way in rates}
    for text in pairs:
        found, pixels = timed_in_turns(files_of(folder, text), size, rounds, warm_up)
        flops = 2 * VGG19.megaflops_per_pixel(DEEPEST) * 1e6 * pixels
        for way, each in found.items():
            seconds[way] += each
            ratios[way].append(median(theirs / ours for theirs, ours in zip(found["baseline"], each, strict=True)))
            if way in shares:
                shares[way].append(flops / median(each) / 1e9 / rates[way])
    files = files_of(folder, pairs[0])
    peaks = {way: peak_in_own_process(way, files, size, rounds) for way in WAYS}
    return {
        "size": size,
        "ways": {
            way: {
                "seconds": median(seconds[way]),
                "quartiles": quantiles(seconds[way], n=4),
                "times faster": median(ratios[way]),
                "share of the matmul rate": median(shares[way]) if way in shares else None,
                "peak MB": peaks[way] / 1e6,
                "share of memory": peaks[way] / peaks["baseline"],
            }
            for way in WAYS
        },
        "GFLOP/s": rates,
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
        f"| {found['size']} px | seconds | quartiles | times faster | of matmul rate | peak MB | of baseline |",
        "|---|---:|---|---:|---:|---:|---:|",
    ]
    for way, row in found["ways"].items():
        share = row["share of the matmul rate"]
        lower, _, upper = row["quartiles"]
        lines.append(
            f"| {way} | {row['seconds']:.3f} | {lower:.3f} to {upper:.3f} | {row['times faster']:.2f}"
            f" | {'' if share is None else f'{share:.2f}'} | {row['peak MB']:.0f}"
            f" | {row['share of memory']:.2f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, append."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["--peak"]:
        way, size, evaluations, photo, painting = arguments[1:]
        print(peak(way, int(size), int(evaluations), Path(photo), Path(painting)))
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
