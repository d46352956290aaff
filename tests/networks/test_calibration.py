"""One activation scale for all weights: the fixed pictures, and the scales that they give."""

from dataclasses import replace

import pytest
import torch
from small_networks import CONTENT_LAYERS, STYLE_LAYERS, picture, small_backbone

from videostyle.errors import WeightsError
from videostyle.losses.content import ContentTarget
from videostyle.losses.objective import LossWeights, Objective
from videostyle.losses.style import StyleTarget
from videostyle.networks import calibration
from videostyle.networks.backbone import MAX_POOLING_GAINS, Backbone, Conv
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.networks.weights import from_file


def rescaled(backbone: Backbone, factors: dict[str, float]) -> Backbone:
    """The same network with each layer's activations divided by its factor, and nothing said about it."""
    convs, before = [], 1.0
    for conv in backbone.convs:
        f = factors[conv.name]
        convs.append(Conv(conv.name, conv.weight * (before / f), conv.bias / f, conv.pool))
        before = f
    return replace(backbone, convs=tuple(convs))


def test_pictures_are_fixed_and_in_range():
    pictures = calibration.calibration_pictures()
    assert pictures.shape == (4, 3, 128, 128)
    assert pictures.dtype == torch.float32
    assert 0 <= pictures.min() < 0.1
    assert 0.9 < pictures.max() <= 1
    assert torch.equal(pictures, calibration.calibration_pictures())
    assert all((pictures[i] - pictures[j]).abs().mean() > 0.05 for i in range(4) for j in range(i))


def test_mean_activations_ignore_the_scales():
    plain, scaled = (calibration.mean_activations(small_backbone(scale=s)) for s in (1.0, 7.0))
    assert plain == scaled
    assert list(plain)[:3] == ["conv1_1", "conv1_2", "conv2_1"]


def test_calibrated_scales_bring_every_layer_to_the_originals_mean():
    backbone = small_backbone()
    means = calibration.mean_activations(backbone)
    found = calibration.calibrated(backbone)
    assert set(found.references) == set(calibration.ORIGINAL_MEANS)
    for name, reference in found.references.items():
        assert reference.scale * means[name] == pytest.approx(calibration.ORIGINAL_MEANS[name], rel=1e-6)
        assert reference.channels == backbone.references[name].channels


def test_layers_without_a_known_mean_are_not_answered_to():
    assert "conv5_4" in small_backbone(deepest="conv5_4").references
    assert "conv5_4" not in calibration.calibrated(small_backbone(deepest="conv5_4")).references


def test_calibration_undoes_a_rescaling():
    """Weights whose layers were divided by factors, as torchvision's are, get the losses of the original."""
    backbone = small_backbone()
    factors = {conv.name: 0.3 * 1.4**i for i, conv in enumerate(backbone.convs)}
    weights = LossWeights(1.0, 1e-3, 0.0, CONTENT_LAYERS, STYLE_LAYERS)
    found = []
    for network in (calibration.calibrated(backbone), calibration.calibrated(rescaled(backbone, factors))):
        extractor = FeatureExtractor(network, weights.layers)
        content = ContentTarget(extractor, picture(32, 40, seed=1), CONTENT_LAYERS)
        style = StyleTarget(extractor, picture(32, 40, seed=2).square(), STYLE_LAYERS)
        found.append(Objective(extractor, content, style, weights).value(picture(32, 40)))
    torch.testing.assert_close(found[1].content, found[0].content, rtol=1e-4, atol=0)
    torch.testing.assert_close(found[1].style, found[0].style, rtol=1e-4, atol=0)
    assert found[0].style > 0


def test_a_silent_layer_is_refused():
    backbone = small_backbone(deepest="conv1_2")
    dead = replace(backbone.convs[1], bias=torch.full((6,), -1e6))
    with pytest.raises(WeightsError, match=r"conv1_2"):
        calibration.calibrated(replace(backbone, convs=(backbone.convs[0], dead)))


@pytest.mark.slow
@pytest.mark.shared
def test_the_table_holds_the_originals_means(shared):
    backbone = from_file(shared / "weights" / "vgg19_features_fp16.npz")
    assert backbone.name == "vgg19-caffe"
    means = calibration.mean_activations(backbone)
    assert means == pytest.approx(calibration.ORIGINAL_MEANS, rel=1e-3)
    gains = {n: mean / means[n] for n, mean in calibration.mean_activations(backbone, "max").items()}
    assert gains == pytest.approx({**dict.fromkeys(means, 1.0), **MAX_POOLING_GAINS}, rel=1e-3)
    # Weights at the original's scale need no factors; those of the table come from this very file.
    assert {n.scale for n in backbone.references.values()} == {1.0}


@pytest.mark.slow
@pytest.mark.shared
def test_the_real_network_rescaled_like_torchvisions_gives_the_same_losses(shared):
    original = from_file(shared / "weights" / "vgg19_features_fp16.npz")
    factors = {conv.name: 20.0 + 7 * i for i, conv in enumerate(original.convs)}
    weights = LossWeights(1.0, 2000.0, 0.0, CONTENT_LAYERS, STYLE_LAYERS)
    found = []
    for network in (original, calibration.calibrated(rescaled(original, factors))):
        extractor = FeatureExtractor(network, weights.layers)
        content = ContentTarget(extractor, picture(48, 48, seed=1), CONTENT_LAYERS)
        style = StyleTarget(extractor, picture(48, 48, seed=2).square(), STYLE_LAYERS)
        found.append(Objective(extractor, content, style, weights).value(picture(48, 48)))
    torch.testing.assert_close(found[1].content, found[0].content, rtol=2e-3, atol=0)
    torch.testing.assert_close(found[1].style, found[0].style, rtol=4e-3, atol=0)
