"""The pictures that the student is taught with: a folder of them in memory, random crops, disturbed in many ways.

All batches are B x 3 x side x side, float32, sRGB in [0, 1].
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from impasto.errors import ImpastoError
from impasto.image.files import origin_of
from impasto.image.read import read_image

__all__ = ["Corpus", "chance", "digest_of", "disturbed", "uniform"]

SMALLEST = 96
"""Pixels of the shorter side below which a picture is left out."""

HELD_OUT_RUNS = 10
"""From so many places of a folder pictures are held out, or from more."""


@dataclass(frozen=True)
class Corpus:
    """Pictures as 3 x H x W bytes, in the order of their names."""

    pictures: Sequence[Tensor]

    @classmethod
    def read(cls, folder: Path, *, largest: int = 512) -> tuple[Corpus, Corpus]:
        """Read all JPEG and PNG pictures of ``folder``; one in 16 is held out, in the second corpus: whole runs of
        names, as pieces of one picture have names that follow each other.

        A picture is reduced until its shorter side is at most ``largest`` pixels.
        """
        pictures = (_read(path, largest) for path in _files(folder))
        kept = [picture for picture in pictures if picture is not None and min(picture.shape[1:]) >= SMALLEST]
        if len(kept) < 32:
            raise SystemExit(f"'{folder}' has {len(kept)} pictures of {SMALLEST} pixels or more: give it 32 at least.")
        run = max(1, len(kept) // (16 * HELD_OUT_RUNS))
        taught, held_out = (
            [picture for index, picture in enumerate(kept) if (index // run % 16 == 0) == held]
            for held in (False, True)
        )
        return cls(taught), cls(held_out)

    def crops(self, count: int, side: int, generator: Generator) -> Tensor:
        """Cut random squares out of random pictures, mirrored and turned, and bring them to ``side``."""
        return torch.cat([self._crop(side, generator) for _ in range(count)])

    def _crop(self, side: int, generator: Generator) -> Tensor:
        picture = self.pictures[_below(len(self.pictures), generator)]
        most = min(picture.shape[1:])
        # From half again as many pixels as the picture has to all of it; the logarithm is uniform.
        least = min(most, max(48, round(side / 1.5)))
        cut = round(math.exp(uniform(math.log(least), math.log(most), generator)))
        top, left = (_below(extent - cut + 1, generator) for extent in picture.shape[1:])
        crop = picture[None, :, top : top + cut, left : left + cut].float() / 255
        if cut != side:
            crop = F.interpolate(crop, size=(side, side), mode="bicubic", antialias=True).clamp(0, 1)
        crop = torch.rot90(crop, _below(4, generator), (2, 3))
        return crop.flip(3) if chance(0.5, generator) else crop


def digest_of(folder: Path) -> str:
    """The SHA-256 over the names of all pictures of ``folder`` and the SHA-256 of each."""
    origins = map(origin_of, _files(folder))
    return hashlib.sha256("".join(f"{origin.name} {origin.sha256}\n" for origin in origins).encode()).hexdigest()


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise SystemExit(f"There is no folder '{folder}' with pictures: check the path.")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))


def disturbed(pictures: Tensor, generator: Generator) -> Tensor:
    """Change colors, contrast and sharpness of each picture, add noise, mix some: what an optimizer may come upon."""
    return torch.cat([_disturbed(picture[None], pictures, generator) for picture in pictures])


def _disturbed(picture: Tensor, others: Tensor, generator: Generator) -> Tensor:
    if chance(0.1, generator):
        other = others[_below(len(others), generator)][None]
        picture = torch.lerp(picture, other, uniform(0.2, 0.8, generator))
    if chance(0.7, generator):
        picture = _recolored(picture, generator)
    if chance(0.2, generator):
        picture = _blurred(picture, uniform(0.5, 3.0, generator))
    if chance(0.3, generator):
        picture = picture + _noise(picture, generator)
    return picture.clamp(0, 1)


def _recolored(picture: Tensor, generator: Generator) -> Tensor:
    if chance(0.2, generator):
        picture = picture[:, torch.randperm(3, generator=generator)]
    if chance(0.1, generator):
        picture = 1 - picture
    gray = picture.mean(dim=1, keepdim=True)
    saturation = uniform(0.0, 1.5, generator) if chance(0.7, generator) else uniform(1.5, 5.0, generator)
    picture = gray + saturation * (picture - gray)
    gain = math.exp(uniform(-0.7, 0.7, generator)) * torch.exp(0.15 * torch.randn(1, 3, 1, 1, generator=generator))
    shift = 0.15 * torch.randn(1, 1, 1, 1, generator=generator) + 0.06 * torch.randn(1, 3, 1, 1, generator=generator)
    return (picture - 0.5) * gain + 0.5 + shift


def _blurred(picture: Tensor, sigma: float) -> Tensor:
    radius = math.ceil(2.5 * sigma)
    at = torch.arange(-radius, radius + 1, dtype=torch.float32)
    window = torch.exp(-(at**2) / (2 * sigma**2))
    window = (window / window.sum()).expand(3, 1, -1)
    padded = F.pad(picture, (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, window[:, :, None], groups=3), window[:, :, :, None], groups=3)


def _noise(picture: Tensor, generator: Generator) -> Tensor:
    """Gray or colored, fine or, by enlarging it, coarse."""
    amplitude = math.exp(uniform(math.log(0.01), math.log(0.3), generator))
    coarse, channels = 2 ** _below(4, generator), 3 if chance(0.7, generator) else 1
    side = picture.shape[-1] // coarse
    noise = torch.randn(1, channels, side, side, generator=generator)
    return (
        amplitude * F.interpolate(noise, size=picture.shape[-2:], mode="bilinear") if coarse > 1 else amplitude * noise
    )


def uniform(low: float, high: float, generator: Generator) -> float:
    """A number between ``low`` and ``high``."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def chance(share: float, generator: Generator) -> bool:
    """True in that share of cases."""
    return float(torch.rand((), generator=generator)) < share


def _below(count: int, generator: Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def _read(path: Path, largest: int) -> Tensor | None:
    """3 x H x W bytes; None, and a word, for what cannot be read."""
    try:
        image = read_image(path)
    except ImpastoError as error:
        print(f"Left out: {error}")
        return None
    shorter = min(image.shape[-2:])
    if shorter > largest:
        image = F.interpolate(image, scale_factor=largest / shorter, mode="bicubic", antialias=True)
    return (image[0].clamp(0, 1) * 255).round().byte()
