"""Curves, and where the pixels of a picture lie beside them."""

from __future__ import annotations

import numpy as np
from noise import Field

Point = tuple[float, float]


def bezier(points: list[Point], count: int) -> Field:
    """Points (x, y) along a cubic Bezier curve."""
    t = np.linspace(0, 1, count)[:, None]
    a, b, c, d = (np.array(p) for p in points)
    s = 1 - t
    return np.asarray(s**3 * a + 3 * s**2 * t * b + 3 * s * t**2 * c + t**3 * d, np.float32)


def along_curve(curve: Field, y: Field, x: Field) -> tuple[Field, Field]:
    """For every pixel, the position along the nearest stretch of a curve and the signed distance from it."""
    best = np.full(x.shape, np.inf, np.float32)
    t, offset = np.zeros_like(x), np.zeros_like(x)
    tangents = np.gradient(curve, axis=0)
    for i, ((cx, cy), (tx, ty)) in enumerate(zip(curve, tangents, strict=True)):
        distance = (x - cx) ** 2 + (y - cy) ** 2
        closer = distance < best
        side = np.sign(tx * (y - cy) - ty * (x - cx))
        best = np.where(closer, distance, best)
        offset = np.where(closer, side * np.sqrt(distance), offset)
        t = np.where(closer, np.float32(i / (len(curve) - 1)), t)
    return t, offset
