"""One filter for every change of size: Lanczos with three lobes, on sRGB values, in float32.

Gram matrices see the filter: the relu4_1 term of a painting reduced by another one differs 15 times. So content,
style and the picture in progress all pass through here, and a picture that already has its size is returned as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

__all__ = ["as_floats", "crop_to_aspect", "grown", "resampled", "resize", "surrounded", "without_margin"]

STRIP = 1 << 20
"""Values of a channel that are made floats of at once, on the way to another size."""


def as_floats(image: Tensor) -> Tensor:
    """Whole numbers of uint8 or uint16 as float32 in [0, 1]; floats as they are."""
    return image if image.is_floating_point() else image.to(torch.float32).div_(torch.iinfo(image.dtype).max)


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample 1 x 3 x H x W in [0, 1] to ``size`` = (height, width); the same device, dtype and range.

    Whole numbers, of uint8 or uint16, become float32, without a copy of all of them in float32.
    """
    if tuple(image.shape[-2:]) == tuple(size):
        return as_floats(image)
    dtype = image.dtype if image.is_floating_point() else torch.float32
    return resampled(image, size).clamp_(0, 1).to(image.device, dtype)


def resampled(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The same in float32 on the CPU, and beyond [0, 1] as far as the filter overshoots beside edges."""
    result = torch.empty(1, image.shape[1], *size)
    for channel, resized in zip(image[0], result[0], strict=True):
        resized.copy_(_of_height(_of_width(channel, size[1]), size[0]))
    return result


def grown(image: Tensor, photo: Tensor) -> Tensor:
    """Bring 1 x 3 x H x W to the larger size of ``photo``, and add those of its details for which the smaller size has
    no room; float32 in [0, 1] on the CPU. Both may be floats in [0, 1] or whole numbers.

    So the coarser levels of the photo's Laplacian pyramid are replaced, and its finest one is kept (Burt and Adelson,
    "The Laplacian Pyramid as a Compact Image Code", 1983), as far as the result is in range.
    """
    small, size = (image.shape[-2], image.shape[-1]), (photo.shape[-2], photo.shape[-1])
    result = resampled(image, size)
    for channel in range(result.shape[1]):  # one at a time, for the largest pictures
        own = as_floats(photo[:, channel : channel + 1]).to("cpu")
        result[:, channel : channel + 1].add_(own).sub_(resampled(resampled(own, small), size))
    return result.clamp_(0, 1)


def _of_width(channel: Tensor, width: int) -> Tensor:
    """H x W -> H x ``width``, float32. Rows do not matter to each other, so that a strip of them at a time will do."""
    height, before = channel.shape
    if channel.is_floating_point() and width == before:
        return channel.to("cpu", torch.float32)
    resized = torch.empty(height, width)
    for rows in _strips(height, before):
        strip = as_floats(channel[rows]).to("cpu", torch.float32)
        resized[rows] = strip if width == before else _filtered(strip, (width, len(strip)))
    return resized


def _of_height(channel: Tensor, height: int) -> Tensor:
    return channel if len(channel) == height else _filtered(channel, (channel.shape[1], height))


def _filtered(channel: Tensor, size: tuple[int, int]) -> Tensor:
    """To (width, height) ``size``."""
    resized = Image.fromarray(channel.contiguous().numpy()).resize(size, Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(resized).copy())


def _strips(height: int, width: int) -> Iterator[slice]:
    rows = max(1, STRIP // width)
    return (slice(top, top + rows) for top in range(0, height, rows))


def surrounded(image: Tensor, margin: int) -> Tensor:
    """1 x C x H x W with ``margin`` pixels more on each side, mirrored; it is less than the shorter side."""
    return F.pad(image, (margin,) * 4, mode="reflect") if margin else image


def without_margin(image: Tensor, margin: int) -> Tensor:
    """What ``surrounded`` surrounded."""
    return image[..., margin:-margin, margin:-margin] if margin else image


def crop_to_aspect(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut the middle out of 1 x 3 x H x W so that it has the proportions of ``size`` = (height, width)."""
    height, width = image.shape[-2:]
    wanted = size[1] / size[0]
    new_width = min(width, max(1, round(height * wanted)))
    new_height = min(height, max(1, round(width / wanted)))
    top, left = (height - new_height) // 2, (width - new_width) // 2
    return image[..., top : top + new_height, left : left + new_width]
