"""A harbour town built on a map of heights and seen through a ray-traced camera: the three still photographs."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from samples_art import tools
from samples_art.heights import HeightMap, camera_rays, march, mountains, normals, sunlight, with_clearance
from samples_art.tools import Array, colour, f32, mix, noise, sample, smoothstep

LAND, TREE, QUAY, BOAT, CHIMNEY = 0, 1, 2, 3, 4
WALLS = [
    "e8d6ae",
    "e3b877",
    "d9916a",
    "c9694f",
    "f0e6d2",
    "b9c3a0",
    "8fa7b5",
    "efd9c3",
    "d8a24a",
    "a8553f",
    "ded5c4",
    "9fb3a7",
]
ROOFS = ["a4553a", "b0643f", "8f4a38", "7a4a40", "9c5b45", "5d5a5e"]
HULLS = ["f2efe6", "2f4f6e", "a83a2c", "e9e2cf", "2f6a5e", "d59a35"]


@dataclass(frozen=True)
class Light:
    """Where the light comes from: angles in degrees, colours in linear light."""

    azimuth: float
    elevation: float
    sun: Array
    zenith: Array
    horizon: Array
    glow: Array
    haze: float = 0.00022
    clouds: float = 0.5
    lamps: float = 0.0
    exposure: float = 1.0
    ambient: float = 1.0

    @property
    def direction(self) -> Array:
        """Return the unit vector towards the sun."""
        a, e = np.radians(self.azimuth), np.radians(self.elevation)
        return np.array([np.sin(a) * np.cos(e), np.cos(a) * np.cos(e), np.sin(e)], np.float32)


@dataclass
class Town:
    """Everything the camera can meet. `house` is -1 where no house stands; house arrays have one row per house."""

    ground: HeightMap
    house: Array
    kind: Array
    bare: Array
    house_near: Array
    boat_near: Array
    normal: Array
    far: HeightMap
    far_normal: Array
    open_sky: Array
    texture: Array
    boxes: Array  # per house: centre x, y, yaw, half width, half depth, base, eaves, rise
    paint: Array  # per house: wall colour, roof colour, shutter colour
    hulls: Array  # per boat: x, y, yaw, half length, colour
    lamps: Array
    masts: list[tuple[Array, Array]] = field(default_factory=list)


def shore(x: Array | float) -> Array:
    """Return the y at which the quay meets the water."""
    return np.asarray(5 * np.sin(np.asarray(x) / 38 + 0.6) + 3 * np.sin(np.asarray(x) / 17), np.float32)


def hash01(*keys: Array) -> Array:
    """Return a repeatable random number in 0..1 for every combination of integer keys."""
    state = np.zeros(np.broadcast(*keys).shape, np.uint32)
    for key in keys:
        state = (state ^ np.asarray(key).astype(np.int64).astype(np.uint32)) * np.uint32(0x9E3779B1)
        state ^= state >> np.uint32(15)
        state = state * np.uint32(0x85EBCA77)
        state ^= state >> np.uint32(13)
    return (state / np.float32(2**32)).astype(np.float32)


def build(seed: int, cell: float = 0.125, hill: float = 0.2, chapel_x: float = 25.0) -> Town:
    """Lay out a town of about two hundred houses on a hill behind a quay, with trees, boats and mountains."""
    rng = np.random.default_rng(seed)
    x0, y0, wide, deep = -190.0, -100.0, 380.0, 340.0
    columns, rows = int(wide / cell), int(deep / cell)
    X, Y = tools.grid(rows, columns)
    X, Y = X * cell + x0, Y * cell + y0
    inland = Y - shore(X)
    lumps = cv2.resize(noise(rng, (128, 128), 40, 4), (columns, rows), interpolation=cv2.INTER_CUBIC)
    rise = np.clip(inland - 13, 0, None)
    z = np.where(inland > 0, 1.5 + hill * rise + (rise > 0) * np.minimum(rise * 0.1, 1) * 1.6 * lumps, -3)
    z = z.astype(np.float32)
    bare = HeightMap(z.copy(), cell, x0, y0)
    kind = np.where((inland > 0) & (inland < 13), QUAY, LAND).astype(np.float32)
    house = np.full(z.shape, -1, np.float32)
    boxes = _houses(rng, bare, chapel_x)
    for number, box in enumerate(boxes):
        _stamp_house(z, house, kind, box, number, cell, x0, y0, rng)
    bumps = noise(rng, (512, 512), 14, 2.6)
    _stamp_trees(rng, z, kind, house, bare, bumps, boxes)
    hulls, masts = _boats(rng, z, kind, cell, x0, y0)
    smooth = HeightMap(np.where(house >= 0, bare.z, z), cell, x0, y0)
    lamp_x = np.arange(-150, 150, 11).astype(np.float32) + rng.uniform(-1, 1, 28).astype(np.float32)
    lamp_y = shore(lamp_x) + 2.5
    up = rng.uniform(-110, 110, 26).astype(np.float32), rng.uniform(25, 130, 26).astype(np.float32)
    lamp_x, lamp_y = np.concatenate([lamp_x, up[0]]), np.concatenate([lamp_y, up[1]])
    lamps = np.stack([lamp_x, lamp_y, bare.at(bare.z, lamp_x, lamp_y) + 4.2], 1)
    peaks = mountains(rng, (512, 768), 260, 7)
    fy, fx = np.mgrid[0:512, 0:768].astype(np.float32)
    swell = 0.62 + 0.38 * np.cos((fx / 768 - 0.36) * 2 * np.pi)
    far_z = peaks * smoothstep(20, 340, fy) * 820 * swell + smoothstep(0, 120, fy) * 260 * (0.5 + 0.5 * swell) + 30
    wooded = np.clip(noise(rng, far_z.shape, 3.0, 2.0) + 0.7 * noise(rng, far_z.shape, 26, 3.0), 0, 2)
    far_z = far_z + 9 * wooded * smoothstep(700, 300, far_z)
    far = HeightMap(far_z.astype(np.float32), 10.0, -3840.0, 250.0)
    crowd = tools.blur(z, 4 / cell)
    texture = np.dstack([noise(rng, (1024, 1024), w, b) for w, b in ((60, 2.2), (8, 1.6), (260, 3.0))])
    walls = np.stack([colour(c) for c in WALLS])[rng.integers(0, len(WALLS), len(boxes))]
    roofs = np.stack([colour(c) for c in ROOFS])[
        rng.choice(len(ROOFS), len(boxes), p=[0.28, 0.26, 0.18, 0.1, 0.12, 0.06])
    ]
    walls[0], roofs[0] = colour("efe9dc"), colour("566a66")  # the chapel
    walls[1], roofs[1] = colour("efe9dc"), colour("9c4f38")
    shutters = np.stack([colour(c) for c in ("3f5f4a", "39566e", "6b3a2c", "e9e4d8")])[rng.integers(0, 4, len(boxes))]
    paint = np.stack([walls, roofs, shutters], 1) * rng.uniform(0.85, 1.08, (len(boxes), 1, 1))
    around = np.ones((7, 7), np.uint8)
    return Town(
        with_clearance(HeightMap(z, cell, x0, y0)),
        house,
        kind,
        bare.z,
        cv2.dilate(house, around),
        cv2.dilate(kind * (kind > 10), around),
        normals(smooth),
        far,
        normals(far),
        crowd,
        texture,
        boxes,
        paint.astype(np.float32),
        hulls,
        lamps.astype(np.float32),
        masts,
    )


def _houses(rng: np.random.Generator, bare: HeightMap, chapel_x: float) -> Array:
    """Choose where the houses stand: a tight row on the quay, looser rows up the hill; a chapel comes first."""
    found: list[tuple[float, ...]] = []

    def add(x: float, y: float, yaw: float, half: tuple[float, float], eaves: float, rise: float) -> None:
        base = float(bare.at(bare.z, f32([x]), f32([y - half[1]]))[0]) - 0.2
        found.append((x, y, yaw, *half, base, eaves, rise))

    chapel_y = float(shore(chapel_x)) + 62
    add(chapel_x - 9, chapel_y, 0.05, (3.1, 3.1), 24.0, 6.5)  # the tower
    add(chapel_x + 2, chapel_y + 1, 0.05, (9.0, 5.5), 10.0, 7.0)
    for row in range(13):
        x = -165.0 + rng.uniform(0, 6)
        while x < 165:
            half = rng.uniform(3.2, 5.6), rng.uniform(3.6, 5.2)
            slope = float(shore(x + 1) - shore(x - 1)) / 2
            y = float(shore(x)) + 17.5 + row * 13.2 + rng.uniform(-1.2, 1.2) * min(row, 1.6)
            storeys = rng.choice([2, 3, 4], p=[0.25, 0.5, 0.25] if row < 2 else [0.6, 0.35, 0.05])
            yaw = np.arctan(slope) + rng.normal(0, 0.02 + 0.05 * min(row, 3))
            turned = rng.random() < (0.55 if row == 0 else 0.3)  # the gable faces the water
            eaves, rise = storeys * 2.9 + 0.4, rng.uniform(0.5, 0.75) * (half[0] if turned else half[1])
            clear = np.hypot(x + half[0] - chapel_x + 1, (y - chapel_y) * 1.1) > 17
            if clear and rng.random() > 0.035 * row:
                shape = (half[1], half[0]) if turned else half
                add(x + half[0], y, yaw + (np.pi / 2 if turned else 0), shape, eaves, rise)
            x += 2 * half[0] + (
                rng.uniform(-0.1, 0.3) if row == 0 and rng.random() < 0.85 else rng.uniform(0.4, 4 + row)
            )
    return np.array(found, np.float32)


def _window(z: Array, x: float, y: float, size: float, cell: float, x0: float, y0: float) -> tuple[slice, slice]:
    """Return the rows and columns of the map within `size` metres of a place."""
    r0, r1 = int((y - size - y0) / cell), int((y + size - y0) / cell) + 2
    c0, c1 = int((x - size - x0) / cell), int((x + size - x0) / cell) + 2
    return slice(max(r0, 0), max(r1, 0)), slice(max(c0, 0), max(c1, 0))


def _local(
    window: tuple[slice, slice], x: float, y: float, yaw: float, cell: float, x0: float, y0: float
) -> tuple[Array, Array]:
    """Return the coordinates of a window's cells along and across an object that is turned by `yaw`."""
    dy = np.arange(window[0].start, window[0].stop)[:, None] * cell + y0 - y
    dx = np.arange(window[1].start, window[1].stop)[None, :] * cell + x0 - x
    return dx * np.cos(yaw) + dy * np.sin(yaw), -dx * np.sin(yaw) + dy * np.cos(yaw)


