"""The core without files: what each frame starts from, and what comes out."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from small_networks import known_warp, small_backbone

from videostyle.errors import UsageError
from videostyle.frames import Frame, StylisedFrame
from videostyle.losses.pixel_losses import TemporalPrior
from videostyle.networks.backbone import Backbone
from videostyle.optimise.frame_task import FrameTask
from videostyle.optimise.outcome import OptimisedImage
from videostyle.optimise.stopping import COST_POWER, FRAMES, LossTarget, normalised_loss
from videostyle.settings import Settings
from videostyle.stylise.schedule import ANCHOR_GAIN, LOOSE_GAIN, next_temporal_gain
from videostyle.stylise.sequence import stylise_frames
from videostyle.stylise.start_images import fit_style, noise, resized
from videostyle.stylise.state import SequenceState
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal import trust
from videostyle.temporal.trust import HELD_MOVING
from videostyle.temporal.warp import Warp

QUICK = Settings(iterations=3, min_iterations=1, precision="fp32", device="cpu")


def picture(seed: int, height: int = 48, width: int = 64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 8, generator=generator)
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


def clip(count: int) -> list[Frame]:
    """A picture that moves right by two pixels a frame."""
    return [Frame(picture(0).roll(2 * i, dims=3), pts=i, time_base=Fraction(1, 25)) for i in range(count)]


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return small_backbone()


def stylizer(backbone: Backbone, settings: Settings = QUICK, **more: object) -> Stylizer:
    return Stylizer(picture(9), settings, backbone=backbone, **more)  # type: ignore[arg-type]


def test_every_frame_comes_out_with_its_time_and_cost(backbone: Backbone) -> None:
    frames = list(stylise_frames(clip(3), stylizer(backbone)))
    assert [f.index for f in frames] == [0, 1, 2]
    assert [f.time_seconds for f in frames] == [Fraction(i, 25) for i in range(3)]
    assert [f.start for f in frames] == ["palette", "warped", "warped"]
    for frame in frames:
        assert frame.pixels.shape == (1, 3, 48, 64)
        assert frame.pixels.min() >= 0 and frame.pixels.max() <= 1
        assert 1 <= frame.evaluations <= 3
        assert frame.loss == pytest.approx(frame.content_loss + Settings().style_weight * frame.style_loss, rel=1e-4)


def assert_anchored(position: SequenceState, stylizer: Stylizer, pixels: torch.Tensor) -> None:
    """The shot is held at what ``pixels`` have of the style."""
    assert position.state is not None
    anchored_at = stylizer.style_target(pixels).anchored_at(stylizer.extractor, pixels, ANCHOR_GAIN)
    (style,) = position.state.styles
    assert style.reached and anchored_at.reached
    for layer, reached in style.reached.statistics.items():
        assert torch.allclose(reached.gram, anchored_at.reached.statistics[layer].gram, rtol=1e-5, atol=1e-6)
        assert not torch.allclose(reached.gram, anchored_at.statistics[layer].gram, rtol=1e-2)


@pytest.mark.parametrize("evaluations", [60, 45])
def test_a_shots_goal_and_anchor_are_what_its_first_frame_was_after_so_many_evaluations(
    backbone: Backbone, evaluations: int
) -> None:
    positions: list[SequenceState] = []
    longer = QUICK.replace(iterations=70, tolerance=0.0, first_init="content", grain_weight=0.0)
    network = replace(backbone, target_evaluations=evaluations)
    next(stylise_frames(clip(1), stylizer(network, longer), on_state=positions.append))
    content = clip(1)[0].pixels
    then, _ = stylizer(network, longer.replace(iterations=evaluations)).optimise(content, FrameTask("content", content))
    assert positions[0].state is not None
    assert positions[0].state.target.normalised_loss == pytest.approx(
        normalised_loss(then.losses.without_priors.item(), then.content_image_loss), rel=1e-5
    )
    assert then.losses.without_priors < then.content_image_loss
    assert_anchored(positions[0], stylizer(network), then.pixels)


def mean_colour(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.mean((2, 3), keepdim=True)


def test_a_shot_keeps_to_the_mean_colours_of_its_first_frame(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dark style and nothing that holds a moving picture: it would get darker and darker."""
    settings = QUICK.replace(iterations=12, min_iterations=12, tolerance=0.0, temporal_weight=0.0, first_init="content")
    frames = [replace(frame, cut=i == 8) for i, frame in enumerate([*clip(8), Frame(1 - picture(0), pts=8)])]
    positions: list[SequenceState] = []

    def painted() -> list[torch.Tensor]:
        made = Stylizer(picture(9) ** 3, settings, backbone=backbone)
        out = stylise_frames(frames, made, on_state=positions.append)
        return [mean_colour(f.pixels) for f in out]

    held = painted()
    colours = [p.state.colours.stylised for p in positions if p.state is not None]
    assert all(torch.equal(c, held[0]) for c in colours[:8]) and torch.equal(colours[8], held[8])
    assert not torch.equal(held[8], held[0])
    monkeypatch.setattr(trust, "TEMPORAL_WEIGHT", 0.0)
    free = painted()
    darker = [(found[0] - found[7]).mean().item() for found in (held, free)]
    assert abs(darker[0]) < 1 / 255 and darker[1] > 5 / 255


