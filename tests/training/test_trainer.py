"""Sequences of frames, and training on them."""

import numpy as np
import pytest
import torch
from small_networks import CONTENT_LAYERS, STYLE_LAYERS, picture, small_backbone, smooth_picture

from videostyle import Settings, Stylizer
from videostyle.networks.style_network import Shape, StyleNetwork
from videostyle.networks.style_network_file import TrainedNetwork
from videostyle.stylise.network_painter import MOVED_TRUST
from videostyle.training import trainer as training
from videostyle.training.report_card import report_card
from videostyle.training.sequences import Batch, Sequences
from videostyle.training.trainer import Trainer, trained_network
from videostyle.training.views import Picture

SMALL = Shape(fine=4, coarse=8, blocks=1)
SETTINGS = Settings(content_layers=CONTENT_LAYERS, style_layers=STYLE_LAYERS, precision="fp32")


@pytest.fixture
def pictures() -> list[Picture]:
    torch.manual_seed(0)
    return [Picture(smooth_picture(70, 90, seed=i)) for i in range(3)]


@pytest.fixture
def stylizer() -> Stylizer:
    return Stylizer(picture(64, 64), SETTINGS, backbone=small_backbone())


def test_a_sequence_moves_the_pictures_that_were_made(pictures):
    sequences = Sequences(pictures, 6, 32, np.random.default_rng(0))
    first = sequences.next()
    assert first.frame.shape == (6, 3, 32, 32) and not first.trust.any() and not first.previous.any()
    sequences.first_share = 0.0
    marked = picture(32, 32, count=6)
    sequences.painted(marked)
    batch = sequences.next()
    still = (batch.previous == marked).flatten(1).all(1)
    assert 0 < still.sum() < 6  # in some sequences nothing moves
    assert batch.trust[~still].max() == pytest.approx(MOVED_TRUST) and batch.trust[still].max() == 1
    assert (batch.trust.mean((1, 2, 3)) > 0.4).all()


def test_every_sequence_ends(pictures):
    sequences = Sequences(pictures, 2, 32, np.random.default_rng(0))
    sequences.first_share = 0.0
    new = 0
    for _ in range(40):
        batch = sequences.next()
        new += int((batch.trust.flatten(1).amax(1) == 0).sum())
        sequences.painted(batch.frame)
    assert new >= 4


def test_training_lowers_the_loss(pictures, stylizer, monkeypatch):
    monkeypatch.setattr(training, "SIDE", 32)
    monkeypatch.setattr(training, "BATCH", 4)
    torch.manual_seed(0)
    trainer = Trainer(stylizer, StyleNetwork(SMALL), pictures, 64)
    losses = [trainer.step(i / 60).objective for i in range(60)]
    assert losses[0] == pytest.approx(1.0) and np.mean(losses[-8:]) < 0.8 * np.mean(losses[1:9])
    assert trainer.steps == 60


def test_the_gradient_is_autograds(pictures, stylizer):
    network = StyleNetwork(SMALL)
    painted, previous = picture(32, 32, count=2), picture(32, 32, count=2, seed=3)
    trust = picture(32, 32, count=2, seed=4)[:, :1]
    batch = Batch(picture(32, 32, count=2, seed=5), previous, trust)
    plain = Batch(batch.frame, previous, torch.zeros_like(trust))
    torch.manual_seed(0)  # of the colours that are compared
    _, without = Trainer(stylizer, network, pictures, 64).gradient(plain, painted)
    torch.manual_seed(0)
    losses, found = Trainer(stylizer, network, pictures, 64).gradient(batch, painted)
    x = painted.clone().requires_grad_()
    temporal = ((x - previous) * trust).square().mean()
    (expected,) = torch.autograd.grad(training.TEMPORAL * temporal, x)
    torch.testing.assert_close(found - without, expected, rtol=1e-3, atol=1e-6)
    assert losses.temporal == pytest.approx(temporal.item())


def test_another_trainer_goes_on(pictures, stylizer, monkeypatch):
    monkeypatch.setattr(training, "SIDE", 32)
    first = Trainer(stylizer, StyleNetwork(SMALL), pictures, 64)
    for _ in range(3):
        first.step(0.1)
    second = Trainer(stylizer, StyleNetwork(SMALL), pictures, 64)
    second.load(first.state())
    assert second.steps == 3
    for a, b in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(a, b)
    assert second.step(0.1).objective < 2  # of the first loss of all


def test_the_report_card_knows_a_network_that_paints_nothing(stylizer):
    network = StyleNetwork(SMALL)
    with torch.no_grad():
        network.last.weight.zero_()
        network.last.bias.copy_(torch.tensor([0.0, 0.0, 0.0, -50.0]))
    card = report_card(stylizer, TrainedNetwork(trained_network(network), "", {}, 64), [smooth_picture(48, 64)])
    assert card["style"] < 0.5 and card["milliseconds"] > 0 and 0 <= card["warp_error"] < 0.01


def test_muons_update_is_orthogonal():
    from videostyle.training.muon import Muon, orthogonal

    for shape in ((8, 27), (40, 9)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(*shape)))
        assert values.min() > 0.6 and values.max() < 1.3
    weight = torch.nn.Parameter(torch.randn(8, 3, 3, 3))
    before = weight.detach().clone()
    weight.grad = torch.randn_like(weight)
    Muon([weight], 0.1).step()
    step = (before - weight.detach()).flatten(1)
    torch.testing.assert_close(step, 0.1 * orthogonal(weight.grad.flatten(1)))
