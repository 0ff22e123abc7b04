"""A fish leaping under the sun, laid in stone tesserae whose rows follow the outlines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from curves import Point, along_curve, bezier
from noise import (
    Field,
    Shape,
    fractal_noise,
    mix,
    pixel_grid,
    relief,
    resize,
    rgb,
    smooth_noise,
    smoothstep,
    to_image,
)
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Labels = NDArray[np.int32]

SIZE = (900, 720)
PLAN: Shape = (720, 900)
SHAPE: Shape = (1440, 1800)
SUN = (672.0, 200.0)

# The parts of the picture, in the order in which they cover one another.
SKY, SUN_CORE, SUN_RING, RAY_GOLD, RAY_RED, SEA, SEA_MID, SEA_DEEP, FOAM = range(9)
BACK, BELLY, HEAD, FIN, EYE, PUPIL, GILL = range(9, 16)

# How wide the rows of a part are, in pixels of the finished picture; other parts use the last value.
ROW_WIDTH = {SUN_CORE: 10.0, SUN_RING: 9.5, BACK: 9.5, BELLY: 9.5, FIN: 8.5}
ROW_WIDTH |= {HEAD: 8.5, GILL: 8.0, EYE: 9.0, PUPIL: 16.0}
FIELD_ROW = 11.5

# The stones at hand for each part, from the outline inwards.
STONES: dict[int, list[str]] = {
    SUN_CORE: ["c8641c", "e09a22", "efb32f", "f6c94d", "f9dc7c", "fdebad"],
    SUN_RING: ["a8381c", "b9481f"],
    RAY_GOLD: ["eeb32c", "f4cc5a", "dd9420"],
    RAY_RED: ["b8451f", "cf6428", "9c3018"],
    SEA: ["6fd0c4", "2fb0ac", "1c9aa0", "158890"],
    SEA_MID: ["3fb7bb", "16809a", "106b8c", "0e5c80"],
    SEA_DEEP: ["2a8fae", "124f86", "0d3d70", "0a3060"],
    FOAM: ["fbf5e4", "f1ead6", "dfe9e0"],
    BACK: ["8c2a16", "b8441e", "cf5a26", "dd7a34"],
    BELLY: ["e8b04a", "f3d184", "f8e5b4"],
    HEAD: ["a5361a", "d4702c", "e59a3c", "efb650"],
    FIN: ["7c2416", "d98c2c", "efb845", "c65a24"],
    EYE: ["fdf8ea"],
    PUPIL: ["16161c"],
    GILL: ["f6dfa4"],
}


@dataclass
class Rows:
    """Where every pixel lies: in which row of stones, and how far from the row's two edges."""

    row: Labels
    depth: Field
    edge: Field


@dataclass
class Stones:
    """The stone that covers each pixel, the distance to the cut beside it, and the centers of all stones."""

    at: Labels
    cut: Field
    centers: NDArray[np.float64]


def fill(labels: Labels, outline: Field, label: int) -> None:
    """Give a polygon's pixels a label."""
    image = Image.new("1", (PLAN[1], PLAN[0]))
    ImageDraw.Draw(image).polygon([tuple(p) for p in outline.tolist()], fill=1)
    labels[np.asarray(image)] = label


def plan_sun(labels: Labels, y: Field, x: Field) -> None:
    """A disc in a red ring, with straight golden and wavy red rays by turns."""
    radius = np.hypot(x - SUN[0], y - SUN[1])
    turn = np.arctan2(y - SUN[1], x - SUN[0]) / (2 * np.pi)
    count = 12
    for label, shift, reach, wave in ((RAY_GOLD, 0.0, 112, 0.0), (RAY_RED, 0.5, 86, 0.085)):
        out = (radius - 110) / reach
        bent = turn * count + shift + wave * np.sin(out * 7.5)
        across = np.abs(bent - np.round(bent))
        labels[(across < 0.27 * (1 - out)) & (out > 0)] = label
    labels[radius < 112] = SKY
    labels[radius < 104] = SUN_RING
    labels[radius < 86] = SUN_CORE


