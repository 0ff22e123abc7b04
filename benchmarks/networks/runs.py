"""The pictures of the comparison: painted one after the other, measured, and kept, so that none is painted twice."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from impasto.budget import within
from impasto.device import resolve_machine
from impasto.features import Extractor
from impasto.image.destination import write_bytes
from impasto.image.read import read_image
from impasto.metrics import measure
from impasto.networks import VGG19, get_network
from impasto.optimize import Step
from impasto.prepare import prepare
from impasto.presets import resolve_spec
from impasto.spec import RunOptions, StyleSpec
from impasto.validation import build
from impasto.weights import fingerprint, load_weights

from ..machine import commit, device_name
from .curves import Outcome, Pair

WAYS = {
    "vgg19": {"network": "vgg19", "coarse_network": "none"},
    "compact": {"network": "compact", "coarse_network": "none"},
    "mixed": {"network": "vgg19", "coarse_network": "compact"},
}
REFERENCE = "vgg19"

FLAWS = ("color_cast", "color_grain", "border_energy", "speck_share")
"""Figures of what is not right about a picture."""


class StaleError(Exception):
    """What lies in the output folder, or an earlier report, was made with other settings, or is none."""


@dataclass(frozen=True)
class Way:
    """A way to paint: its name, also that of its folder, and the options in which it differs from others."""

    name: str
    options: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> Way:
        """Read ``mixed`` or ``mixed+early_iterations=0.5``; raise ValueError for others."""
        base, *settings = text.split("+")
        if base not in WAYS:
            raise ValueError(f"there is no way '{base}'; ways are {', '.join(WAYS)}")
        return cls(text, WAYS[base] | dict(map(parse_setting, settings)))

    @property
    def networks(self) -> set[str]:
        """The names of the networks that look."""
        return {self.options["network"], self.options["coarse_network"]} - {"none"}


def parse_setting(text: str) -> tuple[str, str]:
    """Read NAME=VALUE; raise ValueError for others."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ValueError(f"'{text}' is not NAME=VALUE")
    return name.strip().replace("-", "_"), value.strip()


@dataclass(frozen=True)
class Pictures:
    """The folder with content/*.jpg and style/*.jpg."""

    folder: Path

    def names(self, kind: str) -> list[str]:
        """The names of all pictures of ``content`` or ``style``, sorted."""
        return sorted(path.stem for path in (self.folder / kind).glob("*.jpg"))

    def paths(self, pair: Pair) -> tuple[Path, Path]:
        """The files of photo and painting."""
        return self.folder / "content" / f"{pair[0]}.jpg", self.folder / "style" / f"{pair[1]}.jpg"


