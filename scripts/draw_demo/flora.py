"""Trees, grass and a boat, drawn on transparent layers to be put into the landscape."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from noise import Field
from PIL import Image, ImageDraw

Color = tuple[float, float, float]
Point = tuple[float, float]
Pen = ImageDraw.ImageDraw
BARK = (22, 17, 14, 255)


def ink(color: Color, light: float = 1.0) -> tuple[int, int, int, int]:
    """An opaque drawing color from [0, 1] RGB."""
    red, green, blue = (int(np.clip(c * light, 0, 1) * 255) for c in color)
    return red, green, blue, 255


def between(first: Color, second: Color, amount: float) -> Color:
    """A color on the way from the first to the second."""
    a = float(np.clip(amount, 0, 1))
    return (
        first[0] + (second[0] - first[0]) * a,
        first[1] + (second[1] - first[1]) * a,
        first[2] + (second[2] - first[2]) * a,
    )


def conifer(pen: Pen, x: float, foot: float, tall: float, rng: np.random.Generator) -> None:
    """A spruce of drooping twigs, warm on the left where the sun stands."""
    dark, lit = (0.035, 0.055, 0.045), (0.36, 0.31, 0.13)
    pen.line((x, foot, x, foot - tall), ink((0.07, 0.05, 0.04)), 2)
    tone = rng.uniform(0.75, 1.2)
    for share in np.linspace(0.02, 0.93, max(int(tall / 2.6), 8)):
        half = tall * 0.21 * share**0.85 * rng.uniform(0.65, 1.15) + 1
        y = foot - tall * (1 - share)
        for side in (1, -1):
            sun = 0.75 * rng.random() if side < 0 else 0.22 * rng.random()
            droop = half * rng.uniform(0.25, 0.6)
            color = ink(between(dark, lit, sun), tone)
            pen.line((x, y - 1, x + side * half, y + droop), color, 3 if tall > 60 else 2)


@dataclass
class Tree:
    """A broad-leaved tree grown by forking; it gathers its twigs and, bough by bough, its leaves."""

    rng: np.random.Generator
    twigs: list[tuple[float, float, float, float, float]] = field(default_factory=list)
    clumps: list[list[Point]] = field(default_factory=list)

    def grow(self, x: float, y: float, angle: float, length: float, width: float) -> None:
        """Grow one branch and what forks off it; angles are in radians, upwards is -pi / 2."""
        if 76 <= length < 105 or not self.clumps:
            self.clumps.append([])
        for _ in range(4):
            angle += self.rng.normal(0, 0.11)
            nx, ny = x + np.cos(angle) * length / 4, y + np.sin(angle) * length / 4
            self.twigs.append((x, y, nx, ny, width))
            x, y, width = nx, ny, width * 0.93
            if length < 75:
                self._sprout(x, y)
        if length > 21:
            self._fork(x, y, angle, length, width)

    def _fork(self, x: float, y: float, angle: float, length: float, width: float) -> None:
        for turn in (self.rng.uniform(0.25, 0.7), -self.rng.uniform(0.25, 0.7), self.rng.normal(0, 0.2)):
            if self.rng.random() < 0.88:
                # Boughs reach outwards first and bend up to the light again.
                bent = angle + turn - 0.06 * (angle + np.pi / 2)
                self.grow(x, y, bent, length * self.rng.uniform(0.62, 0.82), width * 0.64)

    def _sprout(self, x: float, y: float) -> None:
        for _ in range(2):
            self.clumps[-1].append((x + self.rng.normal(0, 12), y + self.rng.normal(0, 10)))

    def paint(self, pen: Pen) -> None:
        """Draw the bark with light on its left side, then the leaves."""
        for x0, y0, x1, y1, width in self.twigs:
            pen.line((x0, y0, x1, y1), BARK, max(round(width), 1))
            if width > 7:
                pen.ellipse((x1 - width / 2, y1 - width / 2, x1 + width / 2, y1 + width / 2), BARK)
        for x0, y0, x1, y1, width in self.twigs:
            for share, tone in ((0.38, 1.0), (0.22, 0.6), (0.05, 0.35)) if width > 6 else ():
                edge = width * share + self.rng.normal(0, 1)
                color = ink((0.62, 0.42, 0.27), tone * self.rng.uniform(0.6, 1.1))
                pen.line((x0 - edge, y0, x1 - edge, y1), color, 1 + round(width * 0.09))
        for clump in sorted(filter(None, self.clumps), key=lambda leaves: -max(y for _, y in leaves)):
            self._paint_clump(pen, np.array(clump))

    def _paint_clump(self, pen: Pen, leaves: Field) -> None:
        """A bough's leaves from dark to light: in the sun at its upper left, in shade below."""
        away = (leaves - leaves.mean(axis=0)) / (leaves.std(axis=0) + 6)
        sun = 0.50 - 0.14 * away[:, 0] - 0.21 * away[:, 1] + self.rng.normal(0, 0.10, len(leaves))
        shades = [(0.05, 0.055, 0.03), (0.24, 0.17, 0.05), (0.74, 0.40, 0.08), (1.0, 0.80, 0.40)]
        for i in np.argsort(sun):
            step = float(np.clip(sun[i], 0, 0.999)) * 3
            color = between(shades[int(step)], shades[int(step) + 1], step % 1)
            (x, y), wide, tall = leaves[i], self.rng.uniform(1.8, 4.6), self.rng.uniform(1.5, 3.4)
            pen.ellipse((x - wide, y - tall, x + wide, y + tall), ink(color, self.rng.uniform(0.75, 1.2)))


