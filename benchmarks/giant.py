"""Whether giant pictures keep to their memory: the peak of a whole command, as the system measures it, on Linux.

python -m benchmarks.giant CONTENT STYLE RESULTS.jsonl [--side 4096] [--memory 4G] [--evaluations 3]
    [--set NAME=VALUE ...]

Runs `impasto stylize` on a square of so many pixels, cut out of the photo, by VGG-19 alone and at one size. Prints the
peak beside the limit and the seconds of the whole command, and appends a line with machine and commit to RESULTS.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import commit, device_name
from benchmarks.networks.runs import parse_setting
from impasto.quantity import parse_bytes


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, append."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.giant", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("content", type=Path)
    parser.add_argument("style", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--memory", default="4G")
    parser.add_argument("--evaluations", type=int, default=3)
    parser.add_argument("--set", type=parse_setting, action="append", default=[], metavar="NAME=VALUE", dest="settings")
    parsed = parser.parse_args(arguments)
    settings = {"coarse_iterations": "", "network": "vgg19", "coarse_network": "none", **dict(parsed.settings)}
    settings |= {"size": f"{parsed.side}x{parsed.side}", "memory": parsed.memory}
    settings["num_iterations"] = str(parsed.evaluations)
    options = [word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", value)]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "impasto", "stylize", str(parsed.content), str(parsed.style)]
        subprocess.run([*command, "-o", str(Path(folder, "out.png")), "--no-checkpoint", "-v", *options], check=True)
    seconds, peak = time.perf_counter() - start, 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    limit = parse_bytes(parsed.memory)
    print(f"{parsed.side} px: {peak / 1e9:.2f} GB of {limit / 1e9:.2f}, {seconds:.0f} s")
    about = {"commit": commit(), "device": device_name(), "content": parsed.content.stem, "style": parsed.style.stem}
    line = about | {"settings": settings, "peak MB": peak / 1e6, "limit MB": limit / 1e6, "seconds": seconds}
    with parsed.results.open("a") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
