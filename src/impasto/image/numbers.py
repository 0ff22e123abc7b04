"""Pictures out of plain numbers: arrays, tensors, or the rows of a file one after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from impasto.errors import InputError
from impasto.image.files import SIDEWAYS
from impasto.image.modes import upright
from impasto.image.picture import Picture
from impasto.image.resize import as_floats

__all__ = ["Canvas", "from_array", "from_tensor"]

FILLING = 22
"""Bytes a pixel that it takes to find colors for where nothing is visible."""


@dataclass
class Canvas:
    """An upright picture, filled strip by strip from a file of (height, width) ``size`` that has the EXIF orientation
    ``turn``: color 1 or 3 x H x W, and alpha 1 x H x W."""

    size: tuple[int, int]
    turn: int
    color: np.ndarray | None = None
    alpha: np.ndarray | None = None

    def put(self, rows: slice, color: np.ndarray, alpha: np.ndarray | None) -> None:
        """Fill ``rows`` of the file with color, rows x W (x 1 or 3), and alpha, rows x W or None."""
        self.color = self._filled(self.color, rows, color if color.ndim == 3 else color[..., None])
        self.alpha = None if alpha is None else self._filled(self.alpha, rows, alpha[..., None])

    def _filled(self, planes: np.ndarray | None, rows: slice, part: np.ndarray) -> np.ndarray:
        if planes is None:
            size = self.size[::-1] if self.turn in SIDEWAYS else self.size
            planes = np.empty((part.shape[2], *size), part.dtype.newbyteorder("="))
        back = {6: 8, 8: 6}.get(self.turn, self.turn)
        upright(np.moveaxis(planes, 0, 2), back)[rows] = part
        return planes

    def picture(self, beside: int) -> Picture:
        """The picture, once all rows are filled; ``beside`` it there were so many bytes more in memory."""
        assert self.color is not None
        picture = _assembled(self.color, None if self.alpha is None else self.alpha[0])
        more = 0 if picture.alpha is None else self.color.nbytes + FILLING * self.size[0] * self.size[1]
        return replace(picture, read_with=picture.bytes + more + beside)


def _planes(color: np.ndarray) -> np.ndarray:
    """H x W (x 1 or 3) -> 1 or 3 x H x W, in memory of their own."""
    planes = color[None] if color.ndim == 2 else np.moveaxis(color, 2, 0)
    return np.array(planes, color.dtype.newbyteorder("="), order="C")


def _assembled(planes: np.ndarray, alpha: np.ndarray | None) -> Picture:
    """Make a Picture of 1 or 3 x H x W, and alpha H x W, uint8 or uint16."""
    stored, depth = torch.from_numpy(planes)[None].expand(-1, 3, -1, -1), 8 * planes.dtype.itemsize
    if alpha is None:
        return Picture(stored, depth=depth)
    visible = np.array(alpha, alpha.dtype.newbyteorder("="), order="C")
    return _with_alpha(stored, as_floats(torch.from_numpy(visible))[None, None], depth)


def _with_alpha(stored: Tensor, alpha: Tensor | None, depth: int = 8) -> Picture:
    if alpha is None or bool((alpha == 1).all()):
        return Picture(stored, depth=depth)
    return Picture(as_floats(stored), alpha, depth)


def from_array(array: np.ndarray) -> Picture:
    """Take H x W (x 1, 3 or 4), uint8, uint16 or floats in [0, 1]; raise InputError for others."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise InputError(f"A picture as an array has H x W or H x W x 3 or 4 values, not {array.shape}.")
    if array.dtype in (np.uint8, np.uint16):
        return _assembled(_planes(array[..., :3]), array[..., 3] if array.shape[2] == 4 else None)
    if not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"A picture as an array is uint8, uint16 or float, not {array.dtype}.")
    planes = torch.from_numpy(array.astype(np.float32)).permute(2, 0, 1)
    return from_tensor(planes.expand(3, -1, -1) if array.shape[2] == 1 else planes)


def from_tensor(tensor: Tensor) -> Picture:
    """Take (1 x) 3 or 4 x H x W floats in [0, 1]; raise InputError for others."""
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
