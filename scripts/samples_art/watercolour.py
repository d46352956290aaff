"""A watercolour: washes that bleed, gather at their edges and settle into the grain of the paper."""

import cv2
import numpy as np

from samples_art import tools
from samples_art.tools import Array, blur, colour, grid, noise, smoothstep


class Sheet:
    """A sheet of rough paper, size x size, that takes one wash after another."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.rng, self.size = rng, size
        self.tooth = 0.7 * noise(rng, (size, size), 9, 2.0) + 0.5 * noise(rng, (size, size), 3, 1.5)
        # Noise is dear to make and wraps at its edges, so every wash takes the same few fields from another corner.
        kinds = {"edge": (14, 4.0), "frill": (55, 3.2), "flow": (5, 3.6), "small": (22, 3.0), "bloom": (4, 4.0)}
        self.fields = {name: noise(rng, (size, size), size / n, beta) for name, (n, beta) in kinds.items()}
        self.absorbed = np.zeros((size, size, 3), np.float32)
        self.x, self.y = grid(size, size)
        self.x, self.y = self.x / size, self.y / size

    def _noise(self, name: str) -> Array:
        """Return a noise field that no earlier wash has had in this place."""
        shift = self.rng.integers(0, self.size, 2)
        return np.roll(self.fields[name], (int(shift[0]), int(shift[1])), (0, 1))

    def wash(
        self,
        field: Array,
        pigment: str | list[tuple[Array, str]],
        strength: float = 1.0,
        wet: float = 0.0,
        ragged: float = 0.006,
        rim: float = 0.6,
        grain: float = 0.16,
    ) -> None:
        """Lay a wash where `field` (in shares of the sheet, positive inside) is positive.

        `wet` in 0..1 softens the edge as on damp paper; `pigment` is one colour, or colours with the weights [h, w]
        by which they run into one another; `rim` is how much gathers at a dry edge.
        """
        size = self.size
        wobble = self._noise("edge") + 0.22 * self._noise("frill")
        field = field + ragged * wobble + 0.0012 * self.tooth
        soft = 0.0016 + 0.07 * wet
        body = smoothstep(-soft, soft, field)
        deep = cv2.distanceTransform((field > 0).astype(np.uint8), cv2.DIST_L2, 5) / size
        edge = np.exp(-deep / 0.0035) + 0.45 * np.exp(-deep / 0.014)
        flow = self._noise("flow")
        small = self._noise("small")
        density = 1 + 0.26 * flow + 0.12 * small + rim * (1 - wet) * edge
        # A backrun: a bloom of clear water pushes pigment to a crinkled front.
        bloom = self._noise("bloom") + 0.10 * small
        density *= 1 - 0.30 * smoothstep(0.9, 1.5, bloom)
        density += 0.30 * np.exp(-(((bloom - 0.9) / 0.045) ** 2))
        density *= 1 + grain * self.tooth * (1.1 - 0.5 * wet)
        if isinstance(pigment, str):
            ink = -np.log(np.clip(colour(pigment), 0.015, 1)) * np.ones_like(self.absorbed)
        else:
            total = sum(w for w, _ in pigment)
            ink = sum((w / total)[..., None] * -np.log(np.clip(colour(c), 0.015, 1)) for w, c in pigment)
        self.absorbed += (body * np.clip(density, 0.05, 3) * strength * 0.68)[..., None] * ink

    def lift(self, field: Array, amount: float, soft: float = 0.004) -> None:
        """Lift paint off where `field` is positive, as masking fluid or a thirsty brush does."""
        self.absorbed *= 1 - amount * smoothstep(-soft, soft, field + 0.0015 * self.tooth)[..., None]

    def picture(self) -> Array:
        """Return the sheet in linear light, lit from the upper left so that the tooth shows."""
        dy, dx = np.gradient(blur(self.tooth, 1.0))
        relief = 1 - 0.055 * np.clip(dx + dy, -2, 2)
        return colour("f8f3e6") * np.exp(-self.absorbed) * relief[..., None]


def _blob(sheet: Sheet, cx: float, cy: float, w: float, h: float) -> Array:
    """Return a wash field for an ellipse."""
    r = np.sqrt(((sheet.x - cx) / w) ** 2 + ((sheet.y - cy) / h) ** 2)
    return ((1 - r) * min(w, h)).astype(np.float32)


def _box(sheet: Sheet, x0: float, x1: float, y0: float, y1: float) -> Array:
    """Return a wash field for a rectangle."""
    return np.minimum(np.minimum(sheet.x - x0, x1 - sheet.x), np.minimum(sheet.y - y0, y1 - sheet.y))


def watercolour(size: int = 640) -> np.ndarray:
    """A farmhouse among cypresses under blue hills, and a field of poppies that runs up to the eye."""
    rng = np.random.default_rng(505)
    big = size * 2
    sheet = Sheet(rng, big)
    x, y = sheet.x, sheet.y
    vignette = np.minimum(np.minimum(x - 0.045, 0.955 - x), np.minimum(y - 0.045, 0.955 - y))
    sway = noise(rng, (big, big), big / 6, 4.4)
    inside = vignette + 0.016 * sway
    # Sky: cobalt and rose run together on wet paper, clouds left white.
    clouds = noise(rng, (big, big), big / 3.2, 4.6) + 0.12 * noise(rng, (big, big), big / 12, 4) - 1.6 * (y - 0.2)
    sky = np.minimum(inside, 0.50 - y)
    high = smoothstep(0.42, 0.05, y)
    sheet.wash(
        np.minimum(sky, 0.10 * (0.55 - clouds)), [(high + 0.02, "5b8fd0"), (1.05 - high, "a9c7e6")], 0.95, wet=0.35
    )
    sheet.wash(
        np.minimum(sky, 0.16 - np.abs(y - 0.37)),
        [(smoothstep(0.2, 0.9, x) + 0.05, "f6c9a6"), (1 - 0.9 * x, "f0c6d2")],
        0.8,
        wet=0.9,
    )
    sheet.wash(np.minimum(sky - 0.02, 0.045 * (clouds - 0.75) * smoothstep(0.3, 0.16, y)), "c7c3dc", 0.55, wet=0.8)
    # Hills: three washes, each nearer, warmer and darker.
    far = 0.36 - 0.06 * np.sin(x * 5.2 + 0.5) - 0.035 * np.sin(x * 11 + 2)
    sheet.wash(
        np.minimum(np.minimum(y - far, 0.52 - y), inside), [(1.1 - x, "9aaedb"), (x + 0.05, "b9a6d6")], 0.8, wet=0.03
    )
    middle = 0.415 - 0.035 * np.sin(x * 6.5 + 3.4) - 0.012 * np.sin(x * 19)
    sheet.wash(
        np.minimum(np.minimum(y - middle, 0.55 - y), inside), [(1.1 - x, "6f93b8"), (x, "7fb0a8")], 0.75, wet=0.03
    )
    near = 0.475 - 0.02 * np.sin(x * 8 + 1.2)
    sheet.wash(
        np.minimum(np.minimum(y - near, 0.60 - y), inside),
        [(np.abs(np.sin(x * 7)) + 0.1, "a8c070"), (np.abs(np.cos(x * 5)) + 0.1, "7fa868")],
        0.75,
    )
    # The field: warm green, broken by dry-brush furrows.
    field = np.minimum(y - (0.535 + 0.015 * np.sin(x * 4 + 1)), inside)
    warm = smoothstep(0.5, 0.95, y) + 0.15 * sway
    sheet.wash(field, [(np.clip(1.1 - warm, 0.05, 2), "d8d67c"), (np.clip(warm, 0.05, 2), "8fb35a")], 0.85)
    depth = np.clip((y - 0.53) / 0.42, 0.01, 1)
    furrow = np.sin((x - 0.62) / (0.10 + depth) * 17 + 0.8 * sway)
    sheet.wash(
        np.minimum(field - 0.01, 0.010 * (furrow - 0.35 + 0.55 * sheet.tooth)), "7f9f4f", 0.55, ragged=0.012, rim=0.2
    )
    sheet.wash(
        np.minimum(y - 0.80 - 0.04 * np.sin(x * 7), inside), [(x + 0.1, "4f8a5a"), (1.1 - x, "3f7f78")], 0.55, wet=0.8
    )
    # The farmhouse: paper kept for the lit wall, then shade, roofs and windows.
    wall, wing = _box(sheet, 0.50, 0.66, 0.43, 0.555), _box(sheet, 0.655, 0.75, 0.465, 0.555)
    slope = np.minimum(
        np.minimum(y - 0.385, 0.438 - y), np.minimum(x - 0.49 - (0.438 - y) * 0.35, 0.668 - (0.438 - y) * 0.6 - x)
    )
    lean = np.minimum(np.minimum(y - 0.435, 0.472 - y), np.minimum(x - 0.655, 0.762 - (0.472 - y) * 0.5 - x))
    for part in (wall, wing, slope, lean):
        sheet.lift(part, 0.97)
    sheet.wash(wall, [(x * 0 + 0.5, "f4dcae"), (smoothstep(0.5, 0.66, x), "e9c490")], 0.75, ragged=0.002)
    sheet.wash(np.minimum(wall, x - 0.605), "b7a2c0", 0.7, ragged=0.003)
    sheet.wash(wing, [(x * 0 + 0.4, "d9b894"), (y, "b59ab4")], 0.9, ragged=0.002)
    for roof in (slope, lean):
        sheet.wash(
            roof,
            [(0.2 + np.abs(np.sin(x * 40)), "cf6440"), (0.3 + np.abs(np.cos(x * 23 + y * 30)), "a8483c")],
            0.85,
            ragged=0.003,
        )
    for wx, wy in ((0.528, 0.468), (0.572, 0.468), (0.528, 0.515), (0.633, 0.468), (0.633, 0.515), (0.70, 0.505)):
        sheet.wash(_box(sheet, wx - 0.009, wx + 0.009, wy - 0.014, wy + 0.014), "5a6a8a", 0.9, ragged=0.002)
    sheet.wash(_box(sheet, 0.562, 0.584, 0.505, 0.556), "6b5a6a", 0.9, ragged=0.002)
    # Trees: round ones wet in wet, cypresses drier and dark.
    for cx, cy, w, h, light, dark in (
        (0.83, 0.47, 0.085, 0.085, "b4c25a", "4f8258"),
        (0.90, 0.51, 0.07, 0.06, "9cb455", "3f7560"),
        (0.43, 0.505, 0.05, 0.05, "a9bb58", "4a7f5a"),
        (0.13, 0.47, 0.09, 0.08, "b9b850", "547f50"),
        (0.22, 0.515, 0.06, 0.045, "8fae55", "3f7a62"),
    ):
        side = smoothstep(-w, w, x - cx + 0.02 * sway)
        for _ in range(2):
            blob = np.minimum(_blob(sheet, cx, cy, w, h), inside)
            sheet.wash(blob, [(1.05 - side, light), (side + 0.05, dark)], 0.42, wet=0.06, ragged=0.013)
        shadow = _blob(sheet, cx + 0.3 * w, cy + 0.4 * h, w * 0.7, h * 0.55)
        sheet.wash(np.minimum(shadow, inside), "3a5f6a", 0.28, wet=0.25, ragged=0.016)
        sheet.wash(_box(sheet, cx - 0.005, cx + 0.005, cy + 0.4 * h, cy + h * 1.05), "5a4a4a", 0.8, ragged=0.003)
    for cx, top, w in ((0.345, 0.235, 0.027), (0.295, 0.295, 0.025), (0.388, 0.33, 0.020), (0.475, 0.30, 0.021)):
        t = np.clip((y - top) / (0.555 - top), 0, 1)
        flame = w * np.sin(np.pi * np.clip(t, 0, 1) ** 0.62).clip(0) ** 0.8
        shape = np.minimum(np.minimum(flame - np.abs(x - cx - 0.004 * sway), y - top), 0.556 - y)
        side = smoothstep(-w, w, x - cx)
        sheet.wash(shape, [(1.05 - side, "6f8f52"), (side, "2f5560")], 0.95, ragged=0.005, rim=0.4)
        sheet.wash(np.minimum(shape - 0.004, x - cx + 0.004), "2a4560", 0.5, wet=0.08, ragged=0.008)
    sheet.wash(
        np.minimum(0.010 - np.abs(y - 0.563 - 0.004 * np.sin(x * 31)), np.minimum(x - 0.26, 0.95 - x)),
        "5a7a68",
        0.7,
        wet=0.12,
        ragged=0.008,
    )
    _poppies(sheet, inside)
    _splatter(sheet)
    picture = tools.to_srgb(sheet.picture())
    return tools.to_bytes(tools.shrink(picture.astype(np.float32), size, size))


def _poppies(sheet: Sheet, inside: Array) -> None:
    """Touch in the poppies in three coats: stems, blots of vermilion, and their dark hearts."""
    rng, x, y = sheet.rng, sheet.x, sheet.y
    stems = np.full_like(x, -1)
    coats = [[np.full_like(x, -1) for _ in range(3)] for _ in range(5)]  # petals, shade, heart; far ones first
    size = sheet.size
    for near in np.sort(rng.random(150) ** 0.75):
        petals, deep, heart = coats[min(int(near**2 * 5), 4)]
        cy = 0.575 + 0.335 * near
        cx = 0.06 + 0.88 * rng.random()
        cx += 0.10 * np.sin(cy * 9) * (1 - near)
        r = 0.0035 + 0.030 * near**1.9 * rng.uniform(0.75, 1.25)
        reach = int((3.6 * r + 0.01) * size)
        row, column = int(cy * size), int(cx * size)
        box = np.s_[max(row - reach, 0) : row + reach, max(column - reach, 0) : column + reach]
        bx, by = x[box] - cx, (y[box] - cy) * 1.18
        angle, dist = np.arctan2(by, bx), np.hypot(bx, by)
        lobes = r * (1 + 0.16 * np.cos(4 * angle + rng.uniform(0, 6)) + 0.10 * np.cos(3 * angle + rng.uniform(0, 6)))
        petals[box] = np.maximum(petals[box], lobes - dist)
        if r > 0.008:
            shade = 0.62 * r - np.hypot(bx - 0.25 * r, by - 0.3 * r)
            deep[box] = np.maximum(deep[box], shade)
            heart[box] = np.maximum(heart[box], 0.18 * r - np.hypot(bx, by + 0.08 * r))
            bow = bx - 0.2 * r * np.sin(by / r)
            stems[box] = np.maximum(
                stems[box], np.minimum(0.0022 - np.abs(bow), np.minimum(by - 0.5 * r, 3.3 * r - by))
            )
    grass = noise(rng, (size, 64), 5, 2.0)
    blades = cv2.resize(grass.T.copy(), (size, size), interpolation=cv2.INTER_CUBIC)
    sheet.wash(np.minimum(stems, inside), "3f6f4a", 0.9, ragged=0.0006, rim=0.2)
    tall = np.minimum(y - 0.83 + 0.03 * blades, inside)
    sheet.wash(
        np.minimum(tall, 0.006 * (np.sin(x * 420 + 3 * np.sin(y * 16 + x * 40)) - 0.55)),
        "3f7a50",
        0.6,
        ragged=0.001,
        rim=0.2,
    )
    for coat, (petals, deep, heart) in enumerate(coats):
        hot, cool = ("f2663c", "e03c34") if coat % 2 else ("ee5238", "cf3038")
        sheet.lift(np.minimum(petals, inside), 0.9, 0.0015)
        inks = [(0.6 + 0.5 * np.sin(x * 60), hot), (0.6 + 0.5 * np.cos(x * 43 + y * 51), cool)]
        sheet.wash(np.minimum(petals, inside), inks, 0.95, ragged=0.0015, rim=0.9)
        sheet.wash(np.minimum(deep, inside), "c8303f", 0.4, wet=0.06, ragged=0.003)
        sheet.wash(np.minimum(heart, inside), "35263f", 1.0, wet=0.03, ragged=0.002)


def _splatter(sheet: Sheet) -> None:
    """Flick a few drops off the brush."""
    rng = sheet.rng
    for code, count in (("de4a3a", 26), ("6f9a5a", 22), ("6f9ad0", 12)):
        drops = np.full_like(sheet.x, -1)
        for _ in range(count):
            cx, cy, r = rng.uniform(0.03, 0.97), rng.uniform(0.55, 0.985), 0.0012 + 0.0045 * rng.random() ** 3
            row, column, reach = int(cy * sheet.size), int(cx * sheet.size), 16
            box = np.s_[max(row - reach, 0) : row + reach, max(column - reach, 0) : column + reach]
            drops[box] = np.maximum(drops[box], r - np.hypot(sheet.x[box] - cx, sheet.y[box] - cy))
        sheet.wash(drops, code, 0.8, ragged=0.0004)
