"""When a shot's target is measured again."""

from dataclasses import replace

import pytest
import torch

from videostyle.losses.objective import Losses
from videostyle.optimise.outcome import OptimisedImage
from videostyle.optimise.stopping import COST_CHANGE, FRAMES, LossTarget, normalised_loss

CURVE = [8.0, 5.0, 6.0, 4.0, 3.0]


def outcome(own: float, content_image_loss: float = 4.0, curve: list[float] = CURVE) -> OptimisedImage:
    one = torch.ones(1)
    losses = Losses(one, one, one, own * one, one)
    return OptimisedImage(
        one, losses, len(curve), 1.0, torch.tensor(curve)[:, None].expand(-1, 3), content_image_loss, one
    )


def test_it_is_the_lowest_loss_of_so_many_evaluations() -> None:
    assert LossTarget.of(outcome(3.0), 3) == LossTarget(3, normalised_loss(5.0, 4.0), 4.0)
    assert (
        LossTarget.of(outcome(3.0), 5).normalised_loss
        == LossTarget.of(outcome(3.0), 60).normalised_loss
        == normalised_loss(3.0, 4.0)
    )


def test_it_is_no_lower_than_what_the_frame_was_left_at() -> None:
    assert LossTarget.of(outcome(7.0), 5).normalised_loss == normalised_loss(7.0, 4.0)


def test_a_content_that_costs_nothing_is_nothing_to_go_by() -> None:
    assert LossTarget.of(outcome(3.0, content_image_loss=0.0), 5).normalised_loss == 0


@pytest.mark.parametrize(("factor", "reached"), [(0.99, True), (1.01, False)])
def test_a_frame_is_there_at_what_its_own_content_lets_it_be(factor: float, reached: bool) -> None:
    target = LossTarget.of(outcome(3.0), 5)
    assert (
        target.is_reached_by(outcome(factor * 3.0 / 2, content_image_loss=1.0)) is reached
    )  # a quarter of the cost: half the loss


@pytest.mark.parametrize("change", [COST_CHANGE * 1.001, 1 / COST_CHANGE / 1.001])
def test_it_is_old_where_contents_have_come_to_cost_something_else(change: float) -> None:
    target = replace(LossTarget.of(outcome(3.0), 5), age=FRAMES)
    assert target.is_old(4.0 * change)
    assert not replace(target, age=FRAMES - 1).is_old(4.0 * change)
    assert not target.is_old(4.0 * (1 + change) / 2)


def test_it_is_good_for_as_long_as_contents_cost_the_same() -> None:
    target = LossTarget.of(outcome(3.0), 5)
    for _ in range(10 * FRAMES):
        target = target.aged()
    assert not target.is_old(4.0)
