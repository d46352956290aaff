"""Masks of a clip from pictures, folders, videos, and carried from one frame; the width of soft edges."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from masks import Drawn, draw, iou
from PIL import Image

from videostyle.errors import UsageError
from videostyle.frames import VideoInfo, to_array
from videostyle.media.probe import probe
from videostyle.pipeline.mask_edges import edge_width, feathered, refined, resized
from videostyle.pipeline.region_masks import RegionMask, open_mask
from videostyle.settings import MediaSettings

SIZE, FRAMES, RATE = (192, 108), 8, 25  # of each of two shots
CUT = MediaSettings(cuts=(FRAMES / RATE,))
KEY = 4  # the frame that a carried mask is painted on


@pytest.fixture(scope="module")
def shots() -> list[Drawn]:
    return [draw(seed, size=SIZE, frames=FRAMES) for seed in (1, 2)]


@pytest.fixture(scope="module")
def info(shots: list[Drawn], tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    path = tmp_path_factory.mktemp("masked") / "clip.mkv"
    write_clip(path, [to_array(frame) for shot in shots for frame in shot.frames])
    return probe(path)


def write_clip(path: Path, frames: list[np.ndarray]) -> None:
    """A lossless clip of (H, W, 3) uint8 frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], "bgr0"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def write_mask(path: Path, mask: torch.Tensor) -> str:
    Image.fromarray(to_array(mask)[..., 0]).save(path)
    return str(path)


def numbered(index: int) -> torch.Tensor:
    """A mask that tells its frame: so many columns are white."""
    mask = torch.zeros(1, 1, SIZE[1], SIZE[0])
    mask[..., : 8 * (index + 1)] = 1
    return mask


def columns(mask: RegionMask, time_seconds: Fraction) -> int:
    found = mask.at(time_seconds)
    assert found.shape == (1, 1, SIZE[1], SIZE[0]) and found.dtype == torch.float32
    return int((found[0, 0, 0] > 0.5).sum())


def opened(path: str | Path, info: VideoInfo | None, at: float | None = None, **changes) -> RegionMask:
    asked = {"size": SIZE, "media": CUT, "feather": 0.0} | changes
    return open_mask(str(path), at, info=info, **asked)


def time_of(index: int) -> Fraction:
    return Fraction(index, RATE)


