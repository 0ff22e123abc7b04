"""Everything that can be wrong with inputs and outputs is found out here, before torch is imported."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from impasto.cli.options import Options
from impasto.errors import InputError, OptionError, OutputError, did_you_mean
from impasto.image.files import check_output, expanded, new_file_beside, picture_size
from impasto.networks import NETWORKS, VGG19, get_network
from impasto.pyramid import Level, plan_pyramid
from impasto.spec import StyleSpec, output_size

__all__ = ["Job", "check_job"]

BYTES_PER_PIXEL = 4
"""What a pixel of a PNG of noise takes, and a little for the headers."""

MOST_SNAPSHOTS = 10_000

STEM_LENGTH = 80
"""Longer names of inputs, in bytes, are cut in the default name of the output; file systems have limits."""


@dataclass(frozen=True)
class Job:
    """The files and the options of a run that can start: ``output`` may be written, and replaced if ``overwrite``."""

    content: Path
    style: Path
    output: Path
    overwrite: bool
    options: Options

    def snapshot(self, evaluation: int) -> Path:
        """The file for the picture after so many evaluations of the whole run."""
        return self.output.with_name(f"{self.output.stem}_{evaluation:04d}.png")


def check_job(content: str, style: str, output: str | None, overwrite: bool, options: Options, name: str = "") -> Job:
    """Find out that a run can start; the default output is ``name``.png or made of the names of the inputs.

    Raises InputError, OptionError or OutputError for the first thing that is in the way.
    """
    photo, painting = expanded(content), expanded(style)
    levels = _plan(picture_size(photo), picture_size(painting), options.spec)
    _check_spec(options.spec)
    if output is None:
        stem = name or f"{_shortened(photo.stem)}_{_shortened(painting.stem)}"
        job = Job(photo, painting, Path(f"{stem}.png"), overwrite, options)
        job = job if overwrite else _with_free_name(job, levels)
    else:
        job = Job(photo, painting, expanded(output), overwrite, options)
    _check_outputs(job, levels)
    return job


def _shortened(stem: str) -> str:
    return os.fsencode(stem)[:STEM_LENGTH].decode(errors="ignore")


def _plan(photo: tuple[int, int], painting: tuple[int, int], spec: StyleSpec) -> list[Level]:
    return plan_pyramid(output_size(spec, photo), painting, spec)


def _check_spec(spec: StyleSpec) -> None:
    """What the options say that has to be there: the network, its layers, the picture to start from."""
    if spec.network != "auto" and spec.network not in NETWORKS:
        choices = ["auto", *NETWORKS]
        hint = did_you_mean(spec.network, choices)
        raise OptionError(f"--network is '{spec.network}'.{hint} Choose from {', '.join(choices)}.")
    network = VGG19 if spec.network == "auto" else get_network(spec.network)
    for layer in (*spec.content_layers, *spec.style_layers):
        network.check_layer(layer)
    starts = ("content", "style", "noise")
    if spec.init not in starts:
        try:
            picture_size(expanded(spec.init))
        except InputError as error:
            hint = did_you_mean(spec.init, starts)
            raise OptionError(
                f"--init is '{spec.init}'.{hint} Choose from {', '.join(starts)}, or give a picture. {error}"
            ) from None


def _with_free_name(job: Job, levels: Sequence[Level]) -> Job:
    """Number the output from _2 on if a file that the run would write exists."""
    number, stem = 1, job.output.stem
    while _existing(_files(job, levels)):
        number += 1
        job = replace(job, output=Path(f"{stem}_{number}.png"))
    return job


def _files(job: Job, levels: Sequence[Level]) -> list[Path]:
    """Every file that the run will write, the result at the end."""
    every = job.options.output.save_every
    total = sum(level.iterations for level in levels)
    snapshots = range(every, total + 1, every) if every else range(0)
    if len(snapshots) > MOST_SNAPSHOTS:
        raise OptionError(f"--save-every {every} would write {len(snapshots):,} pictures: give a larger number.")
    return [*(job.snapshot(evaluation) for evaluation in snapshots), job.output]


def _existing(files: Sequence[Path]) -> list[Path]:
    """Those of ``files``, all in one folder, that are there already."""
    folder = files[-1].parent
    there = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    return [path for path in files if path.name in there]


def _check_outputs(job: Job, levels: Sequence[Level]) -> None:
    files = _files(job, levels)
    needed = levels[-1].pixels * BYTES_PER_PIXEL * len(files)
    try:
        existing = _existing(files)
        for path in existing:
            _check_is_no_input(path, job)
        for path in [job.output, *existing]:
            check_output(path, overwrite=job.overwrite, needed=needed)
        _try_to_write(files[0])  # a snapshot's name is the longer one
    except OSError as error:
        raise OutputError(f"'{job.output}' cannot be written ({error.strerror or error}): choose another -o.") from None


def _check_is_no_input(path: Path, job: Job) -> None:
    start = expanded(job.options.spec.init)
    inputs = [job.content, job.style, *([start] if start.is_file() else [])]
    if any(path.samefile(picture) for picture in inputs):
        raise OutputError(f"'{path}' is one of the inputs, and would be lost: choose another -o.")


def _try_to_write(path: Path) -> None:
    """Make and remove a file in the way in which the result will be made: permissions do not tell all."""
    new_file_beside(path).unlink()
