"""Figures of a finished picture, as it was saved: how near to the photo, how near to the painting, how clean.

All pictures are 1 x 3 x H x W, sRGB in [0, 1]. The extractor should be VGG-19 as it was trained, with zero padding.
``measure`` brings photo and painting to size; the other functions take pictures that already have theirs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.color import luminance, to_lab
from impasto.features import Extractor
from impasto.image.resize import crop_to_aspect, resize
from impasto.moments import moments
from impasto.spec import scaled_to_long_side

__all__ = [
    "Figures",
    "border_energy",
    "color_cast",
    "color_grain",
    "content_error",
    "measure",
    "sliced_wasserstein",
    "speck_share",
    "ssim",
    "style_error",
]

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
UNOPTIMIZED_LAYERS = ("relu1_2", "relu2_2", "relu3_2", "relu4_3")
BORDER = 16
GRAIN_SIDE = 16


@dataclass(frozen=True)
class Figures:
    """What ``measure`` finds; lower is nearer or cleaner, but for ``ssim``."""

    content_error: float
    ssim: float
    style_error: float
    style_error_half: float
    style_error_quarter: float
    sliced_wasserstein: float
    sliced_wasserstein_half: float
    sliced_wasserstein_quarter: float
    color_cast: float
    color_grain: float
    border_energy: float
    speck_share: float

    def as_dict(self) -> dict[str, float]:
        """The figures by name."""
        return asdict(self)


def measure(
    extractor: Extractor, output: Tensor, content: Tensor, style: Tensor, *, style_scale: float = 1.0
) -> Figures:
    """Compare ``output`` with the photo and the painting, which may have any size.

    The photo is brought to the size of the output, the painting's long side to the output's times ``style_scale``.
    """
    size = output.shape[-2], output.shape[-1]
    content = resize(crop_to_aspect(content, size), size)
    painted = style.shape[-2], style.shape[-1]
    style = resize(style, scaled_to_long_side(painted, max(size) * style_scale))
    halves, quarters = (_reduced((output, style), factor) for factor in (2, 4))
    return Figures(
        content_error=content_error(extractor, output, content),
        ssim=ssim(output, content),
        style_error=style_error(extractor, output, style),
        style_error_half=style_error(extractor, *halves),
        style_error_quarter=style_error(extractor, *quarters),
        sliced_wasserstein=sliced_wasserstein(extractor, output, style),
        sliced_wasserstein_half=sliced_wasserstein(extractor, *halves),
        sliced_wasserstein_quarter=sliced_wasserstein(extractor, *quarters),
        color_cast=color_cast(output, style),
        color_grain=color_grain(output),
        border_energy=border_energy(output),
        speck_share=speck_share(output),
    )


def _reduced(images: tuple[Tensor, Tensor], factor: int) -> list[Tensor]:
    """Both by the same factor, which is less than ``factor`` where one of them is thin: relu5_1 needs 16 pixels."""
    thinnest = min(extent for image in images for extent in image.shape[-2:])
    divisor, reduced = min(factor, max(1.0, thinnest / 16)), []
    for image in images:
        height, width = image.shape[-2:]
        reduced.append(resize(image, (round(height / divisor), round(width / divisor))))
    return reduced


def content_error(extractor: Extractor, output: Tensor, content: Tensor, layer: str = "relu4_2") -> float:
    """The squared error of the features relative to the photo's own: Σ (F - F*)² / Σ F*²."""
    seen, wanted = _look(extractor, output, (layer,))[layer], _look(extractor, content, (layer,))[layer]
    return float((seen - wanted).square().sum() / wanted.square().sum())


def style_error(extractor: Extractor, output: Tensor, style: Tensor) -> float:
    """The relative error of the Gram matrices, |G - G*| / |G*| in the Frobenius norm, averaged over five layers."""
    seen, wanted = _look(extractor, output, STYLE_LAYERS), _look(extractor, style, STYLE_LAYERS)
    errors = []
    for layer in STYLE_LAYERS:
        target = moments(wanted[layer]).gram
        errors.append(float((moments(seen[layer]).gram - target).norm() / target.norm()))
    return sum(errors) / len(errors)