def grass(pen: Pen, x: float, y: float, tall: float, rng: np.random.Generator) -> None:
    """One blade, bent by the wind, its tip catching the sun."""
    lean = rng.normal(-0.15, 0.35) * tall
    tone = rng.uniform(0.6, 1.15)
    points = [(x, y), (x + lean * 0.3, y - tall * 0.55), (x + lean, y - tall)]
    sun = rng.random() ** 2.2
    pen.line(points[:2], ink(between((0.06, 0.08, 0.03), (0.24, 0.22, 0.07), sun), tone), 4)
    pen.line(points[1:], ink(between((0.13, 0.15, 0.05), (0.92, 0.68, 0.28), sun), tone), 2)


def flower(pen: Pen, x: float, y: float, tall: float, rng: np.random.Generator) -> None:
    """A few petals on a stalk."""
    petals = [(0.95, 0.90, 0.82), (0.80, 0.42, 0.62), (0.62, 0.50, 0.86), (0.98, 0.80, 0.30)]
    top = (x + rng.normal(-0.1, 0.15) * tall, y - tall)
    pen.line([(x, y), top], ink((0.16, 0.19, 0.06)), 2)
    color, size = petals[int(rng.integers(len(petals)))], 2 + 0.055 * tall
    for _ in range(6):
        px, py = top[0] + rng.normal(0, size * 0.7), top[1] + rng.normal(0, size * 0.5)
        light = rng.uniform(0.55, 1.1) - 0.15 * (px > top[0])
        pen.ellipse((px - size * 0.6, py - size * 0.5, px + size * 0.6, py + size * 0.5), ink(color, light))


def cabin(pen: Pen, x: float, y: float, size: float) -> None:
    """A wooden cabin with a lit window; (x, y) is the lower left corner of its front."""

    def at(*points: Point) -> list[Point]:
        return [(x + px * size, y + py * size) for px, py in points]

    pen.polygon(at((0, 0), (0, -0.5), (0.35, -0.92), (0.7, -0.5), (0.7, 0)), ink((0.70, 0.27, 0.15)))
    pen.polygon(at((0.7, 0), (0.7, -0.5), (1.5, -0.5), (1.5, 0)), ink((0.33, 0.11, 0.08)))
    pen.polygon(at((0.35, -1.0), (1.2, -1.0), (1.6, -0.46), (0.76, -0.46)), ink((0.24, 0.21, 0.22)))
    edge = max(round(size * 0.06), 2)
    pen.line(at((-0.06, -0.44), (0.35, -0.97), (1.2, -1.0)), ink((0.90, 0.68, 0.46)), edge)
    for px in (0.24, 0.92, 1.2):
        pen.rectangle(at((px, -0.38), (px + 0.18, -0.17)), ink((1.0, 0.86, 0.42)))
    pen.rectangle(at((1.0, -1.22), (1.12, -0.92)), ink((0.30, 0.22, 0.20)))


def boat(pen: Pen, x: float, y: float, size: float) -> None:
    """A small sailing boat with the sun behind its sails; (x, y) is the middle of its waterline."""

    def at(*points: Point) -> list[Point]:
        return [(x + px * size, y + py * size) for px, py in points]

    pen.line(at((0.0, -0.1), (0.0, -1.62)), ink((0.16, 0.11, 0.09)), max(round(size * 0.03), 2))
    pen.polygon(at((0.03, -1.58), (0.24, -0.95), (0.52, -0.24), (0.03, -0.22)), ink((0.95, 0.80, 0.62)))
    pen.polygon(at((0.03, -1.58), (0.16, -0.95), (0.22, -0.23), (0.03, -0.22)), ink((1.0, 0.92, 0.78)))
    pen.polygon(at((-0.04, -1.42), (-0.30, -0.80), (-0.52, -0.22), (-0.04, -0.24)), ink((0.86, 0.36, 0.20)))
    pen.polygon(at((-0.04, -1.42), (-0.14, -0.80), (-0.20, -0.23), (-0.04, -0.24)), ink((0.70, 0.26, 0.16)))
    pen.polygon(at((-0.66, -0.18), (0.70, -0.20), (0.50, 0.0), (-0.48, 0.0)), ink((0.22, 0.10, 0.08)))
    pen.line(at((-0.66, -0.17), (0.70, -0.19)), ink((0.88, 0.62, 0.40)), max(round(size * 0.035), 2))


def empty_layer(shape: tuple[int, int]) -> Image.Image:
    """A transparent layer to draw on."""
    return Image.new("RGBA", (shape[1], shape[0]), (0, 0, 0, 0))
