"""A photograph that was never taken: evening light on mountains and a lake."""

from __future__ import annotations

import numpy as np
from flora import Tree, boat, cabin, conifer, empty_layer, flower, grass
from noise import (
    Field,
    Shape,
    blur,
    fractal_noise,
    mix,
    pixel_grid,
    ramp,
    rgb,
    sample,
    smooth_noise,
    smoothstep,
    to_image,
)
from PIL import Image, ImageDraw
from terrain import TEXEL, View, cast_shadows, look, raise_terrain

SIZE = (1024, 768)
SHAPE: Shape = (1536, 2048)
HORIZON = 880.0
FOCAL = 1900.0
SUN = (520.0, 590.0)
SHORE = 892
SUNLIGHT = rgb(1.55, 1.02, 0.62)
EXPOSURE = 1.75
SKYLIGHT = rgb(0.25, 0.34, 0.54)


def paint_sky(rng: np.random.Generator) -> Field:
    """A warm gradient around a low sun, with banks of cloud lit from below."""
    y, x = pixel_grid(SHAPE)
    up = np.clip((HORIZON - y) / HORIZON, 0, 1)
    sky = ramp(
        up,
        [
            (0.0, (1.00, 0.74, 0.48)),
            (0.22, (0.98, 0.76, 0.58)),
            (0.5, (0.62, 0.68, 0.76)),
            (1.0, (0.22, 0.38, 0.60)),
        ],
    )
    distance = np.hypot(x - SUN[0], (y - SUN[1]) * 1.25)
    sky += np.exp(-distance / 420)[..., None] * rgb(0.42, 0.24, 0.02)
    sky += np.exp(-distance / 120)[..., None] * rgb(0.5, 0.42, 0.25)
    sky = add_clouds(sky, up, distance, rng)
    disc = 1 - smoothstep(24, 38, np.hypot(x - SUN[0], y - SUN[1]))
    return sky + disc[..., None] * rgb(2.4, 2.0, 1.4)


def add_clouds(sky: Field, up: Field, distance: Field, rng: np.random.Generator) -> Field:
    """Clouds on a flat ceiling: they shrink and flatten towards the horizon."""
    _, x = pixel_grid(SHAPE)
    plane: Shape = (1024, 2048)
    cover = fractal_noise(plane, (80, 130), rng, 8, 0.56)
    reach = 1 / (up + 0.10)
    py = reach * 95
    px = (x - SHAPE[1] / 2) * reach * 0.22 + plane[1] / 2
    here, sunward = sample(cover, py, px), sample(cover, py + 9, px - 14)
    body = smoothstep(-0.06, 0.30, here)
    edge = np.clip(0.5 + 2.3 * (here - sunward) - 0.45 * (body - 0.5), 0, 1)
    near = np.exp(-distance / 620)
    glow = mix(rgb(0.98, 0.88, 0.86), rgb(1.45, 0.84, 0.46), np.clip(near * 1.5, 0, 1))
    shade = mix(rgb(0.32, 0.36, 0.50), rgb(0.70, 0.42, 0.40), near)
    return mix(sky, mix(shade, glow, edge), body * 0.88 * smoothstep(0.02, 0.25, up))


def slopes(height: Field) -> tuple[Field, Field, Field]:
    """The unit normals of the ground as east, up and towards the back."""
    dz, dx = np.gradient(height, TEXEL)
    length = np.sqrt(1 + dx * dx + dz * dz)
    return -dx / length, 1 / length, -dz / length


def wooded(height: Field, up: Field, rough: Field) -> Field:
    """How much of the ground is forest: the lower slopes, where they are not too steep."""
    return (1 - smoothstep(330, 620, height + 150 * rough)) * smoothstep(0.50, 0.66, up)


def ground_color(height: Field, up: Field, forest: Field, rough: Field, rng: np.random.Generator) -> Field:
    """Forest below, grass and rock above, snow on what is high and not too steep."""
    fine = fractal_noise((height.shape[0], height.shape[1]), 24, rng, 5, 0.65)
    rock = mix(rgb(0.25, 0.22, 0.21), rgb(0.46, 0.39, 0.34), np.clip(0.5 + fine, 0, 1))
    grass = mix(rgb(0.17, 0.19, 0.07), rgb(0.40, 0.32, 0.12), np.clip(0.5 + rough + fine, 0, 1))
    trees = mix(rgb(0.04, 0.075, 0.045), rgb(0.17, 0.18, 0.07), np.clip(0.4 + 1.2 * fine, 0, 1))
    color = mix(rock, grass, smoothstep(0.72, 0.86, up + 0.1 * fine) * (1 - smoothstep(700, 1100, height)))
    color = mix(color, trees, forest)
    line = height + 190 * rough + 160 * fine
    snow = smoothstep(800, 1150, line) * smoothstep(0.38, 0.56, up + 0.14 * fine)
    return mix(color, rgb(0.90, 0.91, 0.95), snow)


