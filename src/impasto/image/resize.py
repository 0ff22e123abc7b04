"""One filter for every change of size: Lanczos with three lobes, on sRGB values, in float32.

Gram matrices see the filter: the relu4_1 term of a painting reduced by another one differs 15 times. So content,
style and the picture in progress all pass through here, and a picture that already has its size is returned as it is.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

__all__ = ["crop_to_aspect", "resampled", "resize"]


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample 1 x 3 x H x W in [0, 1] to ``size`` = (height, width); the same device, dtype and range."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    return resampled(image, size).clamp(0, 1).to(image.device, image.dtype)


def resampled(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The same in float32 on the CPU, and beyond [0, 1] as far as the filter overshoots beside edges."""
    height, width = size
    channels = [
        Image.fromarray(channel).resize((width, height), Image.Resampling.LANCZOS)
        for channel in image[0].to("cpu", torch.float32).numpy()
    ]
    return torch.from_numpy(np.stack([np.asarray(channel) for channel in channels]))[None]


def crop_to_aspect(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut the middle out of 1 x 3 x H x W so that it has the proportions of ``size`` = (height, width)."""
    height, width = image.shape[-2:]
    wanted = size[1] / size[0]
    new_width = min(width, max(1, round(height * wanted)))
    new_height = min(height, max(1, round(width / wanted)))
    top, left = (height - new_height) // 2, (width - new_width) // 2
    return image[..., top : top + new_height, left : left + new_width]
