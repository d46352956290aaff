"""What is wanted of a frame: several areas, parts that stay, colours, and all of it over time."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_networks import small_backbone, smooth_picture

from videostyle.checkpoint.state_codec import from_plain, to_plain
from videostyle.errors import UsageError
from videostyle.frames import Frame
from videostyle.losses.style import StyleTarget
from videostyle.settings import Settings
from videostyle.stylise.direction import Area, Colours, Moment, layered, mask_at
from videostyle.stylise.palette import Moments
from videostyle.stylise.recolour import to_lab
from videostyle.stylise.sequence import stylise_frames
from videostyle.stylise.state import SEQUENCE_STATE_TYPES, SequenceState
from videostyle.stylise.style_images import StyleImage, as_style
from videostyle.stylise.stylizer import Stylizer

QUICK = Settings(
    iterations=6,
    min_iterations=2,
    style_weight=1e6,
    precision="fp32",
    device="cpu",
    statistic="gram",
    grain_weight=0.0,
)
SIZE = 48, 64
ONE, OTHER = as_style(smooth_picture(40, 48, seed=1) ** 2), as_style(1 - smooth_picture(40, 48, seed=2) ** 2)


def clip(count: int, step: int = 0) -> list[Frame]:
    return [Frame(smooth_picture(*SIZE, seed=5).roll(step * i, dims=3), pts=i) for i in range(count)]


def left_half() -> torch.Tensor:
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., :32] = 1
    return mask


def directed(direction, settings: Settings = QUICK) -> Stylizer:
    return Stylizer(ONE, settings, direction=direction, backbone=small_backbone())


def always(moment: Moment):
    return directed(lambda _: moment)


def painted(stylizer: Stylizer, frames: list[Frame]) -> list[torch.Tensor]:
    return [frame.pixels for frame in stylise_frames(frames, stylizer)]


def test_what_is_wanted_always_is_what_is_painted_without_direction():
    plain = painted(Stylizer(ONE, QUICK, backbone=small_backbone()), clip(3, step=2))
    found = painted(always(Moment(QUICK, (Area(ONE),))), clip(3, step=2))
    assert all(torch.equal(a, b) for a, b in zip(plain, found, strict=True))


def test_a_part_that_is_kept_is_the_source_to_the_bit_and_the_rest_is_painted():
    mask = left_half()
    frames = clip(2, step=2)
    for source, pixels in zip(
        frames, painted(always(Moment(QUICK, (Area(ONE, 1 - mask),), mask)), frames), strict=True
    ):
        assert torch.equal(pixels[..., :32], source.pixels[..., :32])
        assert (pixels - source.pixels)[..., 40:].abs().mean() > 0.01


def test_each_area_comes_nearer_to_its_own_style():
    settings = QUICK.replace(iterations=30, content_weight=0.0)
    mask = left_half()
    stylizer = directed(lambda _: Moment(settings, (Area(ONE, 1 - mask), Area(OTHER, mask))), settings)
    (pixels,) = painted(stylizer, clip(1))
    targets = [area.target for area in stylizer.at(clip(1)[0]).optimiser(pixels).areas]

    def distance(side: torch.Tensor, style: StyleTarget) -> float:
        grams = StyleTarget(stylizer.extractor, side, ("conv1_1",)).statistics["conv1_1"].gram
        return (grams - style.statistics["conv1_1"].gram).square().sum().item()

    right, left = pixels[..., 36:], pixels[..., :28]
    assert distance(left, targets[1]) < distance(left, targets[0])
    assert distance(right, targets[0]) < distance(right, targets[1])


def test_the_sources_colours_and_their_share():
    (source,), (own,) = clip(1), painted(Stylizer(ONE, QUICK, backbone=small_backbone()), clip(1))
    away = []
    for share in (0.0, 0.5, 1.0):
        (found,) = painted(always(Moment(QUICK, (Area(ONE),), colours=Colours(share, of_source=True))), [source])
        away.append((to_lab(found) - to_lab(source.pixels))[:, 1:].abs().mean().item())
        if share == 0:
            torch.testing.assert_close(found, own)
    assert away[0] > away[1] > away[2] and away[2] < 1


def test_another_pictures_colours():
    palette = torch.full((1, 3, 8, 8), 0.5)
    palette[:, 0] = 0.9  # red
    colours = Colours(1.0, Moments.of([palette], [1.0]))
    (plain,), (red,) = (painted(always(Moment(QUICK, (Area(ONE),), colours=c)), clip(1)) for c in (Colours(), colours))
    tint = [(p[:, 0] - p[:, 1:].mean(1)).mean().item() for p in (plain, red)]
    assert tint[1] > tint[0] + 0.1


def test_colours_of_the_source_are_those_of_the_shots_first_frame():
    """The style's pictures do not change within a shot; chroma comes from each frame."""
    frames = [Frame((smooth_picture(*SIZE, seed=5) * (1 - 0.2 * i)).clamp(0, 1), pts=i) for i in range(3)]
    states: list[SequenceState] = []
    stylizer = always(Moment(QUICK, (Area(ONE),), colours=Colours(1.0, of_source=True)))
    list(stylise_frames(frames, stylizer, on_state=states.append))
    palettes = [state.state.palette for state in states]
    assert all(torch.equal(p.mean, palettes[0].mean) for p in palettes)


