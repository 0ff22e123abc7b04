"""A night sky over wheat, painted in swirling, bristled strokes of thick paint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from noise import (
    Field,
    Shape,
    fractal_noise,
    mix,
    pixel_grid,
    ramp,
    relief,
    rgb,
    sample,
    smooth_noise,
    smoothstep,
    to_image,
)
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIZE = (900, 720)
SHAPE: Shape = (1440, 1800)

# (x, y, radius of the glow) in pixels of the canvas; the first is the moon.
LIGHTS: list[tuple[float, float, float]] = [
    (390, 330, 270),
    (800, 150, 100),
    (1080, 285, 125),
    (1330, 130, 95),
    (1700, 240, 130),
    (90, 110, 95),
    (90, 640, 100),
    (620, 660, 85),
]
# (x, y, radius, turning sense) of the whirls in the wind.
WHIRLS: list[tuple[float, float, float, float]] = [
    (905, 500, 250, 1.0),
    (1235, 640, 170, -1.0),
    (640, 90, 150, -1.0),
    (1560, 520, 150, 1.0),
]

NIGHT = [
    (0.00, (0.03, 0.06, 0.20)),
    (0.25, (0.06, 0.16, 0.42)),
    (0.45, (0.11, 0.30, 0.62)),
    (0.62, (0.24, 0.48, 0.74)),
    (0.78, (0.52, 0.72, 0.80)),
    (0.90, (0.82, 0.86, 0.72)),
    (1.00, (0.96, 0.92, 0.66)),
]
GLOW = [
    (0.00, (1.00, 0.97, 0.78)),
    (0.22, (1.00, 0.86, 0.30)),
    (0.42, (0.95, 0.66, 0.14)),
    (0.60, (0.86, 0.80, 0.42)),
    (0.80, (0.42, 0.66, 0.66)),
    (1.00, (0.14, 0.36, 0.64)),
]
HILLS = [
    (0.0, (0.03, 0.06, 0.17)),
    (0.4, (0.07, 0.17, 0.36)),
    (0.7, (0.13, 0.32, 0.42)),
    (1.0, (0.33, 0.52, 0.45)),
]
WHEAT = [
    (0.0, (0.30, 0.17, 0.06)),
    (0.35, (0.68, 0.40, 0.08)),
    (0.65, (0.90, 0.66, 0.16)),
    (1.0, (0.99, 0.88, 0.46)),
]
CYPRESS = [
    (0.0, (0.02, 0.04, 0.05)),
    (0.5, (0.06, 0.14, 0.11)),
    (0.8, (0.16, 0.26, 0.12)),
    (1.0, (0.42, 0.38, 0.13)),
]


@dataclass
class Scene:
    """What the painter sees: a color and a direction for the brush at every pixel."""

    color: Field
    angle: Field


@dataclass
class Brush:
    """One layer of strokes: how many, how wide and long, and how much their color strays."""

    count: int
    width: float
    length: float
    stray: float


BRUSHES = [
    Brush(2600, 46, 230, 0.05),
    Brush(5200, 27, 150, 0.08),
    Brush(6500, 17, 95, 0.10),
    Brush(5500, 10, 62, 0.13),
]


def hill_line(x: Field, base: float, swing: float, phase: float) -> Field:
    """The y coordinate of a rolling horizon."""
    wave = np.sin(x / 290 + phase) + 0.5 * np.sin(x / 131 + 2.1 * phase) + 0.2 * np.sin(x / 57 + 3 * phase)
    return np.asarray(base - swing * wave, dtype=np.float32)


def wind(y: Field, x: Field) -> tuple[Field, Field]:
    """The flow of the sky: a broad wavy stream, wound up by whirls, lights and moon."""
    u = np.ones_like(x)
    v = 0.55 * np.cos(x / 210 + y / 330) + 0.15 * np.sin(y / 90)
    spins: list[tuple[float, float, float, float, float]] = [(cx, cy, r, s, 2.6) for cx, cy, r, s in WHIRLS]
    spins += [(cx, cy, r * 0.75, -1.0 if i % 2 else 1.0, 3.0) for i, (cx, cy, r) in enumerate(LIGHTS)]
    for cx, cy, radius, sense, strength in spins:
        dx, dy = x - cx, y - cy
        distance = np.sqrt(dx * dx + dy * dy) + 1
        pull = strength * sense * np.exp(-((distance / radius) ** 2.0)) * (1 + 0.6 * (distance < radius))
        damp = 1 - 0.9 * np.exp(-((distance / radius) ** 2))
        u, v = u * damp - pull * dy / distance, v * damp + pull * dx / distance
        # A little inward drift turns closed rings into spirals.
        u, v = u - 0.16 * abs(pull) * dx / distance, v - 0.16 * abs(pull) * dy / distance
    return u, v


def carried_noise(u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Noise smeared along the flow, so that the colors lie in bands the brush can follow."""
    y, x = pixel_grid((SHAPE[0], SHAPE[1]))
    norm = np.sqrt(u * u + v * v) + 1e-6
    u, v = u / norm, v / norm
    noise = smooth_noise(SHAPE, 26, rng) + 0.5 * smooth_noise(SHAPE, 60, rng)
    total = noise.copy()
    for sense in (1, -1):
        py, px = y.copy(), x.copy()
        for _ in range(16):
            py, px = py + sense * 9 * sample(v, py, px), px + sense * 9 * sample(u, py, px)
            total += sample(noise, py, px)
    return np.asarray(total / total.std(), dtype=np.float32)


