"""Tiles: cores that cover a picture once, halos as wide as the network sees, features of the whole picture."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_networks import picture, pixel_backbone, small_backbone

from videostyle.networks import compact
from videostyle.networks.backbone import layer_stride
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.networks.tiles import tiles

LAYERS = ("conv1_1", "conv2_2", "conv3_1", "conv4_2", "conv5_1")


@given(
    size=st.tuples(st.integers(16, 300), st.integers(16, 300)),
    side=st.integers(16, 200),
    stride=st.sampled_from([1, 2, 8, 16]),
    halo=st.integers(0, 5),
)
def test_cores_cover_a_picture_once_and_every_layer_of_it(size, side, stride, halo):
    made = tiles(*size, side, stride, halo * stride)
    for of_layer in (s for s in (1, 2, 4, 8, 16) if s <= stride):
        times, share = torch.zeros(size[0] // of_layer, size[1] // of_layer), 0.0
        for tile in made:
            owned = tile.owned(times, of_layer)
            assert owned.numel() > 0
            owned += 1
            share += tile.share(of_layer)
        assert (times == 1).all()
        assert share == pytest.approx(1)
    for tile in made:
        assert tile.rows.first % stride == tile.columns.first % stride == 0
        for span in (tile.rows, tile.columns):
            assert span.first == max(0, span.begin - halo * stride) and span.last == min(
                span.whole, span.end + halo * stride
            )
            assert span.end - span.begin <= max(side, stride) + (stride - 1) * (span.end == span.whole)


def test_the_halo_is_how_far_the_deepest_layer_sees():
    """VGG-19: 2 convolutions at stride 1, 2 at 2, 4 at 4, 4 at 8, 1 at 16."""
    assert FeatureExtractor(small_backbone(), LAYERS).halo == 80  # 70 pixels, up to a multiple of 16
    assert FeatureExtractor(small_backbone(), ("conv2_1",)).halo == 4
    assert FeatureExtractor(pixel_backbone(), ("conv1_1",)).halo == 0


@pytest.mark.parametrize("layer", ["conv1_2", "conv3_1", "conv5_1"])
def test_nothing_beyond_the_halo_matters_to_a_position(layer):
    extractor = FeatureExtractor(small_backbone(), (layer,), dtype=torch.float64)
    stride = layer_stride(layer)
    begin, side = 6 * 16, 14 * 16
    x = picture(side, side, dtype=torch.float64)
    position = begin // stride
    seen = slice(begin - extractor.halo, begin + stride + extractor.halo)
    other = 1 - x
    other[..., seen, seen] = x[..., seen, seen]
    one, two = (extractor.forward(t)[layer][..., position, position] for t in (x, other))
    assert torch.equal(one, two)
    assert one.any()


def test_a_picture_goes_through_at_once_where_it_may():
    extractor = FeatureExtractor(small_backbone(), LAYERS)
    x = picture(200, 300)
    assert len(extractor.tiles(x.shape[2:])) == 1
    extractor.tile_pixels = 200 * 300
    assert len(extractor.tiles(x.shape[2:])) == 1 and extractor.forward_whole(x) is not None
    assert (
        extractor.tiles(x.shape[2:])[0].core_features(x.contiguous(memory_format=torch.channels_last), 1).shape
        == x.shape
    )
    extractor.tile_pixels = 200**2
    made = extractor.tiles(x.shape[2:])
    assert len(made) > 1 and extractor.forward_whole(x) is None
    assert all(t.seen(x).shape[2] * t.seen(x).shape[3] <= 200**2 for t in made)


@pytest.mark.parametrize(("network", "pooling"), [("small", "average"), ("small", "max"), ("compact", "max")])
@pytest.mark.parametrize("size", [(33, 64), (41, 50)], ids=str)
def test_features_of_cores_are_those_of_the_whole_picture(network, pooling, size):
    backbone = compact.load() if network == "compact" else small_backbone()
    extractor = FeatureExtractor(backbone, LAYERS, pooling=pooling, dtype=torch.float64)
    x = picture(*size, dtype=torch.float64)
    whole = extractor.forward(x)
    extractor.tile_pixels = 1  # cores of one position of the deepest layer
    made = extractor.tiles(x.shape[2:])
    assert len(made) == (size[0] // 16) * (size[1] // 16)
    for tile in made[::2]:
        seen = extractor.forward(tile.seen(x))
        for name in LAYERS:
            stride = layer_stride(name)
            wanted = tile.owned(whole[name], stride)
            torch.testing.assert_close(tile.core(seen[name], stride), wanted, rtol=1e-12, atol=1e-12)