@dataclass(frozen=True)
class Job:
    """One picture that is wanted; ``options`` are those of all ways, with the size."""

    pair: Pair
    way: Way
    strength: float
    preset: str
    options: Mapping[str, str]
    weights: Mapping[str, str] = field(default_factory=dict)

    def resolved(self) -> tuple[StyleSpec, RunOptions]:
        """The options of the run; raises OptionError for those that cannot be."""
        look, run = split_options({**self.options, **self.way.options})
        return resolve_spec(self.preset, look, {"strength": self.strength}), run

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides what the picture looks like; also whose weights."""
        return {
            "content": self.pair[0],
            "style": self.pair[1],
            "way": self.way.name,
            "strength": self.strength,
            "preset": self.preset,
            "options": {**self.options, **self.way.options},
            "weights": {name: self.weights[name] for name in sorted(self.way.networks)},
        }

    def file(self, output: Path, extension: str) -> Path:
        """OUTPUT/WAY/CONTENT_STYLE_STRENGTH.EXTENSION."""
        return output / self.way.name / f"{'_'.join(self.pair)}_{self.strength:g}.{extension}"

    def kept(self, output: Path) -> dict[str, Any] | None:
        """What is written beside the finished picture, None if it is not there yet.

        Raises StaleError if it was made with other settings.
        """
        note = self.file(output, "json")
        if not (note.is_file() and self.file(output, "png").is_file()):
            return None
        entry: dict[str, Any] = json.loads(note.read_text())
        if entry["settings"] != self.settings:
            differing = [key for key, value in self.settings.items() if entry["settings"].get(key) != value]
            raise StaleError(f"'{note}' was made with other {', '.join(differing)}: move it away, or its folder.")
        return entry


def fingerprints(ways: Iterable[Way]) -> dict[str, str]:
    """Which weights each network of ``ways`` has, in 16 digits; raises MissingWeightsError where there are none."""
    names = sorted({name for way in ways for name in way.networks})
    return {name: fingerprint(load_weights(get_network(name)))[:16] for name in names}


def outcome_of(entry: Mapping[str, Any]) -> Outcome:
    """The figures that are compared; the style error is the mean of those at full and at half size."""
    figures = entry["figures"]
    style = (figures["style_error"] + figures["style_error_half"]) / 2
    flaws = {name: figures[name] for name in FLAWS if name in figures}
    return Outcome(figures["content_error"], style, entry["seconds"], flaws)


class Judge:
    """Measures pictures as they were saved: VGG-19 in float32, with zero padding."""

    def __init__(self, run: RunOptions) -> None:
        device = resolve_machine(run).device
        self.extractor = Extractor(VGG19, load_weights(VGG19), device=device, padding="zeros")

    def figures(self, picture: Path, photo: Path, painting: Path, style_scale: float) -> dict[str, float]:
        """The figures of ``impasto.metrics.measure`` by name."""
        images = map(read_image, (picture, photo, painting))
        with torch.backends.cudnn.flags(allow_tf32=False):
            return measure(self.extractor, *images, style_scale=style_scale).as_dict()


def split_options(options: Mapping[str, str]) -> tuple[dict[str, str], RunOptions]:
    """Part what decides the picture from where it is computed; raise OptionError for what the latter cannot be."""
    look = {name: value for name, value in options.items() if name not in RunOptions.model_fields}
    return look, build(RunOptions, {name: value for name, value in options.items() if name not in look})


def paint(job: Job, pictures: Pictures, output: Path, judge: Judge) -> dict[str, Any]:
    """Do what ``impasto.stylize`` does, timed, save the picture, measure the file, and write both beside it.

    The seconds are those from the paths of both pictures to the pixels of the result, with reading the weights.
    """
    photo, painting = pictures.paths(job.pair)
    target = job.file(output, "png")
    target.parent.mkdir(parents=True, exist_ok=True)
    levels: dict[int, dict[str, Any]] = {}
    start = time.perf_counter()
    spec, run = job.resolved()
    transfer, steps = within(prepare(photo, painting, spec, run), run.time)
    result = transfer.result(timed(steps, levels))
    seconds = time.perf_counter() - start
    result.save(target, overwrite=True)
    entry = {
        "settings": job.settings,
        "precision": transfer.machine.precision,
        "device": str(transfer.machine.device),
        "machine": f"{device_name()}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}",
        "commit": commit(),
        "seconds": seconds,
        "levels": list(levels.values()),
        "figures": judge.figures(target, photo, painting, spec.style_scale),
    }
    write_bytes(json.dumps(entry, indent=2).encode(), job.file(output, "json"), overwrite=True)
    return entry


def timed(steps: Iterator[Step], levels: dict[int, dict[str, Any]]) -> Iterator[Step]:
    """Hand ``steps`` on, and add up their seconds by level; the first of a level has the looking at its targets."""
    before = time.perf_counter()
    for step in steps:
        _ = step.loss  # waits for the device
        after = time.perf_counter()
        new = {"network": step.network, "size": list(step.size), "evaluations": 0, "seconds": 0.0}
        level = levels.setdefault(step.level, new)
        level["evaluations"] += 1
        level["seconds"] += after - before
        before = after
        yield step
