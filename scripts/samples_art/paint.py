"""Two painted pictures: impasto brush strokes that follow a field of directions, and dots of pure colour."""

import cv2
import numpy as np

from samples_art import tools
from samples_art.tools import Array, blur, colour, mix, noise, smoothstep


def gradient(t: Array, stops: list[tuple[float, str]]) -> Array:
    """Return colours [..., 3] along a list of (position, code) stops."""
    positions = [p for p, _ in stops]
    colours = np.stack([colour(c) for _, c in stops])
    return np.stack([np.interp(t, positions, colours[:, i]) for i in range(3)], -1).astype(np.float32)


def _storm_valley(size: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the brush picture's under-painting and its field of directions (radians), both size x size.

    A copper sun in whirling clouds over a bay, a leaning pine, and fields that run down to the water.
    """
    x, y = tools.grid(size, size)
    x, y = x / size, y / size
    soft = noise(rng, (size, size), size / 3, 4)
    swirl = np.zeros_like(x)
    eddies = [(0.66, 0.24, 0.17, 1.0), (0.20, 0.10, 0.20, -1.0), (1.02, 0.40, 0.16, -1.0)]
    flow_x, flow_y = np.ones_like(x), 0.25 * np.sin(x * 7 + 1) + 0.1 * soft
    for cx, cy, radius, turn in eddies:
        r = np.hypot(x - cx, (y - cy) * 1.1)
        pull = np.exp(-((r / radius) ** 2)) * 4.5
        flow_x += -turn * (y - cy) / (r + 0.02) * pull
        flow_y += turn * (x - cx) / (r + 0.02) * pull
        swirl += (radius == 0.17) * turn * pull * np.sin(r * 75 - np.arctan2(y - cy, x - cx) * turn)
    angle = np.arctan2(flow_y, flow_x)
    sun = np.hypot(x - 0.66, (y - 0.24) * 1.05)
    t = np.clip(y / 0.5 + 0.10 * swirl / 4.5 + 0.05 * soft, 0, 1)
    sky = gradient(t, [(0, "12305c"), (0.3, "1f6f8f"), (0.55, "56a8a4"), (0.78, "e8cf8e"), (1, "f0a35c")])
    sky = mix(sky, colour("e8f0d8"), 0.55 * smoothstep(0.35, 1.0, swirl / 4.5 + 0.25 * soft))
    sky = mix(sky, colour("f6b84a"), 0.9 * np.exp(-((sun / 0.13) ** 2)))
    sky = mix(sky, colour("fff3c0"), smoothstep(0.075, 0.06, sun))
    ridge = 0.46 + 0.035 * np.sin(x * 9 + 0.5) + 0.03 * np.sin(x * 21) - 0.07 * np.exp(-(((x - 0.2) / 0.14) ** 2))
    hills = gradient(np.clip((y - ridge) / 0.1 + 0.1 * soft, 0, 1), [(0, "24486e"), (0.6, "4d6f8e"), (1, "8a7ea0")])
    bay = 0.545 + 0.006 * np.sin(x * 12)
    water = gradient(np.clip((y - bay) / 0.13, 0, 1), [(0, "f0c27a"), (0.4, "5fa9a6"), (1, "1d5f80")])
    glint = np.exp(-(((x - 0.66) / (0.03 + 0.35 * np.clip(y - bay, 0, 1))) ** 2)) * (
        0.6 + 0.4 * np.sin(y * 420 + 3 * soft)
    )
    water = mix(water, colour("ffdf8f"), np.clip(glint, 0, 1) * 0.9)
    coast = 0.64 + 0.05 * np.sin(x * 5.2 + 2.4) + 0.05 * (x - 0.5)
    down = (y - coast) / (1 - coast)
    furrow = np.sin((x - 0.55) / (0.25 + np.clip(down, 0, 1)) * 26 + 2 * np.sin(down * 5))
    field = gradient(np.clip(down, 0, 1), [(0, "7f9a4a"), (0.3, "c9a63c"), (0.7, "d98a2b"), (1, "7c4a1e")])
    field = mix(field, colour("3d6b3a"), 0.75 * smoothstep(0.1, 0.8, furrow) * smoothstep(0.02, 0.2, down))
    picture = _layers(sky, [(y - ridge, hills), (y - bay, water), (y - coast, field)])
    run = np.arctan2(np.ones_like(x), (x - 0.55) / 0.5)
    angle = np.where(y > ridge, 0.5 * np.cos(x * 9 + 0.5), angle)
    angle = np.where(y > bay, 0.05 * soft, angle)
    angle = np.where(y > coast, run + 0.25 * soft, angle)
    # The pine: a leaning trunk and clumps of needles that curl upwards.
    lean = 0.20 + 0.10 * (0.9 - y) + 0.03 * np.sin(y * 9)
    extractor = (
        (np.abs(x - lean) < 0.012 + 0.02 * np.clip(y - 0.5, 0, 1) + 0.5 * np.clip(y - 0.91, 0, 1) ** 1.2)
        & (y > 0.34)
        & (y < 0.97)
    )
    picture = np.where(extractor[..., None], colour("54281c") + 0.1 * smoothstep(0, 0.02, x - lean)[..., None], picture)
    angle = np.where(extractor, -1.4, angle)
    for cx, cy, w, h in (
        (0.25, 0.36, 0.13, 0.05),
        (0.17, 0.44, 0.12, 0.045),
        (0.33, 0.45, 0.11, 0.04),
        (0.30, 0.29, 0.08, 0.035),
        (0.15, 0.53, 0.09, 0.035),
        (0.32, 0.54, 0.08, 0.03),
    ):
        edge = ((x - cx) / w) ** 2 + ((y - cy) / h) ** 2 + 0.25 * soft
        inside = smoothstep(1.1, 0.85, edge)
        leaf = gradient(np.clip((y - cy) / h * 0.5 + 0.5, 0, 1), [(0, "a8b04a"), (0.35, "2f6b4c"), (1, "0f2f38")])
        picture = mix(picture, leaf, inside)
        angle = np.where(inside > 0.5, (x - cx) / w * 0.9 - 0.15, angle)
    return picture, angle.astype(np.float32)


def _layers(back: Array, layers: list[tuple[Array, Array]]) -> Array:
    """Lay pictures over one another, each shown where its depth is positive."""
    for depth, picture in layers:
        back = mix(back, picture, smoothstep(-0.002, 0.002, depth))
    return back


def _streamlines(angle: Array, x: Array, y: Array, length: Array, steps: int) -> Array:
    """Follow the direction field from n points both ways; return points [n, steps + 1, 2]."""
    size = angle.shape[0]
    half = steps // 2
    halves = []
    for sign in (-1.0, 1.0):
        px, py = x.copy(), y.copy()
        path = []
        for _ in range(half):
            column = np.clip(px.astype(int), 0, size - 1)
            row = np.clip(py.astype(int), 0, size - 1)
            a = angle[row, column]
            px = px + sign * np.cos(a) * length / steps
            py = py + sign * np.sin(a) * length / steps
            path.append(np.stack([px, py], -1))
        halves.append(path)
    points = [*halves[0][::-1], np.stack([x, y], -1), *halves[1]]
    return np.stack(points, 1).astype(np.float32)


def brush(size: int = 640) -> np.ndarray:
    """Impasto: strokes of several sizes, each a sheaf of bristles that carries paint and leaves ridges."""
    rng = np.random.default_rng(101)
    big = size * 2
    target, angle = _storm_valley(size, rng)
    target, angle = cv2.resize(target, (big, big)), cv2.resize(angle, (big, big), interpolation=cv2.INTER_NEAREST)
    target = tools.to_srgb(target)
    canvas = tools.to_srgb(np.broadcast_to(colour("8a4f2c"), target.shape)).copy()  # a warm ground shows in the gaps
    height = np.zeros((big, big), np.float32)
    detail = np.abs(target - blur(target, big / 60)).mean(-1)
    detail = blur(detail, big / 160)
    for width, count, length in ((40, 1500, 190), (24, 4200, 130), (14, 8000, 85), (8, 9000, 52)):
        scale = big / 1280
        x, y = rng.uniform(0, big, (2, count)).astype(np.float32)
        if width < 20:  # small brushes go where the picture has small things
            keep = detail[y.astype(int), x.astype(int)] > np.quantile(
                detail, 0.5 if width > 10 else 0.72
            ) * rng.uniform(0.4, 1.2, count)
            x, y = x[keep], y[keep]
        strokes(rng, canvas, height, target, angle, x, y, width * scale, length * scale)
    relief = height - blur(height, 14)
    relief = blur(relief, 0.8)
    dy, dx = np.gradient(relief)
    facing = np.asarray(-dx - dy * 1.2)
    shade, gloss = np.clip(facing * 0.55, -0.55, 0.8), np.clip(facing * 0.8 - 0.35, 0, 1)
    lit = canvas * (1 + 0.55 * shade[..., None]) + 0.16 * gloss[..., None]
    return tools.to_bytes(tools.shrink(lit.astype(np.float32), size, size))


def strokes(
    rng: np.random.Generator,
    canvas: Array,
    height: Array,
    target: Array,
    angle: Array,
    x: Array,
    y: Array,
    width: float,
    length: float,
) -> None:
    """Lay one coat of strokes of one brush on the canvas, and their ridges on the map of heights."""
    size = len(canvas)
    steps = 10
    paths = _streamlines(angle, x, y, (length * rng.uniform(0.5, 1.3, len(x))).astype(np.float32), steps)
    tangent = np.gradient(paths, axis=1)
    tangent /= np.linalg.norm(tangent, axis=2, keepdims=True) + 1e-6
    across = np.stack([-tangent[..., 1], tangent[..., 0]], -1)
    row, column = np.clip(y.astype(int), 0, size - 1), np.clip(x.astype(int), 0, size - 1)
    paint = target[row, column] + rng.normal(0, 0.022, (len(x), 3))
    value = rng.normal(0, 0.04, (len(x), 1))
    paint = np.clip(paint * (1 + value) + 0.10 * (paint - paint.mean(1, keepdims=True)), 0, 1)
    bristles = max(int(width / 2.4), 4)
    spread = np.linspace(-0.5, 0.5, bristles)
    taper = np.sin(np.linspace(0.12, 0.92, steps + 1) * np.pi) ** 0.45
    for i in range(len(x)):
        loaded = rng.random()
        order = rng.permutation(bristles)
        tone = rng.normal(0, 0.045, bristles)
        bulk = rng.normal(0, 1, bristles) * 1.1 + 2.2 * np.abs(spread) * 2
        start, stop = rng.integers(0, 3, bristles), steps + 1 - rng.integers(0, 4, bristles)
        for b in order:
            line = paths[i] + across[i] * (spread[b] * width * taper)[:, None]
            line = np.round(line[start[b] : stop[b]] * 8).astype(np.int32).reshape(-1, 1, 2)
            tint = np.clip(paint[i] + tone[b], 0, 1)
            cv2.polylines(canvas, [line], False, tint.tolist(), 3, cv2.LINE_8, 3)
            cv2.polylines(height, [line], False, float(6 + bulk[b] + 2 * loaded), 3, cv2.LINE_8, 3)


def _river_morning(size: int, rng: np.random.Generator) -> Array:
    """Return the dotted picture's motif: poplars and a white sail on a river in morning light."""
    x, y = tools.grid(size, size)
    x, y = x / size, y / size
    soft = noise(rng, (size, size), size / 4, 4)
    fine = noise(rng, (size, size), size / 14, 3)
    t = np.clip(y / 0.5 + 0.05 * soft, 0, 1)
    sky = gradient(t, [(0, "5f9ad2"), (0.45, "a9cbe4"), (0.8, "f6dfb4"), (1, "f9c98e")])
    sky = mix(
        sky, colour("fdf0d8"), 0.8 * smoothstep(0.4, 1.6, soft + 0.4 * fine + 1.4 * (y - 0.2)) * smoothstep(0.5, 0.3, y)
    )
    hill = 0.40 + 0.03 * np.sin(x * 6) - 0.05 * np.exp(-(((x - 0.75) / 0.2) ** 2))
    hills = gradient(np.clip((y - hill) / 0.1 + 0.1 * fine, 0, 1), [(0, "7f8fc4"), (0.6, "9aa5c8"), (1, "b7c49a")])
    bank = 0.485 + 0.008 * np.sin(x * 17)
    far = gradient(np.clip((y - bank) / 0.05 + 0.2 * fine, 0, 1), [(0, "7da65a"), (1, "c9cf6a")])
    picture = _layers(sky, [(y - hill, hills), (y - bank, far)])
    for cx, top, w in (
        (0.07, 0.10, 0.035),
        (0.15, 0.05, 0.04),
        (0.235, 0.13, 0.036),
        (0.31, 0.2, 0.03),
        (0.375, 0.27, 0.022),
        (0.425, 0.31, 0.018),
    ):
        rise = (y - top) / (0.53 - top)
        body = w * np.sqrt(np.clip(rise * (1.12 - rise) * 3.4, 0, None)) * (1 + 0.25 * fine)
        tree = smoothstep(0.004, -0.004, np.abs(x - cx - 0.008 * soft) - body) * (rise > 0) * (rise < 1)
        side = np.clip((x - cx) / w * 0.5 + 0.5 + 0.22 * fine, 0, 1)
        picture = mix(picture, gradient(side, [(0, "1f3f6b"), (0.45, "2f7a4a"), (0.8, "9ab83c"), (1, "f0d65a")]), tree)
    house = (np.abs(x - 0.83) < 0.055) & (y > 0.435) & (y < 0.505)
    picture = np.where(house[..., None], mix(colour("f7e3c4"), colour("8f86b8"), smoothstep(0.83, 0.82, x)), picture)
    roof = (y > 0.39) & (y < 0.44) & (np.abs(x - 0.83) < 0.03 + (y - 0.39) * 0.8)
    picture = np.where(roof[..., None], colour("d9603a"), picture)
    # The river mirrors what stands above its line; the sail is drawn first so that it is mirrored too.
    sail = _triangle(x, y, (0.62, 0.20), (0.62, 0.52), (0.735, 0.515)) | _triangle(
        x, y, (0.61, 0.25), (0.61, 0.52), (0.55, 0.52)
    )
    picture = np.where(
        sail[..., None], mix(colour("fff6e2"), colour("f2b27a"), smoothstep(0.62, 0.76, x + 0.05 * fine)), picture
    )
    hull = (np.abs(x - 0.635) < 0.095 - (y - 0.525) * 1.3) & (y > 0.525) & (y < 0.555)
    picture = np.where(hull[..., None], colour("9c2f3a"), picture)
    line = 0.535
    flip = np.clip(np.rint((2 * line - y + 0.012 * np.sin(y * 210 + 2 * fine)) * size), 0, size - 1).astype(int)
    mirrored = picture[flip, np.arange(size)[None, :]]
    deep = gradient(np.clip((y - line) / 0.45, 0, 1), [(0, "cfe0e0"), (0.5, "4f8fc0"), (1, "1f4f96")])
    water = mix(mirrored, deep, np.clip(0.25 + 0.45 * (y - line) / 0.4 + 0.12 * fine, 0, 1))
    below = (y > line) & ~hull
    picture = np.where(below[..., None], water, picture)
    shore = 0.86 + 0.10 * np.sin(x * 3.6 + 0.6) + 0.012 * fine
    meadow = gradient(
        np.clip((y - shore) / 0.12 + 0.25 * fine, 0, 1),
        [(0, "e8d85a"), (0.35, "7fae45"), (0.75, "2f7a58"), (1, "2a4a7a")],
    )
    picture = _layers(picture, [(y - shore, meadow)])
    bloom = (noise(rng, (size, size), size / 60, 4) > 1.7) & (y > shore + 0.01)
    return np.where(bloom[..., None], colour("e8527a"), picture).astype(np.float32)


def _triangle(x: Array, y: Array, a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> np.ndarray:
    """Return where a triangle covers the plane."""

    def side(p: tuple[float, float], q: tuple[float, float]) -> Array:
        return (x - p[0]) * (q[1] - p[1]) - (y - p[1]) * (q[0] - p[0])

    one, two, three = side(a, b), side(b, c), side(c, a)
    return ((one >= 0) & (two >= 0) & (three >= 0)) | ((one <= 0) & (two <= 0) & (three <= 0))


DOTS = [
    "f7f2e0",
    "f6d84e",
    "f2a23a",
    "e2603a",
    "d23a5a",
    "a8429a",
    "5a4aa8",
    "2f5fb4",
    "3f94cf",
    "8cc4dc",
    "2f8a5a",
    "6fae46",
    "b8cf52",
    "f4b8a8",
    "c9b4dc",
    "1f2f5f",
]


def pointillism(size: int = 640) -> np.ndarray:
    """Dots of sixteen pure colours, chosen at random so that their mean is the colour wanted."""
    rng = np.random.default_rng(202)
    big = size * 2
    motif = tools.to_srgb(_river_morning(size, rng))
    mean = motif.mean(-1, keepdims=True)
    motif = np.clip(mean + (motif - mean) * 1.12, 0, 1)
    palette = np.stack([tools.to_srgb(colour(c)) for c in DOTS])
    canvas = np.full((big, big, 3), (0.90, 0.86, 0.76), np.float32)
    relief = np.zeros((big, big), np.float32)
    for spacing, radius, warmth in ((13.0, 8.2, 14.0), (9.0, 5.4, 24.0), (8.4, 4.4, 40.0)):
        n = int(big / spacing)
        gx, gy = np.meshgrid(np.arange(n) + 0.5, np.arange(n) + 0.5)
        x = ((gx + rng.uniform(-0.55, 0.55, gx.shape)) * spacing).ravel()
        y = ((gy + rng.uniform(-0.55, 0.55, gy.shape)) * spacing).ravel()
        order = rng.permutation(len(x))
        x, y = x[order], y[order]
        keep = rng.random(len(x)) < 0.86
        x, y = x[keep], y[keep]
        want = motif[np.clip(y / 2, 0, size - 1).astype(int), np.clip(x / 2, 0, size - 1).astype(int)]
        far = ((want[:, None] - palette) ** 2).sum(-1)
        weight = np.exp(-far * warmth)
        weight /= weight.sum(1, keepdims=True)
        pick = (weight.cumsum(1) < rng.random((len(x), 1))).sum(1).clip(0, len(palette) - 1)
        ink = np.clip(0.72 * palette[pick] + 0.28 * want + rng.normal(0, 0.025, (len(x), 3)), 0, 1)
        for i in range(len(x)):
            r = radius * rng.uniform(0.75, 1.2) * big / 1280
            centre = (int(x[i] * 8), int(y[i] * 8))
            axes = (int(r * 8), int(r * 8 * rng.uniform(0.7, 1)))
            turn = rng.uniform(0, 180)
            cv2.ellipse(canvas, centre, axes, turn, 0, 360, ink[i].tolist(), -1, cv2.LINE_AA, 3)
            cv2.ellipse(relief, centre, axes, turn, 0, 360, float(rng.uniform(0.4, 1)), -1, cv2.LINE_AA, 3)
    soft = blur(relief, 1.6)
    dy, dx = np.gradient(soft)
    weave = noise(rng, (big, big), 5, 1.5)
    lit = canvas * (1 + 0.55 * np.clip(-dx - dy, -0.4, 0.4) + 0.018 * weave)[..., None]
    return tools.to_bytes(tools.shrink(lit.astype(np.float32), size, size))
