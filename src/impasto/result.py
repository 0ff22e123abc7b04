"""A finished picture, and how it came about."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from impasto.errors import ImpastoError, MissingExtraError
from impasto.image.destination import check_destination, write_bytes
from impasto.image.formats import FORMATS, Format, format_of, named_format
from impasto.image.metadata import Metadata
from impasto.image.picture import Picture
from impasto.image.write import encode, to_pil
from impasto.optimize import Step
from impasto.record import Record
from impasto.solvers import NOT_FINITE
from impasto.spec import OutputOptions, StyleSpec
from impasto.validation import build

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

__all__ = ["Collected", "Result", "describe"]


@dataclass(frozen=True)
class Result:
    """``picture`` is the finished one, with the transparency, profile, depth and metadata of the photo; ``history`` has
    one entry an evaluation:
    ``{"size": (width, height), "network": name, "level": part of the run, from 0, "tile": side of the tiles or 0,
    "step": ..., "of": ..., "loss": ..., "terms": {name: share of the loss}}``.
    ``record`` is what goes into the file, so that it can be made again.
    """

    picture: Picture
    spec: StyleSpec
    history: tuple[dict[str, Any], ...]
    loss: float
    record: Record | None = None

    @classmethod
    def collect(
        cls,
        steps: Iterable[Step],
        spec: StyleSpec,
        size: tuple[int, int],
        *,
        photo: Picture | None = None,
        record: Record | None = None,
    ) -> Result:
        """Run through ``steps`` and keep the best picture of the last size, brought to ``size`` = (height, width).

        An iterable that ends early, because someone stopped it, gives the best picture so far. From ``photo`` come
        transparency, profile, depth and metadata.
        """
        collected = Collected()
        for step in steps:
            collected.add(step)
        return collected.result(spec, size, photo=photo, record=record)

    @property
    def tensor(self) -> Tensor:
        """The pixels, 1 x 3 x H x W, float32, sRGB in [0, 1], on the CPU."""
        return self.picture.pixels

    @cached_property
    def image(self) -> Image.Image:
        """The picture as 8-bit sRGB, of mode RGB, or RGBA if the photo had transparency."""
        return to_pil(self.picture.pixels, self.picture.alpha)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        quality: int | None = None,
        metadata: bool = True,
        pyramid: bool = False,
        overwrite: bool = False,
    ) -> Path:
        """Write the picture by the extension, or in ``format``: png, jpeg, webp, avif, tiff or gif.

        ``metadata`` keeps the photo's and puts the settings of the run in; ``pyramid`` puts ever smaller copies into a
        TIFF, with the extra ``large``. Raises OutputError if the file exists and
        ``overwrite`` is false.
        """
        target = Path(path)
        kind = named_format(format) if format else format_of(target)
        data = self.encode(kind, quality=quality, metadata=metadata, pyramid=pyramid)
        check_destination(target, overwrite=overwrite, needed=len(data))
        write_bytes(data, target, overwrite=overwrite)
        return target

    def encode(
        self, format: Format, *, quality: int | None = None, metadata: bool = True, pyramid: bool = False
    ) -> bytes:
        """The bytes of the file that ``save`` writes; raise OptionError for a quality that is not from 1 to 100."""
        build(OutputOptions, {"quality": quality})
        if not metadata:
            return encode(replace(self.picture, metadata=Metadata()), format, quality=quality, pyramid=pyramid)
        settings = self.record.written_as(format.key, quality, pyramid).to_json() if self.record else None
        return encode(self.picture, format, quality=quality, settings=settings, pyramid=pyramid)

    def _repr_png_(self) -> bytes:
        """Show the picture in a notebook."""
        return encode(Picture(self.tensor, self.picture.alpha), FORMATS["png"])

    def plot(self) -> Figure:
        """Draw each term of the loss over the evaluations; needs the extra ``report``."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise MissingExtraError("Plots need matplotlib: run\n    pip install 'impasto[report]'") from None
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.add_subplot(xlabel="evaluation", ylabel="share of the loss", yscale="log")
        for name in self.history[-1]["terms"]:
            axes.plot([entry["terms"].get(name) for entry in self.history], label=name)
        axes.legend()
        return figure


@dataclass
class Collected:
    """What is kept of the steps of a run that goes on: the best one of its last part, and a line about each."""

    history: list[dict[str, Any]] = field(default_factory=list)
    best: Step | None = None

    def add(self, step: Step) -> None:
        """Keep what is to be kept of ``step``."""
        self.history.append(describe(step))
        self.best = step.better_than(self.best).without_gradient()

    def result(
        self, spec: StyleSpec, size: tuple[int, int], *, photo: Picture | None = None, record: Record | None = None
    ) -> Result:
        """See ``Result.collect``."""
        best = self.best
        if best is None:
            raise ValueError("a result needs at least one step")
        if not math.isfinite(best.loss):
            raise ImpastoError(NOT_FINITE)
        picture = (photo or Picture(best.image)).with_pixels(best.image_at(size).cpu())
        done = record.done(self.history, best.loss) if record else None
        return Result(picture, spec, tuple(self.history), best.loss, done)


def describe(step: Step) -> dict[str, Any]:
    """A step in plain numbers, as in ``Result.history`` and in the JSON progress."""
    height, width = step.size
    return {
        "size": (width, height),
        "network": step.network,
        "level": step.level,
        "tile": step.tile,
        "step": step.index,
        "of": step.of,
        "loss": step.loss,
        "terms": step.terms,
    }
