"""Writing pictures: the bytes of a file for a Picture, with its profile, its metadata and the settings of the run."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.image.deep import encode_deep
from impasto.image.destination import check_destination, write_bytes
from impasto.image.formats import Format, check_sides, format_of
from impasto.image.giant import encode_giant, needs_giant
from impasto.image.metadata import metadata_losses, save_arguments, xmp_packet
from impasto.image.picture import Picture
from impasto.image.profile import from_srgb, is_srgb, srgb_profile, transform_16_bits
from impasto.image.vips import has_pyvips

Depth: TypeAlias = type[np.uint8] | type[np.uint16]

__all__ = ["encode", "losses", "to_pil", "write_picture"]

STRIP = 1 << 22
"""Values that are rounded at once: beside the picture and its whole numbers, little is in memory."""


def to_pil(image: Tensor, alpha: Tensor | None = None) -> Image.Image:
    """Convert 1 x 3 x H x W in [0, 1] to an 8-bit RGB picture, or with ``alpha``, 1 x 1 x H x W, to RGBA.

    Values are rounded to the nearest.
    """
    return _layered(_rounded(image, np.uint8), alpha)


def encode(
    picture: Picture,
    format: Format,
    *,
    quality: int | None = None,
    settings: str | None = None,
    pyramid: bool = False,
) -> bytes:
    """Return the bytes of a file: ``settings`` is the JSON text put into it, ``quality`` from 1 to 100, and ``pyramid``
    asks for a TIFF with smaller copies inside.

    Transparency is laid on white where the format has none, and 16 bits are reduced to 8 where it, or this
    installation, cannot hold them; ``losses`` says so. Raises OutputError for sides that the format does not have.
    """
    check_sides(format, picture.size)
    if picture.alpha is not None and not format.keeps_alpha:
        picture = replace(picture, stored=picture.on_white(), alpha=None)
    is_deep = format.keeps_16_bits and picture.depth == 16 and _can_be_deep(picture)
    if is_deep or format.name == "TIFF":
        return _encode_deep(picture, format, settings, np.uint16 if is_deep else np.uint8, pyramid)
    arguments = save_arguments(format.name, picture.metadata, settings)
    image = _indexed(picture) if format.name == "GIF" else _layered(_in_profile(picture, np.uint8), picture.alpha)
    if format.keeps_profile:
        arguments["icc_profile"] = picture.profile or srgb_profile()
    buffer = io.BytesIO()
    image.save(buffer, format.name, **arguments, **_how_well(format, quality))
    return buffer.getvalue()


def losses(picture: Picture, format: Format, *, metadata: bool = True, pyramid: bool = False) -> list[str]:
    """What of ``picture`` a file of ``format``, or a ``pyramid``, written here cannot hold, a sentence each.

    ``metadata`` says whether that of the photo is wanted; if not, nothing is said of it.
    """
    found = []
    if format.name == "GIF":
        found.append("GIF has 256 colors, and no half transparent ones: PNG, WebP and TIFF keep them all.")
    if picture.alpha is not None and not format.keeps_alpha:
        found.append(f"{format.name} has no transparency, so the picture was laid on white: PNG, WebP or TIFF keep it.")
    if picture.depth == 16 and not format.keeps_16_bits:
        found.append(f"{format.name} has 8 bits a channel, the photo 16: PNG and TIFF keep them.")
    elif picture.depth == 16 and not _can_be_deep(picture):
        found.append("The photo's 16 bits a channel were reduced to 8: pip install 'impasto[large]' keeps them.")
    if pyramid and format.name == "TIFF" and metadata and picture.metadata.exif:
        found.append("A pyramid has no room for the photo's EXIF, such as date and camera: what is in its XMP is kept.")
    return [*found, *(metadata_losses(format.name, picture.metadata) if metadata else ())]


def write_picture(
    picture: Picture,
    path: Path,
    *,
    format: Format | None = None,
    quality: int | None = None,
    settings: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write ``picture`` to ``path``, in the format of its extension unless one is given.

    Raises OutputError if the file exists and ``overwrite`` is false, or if it cannot be written; then a file that was
    there before is left whole.
    """
    data = encode(picture, format or format_of(path), quality=quality, settings=settings)
    check_destination(path, overwrite=overwrite, needed=len(data))
    write_bytes(data, path, overwrite=overwrite)


def _can_be_deep(picture: Picture) -> bool:
    """Whether 16 bits can be converted to the picture's profile, which takes the extra."""
    return picture.profile is None or is_srgb(picture.profile) or has_pyvips()


def _encode_deep(picture: Picture, format: Format, settings: str | None, kind: Depth, pyramid: bool) -> bytes:
    color, profile = _in_profile(picture, kind), picture.profile or srgb_profile()
    alpha = None if picture.alpha is None else _rounded(picture.alpha, kind)[..., 0]
    if format.name == "TIFF" and (pyramid or needs_giant(color.nbytes + (0 if alpha is None else alpha.nbytes))):
        pixels = color if alpha is None else np.concatenate([color, alpha[..., None]], axis=2)
        return encode_giant(pixels, profile=profile, xmp=xmp_packet(picture.metadata, settings), pyramid=pyramid)
    return encode_deep(
        color,
        alpha,
        format.name,
        profile=profile,
        metadata=picture.metadata,
        settings=settings,
    )


def _layered(color: np.ndarray, alpha: Tensor | None) -> Image.Image:
    image = Image.fromarray(color)
    if alpha is not None:
        image.putalpha(Image.fromarray(_rounded(alpha, np.uint8)[..., 0]))
    return image


def _indexed(picture: Picture) -> Image.Image:
    """The picture in 256 colors, the last of them for what is less than half visible."""
    image = Image.fromarray(_rounded(picture.pixels, np.uint8)).quantize(256 if picture.alpha is None else 255)
    if picture.alpha is not None:
        image.paste(255, mask=Image.fromarray(picture.alpha[0, 0].cpu().numpy() < 0.5))
        image.info["transparency"] = 255
    return image


def _in_profile(picture: Picture, kind: Depth) -> np.ndarray:
    """The colors as whole numbers, H x W x 3, in the profile of the picture."""
    color, profile = _rounded(picture.pixels, kind), picture.profile
    if profile is None or is_srgb(profile):
        return color
    if kind is np.uint8:
        return np.asarray(from_srgb(Image.fromarray(color), profile))
    converted = transform_16_bits(color, srgb_profile(), profile)
    return color if converted is None else converted


def _how_well(format: Format, quality: int | None) -> dict[str, Any]:
    """The options of an encoder, also those at their defaults: they decide the bytes."""
    quality = format.quality if quality is None else quality
    if format.name == "JPEG":
        return {"quality": quality, "subsampling": 0}
    if format.name == "WEBP":
        return {"quality": quality, "method": 4, "lossless": quality == 100, "exact": True}
    if format.name == "AVIF":
        return {"quality": quality, "subsampling": "4:4:4", "speed": 6, "max_threads": 1}
    return {}


def _rounded(image: Tensor, kind: Depth) -> np.ndarray:
    """1 x C x H x W in [0, 1] -> H x W x C of the nearest whole numbers."""
    channels, height, width = image.shape[1:]
    numbers = np.empty((height, width, channels), dtype=kind)
    rows = max(1, STRIP // (channels * width))
    for top in range(0, height, rows):
        values = image.detach()[0, :, top : top + rows].to("cpu", torch.float32).clamp(0, 1)
        numbers[top : top + rows] = values.mul_(np.iinfo(kind).max).round_().permute(1, 2, 0).numpy()
    return numbers