def sliced_wasserstein(extractor: Extractor, output: Tensor, style: Tensor, *, directions: int = 64) -> float:
    """The sliced Wasserstein-1 distance of features at layers that are not optimized.

    Averaged over fixed random directions and layers, each layer in units of the painting's own spread along the
    direction (Heitz et al., "A Sliced Wasserstein Loss for Neural Texture Synthesis", 2021).
    """
    seen, wanted = _look(extractor, output, UNOPTIMIZED_LAYERS), _look(extractor, style, UNOPTIMIZED_LAYERS)
    distances = []
    for layer in UNOPTIMIZED_LAYERS:
        channels = seen[layer].shape[1]
        generator = torch.Generator().manual_seed(channels)
        axes = torch.randn(directions, channels, generator=generator).to(seen[layer])
        ours, theirs = (_quantiles(axes @ features[layer][0].flatten(1)) for features in (seen, wanted))
        spread = theirs.std(dim=1, keepdim=True).clamp_min(1e-12)
        distances.append(float(((ours - theirs).abs() / spread).mean()))
    return sum(distances) / len(distances)


def _quantiles(projected: Tensor, count: int = 256) -> Tensor:
    """``count`` evenly spaced quantiles of each row."""
    rows = projected.sort(dim=1).values
    return F.interpolate(rows[None], size=count, mode="linear", align_corners=True)[0]


def color_cast(output: Tensor, style: Tensor) -> float:
    """The distance in CIE Lab (D65) of the mean color, each of L, a and b over all pixels, from the painting's.

    0 where both have the same color on average, whatever colors that is made of; 2 or 3 is what the eye begins to see,
    and 100 lies between black and white. Where the photo's colors were kept, it is theirs that it finds.
    """
    ours, theirs = (to_lab(image.double()).mean(dim=(0, 2, 3)) for image in (output, style))
    return float((ours - theirs).norm())


def color_grain(image: Tensor) -> float:
    """How much color changes from pixel to pixel where it is calmest, in units of CIE Lab.

    The root mean square of what a Gaussian blur (sigma 1.5) takes from a and b, in squares of 16 pixels that overlap by
    half; of these the value that a tenth lie below. Photos have 0.5, pointillists 2, and from 3 on it looks like noise.
    """
    color = to_lab(image.double())[:, 1:].transpose(0, 1)
    energy = (color - _blur(color)).square().sum(dim=0, keepdim=True)
    side = min(GRAIN_SIDE, *energy.shape[-2:])
    squares = F.avg_pool2d(energy, side, stride=max(1, side // 2)).flatten()
    return float(squares.sort().values[(len(squares) - 1) // 10].sqrt())


def ssim(output: Tensor, content: Tensor) -> float:
    """Structural similarity of the luminance, 1 for the same picture (Wang et al. 2004, Gaussian window of 11, sigma
    1.5)."""
    a, b = luminance(output).double(), luminance(content).double()
    mean_a, mean_b = _blur(a), _blur(b)
    var_a, var_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    similarity = similarity / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return float(similarity.mean())


def _blur(image: Tensor) -> Tensor:
    at = torch.arange(-5, 6, dtype=image.dtype, device=image.device)
    window = torch.exp(-(at**2) / (2 * 1.5**2))
    window = window / window.sum()
    image = F.pad(image, (5, 5, 5, 5), mode="replicate")
    return F.conv2d(F.conv2d(image, window.view(1, 1, 1, -1)), window.view(1, 1, -1, 1))


def border_energy(image: Tensor) -> float:
    """The mean squared Laplacian of the luminance in a band of 16 pixels along the border, over that of the inside.

    1 where the border is like the rest; a frame drawn by padding shows as a multiple of the photo's own figure.
    """
    energy = _laplacian(luminance(image)).square()[0, 0]
    inside = torch.zeros_like(energy, dtype=torch.bool)
    inside[BORDER:-BORDER, BORDER:-BORDER] = True
    if not bool(inside.any()):
        return 1.0
    return float(energy[~inside].mean() / energy[inside].mean().clamp_min(1e-12))


def _laplacian(gray: Tensor) -> Tensor:
    padded = F.pad(gray, (1, 1, 1, 1), mode="replicate")
    around = padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:] + padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1]
    return around - 4 * gray


def speck_share(image: Tensor) -> float:
    """The share of isolated saturated pixels: a channel within 1/255 of 0 or 1, and at none of the 8 neighbors."""
    shares = []
    for saturated in (image <= 1 / 255, image >= 254 / 255):
        count = F.avg_pool2d(F.pad(saturated.float(), (1, 1, 1, 1)), 3, stride=1) * 9
        alone = saturated & (count < 1.5)  # itself and no other
        shares.append(float(alone.any(dim=1).float().mean()))
    return sum(shares)


@torch.no_grad()
def _look(extractor: Extractor, image: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
    return {name: tensor.float() for name, tensor in extractor(image.to(extractor.device), layers).items()}