def paint_sky(y: Field, x: Field, bands: Field) -> Field:
    """Blue bands along the wind, with ringed glows around moon and stars."""
    lift = np.zeros_like(x)
    for cx, cy, radius, _ in WHIRLS:
        lift += 0.16 * np.exp(-(((x - cx) ** 2 + (y - cy) ** 2) / radius**2))
    horizon = smoothstep(350, 900, y)
    color = ramp(0.36 + 0.15 * bands + lift + 0.16 * horizon, NIGHT)
    for cx, cy, radius in LIGHTS:
        distance = np.sqrt((x - cx) ** 2 + (y - cy) ** 2) / radius
        rings = distance + 0.07 * np.sin(distance * 24) + 0.035 * bands
        amount = (1 - smoothstep(0.7, 1.12, rings))[..., None]
        color = color * (1 - amount) + ramp(rings, GLOW) * amount
    return add_crescent(y, x, color)


def add_crescent(y: Field, x: Field, color: Field) -> Field:
    """The moon itself: a crescent of deep gold around a pale disc."""
    cx, cy, _ = LIGHTS[0]
    disc = 1 - smoothstep(112, 118, np.hypot(x - cx, y - cy))
    inner = 1 - smoothstep(84, 92, np.hypot(x - cx - 40, y - cy + 16))
    color = mix(color, rgb(1.0, 0.60, 0.06), disc)
    return mix(color, rgb(1.0, 0.95, 0.70), inner * disc)


def build_scene(rng: np.random.Generator) -> Scene:
    """Compose sky, hills, wheat and cypresses into color and brush direction."""
    y, x = pixel_grid(SHAPE)
    u, v = wind(y, x)
    color, angle = paint_sky(y, x, carried_noise(u, v, rng)), np.arctan2(v, u)
    rough = fractal_noise(SHAPE, (40, 120), rng)
    for add in (add_hills, add_wheat, add_cypresses):
        color, angle = add(y, x, color, angle, rough)
    return Scene(color.astype(np.float32), angle.astype(np.float32))


def add_hills(y: Field, x: Field, color: Field, angle: Field, rough: Field) -> tuple[Field, Field]:
    """Three ranks of hills, striped along their slopes and lit along their crests."""
    for i, (base, swing) in enumerate(((930, 60), (1020, 45), (1095, 34))):
        line = hill_line(x, base, swing, 0.9 + 1.9 * i)
        inside, depth = y > line, (y - line) / 150
        slope = np.arctan(np.gradient(line, axis=1))
        stripes = 0.5 + 0.33 * np.sin((y - line) / 13 + 3 * rough) + 0.35 * rough - 0.35 * depth + 0.10 * i
        crest = 0.35 * np.exp(-np.maximum(depth, 0) * 7)
        color = np.where(inside[..., None], ramp(stripes + crest, HILLS), color)
        angle = np.where(inside, slope + 0.5 * depth * np.sin(x / 120 + i), angle)
    return color, angle


