"""A wave, a mountain and a red sun, cut in wood and printed in black over two flat colors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from curves import along_curve, bezier
from noise import (
    Field,
    Shape,
    blur,
    fractal_noise,
    mix,
    pixel_grid,
    resize,
    rgb,
    smooth_noise,
    smoothstep,
    to_image,
)
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Mask = NDArray[np.bool_]
Spot = tuple[float, float, float]

SIZE = (900, 720)
SHAPE: Shape = (1440, 1800)
SUN = (640.0, 205.0, 112.0)
PEAK = (352.0, 118.0)
# (x, y, half width, thickness) of the bars of cloud.
CLOUDS = [(700, 262, 240, 17), (560, 292, 170, 12), (110, 150, 190, 18), (30, 186, 130, 12)]

PAPER = rgb(0.945, 0.895, 0.790)
INK = rgb(0.085, 0.080, 0.085)
RED = rgb(0.800, 0.270, 0.170)
BLUE = rgb(0.330, 0.520, 0.560)


@dataclass
class Block:
    """How much black, red and blue the paper takes up at each pixel, whose coordinates are y and x."""

    y: Field
    x: Field
    black: Field
    red: Field
    blue: Field
    rng: np.random.Generator

    def lay(self, inside: Mask, black: Field | float, blue: Field | float = 0.0) -> None:
        """Cover what lies behind with a part of the picture."""
        self.black = np.where(inside, black, self.black).astype(np.float32)
        self.blue = np.where(inside, blue, self.blue).astype(np.float32)
        self.red = np.where(inside, 0, self.red).astype(np.float32)


def gouge(phase: Field, along: Field, tone: Field, rng: np.random.Generator, reach: float = 130.0) -> Field:
    """Carve tapered grooves, one to each whole step of `phase`.

    They are wide where `tone` is light (0) and thin where it is dark (1). Every groove is a row of cuts
    about `reach` pixels long with their own beginnings, ends and pressure.
    """
    groove = np.floor(phase).astype(np.int32)
    shifts, pressures = rng.uniform(0, 1, 512), rng.uniform(0.84, 1.14, (512, 64))
    place = along / reach * rng.uniform(0.75, 1.3, 512)[groove % 512] + shifts[groove % 512]
    cut = np.floor(place).astype(np.int32)
    ends = np.minimum(1, 4.5 * np.minimum(place - cut, 1.0 - (place - cut))) ** 0.7
    # Light passages stay open from cut to cut; in dark ones every cut is seen to end.
    taper = 1 - (1 - ends) * smoothstep(0.15, 0.6, tone)
    opening = (1 - tone) * taper * pressures[groove % 512, cut % 64]
    middle = np.abs(2 * (phase - groove) - 1)
    return smoothstep(-0.09, 0.09, middle - opening)


def carve_sky(block: Block) -> None:
    """Rays of light around the sun, cut finer and further apart away from it, under a blue upper edge."""
    x, y, radius = block.x - SUN[0], block.y - SUN[1], SUN[2]
    distance = np.hypot(x, y) + 1e-3
    turn = np.arctan2(y, x) / (2 * np.pi) + 0.5
    # Each bundle of rays parts at a distance of its own, or the partings would draw circles.
    parting = distance * block.rng.uniform(0.88, 1.14, 85)[(turn * 84).astype(int)]
    octave = np.clip(np.floor(np.log2(parting / 100)), 0, 3)
    rays = turn * 84 * 2**octave + 0.12 * smooth_noise(SHAPE, 60, block.rng)
    tone = 0.10 + 0.74 * smoothstep(radius, 640, distance) + 0.05 * smooth_noise(SHAPE, 120, block.rng)
    within = parting / (100 * 2**octave)
    # Where the rays double, the old and the new ones taper off into one another.
    tone = tone + 0.25 * smoothstep(0.86, 1.0, within / 2) + 0.25 * (1 - smoothstep(1.0, 1.12, within))
    block.black = gouge(rays, distance, np.clip(tone, 0.06, 0.9), block.rng, 170)
    block.black *= smoothstep(radius + 5, radius + 9, distance)
    block.blue = smoothstep(300, 20, block.y + 22 * smooth_noise(SHAPE, (50, 200), block.rng)) * 0.9
    block.blue *= smoothstep(radius + 20, radius + 120, distance)
    block.red = 1 - smoothstep(radius - 0.7, radius + 0.7, np.hypot(x + 2, y - 1.5))


def carve_clouds(block: Block) -> None:
    """Long bars of cloud across the sun, open paper above and cut along below."""
    for cx, cy, half, thick in CLOUDS:
        wave = 5 * smooth_noise(SHAPE, (400, 60), block.rng) + 3 * smooth_noise(SHAPE, (300, 24), block.rng)
        span = 1 - ((block.x - cx) / half) ** 2
        body = thick * np.sqrt(np.clip(span, 0, 1))
        rise, fall = block.y - cy + wave + body, cy + 0.35 * body - block.y - 0.4 * wave
        inside = (span > 0) & (rise > 0) & (fall > 0)
        tone = 0.06 + 0.75 * smoothstep(0.2, 1.0, rise / (rise + fall + 1e-3))
        lines = gouge(rise / 5.5, block.x, tone, block.rng, 90)
        edge = np.maximum(1 - smoothstep(1.5, 2.6, rise), 1 - smoothstep(1.0, 2.0, fall))
        block.lay((span > -0.02) & (rise > -4) & (fall > -3), 0.0)
        block.lay(inside, np.maximum(lines, edge))


def ridge(x: Field, rng: np.random.Generator) -> Field:
    """The outline of the mountain over x: two concave flanks with broken rock on them."""
    away = np.abs(x - PEAK[0])
    flank = 340 * (1 - np.exp(-away / 235)) + 0.10 * away
    rough = fractal_noise((4, x.shape[1]), (4, 90), rng, 5, 0.55)[:1]
    return np.asarray(PEAK[1] + flank + 26 * rough * smoothstep(0, 60, away), dtype=np.float32)


def carve_mountain(block: Block) -> None:
    """Facets that run down from the peak: open towards the sun, cut thinly out of black on the other side."""
    outline = ridge(block.x, block.rng)
    depth = block.y - outline
    down = np.maximum(block.y - PEAK[1] + 30, 0)
    fan = (block.x - PEAK[0]) / (down + 60)
    warp = fractal_noise(SHAPE, (170, 110), block.rng, 4)
    spur = fan * 3.1 + 0.75 * warp * smoothstep(0, 160, down) + 0.30
    facet = spur - np.floor(spur)
    lit = (facet > 0.50 - 0.10 * warp).astype(np.float32)
    tone_lit = 0.03 + 0.35 * smoothstep(0.9, 0.5, facet) + 0.30 * smoothstep(130, 330, down)
    tone_dark = 0.93 - 0.55 * smoothstep(0.45, 0.0, facet) - 0.15 * smoothstep(120, 320, down)
    slant = 0.85 * (block.x - PEAK[0])
    light = gouge((block.y - slant) / 9.5 + 0.5 * warp, block.x, tone_lit, block.rng, 80)
    dark = gouge((block.y + 0.8 * slant) / 8.0 + 0.5 * warp, block.x, tone_dark, block.rng, 70)
    rim = 1 - smoothstep(2.0, 3.2, depth)
    block.lay(depth > -4.5, 0.0)
    block.lay(depth > 0, np.maximum(np.where(lit > 0, light, dark), rim), 0.55 * (1 - lit))


def carve_mist(block: Block) -> None:
    """A bank of mist at the mountain's foot, so that the forest stands free of it."""
    top = 405 + 16 * smooth_noise(SHAPE, (600, 120), block.rng)
    top = top + 7 * smooth_noise(SHAPE, (600, 40), block.rng)
    rise = block.y - top
    tone = 0.05 + 0.55 * smoothstep(20, 110, rise)
    block.lay(rise > 0, gouge(rise / 7, block.x, tone, block.rng, 160), 0.25 * smoothstep(0, 70, rise))


