"""A cubist still life: a bottle, a jug and fruit broken into facets, each shaded and brushed in its own direction."""

import cv2
import numpy as np

from samples_art import tools
from samples_art.paint import gradient, strokes
from samples_art.tools import Array, blur, colour, mix, noise, sample, smoothstep


def _still_life(size: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the motif in linear light and its outlines 0..1, both size x size."""
    x, y = tools.grid(size, size)
    x, y = x / size, y / size
    soft = noise(rng, (size, size), size / 3, 4)
    picture = gradient(
        np.clip(0.15 + 0.7 * y + 0.35 * (x - 0.5) + 0.10 * soft, 0, 1),
        [(0, "5d6f80"), (0.4, "8f9a98"), (0.75, "c9bea0"), (1, "d9c79a")],
    )
    outline = np.zeros((size, size), np.float32)

    def lay(shape: np.ndarray, code_lit: str, code_dark: str, across: Array) -> None:
        nonlocal picture, outline
        mask = blur(shape.astype(np.float32), 0.8)
        paint = mix(
            np.broadcast_to(colour(code_lit), picture.shape), np.broadcast_to(colour(code_dark), picture.shape), across
        )
        picture = mix(picture, paint, mask)
        ring = cv2.morphologyEx(shape.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        outline = np.maximum(outline * (1 - mask), ring.astype(np.float32))

    lay(
        (x > 0.06) & (x < 0.36) & (y > 0.05) & (y < 0.48),
        "b9c2bd",
        "4f6273",
        smoothstep(0, 0.9, np.abs(x - 0.2) * 5 - y),
    )
    lay(y > 0.66 - 0.10 * (x - 0.5), "c89a55", "6b4a2c", smoothstep(0.62, 1.05, y + 0.3 * (x - 0.4)))
    lay(
        (y > 0.70 + 0.22 * x) & (y < 0.98 - 0.1 * x) & (x > 0.08) & (x < 0.66),
        "efe6cf",
        "a9a595",
        smoothstep(-0.1, 0.12, np.sin(x * 30 + y * 9) * 0.09),
    )
    body = 0.085 * smoothstep(0.30, 0.40, y) + 0.030
    bottle = (np.abs(x - 0.40) < body) & (y > 0.10) & (y < 0.78)
    lay(bottle, "6f8a5f", "22382f", smoothstep(-0.08, 0.12, x - 0.40))
    lay((np.abs(x - 0.40) < 0.036) & (y > 0.075) & (y < 0.125), "b5814a", "5d3f26", smoothstep(-0.04, 0.04, x - 0.40))
    lay((np.abs(x - 0.40) < 0.115) & (y > 0.50) & (y < 0.64), "e7d9b4", "a8905f", smoothstep(-0.1, 0.14, x - 0.40))
    bulge = 0.075 + 0.075 * np.sin(np.clip((y - 0.36) / 0.42, 0, 1) * np.pi).clip(0) ** 0.8
    handle = np.abs(np.hypot((x - 0.80) * 1.1, (y - 0.52) * 0.85) - 0.088) < 0.016
    lay(handle & (x > 0.78), "9fb0b8", "3a5266", smoothstep(0.4, 0.6, y))
    lay((np.abs(x - 0.68) < bulge) & (y > 0.345) & (y < 0.80), "c6d2d2", "35506b", smoothstep(-0.09, 0.14, x - 0.68))
    lay(((x - 0.68) / 0.078) ** 2 + ((y - 0.348) / 0.022) ** 2 < 1, "4a5f70", "1f2f40", smoothstep(0.6, 0.76, x))
    for cx, cy, r, lit, dark in (
        (0.245, 0.735, 0.092, "e0a04a", "8a4a26"),
        (0.52, 0.79, 0.080, "c9603a", "6b2c26"),
        (0.385, 0.83, 0.084, "d9b24f", "8a6a2c"),
        (0.82, 0.80, 0.062, "b54a34", "5a2424"),
    ):
        shape = ((x - cx) / r) ** 2 + ((y - cy) / (r * 0.93)) ** 2 < 1
        lay(shape, lit, dark, smoothstep(-0.6 * r, 1.1 * r, x - cx + y - cy))
        lay(
            (np.abs(x - cx - 0.2 * (y - cy + r)) < 0.006) & (y > cy - r * 1.3) & (y < cy - r * 0.8),
            "4a3524",
            "2a1c14",
            0 * x,
        )
    return picture, outline


def cubist(size: int = 640) -> np.ndarray:
    """Long lines cut the motif into facets; each facet sees it from a slightly different place."""
    rng = np.random.default_rng(606)
    big = size * 2
    motif, outline = _still_life(big, rng)
    x, y = tools.grid(big, big)
    key = np.zeros((big, big), np.int64)
    shade = np.zeros((big, big), np.float32)
    drawn = np.zeros((big, big), np.float32)
    families = np.radians([22, -24, 64, -62, 90, 8])
    for number in range(19):
        slant = families[number % 6] + rng.normal(0, 0.07)
        px, py = rng.uniform(0.10, 0.90, 2) * big
        d = (x - px) * np.sin(slant) - (y - py) * np.cos(slant)
        along = (x - px) * np.cos(slant) + (y - py) * np.sin(slant)
        if number % 5 == 3:  # some cuts are arcs
            radius = rng.uniform(0.2, 0.45) * big
            d = np.hypot(x - px, y - py) - radius
            along = np.arctan2(y - py, x - px) * radius * 0.5
        reach = rng.uniform(0.28, 0.62) * big
        middle = rng.uniform(-0.15, 0.15) * big
        limit = smoothstep(reach, reach * 0.55, np.abs(along - middle))
        key = key * 2 + ((d > 0) & (limit > 0.02))
        key %= 2**61 - 1
        side = 1 if rng.random() < 0.5 else -1
        shade += -0.40 * limit * np.exp(-np.clip(d * side, 0, None) / (0.055 * big)) * (d * side > 0)
        shade += 0.26 * limit * np.exp(-np.clip(-d * side, 0, None) / (0.040 * big)) * (d * side <= 0)
        drawn = np.maximum(
            drawn, np.exp(-((d / (1.5 * big / 1280)) ** 2)) * smoothstep(0.3, 0.9, limit) * rng.uniform(0.45, 1)
        )
    _, facet = np.unique(key, return_inverse=True)
    facet = facet.reshape(big, big)
    count = int(facet.max()) + 1
    size_of = np.bincount(facet.ravel(), minlength=count)
    cx = np.bincount(facet.ravel(), x.ravel(), count) / size_of
    cy = np.bincount(facet.ravel(), y.ravel(), count) / size_of
    turn, zoom = rng.normal(0, 0.13, count), rng.uniform(0.80, 1.12, count)
    slide = rng.normal(0, 0.026 * big, (2, count))
    dx, dy = x - cx[facet], y - cy[facet]
    cos, sin = np.cos(turn)[facet] * zoom[facet], np.sin(turn)[facet] * zoom[facet]
    u = (cx + slide[0])[facet] + dx * cos - dy * sin
    v = (cy + slide[1])[facet] + dx * sin + dy * cos
    seen = sample(np.dstack([motif, outline]), u.astype(np.float32), v.astype(np.float32))
    tint = np.stack([colour(c) for c in ("a9834a", "7f8f98", "d6c8a2", "5a6a7a", "b8a888", "6f5a42")])[
        rng.integers(0, 6, count)
    ]
    target = mix(seen[..., :3], tint[facet], (rng.uniform(0.08, 0.42, count).astype(np.float32))[facet])
    fall = rng.uniform(0, 6.28, count)
    run = (dx * np.cos(fall)[facet] + dy * np.sin(fall)[facet]) / (0.5 * np.sqrt(size_of)[facet] + 30)
    light = np.exp(np.clip(0.34 * run + 1.15 * shade + rng.normal(0, 0.10, count)[facet], -1.2, 0.75))
    target = tools.to_srgb(target * light[..., None].astype(np.float32))
    angle = (fall + np.pi / 2 + 0.25 * np.round(rng.normal(0, 1, count)))[facet].astype(np.float32)
    canvas = np.broadcast_to(tools.to_srgb(colour("9a8460")), target.shape).astype(np.float32).copy()
    height = np.zeros((big, big), np.float32)
    unit = big / 1280
    for width, length, n in ((26, 70, 5200), (15, 44, 9500), (9, 28, 9000)):
        px, py = rng.uniform(0, big, (2, n)).astype(np.float32)
        strokes(rng, canvas, height, target.astype(np.float32), angle, px, py, width * unit, length * unit)
    canvas = (canvas * 0.72 + target * 0.28).astype(np.float32)
    relief = blur(height - blur(height, 12), 0.9)
    gy, gx = np.gradient(relief)
    weave = np.sin(x * 1.35) * np.sin(y * 1.35) * 0.5 + noise(rng, (big, big), 5, 1.6) * 0.35
    bumps = (1 + 0.20 * np.clip(-gx - gy, -0.8, 0.8) + 0.022 * weave).astype(np.float32)
    canvas = canvas * bumps[..., None]
    grit = 0.75 + 0.25 * smoothstep(-1, 0.6, noise(rng, (big, big), 4, 1.6))
    line = np.maximum(0.80 * drawn, 0.9 * np.clip(blur(seen[..., 3], 1.2) * 1.6, 0, 1)) * grit
    canvas = mix(canvas, tools.to_srgb(colour("231c18")), line * 0.85)
    return tools.to_bytes(tools.shrink(canvas.astype(np.float32), size, size))