def _stamp_house(
    z: Array,
    house: Array,
    kind: Array,
    box: Array,
    number: int,
    cell: float,
    x0: float,
    y0: float,
    rng: np.random.Generator,
) -> None:
    """Raise one house and its chimney out of the map."""
    x, y, yaw, half_u, half_v, base, eaves, rise = (float(v) for v in box)
    window = _window(z, x, y, half_u + half_v + 1, cell, x0, y0)
    view = z[window]
    rows, columns = view.shape
    window = slice(window[0].start, window[0].start + rows), slice(window[1].start, window[1].start + columns)
    u, v = _local(window, x, y, yaw, cell, x0, y0)
    inside = (np.abs(u) <= half_u) & (np.abs(v) <= half_v)
    height = base + eaves + rise * _pitch(u, v, half_u, half_v, number)
    view[inside] = height[inside]
    house[window][inside] = number
    if number > 1:
        at_u, at_v = rng.uniform(-0.7, 0.7) * half_u, rng.uniform(0.1, 0.5) * half_v
        stack = (np.abs(u - at_u) < 0.45) & (np.abs(v - at_v) < 0.45)
        view[stack] = base + eaves + rise + 0.9
        kind[window][stack] = CHIMNEY
        house[window][stack] = -1


def _pitch(u: Array, v: Array, half_u: Array | float, half_v: Array | float, number: Array | int) -> Array:
    """Return the roof's height as a share of its rise: a ridge along u, or a pyramid on the tower (house 0)."""
    ridge = 1 - np.abs(v) / half_v
    return np.where(np.asarray(number) == 0, 1 - np.maximum(np.abs(v) / half_v, np.abs(u) / half_u), ridge)