def test_what_is_kept_of_every_frame_has_no_tensor_of_its_own() -> None:
    kept = [StylisedFrame(picture(i), index=i).without_pixels() for i in range(2)]
    assert kept[0].pixels is kept[1].pixels
    assert [f.index for f in kept] == [0, 1]


def test_frames_are_made_one_at_a_time(backbone: Backbone) -> None:
    taken: list[int] = []

    def source() -> object:
        for i, frame in enumerate(clip(5)):
            taken.append(i)
            yield frame

    out = stylise_frames(source(), stylizer(backbone))  # type: ignore[arg-type]
    next(out)
    assert taken == [0]


@pytest.mark.parametrize("init", ["content", "noise"])
def test_with_content_or_noise_every_frame_starts_so(backbone: Backbone, init: str) -> None:
    p = stylizer(backbone, QUICK.replace(init=init))
    whole = list(stylise_frames(clip(2), p))
    assert [f.start for f in whole] == [init, init]
    if init == "content":
        (alone,) = stylise_frames(clip(2)[1:], p)
        assert torch.equal(alone.pixels, whole[1].pixels)


def test_previous_starts_from_the_previous_stylised_frame(backbone: Backbone) -> None:
    p = stylizer(backbone, QUICK.replace(init="previous", iterations=1))
    first, second = stylise_frames(clip(2), p)
    assert torch.equal(first.pixels, second.pixels)  # one evaluation changes nothing


def test_previous_leaves_the_history_of_the_frame_before_alone(backbone: Backbone) -> None:
    """The optimiser overwrites what it is given."""
    p, positions = stylizer(backbone, QUICK.replace(init="previous")), list[SequenceState]()
    frames = list(stylise_frames(clip(3), p, on_state=positions.append))
    (again,) = stylise_frames(clip(3)[2:], p, resume_from=positions[1])
    assert torch.equal(again.pixels, frames[2].pixels)


def test_a_given_flow_is_used(backbone: Backbone) -> None:
    calls = []

    def flow(current: torch.Tensor, previous: torch.Tensor) -> Warp:
        calls.append((current, previous))
        return known_warp(torch.zeros(1, 2, 48, 64), torch.ones(1, 1, 48, 64))

    frames = clip(3)
    p = stylizer(backbone)
    list(stylise_frames(frames, p, flow=flow))
    assert [(c is not None, torch.equal(c, frames[i + 1].pixels)) for i, (c, _) in enumerate(calls)] == [
        (True, True)
    ] * 2
    assert torch.equal(calls[1][1], frames[1].pixels)


