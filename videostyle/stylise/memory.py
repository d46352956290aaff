"""How much memory frames take, by estimate, and how much of one may go through the network at once."""

import math

import torch

from videostyle.device import total_memory_bytes
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.settings import Settings

GIB = 2**30
# The program with torch and its libraries, before the first frame.
PROGRAM_BYTES = 0.6 * GIB
# A float32 RGB pixel.
PIXEL_BYTES = 12
# Pictures beside the curvature pairs: the frame, the one before and those read ahead, the iterate, the best one, the
# gradient, what is known of every pixel, and the temporaries of an optimiser's step.
PICTURES = 22
# Side, in pixels, of the smallest core: below it most of a tile is halo.
SMALLEST_CORE = 256
# Share of the device's memory that is used without being asked for.
USABLE = 0.9


def memory_bytes(settings: Settings, device: torch.device) -> float | None:
    """Most that a run may take, the program included; None where the system does not say how much there is."""
    if settings.memory is not None:
        return settings.memory * GIB
    total = total_memory_bytes(device)
    return None if total is None else USABLE * total


def needed_bytes(settings: Settings, extractor: FeatureExtractor, pixels: int, at_once: int) -> float:
    """What a run takes with frames of so many ``pixels``, ``at_once`` of them in the network at most."""
    return PROGRAM_BYTES + pixels * _bytes_per_pixel(settings) + at_once * _bytes_in_network(extractor)


def pixels_at_once(settings: Settings, extractor: FeatureExtractor, pixels: int) -> int | None:
    """How many of a frame's ``pixels`` may go through the network at once, no fewer than the smallest tile has.

    None: any number. It depends on the settings and the machine alone, so that a run that is resumed has the same.
    """
    allowed = memory_bytes(settings, extractor.device)
    if allowed is None:
        return None
    left = allowed - PROGRAM_BYTES - pixels * _bytes_per_pixel(settings)
    return max(smallest_tile(extractor), math.floor(left / _bytes_in_network(extractor)))


def smallest_tile(extractor: FeatureExtractor) -> int:
    """Pixels of the smallest tile with its halo."""
    return (SMALLEST_CORE + 2 * extractor.halo) ** 2


def _bytes_per_pixel(settings: Settings) -> int:
    """Of the whole frame.

    The optimiser's curvature pairs, and those that the frame before has left, which of a finer octave are few.
    """
    histories = 2 if settings.octaves == 1 else 1
    pairs = 2 * settings.history_size * histories if settings.optimizer == "lbfgs" else 0
    return PIXEL_BYTES * (pairs + PICTURES)


def _bytes_in_network(extractor: FeatureExtractor) -> int:
    """Of a tile: features and their gradients, what is measured of a network without what the whole frame takes."""
    precision = "bf16" if extractor.dtype == torch.bfloat16 else "fp32"
    return extractor.backbone.bytes_per_pixel[precision] - _bytes_per_pixel(Settings(octaves=1))
