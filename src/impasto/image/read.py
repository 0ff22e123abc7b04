"""Reading pictures: path, bytes, PIL, numpy or torch -> Picture, whose pixels are sRGB in [0, 1]."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile
from torch import Tensor

from impasto.errors import InputError
from impasto.image.codepoints import has_other_code_points
from impasto.image.deep import file_depth
from impasto.image.files import MAX_PIXELS, File, decoding, name_of, opened, orientation, origin_of, upright_size
from impasto.image.metadata import read_metadata
from impasto.image.modes import flattened, upright
from impasto.image.paths import expanded
from impasto.image.picture import Picture, fill_hidden_
from impasto.image.profile import is_srgb, restorable, srgb_profile, to_srgb, transform_16_bits
from impasto.image.resize import as_floats
from impasto.image.vips import has_pyvips, open_strips

__all__ = ["MAX_PIXELS", "ImageLike", "read_image", "read_picture"]

ImageLike: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | np.ndarray | Tensor"

PLANES, APART = 284, 2
"""The tag of TIFF that says whether channels are side by side, and its value where they are not."""

KEEP_16_BITS = "keeping them takes an extra: pip install 'impasto[large]'"
LARGE = 1 << 25
"""Pixels from which on it matters that pictures are read in strips."""

PROFILE_DOES_NOT_FIT = "The color profile in {} does not fit it, and was left out: colors may be off."


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
        return _from_tensor(source)
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        with decoding("the given PIL image"):
            return _from_pil(source, "the given PIL image")
    if isinstance(source, bytes):
        return _from_file(source, max_pixels)
    if isinstance(source, str | os.PathLike):
        return _from_file(expanded(str(source)) if isinstance(source, str) else Path(source), max_pixels)
    raise InputError(f"A picture cannot be made of {type(source).__name__}: give a path, bytes, PIL, numpy or torch.")


def _from_file(file: File, max_pixels: int) -> Picture:
    with opened(file, max_pixels=max_pixels) as image, decoding(name_of(file)):
        remarks = _remarks_on_code_points(image, name_of(file))
        depth, size = file_depth(image), upright_size(image)
        in_strips = has_pyvips() and (depth == 16 or size[0] * size[1] >= LARGE)
        picture = (_from_strips(file, image) if in_strips else None) or _from_pil(image, name_of(file), depth)
        if picture.size != size:
            reason = f"announced are {size[1]} x {size[0]} pixels"
            raise InputError(f"{name_of(file)} is damaged ({reason}): copy or download it again.")
        return replace(picture, origin=origin_of(file), remarks=(*remarks, *picture.remarks))


def _from_strips(file: File, image: Image.Image) -> Picture | None:
    """Read ``file``, which was opened as ``image``, with libvips; None where it is only Pillow that makes sense of it.

    Of 8 bits a channel it holds the pixels once; Pillow takes more than twice as much.
    """
    strips = open_strips(file)
    if strips is None:
        return None
    profile, remarks = _profile_of(image), _remarks_on_frames(image, name_of(file))
    planes = np.empty((3, *strips.size), strips.dtype)
    alphas = np.empty(strips.size, strips.dtype) if strips.has_alpha else None
    for rows, color, alpha in strips:
        converted = _in_srgb(color, profile) if profile else color
        if converted is None:
            remarks, profile = [*remarks, PROFILE_DOES_NOT_FIT.format(name_of(file))], None
        planes[:, rows] = np.moveaxis(color if converted is None else converted, 2, 0)
        if alphas is not None and alpha is not None:
            alphas[rows] = alpha
    picture = _assembled(planes, alphas, orientation(image))
    return replace(picture, profile=_kept(profile), metadata=read_metadata(image), remarks=tuple(remarks))


def _from_pil(image: Image.Image, name: str, depth: int = 8) -> Picture:
    remarks, profile, metadata = _remarks_on_frames(image, name), _profile_of(image), read_metadata(image)
    _check_layout(image, name, depth)
    if image.format == "PNG":
        with suppress(Exception):  # damaged pixels are found again in a moment, damaged texts behind them do not matter
            image.load()
    image.load()
    flat, alpha = flattened(image, name, depth)
    converted = _flat_in_srgb(flat, profile, depth) if profile else None
    if profile and converted is None:
        remarks, profile = [*remarks, PROFILE_DOES_NOT_FIT.format(name)], None
    numbers = _numbers(flat, depth) if converted is None else converted
    picture = _assembled(_planes(numbers), alpha, orientation(image))
    if depth > picture.depth:
        how = f"; {KEEP_16_BITS}" if depth == 16 and not has_pyvips() else ""
        remarks.append(f"{name} has {depth} bits a channel, and they were reduced to 8{how}.")
    return replace(picture, profile=_kept(profile), metadata=metadata, remarks=tuple(remarks))


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


def _planes(color: np.ndarray) -> np.ndarray:
    """H x W (x 1 or 3) -> 1 or 3 x H x W, in memory of their own."""
    planes = color[None] if color.ndim == 2 else np.moveaxis(color, 2, 0)
    return np.array(planes, color.dtype.newbyteorder("="), order="C")


def _assembled(planes: np.ndarray, alpha: np.ndarray | None, turn: int = 1) -> Picture:
    """Make a Picture of 1 or 3 x H x W, and alpha H x W, uint8 or uint16, after turning both upright."""
    turned = upright(np.moveaxis(planes, 0, 2), turn)
    stored = torch.from_numpy(np.ascontiguousarray(np.moveaxis(turned, 2, 0)))[None].expand(-1, 3, -1, -1)
    depth = 8 * planes.dtype.itemsize
    if alpha is None:
        return Picture(stored, depth=depth)
    visible = np.array(upright(alpha, turn), alpha.dtype.newbyteorder("="), order="C")
    return _with_alpha(stored, as_floats(torch.from_numpy(visible))[None, None], depth)


def _with_alpha(stored: Tensor, alpha: Tensor | None, depth: int = 8) -> Picture:
    if alpha is None or bool((alpha == 1).all()):
        return Picture(stored, depth=depth)
    return Picture(as_floats(stored), alpha, depth)


def _from_array(array: np.ndarray) -> Picture:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise InputError(f"A picture as an array has H x W or H x W x 3 or 4 values, not {array.shape}.")
    if array.dtype in (np.uint8, np.uint16):
        return _assembled(_planes(array[..., :3]), array[..., 3] if array.shape[2] == 4 else None)
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"A picture as an array is uint8, uint16 or float, not {array.dtype}.")
    planes = torch.from_numpy(array.astype(np.float32)).permute(2, 0, 1)
    return _from_tensor(planes.expand(3, -1, -1) if array.shape[2] == 1 else planes)


def _from_tensor(tensor: Tensor) -> Picture:
    if tensor.ndim == 3:
        tensor = tensor[None]
    shape = tuple(tensor.shape)
    if tensor.ndim != 4 or shape[:2] not in ((1, 3), (1, 4)) or 0 in shape or not tensor.is_floating_point():
        raise InputError(f"A picture as a tensor is (1 x) 3 or 4 x H x W of floats, not {shape} of {tensor.dtype}.")
    values = tensor.detach().to("cpu", torch.float32)
    low, high = values.aminmax()
    if not (low >= 0 and high <= 1):  # also true for NaN
        raise InputError(f"Pixel values have to lie in [0, 1]; these go from {low:.3g} to {high:.3g}.")
    return _with_alpha(values[:, :3].clone(), values[:, 3:].clone() if shape[1] == 4 else None)