class Watched(Stylizer):
    """A painter that keeps how every frame was begun."""

    def __init__(self, backbone: Backbone, settings: Settings) -> None:
        super().__init__(picture(9), settings, backbone=backbone)
        self.tasks, self.painted = list[FrameTask](), list[OptimisedImage]()

    def optimise(self, content, begin, on_evaluation=None):  # type: ignore[no-untyped-def]
        outcome, history = super().optimise(content, begin, on_evaluation)
        self.tasks.append(begin)
        self.painted.append(outcome)
        return outcome, history


@pytest.mark.parametrize(("columns", "fewest"), [(0, 3), (1, 5), (8, 8)])
def test_the_fewest_evaluations_follow_from_what_is_new(backbone: Backbone, columns: int, fewest: int) -> None:
    """Of 64 columns so many have just come into view; the settings ask for 5."""
    seen, after = torch.ones(1, 1, 48, 64), 0.95 * picture(0)
    seen[..., :columns] = 0
    after[..., :columns] = 1 - after[..., :columns]

    warp, p = (
        known_warp(torch.zeros(1, 2, 48, 64), seen),
        Watched(backbone, QUICK.replace(iterations=20, min_iterations=5)),
    )
    frames = [Frame(picture(0)), Frame(after, pts=1)]
    list(stylise_frames(frames, p, flow=lambda *_: warp))
    assert [b.min_evaluations for b in p.tasks[:2]] == [None, fewest]


def test_a_frame_begins_in_its_own_light_and_is_held_less_where_it_moves(backbone: Backbone) -> None:
    flow = torch.zeros(1, 2, 48, 64)
    flow[:, 0, :, 32:] = 1.0
    warp, p = known_warp(flow, torch.ones(1, 1, 48, 64)), Watched(backbone, QUICK)
    frames = [Frame(picture(0)), Frame(0.9 * picture(0), pts=1)]
    first, _ = stylise_frames(frames, p, flow=lambda *_: warp)
    darker = (p.tasks[1].start - first.pixels)[..., :32].mean().item()
    assert darker == pytest.approx(-0.1 * picture(0)[..., :32].mean().item(), rel=0.3)
    prior, _ = p.tasks[1].priors
    assert prior.mask[..., 32:].max() <= HELD_MOVING < 0.5 < prior.mask[..., :32].max()


@pytest.mark.parametrize("before", [1.0, LOOSE_GAIN])
@pytest.mark.parametrize(("loss", "after"), [(1.01, LOOSE_GAIN), (0.99, 1.0)])
def test_a_shot_is_held_less_firmly_after_a_frame_that_missed_its_goal(
    backbone: Backbone, loss: float, before: float, after: float
) -> None:
    p, positions, content = stylizer(backbone), list[SequenceState](), picture(0)
    next(stylise_frames(clip(1), p, on_state=positions.append))
    state = positions[0].state
    assert state is not None and state.temporal_gain == 1
    image, _ = p.optimise(content, FrameTask("content", content))
    own = torch.tensor([loss * state.target.normalised_loss * image.content_image_loss**COST_POWER])
    image = replace(image, losses=replace(image.losses, without_priors=own))
    assert next_temporal_gain(Settings(), replace(state, temporal_gain=before), image) == after


def test_without_a_goal_a_frame_takes_its_fewest_evaluations_and_stays_firmly_held(backbone: Backbone) -> None:
    taken = {}
    for no_target in (False, True):
        settings = Settings(iterations=30, min_iterations=2, no_target=no_target)
        positions: list[SequenceState] = []
        frames = list(stylise_frames(clip(5), stylizer(backbone, settings), on_state=positions.append))
        taken[no_target] = [frame.evaluations for frame in frames]
    assert taken[True][0] == taken[False][0] and sum(taken[True][1:]) < sum(taken[False][1:])
    assert all(position.state is not None and position.state.temporal_gain == 1 for position in positions)