def carve_pines(block: Block) -> None:
    """A forest: black trees, combed open on the side of the sun."""
    rng = block.rng
    feet = [(x, 455 + 16 * np.sin(x / 130) - 8, rng.uniform(55, 95)) for x in np.arange(-10, 920, 19.0)]
    feet += [(x + 8, 486 + 10 * np.sin(x / 90), rng.uniform(75, 135)) for x in np.arange(-20, 930, 31.0)]
    for x, y, tall in feet:
        valley = 1 - 0.45 * np.exp(-(((x - 590) / 120) ** 2))
        carve_pine(block, x + rng.uniform(-7, 7), y, tall * valley)
    block.lay(block.y > 492 + 6 * smooth_noise(SHAPE, (600, 50), rng), 1.0)


def carve_pine(block: Block, foot: float, ground: float, tall: float) -> None:
    """One tree of drooping tiers, with a carved rim that parts it from its neighbors."""
    half = tall * 0.30
    rows = slice(int(max((ground - tall - 6) * 2, 0)), int((ground + 40) * 2))
    columns = slice(int(max((foot - half - 8) * 2, 0)), int(max((foot + half + 8) * 2, 0)))
    y, x = block.y[rows, columns], block.x[rows, columns] - foot
    t = (y - ground + tall) / tall
    tier = (t * 7 + block.rng.uniform(0, 1) + 0.25 * np.sin(x * 0.9)) % 1
    width = half * np.clip(t, 0, 1) ** 0.9 * (0.55 + 0.45 * tier) + 0.8
    gap = np.where(t > 0, width - np.abs(x), -9)
    comb = np.abs(2 * (((y + 0.55 * np.abs(x)) / 6.0) % 1) - 1)
    open_side = smoothstep(-0.1, 0.9, x / (width + 1)) * 0.62
    body = smoothstep(-0.1, 0.1, comb - open_side)
    black = np.where(gap > -2.2, 0, block.black[rows, columns])
    block.black[rows, columns] = np.where(gap > 0, np.maximum(body, gap < 1.2), black)
    for tint in (block.blue, block.red):
        tint[rows, columns] = np.where(gap > -2.2, 0, tint[rows, columns])


