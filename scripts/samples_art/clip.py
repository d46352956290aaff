"""The clip: a boat crosses a mountain lake while the camera drifts past reeds and the sun comes out."""

import subprocess
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np

from samples_art import tools
from samples_art.heights import HeightMap, camera_rays, march, mountains, normals, sunlight
from samples_art.tools import Array, blur, colour, f32, grid, mix, noise, sample, smoothstep

WIDTH, HEIGHT, RATE, SECONDS = 640, 360, 24, 4
FRAMES = RATE * SECONDS
HORIZON = 176.0  # the row where the lake meets the far shore
SUN = np.array([0.86, 0.02, 0.50], np.float32) / np.linalg.norm([0.86, 0.02, 0.50])
SUN_X, SUN_Y = 505.0, 46.0  # where the sun stands in the picture; it is too far to move with the camera
MARGIN = 90  # columns that a layer has beyond the picture on either side


@dataclass
class Layer:
    """A cut-out of the scene: premultiplied radiance in shade and what the sun adds, with coverage; [h, w, 5+]."""

    shade: Array
    sunny: Array
    cover: Array
    parallax: float  # columns that it moves while the camera passes by one unit


def _ridge(
    rng: np.random.Generator,
    wavelength: float,
    tall: float,
    distance: float,
    kind: str,
    swell: tuple[float, float, float],
) -> Layer:
    """Render one range of mountains or hills as a layer, lit from the right and veiled by the air before it."""
    peaks = mountains(rng, (512, 1024), wavelength, 8)
    y, x = np.mgrid[0:512, 0:1024].astype(np.float32)
    place, spread, floor = swell
    profile = floor + (1 - floor) * np.exp(-(((x / 1024 - place) / spread) ** 2))
    z = (peaks * 0.85 + 0.15) * tall * profile * smoothstep(0, 190, y) * smoothstep(512, 400, y) - 6
    trees = np.zeros_like(z)
    if kind != "rock":
        trees = np.clip(noise(rng, z.shape, 3.2, 2.0), 0, 2) * tall * 0.016 * smoothstep(4, 20, z)
    cell = distance / 700
    ground = HeightMap((z + trees).astype(np.float32), cell, -512 * cell, distance)
    columns, rows = WIDTH + 2 * MARGIN, int(HORIZON) + 8
    scale = 2
    # A lens of constant spread over the wider layer: columns as in the picture, so the layers agree.
    field = 2 * np.degrees(np.arctan(np.tan(np.radians(24)) * columns / WIDTH))
    rays = camera_rays(columns * scale, 2 * rows * scale, (0, 0, 14), (0, 1000, 14), field)[: (rows) * scale]
    flat = rays.reshape(-1, 3)
    origin = np.zeros_like(flat) + f32([0, 0, 14])
    t = march(ground, origin, flat, distance * 0.9, distance * 2.6, 700, cell * 0.35)
    hit = np.flatnonzero(np.isfinite(t) & (t * flat[:, 2] + 14 > 0))
    p = flat[hit] * t[hit, None] + origin[hit]
    n = ground.at(normals(ground), p[:, 0], p[:, 1])
    rough = np.stack(
        [
            sample(noise(rng, (512, 512), w, 1.8), p[:, 0] / cell * 3, (p[:, 1] * 0.6 + p[:, 2]) / cell * 3, True)
            for w in (40, 7)
        ],
        1,
    )
    n = n + 0.10 * np.stack([rough[:, 1], rough[:, 0], 0 * rough[:, 0]], 1)
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    level = p[:, 2] / tall
    if kind == "rock":
        rock = mix(colour("4f4a4c"), colour("97897c"), smoothstep(-1.6, 1.8, rough[:, 0] + 0.7 * rough[:, 1]))
        snow = smoothstep(0.30, 0.42, level + 0.03 * rough[:, 0] + 0.5 * (n[:, 2] - 0.6))
        meadow = mix(colour("4a5a34"), colour("7f8347"), smoothstep(-1, 1.4, rough[:, 0]))
        albedo = mix(rock, meadow, smoothstep(0.36, 0.16, level + 0.05 * rough[:, 0]) * smoothstep(0.45, 0.65, n[:, 2]))
        albedo = mix(albedo, colour("eef1f5"), snow)
    else:
        wood = mix(colour("1c2f22"), colour("5c6b2f"), smoothstep(-1.4, 2.2, rough[:, 0] + 0.9 * rough[:, 1]))
        autumn = mix(wood, colour("b5772a"), 0.75 * smoothstep(0.5, 1.6, rough[:, 0] - 0.3 * rough[:, 1]))
        rock = colour("8a8178") * (1 + 0.15 * rough[:, :1])
        albedo = mix(autumn, rock, smoothstep(0.50, 0.40, n[:, 2]))
    sun = sunlight(ground, p + n * cell * 0.8, SUN, tall * 3, 40, 6) * np.clip(n @ SUN, 0, 1)
    air = (1 - np.exp(-t[hit] / 15000 * (1 + 1.1 * np.exp(-p[:, 2] / 160))))[:, None]
    dome = 0.55 + 0.45 * n[:, 2:3]
    shade = albedo * dome * colour("8fa6c8") * 0.55 * (1 - air) + colour("7f97b4") * 0.42 * air
    sunny = albedo * sun[:, None] * colour("ffd49a") * 2.9 * (1 - air) + colour("ffc489") * 0.30 * air
    sunny += albedo * dome * colour("ffe0b8") * 0.12 * (1 - air)
    traced = np.zeros((len(flat), 7), np.float32)
    traced[hit] = np.concatenate([shade, sunny, np.ones((len(hit), 1))], 1)
    cut: Array = traced.reshape(rows * scale, columns * scale, 7)
    cut = np.dstack([tools.shrink(cut[..., i], columns, rows) for i in range(7)])
    return Layer(cut[..., :3].copy(), cut[..., 3:6].copy(), cut[..., 6].copy(), 0.0)


