"""Optimising a frame: when it stops, what it reports, and that it does the same again."""

import pytest
import torch
from small_networks import picture, small_backbone, smooth_picture

from videostyle.losses.content import ContentTarget
from videostyle.losses.objective import LossWeights, Objective
from videostyle.losses.pixel_losses import TemporalPrior
from videostyle.losses.style import StyleTarget, areas_of
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.optimise.frame_task import FrameTask
from videostyle.optimise.image_optimiser import ImageOptimiser, loss_weights
from videostyle.optimise.lbfgs import History
from videostyle.optimise.stopping import WINDOW, has_settled, normalised_loss
from videostyle.settings import Settings

SIZE = (24, 31)
SETTINGS = Settings(
    content_layers=("conv2_2",),
    style_layers=("conv1_1", "conv2_1", "conv3_1"),
    style_weight=1e7,
    iterations=30,
    min_iterations=3,
    tolerance=0.0,
    history_size=5,
    statistic="gram",
)
CONTENT = smooth_picture(*SIZE, seed=1)
STYLE = picture(20, 26, seed=2).square()


def optimiser(**changes) -> ImageOptimiser:
    settings = SETTINGS.replace(**changes)
    extractor = FeatureExtractor(small_backbone(), loss_weights(settings).layers)
    return ImageOptimiser(extractor, StyleTarget(extractor, STYLE, settings.style_layers), settings)


def objective(made: ImageOptimiser) -> Objective:
    return Objective(
        made.extractor, ContentTarget(made.extractor, CONTENT, made.weights.content_layers), made.areas, made.weights
    )


def test_the_settings_reach_the_objective():
    given = Settings(content_weight=2.0, style_weight=3.0, tv_weight=4.0, statistic="shifted")
    given = given.replace(content_layers=("conv1_1",), style_layers=("conv2_2", "conv3_1"))
    assert loss_weights(given) == LossWeights(2.0, 3.0, 4.0, ("conv1_1",), ("conv2_2", "conv3_1"), "shifted")
    assert loss_weights(given.replace(strength=1.0)).style == pytest.approx(300.0)
    assert loss_weights(given.replace(strength=0.0)).style == pytest.approx(0.03)


@pytest.mark.parametrize("rate", [0.01, 0.05])
def test_the_learning_rate_reaches_adam(rate):
    """Adam's first step changes every pixel by the learning rate."""
    made, grey = optimiser(optimizer="adam", learning_rate=rate), torch.full_like(CONTENT, 0.5)
    task = FrameTask("grey", grey)
    runner = made.runner(made.objective(CONTENT, task)[0], task)
    runner.advance(2)
    assert (runner.loop.x - grey).abs().median().item() == pytest.approx(rate, rel=1e-3)


@pytest.mark.parametrize("name", ["lbfgs", "adam"])
def test_the_loss_falls_and_the_losses_are_those_of_the_returned_pixels(name):
    made = optimiser(optimizer=name)
    before = objective(made).value(CONTENT)
    outcome, _ = made.run(CONTENT, FrameTask("content", CONTENT))
    assert outcome.losses.total < 0.3 * before.total
    again = objective(made).value(outcome.pixels)
    for field in ("total", "content", "style"):
        torch.testing.assert_close(getattr(outcome.losses, field), getattr(again, field), rtol=1e-6, atol=0)
    assert outcome.seconds > 0


@pytest.mark.parametrize("name", ["lbfgs", "adam"])
def test_every_pixel_stays_in_range(name):
    """Towards a style of black and white points the free optimum lies outside of [0, 1]."""
    made = optimiser(optimizer=name)
    style = StyleTarget(made.extractor, 20 * picture(*SIZE).round() - 10, made.settings.style_layers)
    made.areas = areas_of(style)
    outcome, _ = made.run(CONTENT, FrameTask("content", picture(*SIZE, seed=5)))
    assert outcome.pixels.min() == 0
    assert outcome.pixels.max() == 1
    outcome, _ = optimiser(optimizer=name, iterations=1, min_iterations=1).run(
        CONTENT, FrameTask("content", CONTENT * 3 - 1)
    )
    assert 0 <= outcome.pixels.min() <= outcome.pixels.max() <= 1


@pytest.mark.parametrize("name", ["lbfgs", "adam"])
def test_the_same_again(name):
    made = optimiser(optimizer=name, iterations=12)
    first, history = made.run(CONTENT, FrameTask("content", CONTENT))
    second, _ = made.run(CONTENT, FrameTask("content", CONTENT))
    fresh, _ = optimiser(optimizer=name, iterations=12).run(CONTENT, FrameTask("content", CONTENT))
    assert torch.equal(first.pixels, second.pixels)
    assert torch.equal(first.pixels, fresh.pixels)
    assert (history is None) == (name == "adam")


