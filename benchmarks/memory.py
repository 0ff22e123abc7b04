"""Whether a run takes as much memory as was predicted: peaks of processes of their own, on Linux.

python -m benchmarks.memory FOLDER RESULTS.jsonl CONTENT:STYLE [--sizes 512 1024 2048] [--memory 64G 2G]

FOLDER has content/CONTENT.jpg and style/STYLE.jpg. Each size is run within each limit, by VGG-19 and by the compact
network, in bfloat16 and in single precision; prints a table, and appends a line with machine and commit to RESULTS. The
time is that of the last evaluation, and what the estimate said of it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import commit, device_name
from benchmarks.networks.runs import Pictures
from benchmarks.speed import peak_of_this_process

NETWORKS, PRECISIONS = ("vgg19", "compact"), ("bf16", "fp32")


def measured_here(wanted: dict[str, Any]) -> dict[str, Any]:
    """Run what is ``wanted`` in this process."""
    from impasto.errors import OptionError
    from impasto.estimate import measure_cost
    from impasto.prepare import prepare
    from impasto.presets import resolve_spec
    from impasto.spec import RunOptions
    from impasto.steps import Steps

    alone = {"coarse_network": "none", "coarse_iterations": (), "num_iterations": wanted["evaluations"]}
    spec = resolve_spec("standard", {"size": wanted["size"], "network": wanted["network"], **alone})
    run = RunOptions(precision=wanted["precision"], memory=wanted["memory"])
    try:
        content, style = wanted["files"]
        transfer = prepare(content, style, spec, run)
    except OptionError as error:
        return {"refused": str(error)}
    (level,) = transfer.levels
    times = [time.perf_counter() for _ in Steps(transfer)]
    predicted, peak = transfer.footprint.of_run(transfer.levels), peak_of_this_process()
    estimated = measure_cost(transfer).of_evaluation(level)  # afterwards: most runs know it from those before
    return {
        "pixels": list(level.size[::-1]),
        "tile": level.tile,
        "history": level.history,
        "predicted MB": predicted / 1e6,
        "peak MB": peak / 1e6,
        "predicted / measured": predicted / peak,
        "estimated seconds": estimated,
        "seconds": times[-1] - times[-2],
    }


def measured(wanted: dict[str, Any]) -> dict[str, Any]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", "--child", json.dumps(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def row(wanted: dict[str, Any], found: dict[str, Any]) -> str:
    """One run in Markdown."""
    about = f"| {wanted['size']} | {wanted['memory']} | {wanted['network']} | {wanted['precision']} "
    if "refused" in found:
        return f"{about}| refused | | | | |"
    return (
        f"{about}| {found['tile'] or ''} | {found['predicted MB']:.0f} | {found['peak MB']:.0f}"
        f" | {found['predicted / measured']:.2f} | {found['estimated seconds']:.2f} | {found['seconds']:.2f} |"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, append."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["--child"]:
        print(json.dumps(measured_here(json.loads(arguments[1]))))
        return
    parser = argparse.ArgumentParser(
        "python -m benchmarks.memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("pair", metavar="CONTENT:STYLE")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--memory", nargs="+", default=["64G", "2G"])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS)
    parser.add_argument("--evaluations", type=int, default=3)
    parsed = parser.parse_args(arguments)
    content, _, style = parsed.pair.partition(":")
    files = [str(path) for path in Pictures(parsed.folder).paths((content, style))]
    print("| size | --memory | network | precision | tile | predicted MB | peak MB | ratio | estimated s | s |")
    print("|---:|---|---|---|---:|---:|---:|---:|---:|---:|")
    for size in parsed.sizes:
        for memory in parsed.memory:
            for network in parsed.networks:
                for precision in parsed.precisions:
                    wanted = {"size": size, "memory": memory, "network": network, "precision": precision}
                    found = measured(wanted | {"files": files, "evaluations": parsed.evaluations})
                    print(row(wanted, found), flush=True)
                    with parsed.results.open("a") as file:
                        about = {"commit": commit(), "device": device_name(), "pair": parsed.pair}
                        file.write(json.dumps(about | wanted | found) + "\n")


if __name__ == "__main__":
    main()
