"""Which flow the settings mean, and the flow of a network between frames."""

import pytest
import torch
import torch.nn.functional as F
from small_networks import picture, small_backbone, smooth_picture

from videostyle import Frame, Settings, Stylizer, stylise_frames
from videostyle.errors import UsageError, WeightsError
from videostyle.networks.raft import Raft, load_raft
from videostyle.stylise.choose_flow import estimator_of, flow_network_of, network_flow
from videostyle.stylise.choose_maker import flow_of
from videostyle.stylise.network_frames import draft_flow

SHIFT = 3.0


class Shifted(torch.nn.Module):
    """Stands for RAFT: everything moves by SHIFT to the right. Says which pairs it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> list[torch.Tensor]:
        self.seen.append(tuple(a.shape))
        flow = torch.zeros(2, 2, *a.shape[2:])
        flow[:, 0] = torch.tensor([-SHIFT, SHIFT]).view(2, 1, 1)
        return [flow]


@pytest.fixture
def model() -> Shifted:
    return Shifted()


@pytest.fixture
def network(model: Shifted) -> Raft:
    return Raft(model, "0" * 64, torch.device("cpu"))


def moving(height: int = 48, width: int = 72) -> tuple[torch.Tensor, torch.Tensor]:
    """(current, previous): noise that moves by SHIFT to the right."""
    scene = picture(height, width + 3)
    return scene[..., :-3], scene[..., 3:]


def raft_stylizer(network: Raft | None = None, **settings) -> Stylizer:
    layers = {"content_layers": ("conv2_2",), "style_layers": ("conv1_1",), "iterations": 2, "min_iterations": 1}
    made = Stylizer(picture(32, 32), Settings(flow="raft", **layers | settings), backbone=small_backbone())
    made.flow_network = network
    return made


def test_both_directions_go_through_the_network_at_once(network, model):
    current, previous = moving()
    found = network_flow(network, current, previous)
    assert model.seen == [(2, 3, 128, 128)]
    assert found.flow.shape == (1, 2, 48, 72)
    assert (found.flow[:, 0] == -SHIFT).all() and not found.flow[:, 1].any()
    assert not found.visible[..., :2].any() and found.visible[..., 3:].all()


def test_still_frames_stand_still_whatever_the_network_says(network):
    """Motion that the way back contradicts explains nothing that standing still does not."""
    network._model.forward = lambda a, b: [torch.full((2, 2, *a.shape[2:]), 0.7)]
    frame = smooth_picture(40, 56)
    found = network_flow(network, frame, frame)
    assert not found.flow.any()
    assert found.comparable.all()


def test_the_settings_choose_it_at_every_size(network, model):
    pair = moving(200, 300)
    flow_of(raft_stylizer(network, octaves=1))(*pair)
    estimator_of(raft_stylizer(network, flow_size=150))(*pair)
    draft_flow(Settings(flow="raft"), network)(*pair)
    flow_of(raft_stylizer(network))(*(F.interpolate(frame, (320, 512)) for frame in pair))  # painted at 160 x 256
    # padded to multiples of 8, or to 128
    assert model.seen == [(2, 3, 200, 304), (2, 3, 128, 152), (2, 3, 176, 256), (2, 3, 320, 512)]


def test_frames_follow_it(network, model):
    current, previous = moving()
    frames = [Frame(previous), Frame(current), Frame(current)]
    assert len(list(stylise_frames(frames, raft_stylizer(network)))) == 3
    assert len(model.seen) == 2


def test_missing_weights_are_told_before_the_first_frame(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(WeightsError, match=r"--download.*--flow-weights"):
        stylise_frames([], raft_stylizer())


def test_weights_without_their_flow_are_refused():
    with pytest.raises(UsageError, match=r"flow-weights is w.pth and flow dis; add --flow raft"):
        Settings(flow_weights="w.pth")


def test_another_flow_needs_no_network():
    stylizer = Stylizer(picture(32, 32), Settings(), backbone=small_backbone())
    assert flow_network_of(stylizer) is None


@pytest.mark.shared
def test_the_real_network_keeps_still_pixels_and_finds_a_fast_thing(shared):
    weights = shared / "weights" / "raft_small_fp16.safetensors"
    if not weights.is_file():
        pytest.skip("the shared folder has no RAFT-small")
    network = load_raft(torch.device("cpu"), weights)
    frame = smooth_picture(96, 130)
    assert not network_flow(network, frame, frame).flow.any()
    background, thing = smooth_picture(128, 224), picture(10, 10, seed=3)
    thing = F.interpolate(thing, (50, 50), mode="bicubic").clamp(0, 1)
    current, previous = background.clone(), background.clone()
    current[..., 40:90, 120:170], previous[..., 40:90, 90:140] = thing, thing
    found = network_flow(network, current, previous)
    assert found.flow[0, 0, 50:80, 130:160].median().item() == pytest.approx(-30, abs=1)
    assert found.static[..., 110:, :].mean() > 0.95
    assert torch.equal(found.flow, network_flow(network, current, previous).flow)