def test_the_ceiling_counts_evaluations():
    for ceiling in (1, 2, 7):
        outcome, _ = optimiser(iterations=ceiling, min_iterations=1).run(CONTENT, FrameTask("content", CONTENT))
        assert outcome.evaluations == ceiling
    outcome, _ = optimiser(iterations=1, min_iterations=1).run(CONTENT, FrameTask("content", CONTENT))
    assert torch.equal(outcome.pixels, CONTENT)  # one evaluation looks, and does not move


def test_the_floor_holds_however_lax_the_tolerance():
    for floor in (1, WINDOW + 1, 11):
        outcome, _ = optimiser(min_iterations=floor, tolerance=1e6).run(CONTENT, FrameTask("content", CONTENT))
        assert outcome.evaluations == max(floor, WINDOW + 1)


def test_tolerance_zero_never_stops_early():
    """Even where nothing falls any more: content against itself, without style."""
    made = optimiser(style_weight=0.0, iterations=20)
    outcome, _ = made.run(CONTENT, FrameTask("content", CONTENT))
    assert outcome.evaluations == 20
    assert outcome.losses.total == 0


def test_a_finer_tolerance_takes_longer_and_falls_lower():
    coarse, _ = optimiser(tolerance=0.02, iterations=200).run(CONTENT, FrameTask("content", CONTENT))
    fine, _ = optimiser(tolerance=0.002, iterations=200).run(CONTENT, FrameTask("content", CONTENT))
    assert coarse.evaluations < fine.evaluations < 200
    assert fine.losses.total < coarse.losses.total


def test_a_frame_has_settled_when_its_loss_hardly_changes():
    falling = 100.0 * 0.98 ** torch.arange(10.0)
    assert not has_settled(falling, 0.01)  # 2 % an evaluation
    assert has_settled(100.0 * 0.995 ** torch.arange(10.0), 0.01)
    assert not has_settled(torch.tensor([100.0, 300.0, 150.0, 120.0, 101.0, 100.5]), 0.01)  # a bad step, not rest
    spike = torch.cat((falling[:-1], torch.tensor([1e6])))
    assert not has_settled(spike, 0.01)  # one bad step is no end
    assert not has_settled(torch.ones(WINDOW), 0.01)  # too short to tell
    assert has_settled(torch.ones(WINDOW + 1), 0.01)


def test_a_carried_history_saves_evaluations():
    made = optimiser(iterations=15)
    first, history = made.run(CONTENT, FrameTask("content", CONTENT))
    assert history is not None
    assert int(history.valid.sum()) == 5
    warm, _ = made.run(CONTENT, FrameTask("content", first.pixels, history=history))
    cold, _ = made.run(CONTENT, FrameTask("content", first.pixels))
    assert warm.losses.total < cold.losses.total < first.losses.total


def test_the_given_history_is_used_up():
    made = optimiser(iterations=8)
    first, history = made.run(CONTENT, FrameTask("content", CONTENT))
    _, after = made.run(CONTENT, FrameTask("content", first.pixels, history=history))
    assert after.pairs.data_ptr() == history.pairs.data_ptr()


def test_priors_hold_the_picture():
    made = optimiser(iterations=15)
    target, mask = picture(*SIZE, seed=8), torch.ones(1, 1, *SIZE)
    free, _ = made.run(CONTENT, FrameTask("content", CONTENT))
    held, _ = made.run(CONTENT, FrameTask("content", CONTENT, priors=(TemporalPrior(1e9, target, mask),)))
    assert (held.pixels - target).abs().mean() < 0.1 * (free.pixels - target).abs().mean()
    off, _ = made.run(CONTENT, FrameTask("content", CONTENT, priors=(TemporalPrior(1e9, target, 0 * mask),)))
    torch.testing.assert_close(off.pixels, free.pixels)


def test_bf16_reaches_the_loss_of_fp32():
    losses = []
    for dtype in (torch.float32, torch.bfloat16):
        extractor = FeatureExtractor(small_backbone(), loss_weights(SETTINGS).layers, dtype=dtype)
        made = ImageOptimiser(extractor, StyleTarget(extractor, STYLE, SETTINGS.style_layers), SETTINGS)
        outcome, history = made.run(CONTENT, FrameTask("content", CONTENT))
        assert isinstance(history, History)
        assert outcome.pixels.dtype == torch.float32
        losses.append(objective(optimiser()).value(outcome.pixels).total.item())  # both judged in float32
    assert losses[1] == pytest.approx(losses[0], rel=0.05)