def plan_sea(labels: Labels, y: Field, x: Field) -> None:
    """Three ranks of waves, each with a white crest that rolls up into spirals."""
    ranks = ((SEA, 478.0, 150.0, 40.0), (SEA_MID, 562.0, 180.0, 110.0), (SEA_DEEP, 650.0, 210.0, 10.0))
    for label, level, length, shift in ranks:
        swell = 14 * np.cos(2 * np.pi * (x - shift) / length)
        labels[y > level - swell] = label
        image = Image.new("1", (PLAN[1], PLAN[0]))
        pen = ImageDraw.Draw(image)
        for start in np.arange(shift - 2 * length, PLAN[1] + length, length):
            for i, (px, py) in enumerate(curl(float(start), level, length)):
                half = 11 - 0.05 * i
                pen.ellipse((px - half, py - half, px + half, py + half), fill=1)
        labels[np.asarray(image)] = FOAM


def curl(start: float, level: float, length: float) -> list[tuple[float, float]]:
    """A crest that climbs from the trough and winds up into a spiral."""
    radius = length * 0.20
    center = (start + length * 0.02, level - radius * 0.55)
    rise = bezier(
        [
            (start - length * 0.98, level + 14),
            (start - length * 0.60, level + 30),
            (start - length * 0.42, center[1] - radius),
            (center[0], center[1] - radius),
        ],
        40,
    )
    t = np.linspace(0, 1, 60)
    angle, reach = -np.pi / 2 + t * 2 * np.pi * 1.15, radius * (1 - 0.72 * t)
    spiral = np.stack([center[0] + reach * np.cos(angle), center[1] + reach * np.sin(angle)], axis=1)
    return [(float(px), float(py)) for px, py in np.concatenate([rise, spiral[1:]])]


def plan_fish(labels: Labels, y: Field, x: Field) -> None:
    """A fish along a leaping curve: tail, fins, a two-colored body and a head with gill and eye."""
    spine = bezier([(112, 470), (130, 215), (400, 150), (500, 425)], 160)
    t, offset = along_curve(spine, y, x)
    half = 78 * np.clip(np.sin(np.pi * t**0.85), 0, 1) ** 0.62 * (0.42 + 0.58 * t) + 9
    plan_fins(labels)
    body = (np.abs(offset) < half) & (t > 0.0) & (t < 1.0)
    labels[body] = BACK
    labels[body & (offset > half * 0.28)] = BELLY
    head = t - 0.0009 * np.abs(offset) + 0.00001 * offset**2
    labels[body & (head > 0.735)] = GILL
    labels[body & (head > 0.765)] = HEAD
    for label, radius in ((EYE, 19), (PUPIL, 9)):
        labels[np.hypot(x - 462, y - 318) < radius] = label


def plan_fins(labels: Labels) -> None:
    """Tail, back fin, belly fin and breast fin."""
    outlines: list[list[Point]] = [
        [(118, 440), (60, 470), (28, 540), (92, 512), (118, 500), (140, 520), (190, 560), (176, 490)],
        [(190, 262), (180, 190), (232, 140), (330, 118), (420, 150), (452, 196), (380, 200), (280, 215)],
        [(205, 330), (222, 410), (268, 452), (338, 458), (330, 400), (296, 330), (270, 300)],
    ]
    for outline in outlines:
        fill(labels, np.array(outline, np.float32), FIN)


def plan_parts() -> Labels:
    """The cartoon under the mosaic: which part of the picture each pixel belongs to."""
    y, x = pixel_grid(PLAN)
    labels = np.full(PLAN, SKY, np.int32)
    plan_sun(labels, y, x)
    plan_sea(labels, y, x)
    plan_fish(labels, y, x)
    return labels


