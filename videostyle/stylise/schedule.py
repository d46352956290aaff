"""How long a frame is optimised, and how firmly it is held to the one before it."""

import math

from videostyle.optimise.outcome import OptimisedImage
from videostyle.settings import Settings
from videostyle.stylise.state import ShotState
from videostyle.temporal.coverage import Coverage

# Firmness of a shot's anchor, in units of the style loss: the style is held at what the first frame had reached of it.
ANCHOR_GAIN = 2.0
# Evaluations of a frame that lacks nothing; repeated small updates accumulate into drift.
FEWEST_EVALUATIONS = 3
# Evaluations on top of them, in units of the settings' floor times the root of the missing share of paint.
MISSING_FACTOR = 3
# Temporal gain after a frame that missed its loss target; the shot's anchor is dropped then too.
LOOSE_GAIN = 1 / 16


def next_temporal_gain(settings: Settings, state: ShotState, image: OptimisedImage) -> float:
    """How firmly moving pixels of the next frame are held: 1, or LOOSE_GAIN after a frame that missed its target."""
    return 1.0 if settings.no_target or state.target.is_reached_by(image) else LOOSE_GAIN


def remeasures_target(settings: Settings) -> bool:
    """Not where no target ends a frame."""
    return settings.tolerance > 0 and not settings.no_target


def min_evaluations(settings: Settings, coverage: Coverage) -> int:
    """The fewest evaluations of a frame: the more paint is missing, the more."""
    floor, missing = settings.iterations_floor, coverage.unfinished.mean().item()
    return min(floor, FEWEST_EVALUATIONS) + round(MISSING_FACTOR * floor * math.sqrt(missing))