def carve_swell(block: Block, level: float, height: float, length: float, shift: float) -> None:
    """A rank of peaked waves, its grooves hanging from the crests."""
    bend = 20 * smooth_noise(SHAPE, (900, 150), block.rng)
    swing = np.abs(np.sin(np.pi * (block.x + bend - shift) / length))
    crest = level + height * (swing**0.75 - 0.5)
    depth = block.y - crest
    lean = np.cos(2 * np.pi * (block.x + bend - shift) / length + 1.2)
    tone = 0.50 + 0.30 * lean + 0.25 * smoothstep(10, 60, depth) - 0.5 * (1 - smoothstep(4, 14, depth))
    stretch = depth * (1 - 0.25 * (1 - swing))
    lines = gouge(stretch / 7.5 + 0.5, block.x, np.clip(tone, 0.04, 0.93), block.rng, 110)
    rim = (depth < 2.4).astype(np.float32)
    block.lay(depth > -3.5, 0.0)
    block.lay(depth > 0, np.maximum(lines, rim), 0.95 * smoothstep(6, 22, depth))


def carve_breaker(block: Block) -> None:
    """The great wave: grooves that stream from its foot up its face into the falling crest."""
    face = np.concatenate(
        [
            bezier([(960, 668), (700, 735), (420, 740), (352, 600)], 120),
            bezier([(352, 600), (322, 520), (370, 440), (492, 452)], 80)[1:],
        ]
    )
    back = np.concatenate(
        [
            bezier([(-60, 520), (40, 470), (120, 330), (270, 318)], 100),
            bezier([(270, 318), (390, 312), (470, 370), (500, 450)], 80)[1:],
        ]
    )
    outline = np.concatenate([back, face[::-1], np.array([(960, 800), (-60, 800)])])
    inside = polygon(outline)
    small = (SHAPE[0] // 4, SHAPE[1] // 4)
    y, x = (resize(field, small) for field in (block.y, block.x))
    along, to_face = (resize(field, SHAPE) for field in along_curve(face, y, x))
    _, to_back = (resize(np.abs(field), SHAPE) for field in along_curve(back, y, x))
    share = np.abs(to_face) / (np.abs(to_face) + to_back + 1e-3)
    warp = 0.6 * smooth_noise(SHAPE, (160, 160), block.rng)
    band = 0.5 + 0.5 * np.sin(share * 21 + warp)
    tone = 0.20 + 0.62 * band + 0.25 * (1 - smoothstep(0, 0.10, share)) - 0.35 * smoothstep(0.75, 1.0, share)
    lines = gouge(share * 44 + warp, along * 1500, np.clip(tone, 0.04, 0.95), block.rng, 150)
    grown = blur(inside.astype(np.float32), 5)
    rim = inside & (blur(inside.astype(np.float32), 4) < 0.86)
    block.lay(grown > 0.12, 0.0)
    block.lay(inside, np.maximum(lines, rim), 0.9 * smoothstep(0.35, 0.75, band))
    carve_foam(block, back)


def polygon(outline: Field) -> Mask:
    """The pixels within an outline given in pixels of the finished picture."""
    image = Image.new("1", (SHAPE[1], SHAPE[0]))
    ImageDraw.Draw(image).polygon([(px * 2, py * 2) for px, py in outline.tolist()], fill=1)
    return np.asarray(image)


def carve_foam(block: Block, crest: Field) -> None:
    """Foam along the crest that reaches out in claws, and drops thrown ahead of it."""
    rng = block.rng
    scallops, claws = foam_spots(crest, rng)
    for rim, value in ((2.2, 1.0), (0.0, 0.0)):
        for px, py, size in scallops + claws:
            stamp(block, px, py, size + rim, value)
    for px, py, size in scallops:
        if size > 5:
            stamp(block, px, py, size * 0.66, 1.0)
            stamp(block, px - 0.10 * size, py - 0.22 * size, size * 0.72, 0.0)
    for _ in range(120):
        px, py = 500 + rng.gamma(2, 48), 412 + rng.normal(0, 52)
        stamp(block, px, py, rng.uniform(1.2, 4.5), 0.0)


def foam_spots(crest: Field, rng: np.random.Generator) -> tuple[list[Spot], list[Spot]]:
    """Round scallops that hang from the crest, ever larger towards its tip, and the claws between them."""
    steps = np.hypot(*np.diff(crest, axis=0).T)
    length = np.concatenate([[0.0], np.cumsum(steps)])
    heading = np.unwrap(np.arctan2(*np.gradient(crest, axis=0).T[::-1]))
    scallops: list[Spot] = []
    claws: list[Spot] = []
    place = 60.0
    while place < length[-1]:
        share = place / length[-1]
        px, py, angle = (float(np.interp(place, length, v)) for v in (crest[:, 0], crest[:, 1], heading))
        size = (2.5 + 11 * share**1.6) * rng.uniform(0.85, 1.2)
        for inward in (0.0, 1.25):
            scallops.append((px - inward * size * np.sin(angle), py + inward * size * np.cos(angle), size))
        if share > 0.42:
            claws += claw(px, py, angle, size, rng)
        place += 1.35 * size
    return scallops, claws


def claw(px: float, py: float, angle: float, size: float, rng: np.random.Generator) -> list[Spot]:
    """One finger of foam: it leaves the crest forwards and inwards, then hooks back."""
    angle, turn = angle + rng.uniform(0.5, 1.2), rng.uniform(-0.06, 0.16)
    px, py, size = px - 1.6 * size * np.sin(angle - 0.8), py + 1.6 * size * np.cos(angle - 0.8), size * 0.72
    spots = []
    for _ in range(int(rng.uniform(9, 15))):
        px, py = px + 0.62 * size * np.cos(angle), py + 0.62 * size * np.sin(angle)
        spots.append((float(px), float(py), float(size)))
        angle, turn, size = angle + turn, turn + 0.035, max(size * 0.87, 1.5)
    return spots


def stamp(block: Block, px: float, py: float, size: float, value: float) -> None:
    """Set a round spot to black (1) or paper (0)."""
    rows = slice(max(int((py - size) * 2), 0), max(int((py + size) * 2) + 2, 0))
    columns = slice(max(int((px - size) * 2), 0), max(int((px + size) * 2) + 2, 0))
    spot = np.hypot(block.y[rows, columns] - py, block.x[rows, columns] - px) < size
    block.black[rows, columns][spot] = value
    block.blue[rows, columns][spot] = 0
    block.red[rows, columns][spot] = 0


def print_block(block: Block) -> Field:
    """Press the blocks on paper: its tooth and the grain of the wood leave thin patches in the ink."""
    rng = block.rng
    tooth = fractal_noise(SHAPE, 5, rng, 2)
    wood = fractal_noise(SHAPE, (4, 160), rng, 3)
    paper = PAPER * (1 + 0.030 * tooth + 0.02 * smooth_noise(SHAPE, 150, rng))[..., None]
    take = 0.5 + 0.9 * tooth + 0.55 * wood + 0.35 * smooth_noise(SHAPE, 70, rng)
    flat = 0.93 - 0.35 * smoothstep(0.75, 1.35, take)
    paper = paper * (1 - (block.blue * flat)[..., None] * (1 - BLUE))
    paper = mix(paper, RED, block.red * flat)
    edges = blur(block.black, 1.6) + 0.16 * smooth_noise(SHAPE, 4, rng) + 0.08 * wood
    black = smoothstep(0.38, 0.62, edges) * (1 - 0.75 * smoothstep(1.05, 1.5, take))
    return mix(paper, INK, black)


def draw(seed: int = 11) -> Image.Image:
    """Cut the blocks and print them."""
    y, x = pixel_grid(SHAPE)
    blank = np.zeros(SHAPE, np.float32)
    block = Block(y / 2, x / 2, blank, blank, blank, np.random.default_rng(seed))
    for carve in (carve_sky, carve_clouds, carve_mountain, carve_mist, carve_pines):
        carve(block)
    carve_swell(block, 520, 36, 130, 20)
    carve_swell(block, 570, 48, 190, 90)
    carve_swell(block, 632, 56, 240, 10)
    carve_breaker(block)
    return to_image(print_block(block), SIZE)
