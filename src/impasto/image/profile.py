"""Color profiles: from what a file means by its numbers to sRGB, and back.

Little CMS does the arithmetic: through Pillow for 8 bits a channel, through libvips (extra ``large``) for 16. Colors
outside sRGB go to the nearest ones inside (relative colorimetric intent with black point compensation, as browsers do).
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

__all__ = [
    "from_srgb",
    "is_srgb",
    "restorable",
    "srgb_profile",
    "to_srgb",
    "transform_16_bits",
]

LARGEST_PROFILE = 8_000_000
"""Bytes; profiles of printing presses have up to 4 million."""

SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
"""The color space that a profile has to be of for a picture of each of Pillow's modes."""


@cache
def srgb_profile() -> bytes:
    """The ICC profile of sRGB; the date in it, bytes 24 to 35, is blank: the same picture gives the same file."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data[:24] + bytes(12) + data[36:]


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Convert an 8-bit picture of mode RGB, L or CMYK from ``profile`` to sRGB, mode RGB.

    Returns None if the profile is damaged, or of another color space than the picture.
    """
    source = _opened(profile)
    if image.mode == "L" and _space(source) == "RGB":
        image = image.convert("RGB")  # programs that shrink files make gray of RGB, and leave the profile
    if source is None or _space(source) != SPACES.get(image.mode):
        return None
    return image if is_srgb(profile) else _converted(image, source, _srgb())


def from_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert an 8-bit picture of mode RGB from sRGB to a profile that is ``restorable``."""
    target = _opened(profile)
    converted = None if target is None or is_srgb(profile) else _converted(image, _srgb(), target)
    return image if converted is None else converted


def transform_16_bits(color: np.ndarray, source: bytes, target: bytes) -> np.ndarray | None:
    """Convert H x W x 3 or H x W x 1, uint16, to H x W x 3 of another profile; None if they do not fit the picture."""
    import pyvips

    space = _space(_opened(source))  # libvips takes another profile where this one is damaged, and prints a warning
    if color.shape[2] == 1 and space == "RGB":
        color = np.repeat(color, 3, axis=2)
    if space != {3: "RGB", 1: "GRAY"}[color.shape[2]]:
        return None
    image = pyvips.Image.new_from_array(np.ascontiguousarray(color))
    image = image.copy(interpretation="rgb16" if color.shape[2] == 3 else "grey16")
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", source)
    how = {"intent": "relative", "black_point_compensation": True}
    try:
        with _profile_file(target) as path:
            # In one step, Little CMS would take 16 bits from a coarse table: off by 5 % at the border of the gamut.
            moved = image.icc_import(embedded=True, pcs="lab", **how).icc_export(output_profile=path, depth=16, **how)
            return np.asarray(moved.numpy(), dtype=np.uint16)
    except pyvips.Error:
        return None


@contextmanager
def _profile_file(profile: bytes) -> Iterator[str]:
    """libvips takes the profile to convert to as a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profile.icc"
        path.write_bytes(profile)
        yield str(path)


def restorable(profile: bytes) -> bool:
    """Whether a picture can be converted to ``profile`` and carry it: one of RGB that has a way back."""
    target = _opened(profile)
    if target is None or _space(target) != "RGB":
        return False
    return is_srgb(profile) or _converted(Image.new("RGB", (1, 1)), _srgb(), target) is not None


@lru_cache(maxsize=8)
def is_srgb(profile: bytes) -> bool:
    """Whether ``profile`` says what that of sRGB says: dozens do, a rounding error apart, under as many names."""
    source = _opened(profile)
    if source is None or _space(source) != "RGB":
        return False
    levels = np.linspace(0, 255, 9).round()
    colors = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(9, -1, 3).astype(np.uint8)
    converted = _converted(Image.fromarray(colors), source, _srgb())
    return converted is not None and bool(np.abs(np.asarray(converted) - colors.astype(int)).max() <= 1)


def _space(profile: ImageCms.ImageCmsProfile | None) -> str:
    """The color space of the numbers that a profile explains: RGB, GRAY, CMYK, ...; "" for none, or a damaged name."""
    try:
        return profile.profile.xcolor_space.strip() if profile else ""
    except UnicodeDecodeError:
        return ""


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile | None:
    if len(profile) > LARGEST_PROFILE:
        return None
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (OSError, ImageCms.PyCMSError, ValueError, TypeError):
        return None


def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _converted(
    image: Image.Image, source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile
) -> Image.Image | None:
    try:
        return ImageCms.profileToProfile(
            image,
            source,
            target,
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, ValueError, OSError):
        return None
