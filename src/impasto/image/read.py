"""Reading pictures: path, bytes, PIL, numpy or torch -> Picture, whose pixels are sRGB in [0, 1]."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile
from torch import Tensor

from impasto.errors import InputError
from impasto.image.codepoints import has_other_code_points
from impasto.image.deep import file_depth
from impasto.image.files import MAX_PIXELS, File, decoding, name_of, opened, orientation, origin_of, upright_size
from impasto.image.metadata import read_metadata
from impasto.image.modes import flattened
from impasto.image.numbers import Canvas, from_array, from_tensor
from impasto.image.paths import expanded
from impasto.image.picture import Picture, fill_hidden_
from impasto.image.profile import is_srgb, restorable, srgb_profile, to_srgb, transform_16_bits
from impasto.image.vips import has_pyvips, open_strips

__all__ = ["MAX_PIXELS", "ImageLike", "read_image", "read_picture"]

ImageLike: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | np.ndarray | Tensor"

PLANES, APART = 284, 2
"""The tag of TIFF that says whether channels are side by side, and its value where they are not."""

KIND, REDUCED = 254, 1
"""The tag of TIFF that says what a frame is, and its bit for a smaller copy of another one."""

KEEP_16_BITS = "keeping them takes an extra: pip install 'impasto[large]'"
PROFILE_DOES_NOT_FIT = "The color profile in {} does not fit it, and was left out: colors may be off."

STRIP_PIXELS = 1 << 20
"""What is converted at once; Pillow has decoded all of it, at 4 bytes a pixel."""

PILLOWS_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2}
"""What Pillow takes for a pixel, by mode; 4 for all others."""

DECODERS_BYTES = {"WEBP": 10, "AVIF": 5, "HEIF": 3}
"""What decoders take for a pixel besides that, where they do not go from row to row; as measured."""

BESIDE_STRIPS, AT_ONCE = 50_000_000, 3
"""Bytes that libvips takes besides the pixels, and what decoders take for a pixel more where a file does not go from
row to row, as measured: progressive JPEG and interlaced PNG."""

LARGE = 1 << 23
"""Pixels from which on it matters that pictures are read in strips: phones have cameras of more."""


def read_image(source: ImageLike, *, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Read the pixels alone, 1 x 3 x H x W, float32, sRGB in [0, 1]; what is transparent is laid on white.

    Takes and raises what ``read_picture`` does.
    """
    return read_picture(source, max_pixels=max_pixels).on_white()