def _fir(rng: np.random.Generator, tall: int) -> Array:
    """Draw a fir, lit from the right: premultiplied [tall, tall * 0.6, 7] as in `Layer`."""
    scale = 2
    h, w = tall * scale, int(tall * 0.6) * scale
    x, y = grid(h, w)
    x, y = (x / w - 0.5) * 2, y / h
    lean = rng.normal(0, 0.03)
    tiers = rng.integers(9, 14)
    phase = y * tiers + 0.6 * noise(rng, (h, w), tall / 2)
    reach = (0.06 + 0.82 * y**0.85) * (0.62 + 0.38 * (phase % 1)) * (1 + 0.10 * np.sin(y * 23 + rng.uniform(0, 6)))
    ragged = noise(rng, (h, w), max(tall / 9, 3), 1.6)
    inside = smoothstep(0.10, -0.06, np.abs(x - lean * y) - reach * (1 + 0.30 * ragged)) * (y < 0.95)
    inside *= 0.72 + 0.28 * smoothstep(-1.2, 0.3, ragged + 0.8)
    extractor = (np.abs(x) < 0.05) & (y > 0.88)
    cover = np.clip(inside + extractor, 0, 1)
    needles = mix(colour("13241c"), colour("39512a"), smoothstep(-1.5, 2, ragged + 1.2 * ((phase % 1) - 0.5)))
    needles = mix(needles, colour("2c1f18"), np.float32(extractor))
    side = np.clip(0.45 + 0.65 * (x / np.maximum(reach, 0.05)) + 0.22 * ragged - 0.35 * ((1 - phase) % 1), 0, 1)
    shade = needles * colour("8fa6c8") * 0.62
    sunny = needles * colour("ffd49a") * (2.6 * side**1.5)[..., None]
    cut = np.dstack([shade * cover[..., None], sunny * cover[..., None], cover])
    return np.dstack([tools.shrink(cut[..., i], w // scale, h // scale) for i in range(7)])


def _over(layer: Layer, sprite: Array, x: int, y: int, air: float = 0.0) -> None:
    """Lay a premultiplied sprite [h, w, 7] over a layer with its foot at row y and its middle at column x."""
    h, w = sprite.shape[:2]
    top, left = y - h, x - w // 2
    t, b, r0, r1 = max(top, 0), min(y, layer.cover.shape[0]), max(left, 0), min(left + w, layer.cover.shape[1])
    if t >= b or r0 >= r1:
        return
    cut = sprite[t - top : b - top, r0 - left : r1 - left]
    a = cut[..., 6:7]
    place = np.s_[t:b, r0:r1]
    layer.shade[place] = layer.shade[place] * (1 - a) + cut[..., :3] * (1 - air) + colour("7f97b4") * 0.42 * air * a
    layer.sunny[place] = layer.sunny[place] * (1 - a) + cut[..., 3:6] * (1 - air) + colour("ffc489") * 0.30 * air * a
    layer.cover[place] = layer.cover[place] * (1 - a[..., 0]) + a[..., 0]


def _empty(parallax: float, extra: int) -> Layer:
    """Return an empty layer with `extra` columns on either side."""
    shape = int(HORIZON) + 40, WIDTH + 2 * extra
    return Layer(
        np.zeros((*shape, 3), np.float32), np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32), parallax
    )


def _bank(layer: Layer, rng: np.random.Generator, foot: Array, tall: Array, rock: str) -> None:
    """Fill a strip of land: rows from foot - tall down to foot, per column, with grass above and stones below."""
    h, w = layer.cover.shape
    _x, y = grid(h, w)
    texture = noise(rng, (h, w), 9, 1.7)
    coarse = noise(rng, (h, w), 40, 2.6)[:1]  # one value per column, or the top would break up into islands
    top = foot - tall * (1 + 0.12 * coarse)
    cover = smoothstep(-0.6, 0.6, y - top) * smoothstep(0.8, -0.8, y - foot - 0.8 * texture) * (tall > 0.3)
    down = np.clip((y - top) / np.maximum(tall, 1), 0, 1)
    grass = mix(colour("34421f"), colour("7d7a3a"), smoothstep(-1.3, 1.6, texture + coarse))
    stone = mix(colour("3f3b38"), colour(rock), smoothstep(-1.2, 1.5, texture * 1.2 + 0.4 * coarse))
    albedo = mix(grass, stone, smoothstep(0.45, 0.75, down + 0.16 * texture))
    albedo = albedo * (0.55 + 0.45 * smoothstep(1.0, 0.86, down))[..., None]
    relief = np.clip(0.5 - 0.5 * np.gradient(blur(texture, 1), axis=1) * 3, 0, 1.3)
    cut = np.dstack(
        [albedo * colour("8fa6c8") * 0.62, albedo * colour("ffd49a") * 2.4 * relief[..., None] * 0.8, np.ones((h, w))]
    )
    _over(layer, (cut * cover[..., None]).astype(np.float32), w // 2, h)


def _cabin(rng: np.random.Generator, wide: int) -> Array:
    """Draw a red wooden cabin with a white-framed window and a stone chimney: premultiplied [h, w, 7]."""
    s = 4
    h, w = int(wide * 0.95) * s, wide * s
    x, y = grid(h, w)
    x, y = x / w, y / w
    grain = noise(rng, (h, w), 5 * s, 1.8)
    planks = 0.82 + 0.18 * (np.sin(x * wide * 2.4) > -0.6) + 0.06 * grain
    front = (x > 0.55) & (x < 0.93) & (y < 0.94) & (y > 0.40 - 0.0 + np.abs(x - 0.74) * 0.95 - 0.22)
    flank = (x > 0.08) & (x <= 0.55) & (y > 0.44) & (y < 0.94)
    lean = (0.44 - y) * 0.45
    roof = (y > 0.17) & (y < 0.47) & (x > 0.03 + lean) & (x < 0.55 + (0.44 - y) * 0.68)
    edge = (x > 0.52) & (np.abs(y - (0.17 + np.abs(x - 0.74) * 1.12)) < 0.035) & (x < 0.98)
    chimney = (np.abs(x - 0.33) < 0.045) & (y > 0.05) & (y < 0.22)
    red, pale = colour("a03a2a"), colour("ece4d4")
    albedo = np.zeros((h, w, 3), np.float32)
    light = np.zeros((h, w), np.float32)
    own = np.zeros((h, w, 3), np.float32)
    for mask, paint, sun in (
        (chimney, colour("8b7d70"), 0.8),
        (flank, red * 0.8, 0.18),
        (front, red, 0.95),
        (roof, colour("4b4744"), 0.55),
        (edge, pale, 0.8),
    ):
        albedo[mask] = (planks[..., None] * paint)[mask]
        light[mask] = sun
    for cx, cy, r in ((0.20, 0.66, 0.065), (0.41, 0.66, 0.065), (0.74, 0.66, 0.06)):
        frame = (np.abs(x - cx) < r) & (np.abs(y - cy) < r * 1.25)
        pane = (np.abs(x - cx) < r * 0.72) & (np.abs(y - cy) < r * 0.95)
        albedo[frame] = pale
        albedo[pane] = colour("2a2d33")
        own[pane] = colour("ffb85a") * 0.5
    cover = (front | flank | roof | edge | chimney).astype(np.float32)
    cut = np.dstack([albedo * colour("8fa6c8") * 0.6 + own, albedo * colour("ffd49a") * 2.3 * light[..., None], cover])
    cut *= cover[..., None]
    return np.dstack([tools.shrink(cut[..., i].astype(np.float32), w // s, h // s) for i in range(7)])


def _scenery(rng: np.random.Generator) -> list[Layer]:
    """Return the layers behind the water's edge, farthest first."""
    layers = []
    for wavelength, tall, distance, kind, swell, parallax in (
        (330, 2750, 9000, "rock", (0.40, 0.17, 0.38), 6.0),
        (240, 820, 4200, "wood", (0.72, 0.20, 0.22), 14.0),
        (200, 330, 2300, "wood", (0.18, 0.20, 0.10), 24.0),
    ):
        layer = _ridge(rng, wavelength, tall, distance, kind, swell)
        layer.parallax = parallax
        layers.append(layer)
    shore = _empty(38.0, MARGIN)
    w = shore.cover.shape[1]
    x = np.arange(w, dtype=np.float32)
    bumps = noise(rng, (1, w), 60, 3)[0]
    tall = np.clip(3.5 + 4 * bumps + 10 * smoothstep(520, 760, x) + 8 * smoothstep(330, 120, x), 1.5, 30)
    firs = [_fir(rng, int(t)) for t in (23, 25, 27, 30, 34, 40)]
    _bank(shore, rng, np.full(w, HORIZON + 1.5, np.float32), tall, "8d8377")
    for _ in range(330):
        column = int(rng.uniform(0, w))
        dense = smoothstep(560, 700, np.float32(column)) + smoothstep(330, 200, np.float32(column))
        if rng.random() < 0.12 + 0.88 * dense:
            size = rng.choice(len(firs), p=[0.25, 0.25, 0.2, 0.15, 0.1, 0.05])
            rise = rng.uniform(0, 1) ** 1.5 * tall[column]
            _over(shore, firs[size], column, int(HORIZON - 0.5 - rise), 0.22)
    layers.append(shore)
    return layers


def _island(rng: np.random.Generator) -> Layer:
    """Return the near island: rocks, tall firs and a cabin, at its own distance."""
    island = _empty(95.0, 190)
    w = island.cover.shape[1]
    x = np.arange(w, dtype=np.float32)
    centre = 400.0
    bumps = noise(rng, (1, w), 40, 2.5)[0]
    tall = np.clip(17 * (1 - ((x - centre) / 118) ** 2) + 2.2 * bumps, 0, 40)
    foot = np.full(w, HORIZON + 19, np.float32) - 5 * ((x - centre) / 118) ** 2
    _bank(island, rng, foot.astype(np.float32), tall, "a2978a")
    for offset, size in (
        (-70, 46),
        (-52, 68),
        (-30, 88),
        (-12, 74),
        (2, 104),
        (22, 60),
        (-84, 30),
        (-40, 58),
        (88, 34),
        (78, 48),
    ):
        column = int(centre + offset)
        _over(island, _fir(rng, size), column, int(foot[column] - tall[column] * rng.uniform(0.55, 0.9)), 0.05)
    _over(island, _cabin(rng, 46), int(centre + 50), int(HORIZON + 8), 0.03)
    for offset, size in ((26, 40), (80, 30), (-62, 34), (-5, 30)):
        column = int(centre + offset)
        _over(island, _fir(rng, size), column, int(foot[column] - 3), 0.03)
    return island


class Sky:
    """The sky and its clouds, which drift and catch the sun as it comes out."""

    def __init__(self, rng: np.random.Generator) -> None:
        shape = 512, 1024
        self.big = noise(rng, shape, 190, 3.8)
        self.fine = noise(rng, shape, 50, 3.2)
        x, y = grid(HEIGHT, WIDTH)
        up = np.clip((HORIZON + 6 - y) / HORIZON, 0.0, 1.1)
        self.up = up
        self.u = (x - WIDTH / 2) * (0.42 + 0.5 / (up + 0.35)) + 512
        self.v = 120 / (up + 0.22)
        self.sun = np.hypot(x - SUN_X, (y - SUN_Y) * 1.15)

    def at(self, time: float, shine: float) -> Array:
        """Return the radiance [HEIGHT, WIDTH, 3] at a time in 0..1 with the sun out by `shine` in 0..1."""
        up = self.up
        cool = mix(colour("b9c2cc") * 0.62, colour("3f6799") * 0.44, up**0.7)
        warm = mix(colour("ffcf94") * 1.05, colour("4a7cb8") * 0.62, up**0.55)
        sky = mix(cool, warm, shine)
        glow = np.exp(-self.sun / 42) * 1.9 + np.exp(-self.sun / 120) * 0.75
        sky = sky + colour("ffc27a") * (glow * (0.22 + 0.78 * shine))[..., None]
        sky = sky + colour("fff0cf") * (9 * smoothstep(15, 11, self.sun) * shine)[..., None]
        u, v = self.u - 46 * time, self.v
        thick = sample(self.big, u, v, True) + 0.30 * sample(self.fine, u + 10 * time, v * 1.3, True)
        toward_x, toward_y = (SUN_X - self.u + 192) * 0.05, -9.0
        behind = sample(self.big, u + np.clip(toward_x, -16, 16), v + toward_y, True)
        behind = behind + 0.30 * sample(
            self.fine, u + 10 * time + np.clip(toward_x, -7, 7), (v + toward_y / 2) * 1.3, True
        )
        veil = np.exp(-((self.sun / 70) ** 2)) * (1.6 - 2.6 * shine)  # the cloud before the sun moves off
        thick = thick + veil + 0.15
        cover = smoothstep(-0.25, 1.7, thick) * smoothstep(0.0, 0.12, up)
        edge = np.clip(0.55 - 0.7 * (behind - thick + veil + 0.15), 0.05, 1.3)
        dark = mix(colour("76818f") * 0.55, colour("8a7f92") * 0.55, shine)
        bright = mix(colour("cdd3da") * 0.55, colour("ffd5a2") * 1.5, shine)
        near = np.exp(-self.sun / 150)[..., None] * colour("ffb873") * (0.25 + 1.3 * shine)
        cloud = dark + (bright + near) * (edge**1.5)[..., None]
        return mix(sky, cloud, cover * 0.94)


class Lake:
    """The water: it mirrors what stands above it in moving ripples that are small far off and long close by."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.top = int(HORIZON)
        y, x = np.mgrid[self.top : HEIGHT, 0:WIDTH].astype(np.float32)
        self.x, self.y = x, y
        self.depth = 900.0 / (y - HORIZON + 2.2)  # how far off the water of a row lies
        self.waves = [noise(rng, (512, 512), w, b) for w, b in ((60, 2.6), (26, 2.2), (11, 2.0))]
        self.breeze = noise(rng, (256, 256), 60, 3)

    def mirror(
        self, scene: Array, standing: list[tuple[Array, float]], time: float, camera: float, shine: float
    ) -> Array:
        """Return the radiance [rows, WIDTH, 3] of the lake below a scene [HEIGHT, WIDTH, 3].

        `standing` lists cut-outs [HEIGHT, WIDTH, 4] of what stands in the water, each with the row it stands on.
        """
        far = self.depth
        u = (self.x - WIDTH / 2) * far / 60 + camera * 9.0
        v = far * 7.5
        a, b, c = self.waves
        slow, fast = time * 46, time * 70
        tilt = 0.55 * sample(a, u * 0.9 + slow, v * 0.9 - slow, True) + 0.40 * sample(
            b, u * 1.1 - fast * 0.6, v - fast, True
        )
        near = smoothstep(70, 14, far)
        tilt = tilt + 0.34 * near * sample(c, u * 1.5 + fast, v * 1.4 - fast, True)
        slide = 0.5 * sample(b, u + fast, v * 0.8 + slow, True) + 0.4 * sample(a, v * 0.7 + slow, u * 0.7, True)
        calm = 0.55 + 0.45 * sample(self.breeze, u * 0.05 + 30, v * 0.16 + time * 2, True)
        gain = (1.2 + 26 / (0.12 * far + 1)) * np.clip(calm, 0.2, 1.6)
        lift = (tilt - 0.30) * gain
        column = self.x + slide * gain * 0.35
        row = 2 * HORIZON - self.y - 1 + lift
        row = np.clip(np.where(row > HORIZON - 1, 2 * (HORIZON - 1) - row, row), 0, HORIZON - 1)
        mirrored = cv2.remap(scene, column, row, cv2.INTER_LINEAR, None, cv2.BORDER_REFLECT)
        for cut, foot in standing:
            row = 2 * foot - self.y + lift * smoothstep(0, 12, self.y - foot)
            found = cv2.remap(cut, column, row, cv2.INTER_LINEAR, None, cv2.BORDER_CONSTANT)
            found *= (self.y > foot - 1)[..., None]
            mirrored = mirrored * (1 - found[..., 3:]) + found[..., :3]
        grazing = np.exp(-(self.y - HORIZON) / 115)
        fresnel = np.clip(0.24 + 0.62 * grazing + 0.14 * tilt, 0.12, 0.95)
        body = mix(colour("16333a") * 0.55, colour("23525a") * 0.75, np.float32(shine))
        water = mix(body + 0 * mirrored, mirrored * 0.92, fresnel)
        path = np.exp(-(((self.x - SUN_X) / (26 + (self.y - HORIZON) * 0.42)) ** 2))
        glint = smoothstep(0.62, 1.5, tilt + 0.45 * slide) * path * shine
        water = water + colour("ffcf8f") * (3.0 * glint)[..., None]
        crest = smoothstep(0.8, 2.0, tilt) * near * 0.10
        return water + crest[..., None] * mix(colour("a9bccd"), colour("ffdcb0"), np.float32(shine))


def _shift(image: Array, columns: float) -> Array:
    """Move an image to the left by a fraction of columns and cut it to the picture's width."""
    offset = f32([[1, 0, -columns], [0, 1, 0]])
    return cv2.warpAffine(image, offset, (WIDTH, image.shape[0]), flags=cv2.INTER_CUBIC)


def _light_map(field: Array, rows: int, time: float, shine: float, drift: float) -> Array:
    """Return how much sun reaches each place [rows, WIDTH]: the shadow of the clouds moves off to the left."""
    x, y = grid(rows, WIDTH)
    patch = sample(field, x * 0.35 + drift + time * 46, y * 0.6 + drift, True)
    front = (x - WIDTH) / WIDTH * 0.8 + 1.9 * shine - 0.28
    return np.clip(smoothstep(-0.12, 0.42, front + 0.13 * patch), 0, 1) * (
        0.25 + 0.75 * smoothstep(0.05, 0.6, np.float32(shine))
    )


def _boat(x: float, foot: float, size: float, time: float, shine: float) -> Array:
    """Draw the sailing boat, heeling a little: a premultiplied cut-out [HEIGHT, WIDTH, 4]."""
    s = 3
    h, w = int(size * 1.45) * s, int(size * 1.2) * s
    u, v = grid(h, w)
    heel = 0.055 + 0.018 * np.sin(time * 9)
    v = (h - v) / (size * s)
    u = (u - w / 2) / (size * s) - v * heel
    v = v - 0.035 + 0.012 * np.sin(time * 11 + 0.8) - 0.02 * np.sin(time * 9) * u
    picture = np.zeros((h, w, 3), np.float32)
    mask = np.zeros((h, w), np.float32)
    light = 0.35 + 0.95 * shine
    cool, warm = colour("93a5bd") * 0.62, colour("ffd09a") * 1.75

    def lay(shape: Array, albedo: Array, lit: Array | float) -> None:
        nonlocal picture, mask
        radiance = albedo * (cool + warm * np.asarray(lit * light, np.float32)[..., None])
        picture, mask = mix(picture, radiance, shape), np.maximum(mask, shape)

    def edge(x: Array) -> Array:
        return smoothstep(-0.006, 0.006, x)

    rise = np.clip((v - 0.17) / 1.10, 0, 1)
    leech = 0.005 - 0.40 * (1 - rise) ** 0.92 - 0.05 * np.sin(rise * np.pi)
    main = edge(0.0 - u) * edge(u - leech) * edge(v - 0.17) * edge(1.26 - v)
    belly = np.clip((u - leech) / np.maximum(-leech, 0.02), 0, 1)
    seams = 1 - 0.07 * (np.abs(((v * 1.0 + 0.25 * u) * 7.5) % 1 - 0.5) < 0.05)
    creases = 1 + 0.05 * np.sin((v * 14 + u * 22) + 2 * np.sin(v * 6)) + 0.03 * np.sin(u * 60 - v * 30)
    lay(main, colour("efe3cc") * (seams * creases)[..., None], 0.30 + 0.62 * belly**0.8)
    up = np.clip((v - 0.14) / 0.92, 0, 1)
    luff = 0.035 + 0.40 * (1 - up)
    clew = 0.03 + 0.02 * np.sin(up * np.pi)
    jib = (
        edge(luff - u + 0.02 * np.sin(up * np.pi)) * edge(u - clew - 0.04 * (1 - up)) * edge(v - 0.14) * edge(1.05 - v)
    )
    fold = np.clip((u - clew) / np.maximum(luff - clew, 0.02), 0, 1)
    lay(jib, colour("b5472f") * (creases * seams)[..., None], 0.45 + 0.55 * np.sin(fold * 2.4))
    lay(edge(0.009 - np.abs(u)) * edge(v - 0.08) * edge(1.32 - v), colour("6d4a30") + 0 * u[..., None], 0.6)
    lay(edge(0.008 - np.abs(v - 0.165)) * edge(u + 0.42) * edge(0.01 - u), colour("6d4a30") + 0 * u[..., None], 0.5)
    sheer = 0.105 + 0.16 * (u - 0.02) ** 2
    keel = -0.01 + 0.16 * np.clip(np.abs(u) - 0.30, 0, 1) ** 1.3
    hull = edge(sheer - v) * edge(v - keel) * edge(0.50 - u + 0.35 * (v - 0.1)) * edge(u + 0.43 - 0.2 * (v - 0.1))
    plank = 1 - 0.12 * (np.abs((v * 46) % 1 - 0.5) < 0.1)
    lay(hull, colour("e9e0cf") * plank[..., None], 0.25 + 0.7 * np.clip(v / 0.1, 0, 1))
    lay(hull * edge(v - sheer + 0.022), colour("8a5a34") + 0 * u[..., None], 0.8)
    lay(hull * edge(0.026 - v), colour("2f4f63") + 0 * u[..., None], 0.3)
    for cx, cy, r, paint in ((-0.26, 0.175, 0.032, "31506e"), (-0.25, 0.228, 0.02, "d9a27c")):
        lay(edge(r - np.hypot((u - cx) * 1.25, v - cy)), colour(paint) + 0 * u[..., None], 0.7)
    small = np.dstack([picture * mask[..., None], mask])
    small = tools.shrink(small, w // s, h // s)
    matrix = f32([[1, 0, x - small.shape[1] / 2], [0, 1, foot - small.shape[0]]])
    return cv2.warpAffine(small, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)


@dataclass
class Reeds:
    """Blades of reed along the near edge: where they stand, how tall they are, how they bend and their colour."""

    x: Array
    foot: Array
    tall: Array
    lean: Array
    phase: Array
    tint: Array
    head: np.ndarray
    near: Array

    def draw(self, picture: Array, time: float, camera: float, shine: float) -> Array:
        """Return the picture with the reeds before it, drawn larger and averaged down, a little out of focus."""
        s = 2
        h0 = 190
        large = np.zeros(((HEIGHT - h0) * s, WIDTH * s, 4), np.float32)
        t = np.linspace(0, 1, 9, dtype=np.float32)
        for i in np.argsort(self.near):
            x = self.x[i] - camera * (135 + 70 * self.near[i])
            if not -60 < x < WIDTH + 60:
                continue
            gust = np.sin(time * 7.5 + self.x[i] * 0.012) * 0.6 + np.sin(time * 17 + self.phase[i]) * 0.25
            bend = (self.lean[i] + 0.16 * gust) * self.tall[i]
            px, py = x + bend * t**2, self.foot[i] - self.tall[i] * (t - 0.10 * t**2)
            side = 0.35 + 0.65 * (0.5 + 0.5 * np.sin(self.phase[i] * 5))
            light = colour("93a8c4") * 0.42 + colour("ffca86") * (1.5 * side * shine)
            line = np.stack([px, py - h0], 1) * s
            for j in range(8):
                wide = max(int((1 + 2.6 * self.near[i]) * s * (1 - t[j]) ** 0.7 + 0.6), 1)
                tone = self.tint[i] * light * (0.45 + 0.75 * t[j])
                a, b = (tuple(np.round(q * 8).astype(int).tolist()) for q in (line[j], line[j + 1]))
                cv2.line(large, a, b, (*tone.tolist(), 1.0), wide, cv2.LINE_AA, 3)
            if self.head[i]:
                a, b = (tuple(np.round(q * 8).astype(int).tolist()) for q in (line[7], line[8]))
                tone = colour("6b4324") * light * 1.2
                cv2.line(large, a, b, (*tone.tolist(), 1.0), int((3 + 3 * self.near[i]) * s), cv2.LINE_AA, 3)
        small = blur(tools.shrink(large, WIDTH, HEIGHT - h0), 0.7)
        cover = np.clip(small[..., 3:], 0, 1)
        picture[h0:] = picture[h0:] * (1 - cover) + small[..., :3]
        return picture


def _reeds(rng: np.random.Generator) -> Reeds:
    """Plant the reeds: two thick clumps and a thin line between them."""
    n = 620
    x = np.concatenate(
        [rng.normal(30, 75, n // 3), rng.normal(665, 80, n // 3), rng.uniform(-60, 900, n - 2 * (n // 3))]
    )
    clump = np.exp(-(((x - 30) / 110) ** 2)) + np.exp(-(((x - 665) / 105) ** 2))
    near = rng.random(n) ** 1.5
    tall = rng.uniform(24, 56, n) + clump * rng.uniform(20, 160, n)
    tint = mix(colour("4f6b2c"), colour("c2a552"), rng.random(n).astype(np.float32))
    return Reeds(
        x.astype(np.float32),
        (HEIGHT + 6 + 10 * near).astype(np.float32),
        tall.astype(np.float32),
        rng.normal(0.10, 0.16, n).astype(np.float32),
        rng.uniform(0, 6.28, n).astype(np.float32),
        tint,
        (rng.random(n) < 0.10) & (tall > 60),
        near.astype(np.float32),
    )


def _birds(picture: Array, time: float, shine: float) -> None:
    """Draw five gulls that cross the sky, each beating its wings in its own time."""
    mask = np.zeros((HEIGHT * 2, WIDTH * 2), np.uint8)
    for i, (x0, y0, size) in enumerate(((90, 92, 8.5), (122, 80, 7), (66, 74, 6.2), (150, 100, 5.6), (104, 112, 5.2))):
        x, y = x0 + 165 * time, y0 - 26 * time + 3 * np.sin(time * 6 + i)
        beat = np.sin(time * 26 + i * 1.7)
        wing = [
            (-1, -0.55 * beat),
            (-0.45, -0.35 - 0.15 * beat),
            (0, 0),
            (0.45, -0.35 - 0.15 * beat),
            (1, -0.55 * beat),
        ]
        points = np.round((f32(wing) * size + (x, y)) * 2 * 8).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(mask, [points], False, 255, 2, cv2.LINE_AA, 3)
    a = tools.shrink(mask.astype(np.float32) / 255, WIDTH, HEIGHT) * 0.85
    picture[:] = mix(picture, mix(colour("2c3440") * 0.5, colour("4a3a34") * 0.8, np.float32(shine)) + 0 * picture, a)


def frames(seed: int = 7, count: int = FRAMES) -> Iterator[np.ndarray]:
    """Yield the clip's frames, uint8 RGB [HEIGHT, WIDTH, 3]; fewer frames span the same four seconds."""
    rng = np.random.default_rng(seed)
    layers = _scenery(rng)
    island = _island(rng)
    sky, lake, reeds = Sky(rng), Lake(rng), _reeds(rng)
    shadow = noise(rng, (512, 512), 110, 3)
    grain_rng = np.random.default_rng(seed + 1)
    x, y = grid(HEIGHT, WIDTH)
    corner = (((x / WIDTH - 0.5) ** 2 + (y / HEIGHT - 0.5) ** 2) * 2)[..., None]
    for number in range(count):
        time = number / max(count - 1, 1)
        camera = time - 0.5 + 0.015 * np.sin(time * 6)
        shine = float(smoothstep(0.12, 0.82, np.float32(time)))
        yield _frame(layers, island, sky, lake, reeds, shadow, corner, grain_rng, time, camera, shine)


def _place(picture: Array, layer: Layer, sun: Array, camera: float) -> None:
    """Lay a layer over the picture with the sun it gets."""
    extra = (layer.cover.shape[1] - WIDTH) // 2
    move = extra + layer.parallax * camera
    rows = layer.cover.shape[0]
    shade, sunny, cover = (_shift(part, move) for part in (layer.shade, layer.sunny, layer.cover))
    radiance = np.clip(shade + sunny * sun[:rows, :, None], 0, None)
    cover = np.clip(cover, 0, 1)[..., None]
    if picture.shape[2] == 4:  # a cut-out keeps its own coverage
        radiance = np.concatenate([radiance, cover], 2)
    picture[:rows] = picture[:rows] * (1 - cover) + radiance


def _frame(
    layers: list[Layer],
    island: Layer,
    sky: Sky,
    lake: Lake,
    reeds: Reeds,
    shadow: Array,
    corner: Array,
    grain_rng: np.random.Generator,
    time: float,
    camera: float,
    shine: float,
) -> np.ndarray:
    """Compose one frame from back to front and develop it."""
    picture = sky.at(time, shine)
    for i, layer in enumerate(layers):
        _place(picture, layer, _light_map(shadow, HEIGHT, time, shine, 70.0 * i), camera)
    boat_x, boat_size = 60 + 430 * time, 118.0
    boat = _boat(boat_x, HORIZON + 46, boat_size, time, shine)
    nearby = _light_map(shadow, HEIGHT, time, shine, 300.0)
    near = np.zeros((HEIGHT, WIDTH, 4), np.float32)
    _place(near, island, nearby, camera)
    picture[lake.top :] = lake.mirror(picture, [(near, HORIZON + 15), (boat, HORIZON + 46)], time, camera, shine)
    _birds(picture, time, shine)
    for cut in (near, boat):
        picture = picture * (1 - cut[..., 3:]) + cut[..., :3]
    mist = np.exp(-(((grid(HEIGHT, WIDTH)[1] - HORIZON) / 9) ** 2)) * 0.16
    picture = mix(picture, mix(colour("9fb0c4") * 0.5, colour("ffd3a0") * 0.8, np.float32(shine)) + 0 * picture, mist)
    picture = reeds.draw(picture, time, camera, shine)
    picture = tools.bloom(picture.astype(np.float32), 4, 0.10 + 0.10 * shine, 1.0)
    picture = tools.to_srgb(tools.filmic(picture * 0.95 * (1 - 0.45 * corner**1.4)))
    grain = blur(grain_rng.standard_normal((HEIGHT, WIDTH)).astype(np.float32), 0.7)
    return tools.to_bytes(picture + 0.009 * grain[..., None])


def sound(seed: int = 7, rate: int = 48000) -> Array:
    """Return four seconds of stereo sound in -1..1, shape [samples, 2]: water, wind, and a few soft notes."""
    rng = np.random.default_rng(seed)
    n = rate * SECONDS
    t = np.arange(n) / rate

    def hiss(low: float, high: float, slope: float) -> np.ndarray:
        spectrum = np.fft.rfft(rng.standard_normal(n))
        f = np.fft.rfftfreq(n, 1 / rate)
        spectrum *= (f > low * 0.3) * np.exp(-((low / np.maximum(f, 1)) ** 2)) * np.exp(-((f / high) ** 2))
        out = np.fft.irfft(spectrum / np.maximum(f, 20) ** slope, n)
        return out / np.abs(out).max()

    out = np.zeros((n, 2))
    for channel in range(2):
        lap = (
            0.45 + 0.35 * np.sin(2 * np.pi * (0.55 * t + 0.13 * channel)) + 0.2 * np.sin(2 * np.pi * 1.3 * t + channel)
        )
        swell = 0.6 + 0.4 * np.sin(2 * np.pi * 0.21 * t - 0.8 + 0.5 * channel)
        out[:, channel] += 0.16 * hiss(300, 2600, 0.5) * np.clip(lap, 0, 1) ** 1.6
        out[:, channel] += 0.15 * hiss(90, 520, 0.9) * swell
    for start, pitch, loud in (
        (0.25, 293.66, 0.8),
        (0.95, 369.99, 0.7),
        (1.6, 440.0, 0.75),
        (2.15, 587.33, 0.9),
        (2.15, 146.83, 0.7),
        (2.9, 554.37, 0.5),
        (3.1, 440.0, 0.5),
    ):
        age = np.clip(t - start, 0, None)
        shape = (1 - np.exp(-age * 40)) * np.exp(-age * 1.5) * (t >= start)
        tone = sum(
            np.sin(2 * np.pi * pitch * k * age * (1 + 0.0004 * k * k)) * a * np.exp(-age * k)
            for k, a in ((1, 1.0), (2, 0.35), (3, 0.14), (4, 0.06))
        )
        pan = 0.5 + 0.25 * np.sin(pitch)
        out += 0.13 * loud * (shape * tone)[:, None] * (1 - pan, pan)
    fade = np.clip(np.minimum(t / 0.25, (SECONDS - t) / 0.5), 0, 1)[:, None]
    out *= fade
    return (out * 0.6 / np.abs(out).max()).astype(np.float32)


def write(path: Path, seed: int = 7) -> None:
    """Draw the clip and encode it: H.264 with bt709 tags, AAC sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        track = Path(folder) / "sound.wav"
        with wave.open(str(track), "wb") as out:
            out.setnchannels(2)
            out.setsampwidth(2)
            out.setframerate(48000)
            out.writeframes((sound(seed) * 32767).astype("<i2").tobytes())
        tags = "color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error"]
        command += [
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-s",
            f"{WIDTH}x{HEIGHT}",
            "-r",
            str(RATE),
            "-i",
            "-",
            "-i",
            str(track),
        ]
        command += [
            "-vf",
            f"scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd,setparams={tags}",
            "-pix_fmt",
            "yuv420p",
        ]
        command += ["-c:v", "libx264", "-preset", "veryslow", "-crf", "23", "-threads", "1", "-bf", "2", "-g", "48"]
        command += ["-c:a", "aac", "-b:a", "128k", "-shortest", "-movflags", "+faststart", str(path)]
        encoder = subprocess.Popen(command, stdin=subprocess.PIPE)
        assert encoder.stdin is not None
        for frame in frames(seed):
            encoder.stdin.write(frame.tobytes())
        encoder.stdin.close()
        if encoder.wait():
            raise RuntimeError(f"FFmpeg could not write {path}")
