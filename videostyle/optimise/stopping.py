"""How far the frames of a shot are taken."""

from dataclasses import dataclass, replace

import torch

from videostyle.optimise.outcome import OptimisedImage

# A frame has settled over this many evaluations, not over one: single steps of L-BFGS are uneven.
WINDOW = 5
# Converged loss is modelled as proportional to content_image_loss ** COST_POWER.
COST_POWER = 0.5
# A loss target is measured again when content_image_loss has changed by this ratio, but not within so many frames: a
# measurement costs as much as several frames.
COST_CHANGE, FRAMES = 1.1, 16


def has_settled(totals: torch.Tensor, tolerance: float) -> bool:
    """Whether the losses (evaluations,) change by less than ``tolerance`` per evaluation over the last WINDOW."""
    if len(totals) < WINDOW + 1:
        return False
    lowest, highest = (t.item() for t in totals[-1 - WINDOW :].aminmax())
    return highest - lowest < tolerance * WINDOW * lowest


def normalised_loss(loss: float, content_image_loss: float) -> float:
    """``loss``, reached for a content that costs ``content_image_loss``, in units that hold for other contents."""
    return loss / content_image_loss**COST_POWER if content_image_loss > 0 else 0.0


def target_loss(target: float, content_image_loss: float) -> float:
    """The loss that a normalised ``target`` means for a content that costs ``content_image_loss``."""
    return target * content_image_loss**COST_POWER


@dataclass(frozen=True)
class LossTarget:
    """The loss that the frames after a shot's first are taken to: what one reaches by itself in ``evaluations``.

    ``normalised_loss``: see the function; measured ``age`` frames ago at a content that cost ``content_image_loss``.
    ``least``: that of a picture that was given, below which no later frame is taken.
    """

    evaluations: int
    normalised_loss: float
    content_image_loss: float
    age: int = 0
    least: float = 0.0

    @classmethod
    def of(cls, alone: OptimisedImage, evaluations: int, least: float = 0.0) -> "LossTarget":
        """Measured at a frame that was painted by itself for so many ``evaluations`` or more, or until it settled."""
        reached = max(alone.curve[:evaluations, 0].min().item(), alone.losses.without_priors.item())
        cost = alone.content_image_loss
        return cls(evaluations, max(least, normalised_loss(reached, cost)), cost, least=least)

    def is_reached_by(self, outcome: OptimisedImage) -> bool:
        """Whether a frame got there."""
        return outcome.losses.without_priors.item() <= target_loss(self.normalised_loss, outcome.content_image_loss)

    def aged(self) -> "LossTarget":
        """The same, a frame later."""
        return replace(self, age=self.age + 1)

    def is_old(self, content_image_loss: float) -> bool:
        """Whether it should be measured again at a content that costs ``content_image_loss``."""
        least, most = sorted((content_image_loss, self.content_image_loss))
        return self.age >= FRAMES and most > COST_CHANGE * least
