"""Random fields and small array helpers that all four pictures share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

Field = NDArray[np.floating[Any]]
Shape = tuple[int, int]
Cell = float | tuple[float, float]


def pixel_grid(shape: Shape) -> tuple[Field, Field]:
    """The y and x coordinate of every pixel."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return y, x


def resize(field: Field, shape: Shape, box: tuple[float, float, float, float] | None = None) -> Field:
    """Resize a single-channel field bicubically, optionally from a part of it."""
    image = Image.fromarray(np.ascontiguousarray(field, dtype=np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BICUBIC, box=box), dtype=np.float32)


def smooth_noise(shape: Shape, cell: Cell, rng: np.random.Generator) -> Field:
    """Smooth noise of about [-1, 1] whose bumps are `cell` pixels (or (tall, wide) pixels) in size."""
    tall, wide = cell if isinstance(cell, tuple) else (cell, cell)
    rows, columns = shape[0] / tall, shape[1] / wide
    lattice = rng.uniform(-1, 1, (int(rows) + 5, int(columns) + 5)).astype(np.float32)
    dy, dx = rng.uniform(0, 1, 2)
    return resize(lattice, shape, (1 + dx, 1 + dy, 1 + dx + columns, 1 + dy + rows))


def fractal_noise(shape: Shape, cell: Cell, rng: np.random.Generator, octaves: int = 5, gain: float = 0.5) -> Field:
    """Octaves of smooth noise, each half the size and `gain` times the strength, scaled to about [-1, 1]."""
    tall, wide = cell if isinstance(cell, tuple) else (cell, cell)
    total, weight = np.zeros(shape, np.float32), 0.0
    for octave in range(octaves):
        scale = 2.0**octave
        total += gain**octave * smooth_noise(shape, (max(tall / scale, 1), max(wide / scale, 1)), rng)
        weight += gain**octave
    return total / np.float32(weight)


def sample(field: Field, y: Field, x: Field) -> Field:
    """Read a field (one or more channels) bilinearly; beyond the border its edge is repeated."""
    y = np.clip(y, 0, field.shape[0] - 1.001)
    x = np.clip(x, 0, field.shape[1] - 1.001)
    top, left = y.astype(np.int32), x.astype(np.int32)
    fy, fx = y - top, x - left
    if field.ndim == 3:
        fy, fx = fy[..., None], fx[..., None]
    upper = field[top, left] * (1 - fx) + field[top, left + 1] * fx
    lower = field[top + 1, left] * (1 - fx) + field[top + 1, left + 1] * fx
    return np.asarray(upper * (1 - fy) + lower * fy, dtype=np.float32)


def blur(field: Field, radius: float) -> Field:
    """Three box blurs along both axes, close to a Gaussian with a sigma of `radius`."""
    width = max(int(radius * 2) | 1, 1)
    for axis in (0, 1, 0, 1, 0, 1):
        field = _box_blur(field, width, axis)
    return field


def _box_blur(field: Field, width: int, axis: int) -> Field:
    pad = [(0, 0)] * field.ndim
    pad[axis] = (width // 2 + 1, width // 2)
    sums = np.cumsum(np.pad(field, pad, mode="edge"), axis=axis, dtype=np.float64)
    length = field.shape[axis]
    high = np.take(sums, range(width, width + length), axis=axis)
    low = np.take(sums, range(length), axis=axis)
    return ((high - low) / width).astype(np.float32)


def rgb(red: float, green: float, blue: float) -> Field:
    """A color as an array that blends with images."""
    return np.array((red, green, blue), dtype=np.float32)


def smoothstep(low: float, high: float, value: ArrayLike) -> Field:
    """Rise from 0 at `low` to 1 at `high` without corners."""
    t = np.clip((np.asarray(value, dtype=np.float32) - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def mix(first: ArrayLike, second: ArrayLike, amount: Field) -> Field:
    """Blend two colors, or two images, by a single-channel amount."""
    weight = amount[..., None]
    return np.asarray(np.asarray(first, np.float32) * (1 - weight) + np.asarray(second, np.float32) * weight)


def ramp(value: Field, stops: list[tuple[float, tuple[float, float, float]]]) -> Field:
    """Color a field along a gradient of (position, color) stops."""
    positions = [stop for stop, _ in stops]
    channels = [np.interp(value, positions, [color[i] for _, color in stops]) for i in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def relief(height: Field, strength: float, light: tuple[float, float] = (-0.7, -0.7)) -> Field:
    """Brightness in about [-1, 1] of a surface lit from the direction `light` (y, x)."""
    dy, dx = np.gradient(height)
    slope = -(dy * light[0] + dx * light[1]) * strength
    return np.asarray(-slope / np.sqrt(1 + slope * slope), dtype=np.float32)


def to_image(pixels: Field, size: tuple[int, int]) -> Image.Image:
    """Turn [0, 1] RGB into an image of `size` (width, height), reduced with Lanczos."""
    image = Image.fromarray((np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8))
    return image.resize(size, Image.Resampling.LANCZOS)