def turning(frame: Frame) -> Moment:
    """From one style to another and from weak to strong, between the frames 2 and 5."""
    share = min(max((float(frame.time_seconds) - 2) / 3, 0.0), 1.0)
    blend = as_style([replace(ONE[0], weight=1 - share), StyleImage(OTHER[0].picture, share)])
    return Moment(QUICK.replace(strength=0.3 + 0.3 * share), (Area(blend),), look=f"{share:.6f}")


def test_a_style_turns_into_another_and_anchors_move_along():
    states: list[SequenceState] = []
    list(stylise_frames(clip(9), directed(turning), on_state=states.append))
    reached = [state.state.styles[0] for state in states]
    same = [a is b or torch.equal(a.reached.grain, b.reached.grain) for a, b in pairwise(reached)]
    assert same == [True, True, False, False, False, True, True, True]
    (alone,) = as_style([OTHER[0]])
    wanted = Stylizer((alone,), QUICK, backbone=small_backbone()).style_target(clip(1)[0].pixels)
    torch.testing.assert_close(reached[-1].statistics["conv3_1"].gram, wanted.statistics["conv3_1"].gram)


def test_still_pixels_stay_until_something_else_is_wanted_and_then_change():
    pixels = painted(directed(turning), clip(9))
    moved = [(b - a).abs().max().item() for a, b in pairwise(pixels)]
    assert moved[0] == moved[1] == 0 and all(m > 1e-3 for m in moved[2:5])


@pytest.mark.parametrize("at", [1, 4, 7])
def test_a_run_goes_on_to_the_bit_in_the_middle_of_a_change(at):
    frames, states = clip(9, step=2), []
    mask = left_half()

    def direction(frame: Frame) -> Moment:
        moment = turning(frame)
        areas = Area(moment.areas[0].style, 1 - mask), Area(OTHER, mask)
        return replace(moment, areas=areas, colours=Colours(0.5, of_source=True))

    whole = list(stylise_frames(frames, directed(direction), on_state=states.append))
    tensors: dict[str, torch.Tensor] = {}
    stored = to_plain(states[at], SEQUENCE_STATE_TYPES, tensors)
    position: SequenceState = from_plain(stored, SEQUENCE_STATE_TYPES, tensors)
    rest = list(stylise_frames(frames[at + 1 :], directed(direction), resume_from=position))
    assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(whole[at + 1 :], rest, strict=True))


# --- masks


@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=4))
def test_what_can_be_seen_of_layers_sums_to_one(seeds):
    masks = [torch.rand(1, 1, 5, 7, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    seen = layered(masks)
    assert len(seen) == len(masks) + 1
    torch.testing.assert_close(sum(seen), torch.ones(1, 1, 5, 7))
    assert torch.equal(seen[-1], masks[-1]) and all(bool((m >= 0).all()) for m in seen)


def test_no_layers_are_refused():
    with pytest.raises(UsageError, match="no mask"):
        layered([])


def test_a_mask_at_another_size():
    mask = left_half()
    assert mask_at(mask, *SIZE) is mask
    small, large = mask_at(mask, 24, 32), mask_at(mask, 96, 128)
    assert torch.equal(small, left_half()[..., ::2, ::2]) and large.mean().item() == pytest.approx(0.5, abs=0.01)
