"""How long a frame is optimised and how firmly it is held: the stopping and firmness rules with their constants."""

from videostyle.optimise.outcome import OptimisedImage
from videostyle.settings import Settings
from videostyle.stylise.state import ShotState
from videostyle.temporal.coverage import Coverage
from videostyle.temporal.warp import Warp

# How much more firmly than the style's own loss a shot is held at what its first frame had reached of the style by
# then. Held at what that converges to, the style of frames that are taken less far is pulled on for seconds. More would
# let the content pay for it: the balance of style and content rightly changes with what is to be seen.
ANCHOR_GAIN = 2.0
# A frame of which less than this share is unfinished may stop after this many evaluations: it has little left to do,
# and what is done to it again and again adds up.
UNFINISHED_SHARE, FEWEST_EVALUATIONS = 0.005, 3
# A frame of which more than this share has just come into view is given this many: the rest of it is so good already
# that the whole would be good enough before the new part is painted.
REVEALED_SHARE, REVEALED_EVALUATIONS = 0.04, 20
# How firmly what moves is held to the frame before: so much less after a frame that did not get to its goal, but never
# less than LOOSEST, where the shot's anchor does not hold it either; and as much more after one that was there so soon.
# Over 50 frames of the sample clip the worst of every twelfth frame is 1.04 and 1.06 of its own 60 evaluations in two
# styles, instead of 1.22 and 1.19, for as many evaluations or fewer (``frame.py --judged-every 12``, 192 px, VGG-19).
GAIN_STEP, LEAST_GAIN, EASY_EVALUATIONS = 1 / 4, 1 / 16, 12


def next_temporal_gain(settings: Settings, state: ShotState, outcome: OptimisedImage) -> float:
    """How firmly what moves is held in the next frame; less after one that was held too firmly to get to its goal."""
    if not state.target.is_reached_by(outcome):
        return max(LEAST_GAIN, state.temporal_gain * GAIN_STEP)
    if outcome.evaluations <= max(EASY_EVALUATIONS, settings.iterations_floor):
        return min(1.0, state.temporal_gain / GAIN_STEP)
    return state.temporal_gain


def remeasures_target(settings: Settings) -> bool:
    """Not where no goal ends a frame, nor where a shot's first frame was polished, which is a goal of its own."""
    return settings.tolerance > 0 and not settings.polish


def min_evaluations(settings: Settings, warp: Warp, coverage: Coverage) -> int:
    """The fewest evaluations: fewer than the settings' where nothing is left to do, more where much is new."""
    if coverage.unfinished.mean().item() < UNFINISHED_SHARE:
        return min(settings.iterations_floor, FEWEST_EVALUATIONS)
    if warp.visible.mean().item() < 1 - REVEALED_SHARE:
        return max(settings.iterations_floor, REVEALED_EVALUATIONS)
    return settings.iterations_floor
