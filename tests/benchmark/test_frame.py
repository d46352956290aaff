"""What frame.py gives to other programs, and how its frames end."""

import math

import frame
import peers
import pytest
import torch
from small_networks import picture, small_backbone

from videostyle.frames import Frame
from videostyle.networks.backbone import CAFFE_MEAN_BGR
from videostyle.optimise.frame_task import FrameTask
from videostyle.optimise.image_optimiser import ImageOptimiser
from videostyle.settings import Settings
from videostyle.stylise.stylizer import Stylizer


def test_converted_weights_compute_the_same_from_what_caffe_weights_read():
    backbone, x = small_backbone(), picture(12, 14)
    state = peers.caffe_state(backbone)
    bgr = 255 * x.flip(1) - torch.tensor(CAFFE_MEAN_BGR).view(1, 3, 1, 1)
    found = torch.conv2d(bgr, state["features.0.weight"], state["features.0.bias"])
    conv = backbone.convs[0]
    expected = torch.conv2d(x - torch.tensor(backbone.centre).view(1, 3, 1, 1), conv.weight, conv.bias)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(state["features.28.weight"], backbone.convs[12].weight)


def test_an_unknown_peer_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="NAME=FOLDER"):
        peers.Peer(f"unknown={tmp_path}", picture(16, 16), picture(16, 16), small_backbone())


def test_a_frame_ends_at_its_own_target():
    # The same picture each time: another one's loss may be such a jump that the frame is painted twice.
    frames, style = [Frame(picture(32, 32), pts=i) for i in range(3)], picture(32, 32, seed=9)
    settings = Settings(tolerance=1e-9, iterations=4, min_iterations=1, precision="fp32", coherence=0.0)
    stylizer = frame.Targeted(style, settings, [math.inf, 0.0, math.inf], backbone=small_backbone())
    row = frame.timed(frame.Clip(frames, style, [1.0, 1.0, 1.0]), stylizer)
    assert (row["first_evaluations"], row["evaluations"]) == (1, [4, 1])
    assert len(row["seconds"]) == len(row["loss_ratios"]) == 2


def test_only_every_nth_frame_is_judged_where_that_is_asked_for():
    frames, style = [Frame(picture(32, 32), pts=i) for i in range(5)], picture(32, 32, seed=9)
    stylizer = Stylizer(style, Settings(iterations=2, min_iterations=1, precision="fp32"), backbone=small_backbone())
    row = frame.timed(frame.Clip(frames, style, [1.0, 1.0, 1.0], judged_every=2), stylizer)
    assert (len(row["seconds"]), len(row["loss_ratios"])) == (4, 2)


def test_ours_is_timed_by_the_same_rule(monkeypatch):
    """A run of 2 N evaluations and one of N, whatever the stylizer's own settings would end them at."""
    taken = []

    class Counted(ImageOptimiser):
        def run(self, content, task, on_evaluation=None):
            image, history = super().run(content, task, on_evaluation)
            taken.append(image.evaluations)
            return image, history

    monkeypatch.setattr(frame, "ImageOptimiser", Counted)
    stylizer = Stylizer(picture(16, 16), Settings(precision="fp32"), backbone=small_backbone())
    frame.evaluation_seconds(stylizer, picture(32, 32), 3)
    assert taken == [6, 3]


def test_a_yardstick_as_a_share_ends_the_frame_at_that_loss():
    frames, style = [Frame(picture(32, 32), pts=i) for i in range(2)], picture(32, 32, seed=9)
    settings = Settings(tolerance=1e-9, iterations=20, min_iterations=1, precision="fp32", coherence=0.0)
    settings = settings.replace(first_init="content", grain_weight=0.0)
    plain = Stylizer(style, settings.replace(iterations=6), backbone=small_backbone())
    target = plain.optimise(frames[0].pixels, FrameTask("content", frames[0].pixels))[0].losses.without_priors.item()
    clip = frame.Clip(frames, style, [target, target])
    row = frame.timed(clip, frame.Targeted(style, settings, frame.own_targets(clip, plain), backbone=small_backbone()))
    assert row["first_evaluations"] <= 6
    assert row["first_loss_ratio"] <= 1 and row["worst_loss_ratio"] <= 1


def test_the_first_frames_yardstick_tells_the_others():
    assert frame.predictions([4.0, 6.0], [1.0, 9.0], 0.5) == [1.0, 2.0]
    assert frame.predictions([4.0, 6.0], [1.0, 9.0], 0.0) == [1.0, 4 / 6]