def test_a_loosely_held_frame_is_held_less_where_it_moves_and_to_no_anchor(backbone: Backbone) -> None:
    warp, positions = known_warp(torch.ones(1, 2, 48, 64), torch.ones(1, 1, 48, 64)), list[SequenceState]()
    masks, styles = [], []
    for temporal_gain in (1.0, LOOSE_GAIN):
        p = Watched(backbone, QUICK)
        next(stylise_frames(clip(1), p, on_state=positions.append))
        position = positions[-1]
        assert position.state is not None
        begin = replace(position, state=replace(position.state, temporal_gain=temporal_gain))
        next(stylise_frames(clip(2)[1:], p, flow=lambda *_: warp, resume_from=begin))
        prior, _ = p.tasks[1].priors
        assert isinstance(prior, TemporalPrior)
        masks.append(prior.mask)
        styles.append(p.tasks[1].styles)
    assert masks[0].max() > 0 and torch.allclose(masks[1], masks[0] * LOOSE_GAIN)
    assert [found and found[0].anchor_gain for found in styles] == [ANCHOR_GAIN, None]


def test_frames_that_cannot_get_to_their_goal_are_held_less_until_they_can(backbone: Backbone) -> None:
    p, positions = stylizer(backbone), list[SequenceState]()
    next(stylise_frames(clip(1), p, on_state=positions.append))
    for factor in (0.5, 4.0):
        state = positions[-1].state
        assert state is not None
        goal = replace(state.target, normalised_loss=factor * state.target.normalised_loss)
        begin = replace(positions[-1], index=1, state=replace(state, target=goal))
        list(stylise_frames(clip(4)[1:], p, resume_from=begin, on_state=positions.append))
    found = [position.state.temporal_gain for position in positions if position.state]
    assert found == [1, LOOSE_GAIN, LOOSE_GAIN, LOOSE_GAIN, 1, 1, 1]


@pytest.mark.slow
def test_a_goal_is_measured_again_at_a_frame_painted_by_itself(backbone: Backbone) -> None:
    """The light goes down at the fourth frame: as soon as the goal may be, it is measured at what is seen there."""
    soon, settings = FRAMES, QUICK.replace(iterations=20, tolerance=1e-9, first_init="noise")
    frames = clip(3) + [Frame(f.pixels / 2, pts=f.pts) for f in clip(soon + 3)[3:]]
    positions: list[SequenceState] = []
    p = Watched(backbone, settings)
    found = list(stylise_frames(frames, p, on_state=positions.append))
    goals = [position.state.target for position in positions if position.state]
    assert [goal.age for goal in goals] == [*range(soon), 0, 1, 2]
    content = frames[soon].pixels
    alone, _ = stylizer(backbone, settings).optimise(content, FrameTask("noise", p.start("noise", content)))
    assert goals[-1] == replace(LossTarget.of(alone, backbone.target_evaluations), age=2)
    assert goals[-1].normalised_loss != pytest.approx(goals[0].normalised_loss, rel=0.02)
    assert [begin.name for begin in p.tasks] == ["noise", *["warped"] * soon, "noise", "warped", "warped"]
    spent = [(o.evaluations, o.seconds) for o in p.painted[soon : soon + 2]]
    assert (found[soon].evaluations, found[soon].optimise_seconds) == tuple(map(sum, zip(*spent, strict=True)))


@pytest.mark.parametrize("change", [{"tolerance": 0.0}, {"init": "previous"}, {"coherence": 0.0}])
def test_where_nothing_is_taken_to_a_goal_none_is_measured(backbone: Backbone, change: dict[str, Any]) -> None:
    frames = [Frame(f.pixels / (1 + f.pts / 4), pts=f.pts) for f in clip(FRAMES + 2)]
    p = Watched(backbone, QUICK.replace(iterations=2, statistic="gram").replace(**change))
    list(stylise_frames(frames, p))
    assert len(p.tasks) == len(frames)


