"""A finished picture, and how it came about."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from impasto.errors import ImpastoError, MissingExtraError
from impasto.image.resize import resize
from impasto.image.write import encode, to_pil, write_image
from impasto.optimize import Step
from impasto.solvers import NOT_FINITE
from impasto.spec import StyleSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

__all__ = ["Result"]


@dataclass(frozen=True)
class Result:
    """``tensor`` is 1 x 3 x H x W, float32, sRGB in [0, 1], on the CPU; ``history`` has one entry an evaluation:
    ``{"size": (width, height), "step": ..., "of": ..., "loss": ..., "terms": {name: share of the loss}}``.
    """

    tensor: Tensor
    spec: StyleSpec
    history: tuple[dict[str, Any], ...]
    loss: float

    @classmethod
    def collect(cls, steps: Iterable[Step], spec: StyleSpec, size: tuple[int, int]) -> Result:
        """Run through ``steps`` and keep the best picture of the last size, brought to ``size`` = (height, width).

        An iterable that ends early, because someone stopped it, gives the best picture so far.
        """
        history = []
        best: Step | None = None
        for step in steps:
            history.append(describe(step))
            best = step.better_than(best)
        if best is None:
            raise ValueError("a result needs at least one step")
        if not math.isfinite(best.loss):
            raise ImpastoError(NOT_FINITE)
        return cls(resize(best.image, size).cpu(), spec, tuple(history), best.loss)

    @cached_property
    def image(self) -> Image.Image:
        """The picture as 8-bit RGB."""
        return to_pil(self.tensor)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write PNG or JPEG by the extension; raise OutputError if the file exists and ``overwrite`` is false."""
        target = Path(path)
        write_image(self.tensor, target, overwrite=overwrite)
        return target

    def _repr_png_(self) -> bytes:
        """Show the picture in a notebook."""
        return encode(self.tensor, "PNG")

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


def describe(step: Step) -> dict[str, Any]:
    """A step in plain numbers, as in ``Result.history`` and in the JSON progress."""
    height, width = step.size
    return {
        "size": (width, height),
        "step": step.index,
        "of": step.of,
        "loss": step.loss,
        "terms": step.terms,
    }
