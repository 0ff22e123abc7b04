"""What tiles cost, and whether they can be seen: against the same picture looked at as a whole.

python -m benchmarks.tiles FOLDER RESULTS.jsonl CONTENT:STYLE [--size 1024] [--tiles 256 512 1024] [--evaluations 30]
    [--hand-back]

FOLDER has content/CONTENT.jpg and style/STYLE.jpg. For each side of tiles: the time of an evaluation and the relative
error of its gradient, to the whole, beside the error that noise of 1e-7 in the pixels makes; then runs of --evaluations
with and without the first side, and how much more they differ at the tiles' borders than elsewhere (1: no more). With
--hand-back, memory that is freed goes back to the system, as in runs that are short of it. Prints a table, and appends
a line with machine and commit to RESULTS.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.machine import commit, device_name
from benchmarks.networks.runs import Pictures
from impasto.allocator import keeping_freed_memory
from impasto.grid import Tile, Tiling
from impasto.objective import bounded
from impasto.optimize import optimize
from impasto.prepare import prepare
from impasto.presets import resolve_spec
from impasto.pyramid import Level
from impasto.spec import RunOptions
from impasto.transfer import Transfer

NOISE = 1e-7
"""Of pixels in [0, 1]: what float32 rounds off them."""


def prepared(files: tuple[Path, Path], size: str, network: str, precision: str) -> Transfer:
    """A run of one level, at its size."""
    alone = {"coarse_network": "none", "coarse_iterations": (), "network": network}
    spec = resolve_spec("standard", {"size": size, **alone})
    return prepare(*files, spec, RunOptions.model_validate({"precision": precision, "memory": "1000G"}))


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def error(ours: Tensor, theirs: Tensor) -> float:
    """Relative, in the root mean square."""
    return float((ours - theirs).norm() / theirs.norm())


def compared(transfer: Transfer, sides: list[int], rounds: int) -> tuple[list[dict[str, Any]], float]:
    """Time and gradient of one evaluation in tiles of each side, to those of the whole picture, taken in turns; and
    what noise does to the latter."""
    (level,) = transfer.levels
    objectives = {side: transfer.objective(replace(level, tile=side)) for side in (0, *sides)}
    # Some way off the photo, where the content has a gradient too.
    start = transfer.starting_point(level)
    point = (start + 0.1 * torch.randn(start.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    seconds: dict[int, list[float]] = {side: [] for side in objectives}
    gradients = {side: objective(point).gradient for side, objective in objectives.items()}
    noisy = objectives[0](point + NOISE * torch.randn(start.shape, generator=torch.Generator().manual_seed(1))).gradient
    for _ in range(rounds):
        for side, objective in objectives.items():
            seconds[side].append(seconds_of(partial(objective, point)))
    rows = [
        {
            "tile": side,
            "tiles": len(objectives[side].octaves[0].tiles),
            "times longer": median(a / b for a, b in zip(seconds[side], seconds[0], strict=True)) if rounds else None,
            "gradient error": error(gradients[side], gradients[0]),
        }
        for side in sides
    ]
    return rows, error(noisy, gradients[0])


def borders(tiles: tuple[Tile, ...], size: tuple[int, int]) -> Tensor:
    """The rows and columns on both sides of each border between two tiles."""
    mask = torch.zeros(size, dtype=torch.bool)
    for tile in tiles:
        for start, index in ((tile.rows.start, 0), (tile.columns.start, 1)):
            if start:
                mask.transpose(0, index)[start - 1 : start + 1] = True
    return mask


def seam(transfer: Transfer, side: int, evaluations: int) -> dict[str, float]:
    """How much more two runs differ, one of them in tiles, at the borders than elsewhere."""
    (level,) = transfer.levels

    def painted(level: Level) -> Tensor:
        evaluate = bounded(transfer.objective(level))
        *_, last = optimize(transfer.starting_point(level), evaluate, transfer.solver(level), evaluations)
        return last.image

    whole, tiled = painted(level), painted(replace(level, tile=side))
    objective = transfer.objective(replace(level, tile=side))
    difference = (whole - tiled).abs().mean(dim=(0, 1))
    if not difference.any():
        return {"at borders": 0.0, "elsewhere": 0.0, "ratio": 1.0}
    mask = borders(objective.octaves[0].tiles, level.size)
    return {
        "at borders": float(difference[mask].mean()),
        "elsewhere": float(difference[~mask].mean()),
        "ratio": float(difference[mask].mean() / difference[~mask].mean()),
    }


def main() -> None:
    """Measure, print, append."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.tiles", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("pair", metavar="CONTENT:STYLE")
    parser.add_argument("--size", default="1024")
    parser.add_argument("--tiles", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--network", default="vgg19")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=3, help="of timing; 0: none")
    parser.add_argument("--evaluations", type=int, default=30)
    parser.add_argument("--hand-back", action="store_true")
    parsed = parser.parse_args()
    content, _, style = parsed.pair.partition(":")
    transfer = prepared(Pictures(parsed.folder).paths((content, style)), parsed.size, parsed.network, parsed.precision)
    spec, network = transfer.spec, transfer.extractor(transfer.levels[0]).network
    tiling = Tiling.in_precision(parsed.tiles[0], transfer.machine.dtype)
    halo = tiling.around(network, {*spec.content_layers, *spec.style_layers})
    with nullcontext() if parsed.hand_back else keeping_freed_memory():
        found, noise = compared(transfer, parsed.tiles, parsed.rounds)
    print(f"{parsed.size} px, {network.name}, {transfer.machine.precision}, halo {halo}\n")
    print("| tile | tiles | times longer | gradient error |\n|---:|---:|---:|---:|")
    for row in found:
        print(
            f"| {row['tile']} | {row['tiles']} | {row['times longer'] or 0:.2f} | {row['gradient error']:.1e} |",
            flush=True,
        )
    print(f"\nnoise of {NOISE} in the pixels: {noise:.1e}", flush=True)
    seams = seam(transfer, parsed.tiles[0], parsed.evaluations) if parsed.evaluations else {}
    print("".join(f"\n{name}: {value:.3g}" for name, value in seams.items()))
    about = {"commit": commit(), "device": device_name(), "pair": parsed.pair, "size": parsed.size, "halo": halo}
    about |= {"network": network.name, "precision": transfer.machine.precision, "handed back": parsed.hand_back}
    with parsed.results.open("a") as file:
        file.write(json.dumps(about | {"tiles": found, "noise": noise, "seam": seams}) + "\n")


if __name__ == "__main__":
    main()
