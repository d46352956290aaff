"""Landscapes as maps of heights, and rays followed over them: distance, shadow and mountains."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from samples_art.tools import Array, noise, sample


@dataclass(frozen=True)
class HeightMap:
    """Heights z [rows, columns] in metres; column 0, row 0 lies at (x0, y0), one cell is `cell` metres."""

    z: Array
    cell: float
    x0: float
    y0: float
    clear: tuple[tuple[float, Array], ...] = ()  # per radius in metres, the greatest height within it

    def at(self, image: Array, x: Array, y: Array) -> Array:
        """Look up an image laid over this map at world positions."""
        return sample(image, (x - self.x0) / self.cell, (y - self.y0) / self.cell)

    def inside(self, x: Array, y: Array) -> np.ndarray:
        """Whether the world positions lie on the map."""
        rows, columns = self.z.shape
        column, row = (x - self.x0) / self.cell, (y - self.y0) / self.cell
        return (column >= 0) & (column <= columns - 1) & (row >= 0) & (row <= rows - 1)


def with_clearance(ground: HeightMap, radii: tuple[float, ...] = (7.0, 2.0, 0.7)) -> HeightMap:
    """Return the map with what lets rays take long steps in the open and still meet thin things."""
    kernels = [np.ones((int(2 * r / ground.cell) + 1,) * 2, np.uint8) for r in radii]
    clear = tuple((r, cv2.dilate(ground.z, k)) for r, k in zip(radii, kernels, strict=True))
    return replace(ground, clear=clear)


def camera_rays(
    width: int, height: int, eye: tuple[float, float, float], target: tuple[float, float, float], field: float
) -> Array:
    """Return unit directions [height, width, 3] of a camera at `eye` looking at `target`.

    `field` is the horizontal field of view in degrees; z points up.
    """
    forward = np.subtract(target, eye).astype(np.float32)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0, 0, 1))
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    spread = np.tan(np.radians(field) / 2)
    u = ((np.arange(width) + 0.5) / width * 2 - 1) * spread
    v = (1 - (np.arange(height) + 0.5) / height * 2) * spread * height / width
    rays = forward + u[None, :, None] * right + v[:, None, None] * up
    return (rays / np.linalg.norm(rays, axis=-1, keepdims=True)).astype(np.float32)


def march(
    ground: HeightMap, origin: Array, rays: Array, start: float, reach: float, steps: int = 220, detail: float = 0.15
) -> Array:
    """Return how far along each ray [n, 3] from its origin [n, 3] the ground lies, infinite where it is not met.

    Steps grow with the height above the ground; `detail` is the smallest step in metres at the start.
    """
    found = np.full(len(rays), np.inf, np.float32)
    alive = np.arange(len(rays))
    t = np.full(len(rays), start, np.float32)
    before = t.copy()
    top = float(ground.z.max())
    for _ in range(steps):
        o, d, ta = origin[alive], rays[alive], t[alive]
        x, y, z = (o[:, i] + d[:, i] * ta for i in range(3))
        gap = z - ground.at(ground.z, x, y)
        hit = (gap < 0) & ground.inside(x, y)
        found[alive[hit]] = ta[hit]
        gone = hit | (ta > reach) | ((z > top) & (d[:, 2] >= 0))
        step = np.maximum(0 if ground.clear else gap * 0.3, detail + 0.0008 * ta)
        for radius, highest in reversed(ground.clear):
            lowest = z + np.minimum(d[:, 2], 0) * radius  # where this step would end
            step = np.where(lowest > ground.at(highest, x, y), np.maximum(step, radius), step)
        before[alive[~hit]] = ta[~hit]
        t[alive] = ta + step
        alive = alive[~gone]
        if not alive.size:
            break
    hit = np.flatnonzero(np.isfinite(found))
    low: Array = before[hit]
    high: Array = found[hit]
    o, d = origin[hit], rays[hit]
    for _ in range(9):  # halve the last step until the surface is known closely
        middle = ((low + high) / 2).astype(np.float32)
        x, y, z = (o[:, i] + d[:, i] * middle for i in range(3))
        under = z < ground.at(ground.z, x, y)
        high, low = np.where(under, middle, high), np.where(under, low, middle)
    found[hit] = high
    return found


def sunlight(
    ground: HeightMap, points: Array, sun: Array, reach: float, steps: int = 48, softness: float = 14.0
) -> Array:
    """Return how much of the sun each point [n, 3] sees, 0..1, with soft edges that widen with distance."""
    seen = np.ones(len(points), np.float32)
    t = reach / 1.13**steps + ground.cell * 1.5
    for _ in range(steps):
        x, y, z = (points[:, i] + sun[i] * t for i in range(3))
        gap = np.where(ground.inside(x, y), z - ground.at(ground.z, x, y), 1e3)
        seen = np.minimum(seen, softness * gap / t + 0.5)
        t *= 1.13
        if t > reach:
            break
    return np.clip(seen, 0, 1).astype(np.float32)


def normals(ground: HeightMap) -> Array:
    """Return the unit surface normals [rows, columns, 3] of a map."""
    dy, dx = np.gradient(ground.z, ground.cell)
    n = np.dstack([-dx, -dy, np.ones_like(dx)])
    return (n / np.linalg.norm(n, axis=-1, keepdims=True)).astype(np.float32)


def mountains(rng: np.random.Generator, shape: tuple[int, int], wavelength: float, octaves: int = 8) -> Array:
    """Return mountain heights, about 0..1: octaves of noise, each held back where the slope is already steep.

    Holding back is what running water does: crests stay sharp, and flanks break up into spurs and gullies.
    """
    total = np.zeros(shape, np.float32)
    slope_x, slope_y = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    amplitude = 1.0
    for _ in range(octaves):
        layer = noise(rng, shape, wavelength, 7.0)
        layer = (
            1 - np.sqrt(layer**2 + 0.02) * 0.8 if amplitude > 0.1 else layer
        )  # creases make the ridges of the large octaves
        gy, gx = np.gradient(layer)
        total += amplitude * layer / (1 + slope_x**2 + slope_y**2)  # by the slope so far: else crests grow needles
        slope_x += gx * amplitude * 34
        slope_y += gy * amplitude * 34
        amplitude *= 0.45
        wavelength *= 0.5
    total -= np.percentile(total, 1)
    return (total / np.percentile(total, 99.7)).astype(np.float32)
