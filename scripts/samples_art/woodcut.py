"""A woodcut: a lighthouse over a rough sea, cut in lines that follow form, printed in black and two colours."""

import cv2
import numpy as np

from samples_art import tools
from samples_art.tools import Array, blur, colour, f32, mix, noise, smoothstep


def _facets(rng: np.random.Generator, size: int, spacing: float) -> tuple[np.ndarray, int]:
    """Return a map of irregular facet numbers, and how many there are."""
    seeds = np.ones((size, size), np.uint8)
    count = int((size / spacing) ** 2)
    seeds[rng.integers(0, size, count), rng.integers(0, size, count)] = 0
    _, label = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    return label, int(label.max()) + 1


def woodcut(size: int = 640) -> np.ndarray:
    """Lines swell with the shade they stand for; each part of the scene has its own run of lines."""
    rng = np.random.default_rng(404)
    big = size * 2
    x, y = tools.grid(big, big)
    unit = 1280 / big  # line spacing is set in pixels of a 1280-pixel block
    px, py = x * unit, y * unit
    x, y = x / big, y / big
    soft, mid, fine = (noise(rng, (big, big), big / k, b) for k, b in ((4, 4.0), (16, 3.2), (120, 2.2)))
    lamp = (0.655, 0.205)
    r, turn = np.hypot(x - lamp[0], y - lamp[1]), np.arctan2(y - lamp[1], x - lamp[0])
    # Sky: rings about the lamp, and two beams left bare.
    phase = r * 1280 / 11.5 + 0.35 * soft
    tone = 0.52 - 0.36 * smoothstep(0.05, 0.62, r) + 0.05 * mid
    beam = np.zeros_like(x)
    for aim, half in ((np.pi + 0.13, 0.105), (-0.42, 0.12)):
        off = np.abs(np.angle(np.exp(1j * (turn - aim))))
        beam = np.maximum(beam, smoothstep(half, half * 0.55, off.astype(np.float32)))
        # Clouds: swags whose lines run along their bellies.
    blue = np.zeros_like(x)
    for cx, cy, w, h in (
        (0.17, 0.11, 0.26, 0.085),
        (0.36, 0.36, 0.20, 0.05),
        (0.93, 0.33, 0.16, 0.055),
        (0.90, 0.06, 0.2, 0.06),
    ):
        lump = ((x - cx) / w) ** 2 + ((y - cy) / h) ** 2 + 0.10 * soft + 0.14 * np.cos((x - cx) / w * 11 + 9 * cy)
        inside = lump < 1
        phase = np.where(inside, (y - cy + 0.016 * np.abs(np.cos((x - cx) / w * 5.5 + 4.5 * cy))) * 1280 / 9.5, phase)
        tone = np.where(inside, 1.0 - 0.72 * smoothstep(-0.45, 1.0, (y - cy) / h + 0.10 * soft), tone)
        blue = np.where(inside, smoothstep(0.1, 0.5, (y - cy) / h), blue)
    tone = tone + 1.0 * beam * smoothstep(1.15, 0.45, r)
    blue = blue * (1 - beam)
    # Sea: six rollers, each light on its crest and dark in its hollow, lines along the slope.
    horizon = 0.585
    sea = np.zeros_like(x, bool)
    for k in range(7):
        near = k / 6
        crest = (
            horizon
            + 0.42 * near**1.55
            - (0.004 + 0.052 * near) * np.abs(np.sin(x * (17 - 10 * near) + 2.1 * k + 0.4 * soft)) ** 0.8
        )
        crest = crest + 0.012 * near * np.sin(x * 31 + k)
        here = y > crest
        depth = (y - crest) / (0.035 + 0.13 * near)
        curve = px * 0.10 * np.sin(x * (17 - 10 * near) + 2.1 * k + 0.8)
        phase = np.where(here, ((y - crest) * 1280 + 0.45 * curve) / (5.5 + 5.5 * near) + 0.22 * mid, phase)
        tone = np.where(here, 0.95 - 0.86 * smoothstep(-0.05, 0.62, depth) + 0.28 * smoothstep(0.7, 1.25, depth), tone)
        foam = here & (depth < 0.16 + 0.10 * mid) & (k > 0)
        tone = np.where(foam, 1.1, tone)
        sea |= here
        blue = np.where(here, np.where(foam, 0, 1), blue)
    glitter = sea & (np.abs(x - 0.24 + 0.1 * (y - 0.6)) < 0.06 + 0.2 * (y - horizon)) & (mid > 0.9)
    tone = np.where(glitter, 1.0, tone)
    # Cliff: facets, each with its own slant and shade.
    facet, count = _facets(rng, big, 72 / unit)
    slant, shade = rng.normal(1.9, 0.75, count)[facet], rng.random(count)[facet]
    top = 0.545 - 0.10 * smoothstep(0.42, 0.60, x) - 0.02 * np.sin(x * 22) + 0.004 * mid
    left = 0.465 + 0.28 * np.clip(y - 0.45, 0, 1) * -0.55 + 0.035 * np.abs(np.sin(y * 23)) + 0.004 * mid
    cliff = (y > top) & (x > left) & (y < 0.86 + 0.03 * np.abs(np.sin(x * 24)) + 0.01 * mid)
    phase = np.where(cliff, (px * np.cos(slant) + py * np.sin(slant)) / 9.5 + 0.2 * mid, phase)
    lit = np.clip(
        0.80 - 0.50 * smoothstep(0.44, 1.0, x) + 0.62 * (shade - 0.5) - 0.12 * smoothstep(0.6, 0.85, y), 0.14, 1.02
    )
    tone, blue = np.where(cliff, lit, tone), np.where(cliff, 0, blue)
    grass = cliff & (y < top + 0.028 + 0.010 * mid)
    phase = np.where(grass, (px + 0.35 * py) / 8.0 + 0.5 * mid, phase)
    tone = np.where(grass, 0.72 - 0.35 * smoothstep(0.6, 1, x), tone)
    # Keeper's house and lighthouse.
    red = np.zeros_like(x)
    house = (x > 0.755) & (x < 0.90) & (y > 0.375) & (y < 0.47)
    phase, tone = np.where(house, py / 9 + 0 * px, phase), np.where(house, np.where(x < 0.80, 0.92, 0.55), tone)
    roof = (y > 0.315) & (y < 0.385) & (x > 0.745 + (0.385 - y) * 0.45) & (x < 0.915 - (0.385 - y) * 0.6)
    phase, tone = np.where(roof, (px + 0.5 * py) / 9, phase), np.where(roof, 0.62, tone)
    red = np.where(roof, 1, red)
    chimney = (np.abs(x - 0.86) < 0.012) & (y > 0.285) & (y < 0.34)
    tone, phase = np.where(chimney, 0.3, tone), np.where(chimney, py / 7, phase)
    side = (x - lamp[0]) / (0.034 + 0.032 * np.clip((y - 0.25) / 0.21, 0, 1.2))
    tower = (np.abs(side) < 1) & (y > 0.25) & (y < 0.455)
    band = tower & (np.floor((y + 0.008 * side**2 - 0.25) / 0.041) % 2 == 0)
    phase = np.where(tower, (py + 16 * side**2) / 8.5, phase)
    tone = np.where(tower, 1.02 - 0.95 * smoothstep(-0.35, 1.05, side), tone)
    tone = np.where(band, np.minimum(tone + 0.05, 0.9), tone)
    red = np.where(band, 1, red)
    gallery = (np.abs(x - lamp[0]) < 0.052) & (np.abs(y - 0.247) < 0.007)
    lantern = (np.abs(x - lamp[0]) < 0.026) & (y > 0.175) & (y < 0.241)
    tone = np.where(lantern, 1.1, tone)
    bars = lantern & ((np.abs(np.abs(x - lamp[0]) - 0.024) < 0.003) | (np.abs(x - lamp[0]) < 0.0022))
    dome = (np.hypot((x - lamp[0]) * 1.0, (y - 0.176) * 1.15) < 0.033) & (y < 0.177)
    red = np.where(dome, 1, red)
    tone = np.where(dome, 0.75 - 0.6 * smoothstep(-0.02, 0.03, x - lamp[0]), tone)
    phase = np.where(dome, (py + 500 * (x - lamp[0]) ** 2 * 20) / 8, phase)
    panes = (np.abs(np.abs(x - 0.828) - 0.034) < 0.012) & (np.abs(y - 0.425) < 0.018)
    panes |= (np.abs(side - 0.1) < 0.14) & ((np.abs(y - 0.312) < 0.012) | (np.abs(y - 0.395) < 0.012))
    # Contours: every change of part is cut as a black line, thicker to the right.
    parts = np.stack([cliff | house | tower, house, roof, tower, dome, lantern, chimney]).astype(np.float32)
    border = np.zeros_like(x)
    for part in parts:
        ring = cv2.morphologyEx(part, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        border = np.maximum(border, blur(ring, 1.4 / unit) * 2.2)
    cracks = (
        (cv2.morphologyEx(facet.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0) & cliff & ~grass
    )
    border = np.maximum(border, blur(cracks.astype(np.float32), 1.1 / unit) * (0.9 + 0.5 * mid))
    # A small boat and gulls for life.
    boat = (np.abs(x - 0.215) < 0.058 - (y - 0.628) * 1.6) & (y > 0.628) & (y < 0.648)
    sail = (x > 0.205) & (y < 0.622) & (y > 0.475) & (x < 0.205 + (y - 0.475) * 0.46)
    jib = (x < 0.199) & (y < 0.622) & (y > 0.505) & (x > 0.199 - (y - 0.505) * 0.40)
    tone = np.where(sail | jib, np.where(sail & (x > 0.235), 0.72, 1.1), tone)
    phase = np.where(sail, (px - 0.3 * py) / 8, phase)
    solid = boat | gallery | bars | panes | ((np.abs(x - 0.202) < 0.0022) & (y > 0.468) & (y < 0.63))
    blue, red = np.where(sail | jib | boat, 0, blue), np.where(jib, 1, red)
    birds = np.zeros((big, big), np.uint8)
    for bx, by, s in ((0.44, 0.22, 0.030), (0.39, 0.27, 0.022), (0.48, 0.29, 0.018), (0.32, 0.22, 0.016)):
        wing = f32([(-1, -0.28), (-0.5, -0.5), (0, 0), (0.5, -0.55), (1, -0.35)]) * s + (bx, by)
        cv2.polylines(
            birds, [np.round(wing * big * 8).astype(np.int32).reshape(-1, 1, 2)], False, 255, 5, cv2.LINE_AA, 3
        )
    # Cutting: a line is inked where the wave of its phase falls below its darkness; the knife wavers.
    wave = np.abs((phase + 0.10 * fine) % 1 - 0.5) * 2
    ragged = 0.10 * noise(rng, (big, big), 9 / unit, 2.6)
    dark = np.clip(1 - tone, -0.2, 1.02)
    gap = (dark > 0.93) * 0.6
    ink = smoothstep(-0.09, 0.09, dark + gap - wave * 0.93 + ragged - 0.03)
    ink = np.where(dark < 0.07, ink * (dark > 0.02), ink)
    ink = np.maximum(ink, smoothstep(0.35, 0.6, border))
    ink = np.maximum(np.maximum(ink, blur(solid.astype(np.float32), 0.8)), birds / 255)
    rim = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) + 0.0016 * mid + 0.0006 * fine
    ink = np.maximum(ink, smoothstep(0.040, 0.038, rim)) * smoothstep(0.0275, 0.029, rim)
    return _print(rng, ink.astype(np.float32), blue, red, lantern | (beam > 0.5), rim, y, size)


def _print(
    rng: np.random.Generator, ink: Array, blue: Array, red: Array, glow: np.ndarray, rim: Array, y: Array, size: int
) -> np.ndarray:
    """Print the blocks on cream paper: colours first, a hair out of register, black last, all unevenly inked."""
    big = len(ink)
    paper_fibre = noise(rng, (big, big), 6, 1.6) + 0.6 * noise(rng, (big, big), 60, 3)
    wood = np.repeat(noise(rng, (big, 64), 9, 1.5)[:, :1], big, 1)
    grain = cv2.resize(noise(rng, (big, 64), 7, 2.0), (big, big), interpolation=cv2.INTER_CUBIC) + 0.4 * wood
    speck = noise(rng, (big, big), 3, 1.0)
    picture = colour("efe3c6") * (1 + 0.022 * paper_fibre)[..., None]
    inside = smoothstep(0.034, 0.037, rim)

    def block(where: Array, code: str, strength: float, shift: tuple[int, int]) -> None:
        nonlocal picture
        moved = np.roll(blur(where.astype(np.float32), 1.0), shift, (0, 1)) * inside
        cover = moved * np.clip(strength + 0.10 * grain - 0.30 * (speck > 1.9), 0, 1)
        picture = picture * mix(np.ones(3, np.float32), colour(code), cover)

    block(np.ones_like(ink) * smoothstep(0.62, 0.15, y) * ~glow, "b9cdbf", 0.75, (0, 0))  # the sky's pale wash, graded
    block(blue, "5f9aa0", 0.85, (2, 3))
    block(red, "d2502f", 0.95, (-2, 3))
    block(glow, "f4c64f", 0.85, (1, -2))
    press = np.clip(0.965 + 0.030 * grain - 0.5 * (speck > 2.25) - 0.25 * (paper_fibre > 2.1), 0, 1)
    picture = mix(picture, colour("1b1917") * (1 + 0.1 * paper_fibre)[..., None], ink * press)
    return tools.to_bytes(tools.to_srgb(tools.shrink(picture.astype(np.float32), size, size)))
