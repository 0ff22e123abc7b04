"""The settings that travel with a picture: all that decided it, so that it can be made again byte for byte."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from impasto.errors import InputError
from impasto.image.files import ANY_PIXELS, File, Origin, name_of, opened, origin_of
from impasto.image.metadata import read_settings
from impasto.pyramid import MOST_ITERATIONS, HistoryPrecision, Level, Targets, Whereabouts
from impasto.spec import MAX_SIDE, MIN_SIDE, StyleSpec
from impasto.version import __version__

if TYPE_CHECKING:
    from impasto.device import Machine

__all__ = ["Computed", "Input", "Record", "RecordedLevel", "Written", "environment", "new_record", "read_record"]

Side = Annotated[int, Field(ge=MIN_SIDE, le=10 * MAX_SIDE)]
Sides = tuple[Side, Side]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Input(_Part):
    """A file that went in: its name without folders, and its length and SHA-256, by which it is found again."""

    name: str = Field(max_length=1000)
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    def find(self, folders: Iterable[Path]) -> Path | None:
        """The file with these bytes in one of ``folders``, first looked for by its name; None if it is in none."""
        name, folders = PureWindowsPath(self.name).name, list(folders)  # splits at / as well: never out of the folder
        named = (folder / name for folder in folders if name)
        every = (path for folder in folders for path in _entries(folder))
        return next((path for path in (*named, *every) if self.is_in(path)), None)

    def is_in(self, path: Path) -> bool:
        """Whether ``path`` has these bytes."""
        try:
            same_length = path.is_file() and path.stat().st_size == self.bytes
            return same_length and origin_of(path).sha256 == self.sha256
        except OSError:
            return False


def _entries(folder: Path) -> list[Path]:
    """What is in ``folder``; nothing if it may not be read, or is none."""
    try:
        return sorted(folder.iterdir())
    except (OSError, ValueError):  # ValueError: a character of value 0
        return []


class RecordedLevel(_Part):
    """A part of the run: (width, height) of the picture and of the painting, the evaluations that were done, the name
    of the network that looked, and how it was fitted into memory (see Level)."""

    size: Sides
    style_size: Sides
    iterations: int = Field(ge=1, le=MOST_ITERATIONS)
    network: str = Field(max_length=100)
    tile: int = Field(0, ge=0, le=10 * MAX_SIDE)
    history: int | None = Field(None, ge=1, le=1000)
    history_precision: HistoryPrecision = "fp32"
    vectors: Whereabouts = "device"
    targets: Targets = "kept"
    margin: int = Field(0, ge=0, le=1024)


class Computed(_Part):
    """Where and how it was computed, each choice resolved."""

    device: Literal["cpu", "cuda", "mps"]
    precision: Literal["fp32", "bf16"]
    threads: int = Field(ge=1, le=1024)


class Written(_Part):
    """How the file was written."""

    format: str = "png"
    quality: int | None = Field(None, ge=1, le=100)
    pyramid: bool = False


class Record(_Part):
    """All that decided a picture. No time and no folder is in it: the same run gives the same record.

    ``size`` is the (width, height) of the picture; ``inputs`` has ``content``, ``style`` and, if it was a picture,
    ``init``, without those that did not come from a file; ``weights`` has the fingerprint of each network's numbers.
    """

    impasto: str = __version__
    inputs: dict[str, Input]
    style: StyleSpec
    size: Sides
    levels: tuple[RecordedLevel, ...] = Field(min_length=1, max_length=20)
    run: Computed
    written: Written = Written()
    weights: dict[str, str]
    environment: dict[str, str]
    loss: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        """Say what went without saying when each run had one network."""
        if not isinstance(data, dict) or not isinstance(data.get("weights"), str):
            return data
        style, levels, weights = (data.get(name) for name in ("style", "levels", "weights"))
        if not isinstance(style, dict) or not isinstance(levels, list):
            return data
        network = style.get("network")
        if not isinstance(network, str):
            return data
        levels = [{"network": network} | level if isinstance(level, dict) else level for level in levels]
        return data | {"style": {"coarse_network": "none"} | style, "levels": levels, "weights": {network: weights}}

    @model_validator(mode="after")
    def _check_levels(self) -> Record:
        """What a run makes: no level is larger than the picture, no painting than ten times that (``style_scale``)."""
        for level in self.levels:
            if level.size[0] > self.size[0] or level.size[1] > self.size[1]:
                raise ValueError("a level is larger than the picture")
            if level.margin >= min(level.size):
                raise ValueError("a margin is as large as what it mirrors")
            if max(level.style_size) > 10 * max(self.size) + 10:
                raise ValueError("a painting is larger than it can be")
        return self

    def planned(self, levels: Sequence[Level]) -> Record:
        """The record of a run with other levels."""
        return self.model_copy(update={"levels": _recorded(levels)})

    def done(self, history: Sequence[Mapping[str, Any]], loss: float) -> Record:
        """The record of what was done in the end, which is less than planned if someone stopped it; what went on in
        smaller tiles for want of memory is two levels."""
        counts = Counter((step["level"], step["tile"]) for step in history)
        levels = tuple(
            self.levels[place].model_copy(update={"iterations": count, "tile": tile})
            for (place, tile), count in counts.items()
        )
        return self.model_copy(update={"levels": levels, "loss": loss})

    def named_as(self, other: Record) -> Record:
        """The record with the names that inputs of the same contents have in ``other``: files are renamed."""
        inputs = dict(self.inputs)
        for role, before in other.inputs.items():
            if role in inputs and inputs[role].sha256 == before.sha256:
                inputs[role] = before
        style = {"init": inputs["init"].name} if "init" in inputs else {}
        return self.model_copy(update={"inputs": inputs, "style": self.style.model_copy(update=style)})

    def written_as(self, format: str, quality: int | None, pyramid: bool = False) -> Record:
        """The record of the file that is being written."""
        return self.model_copy(update={"written": Written(format=format, quality=quality, pyramid=pyramid)})

    def plan(self) -> list[Level]:
        """The levels to compute again."""
        return [Level(**_turned(level.model_dump())) for level in self.levels]

    def to_json(self) -> str:
        """The text that is put into the picture."""
        return self.model_dump_json(exclude_none=True)

    def differences(self, other: Record) -> list[str]:
        """What is not as it was when ``other`` was made, and may change the picture, a phrase each."""
        own, theirs = self._conditions(), other._conditions()
        return [
            f"{name} was {theirs.get(name, 'unknown')} and is {own[name]}"
            for name in own
            if own[name] != theirs.get(name)
        ]

    def _conditions(self) -> dict[str, str]:
        run = {name: str(value) for name, value in self.run.model_dump().items()}
        weights = {f"weights of {network}": digest[:12] for network, digest in self.weights.items()}
        return {"impasto": self.impasto, **self.environment, **weights, **run}


def read_record(file: File) -> Record:
    """Read the settings out of a picture.

    Raises InputError if it is no picture, or has none, or such that cannot be used.
    """
    with opened(file, max_pixels=ANY_PIXELS) as image:  # none of them is decoded
        text = read_settings(image)
    if text is None:
        raise InputError(
            f"{name_of(file)} has no settings in it: impasto did not make it, or with --no-metadata, or another program"
            " took them out."
        )
    try:
        return Record.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the text"
        raise InputError(
            f"The settings in {name_of(file)} cannot be used: {where}: {first['msg'][:200]}. This is impasto"
            f" {__version__}; they are damaged, or a later one wrote them."
        ) from None


def environment(device: str = "cpu") -> dict[str, str]:
    """The versions and the machine, on which the last bits of a result depend; "none" for extras that are not here."""
    import numpy as np
    import PIL
    import torch
    from PIL import features

    from impasto.hardware import processor_name

    codecs = {
        name: features.version(name) for name in ("libjpeg_turbo", "zlib", "webp", "avif", "libtiff", "littlecms2")
    }
    gpu = {"gpu": torch.cuda.get_device_name()} if device == "cuda" else {}
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "codecs": ", ".join(f"{name} {version}" for name, version in codecs.items()),
        **{name: _installed(name) for name in ("pyvips", "pyvips-binary", "pillow-heif")},
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": processor_name(),
        **gpu,
    }


def _installed(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "none"


def new_record(
    spec: StyleSpec,
    machine: Machine,
    levels: Sequence[Level],
    size: tuple[int, int],
    origins: Mapping[str, Origin],
    weights: Mapping[str, str],
) -> Record:
    """The record of a run that is about to start; ``size`` is (height, width)."""
    import torch

    return Record(
        inputs={role: Input(**asdict(origin)) for role, origin in origins.items()},
        style=spec,
        size=size[::-1],
        levels=_recorded(levels),
        run=Computed(
            device=machine.device.type,
            precision=machine.precision,
            threads=machine.threads or torch.get_num_threads(),
        ),
        weights=dict(weights),
        environment=environment(machine.device.type),
    )


def _recorded(levels: Sequence[Level]) -> tuple[RecordedLevel, ...]:
    return tuple(RecordedLevel(**_turned(asdict(level))) for level in levels)


def _turned(level: dict[str, Any]) -> dict[str, Any]:
    """A level is computed with (height, width), and recorded with (width, height)."""
    return level | {name: level[name][::-1] for name in ("size", "style_size")}