def _stamp_trees(
    rng: np.random.Generator, z: Array, kind: Array, house: Array, bare: HeightMap, bumps: Array, boxes: Array
) -> None:
    """Plant trees in the gaps: many up the hill, a few on the quay."""
    cell, x0, y0 = bare.cell, bare.x0, bare.y0
    for _ in range(1500):
        x, y = rng.uniform(-175, 175), rng.uniform(16, 228)
        radius = rng.uniform(1.3, 3.4) * (1.2 if y > 140 else 1)
        row, column = int((y - y0) / cell), int((x - x0) / cell)
        near = house[max(row - 7, 0) : row + 8, max(column - 7, 0) : column + 8]
        if (near >= 0).any() or y < shore(x) + 14:
            continue
        window = _window(z, x, y, radius, cell, x0, y0)
        view = z[window]
        rows, columns = view.shape
        dy = (np.arange(rows) + window[0].start)[:, None] * cell + y0 - y
        dx = (np.arange(columns) + window[1].start)[None, :] * cell + x0 - x
        lump = np.resize(bumps[row % 300 : row % 300 + rows, column % 300 : column % 300 + columns], view.shape)
        near2 = 1 - (dx**2 + dy**2) / radius**2 + 0.22 * lump
        crown = bare.z[window] + radius * (0.7 + 1.5 * np.sqrt(np.clip(near2, 0, None))) + 0.3 * lump
        better = (near2 > 0) & (crown > view) & (house[window] < 0)
        view[better] = crown[better]
        kind[window][better] = TREE


def _boats(
    rng: np.random.Generator, z: Array, kind: Array, cell: float, x0: float, y0: float
) -> tuple[Array, list[tuple[Array, Array]]]:
    """Moor boats along the quay and a few further out; return the hulls and the ends of every mast."""
    hulls: list[tuple[float, ...]] = []
    masts: list[tuple[Array, Array]] = []
    palette = np.stack([colour(c) for c in HULLS])
    x = -95.0
    places = []
    while x < 95:
        places.append((x, float(shore(x)) - rng.uniform(4.5, 7), np.pi / 2 + rng.normal(0, 0.12)))
        x += rng.uniform(4.2, 9)
    places += [(-30.0, -38.0, 0.3), (17.0, -47.0, -0.25), (42.0, -30.0, 0.1), (-8.0, -24.0, 2.6)]
    for x, y, yaw in places:
        length = rng.uniform(2.8, 4.6)
        width = length * 0.34
        window = _window(z, x, y, length + 0.5, cell, x0, y0)
        u, v = _local(window, x, y, yaw, cell, x0, y0)
        taper = np.clip(1 - np.abs(u / length) ** 2.6, 0, 1) ** 0.8
        deck = np.abs(v) < width * taper
        view = z[window]
        hull = 0.75 + 0.45 * (u / length) ** 2
        hull = np.where(np.abs(v) < width * taper - 0.3, hull - 0.35, hull)
        if rng.random() < 0.6:
            hull = np.where((np.abs(v) < width * 0.55) & (np.abs(u + 0.1 * length) < length * 0.33), 1.7, hull)
        view[deck] = hull[deck]
        kind[window][deck] = BOAT + 10 + len(hulls)
        hulls.append((x, y, yaw, length, *palette[rng.integers(len(palette))]))
        if length > 3.3:
            foot = np.array([x + 0.1 * length * np.cos(yaw), y + 0.1 * length * np.sin(yaw), 1.2], np.float32)
            masts.append((foot, foot + np.array([0, 0, length * 2.1], np.float32)))
    return np.array(hulls, np.float32), masts


