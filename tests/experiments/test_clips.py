"""The video figure: both clips in step, made once."""

from types import SimpleNamespace

import pytest
import torch

from videostyle.experiments import clips
from videostyle.experiments.clips import add_video, stills
from videostyle.experiments.recipes import load_recipes
from videostyle.experiments.sheet import Sheet
from videostyle.media.still import write_picture
from videostyle.pipeline.video import copy_video
from videostyle.samples import sample


@pytest.mark.slow
def test_both_clips_are_made_once_and_again_for_another_request(tmp_path, make_runner, monkeypatch):
    painted = []

    def paint(clip, style, output, settings, media, **_):
        painted.append(output)
        copy_video(clip, output, settings, media)
        return SimpleNamespace(record={"frames": []})

    monkeypatch.setattr(clips, "stylise_video", paint)
    runner = make_runner()
    empty = Sheet(load_recipes(("video",))[0], ())
    for _ in range(2):
        sheet = add_video(empty, runner, tmp_path / "video")
    assert len(painted) == 1
    assert [row.label for row in sheet.rows] == ["Source", "Stylised"]
    assert all(len(row.panels) == 4 for row in sheet.rows)
    runner.inputs.size = 32
    add_video(empty, runner, tmp_path / "video")
    assert len(painted) == 2
    runner.inputs.given = dict(runner.inputs.given, style=tmp_path / "style.png")
    for count, value in ((3, 0.25), (4, 0.75)):  # one file name, other paint
        write_picture(tmp_path / "style.png", torch.full((1, 3, 16, 16), value), overwrite=True)
        add_video(empty, runner, tmp_path / "video")
        assert len(painted) == count


def test_stills_are_spread_over_the_clip():
    times = [float(when.removesuffix(" s")) for when, _ in stills(sample("clip.mp4"), 3)]
    assert times[0] == 0 and times[0] < times[1] < times[2]
