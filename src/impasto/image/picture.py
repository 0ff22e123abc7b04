"""A picture as impasto works on it, and what has to be known to give it back as it came."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.image.files import Origin
from impasto.image.metadata import Metadata
from impasto.image.resize import as_floats, crop_to_aspect, resampled, resize

__all__ = ["Picture", "fill_hidden", "fill_hidden_"]

FAINT = 0.5 / 255
"""Alpha below which a change of size leaves no color to speak of, but rounding errors divided by one another."""


@dataclass(frozen=True)
class Picture:
    """``pixels`` are 1 x 3 x H x W, float32, sRGB in [0, 1], upright; ``alpha`` 1 x 1 x H x W in [0, 1], None if
    opaque.

    ``stored`` are the pixels as floats, or as the whole numbers, uint8 or uint16, that a file has, which take less
    memory. Colors are not multiplied by alpha, and where nothing is visible they continue what is visible around.
    ``depth`` is the bits a channel of the file (8 or 16), ``profile`` the ICC profile of RGB that it came in and goes
    back to (None: sRGB), ``remarks`` say, a sentence each, what was lost on the way in, and reading it took
    ``read_with`` bytes of memory.
    """

    stored: Tensor
    alpha: Tensor | None = None
    depth: int = 8
    profile: bytes | None = None
    metadata: Metadata = field(default_factory=Metadata)
    origin: Origin | None = None
    remarks: tuple[str, ...] = ()
    read_with: int = 0

    @property
    def bytes(self) -> int:
        """What color and transparency take in memory; of a gray picture all channels are one."""
        alpha = 0 if self.alpha is None else self.alpha.untyped_storage().nbytes()
        return self.stored.untyped_storage().nbytes() + alpha

    @property
    def pixels(self) -> Tensor:
        """The pixels as floats; made each time where whole numbers are stored."""
        return as_floats(self.stored)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.stored.shape[-2], self.stored.shape[-1]

    def resized(self, size: tuple[int, int]) -> Picture:
        """The same at (height, width) ``size``; each color counts as much as it can be seen."""
        if self.size == tuple(size):
            return self
        if self.alpha is None:
            return replace(self, stored=resize(self.stored, size))
        weight = resampled(self.alpha, size)  # beyond [0, 1] where the colors that it weights are
        channels = (self.stored[:, channel : channel + 1] for channel in range(3))  # one at a time, for large photos
        pixels = torch.cat([resampled(as_floats(channel) * self.alpha, size) for channel in channels], dim=1)
        pixels = pixels.div_(weight.clamp_min(FAINT)).clamp_(0, 1)
        pixels = fill_hidden_(pixels, weight * (weight >= FAINT)).to(self.pixels)
        return replace(self, stored=pixels, alpha=weight.clamp(0, 1).to(self.alpha))

    def cropped_to_aspect(self, size: tuple[int, int]) -> Picture:
        """The middle of it, with the proportions of ``size``."""
        alpha = None if self.alpha is None else crop_to_aspect(self.alpha, size)
        return replace(self, stored=crop_to_aspect(self.stored, size), alpha=alpha)

    def with_pixels(self, pixels: Tensor) -> Picture:
        """Another picture of the same kind, at the size of ``pixels``, as what is made of a photo is; of no file."""
        alpha = self.alpha_at((pixels.shape[-2], pixels.shape[-1]))
        shown = pixels if alpha is None else fill_hidden(pixels, alpha)
        return replace(self, stored=shown, alpha=alpha, origin=None, remarks=())

    def alpha_at(self, size: tuple[int, int]) -> Tensor | None:
        """The alpha that it has at (height, width) ``size``."""
        if self.alpha is None or self.size == tuple(size):
            return self.alpha
        return resampled(self.alpha, size).clamp(0, 1).to(self.alpha)

    def on_white(self) -> Tensor:
        """The pixels laid on white, which is what paper and most web pages are."""
        if self.alpha is None:
            return self.pixels
        return self.pixels * self.alpha + (1 - self.alpha)


def fill_hidden(pixels: Tensor, alpha: Tensor) -> Tensor:
    """Continue the visible colors of 1 x 3 x H x W to where ``alpha``, 1 x 1 x H x W, is 0.

    The colors that a file holds there are arbitrary, and a network would see them, and the edge to them. Each hidden
    pixel takes the average around it that alpha weights, at the finest of ever coarser sizes that sees something (the
    pull-push of Gortler et al., "The Lumigraph", 1996). Where nothing at all is visible, it is white.
    """
    return fill_hidden_(pixels.clone(), alpha)


def fill_hidden_(pixels: Tensor, alpha: Tensor) -> Tensor:
    """The same in place, for the largest pictures, which barely fit into memory."""
    seen = alpha > 0
    if not bool(seen.any()):
        return pixels.fill_(1)
    halves = torch.cat([_halved(pixels[:, channel : channel + 1] * seen) for channel in range(3)], dim=1)
    coarse = _pulled(halves, _halved(seen.to(pixels.dtype)))
    for channel in range(3):
        around = _enlarged(coarse[:, channel : channel + 1], pixels).clamp_(0, 1)  # of averages, to a rounding error
        pixels[:, channel : channel + 1] = torch.where(seen, pixels[:, channel : channel + 1], around)
    return pixels


def _pulled(colors: Tensor, weight: Tensor) -> Tensor:
    """Averages of ``colors``, which were multiplied by ``weight``; where the weight is 0, those of half the size."""
    known = colors / weight.clamp_min(torch.finfo(weight.dtype).tiny)
    if bool((weight > 0).all()):
        return known
    return torch.where(weight > 0, known, _enlarged(_pulled(_halved(colors), _halved(weight)), known))


def _halved(image: Tensor) -> Tensor:
    return F.avg_pool2d(image, 2, ceil_mode=True)


def _enlarged(image: Tensor, to: Tensor) -> Tensor:
    return F.interpolate(image, to.shape[-2:], mode="bilinear", align_corners=False)
