"""Reading pictures: path, bytes, PIL, numpy or torch -> 1 x 3 x H x W, float32, sRGB, [0, 1]."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from impasto.errors import InputError
from impasto.image.files import MAX_PIXELS, check_path, opened

__all__ = ["MAX_PIXELS", "ImageLike", "read_image"]

ImageLike: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | np.ndarray | Tensor"


def read_image(source: ImageLike) -> Tensor:
    """Read a picture as 1 x 3 x H x W, float32, sRGB in [0, 1], upright as its EXIF orientation says.

    ``source`` is a path, the bytes of a file, a PIL image, a numpy array H x W (x 3), uint8 in [0, 255] or
    float in [0, 1], or a tensor (1 x) 3 x H x W in [0, 1].

    Raises InputError, naming the source, if it is missing, not a JPEG or PNG, damaged or too large.
    """
    if isinstance(source, Tensor):
        return _from_tensor(source)
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        return _from_pil(source)
    if isinstance(source, bytes):
        return _from_file(io.BytesIO(source), "the given bytes")
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        check_path(path)
        return _from_file(path, f"'{path}'")
    raise InputError(f"A picture cannot be made of {type(source).__name__}: give a path, bytes, PIL, numpy or torch.")


def _from_file(file: Path | io.BytesIO, name: str) -> Tensor:
    with opened(file, name) as image:
        return _from_pil(image)


def _from_pil(image: Image.Image) -> Tensor:
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I;16"):
        values = np.asarray(upright, dtype=np.float32) / 65535.0
        return _from_array(values.clip(0.0, 1.0))
    if upright.has_transparency_data:
        # Where nothing is visible, white shows: what paper and most web pages are.
        layer = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return _from_array(np.asarray(upright.convert("RGB")))


def _from_array(array: np.ndarray) -> Tensor:
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise InputError(f"A picture as an array has H x W or H x W x 3 values, not {array.shape}.")
    if array.dtype == np.uint8:
        values = array.astype(np.float32) / 255.0
    elif np.issubdtype(array.dtype, np.floating):
        values = array.astype(np.float32)
    else:
        raise InputError(f"A picture as an array is uint8 or float, not {array.dtype}.")
    return _from_tensor(torch.from_numpy(values).permute(2, 0, 1)[None].contiguous())


def _from_tensor(tensor: Tensor) -> Tensor:
    if tensor.ndim == 3:
        tensor = tensor[None]
    if tensor.ndim != 4 or tensor.shape[:2] != (1, 3) or 0 in tensor.shape or not tensor.is_floating_point():
        raise InputError(
            f"A picture as a tensor is (1 x) 3 x H x W of floats, not {tuple(tensor.shape)} of {tensor.dtype}."
        )
    pixels = tensor.detach().to("cpu", torch.float32)
    low, high = pixels.aminmax()
    if not (low >= 0 and high <= 1):  # also true for NaN
        raise InputError(f"Pixel values have to lie in [0, 1]; these go from {low:.3g} to {high:.3g}.")
    return pixels.clone()