def test_a_still_mask_holds_for_the_whole_clip_and_grey_is_partly(tmp_path, info):
    grey = torch.full((1, 1, SIZE[1] * 2, SIZE[0] * 2), 0.4)
    grey[..., : SIZE[0]] = 1
    for clip in (info, None):
        found = opened(write_mask(tmp_path / "m.png", grey), clip).at(time_of(3))
        assert found.shape == (1, 1, SIZE[1], SIZE[0])
        assert (found[..., : SIZE[0] // 2 - 1] == 1).all()
        torch.testing.assert_close(found[..., SIZE[0] // 2 + 1 :], torch.full((1, 1, SIZE[1], SIZE[0] // 2 - 1), 0.4))


def test_opacity_counts_where_a_picture_is_transparent(tmp_path, info):
    pixels = np.zeros((SIZE[1], SIZE[0], 4), np.uint8)
    pixels[:, :50, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "alpha.png")
    assert columns(opened(tmp_path / "alpha.png", info), time_of(0)) == 50
    pixels[..., 3], pixels[:, :70, :3] = 255, 255
    Image.fromarray(pixels).save(tmp_path / "opaque.png")
    assert columns(opened(tmp_path / "opaque.png", info), time_of(0)) == 70


def test_a_folder_has_one_picture_a_frame_in_the_order_of_the_numbers(tmp_path, info):
    for i in range(2 * FRAMES):
        write_mask(tmp_path / f"m{i}.png", numbered(i))
    (tmp_path / "timestamps.json").write_text("{}")
    part = MediaSettings(start_seconds=0.2, duration_seconds=0.2)
    mask = opened(tmp_path, info, media=part)
    assert [columns(mask, time_of(i)) for i in (9, 2, 10)] == [80, 24, 88]
    (tmp_path / "m3.png").unlink()
    with pytest.raises(UsageError, match=r"has 15 pictures and .*clip.mkv 16 frames"):
        opened(tmp_path, info)


def test_a_video_has_one_mask_a_frame(tmp_path, info):
    done = []
    frames = [to_array(numbered(i).expand(-1, 3, -1, -1)) for i in range(2 * FRAMES)]
    write_clip(tmp_path / "masks.mkv", frames)
    mask = opened(tmp_path / "masks.mkv", info, on_progress=lambda *counts: done.append(counts[0]))
    assert [columns(mask, time_of(i)) for i in (0, 7, 15)] == [8, 64, 128]
    assert done == list(range(1, 2 * FRAMES + 1))
    write_clip(tmp_path / "short.mkv", frames[:5])
    with pytest.raises(UsageError, match=r"has 5 frames and .*clip.mkv 16 frames"):
        opened(tmp_path / "short.mkv", info)


def test_a_mask_is_carried_through_its_shot_in_both_directions(tmp_path, info, shots):
    path, done = write_mask(tmp_path / "key.png", shots[0].masks[KEY][1]), []
    mask = opened(path, info, KEY / RATE, on_progress=lambda *counts: done.append(counts))
    for i in range(FRAMES):
        assert iou(mask.at(time_of(i)), shots[0].masks[i][1]) > 0.95
        assert mask.at(time_of(FRAMES + i)).max() == 0
    assert [count for count, _ in done] == list(range(1, FRAMES)) and done[-1][1] == FRAMES - 1


@pytest.mark.parametrize("part", [{"start_seconds": 0.08}, {"duration_seconds": 0.08}])
def test_a_mask_may_be_painted_outside_the_runs_part(tmp_path, info, shots, part):
    """The last shot's mask, with the part's cuts."""
    media = MediaSettings(cuts=CUT.cuts, **part)
    path = write_mask(tmp_path / "key.png", shots[1].masks[1][1])
    mask = opened(path, info, (FRAMES + 1) / RATE + 0.01, media=media)
    assert iou(mask.at(time_of(FRAMES)), shots[1].masks[0][1]) > 0.95
    assert mask.at(time_of(FRAMES - 1)).max() == 0


@pytest.mark.parametrize(("frame", "carried"), [(KEY, 0), (KEY - 2, 2), (KEY + 2, 2)])
def test_a_mask_is_carried_no_further_than_the_part(tmp_path, info, shots, frame, carried):
    """Of a part of one frame, the mask is that of the whole clip."""
    path, done = write_mask(tmp_path / "key.png", shots[0].masks[KEY][1]), []
    media = CUT.replace(start_seconds=frame / RATE, duration_seconds=0.001)
    mask = opened(path, info, KEY / RATE, media=media, on_progress=lambda *counts: done.append(counts))
    assert len(done) == carried
    assert torch.equal(mask.at(time_of(frame)), opened(path, info, KEY / RATE).at(time_of(frame)))


def test_one_shot_where_cuts_are_not_looked_for(tmp_path, info, shots):
    path = write_mask(tmp_path / "key.png", torch.ones(1, 1, SIZE[1], SIZE[0]))
    mask = opened(path, info, 0.0, media=MediaSettings(no_shots=True))
    assert mask.at(time_of(FRAMES + 3)).mean() > 0.5


def test_bad_requests_say_what_to_do(tmp_path, info):
    good = write_mask(tmp_path / "good.png", numbered(3))
    wide = write_mask(tmp_path / "wide.png", torch.ones(1, 1, 50, 100))
    (tmp_path / "text.txt").write_text("no mask")
    folder = tmp_path / "empty"
    folder.mkdir()
    for path, clip, at, words in (
        (tmp_path / "missing.png", info, None, "does not exist"),
        (wide, info, None, r"is 100x50 and the frame 192x108"),
        (good, info, 0.64, r"is 0.64 s and .* lasts 0.64 s"),
        (good, info, -1.0, r"is -1 s"),
        (good, None, 0.0, "a picture has none"),
        (tmp_path / "text.txt", info, None, "is no mask"),
        (folder, info, None, r"has 0 pictures and .* 16 frames"),
        (folder, info, 0.0, "only a picture is carried"),
        (folder, None, None, "the mask of a picture is a picture"),
    ):
        with pytest.raises(UsageError, match=words) as raised:
            opened(path, clip, at)
        assert "\n" not in str(raised.value)


def edge(angle: float, scale: int = 1, side: int = 120) -> tuple[torch.Tensor, torch.Tensor]:
    """(a straight edge through the middle, drawn at 1/scale of the size; each pixel's distance from it)."""
    found = []
    for pixels in (side // scale, side):
        at = (torch.arange(pixels) + 0.5 - pixels / 2) * (side / pixels)
        found.append(at * np.cos(angle).item() + at[:, None] * np.sin(angle).item())
    return (found[0] / scale + 0.5).clamp(0, 1)[None, None], found[1]


@settings(max_examples=25)
@given(angle=st.floats(0, 1.57), feather=st.sampled_from([0.0, 2.0, 5.0, 9.0, 24.0]), scale=st.sampled_from([1, 3]))
def test_the_edge_is_as_wide_as_asked_and_stays_where_it_was(angle, feather, scale):
    mask, distance = edge(angle, scale)
    made = feathered(refined(mask, (120, 120), 1.0), feather)[0, 0]
    soft = distance[(made > 0.01) & (made < 0.99) & (distance.abs() < 40)]
    width = float(soft.max() - soft.min()) if len(soft) else 0.0
    sharpest = 1.0 if scale == 1 else 2.0  # an edge that is enlarged is most of a pixel of the smaller mask
    assert width <= max(feather, sharpest) + 1.5  # counted from pixel to pixel, also along their diagonals
    assert width >= feather - 2
    half = float(soft.max() + soft.min()) / 2 if len(soft) else 0.0
    assert abs(half) <= 1


def test_soft_masks_keep_what_they_have():
    _, distance = edge(0.3)
    soft = (distance / 20 + 0.5).clamp(0, 1)[None, None]
    assert 18 < edge_width(soft) < 22
    assert torch.equal(feathered(soft, 16.0), soft)
    assert torch.equal(feathered(torch.ones(1, 1, 9, 9), 4.0), torch.ones(1, 1, 9, 9))


def test_an_enlarged_outline_has_no_stairs():
    """A disc drawn at an eighth of the size: its edge, a pixel wide, follows a circle at the new one."""
    at = (torch.arange(720) + 0.5) / 8
    inside = ((at[:480, None] - 30.3).square() + (at - 44.6).square()).sqrt() < 20
    small = torch.nn.functional.avg_pool2d(inside.float()[None, None], 8)
    made = refined(small, (720, 480), 1.0)[0, 0]
    rows, across = torch.nonzero((made - 0.5).abs() < 0.4, as_tuple=True)
    radius = ((rows + 0.5 - 30.3 * 8).square() + (across + 0.5 - 44.6 * 8).square()).sqrt()
    assert (radius - 160).abs().max() < 1.25
    assert resized(small, (45, 30)).shape == (1, 1, 30, 45)