def test_the_curve_holds_every_evaluation_and_ends_with_the_outcome():
    made = optimiser(iterations=7)
    outcome, _ = made.run(CONTENT, FrameTask("content", CONTENT))
    assert outcome.curve.shape == (7, 3) and outcome.curve.dtype == torch.float32
    ends = torch.cat([outcome.losses.total, outcome.losses.content, outcome.losses.style])
    assert torch.equal(outcome.curve[-1], ends)
    alpha, beta = SETTINGS.content_weight, SETTINGS.style_weight
    torch.testing.assert_close(outcome.curve[:, 0], alpha * outcome.curve[:, 1] + beta * outcome.curve[:, 2])


def test_what_is_not_free_stays_as_it_was():
    made = optimiser(iterations=10)
    start, free = picture(*SIZE, seed=6), torch.ones(1, 1, *SIZE)
    free[..., :12, :] = 0
    outcome, _ = made.run(CONTENT, FrameTask("content", start, update_mask=free))
    assert torch.equal(outcome.pixels[..., :12, :], start[..., :12, :])
    assert not torch.equal(outcome.pixels[..., 12:, :], start[..., 12:, :])


def test_nothing_free_is_one_look():
    outcome, _ = optimiser(iterations=10).run(
        CONTENT, FrameTask("content", CONTENT, update_mask=torch.zeros(1, 1, *SIZE))
    )
    assert outcome.evaluations == 1
    assert torch.equal(outcome.pixels, CONTENT)


def test_a_target_ends_the_frame_when_it_is_reached():
    far, _ = optimiser(tolerance=1e-9, iterations=30).run(CONTENT, FrameTask("content", CONTENT))
    halfway, _ = optimiser(tolerance=1e-9, iterations=10).run(CONTENT, FrameTask("content", CONTENT))
    target = normalised_loss(1.000001 * halfway.losses.without_priors.item(), halfway.content_image_loss)
    found, _ = optimiser(tolerance=1e-9, iterations=30).run(CONTENT, FrameTask("content", CONTENT, target=target))
    assert found.losses.without_priors <= 1.000001 * halfway.losses.without_priors
    assert found.evaluations <= 10 < far.evaluations
    never, _ = optimiser(tolerance=0.0, iterations=12).run(CONTENT, FrameTask("content", CONTENT, target=target))
    assert never.evaluations == 12


def test_a_target_is_for_another_content_by_the_root_of_what_it_costs():
    bright = (0.3 + 0.7 * CONTENT).flip(3)
    first, _ = optimiser(tolerance=1e-9, iterations=10).run(CONTENT, FrameTask("content", CONTENT))
    target = normalised_loss(first.losses.without_priors.item(), first.content_image_loss)
    found, _ = optimiser(tolerance=1e-9, iterations=60).run(bright, FrameTask("content", bright, target=target))
    expected = first.losses.without_priors.item() * (found.content_image_loss / first.content_image_loss) ** 0.5
    assert abs(found.content_image_loss / first.content_image_loss - 1) > 0.1
    assert found.losses.without_priors <= expected < found.curve[-2, 0]


@pytest.mark.parametrize("look", [1, 4])
def test_the_picture_on_the_way_is_what_so_many_evaluations_give(look: int):
    made = optimiser(tolerance=0.0, iterations=12)
    made.check_every = look
    whole, _ = made.run(CONTENT, FrameTask("content", CONTENT, snapshot_at=7))
    short, _ = optimiser(tolerance=0.0, iterations=7).run(CONTENT, FrameTask("content", CONTENT))
    assert torch.equal(whole.snapshot, short.pixels)
    assert not torch.equal(whole.snapshot, whole.pixels)
    assert whole.evaluations == 12


@pytest.mark.parametrize("snapshot_at", [None, 12, 20])
def test_a_picture_that_is_done_before_is_its_own_on_the_way(snapshot_at: int | None):
    outcome, _ = optimiser(tolerance=0.0, iterations=12).run(
        CONTENT, FrameTask("content", CONTENT, snapshot_at=snapshot_at)
    )
    assert torch.equal(outcome.snapshot, outcome.pixels)


def test_what_the_untouched_content_costs():
    outcome, _ = optimiser(iterations=3).run(CONTENT, FrameTask("content", torch.rand(1, 3, *SIZE)))
    assert outcome.content_image_loss == pytest.approx(
        optimiser().losses(CONTENT, CONTENT).without_priors.item(), rel=1e-6
    )


def test_the_lowest_iterate_is_kept():
    outcome, _ = optimiser(optimizer="adam", learning_rate=0.5, iterations=15).run(
        CONTENT, FrameTask("content", CONTENT)
    )
    curve = outcome.curve[:, 0]
    assert outcome.losses.total.item() == pytest.approx(curve.min().item())
