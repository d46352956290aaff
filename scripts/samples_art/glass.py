"""A stained-glass window: panes of coloured glass in lead, with the light behind it."""

import cv2
import numpy as np

from samples_art import tools
from samples_art.paint import gradient
from samples_art.tools import Array, blur, colour, f32, mix, noise, sample, smoothstep

Plan = dict[int, tuple[float, list[tuple[float, str]]]]  # per region: its panes' size, and its colours


def _petal(x: Array, y: Array, cx: float, cy: float, turn: float, long: float, wide: float) -> np.ndarray:
    """Return where a leaf-shaped petal lies that starts at (cx, cy) and points along `turn` (0 is up)."""
    dx, dy = x - cx, cy - y
    along = dx * np.sin(turn) + dy * np.cos(turn)
    across = dx * np.cos(turn) - dy * np.sin(turn)
    t = np.clip(along / long, 0, 1)
    return (along > 0) & (along < long) & (np.abs(across) < wide * np.sin(np.pi * t**0.75) ** 0.8)


def _regions(x: Array, y: Array, rng: np.random.Generator) -> tuple[np.ndarray, Plan]:
    """Return a map of region numbers and, per region, its panes' size and the colours they are drawn from."""
    region = np.zeros(x.shape, np.int32)
    plan: Plan = {}

    def lay(shape: np.ndarray, size: float, stops: list[tuple[float, str]]) -> None:
        number = len(plan) + 1
        region[shape] = number
        plan[number] = (size, stops)

    cx, cy = 0.60, 0.35
    r, turn = np.hypot(x - cx, y - cy), np.arctan2(y - cy, x - cx)
    sky = [(0, "f9e7a8"), (0.25, "9fd3e6"), (0.6, "3b86cf"), (1, "173f9c")]
    for ring, (inner, outer) in enumerate(((0.0, 0.27), (0.27, 0.42), (0.42, 2.0))):
        count = (20, 20, 20)[ring]
        sector = np.floor((turn / (2 * np.pi) + 0.5 + 0.5 / count * (ring % 2)) * count)
        for k in range(count):
            tone = (
                (0.12 + 0.3 * ring + rng.uniform(-0.06, 0.16))
                if k % 2
                else (0.32 + 0.3 * ring + rng.uniform(-0.06, 0.16))
            )
            here = (sector == k) & (r >= inner) & (r < outer)
            flat = gradient(f32(min(tone, 1)), sky)
            lay(here, 0.16, [(0, _code(flat)), (1, _code(flat * 0.8))])
    lay(r < 0.155, 0.2, [(0, "f9a63a"), (1, "f5c24a")])
    for k in range(16):
        lay(
            (r < 0.155) & (r > 0.1) & (np.floor((turn / (2 * np.pi) + 0.5) * 16) == k),
            0.3,
            [(0, ("f08a24", "f7c948")[k % 2]), (1, "f2a03a")],
        )
    lay(r < 0.1, 0.4, [(0, "fdf0b0"), (1, "fbe58a")])
    lay(y > 0.53 + 0.045 * np.sin(x * 7 + 0.4), 0.075, [(0, "7d6bb8"), (0.5, "5a5fae"), (1, "8f7fc8")])
    lay(y > 0.60 + 0.05 * np.sin(x * 5.2 + 2.7), 0.07, [(0, "2f8a86"), (0.5, "4aa58a"), (1, "1f6f7a")])
    lay(y > 0.68 + 0.04 * np.sin(x * 6 + 5.2), 0.07, [(0, "5fa544"), (0.5, "3f8a3a"), (1, "9cc04a")])
    middle = 0.55 + 0.16 * np.sin((y - 0.62) * 11) * (1.25 - y)
    lay(
        (y > 0.635) & (np.abs(x - middle) < 0.012 + (y - 0.63) * 0.36),
        0.055,
        [(0, "8fd8e8"), (0.4, "3fa4d8"), (1, "1f62b8")],
    )
    lay(
        y > 0.93 - 0.09 * np.cos((x - 0.5) * 3.4) ** 4 + 0.10 * np.exp(-(((x - 0.5) / 0.25) ** 2)),
        0.06,
        [(0, "2f6f34"), (1, "1d4f3a")],
    )
    # The tree: trunk and boughs, then a crown of leaves.
    bend = 0.205 + 0.03 * np.sin(y * 6) + 0.06 * np.clip(y - 0.82, 0, 1) * np.sign(x - 0.2)
    lay(
        (np.abs(x - bend) < 0.022 + 0.09 * np.clip(y - 0.74, 0, 1) ** 1.2 * 2) & (y > 0.36) & (y < 0.90),
        0.11,
        [(0, "7a4a2a"), (1, "5a3420")],
    )
    for k in range(5):
        lay(_petal(x, y, 0.205, 0.52 - 0.02 * k, -1.2 + 0.6 * k, 0.2, 0.016), 0.3, [(0, "6b3f24"), (1, "7a4a2a")])
    leaves = sorted(
        ((rng.uniform(0, 6.28), rng.random() ** 0.5 * 0.17) for _ in range(60)), key=lambda p: p[1], reverse=True
    )
    greens = ("7db342", "4f9a3a", "c9cf3f", "2f7d4a", "e3a52f", "d8602a", "a8c84a")
    for spin, far in leaves:
        px, py = 0.205 + far * np.cos(spin) * 0.98, 0.335 + far * np.sin(spin) * 1.05
        code = greens[int(rng.choice(7, p=[0.2, 0.2, 0.13, 0.17, 0.12, 0.06, 0.12]))]
        out = np.arctan2(px - 0.205, -(py - 0.45)) + rng.normal(0, 0.35)
        lay(_petal(x, y, px, py, out, rng.uniform(0.085, 0.115), 0.030), 0.5, [(0, code), (1, code)])
    # Lilies in the foreground: stems, leaves, then petals.
    for fx, fy, size, inks in (
        (0.80, 0.70, 0.145, ("d8264a", "b01840", "f0506a")),
        (0.90, 0.80, 0.115, ("e86a2a", "f09a3a", "c8481f")),
        (0.66, 0.83, 0.11, ("b02a7a", "d04a9a", "8a1f6a")),
    ):
        lay(
            (np.abs(x - fx - 0.02 * np.sin((y - fy) * 14)) < 0.0095) & (y > fy) & (y < 0.97),
            0.2,
            [(0, "3f8f3f"), (1, "5fae4a")],
        )
        for side in (-1, 1):
            lay(_petal(x, y, fx, fy + 0.24, side * 0.6, 0.17, 0.026), 0.3, [(0, "4f9f45"), (1, "3a7f3a")])
        for k, spread in enumerate((-1.15, 1.15, -0.58, 0.58, 0.0)):
            lay(
                _petal(x, y, fx, fy + 0.025, spread, size, size * 0.27),
                0.5,
                [(0, inks[(k // 2) % 3]), (1, inks[(k // 2) % 3])],
            )
    # A border of small squares.
    rim = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y))
    for k in range(16):
        for vertical in (False, True):
            along = y if vertical else x
            here = (
                (rim < 0.052)
                & (np.floor(along * 16) == k)
                & ((np.minimum(x, 1 - x) < np.minimum(y, 1 - y)) == vertical)
            )
            for half in (0, 1):
                side = ((x if vertical else y) > 0.5) == bool(half)
                code = ("a81f34", "1f3f9a", "d99a2a", "1f3f9a")[(k + half) % 4]
                lay(here & side, 1.0, [(0, code), (1, code)])
    return region, plan


def _code(linear: Array) -> str:
    """Return the hexadecimal code of a linear-light colour."""
    return "".join(f"{v:02x}" for v in tools.to_bytes(tools.to_srgb(linear)))


def _panes(region: np.ndarray, plan: Plan, rng: np.random.Generator) -> tuple[np.ndarray, Array]:
    """Cut every region into panes; return the map of pane numbers and the panes' linear colours [panes, 3]."""
    size = len(region)
    pane = np.zeros(region.shape, np.int32)
    colours = [np.zeros(3, np.float32)]
    for number, (spacing, stops) in plan.items():
        inside = (region == number).astype(np.uint8)
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        if not len(rows):
            continue
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        inner = np.pad(inside[box], 1)
        deep = cv2.distanceTransform(inner, cv2.DIST_L2, 5)[1:-1, 1:-1]
        step = spacing * size
        seeds = np.ones(deep.shape, np.uint8)
        for gy in np.arange(step * 0.3, deep.shape[0], step):
            for gx in np.arange(step * (0.3 + 0.4 * (int(gy / step) % 2)), deep.shape[1], step * 1.15):
                sy, sx = int(gy + rng.uniform(-0.35, 0.35) * step), int(gx + rng.uniform(-0.35, 0.35) * step)
                if 0 <= sy < deep.shape[0] and 0 <= sx < deep.shape[1] and deep[sy, sx] > min(0.12 * step, 8):
                    seeds[sy, sx] = 0
        if seeds.all():
            seeds[np.unravel_index(deep.argmax(), deep.shape)] = 0
        _, label = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
        view = pane[box]
        mask = inside[box] > 0
        view[mask] = label[mask] + len(colours)
        tones = gradient(rng.random(label.max() + 1).astype(np.float32), stops) * rng.uniform(
            0.82, 1.12, (label.max() + 1, 1)
        )
        colours.extend(tones.astype(np.float32))
        colours.append(np.zeros(3, np.float32))
    return pane, np.stack(colours)


def stained_glass(size: int = 640) -> np.ndarray:
    """A sun over hills and a river, a tree, lilies: panes with streaks and bubbles, rounded lead, a soft glow."""
    rng = np.random.default_rng(303)
    big = size * 2
    x, y = tools.grid(big, big)
    wobble = noise(rng, (big, big), big / 5, 4), noise(rng, (big, big), big / 5, 4)
    region, plan = _regions(x / big + 0.002 * wobble[0], y / big + 0.002 * wobble[1], rng)
    pane, colours = _panes(region, plan, rng)
    edge = np.zeros((big, big), bool)
    outline = np.zeros((big, big), bool)
    for axis in (0, 1):
        moved = np.diff(pane, axis=axis, prepend=np.take(pane, [0], axis)) != 0
        edge |= moved
        outline |= np.diff(region, axis=axis, prepend=np.take(region, [0], axis)) != 0
    thin = cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, 5) * 1280 / big
    thick = cv2.distanceTransform((~outline).astype(np.uint8), cv2.DIST_L2, 5) * 1280 / big
    distance = blur(np.minimum(thin / 3.6, thick / 5.2).astype(np.float32), 0.8)
    lead = smoothstep(1.12, 0.92, distance)
    # Glass: every pane has its own run of streaks, its own ripple and its own thickness.
    rank = rng.permutation(len(colours)).astype(np.float32)[pane]
    spin = rank * 2.4
    u, v = x * np.cos(spin) + y * np.sin(spin), -x * np.sin(spin) + y * np.cos(spin)
    streak = sample(noise(rng, (512, 512), 60, 2.6), u * 0.22 + rank * 37, v * 1.1 + rank * 91, True)
    cloud = sample(noise(rng, (512, 512), 90, 3.0), x + rank * 53, y + rank * 17, True)
    ripple = blur(noise(rng, (big, big), 46, 4.5) + 0.35 * noise(rng, (big, big), 16, 4.5), 1.5)
    dy, dx = np.gradient(ripple)
    bubbles = np.zeros((big, big), np.float32)
    for bx, by, r in zip(*rng.uniform(0, big, (2, 420)), rng.uniform(1.2, 4.0, 420), strict=True):
        cv2.circle(bubbles, (int(bx * 8), int(by * 8)), int(r * 8), 1.0, 1, cv2.LINE_AA, 3)
    glass = np.clip(colours[pane], 0.004, None)
    depth = np.clip(1 + 0.17 * streak + 0.20 * cloud, 0.45, 1.8)
    glass = glass ** depth[..., None]
    behind = 1.15 * np.exp(-(((x / big - 0.58) / 0.62) ** 2 + ((y / big - 0.40) / 0.68) ** 2)) + 0.42
    light = (
        behind
        * (1 + 1.5 * np.clip(dx - dy, -0.22, 0.22))
        * (1 + 0.35 * bubbles)
        * (0.72 + 0.28 * smoothstep(0.8, 4.5, distance))
    )
    picture = glass * (light * 1.35)[..., None]
    picture = mix(picture, colour("fff2d0") * light[..., None], 0.03 + 0.05 * smoothstep(1.0, 2.4, streak))
    # Lead: a rounded bar with solder where bars meet, grey where the room's light touches it.
    bar = np.sqrt(np.clip(1 - np.clip(distance, 0, 1) ** 2, 0, 1))
    gy, gx = np.gradient(blur(bar, 1.2))
    pitted = noise(rng, (big, big), 4, 1.6)
    metal = 0.020 + 0.085 * np.clip(0.22 - gx * 1.6 - gy * 2.2, 0, 1) * (1 + 0.25 * pitted)
    picture = mix(picture, metal[..., None] * colour("c8ccd8") * 1.4, lead)
    linear = tools.shrink(picture.astype(np.float32), size, size)
    linear = linear + 0.16 * blur(np.clip(linear - 0.35, 0, 3), size / 90) + 0.05 * blur(linear, size / 22)
    return tools.to_bytes(tools.to_srgb(1 - np.exp(-linear * 1.45)))
