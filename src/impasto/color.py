"""Color: luminance, CIE Lab, and three ways to let the photo keep its colors or the painting give its own.

What goes through CIE Lab takes many times the memory of its pixels, so whole pictures are changed in strips of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from operator import add

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.moments import Moments, moments

__all__ = ["from_lab", "luminance", "match_color", "match_lightness", "to_gray", "to_lab", "with_colors_of"]

TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
"""Linear sRGB to CIE XYZ with the white of D65 (IEC 61966-2-1)."""

WHITE = tuple(sum(row) for row in TO_XYZ)

EPSILON, KAPPA = 216 / 24389, 24389 / 27
"""Where the cube root of CIE Lab turns into a straight line (CIE 15)."""

GAMUT_STEPS = 14
"""Halvings in the search for the border of sRGB: 2^-14 of the chroma is far below what 8 bits can tell."""

MOST_SHIFT = 1.5
"""How far the mean a and b of CIE Lab may leave the photo's when its colors are kept."""

STRIP = 1 << 17
"""Pixels whose colors are changed at once, which takes some 200 bytes for each."""


def luminance(image: Tensor) -> Tensor:
    """B x 3 x H x W, sRGB in [0, 1] -> B x 1 x H x W, luma in [0, 1] with the weights of ITU-R BT.601."""
    weights = image.new_tensor([0.299, 0.587, 0.114])
    weighted: Tensor = image * weights[:, None, None]
    return weighted.sum(dim=1, keepdim=True)


def to_lab(image: Tensor) -> Tensor:
    """B x 3 x H x W, sRGB in [0, 1] -> CIE Lab under D65: L in [0, 100], a and b within some 110 of 0."""
    linear = torch.where(image <= 0.04045, image / 12.92, ((image.clamp_min(0) + 0.055) / 1.055) ** 2.4)
    xyz = _mixed(linear, image.new_tensor(TO_XYZ)) / image.new_tensor(WHITE).view(3, 1, 1)
    root = xyz.clamp_min(0) ** (1 / 3)
    f = torch.where(xyz > EPSILON, root, (KAPPA * xyz + 16) / 116)
    x, y, z = f.unbind(dim=1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=1)


def from_lab(lab: Tensor) -> Tensor:
    """CIE Lab under D65, B x 3 x H x W -> sRGB; outside [0, 1] where sRGB has no such color."""
    lightness, a, b = lab.unbind(dim=1)
    y = (lightness + 16) / 116
    f = torch.stack((y + a / 500, y, y - b / 200), dim=1)
    xyz = torch.where(f**3 > EPSILON, f**3, (116 * f - 16) / KAPPA) * lab.new_tensor(WHITE).view(3, 1, 1)
    linear = _mixed(xyz, torch.linalg.inv(lab.new_tensor(TO_XYZ)))
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(1e-9) ** (1 / 2.4) - 0.055)


def _mixed(image: Tensor, matrix: Tensor) -> Tensor:
    return torch.einsum("ij,bjhw->bihw", matrix, image)


def to_gray(image: Tensor) -> Tensor:
    """The gray picture of the same lightness, CIE L, as B x 3 x H x W, sRGB in [0, 1]."""
    return _in_strips(lambda strip: _gray(_lightness(strip)), image)


def match_lightness(
    image: Tensor, target: Tensor, visible: Tensor | None = None, wanted: Tensor | None = None
) -> Tensor:
    """Move the mean and deviation of the lightness of ``image`` to those of ``target``; a gray picture in [0, 1].

    Both are 1 x 3 x H x W in sRGB; ``visible`` and ``wanted`` are their alphas. So a dark painting does not darken a
    photo that keeps its colors (Gatys et al., "Preserving Color in Neural Artistic Style Transfer", 2016, section 3.2).
    """
    own, model = _visible_moments(image, visible, _lightness), _visible_moments(target, wanted, _lightness)
    mean, target_mean = float(own.mean), float(model.mean)
    stretch = float((model.covariance.clamp_min(0) / own.covariance.clamp_min(1e-6)).sqrt())
    return _in_strips(lambda strip: _gray((_lightness(strip) - mean) * stretch + target_mean), image)


def with_colors_of(painted: Tensor, photo: Tensor) -> Tensor:
    """The lightness of ``painted`` with the hue and chroma of ``photo``: both 1 x 3 x H x W, sRGB in [0, 1].

    Where sRGB has no such color, such as a very light saturated red, both give way: the lightness moves toward the
    photo's, then the chroma shrinks. Together they keep the mean of a and b within ``MOST_SHIFT`` of the photo's.
    """
    result = torch.empty_like(painted)
    for share in (0.5, 0.75, 1.0):  # of the way to where the photo's chroma is possible; at 1 it is kept everywhere
        shift = torch.zeros(2, dtype=torch.float64)
        for rows in _strips(painted):
            own = to_lab(photo[..., rows, :])
            lab = _combined(_lightness(painted[..., rows, :]), own, share)
            shift += (lab - own)[:, 1:].sum(dim=(0, 2, 3)).cpu()
            result[..., rows, :] = from_lab(lab).clamp(0, 1)
        if bool((shift.abs() <= MOST_SHIFT * painted[0, 0].numel()).all()):
            break
    return result