def light_land(height: Field, rng: np.random.Generator) -> Field:
    """The color of the ground under a low sun from the left and a blue sky from above."""
    shape = (height.shape[0], height.shape[1])
    rough = fractal_noise(shape, 160, rng, 4)
    forest = wooded(height, slopes(height)[1], rough)
    crowns = forest * (5.0 * smooth_noise(shape, 2.2, rng) + 5.0 * smooth_noise(shape, 5, rng))
    east, up, back = slopes(height + crowns)
    sun = np.clip(-0.88 * east + 0.34 * up - 0.33 * back, 0, 1)
    shadow = cast_shadows(height, 0.24)
    hollow = np.clip(1 + (height - blur(height, 12)) / 140, 0.5, 1.3)
    sky = (0.55 + 0.45 * up) * hollow
    light = (sun * shadow)[..., None] * SUNLIGHT * 1.75 + sky[..., None] * SKYLIGHT
    color = ground_color(height, slopes(height)[1], forest, rough, rng)
    return np.asarray(color * light, dtype=np.float32)


def haze(color: Field, view: View) -> Field:
    """Air between us and the mountains: blue, and golden towards the sun."""
    y, x = pixel_grid(SHAPE)
    toward = np.exp(-np.hypot(x - SUN[0], y - SUN[1]) / 520)
    air = mix(rgb(0.50, 0.58, 0.70), rgb(1.05, 0.74, 0.48), np.clip(1.25 * toward, 0, 1))
    low = np.exp(-np.clip(HORIZON - y, 0, None) / 170)
    amount = 1 - np.exp(-((view.distance / 17000) ** 1.3) * (0.75 + 1.0 * low + 1.1 * toward))
    return mix(color, air, amount)


def put(scene: Field, layer: Image.Image, rise: int = 0) -> Field:
    """Lay a drawn layer over the scene, shifted upwards by `rise` pixels."""
    pixels = np.roll(np.asarray(layer, np.float32) / 255, -rise, axis=0)
    # The layers are drawn in finished colors; this undoes what the film will do to them.
    color = -np.log(1 - 0.93 * pixels[..., :3] ** 1.05) / EXPOSURE
    return mix(scene, color, pixels[..., 3])


def wooded_point(left: float, right: float, base: float, tall: float, rng: np.random.Generator) -> Image.Image:
    """A spit of land with spruces, highest at the picture's edge."""
    layer = empty_layer(SHAPE)
    pen = ImageDraw.Draw(layer)
    outer = left if left <= 0 else right
    spots = rng.uniform(left, right, int((right - left) / 5.5))
    for row in np.sort(rng.uniform(0, 1, len(spots))):
        x = float(rng.choice(spots))
        inward = abs(x - outer) / (right - left)
        size = tall * (1.15 - 0.75 * inward) * rng.uniform(0.55, 1.1) * (0.8 + 0.25 * row)
        conifer(pen, x, base - 9 * (1 - row) * (1 - inward), size, rng)
    if outer == right:
        cabin(pen, left + 62, base - 3, 48)
    for _ in range(900):
        x = rng.uniform(left - 10, right + 10)
        pen.line((x, base - rng.uniform(0, 7), x + rng.uniform(4, 18), base + 1), (42, 36, 26, 255), 2)
    return layer


def foreground(rng: np.random.Generator) -> Image.Image:
    """A grassy bank at our feet and a tall tree at the right."""
    layer = empty_layer(SHAPE)
    pen = ImageDraw.Draw(layer)
    edge = bank_line(rng)
    points = [(float(x), float(edge[x])) for x in range(0, SHAPE[1], 4)]
    corners = [(SHAPE[1], points[-1][1]), (SHAPE[1], SHAPE[0]), (0, SHAPE[0])]
    pen.polygon([*points, *corners], fill=(26, 25, 13, 255))
    tree = Tree(np.random.default_rng(24))
    tree.grow(1880, 1405, -np.pi / 2 - 0.06, 268, 54)
    tree.paint(pen)
    plant_meadow(pen, edge, rng)
    return layer


def plant_meadow(pen: ImageDraw.ImageDraw, edge: Field, rng: np.random.Generator) -> None:
    """Grass and flowers from the water's edge down to the camera, taller the nearer they stand."""
    for share in np.sort(rng.uniform(0, 1, 9000)):
        x = int(rng.uniform(0, SHAPE[1] - 1))
        y = edge[x] + share * (SHAPE[0] + 30 - edge[x]) + 4
        clump = 1 + 0.9 * np.sin(x / 63) * np.sin(x / 171 + 1) + 1.3 * max(0.0, 1 - x / 420)
        tall = (14 + 50 * share) * clump * rng.uniform(0.5, 1.3)
        grass(pen, x, y, max(tall, 10), rng)
        if rng.random() < 0.022:
            flower(pen, x, y, 22 + 62 * share, rng)