def sky(town: Town, light: Light, rays: Array) -> Array:
    """Return the radiance of the sky along rays [n, 3]: a gradient, the sun's glow and lit clouds."""
    up = np.clip(rays[:, 2], 0.0, 1)
    toward = np.clip(rays @ light.direction, 0, 1)
    base = mix(light.horizon, light.zenith, 1 - np.exp(-up * 3.6))
    base = base + light.glow * (0.55 * toward**5 + 0.8 * toward**40)[:, None] * np.exp(-up * 2.5)[:, None]
    high = 1 / (up + 0.16)
    u, v = rays[:, 0] * high * 88 + 300, rays[:, 1] * high * 88
    big, fine = town.texture[..., 2].copy(), town.texture[..., 0].copy()
    step = light.direction[:2] * 26
    thick = sample(big, u, v, True) + 0.30 * sample(fine, u * 1.1, v * 1.1, True)
    behind = sample(big, u + step[0], v + step[1], True) + 0.30 * sample(
        fine, (u + step[0]) * 1.1, (v + step[1]) * 1.1, True
    )
    cover = smoothstep(0.75 - 1.5 * light.clouds, 2.3 - 1.5 * light.clouds, thick)
    lit = np.clip(0.62 - 0.42 * (behind - thick) - 0.22 * cover, 0.12, 1.2)
    bright = light.sun * 0.23 + light.horizon * 0.5 + light.glow * 0.5 * toward[:, None] ** 3
    shade = mix(light.zenith, light.horizon, 0.45) * 0.62
    cloud = shade + bright * (lit**1.4)[:, None]
    return mix(base, cloud, cover * smoothstep(0.0, 0.13, up) * 0.93)


def _haze(radiance: Array, distance: Array, rays: Array, light: Light) -> Array:
    """Veil what is far in the colour of the horizon, warmer towards the sun."""
    toward = np.clip(rays @ light.direction, 0, 1)
    veil = light.horizon * 0.86 + light.glow * 0.35 * (toward**4)[:, None]
    return mix(radiance, veil, 1 - np.exp(-distance * light.haze))


def _lamp_glow(town: Town, light: Light, origin: Array, rays: Array, distance: Array) -> Array:
    """Return the glow of the lamps that lie near each ray and before its end."""
    total = np.zeros_like(rays)
    if light.lamps <= 0:
        return total
    warm = colour("ffb765")
    for lamp in town.lamps:
        to = lamp - origin
        along = np.einsum("ij,ij->i", to, rays)
        off2 = np.einsum("ij,ij->i", to, to) - along**2
        shown = (along > 0) & (along < distance + 1)
        total += (shown * (14 * np.exp(-off2 / 0.03) + 0.10 / (off2 + 0.25) * np.exp(-off2 / 9)))[:, None] * warm
    return total * light.lamps


def _lamp_light(town: Town, light: Light, points: Array, normal: Array) -> Array:
    """Return how much lamplight falls on each point [n, 3]."""
    total = np.zeros(len(points), np.float32)
    if light.lamps > 0:
        for lamp in town.lamps:
            to = lamp - points
            d2 = np.einsum("ij,ij->i", to, to)
            near = d2 < 900
            facing = 0.35 + 0.65 * np.clip(np.einsum("ij,ij->i", to[near], normal[near]) / np.sqrt(d2[near]), 0, 1)
            total[near] += facing * 7.0 / (d2[near] + 5) * (1 - d2[near] / 900)
    return total[:, None] * colour("ffac58") * light.lamps