def add_wheat(y: Field, x: Field, color: Field, angle: Field, rough: Field) -> tuple[Field, Field]:
    """A field of wheat in the foreground, bent by the same wind."""
    line = hill_line(x, 1165, 30, 4.4)
    inside, depth = y > line, (y - line) / 280
    gusts = np.sin(x / 75 + (y - line) / 34 + 2.5 * rough)
    wheat = ramp(0.52 + 0.28 * gusts + 0.35 * rough - 0.12 * depth, WHEAT)
    furrow = smoothstep(0.55, 0.95, np.sin((y - line) / 30 - x / 210 + 2 * rough))
    wheat = wheat * (1 - 0.55 * furrow[..., None]) + rgb(0.10, 0.20, 0.30) * 0.55 * furrow[..., None]
    lean = -0.95 + 0.55 * np.sin(x / 160 + (y - line) / 70)
    color = np.where(inside[..., None], wheat, color)
    return color, np.where(inside, lean, angle)


def add_cypresses(y: Field, x: Field, color: Field, angle: Field, rough: Field) -> tuple[Field, Field]:
    """The dark trees, their strokes licking upwards like flames."""
    inside = cypress_mask(y, x)
    flame = 0.35 + 0.3 * np.sin(x / 11 + 2.2 * np.sin(y / 60) + 2 * rough) + 0.3 * rough
    color = np.where(inside[..., None], ramp(flame, CYPRESS), color)
    return color, np.where(inside, -np.pi / 2 + 0.55 * np.sin(y / 62 + x / 48), angle)


def cypress_mask(y: Field, x: Field) -> NDArray[np.bool_]:
    """Where the two flame-shaped trees at the right stand."""
    mask = np.zeros(x.shape, bool)
    for foot, top, half in ((1480, 210, 105), (1625, 520, 80)):
        t = np.clip((y - top) / (1330 - top), 0, 1.2)
        sway = 26 * np.sin(y / 95 + foot) * (1 - t * 0.6)
        width = half * np.sqrt(t) * (1 - 0.45 * t**3) + 9 * np.sin(y / 23 + foot) * (t > 0.03)
        mask |= (np.abs(x - foot - sway) < width) & (t > 0)
    return mask