def distance_to_outline(labels: Labels) -> Field:
    """The exact distance of every pixel to the nearest border between two parts."""
    border = np.zeros(labels.shape, bool)
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border[1:] |= labels[1:] != labels[:-1]
    down = np.where(border, 0, 1e4).astype(np.float32)
    for row in range(1, len(down)):
        down[row] = np.minimum(down[row], down[row - 1] + 1)
    for row in range(len(down) - 2, -1, -1):
        down[row] = np.minimum(down[row], down[row + 1] + 1)
    squared, width = down * down, labels.shape[1]
    best = squared.copy()
    for shift in range(1, width):
        np.minimum(best[:, shift:], squared[:, :-shift] + shift * shift, out=best[:, shift:])
        np.minimum(best[:, :-shift], squared[:, shift:] + shift * shift, out=best[:, :-shift])
    return np.asarray(np.sqrt(best), dtype=np.float32)


def lay_rows(labels: Labels, rng: np.random.Generator) -> Rows:
    """Rows of stones parallel to the outlines, with the wobble of a hand."""
    outline = resize(distance_to_outline(labels), SHAPE)
    part = np.asarray(Image.fromarray(labels).resize((SHAPE[1], SHAPE[0]), Image.Resampling.NEAREST))
    width = np.full(SHAPE, FIELD_ROW, np.float32)
    for label, value in ROW_WIDTH.items():
        width[part == label] = value
    wobble = smooth_noise(SHAPE, 90, rng) * 2.0 + smooth_noise(SHAPE, 26, rng) * 0.7
    depth = np.maximum(outline + wobble * smoothstep(2, 14, outline), 0) / width
    row = np.floor(depth).astype(np.int32)
    within = depth - row
    edge = np.minimum(within, 1 - within) * width
    return Rows(part * 100 + np.minimum(row, 99), row.astype(np.float32), edge)