def _house_surface(town: Town, light: Light, p: Array, number: Array) -> tuple[Array, Array, Array]:
    """Return albedo, normal and own light, each [n, 3], of points on houses."""
    box = town.boxes[number]
    cos, sin = np.cos(box[:, 2]), np.sin(box[:, 2])
    dx, dy = p[:, 0] - box[:, 0], p[:, 1] - box[:, 1]
    u, v = dx * cos + dy * sin, -dx * sin + dy * cos
    half_u, half_v, base, eaves, rise = (box[:, i] for i in range(3, 8))
    top = base + eaves + rise * _pitch(u, v, half_u, half_v, number)
    is_wall = np.where(number == 0, p[:, 2] < base + eaves, top - p[:, 2] > 0.42) & (
        (np.abs(u) > half_u - 0.5) | (np.abs(v) > half_v - 0.5)
    )
    side = (half_u - np.abs(u)) < (half_v - np.abs(v))  # a gable wall
    tower = number == 0
    # Walls: plaster, windows in rows, shutters, doors, a stone plinth.
    s = np.where(side, v, u)
    half = np.where(side, half_v, half_u)
    level = p[:, 2] - base
    count = np.maximum(np.floor(half * 2 / 2.35), 1)
    period = half * 2 / count
    cell = np.floor((s + half) / period)
    across = np.abs((s + half) - (cell + 0.5) * period)
    storey = np.floor((level - 0.2) / 2.9)
    climb = level - 0.2 - storey * 2.9
    has = (level < eaves) & (level > 0.3) & ~(tower & (storey % 3 != 1))
    face = side * 2 + (np.where(side, u, v) > 0)
    luck = hash01(number, storey, cell, face)
    has &= luck > 0.06
    door = (storey == 0) & (luck > 0.74)
    frame = has & (across < 0.6) & (climb > np.where(door, -0.1, 0.75)) & (climb < 2.3)
    glass = has & ~door & (across < 0.47) & (climb > 0.87) & (climb < 2.18)
    bar = glass & ((across < 0.05) | (np.abs(climb - 1.6) < 0.05))
    shutter = has & ~door & (across > 0.6) & (across < 1.0) & (climb > 0.8) & (climb < 2.25) & (period > 2.1)
    shutter &= hash01(number, number * 7) > 0.45
    grain = town.texture
    mottle = sample(grain, s * 22 + number * 37.0, p[:, 2] * 22, True)
    wall = town.paint[number, 0] * (1 + 0.05 * mottle[:, :1] + 0.05 * mottle[:, 1:2] + 0.05 * mottle[:, 2:])
    streak = sample(grain, s * 55 + number * 91.0, p[:, 2] * 4, True)[:, 0]
    wall = wall * (1 - 0.09 * np.clip(streak, 0, 2))[:, None]
    wall = mix(wall, colour("8d857a") * (1 + 0.12 * mottle[:, 1:2]), ((level < 0.9)[:, None]) * 0.8)
    wall = np.where(shutter[:, None], town.paint[number, 2] * (0.8 + 0.2 * (np.sin(climb * 40) > 0))[:, None], wall)
    wall = np.where(frame[:, None], colour("e6dfd0") * 0.9, wall)
    wall = np.where((door & frame & (across < 0.5))[:, None], town.paint[number, 2] * 0.8, wall)
    pane = colour("2a3138") * (0.5 + 1.4 * hash01(number, cell, storey, face + 9))[:, None]
    wall = np.where((glass & ~bar)[:, None], pane, wall)
    wall = wall * (1 - 0.45 * smoothstep(0.7, 0.35, top - p[:, 2]) * ~side)[:, None]
    # Roofs: courses of tiles, each a little different, with moss.
    slope = np.hypot(half_v, rise) / half_v
    course = np.floor(np.abs(v) * slope / 0.33)
    tile = np.floor(u / 0.27 + 0.5 * course)
    luck_tile = hash01(number, course, tile)
    moss = sample(grain, p[:, 0] * 9, p[:, 1] * 9, True)
    roof = town.paint[number, 1] * (0.72 + 0.5 * luck_tile + 0.14 * moss[:, 0])[:, None]
    roof = roof * (0.8 + 0.28 * smoothstep(0, 0.5, (np.abs(v) * slope / 0.33) % 1))[:, None]
    roof = mix(roof, colour("6d6b45") * 0.8, 0.45 * smoothstep(0.6, 2.2, moss[:, 2] + 0.6 * moss[:, 0]))
    roof = np.where((half_v - np.abs(v) < 0.22)[:, None], roof * 0.6, roof)
    albedo = np.where(is_wall[:, None], wall, roof)
    # Normals in the house's own frame, then turned.
    lean_u = tower & (np.abs(u) / half_u > np.abs(v) / half_v)
    tilt = rise / np.where(lean_u, half_u, half_v)
    nu = np.where(is_wall, side * np.sign(u), np.where(lean_u, np.sign(u) * tilt, 0.1 * np.sin(u / 0.27 * 2 * np.pi)))
    nv = np.where(is_wall, ~side * np.sign(v), np.where(lean_u, 0, np.sign(v) * tilt))
    nz = np.where(is_wall, 0, 1)
    n = np.stack([nu * cos - nv * sin, nu * sin + nv * cos, nz], 1)
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    lit = is_wall & glass & ~bar & (hash01(number, storey, cell, face + 50) < 0.3)
    tint = mix(colour("ffa94d"), colour("ffd9a0"), hash01(number, cell + 3, storey))
    own = lit[:, None] * tint * (0.35 + 1.3 * hash01(number + 5, cell, storey))[:, None]
    return albedo.astype(np.float32), n.astype(np.float32), (own * light.lamps * 1.1).astype(np.float32)


