"""The picture coming into being, as GIF, WebP or MP4: its frames lie evenly in what the eye sees change.

A run's first steps change much and its last ones little, so steps shown at equal times would jump, then stand still.
No torch is imported here before the first picture comes, so that ``check_animation`` is quick.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from impasto.errors import OutputError, did_you_mean
from impasto.image.animated import ENCODERS, EXTENSIONS, FRAMES, import_av
from impasto.image.destination import check_destination, write_bytes

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FRAME_SIDE", "KEPT", "MAX_BYTES", "Recorder", "check_animation"]

FRAME_SIDE = 480
"""The longest side of a frame in pixels."""

LOOK_SIDE = 192
"""The longest side in pixels at which change is measured: small enough to be quick, and it still sees blurring."""

KEPT = 64
"""Pictures held in memory. With what their change is measured on they take 58 MB at most, however long the run."""

MAX_BYTES = 10_000_000
"""Animations that come out larger are encoded again at half the area; more is not shown inline on many pages."""


class Recorder:
    """A consumer of a run's pictures that makes an animation out of them.

    ``size`` is (height, width) in pixels of the finished picture; the frames are that, or reduced to a long side of
    ``FRAME_SIDE``, with even sides. The same pictures give the same bytes.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = _even(size, min(1.0, FRAME_SIDE / max(size)))
        self._pictures: list[np.ndarray] = []  # H x W x 3, 8 bits; Pillow would take 4 bytes a pixel
        self._colors: list[Tensor] = []
        self._changes: list[float] = []  # of each picture from the one before it; 0 for the first

    def __len__(self) -> int:
        """How many pictures are held, ``KEPT`` at most."""
        return len(self._pictures)

    def add(self, image: Tensor, alpha: Tensor | None = None) -> None:
        """Take the next picture: 1 x 3 x H x W, sRGB in [0, 1], of any size, with the proportions of the result.

        ``alpha``, 1 x 1 x H x W in [0, 1], may have another size; where it is 0, white shows through. The first and
        the last picture are always kept.
        """
        from impasto.image.write import to_pil

        picture = _scaled(to_pil(_on_white(image, alpha)), self.size)
        colors = _lab(picture)
        self._changes.append(_difference(self._colors[-1], colors) if self._colors else 0.0)
        self._pictures.append(np.asarray(picture))
        self._colors.append(colors)
        if len(self._pictures) > KEPT:
            self._drop_one()

    def _drop_one(self) -> None:
        """Forget the picture that differs least from the two around it.

        What it differed by is measured anew across the gap, so that steps back and forth do not add up.
        """
        around = [before + after for before, after in pairwise(self._changes[1:])]
        index = 1 + around.index(min(around))
        for kept in (self._pictures, self._colors, self._changes):
            del kept[index]
        self._changes[index] = _difference(self._colors[index - 1], self._colors[index])

    def frames(self, count: int = FRAMES) -> Iterator[Image.Image]:
        """Yield ``count`` pictures of 8-bit RGB at ``size``, from the first one to the last one, evenly in change.

        Between two kept pictures they are blended: one step may change more than a frame should. Raises ValueError
        if nothing was added.
        """
        if not self._pictures:
            raise ValueError("an animation needs at least one picture")
        last = len(self._pictures) - 1
        path = list(accumulate(self._changes))
        places = np.interp(np.linspace(0, path[-1], count), path, np.arange(last + 1))
        places[0] = 0  # also if nothing changed
        for place in places:
            before = int(place)
            after = min(before + 1, last)
            yield _blended(self._pictures[before], self._pictures[after], place - before)

    def encode(self, format: str) -> bytes:
        """Return the bytes of an animation, ``format`` being GIF, WEBP or MP4; at most ``MAX_BYTES``.

        Raises MissingExtraError if there is nothing to encode MP4 with.
        """
        size = self.size
        while True:
            data = ENCODERS[format](partial(self._frames_at, size))
            if len(data) <= MAX_BYTES or max(size) <= 32:  # nothing is left to reduce
                return data
            size = _even(size, 0.5**0.5)

    def _frames_at(self, size: tuple[int, int], count: int) -> Iterator[Image.Image]:
        return (_scaled(frame, size) for frame in self.frames(count))

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the animation in the format of the extension: .gif, .webp or .mp4.

        Raises what ``check_animation`` raises; a file that was there before is then left whole.
        """
        target = Path(path)
        check_animation(target, overwrite=overwrite)
        try:
            data = self.encode(_format_of(target))
        except OSError as error:  # FFmpeg needs a temporary file
            raise OutputError(
                f"The animation '{target}' cannot be encoded ({error.strerror or error}): make room, or use .webp."
            ) from None
        write_bytes(data, target, overwrite=overwrite)
        return target


def check_animation(path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Find out, before anything is computed, that an animation can be written to ``path``.

    Raises OutputError for the extension, the folder and a file that exists though ``overwrite`` is false, and
    MissingExtraError for an .mp4 without PyAV.
    """
    if _format_of(Path(path)) == "MP4":
        import_av()
    check_destination(Path(path), overwrite=overwrite, needed=MAX_BYTES, option="--animate")


def _format_of(path: Path) -> str:
    extension = path.suffix.lower()
    if extension in EXTENSIONS:
        return EXTENSIONS[extension]
    found = f"the extension '{path.suffix}'" if path.suffix else "no extension"
    hint = did_you_mean(extension, EXTENSIONS)
    raise OutputError(f"The animation '{path}' has {found}.{hint} Use one of {', '.join(EXTENSIONS)}.")


def _on_white(image: Tensor, alpha: Tensor | None) -> Tensor:
    from impasto.image.resize import resize

    if alpha is None:
        return image
    visible = resize(alpha, (image.shape[-2], image.shape[-1])).to(image.device)
    return image * visible + (1 - visible)


def _even(size: tuple[int, int], factor: float) -> tuple[int, int]:
    """Scale (height, width) by ``factor``, to even sides: H.264 has one color for 2 x 2 pixels."""
    height, width = (2 * max(1, round(side * factor / 2)) for side in size)
    return height, width


def _scaled(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    height, width = size
    return picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _blended(one: np.ndarray, other: np.ndarray, share: float) -> Image.Image:
    """``share`` of ``other`` and the rest of ``one``, to the nearest value; Pillow's blend takes the one below."""
    values = one * np.float32(1 - share) + other * np.float32(share)
    return Image.fromarray((values + 0.5).astype(np.uint8))


def _lab(picture: Image.Image) -> Tensor:
    """CIE Lab of the reduced picture, 1 x 3 x H x W, float16."""
    import torch

    from impasto.color import to_lab

    picture = picture.copy()
    picture.thumbnail((LOOK_SIDE, LOOK_SIDE), Image.Resampling.BOX)
    values = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
    return to_lab(values.float() / 255).half()


def _difference(one: Tensor, other: Tensor) -> float:
    """The mean over all positions of the distance in CIE Lab; 2.3 is just noticeable, where it is in one place."""
    return float((one.float() - other.float()).norm(dim=1).mean())