def read_picture(source: ImageLike, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a picture with all that came with it: transparency, depth, color profile, metadata.

    ``source`` is a path, the bytes of a file, a PIL image, a numpy array H x W (x 3 or 4), uint8 in [0, 255], uint16 in
    [0, 65535] or float in [0, 1], or a tensor (1 x) 3 or 4 x H x W in [0, 1]; a fourth channel is alpha. It is turned
    upright as its EXIF orientation says, and converted to sRGB from the ICC profile in it.

    Raises InputError, naming the source, if it is missing, not of a known format, damaged or of more than
    ``max_pixels``, and MissingExtraError if it is HEIC and the extra for that is not installed.
    """
    picture = _read(source, max_pixels)
    if picture.alpha is not None:
        fill_hidden_(picture.pixels, picture.alpha)
    return picture


def _read(source: ImageLike, max_pixels: int) -> Picture:
    """The picture with the colors that stand under its transparency."""
    if isinstance(source, Tensor):
        return from_tensor(source)
    if isinstance(source, np.ndarray):
        return from_array(source)
    if isinstance(source, Image.Image):
        name = "the given PIL image"
        with decoding(name):
            several = _remarks_on_frames(source, name)
            picture = _from_pil(source, name)
            return replace(picture, remarks=(*several, *picture.remarks))
    if isinstance(source, bytes):
        return _from_file(source, max_pixels)
    if isinstance(source, str | os.PathLike):
        return _from_file(expanded(str(source)) if isinstance(source, str) else Path(source), max_pixels)
    raise InputError(f"A picture cannot be made of {type(source).__name__}: give a path, bytes, PIL, numpy or torch.")


def _from_file(file: File, max_pixels: int) -> Picture:
    with opened(file, max_pixels=max_pixels) as image, decoding(name_of(file)):
        remarks = _remarks_on_code_points(image, name_of(file))
        if not _is_pyramid(file, image, max_pixels):
            remarks += _remarks_on_frames(image, name_of(file))
        depth, size = file_depth(image), upright_size(image)
        in_strips = has_pyvips() and (depth == 16 or size[0] * size[1] >= LARGE)
        picture = (_from_strips(file, image) if in_strips else None) or _from_pil(image, name_of(file), depth)
        if picture.size != size:
            reason = f"announced are {size[1]} x {size[0]} pixels"
            raise InputError(f"{name_of(file)} is damaged ({reason}): copy or download it again.")
        return replace(picture, origin=origin_of(file), remarks=(*remarks, *picture.remarks))


def _from_strips(file: File, image: Image.Image) -> Picture | None:
    """Read ``file``, which was opened as ``image``, with libvips; None where it is only Pillow that makes sense of it.

    It holds the pixels once, of which Pillow has its own, larger copy.
    """
    strips = open_strips(file)
    if strips is None:
        return None
    profile, remarks = _profile_of(image), list[str]()
    canvas = Canvas(strips.size, orientation(image))
    for rows, color, alpha in strips:
        converted = _in_srgb(color, profile) if profile else color
        if converted is None:
            remarks, profile = [*remarks, PROFILE_DOES_NOT_FIT.format(name_of(file))], None
        canvas.put(rows, color if converted is None else converted, alpha)
    at_once = bool(image.info.get("progressive") or image.info.get("interlace"))
    picture = canvas.picture(BESIDE_STRIPS + at_once * AT_ONCE * image.width * image.height)
    return replace(picture, profile=_kept(profile), metadata=read_metadata(image), remarks=tuple(remarks))


def _from_pil(image: Image.Image, name: str, depth: int = 8) -> Picture:
    remarks, profile, metadata = list[str](), _profile_of(image), read_metadata(image)
    _check_layout(image, name, depth)
    if image.format == "PNG":
        with suppress(Exception):  # damaged pixels are found again in a moment, damaged texts behind them do not matter
            image.load()
    image.load()
    canvas = Canvas((image.height, image.width), orientation(image))  # a TIFF is upright once it is loaded
    for rows, strip in _strips(image):
        flat, alpha = flattened(strip, name, depth)
        converted = _flat_in_srgb(flat, profile, depth) if profile else None
        if profile and converted is None:
            remarks, profile = [*remarks, PROFILE_DOES_NOT_FIT.format(name)], None
        canvas.put(rows, _numbers(flat, depth) if converted is None else converted, alpha)
    at_once = AT_ONCE if image.info.get("progressive") else 0
    a_pixel = PILLOWS_BYTES.get(image.mode, 4) + DECODERS_BYTES.get(image.format or "", at_once)
    picture = canvas.picture(image.width * image.height * a_pixel)
    if depth > picture.depth:
        how = f"; {KEEP_16_BITS}" if depth == 16 and not has_pyvips() else ""
        remarks.append(f"{name} has {depth} bits a channel, and they were reduced to 8{how}.")
    return replace(picture, profile=_kept(profile), metadata=metadata, remarks=tuple(remarks))


def _strips(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """Rows from the top, and the part of ``image`` that they are; gray of 16 bits in one, of which there is less."""
    rows = image.height if image.mode.startswith("I;16") else max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        is_all = bottom - top == image.height
        yield slice(top, bottom), image if is_all else image.crop((0, top, image.width, bottom))


def _check_layout(image: Image.Image, name: str, depth: int) -> None:
    """Refuse what Pillow reads as noise."""
    planes = image.tag_v2.get(PLANES) if isinstance(image, TiffImageFile) else None
    if depth > 8 and planes == APART and not image.mode.startswith("I;16"):
        how = "" if has_pyvips() else ", or install what reads it: pip install 'impasto[large]'"
        raise InputError(f"{name} is a TIFF of {depth} bits with each channel apart: save it with them together{how}.")


def _remarks_on_frames(image: Image.Image, name: str) -> list[str]:
    """On animations and TIFF of several pages; the second picture in a phone's MPO is a copy."""
    has_frames = image.format != "MPO" and getattr(image, "is_animated", False)
    return [f"{name} has several frames, and the first one was read."] if has_frames else []


def _is_pyramid(file: File, image: Image.Image, max_pixels: int) -> bool:
    """Whether the second frame of a TIFF is a smaller copy of the first; ``image``, which is read, is left as it is."""
    if not (isinstance(image, TiffImageFile) and image.is_animated):
        return False
    with suppress(Exception), opened(file, max_pixels=max_pixels) as other:  # whatever is wrong with the second
        other.seek(1)
        return isinstance(other, TiffImageFile) and bool(other.tag_v2.get(KIND, 0) & REDUCED)
    return False


def _remarks_on_code_points(image: Image.Image, name: str) -> list[str]:
    """On colors that are named without a profile; while the file is open, which that of a PNG is until it is loaded."""
    if _profile_of(image) or not has_other_code_points(image):
        return []
    return [f"{name} is HDR or wide color by code points, and was read as sRGB: colors may be off."]


def _profile_of(image: Image.Image) -> bytes | None:
    """The profile of the numbers in the file; those of CIE Lab need none."""
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and profile and image.mode != "LAB" else None


def _kept(profile: bytes | None) -> bytes | None:
    """The profile to go back to: none where the picture was gray or CMYK, or there is no way back."""
    return profile if profile and restorable(profile) else None


def _in_srgb(color: np.ndarray, profile: bytes) -> np.ndarray | None:
    """H x W x 1 or 3 numbers, uint8 or uint16, converted to sRGB; None if the profile does not fit."""
    if is_srgb(profile):
        return color
    if color.dtype == np.uint16:
        return transform_16_bits(color, profile, srgb_profile())
    converted = to_srgb(Image.fromarray(color.squeeze(2) if color.shape[2] == 1 else color), profile)
    return None if converted is None else np.asarray(converted)


def _flat_in_srgb(flat: Image.Image, profile: bytes, depth: int) -> np.ndarray | None:
    """The numbers of a picture converted to sRGB, H x W (x 3), uint8 or uint16; None if the profile does not fit."""
    if flat.mode.startswith("I;16"):
        gray = _numbers(flat, depth)
        if is_srgb(profile):
            return gray
        if has_pyvips():
            return transform_16_bits(gray[..., None], profile, srgb_profile())
        flat = Image.fromarray((gray / 257).round().astype(np.uint8))  # Little CMS takes 8 bits through Pillow
    converted = to_srgb(flat, profile)
    return None if converted is None else np.asarray(converted)


def _numbers(flat: Image.Image, depth: int) -> np.ndarray:
    """The numbers of a picture without a profile, H x W (x 3), uint8 or uint16."""
    if not flat.mode.startswith("I;16"):
        return np.asarray(flat if flat.mode in ("L", "RGB") else flat.convert("RGB"))
    gray = np.asarray(flat)
    # White is 65535; Pillow leaves the numbers of a TIFF of 12 bits as they are.
    return (gray * (65535 / (2**depth - 1))).round().astype(np.uint16) if 8 < depth < 16 else gray