def _surface(town: Town, light: Light, p: Array, rays: Array) -> tuple[Array, Array, Array]:
    """Return albedo, normal and own light of points on the town's map."""
    ground = town.ground
    inner = p + rays * f32([1, 1, 0]) * 0.22  # a step into whatever was hit
    column = np.clip(np.rint((inner[:, 0] - ground.x0) / ground.cell).astype(int), 0, ground.z.shape[1] - 1)
    row = np.clip(np.rint((inner[:, 1] - ground.y0) / ground.cell).astype(int), 0, ground.z.shape[0] - 1)
    number, kind = town.house[row, column].astype(int), town.kind[row, column].astype(int)
    # A hit on a corner can step past the thing it hit: then the nearest thing counts.
    proud = p[:, 2] - town.bare[row, column] > 0.4
    close = town.house_near[row, column].astype(int)
    number = np.where((number < 0) & ((kind == LAND) | (kind == QUAY)) & proud, close, number)
    afloat = town.boat_near[row, column].astype(int)
    kind = np.where((kind <= 10) & (town.bare[row, column] < 0), np.maximum(kind, afloat), kind)
    n = town.normal[row, column]
    rough = sample(town.texture, p[:, 0] * 14, p[:, 1] * 14, True)
    fine = sample(town.texture, p[:, 0] * 3 + p[:, 2] * 5, p[:, 1] * 3 + p[:, 2] * 7, True)
    grass = mix(colour("68783c"), colour("a39a62"), smoothstep(-0.6, 1.6, fine[:, 0]))
    albedo = grass * (1 + 0.16 * rough[:, 1:2])
    path = smoothstep(0.2, 0.9, sample(town.texture, p[:, 0] * 2.2, p[:, 1] * 2.2, True)[:, 2])
    albedo = mix(albedo, colour("b7a78b"), 0.7 * path)
    leaf = mix(colour("2f4a24"), colour("7d8f3e"), smoothstep(-1.5, 2.2, rough[:, 1] + 0.8 * fine[:, 0]))
    autumn = mix(leaf, colour("a8772f"), 0.5 * smoothstep(0.9, 2.0, fine[:, 2]))
    albedo = np.where((kind == TREE)[:, None], autumn, albedo)
    setts = 0.82 + 0.3 * hash01(np.floor(p[:, 0] / 0.5), np.floor(p[:, 1] / 0.5), np.floor(p[:, 2] / 0.4))
    stone = colour("a99f8e") * (setts * (1 + 0.08 * rough[:, 0]))[:, None]
    wet = smoothstep(0.9, 0.2, p[:, 2])
    stone = mix(stone, colour("3e4238"), 0.75 * wet)
    albedo = np.where((kind == QUAY)[:, None], stone, albedo)
    albedo = np.where((kind == CHIMNEY)[:, None], colour("96614b"), albedo)
    own = np.zeros_like(albedo)
    boat = kind > 10
    if boat.any():
        hull = town.hulls[np.clip(kind - 10 - BOAT, 0, len(town.hulls) - 1)]
        side = boat & ((ground.z[row, column] - p[:, 2] > 0.1) | (town.kind[row, column] <= 10))
        paint = np.where((p[:, 2] > 1.05)[:, None], colour("e8e2d2"), hull[:, 4:7])
        paint = np.where((side & (np.abs(p[:, 2] - 0.28) < 0.1))[:, None], colour("efe8da"), paint)
        panes = side & (np.abs(p[:, 2] - 1.35) < 0.16)
        paint = np.where(panes[:, None], colour("33404a"), paint)
        paint = np.where((~side & (p[:, 2] < 1.0))[:, None], colour("9c6d42"), paint)
        albedo = np.where(boat[:, None], paint, albedo)
        cos, sin = np.cos(hull[:, 2]), np.sin(hull[:, 2])
        v = -(p[:, 0] - hull[:, 0]) * sin + (p[:, 1] - hull[:, 1]) * cos
        outward = np.stack([-sin * np.sign(v), cos * np.sign(v), 0.25 + 0 * v], 1) / 1.03
        n = np.where(side[:, None], outward, np.where(boat[:, None], f32([0, 0, 1]), n)).astype(np.float32)
    houses = np.flatnonzero((number >= 0) & (kind != CHIMNEY))
    if houses.size:
        albedo[houses], n[houses], own[houses] = _house_surface(town, light, p[houses], number[houses])
    return albedo, n, own


