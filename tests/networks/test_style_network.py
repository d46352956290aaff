"""A style network: its normalisation, sizes, memory; and the file that it is kept in."""

import dataclasses
import sys

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from small_networks import picture, smooth_picture

from videostyle.errors import UsageError, WeightsError
from videostyle.frames import luma
from videostyle.networks import onnx_export, style_network_file
from videostyle.networks.onnx_export import export_onnx
from videostyle.networks.style_network import (
    NOISE_PERIOD,
    InstanceNorm,
    Shape,
    StyleNetwork,
    _folded,
    _InRange,
    convolved_twice_as_large,
    noise_tile,
    repeated,
    with_fine_channels,
)
from videostyle.networks.style_network_file import TrainedNetwork, load_network, save_network

SMALL = Shape(fine=4, coarse=8, blocks=1)


@pytest.fixture
def network() -> StyleNetwork:
    torch.manual_seed(0)
    return StyleNetwork(SMALL).eval()


@given(n=st.integers(1, 3), c=st.integers(1, 6), h=st.integers(2, 9), w=st.integers(2, 9), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_the_normalisation_is_pytorchs(n, c, h, w, seed):
    generator = torch.Generator().manual_seed(seed)
    x, g = torch.randn(2, n, c, h, w, generator=generator, dtype=torch.float64)
    norm = InstanceNorm(c).double()
    with torch.no_grad():
        norm.weight.copy_(torch.randn(c, generator=generator))
        norm.bias.copy_(torch.randn(c, generator=generator))
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    inputs = [x, norm.weight, norm.bias]
    ours, theirs = norm(x), F.instance_norm(x, weight=norm.weight, bias=norm.bias)
    torch.testing.assert_close(ours, theirs)
    found, expected = (torch.autograd.grad((y * g).sum(), inputs) for y in (ours, theirs))
    # A channel that is nearly flat has a steep normalisation: the way back then holds the rounding of float32 sums.
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_empty_channels_change_no_picture(network):
    frame, previous = smooth_picture(20, 28, seed=1), smooth_picture(20, 28, seed=2)
    wider = with_fine_channels(network, 7).eval()
    assert wider.shape == dataclasses.replace(SMALL, fine=7)
    with torch.no_grad():
        torch.testing.assert_close(wider(frame, previous, frame[:, :1]), network(frame, previous, frame[:, :1]))


def test_each_picture_may_have_its_own_normalisation():
    x = torch.randn(2, 3, 5, 7)
    norm = InstanceNorm(3)
    weight, bias = torch.randn(2, 3), torch.randn(2, 3)
    together = torch.func.functional_call(norm, {"weight": weight, "bias": bias}, (x,))
    with torch.no_grad():
        painted = torch.func.functional_call(norm, {"weight": weight, "bias": bias}, (x,))
        torch.testing.assert_close(painted, together)
    for i in range(2):
        alone = torch.func.functional_call(norm, {"weight": weight[i], "bias": bias[i]}, (x[i : i + 1],))
        torch.testing.assert_close(together[i : i + 1], alone)


@given(height=st.integers(1, 40), width=st.integers(1, 40))
@settings(max_examples=20)
@torch.no_grad()
def test_any_size(height, width):
    torch.manual_seed(0)
    found = StyleNetwork(SMALL)(picture(height, width))
    assert found.shape == (1, 3, height, width) and found.dtype == torch.float32
    assert found.min() > 0 and found.max() < 1


@torch.no_grad()
def test_an_untrained_network_begins_near_the_content(network):
    content = smooth_picture(40, 56)
    found = network(content)
    correlation = torch.corrcoef(torch.stack((luma(found).flatten(), luma(content).flatten())))[0, 1]
    assert correlation > 0.9


@torch.no_grad()
def test_without_trust_the_last_picture_says_nothing(network):
    content, nothing = smooth_picture(24, 32), torch.zeros(1, 1, 24, 32)
    first = network(content)
    assert torch.equal(network(content, picture(24, 32), nothing), first)
    assert not torch.equal(network(content, picture(24, 32), 1 - nothing), first)


@torch.no_grad()
def test_an_open_gate_keeps_the_last_picture_where_it_is_trusted(network):
    network.last.weight.zero_()
    network.last.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 50.0]))
    content, previous = smooth_picture(24, 32), picture(24, 32)
    trust = torch.zeros(1, 1, 24, 32)
    trust[..., :16] = 1
    found = network(content, previous, trust)
    torch.testing.assert_close(found[..., :16], previous[..., :16])
    torch.testing.assert_close(found[..., 16:], network(content)[..., 16:])


def test_the_noise_is_always_the_same_and_flat_areas_get_strokes(network):
    tile = noise_tile()
    noise_tile.cache_clear()
    assert torch.equal(noise_tile(), tile) and tile.shape == (1, 2, NOISE_PERIOD, NOISE_PERIOD)
    assert 0.8 < tile[:, 0].std() < 1.2 and 0.3 < tile[:, 1].std() < 1.2
    with torch.no_grad():
        flat = network(torch.full((1, 3, 64, 64), 0.4))
    assert flat.std((2, 3)).min() > 1e-4


@given(height=st.integers(1, 9), width=st.integers(1, 9), period=st.integers(1, 4))
def test_a_tile_is_laid_side_by_side(height, width, period):
    tile = torch.arange(float(period * (period + 1))).view(1, 1, period, period + 1)
    found = repeated(tile, height, width)
    assert found.shape == (1, 1, height, width)
    assert all(
        found[0, 0, y, x] == tile[0, 0, y % period, x % (period + 1)] for y in range(height) for x in range(width)
    )


