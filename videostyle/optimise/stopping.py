"""How far the frames of a shot are taken."""

from dataclasses import dataclass, replace

import torch

from videostyle.optimise.outcome import OptimisedImage

# A frame has settled over this many evaluations, not over one: single steps of L-BFGS are uneven.
WINDOW = 5
# What the frames of a shot cost once they are optimised goes with this power of what their contents cost untouched:
# over seven clips and styles within 5 % of each frame's own 60 evaluations. In proportion (1) it was off by up to 14 %.
COST_POWER = 0.5


def has_settled(totals: torch.Tensor, tolerance: float) -> bool:
    """Whether the losses (evaluations,) change by less than ``tolerance`` per evaluation over the last WINDOW."""
    if len(totals) < WINDOW + 1:
        return False
    lowest, highest = (t.item() for t in totals[-1 - WINDOW :].aminmax())
    return highest - lowest < tolerance * WINDOW * lowest


def normalised_loss(loss: float, content_image_loss: float) -> float:
    """``loss``, right for a content that costs ``content_image_loss``, as a goal for other contents: see COST_POWER."""
    return loss / content_image_loss**COST_POWER


def target_loss(target: float, content_image_loss: float) -> float:
    """The loss that a goal (``normalised_loss``) means for a content that costs ``content_image_loss``."""
    return target * content_image_loss**COST_POWER


# What a frame's own evaluations would reach goes with what its content costs (``normalised_loss``) only nearly: it is
# off by up to 14 % within three seconds of the sample clip. So a goal is measured again after FRAMES, or half as many
# where that cost has changed by COST_CHANGE; and after twice as many as the last time if it was still right within
# STILL_RIGHT: two measurements agree within 1 %. Without a look at that cost, after 12 frames or twice as many where it
# was right, two of four styles had frames at 1.15 and 1.18 of their own 60 evaluations with compact, instead of 1.08
# and 1.11.
FRAMES, COST_CHANGE, STILL_RIGHT = 16, 1.05, 1.02


@dataclass(frozen=True)
class LossTarget:
    """What the frames after a shot's first are taken to: what one reaches by itself in so many ``evaluations``.

    ``normalised_loss``: as ``normalised_loss`` has it, measured ``age`` frames ago at a content that cost
    ``content_image_loss``; good for ``frames`` if contents go on costing that, else for half as many.
    """

    evaluations: int
    normalised_loss: float
    content_image_loss: float
    frames: int = FRAMES
    age: int = 0

    @classmethod
    def of(cls, alone: OptimisedImage, evaluations: int) -> "LossTarget":
        """Measured at a frame that was painted by itself for so many ``evaluations`` or more, or until it settled."""
        reached = max(alone.curve[:evaluations, 0].min().item(), alone.losses.without_priors.item())
        return cls(
            evaluations,
            normalised_loss(reached, alone.content_image_loss) if alone.content_image_loss > 0 else 0.0,
            alone.content_image_loss,
        )

    def is_reached_by(self, outcome: OptimisedImage) -> bool:
        """Whether a frame got there."""
        return outcome.losses.without_priors.item() <= target_loss(self.normalised_loss, outcome.content_image_loss)

    def aged(self) -> "LossTarget":
        """The same, a frame later."""
        return replace(self, age=self.age + 1)

    def is_old(self, content_image_loss: float) -> bool:
        """Whether it should be measured again at a content that costs ``content_image_loss``."""
        return self.age >= (
            self.frames // 2 if _differ(content_image_loss, self.content_image_loss, COST_CHANGE) else self.frames
        )

    def remeasured(self, alone: OptimisedImage) -> "LossTarget":
        """Measured at a later frame of the shot, painted by itself."""
        target = LossTarget.of(alone, self.evaluations)
        return replace(
            target,
            frames=FRAMES if _differ(target.normalised_loss, self.normalised_loss, STILL_RIGHT) else 2 * self.frames,
        )


def _differ(a: float, b: float, factor: float) -> bool:
    return max(a, b) > factor * min(a, b)