def set_stones(rows: Rows, rng: np.random.Generator) -> Stones:
    """Cut each row into stones of about equal size."""
    stone, cut = np.zeros(SHAPE, np.int32), np.full(SHAPE, 99, np.float32)
    centers: list[NDArray[np.float64]] = []
    placed = 0
    for row in np.unique(rows.row):
        pixels = np.argwhere(rows.row == row) / 2.0
        size = ROW_WIDTH.get(int(row) // 100, FIELD_ROW)
        sites = spread(pixels, max(round(len(pixels) / 4 / size**2 / 1.05), 1), rng)
        nearest, distance = assign(pixels, sites)
        at = rows.row == row
        stone[at], cut[at] = placed + nearest, distance
        centers.append(sites)
        placed += len(sites)
    return Stones(stone, cut, np.concatenate(centers))


def spread(pixels: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Sites spread evenly over the pixels of a row by Lloyd's iteration, on a sixteenth of the pixels."""
    few = rng.permutation(pixels)[: max(len(pixels) // 16, count)]
    sites = few[:count].copy()
    for _ in range(14):
        nearest, _ = assign(few, sites)
        members = np.bincount(nearest, minlength=len(sites))
        for axis in range(2):
            sums = np.bincount(nearest, few[:, axis], len(sites))
            sites[:, axis] = np.where(members > 0, sums / np.maximum(members, 1), sites[:, axis])
    return sites


def assign(pixels: NDArray[np.float64], sites: NDArray[np.float64]) -> tuple[Labels, Field]:
    """The nearest site of each pixel, and the distance to the line half-way to the second nearest."""
    nearest, cut = np.zeros(len(pixels), np.int32), np.full(len(pixels), 99, np.float32)
    site = sites.astype(np.float32)
    for first in range(0, len(pixels), 8192):
        block = slice(first, first + 8192)
        p = pixels[block].astype(np.float32)
        squared = (p[:, :1] - site[:, 0]) ** 2 + (p[:, 1:] - site[:, 1]) ** 2
        index, who = np.arange(len(p)), squared.argmin(axis=1)
        nearest[block] = who
        if len(site) > 1:
            closest = squared[index, who]
            squared[index, who] = np.inf
            second = squared.argmin(axis=1)
            gap = np.sqrt(((site[who] - site[second]) ** 2).sum(axis=1)) + 1e-6
            cut[block] = (squared[index, second] - closest) / (2 * gap)
    return nearest, cut


def from_hex(code: str) -> Field:
    """The color of a six-digit hexadecimal code."""
    return rgb(*(int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)))


def sky_color(center: Field, depth: int, rng: np.random.Generator) -> Field:
    """Pale turquoise beside the outlines and near the sun, deep blue far away."""
    far = np.hypot(center[1] - SUN[0], center[0] - SUN[1]) / 620 + rng.normal(0, 0.07)
    shades = ["a8e0d4", "6cc4cc", "3a9cc4", "2374b0", "1a5596", "143c7c", "0f2a60"]
    if depth == 0:
        return from_hex("f3e6b8" if rng.random() < 0.75 else "e2d49c")
    step = int(np.clip(far * 6 + rng.choice([-1, 0, 0, 0, 1]) + (0.8 if depth % 3 else -0.6), 0, 6))
    return from_hex(shades[step])


def stone_colors(rows: Rows, centers: NDArray[np.float64], rng: np.random.Generator) -> Field:
    """A color for every stone: by part and row, each a little different, a few from another box."""
    colors = np.empty((len(centers), 3), np.float32)
    y = np.clip(centers[:, 0] * 2, 0, SHAPE[0] - 1).astype(int)
    x = np.clip(centers[:, 1] * 2, 0, SHAPE[1] - 1).astype(int)
    for i, (part, depth) in enumerate(zip(rows.row[y, x] // 100, rows.depth[y, x].astype(int), strict=True)):
        if part == SKY:
            colors[i] = sky_color(centers[i], depth, rng)
        else:
            box = STONES[int(part)]
            stray = rng.choice([-1, 0, 0, 0, 0, 1])
            colors[i] = from_hex(box[int(np.clip(depth + stray, 0, len(box) - 1))])
    light = rng.normal(1, 0.10, (len(centers), 1))
    return np.asarray(colors * light + rng.normal(0, 0.018, colors.shape), dtype=np.float32)


def light_stones(rows: Rows, stones: Stones, colors: Field, rng: np.random.Generator) -> Field:
    """Round the stones off, tilt each a little towards or away from the light, and fill in the grout."""
    round_off = 3.0
    short = np.hypot(np.maximum(round_off - rows.edge, 0), np.maximum(round_off - stones.cut, 0))
    inside = round_off - short + 0.45 * smooth_noise(SHAPE, 7, rng) + 0.3 * smooth_noise(SHAPE, 3, rng)
    bevel = relief(smoothstep(0.6, 3.0, inside), 2.2)
    grain = fractal_noise(SHAPE, 9, rng, 3)
    light = 1 + lean(stones, rng) + 0.26 * bevel + 0.10 * grain
    sand = 0.40 + 0.07 * smooth_noise(SHAPE, 2.5, rng) + 0.05 * smooth_noise(SHAPE, 40, rng)
    grout = sand[..., None] * rgb(1.0, 0.96, 0.90)
    return mix(grout, colors[stones.at] * light[..., None], smoothstep(0.75, 1.35, inside))


def lean(stones: Stones, rng: np.random.Generator) -> Field:
    """How much lighter each pixel is because its stone does not lie quite level."""
    y, x = pixel_grid(SHAPE)
    tilt, center = rng.normal(0, 0.014, stones.centers.shape)[stones.at], stones.centers[stones.at]
    change = tilt[..., 0] * (y / 2 - center[..., 0]) + tilt[..., 1] * (x / 2 - center[..., 1])
    return np.asarray(np.clip(change, -0.16, 0.16), dtype=np.float32)


def draw(seed: int = 5) -> Image.Image:
    """Lay the mosaic."""
    rng = np.random.default_rng(seed)
    rows = lay_rows(plan_parts(), rng)
    stones = set_stones(rows, rng)
    colors = stone_colors(rows, stones.centers, rng)
    return to_image(light_stones(rows, stones, colors, rng), SIZE)