def bank_line(rng: np.random.Generator) -> Field:
    """The upper edge of the bank for each column."""
    x = np.arange(SHAPE[1], dtype=np.float32)
    rough = fractal_noise((4, SHAPE[1]), (4, 150), rng)[0]
    edge = 1452 - 140 * smoothstep(900, 2000, x) - 60 * smoothstep(520, 0, x) + 16 * rough
    return np.asarray(edge, dtype=np.float32)


def add_water(scene: Field, mirror: Field, rng: np.random.Generator) -> Field:
    """A lake that mirrors what stands above it, broken by ripples that grow towards us."""
    y, x = pixel_grid((SHAPE[0] - SHORE, SHAPE[1]))
    near = y / y.max()
    ripples = lake_ripples(rng)
    swing = ripples * (3 + 34 * near)
    total = np.zeros((*y.shape, 3), np.float32)
    # Averaging a few heights blurs the image downwards, as small waves do.
    for spread in (-1.0, -0.4, 0.2, 0.7, 1.2):
        rows = SHORE - 1 - y * 0.97 + swing + spread * (2 + 16 * near)
        total += sample(mirror, rows, x + 0.25 * swing)
    clear = 0.80 - 0.34 * near + 0.10 * ripples
    water = mix(rgb(0.025, 0.055, 0.075), total / 5, np.clip(clear, 0, 1))
    water += sun_glitter(y, x, ripples, near)
    result = scene.copy()
    result[SHORE:] = water
    return result


def lake_ripples(rng: np.random.Generator) -> Field:
    """Ripples on a plane seen at a low angle: fine and dense far away, broad nearby."""
    shape: Shape = (SHAPE[0] - SHORE, SHAPE[1])
    y, _ = pixel_grid(shape)
    scale = np.log2(1.6 + 0.030 * y)
    ripples = np.zeros(shape, np.float32)
    for octave in range(6):
        size = 2.0**octave
        share = np.clip(1 - np.abs(scale - octave) / 1.5, 0, 1)
        ripples += share * smooth_noise(shape, (size, size * 5.5), rng)
    calm = smooth_noise(shape, (60, 700), rng)
    return np.asarray(ripples * np.clip(0.7 + 0.9 * calm, 0.12, 1.3), dtype=np.float32)


def sun_glitter(y: Field, x: Field, ripples: Field, near: Field) -> Field:
    """The sun's path on the water."""
    path = np.exp(-(((x - SUN[0]) / (34 + 120 * near)) ** 2))
    spark = smoothstep(0.10, 0.42, ripples + 0.28 * path - 0.12)
    strength = path * (spark * 1.5 + 0.12) * (1 - 0.6 * near)
    return np.asarray(strength[..., None] * rgb(1.15, 0.80, 0.42), dtype=np.float32)


def take_in(rng: np.random.Generator) -> Field:
    """The far scene: mountains under the evening sky."""
    height = raise_terrain(rng)
    view = look(height, SHAPE, HORIZON, FOCAL)
    land = haze(sample(light_land(height, rng), view.map_y, view.map_x), view)
    # The clouds have a seed of their own, which keeps them when the terrain is changed.
    return mix(paint_sky(np.random.default_rng(6)), land, view.land)


def draw(seed: int = 7) -> Image.Image:
    """Take the photograph."""
    rng = np.random.default_rng(seed)
    scene = take_in(rng)
    layers = [
        (wooded_point(1180, SHAPE[1] + 20, 915, 150, rng), 915),
        (wooded_point(-20, 330, 925, 110, rng), 925),
        (sailing_boat(760, 1010, 86), 1010),
    ]
    mirror = scene
    for layer, base in layers:
        mirror = put(mirror, layer, 2 * (base - SHORE))
    scene = add_water(scene, mirror, rng)
    for layer, _ in layers:
        scene = put(scene, layer)
    return to_image(develop(put(scene, foreground(rng)), rng), SIZE)


def sailing_boat(x: float, y: float, size: float) -> Image.Image:
    """A layer with the boat."""
    layer = empty_layer(SHAPE)
    boat(ImageDraw.Draw(layer), x, y, size)
    return layer


def develop(scene: Field, rng: np.random.Generator) -> Field:
    """Film: bright parts bloom and roll off, corners darken, and there is grain."""
    bloom = blur(np.clip(scene - 0.85, 0, None), 28)
    exposed = np.clip(scene + 0.5 * bloom, 0, None)
    toned = 1.04 * (1 - np.exp(-EXPOSURE * exposed)) - 0.02
    toned += 0.16 * (toned - toned.mean(axis=-1, keepdims=True))
    y, x = pixel_grid(SHAPE)
    corner = np.hypot((x / SHAPE[1] - 0.5) * 1.1, y / SHAPE[0] - 0.5)
    grain = 0.012 * smooth_noise(SHAPE, 2.0, rng) + 0.006 * smooth_noise(SHAPE, 4.0, rng)
    return np.asarray(toned * (1 - 0.32 * corner**2)[..., None] + grain[..., None], dtype=np.float32)
