"""Networks as data: names, refusals in words, and both kinds of preprocessing folded into the first convolution."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from small_networks import picture, small_backbone

from videostyle.errors import UsageError
from videostyle.networks.backbone import VGG19_LAYERS, LayerReference, layer_stride, vgg19
from videostyle.networks.feature_extractor import FeatureExtractor


def first_layer(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "features.0.weight": torch.randn(64, 3, 3, 3, generator=generator),
        "features.0.bias": torch.randn(64, generator=generator),
    }


def column(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1)


def preprocessed(x: torch.Tensor, preprocessing: str) -> torch.Tensor:
    """What the two publications do to RGB in [0, 1] before the network."""
    if preprocessing == "bgr-0-255-caffe-mean":
        return 255 * x.flip(1) - column((103.939, 116.779, 123.68))
    return (x - column((0.485, 0.456, 0.406))) / column((0.229, 0.224, 0.225))


@pytest.mark.parametrize("preprocessing", ["rgb-0-1-imagenet-mean-std", "bgr-0-255-caffe-mean"])
def test_folded_preprocessing_equals_preprocessing_the_padded_picture(preprocessing):
    weights, x = first_layer(), picture(11, 14, dtype=torch.float64)
    explicit = F.conv2d(
        preprocessed(F.pad(x, (1, 1, 1, 1), mode="replicate"), preprocessing),
        weights["features.0.weight"].double(),
        weights["features.0.bias"].double(),
    ).relu()
    found = vgg19(weights, preprocessing=preprocessing).features(x, ["conv1_1"])["conv1_1"]
    assert explicit.abs().max() > 1
    torch.testing.assert_close(found, explicit, rtol=1e-5, atol=1e-5 * explicit.max().item())


def test_the_two_kinds_of_preprocessing_are_told_apart():
    """A wrong guess must not go unseen: the same weights, two readings, other features."""
    weights, x = first_layer(), picture(8, 8)
    a, b = (
        vgg19(weights, preprocessing=name).features(x, ["conv1_1"])["conv1_1"]
        for name in ("rgb-0-1-imagenet-mean-std", "bgr-0-255-caffe-mean")
    )
    assert (a - b).norm() > 0.5 * a.norm()


def test_vgg19_is_built_as_far_as_the_weights_go():
    generator = torch.Generator().manual_seed(0)
    weights = first_layer()
    weights["features.2.weight"] = torch.randn(64, 64, 3, 3, generator=generator).half()
    weights["features.2.bias"] = torch.randn(64, generator=generator)
    weights["features.5.weight"] = torch.randn(128, 64, 3, 3, generator=generator)
    weights["features.5.bias"] = torch.randn(128, generator=generator)
    weights["classifier.0.weight"] = torch.zeros(1)
    backbone = vgg19(weights, preprocessing="rgb-0-1-imagenet-mean-std", sha256="abc")
    assert [(c.name, c.pool) for c in backbone.convs] == [("conv1_1", False), ("conv1_2", False), ("conv2_1", True)]
    assert {n: v.channels for n, v in backbone.references.items()} == {"conv1_1": 64, "conv1_2": 64, "conv2_1": 128}
    assert all(c.weight.dtype == torch.float32 for c in backbone.convs)
    assert (backbone.name, backbone.sha256) == ("vgg19", "abc")


def test_features_stop_at_the_deepest_layer_and_have_the_strides_of_their_names():
    found = small_backbone().features(picture(32, 48), ["conv5_1", "conv1_1", "conv3_2"])
    assert {n: tuple(f.shape[2:]) for n, f in found.items()} == {
        name: (32 // layer_stride(name), 48 // layer_stride(name)) for name in ("conv1_1", "conv3_2", "conv5_1")
    }
    assert all((f >= 0).all() for f in found.values())


@pytest.mark.parametrize(("pooling", "function"), [("average", F.avg_pool2d), ("max", F.max_pool2d)])
def test_pooling(pooling, function):
    backbone, x = small_backbone(deepest="conv2_1"), picture(12, 15)
    found = backbone.features(x, ["conv1_2", "conv2_1"], pooling)
    conv = backbone.convs[2]
    expected = F.conv2d(function(found["conv1_2"], 2), conv.weight, conv.bias, padding=1).relu()
    torch.testing.assert_close(found["conv2_1"], expected)


def test_reference_features_are_scaled_and_adapted():
    plain, scaled, adapted = small_backbone(), small_backbone(scale=3.0), small_backbone(scale=3.0, adapters=True)
    own = adapted.references["conv2_1"].adapter
    plain = replace(plain, convs=adapted.convs)  # the same weights, nothing applied to their features
    x = picture(16, 16)
    f = plain.features(x, ["conv2_1"])["conv2_1"]
    expected = 3 * (own.float() @ f.flatten(2)).view(1, -1, *f.shape[2:])
    assert expected.shape[1] == f.shape[1] - 1
    torch.testing.assert_close(adapted.features(x, ["conv2_1"])["conv2_1"], expected)
    f = small_backbone().features(x, ["conv2_1"])["conv2_1"]
    torch.testing.assert_close(scaled.features(x, ["conv2_1"])["conv2_1"], 3 * f)
    adapter = torch.tensor([[1.0, 2.0], [0.0, 1.0], [1.0, 0.0]])
    v = torch.tensor([2.0, -1.0])
    q = LayerReference(3, adapter=adapter).metric()
    assert (v @ q @ v).item() == (adapter @ v).square().sum().item() == 5.0
    assert LayerReference(3).metric() is None


def test_check_names_what_is_unknown_and_what_there_is():
    backbone = small_backbone(deepest="conv2_1")
    backbone.check(("conv1_1", "conv2_1"), "max")
    with pytest.raises(UsageError) as caught:
        backbone.check(("conv1_1", "relu4_2", "conv5_1"), "average")
    message = str(caught.value)
    assert "relu4_2, conv5_1" in message
    assert "conv1_1, conv1_2, conv2_1" in message
    assert "vgg19" not in message


def test_check_of_the_compact_network_points_to_vgg19():
    backbone = replace(small_backbone(deepest="conv2_1", name="compact", poolings=("average",)), embedded=True)
    with pytest.raises(UsageError, match=r"compact has no layer conv5_1.*use --backbone vgg19"):
        backbone.check(("conv5_1",), "average")
    with pytest.raises(UsageError) as caught:  # VGG-19 has no such layer either
        backbone.check(("conv5_9",), "average")
    assert "use --backbone" not in str(caught.value)
    with pytest.raises(UsageError, match=r"average pooling, not max; use --backbone vgg19"):
        backbone.check(("conv1_1",), "max")


def test_features_refuse_an_unknown_layer():
    with pytest.raises(UsageError, match=r"no layer conv7_1"):
        small_backbone().features(picture(16, 16), ["conv7_1"])


def test_the_table_is_a_chain():
    rows = list(VGG19_LAYERS.values())
    assert len(rows) == 16
    assert rows[0][1] == 3
    assert all(before[2] == after[1] for before, after in pairwise(rows))
    assert [layer_stride(n) for n in ("conv1_2", "conv2_1", "conv3_4", "conv4_2", "conv5_4")] == [1, 2, 4, 8, 16]


def test_max_pooling_s_gain_is_taken_back():
    """Features of max pooling, divided by what it makes of their mean; a network without gains keeps its own."""
    x, gains = picture(16, 24), {"conv2_1": 2.0, "conv3_1": 4.0}
    backbone = small_backbone(deepest="conv3_1", scale=3.0)
    plain = backbone.features(x, ["conv1_1", "conv3_1"], "max")
    found = replace(backbone, max_pooling_gains=gains).features(x, ["conv1_1", "conv3_1"], "max")
    torch.testing.assert_close(found["conv1_1"], plain["conv1_1"])
    torch.testing.assert_close(found["conv3_1"], plain["conv3_1"] / 4)
    extractor = FeatureExtractor(replace(backbone, max_pooling_gains=gains), ["conv3_1"], pooling="max")
    assert extractor.backbone.references["conv3_1"].scale == 0.75
    assert FeatureExtractor(extractor.backbone, ["conv3_1"], pooling="max").backbone == extractor.backbone
    average = replace(backbone, max_pooling_gains=gains).pooled("average")
    assert average.references["conv3_1"].scale == 3.0