def trace(scene: Scene, start: NDArray[np.float64], length: NDArray[np.float64], steps: int) -> Field:
    """Walk every stroke along the flow: (strokes, steps, 2) points as (x, y)."""
    cos, sin = np.cos(scene.angle), np.sin(scene.angle)
    points = np.empty((len(start), steps, 2), np.float32)
    for sense, order in ((-1, range(steps // 2, -1, -1)), (1, range(steps // 2, steps))):
        position = start.astype(np.float32).copy()
        for step in order:
            points[:, step] = position
            x, y = position[:, 0], position[:, 1]
            heading = np.stack([sample(cos, y, x), sample(sin, y, x)], axis=1)
            position = position + sense * heading * (length / steps)[:, None].astype(np.float32)
    return points


def stroke_colors(scene: Scene, start: NDArray[np.float64], stray: float, rng: np.random.Generator) -> Field:
    """The scene's color under each stroke, strayed in lightness and hue, now and then boldly."""
    x = np.clip(start[:, 0], 0, SHAPE[1] - 1).astype(int)
    y = np.clip(start[:, 1], 0, SHAPE[0] - 1).astype(int)
    color = scene.color[y, x]
    light = rng.normal(0, stray, (len(start), 1))
    hue = rng.normal(0, stray * 0.5, (len(start), 3))
    bold = (rng.random((len(start), 1)) < 0.05) * rng.uniform(0.1, 0.25, (len(start), 1))
    return np.asarray(color * (1 + 1.6 * light) + 0.4 * light + hue + bold, dtype=np.float32)


class Canvas:
    """Wet paint: a color image and, beside it, how thick the paint lies."""

    def __init__(self, ground: tuple[int, int, int]) -> None:
        size = (SHAPE[1], SHAPE[0])
        self.color = Image.new("RGB", size, ground)
        self.height = Image.new("L", size, 40)
        self._color = ImageDraw.Draw(self.color)
        self._height = ImageDraw.Draw(self.height)

    def stroke(self, points: Field, color: Field, width: float, rng: np.random.Generator) -> None:
        """Drag a brush along the points: side by side bristles, each with its own tone, load and ends."""
        normal = np.gradient(points, axis=0)[:, ::-1] * [-1, 1]
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-6
        along = np.linspace(0, 1, len(points))
        taper = np.minimum(1, np.minimum((along + 0.06) * 5, (1.04 - along) * 2.4)) ** 0.6
        bristles = max(int(width / 3.1), 4)
        streaks = np.sin(np.linspace(0, 9, bristles) + rng.uniform(0, 6))
        tones = rng.normal(0, 0.055, bristles) + 0.035 * streaks
        loads = rng.uniform(-26, 26, bristles)
        for i in rng.permutation(bristles):
            across = 2 * (i + 0.5) / bristles - 1
            first = int(abs(rng.normal(0, 0.07)) * len(points))
            last = len(points) - int(abs(rng.normal(0, 0.13)) * len(points))
            path = (points + normal * (taper * across * width / 2)[:, None])[first:last]
            if len(path) > 1:
                ridge = 120 + 55 * abs(across) ** 3 + loads[i]
                self._bristle(path, color + tones[i], ridge, width / bristles)

    def _bristle(self, path: Field, color: Field, height: float, width: float) -> None:
        line = [tuple(point) for point in path.tolist()]
        red, green, blue = (int(c) for c in np.clip(color, 0, 1) * 255)
        self._color.line(line, (red, green, blue), round(width + 1.4))
        self._height.line(line, int(np.clip(height, 0, 255)), round(width + 1.0))


def lay_strokes(canvas: Canvas, scene: Scene, brush: Brush, rng: np.random.Generator) -> None:
    """Cover the canvas with one layer of strokes, spread evenly by a jittered grid."""
    rows = round((brush.count * SHAPE[0] / SHAPE[1]) ** 0.5)
    columns = round(brush.count / rows)
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    start = (grid + rng.uniform(0, 1, grid.shape)) * [SHAPE[1] / columns, SHAPE[0] / rows]
    start = rng.permutation(start)
    length = brush.length * rng.uniform(0.6, 1.35, len(start))
    paths = trace(scene, start, length, 14)
    colors = stroke_colors(scene, start, brush.stray, rng)
    widths = brush.width * rng.uniform(0.7, 1.3, len(start))
    for path, color, width in zip(paths, colors, widths, strict=True):
        canvas.stroke(path, color, width, rng)


def varnish(canvas: Canvas, rng: np.random.Generator) -> Field:
    """Light the relief of the paint from the upper left and let the ridges glisten."""
    color = np.asarray(canvas.color, np.float32) / 255
    height = np.asarray(canvas.height, np.float32) / 255
    light = relief(height + 0.02 * smooth_noise(SHAPE, 3, rng), 8.0)
    shade = (1 + 0.30 * light)[..., None]
    gleam = 0.22 * np.clip(light - 0.45, 0, 1)[..., None]
    return np.asarray(color * shade + gleam, dtype=np.float32)


def draw(seed: int = 3) -> Image.Image:
    """Paint the picture."""
    rng = np.random.default_rng(seed)
    scene = build_scene(rng)
    canvas = Canvas((40, 46, 70))
    for brush in BRUSHES:
        lay_strokes(canvas, scene, brush, rng)
    return to_image(varnish(canvas, rng), SIZE)