def test_a_picture_as_start(backbone: Backbone) -> None:
    start = picture(3, 24, 32)
    p = stylizer(backbone, QUICK.replace(init="start.png", iterations=1), starts={"start.png": start})
    (frame,) = stylise_frames(clip(1), p)
    assert torch.equal(frame.pixels, resized(start, (48, 64)))


def test_an_unknown_start_is_refused(backbone: Backbone) -> None:
    with pytest.raises(UsageError, match="content, palette, noise, network, previous, warped or a picture"):
        list(stylise_frames(clip(1), stylizer(backbone, QUICK.replace(init="nothing"))))


def test_a_picture_too_small_for_the_layers_is_refused(backbone: Backbone) -> None:
    with pytest.raises(UsageError, match="at least 16 pixels a side"):
        list(stylise_frames([Frame(picture(0, 8, 40))], stylizer(backbone)))


def test_noise_is_the_same_for_a_seed_and_differs_between_seeds() -> None:
    like = torch.zeros(1, 3, 64, 64)
    assert torch.equal(noise(like, 4), noise(like, 4))
    assert not torch.equal(noise(like, 4), noise(like, 5))
    assert noise(like, 4).mean() == pytest.approx(0.5, abs=0.02)


def test_the_style_keeps_its_aspect() -> None:
    assert fit_style(torch.zeros(1, 3, 100, 200), 80, 16).shape == (1, 3, 40, 80)
    assert fit_style(torch.zeros(1, 3, 10, 200), 80, 16).shape == (1, 3, 16, 80)


def test_the_same_twice(backbone: Backbone) -> None:
    once, again = (list(stylise_frames(clip(3), stylizer(backbone))) for _ in range(2))
    assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(once, again, strict=True))


def broken(problem: str, calls: list[str]) -> type[Stylizer]:
    """A painter whose third picture is not sound, and whose fourth, on the same frame, is."""

    class Broken(Stylizer):
        def optimise(self, content, begin, on_evaluation=None):  # type: ignore[no-untyped-def]
            outcome, history = super().optimise(content, begin, on_evaluation)
            calls.append(begin.name)
            if len(calls) != 3 and not (problem == "always" and len(calls) == 4):
                return outcome, history
            if problem == "flat":
                return replace(outcome, pixels=torch.full_like(content, 0.5)), history
            if problem == "jump":
                return replace(
                    outcome, losses=replace(outcome.losses, without_priors=outcome.losses.without_priors * 50)
                ), history
            return replace(outcome, curve=outcome.curve * float("nan")), history

    return Broken


@pytest.mark.parametrize(
    ("problem", "words"), [("flat", "flat colour"), ("jump", "times its neighbours'"), ("nan", "not a number")]
)
def test_a_frame_that_looks_wrong_is_painted_again(backbone: Backbone, problem: str, words: str) -> None:
    calls: list[str] = []
    made = broken(problem, calls)(picture(9), QUICK, backbone=backbone)
    frames = list(stylise_frames(clip(4), made))
    assert calls == ["palette", "warped", "warped", "palette", "warped"]
    assert [bool(f.problem) for f in frames] == [False, False, True, False]
    assert words in frames[2].problem and "and well" in frames[2].problem
    assert frames[2].start == "palette" and frames[2].pixels.std() > 0.01


def test_a_frame_that_stays_wrong_is_named_and_leaves_no_history(backbone: Backbone) -> None:
    made = broken("always", [])(picture(9), QUICK, backbone=backbone)
    positions: list[SequenceState] = []
    frames = list(stylise_frames(clip(4), made, on_state=positions.append))
    assert frames[2].problem.count("not a number") == 2 and not frames[3].problem
    assert positions[2].state is not None and positions[2].state.history is None
    assert all(torch.isfinite(f.pixels).all() for f in frames)


def test_a_black_source_may_give_a_black_frame(backbone: Backbone) -> None:
    black = Frame(torch.zeros(1, 3, 48, 64))
    (frame,) = stylise_frames([black], stylizer(backbone))
    assert not frame.problem
