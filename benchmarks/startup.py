"""How long the command takes to its first evaluation, beside importing PyTorch; with --whole, to its end.

python -m benchmarks.startup CONTENT STYLE [--rounds 5] [--whole] [--set NAME=VALUE ...]

All in turns, each in a process of its own, after one round that does not count: importing PyTorch, `impasto stylize` up
to the end of its first evaluation, as JSON progress tells it, and that evaluation by itself. Prints medians, and what
is left of the second without the third over the first. With --whole, whole commands, to the
saved file, instead.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.networks.runs import parse_setting

IMPORT = "import torch"


def seconds_of_import() -> float:
    """Seconds of a process that imports PyTorch and ends."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORT], check=True)
    return time.perf_counter() - start


def stylize(content: Path, style: Path, options: Sequence[str], output: Path) -> list[str]:
    """The words of the command."""
    return [sys.executable, "-m", "impasto", "stylize", str(content), str(style), "-o", str(output), "-y", *options]


def seconds_to_file(content: Path, style: Path, options: Sequence[str], output: Path) -> float:
    """Seconds from the start of a process to its end."""
    start = time.perf_counter()
    subprocess.run([*stylize(content, style, options, output), "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def seconds_to_steps(content: Path, style: Path, options: Sequence[str], output: Path) -> tuple[float, float]:
    """Seconds from the start of a process to its first evaluation, and between that and the second one."""
    command = stylize(content, style, options, output)
    start, times = time.perf_counter(), []
    with subprocess.Popen([*command, "--progress", "json"], stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if "step" in json.loads(line):
                times.append(time.perf_counter() - start)
            if len(times) == 2:
                break
        run.kill()
    return times[0], times[1] - times[0]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.startup", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("content", type=Path)
    parser.add_argument("style", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--whole", action="store_true", help="time whole commands")
    parser.add_argument("--set", type=parse_setting, action="append", default=[], metavar="NAME=VALUE", dest="settings")
    parsed = parser.parse_args(arguments)
    options = [word for name, value in parsed.settings for word in (f"--{name.replace('_', '-')}", value)]
    with tempfile.TemporaryDirectory() as folder:
        run = parsed.content, parsed.style, options, Path(folder, "out.png")
        if parsed.whole:
            seconds = sorted([seconds_to_file(*run) for _ in range(parsed.rounds + 1)][1:])
            print(f"the whole command {median(seconds):.2f} s ({seconds[0]:.2f} to {seconds[-1]:.2f})")
            return
        rounds = [(seconds_of_import(), *seconds_to_steps(*run)) for _ in range(parsed.rounds + 1)][1:]
    imported, first, following = map(median, zip(*rounds, strict=True))
    print(
        f"import torch {imported:.2f} s, to the end of the first evaluation {first:.2f} s, the second {following:.2f} s"
    )
    print(f"to the beginning of the first evaluation: {(first - following) / imported:.2f} x import torch")


if __name__ == "__main__":
    main()
