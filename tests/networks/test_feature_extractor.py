"""The fast path against the plain, differentiable definition (``Backbone.features`` and autograd)."""

import pytest
import torch
from small_networks import picture, pixel_backbone, small_backbone

from videostyle.errors import UsageError
from videostyle.networks.convolution import Convolution
from videostyle.networks.feature_extractor import FeatureExtractor, relu_gradient

LAYERS = ("conv1_2", "conv3_1", "conv5_1")
SIZES = [(16, 16), (37, 51), (33, 64)]  # the smallest that conv5_1 takes, and odd ones where pooling drops a border


def plain_gradient(backbone, x, pooling, cotangents):
    """Gradient of sum <features_l, c_l> by autograd, and the features."""
    x = x.clone().requires_grad_()
    found = backbone.features(x, list(cotangents), pooling)
    total = sum((found[name] * c).sum() for name, c in cotangents.items())
    return torch.autograd.grad(total, x)[0], found


def fast_gradient(extractor, x, cotangents):
    """The same by the extractor."""
    activations = extractor.forward(x)

    def tap(name, features, g):
        if name not in cotangents:
            return g
        own = cotangents[name].to(features.dtype)
        return own.clone() if g is None else g + own

    return activations.backward(tap), activations


def cotangents_for(backbone, x, pooling):
    with torch.no_grad():
        found = backbone.features(x, LAYERS, pooling)
    return {name: torch.randn_like(f) for name, f in found.items()}


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("count", [1, 2])
def test_float64_extractor_equals_autograd(pooling, size, count):
    torch.manual_seed(0)
    backbone, x = small_backbone(), picture(*size, count=count, dtype=torch.float64)
    cotangents = cotangents_for(backbone, x, pooling)
    expected, features = plain_gradient(backbone, x, pooling, cotangents)
    extractor = FeatureExtractor(backbone, LAYERS, pooling=pooling, dtype=torch.float64)
    gradient, activations = fast_gradient(extractor, x, cotangents)
    for name in LAYERS:
        torch.testing.assert_close(activations[name], features[name].detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_relus_gradient_is_exact(dtype):
    """For zeros of both signs, the smallest numbers and negative gradients too; over either operand."""
    edges = torch.tensor([0.0, -0.0, 1e-40, -1e-40, 1.0, -1.0, float("inf")], dtype=dtype)
    g, features = (t.reshape(1, -1, 7, 1).contiguous() for t in torch.meshgrid(edges, edges, indexing="ij"))
    expected = torch.where(features > 0, g, torch.zeros_like(g))
    for chosen in (0, 1):
        operands = g.clone(), features.clone()
        found = relu_gradient(*operands, into=operands[chosen])
        assert found.dtype == dtype and torch.equal(found, expected)
        assert torch.equal(operands[chosen], expected)


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_packed_float32_extractor_equals_float64(pooling, size):
    torch.manual_seed(1)
    backbone, x = small_backbone(1), picture(*size)
    cotangents = cotangents_for(backbone, x.double(), pooling)
    exact, _ = fast_gradient(
        FeatureExtractor(backbone, LAYERS, pooling=pooling, dtype=torch.float64), x.double(), cotangents
    )
    fast, activations = fast_gradient(FeatureExtractor(backbone, LAYERS, pooling=pooling), x, cotangents)
    assert fast.dtype == torch.float32
    # A ReLU or a maximum that is decided by the last bit moves single values: hence a norm, not every value.
    assert (fast - exact).norm() < 1e-4 * exact.norm()
    with torch.no_grad():
        features = backbone.features(x.double(), LAYERS, pooling)
    for name in LAYERS:
        torch.testing.assert_close(activations[name].double(), features[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_bf16_extractor_is_close_to_fp32(pooling):
    torch.manual_seed(2)
    backbone, x = small_backbone(2), picture(48, 65)
    cotangents = cotangents_for(backbone, x, pooling)
    exact, features = plain_gradient(backbone, x, pooling, cotangents)
    extractor = FeatureExtractor(backbone, LAYERS, pooling=pooling, dtype=torch.bfloat16)
    gradient, activations = fast_gradient(extractor, x, cotangents)
    assert gradient.dtype == torch.float32
    assert activations["conv1_2"].dtype == torch.bfloat16
    for name in LAYERS:
        error = (activations[name].float() - features[name]).norm() / features[name].norm()
        assert error < 0.02, name
    if pooling == "average":  # a maximum over noise rounded to 8 bits falls on another pixel now and then
        assert torch.cosine_similarity(gradient.flatten(), exact.flatten(), dim=0) > 0.99


def test_features_are_channels_last():
    activations = FeatureExtractor(small_backbone(), LAYERS).forward(picture(20, 24))
    assert all(o.is_contiguous(memory_format=torch.channels_last) for o in activations.outputs)


def test_forward_stops_at_the_deepest_wanted_layer():
    extractor = FeatureExtractor(small_backbone(), ("conv4_2", "conv1_1"))
    assert extractor.layers == ("conv1_1", "conv4_2")
    assert [s.name for s in extractor.stages][-1] == "conv4_2"
    assert len(extractor.forward(picture(16, 16), ("conv2_1",)).outputs) == 3


def test_smallest_side_has_one_position():
    extractor = FeatureExtractor(small_backbone(), ("conv5_1",))
    assert extractor.smallest_side == 16
    assert extractor.forward(picture(16, 16))["conv5_1"].shape[2:] == (1, 1)
    assert FeatureExtractor(small_backbone(), ("conv1_2",)).smallest_side == 1


def test_nothing_to_add_gives_a_zero_gradient():
    gradient = FeatureExtractor(small_backbone(), LAYERS).forward(picture(16, 20)).backward(lambda name, features, g: g)
    assert gradient.shape == (1, 3, 16, 20)
    assert not gradient.any()


def test_first_layer_repeats_the_border():
    """A constant picture gives constant features at conv1_1 with no edge; zero padding would show one."""
    features = FeatureExtractor(small_backbone(), ("conv1_1",)).forward(torch.full((1, 3, 9, 9), 0.8))["conv1_1"]
    torch.testing.assert_close(features, features[:, :, 4:5, 4:5].expand_as(features))


def test_an_unknown_layer_and_an_unknown_name_of_an_activation():
    with pytest.raises(UsageError, match=r"no layer conv9_9"):
        FeatureExtractor(small_backbone(), ("conv9_9",))
    with pytest.raises(KeyError):
        FeatureExtractor(pixel_backbone(), ("conv1_1",)).forward(picture(4, 4))["conv2_1"]


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch has no oneDNN here")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("relu", [True, False], ids=["forward", "backward"])
def test_no_weight_is_laid_out_anew_in_every_call(dtype, relu, capfd):
    """oneDNN wants another layout of 192 channels for one picture than for another; each is made once."""
    bias = torch.randn(192).to(dtype) if relu else None
    convolution = Convolution(torch.randn(192, 96, 3, 3).to(dtype), bias, 1, relu)
    if not convolution.packable:
        pytest.skip("this torch has no prepacked convolutions here")
    for height, width in ((36, 64), (36, 63), (24, 40), (36, 64)):
        x = torch.rand(1, 96, height, width).to(dtype, memory_format=torch.channels_last)
        convolution(x)
        capfd.readouterr()
        with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
            convolution(x)
        told = capfd.readouterr().out
        assert "convolution" in told
        assert "reorder" not in told, (height, width)