def _far_surface(town: Town, p: Array) -> tuple[Array, Array]:
    """Return albedo and normal of points on the mountains: forest below, rock and grass above."""
    n = town.far.at(town.far_normal, p[:, 0], p[:, 1])
    n = n / np.linalg.norm(n, axis=1, keepdims=True)
    rough = sample(town.texture, p[:, 0] * 0.30, p[:, 1] * 0.30 + p[:, 2] * 0.3, True)
    wood = mix(colour("2c4028"), colour("6a7a3c"), smoothstep(-1.5, 2.0, rough[:, 1] + 0.6 * rough[:, 0]))
    meadow = colour("8f9250") * (1 + 0.1 * rough[:, 1:2])
    rock = mix(colour("7d7468"), colour("b1a594"), smoothstep(-1.5, 1.5, rough[:, 0] + rough[:, 1]))
    albedo = mix(wood, meadow, smoothstep(0.2, 1.0, rough[:, 2] + 0.4 * rough[:, 0]) * smoothstep(0.72, 0.9, n[:, 2]))
    bare = smoothstep(430, 720, p[:, 2] + 90 * rough[:, 0]) + smoothstep(0.62, 0.5, n[:, 2])
    albedo = mix(albedo, rock, np.clip(bare, 0, 1))
    bumpy = n + 0.16 * rough[:, [1, 0, 2]] * f32([1, 1, 0])
    return albedo, (bumpy / np.linalg.norm(bumpy, axis=1, keepdims=True)).astype(np.float32)


def _lit(light: Light, albedo: Array, normal: Array, sun: Array, open_sky: Array) -> Array:
    """Return the light that surfaces send back: sun, sky above and a little bounced from below."""
    facing = np.clip(normal @ light.direction, 0, 1) * sun
    dome = (0.5 + 0.5 * normal[:, 2]) * open_sky
    above = mix(light.zenith, light.horizon, 0.5) * (0.95 * light.ambient)
    below = light.sun * 0.09 * max(light.direction[2], 0.0) + light.horizon * 0.12
    return albedo * (light.sun * facing[:, None] + above * dome[:, None] + below * (open_sky * (1 - dome))[:, None])


def trace(town: Town, light: Light, origin: Array, rays: Array, mirror: bool = True) -> Array:
    """Return the radiance [n, 3] that comes back along rays [n, 3] from origins [n, 3]."""
    radiance = sky(town, light, rays)
    distance = np.full(len(rays), 9000, np.float32)
    near = march(town.ground, origin, rays, 2.0, 420, 420, 0.12)
    lost = np.flatnonzero(~np.isfinite(near))
    far = march(town.far, origin[lost], rays[lost], 150.0, 7000, 420, 5.0)
    seen = lost[np.isfinite(far)]
    if seen.size:
        d = far[np.isfinite(far)]
        p = origin[seen] + rays[seen] * d[:, None]
        albedo, n = _far_surface(town, p)
        sun = sunlight(town.far, p + n * 12, light.direction, 1500, 32, 7)
        radiance[seen] = _haze(_lit(light, albedo, n, sun, np.full(len(p), 0.9, np.float32)), d, rays[seen], light)
        distance[seen] = d
    hit = np.flatnonzero(np.isfinite(near))
    if hit.size:
        d = near[hit]
        p = origin[hit] + rays[hit] * d[:, None]
        albedo, n, own = _surface(town, light, p, rays[hit])
        crowd = town.ground.at(town.open_sky, p[:, 0], p[:, 1])
        open_sky = np.exp(-np.clip(crowd - p[:, 2] + 1.0, 0, 12) * 0.16)
        sun = sunlight(town.ground, p + n * 0.35, light.direction, 90) if light.direction[2] > 0 else 0 * d
        shone = _lit(light, albedo, n, sun, open_sky) + albedo * _lamp_light(town, light, p, n) + own
        radiance[hit] = _haze(shone, d, rays[hit], light)
        distance[hit] = d
    level = np.where(rays[:, 2] < -1e-4, -origin[:, 2] / np.minimum(rays[:, 2], -1e-4), np.inf)
    water = np.flatnonzero((level < distance) & (level < 2500))
    if mirror and water.size:
        radiance[water] = _water(town, light, origin[water], rays[water], level[water])
        distance[water] = level[water]
    return radiance + _lamp_glow(town, light, origin, rays, distance)


def _water(town: Town, light: Light, origin: Array, rays: Array, distance: Array) -> Array:
    """Return the radiance of the harbour's water: what it mirrors, broken by ripples, over its own green."""
    p = origin + rays * distance[:, None]
    p[:, 2] = 0.02
    calm = 0.45 + 0.55 * smoothstep(-0.8, 1.2, sample(town.texture, p[:, 0] * 1.5, p[:, 1] * 3.5, True)[:, 2])
    a = sample(town.texture, p[:, 0] * 4.5, p[:, 1] * 11, True)
    b = sample(town.texture, p[:, 1] * 14 + 200, p[:, 0] * 8, True)
    ripple = 0.022 * a[:, 0] + 0.012 * b[:, 1], 0.020 * b[:, 0] + 0.014 * a[:, 1]
    n = np.stack([ripple[0] * calm * 0.7, ripple[1] * calm, np.ones(len(p))], 1).astype(np.float32)
    n /= np.linalg.norm(n, axis=1, keepdims=True)
    back = rays - 2 * np.einsum("ij,ij->i", rays, n)[:, None] * n
    back[:, 2] = np.abs(back[:, 2]) + 0.002
    back /= np.linalg.norm(back, axis=1, keepdims=True)
    facing = np.clip(-np.einsum("ij,ij->i", rays, n), 0, 1)
    fresnel = 0.03 + 0.97 * (1 - facing) ** 4
    mirrored = trace(town, light, p, back, mirror=False)
    depth = colour("1c3f42") * (light.zenith.mean() * 0.9 + light.sun.mean() * 0.12)
    return _haze(mix(depth + 0 * mirrored, mirrored, np.clip(fresnel * 1.15, 0, 1)), distance, rays, light)


