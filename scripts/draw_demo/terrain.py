"""A mountain range as a height map, and the view of it from the lake."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from noise import Field, Shape, blur, fractal_noise, pixel_grid, sample, smooth_noise, smoothstep

# One texel of the height map is this many meters wide; the camera stands in the middle of the near edge.
TEXEL = 6.0
MAP: Shape = (1900, 2000)
EYE = 9.0


@dataclass
class View:
    """What the camera sees at every pixel: distance, place on the map, or nothing but sky."""

    distance: Field
    map_y: Field
    map_x: Field
    land: Field


# (side, depth, half width, half depth, height) of the masses of rock and the hills before them, in meters.
MASSES = [
    (900, 7600, 1500, 1700, 2350),
    (2500, 8800, 1700, 1600, 2250),
    (-450, 10300, 1500, 1300, 1500),
    (-3700, 8600, 1500, 1900, 2250),
    (-4700, 6400, 1500, 1700, 1500),
    (4200, 6300, 1500, 1800, 1600),
    (2500, 4700, 1100, 1300, 760),
    (-2350, 4500, 900, 1100, 520),
    (500, 5300, 1100, 700, 330),
]


def raise_terrain(rng: np.random.Generator) -> Field:
    """Heights in meters: peaks behind, wooded shoulders left and right, a lake (below zero) in between."""
    y, x = pixel_grid(MAP)
    depth, side = y * TEXEL, (x - MAP[1] / 2) * TEXEL
    crags = ridged_noise(rng)
    crags = sample(crags, y + 22 * smooth_noise(MAP, 120, rng), x + 22 * smooth_noise(MAP, 120, rng))
    mass = np.zeros(MAP, np.float32)
    for px, py, wide, deep, tall in MASSES:
        swell = tall * np.exp(-np.hypot((side - px) / wide, (depth - py) / deep) * 1.25)
        mass = np.maximum(mass, swell) + 0.3 * np.minimum(mass, swell)
    shore = 3000 + 330 * smooth_noise(MAP, (4000, 150), rng) - 0.5 * np.maximum(np.abs(side) - 800, 0)
    bank = (depth - shore) * 0.05
    land = bank + mass * (0.42 + 1.05 * crags) * smoothstep(-100, 1300, depth - shore)
    land += 130 * (crags - 0.4) * smoothstep(0, 900, depth - shore)
    rough = np.where(depth > shore, land, bank) + 8 * fractal_noise(MAP, 40, rng, 4)
    return erode(rough.astype(np.float32), rng)


def ridged_noise(rng: np.random.Generator, octaves: int = 7) -> Field:
    """Sharp ridges in about [0, 1]; hollows get less detail than crests."""
    total, weight = np.zeros(MAP, np.float32), np.ones(MAP, np.float32)
    gain, norm = 1.0, 0.0
    for octave in range(octaves):
        crest = (1 - np.abs(smooth_noise(MAP, max(330 / 2.0**octave, 2), rng))) ** 2
        total += gain * crest * weight
        weight = np.clip(crest * 1.5, 0.15, 1)
        norm += gain
        gain *= 0.47
    return total / np.float32(norm)


def erode(height: Field, rng: np.random.Generator, rounds: int = 6, drops: int = 60000) -> Field:
    """Let rain run down the slopes: it cuts gullies where it is fast and leaves scree where it slows."""
    for _ in range(rounds):
        y = rng.uniform(1, MAP[0] - 2, drops).astype(np.float32)
        x = rng.uniform(1, MAP[1] - 2, drops).astype(np.float32)
        height = rain(height, y, x)
    return height


def rain(height: Field, y: Field, x: Field, steps: int = 45) -> Field:
    """Follow drops that fall at (y, x) downhill and take the ground with them, up to what they can carry."""
    vy: Field = np.zeros_like(y)
    vx, load = vy, vy
    for _ in range(steps):
        here = sample(height, y, x)
        dy, dx = sample(height, y + 1, x) - here, sample(height, y, x + 1) - here
        vy, vx = 0.35 * vy - dy, 0.35 * vx - dx
        speed = np.sqrt(vy * vy + vx * vx) + 1e-5
        ny = np.clip(y + vy / speed, 1, MAP[0] - 3)
        nx = np.clip(x + vx / speed, 1, MAP[1] - 3)
        fall = here - sample(height, ny, nx)
        capacity = np.clip(fall, 0.0, 8.0) * 1.4
        change = np.where(fall < 0, np.minimum(load, -fall) * 0.5, (load - capacity) * 0.16)
        change = np.where(fall > 0, np.maximum(change, -0.5 * fall), change)
        height = spill(height, y, x, change)
        load, y, x = load - change, ny, nx
    return height


def spill(height: Field, y: Field, x: Field, amount: Field) -> Field:
    """Add an amount to the four texels around each position."""
    top, left = y.astype(np.int64), x.astype(np.int64)
    fy, fx = y - top, x - left
    total = np.zeros(height.size)
    for row, share in ((top, 1 - fy), (top + 1, fy)):
        for column, part in ((left, 1 - fx), (left + 1, fx)):
            total += np.bincount(row * height.shape[1] + column, share * part * amount, height.size)
    return height + total.reshape(height.shape).astype(np.float32)


def cast_shadows(height: Field, rise: float) -> Field:
    """Light from the left that climbs `rise` meters for each texel: 1 in the sun, 0 in shadow."""
    shadow, edge = np.empty_like(height), height[:, 0].copy()
    for column in range(height.shape[1]):
        edge = np.maximum(edge - rise * TEXEL, height[:, column])
        shadow[:, column] = edge
    return blur(1 - smoothstep(0, 40, shadow - height), 1.5)


def look(height: Field, shape: Shape, horizon: float, focal: float) -> View:
    """Find the first ground along the ray of every pixel above the horizon and below it."""
    distance = np.geomspace(700, MAP[0] * TEXEL * 0.995, 1500).astype(np.float32)[:, None]
    column = np.arange(shape[1], dtype=np.float32)[None]
    map_x = (column - shape[1] / 2) / focal * distance / TEXEL + MAP[1] / 2
    ground = np.maximum(sample(height, np.broadcast_to(distance / TEXEL, map_x.shape), map_x), 0)
    skyline = np.maximum.accumulate((ground - EYE) / distance * focal, axis=0)
    return first_hits(skyline, distance[:, 0], shape, horizon, focal)


def first_hits(skyline: Field, distance: Field, shape: Shape, horizon: float, focal: float) -> View:
    """For each column, where the rising skyline first covers each row."""
    wanted = (horizon - np.arange(shape[0])).astype(np.float32)
    hit = np.empty(shape, np.float32)
    steps = np.arange(len(distance), dtype=np.float32)
    for x in range(shape[1]):
        line = skyline[:, x] + steps * 1e-5
        hit[:, x] = np.interp(wanted, line, steps, left=0, right=len(steps))
    land = (hit < len(steps) - 1).astype(np.float32)
    far = np.interp(hit, steps, distance).astype(np.float32)
    map_x = (np.arange(shape[1]) - shape[1] / 2) / focal * far / TEXEL + MAP[1] / 2
    return View(far, far / np.float32(TEXEL), map_x.astype(np.float32), land)