@given(height=st.integers(1, 6), width=st.integers(1, 6), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_an_enlarged_picture_is_convolved_without_enlarging_it(height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 3, height, width, generator=generator, dtype=torch.float64)
    weight, bias = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((4, 3, 3, 3), (4,)))
    enlarged = F.pad(F.interpolate(x, scale_factor=2.0), (1, 1, 1, 1), mode="reflect")
    torch.testing.assert_close(convolved_twice_as_large(x, weight, bias), F.conv2d(enlarged, weight, bias))


def test_folding_is_pytorchs():
    x = picture(6, 10, count=2)
    assert torch.equal(_folded(x), F.pixel_unshuffle(x, 2))


@given(values=st.lists(st.floats(-1, 2), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_what_is_cut_off_can_come_back(values, seed):
    x = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    g = torch.randn(len(values), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    y = _InRange.apply(x)
    assert torch.equal(y, x.clamp(0, 1))
    (found,) = torch.autograd.grad(y, x, g)
    further_out = ((x > 1) & (g < 0)) | ((x < 0) & (g > 0))  # a step goes against the gradient
    assert torch.equal(found, torch.where(further_out, 0.0, g))


@pytest.mark.slow
def test_other_programs_paint_the_same(tmp_path, network):
    path = tmp_path / "a.onnx"
    export_onnx(network, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for size in ((8, 8), (50, 71), (96, 64)):
        given = {"frame": picture(*size), "previous": picture(*size), "trust": picture(*size)[:, :1]}
        (found,) = session.run(None, {name: tensor.numpy() for name, tensor in given.items()})
        with torch.no_grad():
            np.testing.assert_allclose(found, network(**given).numpy(), atol=1e-4)


@pytest.mark.slow
def test_an_onnx_file_that_paints_otherwise_is_refused(tmp_path, network, monkeypatch):
    other = StyleNetwork(SMALL).eval()
    export = onnx_export._export
    monkeypatch.setattr(onnx_export, "_export", lambda _, path: export(other, path))
    with pytest.raises(WeightsError, match="otherwise than the network"):
        export_onnx(network, tmp_path / "a.onnx")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UsageError, match=r"pip install videostyle\[onnx\]"):
        export_onnx(network, tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def trained(network: StyleNetwork) -> TrainedNetwork:
    return TrainedNetwork(network, "a" * 32, {"style_weight": 5000.0, "style_layers": ["conv1_1"]}, 512, {"steps": 3})


def test_a_file_gives_back_what_went_in(tmp_path, network):
    path = tmp_path / "a.safetensors"
    save_network(path, trained(network))
    found = load_network(path)
    kept = {f.name for f in dataclasses.fields(TrainedNetwork)} - {"network"}
    assert {n: getattr(found, n) for n in kept} == {n: getattr(trained(network), n) for n in kept}
    assert found.sha256 == trained(network).sha256 and found.network.shape == SMALL
    with torch.no_grad():
        assert (found.network(picture(20, 20)) - network(picture(20, 20))).abs().max() < 5e-3
    save_network(tmp_path / "b.safetensors", found)
    assert (tmp_path / "b.safetensors").read_bytes() == path.read_bytes()


def test_the_usual_shape_is_small_enough():
    assert 2 * sum(p.numel() for p in StyleNetwork().parameters()) < style_network_file.MOST_BYTES / 3


def test_a_damaged_file_is_refused_in_one_line(tmp_path, network):
    """500 mutations: bytes changed, cut off, added, zeroed."""
    whole = tmp_path / "whole.safetensors"
    save_network(whole, trained(network))
    data, generator = whole.read_bytes(), np.random.default_rng(0)
    for i in range(500):
        bad = bytearray(data)
        at = int(generator.integers(len(bad)))
        kind = i % 4
        if kind == 0:
            bad[at] ^= 1 << int(generator.integers(8))
        elif kind == 1:
            del bad[at:]
        elif kind == 2:
            bad += bytes(int(generator.integers(1, 50)))
        else:
            bad[at : at + 16] = b"\xff" * min(16, len(bad) - at)
        if bytes(bad) == data:
            continue
        path = tmp_path / "bad.safetensors"
        path.write_bytes(bad)
        with pytest.raises(WeightsError) as error:
            load_network(path)
        assert "\n" not in str(error.value) and "bad.safetensors" in str(error.value)


def test_files_of_another_kind_are_refused(tmp_path, network, monkeypatch):
    with pytest.raises(WeightsError, match="videostyle train"):
        load_network(tmp_path / "missing.safetensors")
    save_file({"x": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="does not say what it was trained for"):
        load_network(tmp_path / "other.safetensors")
    monkeypatch.setattr(style_network_file, "FORMAT", 99)
    save_network(tmp_path / "later.safetensors", trained(network))
    monkeypatch.undo()
    with pytest.raises(WeightsError, match="format 99, this version reads 2"):
        load_network(tmp_path / "later.safetensors")
    (tmp_path / "large.safetensors").write_bytes(bytes(style_network_file.MOST_BYTES + 1))
    with pytest.raises(WeightsError, match="at most"):
        load_network(tmp_path / "large.safetensors")