def photograph(
    town: Town,
    light: Light,
    eye: tuple[float, float, float],
    target: tuple[float, float, float],
    view: float,
    size: tuple[int, int],
    seed: int,
    samples: int = 2,
) -> np.ndarray:
    """Render the town and develop the picture: glow, film curve, vignette and grain; uint8 RGB [h, w, 3]."""
    width, height = size
    rays = camera_rays(width * samples, height * samples, eye, target, view).reshape(-1, 3)
    origin = np.broadcast_to(f32(eye), rays.shape)
    rows = [trace(town, light, o, r) for o, r in zip(np.array_split(origin, 6), np.array_split(rays, 6), strict=True)]
    linear = np.concatenate(rows).reshape(height * samples, width * samples, 3)
    _draw_masts(linear, town, light, eye, target, view)
    linear = tools.shrink(np.minimum(linear, 6), width, height) * light.exposure
    linear = tools.bloom(linear.astype(np.float32), 2.5, 0.12, 0.9)
    x, y = tools.grid(height, width)
    corner = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) * 2
    picture = tools.to_srgb(tools.filmic(linear * (1 - 0.3 * corner**1.5)[..., None]))
    rng = np.random.default_rng(seed)
    grain = tools.blur(rng.standard_normal((height, width)).astype(np.float32), 0.6)
    return tools.to_bytes(picture + 0.010 * grain[..., None])


def _draw_masts(
    linear: Array,
    town: Town,
    light: Light,
    eye: tuple[float, float, float],
    target: tuple[float, float, float],
    view: float,
) -> None:
    """Draw masts, which are too thin for the map of heights."""
    height, width = linear.shape[:2]
    forward = np.subtract(target, eye)
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, (0, 0, 1))
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    scale = width / 2 / np.tan(np.radians(view) / 2)

    def project(point: Array) -> tuple[int, int]:
        d = point - f32(eye)
        depth = d @ forward
        return int(16 * (width / 2 + d @ right / depth * scale)), int(16 * (height / 2 - d @ up / depth * scale))

    wood = mix(light.horizon * 0.3, colour("d8c6a4") * (light.sun * 0.5 + light.zenith), 0.6)
    for foot, head in town.masts:
        if (foot - f32(eye)) @ forward < 5 or project(foot)[1] > height * 16:
            continue
        canvas = np.zeros(linear.shape[:2], np.uint8)
        near = np.linalg.norm(foot - f32(eye))
        cv2.line(canvas, project(foot), project(head), 255, 2 if near < 75 else 1, cv2.LINE_AA, 4)
        linear[:] = mix(linear, wood + 0 * linear, canvas.astype(np.float32) / 255 * 0.85)


AFTERNOON = Light(
    247,
    33,
    colour("ffeccb") * 2.9,
    colour("3f78bd") * 0.62,
    colour("a9c6e0") * 0.72,
    colour("fff2d8") * 0.3,
    clouds=0.6,
    exposure=0.8,
)
GOLDEN = Light(
    238,
    17,
    colour("ffc27a") * 3.4,
    colour("6f93c4") * 0.7,
    colour("f3d3ae") * 0.95,
    colour("ffb46a") * 0.7,
    haze=0.00018,
    clouds=0.5,
    exposure=1.0,
)
DUSK = Light(
    -60,
    -4,
    colour("000000"),
    colour("20457c") * 0.55,
    colour("7f89a8") * 0.42,
    colour("f0823c") * 0.5,
    haze=0.0005,
    clouds=0.6,
    lamps=0.55,
    exposure=0.95,
)


def photo(scale: float = 1.0) -> np.ndarray:
    """The content still: a harbour town in the afternoon."""
    size = int(640 * scale), int(432 * scale)
    return photograph(build(11), AFTERNOON, (-22, -74, 17), (6, 40, 12.5), 56, size, 1)


def reference(scale: float = 1.0) -> np.ndarray:
    """The still that lends its light: another harbour town in the gold of evening."""
    size = int(640 * scale), int(432 * scale)
    return photograph(build(29, hill=0.16, chapel_x=-30), GOLDEN, (26, -66, 13), (-12, 40, 12), 58, size, 2)


def dark(scale: float = 1.0) -> np.ndarray:
    """The dark still: a harbour town after sunset, lamps and a few windows lit."""
    size = int(640 * scale), int(432 * scale)
    return photograph(build(47, hill=0.24, chapel_x=10), DUSK, (-10, -70, 15), (8, 40, 13.5), 56, size, 3)