def _combined(lightness: Tensor, own: Tensor, share: float) -> Tensor:
    """CIE Lab of that lightness, with a and b of ``own`` as far as sRGB has such colors."""
    wanted = torch.cat((lightness, own[:, 1:]), dim=1)
    target = torch.lerp(wanted, _last_in_gamut(own, wanted), share)
    return _last_in_gamut(_neutral(target[:, :1]), target)


def _lightness(image: Tensor) -> Tensor:
    """CIE L, B x 1 x H x W."""
    return to_lab(image)[:, :1]


def _neutral(lightness: Tensor) -> Tensor:
    """CIE Lab of that lightness with neither a nor b."""
    return F.pad(lightness, (0, 0, 0, 0, 0, 2))


def _gray(lightness: Tensor) -> Tensor:
    """The sRGB of that lightness, in [0, 1]."""
    return from_lab(_neutral(lightness.clamp(0, 100))).clamp(0, 1)


def _last_in_gamut(inside: Tensor, wanted: Tensor) -> Tensor:
    """On the straight line from ``inside`` to ``wanted``, both CIE Lab, the last color that sRGB has."""
    outside = ~_in_gamut(wanted)[:, 0]
    start, end = (lab.permute(0, 2, 3, 1)[outside].T[None, ..., None] for lab in (inside, wanted))  # 1 x 3 x N x 1
    low, high = torch.zeros_like(start[:, :1]), torch.ones_like(start[:, :1])
    for _ in range(GAMUT_STEPS):
        middle = (low + high) / 2
        fits = _in_gamut(torch.lerp(start, end, middle))
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    found = wanted.permute(0, 2, 3, 1).clone()
    found[outside] = torch.lerp(start, end, low)[0, ..., 0].T
    return found.permute(0, 3, 1, 2)


def _in_gamut(lab: Tensor) -> Tensor:
    return ((from_lab(lab) - 0.5).abs() <= 0.5 + 1e-4).all(dim=1, keepdim=True)


def match_color(image: Tensor, target: Tensor, visible: Tensor | None = None, wanted: Tensor | None = None) -> Tensor:
    """Move the mean and covariance of the colors of ``image`` to those of ``target`` by an affine map.

    Both are 1 x 3 x H x W, sRGB in [0, 1], and ``visible`` and ``wanted`` their alphas, 1 x 1 x H x W; the result is
    clamped to [0, 1]. The map is L_target L_image⁻¹ with the Cholesky factors of the covariances (Gatys et al.,
    "Preserving Color in Neural Artistic Style Transfer", 2016, section 3.1).
    """
    own, model = _visible_moments(image, visible), _visible_moments(target, wanted)
    mean, target_mean = (colors.mean.view(3, 1, 1) for colors in (own, model))
    change = torch.linalg.solve_triangular(_factor(own), _factor(model), upper=False, left=False)
    return _in_strips(lambda strip: (_mixed(strip.double() - mean, change) + target_mean).clamp(0, 1), image)


def _factor(colors: Moments) -> Tensor:
    """The Cholesky factor of the covariance, 3 x 3."""
    # A gray picture's covariance is singular; 1e-5 is well under the square of one 8-bit step.
    floor = 1e-5 * torch.eye(3, dtype=torch.float64, device=colors.sum.device)
    factor: Tensor = torch.linalg.cholesky(colors.covariance + floor)
    return factor


def _visible_moments(
    image: Tensor, alpha: Tensor | None, look: Callable[[Tensor], Tensor] = lambda strip: strip
) -> Moments:
    """Those, in float64, of what ``look`` makes of the colors, of which each counts as much as it can be seen."""
    parts = (
        moments(look(image[..., rows, :]).double(), None if alpha is None else alpha[..., rows, :])
        for rows in _strips(image)
    )
    return reduce(add, parts)


def _in_strips(change: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    """What ``change``, for which pixels do not matter to each other, makes of ``image``."""
    result = torch.empty_like(image)
    for rows in _strips(image):
        result[..., rows, :] = change(image[..., rows, :])
    return result


def _strips(image: Tensor) -> Iterator[slice]:
    """Rows from the top, of ``STRIP`` pixels or a little less."""
    height, width = image.shape[-2:]
    rows = max(1, STRIP // width)
    return (slice(top, top + rows) for top in range(0, height, rows))
