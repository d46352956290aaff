"""How far the frames of a shot are taken."""

from dataclasses import dataclass, replace

from videostyle.optimise.outcome import Outcome

# A frame has settled over this many evaluations, not over one: single steps of L-BFGS are uneven.
WINDOW = 5

# What the frames of a shot cost once they are optimised goes with this power of what their contents cost untouched:
# over seven clips and styles within 5 % of each frame's own 60 evaluations. In proportion (1) it was off by up to 14 %.
COST_POWER = 0.5


def as_goal(loss: float, untouched: float) -> float:
    """``loss``, right for a content that costs ``untouched``, as a goal for other contents: see COST_POWER."""
    return loss / untouched**COST_POWER


def goal_for(goal: float, untouched: float) -> float:
    """The loss that a goal (``as_goal``) means for a content that costs ``untouched``."""
    return goal * untouched**COST_POWER


# What a frame's own evaluations would reach goes with what its content costs (``as_goal``) only nearly: it is off by up
# to 14 % within three seconds of the sample clip. So a goal is measured again after FRAMES, or half as many where that
# cost has changed by COST_CHANGE; and after twice as many as the last time if it was still right within STILL_RIGHT:
# two measurements agree within 1 %. Without a look at that cost, after 12 frames or twice as many where it was right,
# two of four styles had frames at 1.15 and 1.18 of their own 60 evaluations with compact, instead of 1.08 and 1.11.
FRAMES, COST_CHANGE, STILL_RIGHT = 16, 1.05, 1.02


@dataclass(frozen=True)
class Goal:
    """What the frames after a shot's first are taken to: what one reaches by itself in so many ``evaluations``.

    ``level``: as ``as_goal`` has it, measured ``age`` frames ago at a content that cost ``untouched``; good for
    ``frames`` if contents go on costing that, else for half as many.
    """

    evaluations: int
    level: float
    untouched: float
    frames: int = FRAMES
    age: int = 0

    @classmethod
    def of(cls, alone: Outcome, evaluations: int) -> "Goal":
        """Measured at a frame that was painted by itself for so many ``evaluations`` or more, or until it settled."""
        reached = max(alone.curve[:evaluations, 0].min().item(), alone.losses.own.item())
        return cls(evaluations, as_goal(reached, alone.untouched) if alone.untouched > 0 else 0.0, alone.untouched)

    def reached(self, outcome: Outcome) -> bool:
        """Whether a frame got there."""
        return outcome.losses.own.item() <= goal_for(self.level, outcome.untouched)

    def older(self) -> "Goal":
        """The same, a frame later."""
        return replace(self, age=self.age + 1)

    def is_old(self, untouched: float) -> bool:
        """Whether it should be measured again at a content that costs ``untouched``."""
        return self.age >= (self.frames // 2 if _differ(untouched, self.untouched, COST_CHANGE) else self.frames)

    def again(self, alone: Outcome) -> "Goal":
        """Measured at a later frame of the shot, painted by itself."""
        goal = Goal.of(alone, self.evaluations)
        return replace(goal, frames=FRAMES if _differ(goal.level, self.level, STILL_RIGHT) else 2 * self.frames)


def _differ(a: float, b: float, factor: float) -> bool:
    return max(a, b) > factor * min(a, b)
