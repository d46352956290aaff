"""The GPU's kernels for the style against PyTorch's operations, run by Triton's interpreter where there is no GPU."""

import pytest
import torch
from kernel_process import passes
from small_networks import CONTENT_LAYERS, STYLE_LAYERS, picture, small_backbone

from videostyle.losses import fused_style
from videostyle.losses.content import ContentTarget
from videostyle.losses.objective import LossWeights, Objective
from videostyle.losses.style import StyleTarget
from videostyle.networks.feature_extractor import FeatureExtractor

SIZE = (34, 45)


def same_style(device, dtype, tolerance):
    from videostyle.kernels import gram as kernels

    kernels.PROGRAMS = 4
    x, content, style = (picture(*SIZE, seed=i).to(device) for i in range(3))
    region = torch.zeros(1, 1, *SIZE, device=device)
    region[..., 5:20, 10:30] = 0.5
    for content_layers in (CONTENT_LAYERS, ("conv3_1",)):
        weights = LossWeights(1.0, 100.0, 0.0, content_layers, STYLE_LAYERS)
        extractor = FeatureExtractor(small_backbone(), weights.layers, device=device, dtype=getattr(torch, dtype))
        free = StyleTarget(extractor, style, STYLE_LAYERS)
        for target in (free, free.anchored_at(extractor, content, 2.0)):
            for own_style in (None, region):
                seen = ContentTarget(extractor, content, content_layers)
                made = Objective(extractor, seen, target, weights, region=own_style, dense=True)
                found = []
                fused_style.loaded_kernels = lambda: kernels
                for fuses in (False, True):
                    made.fuses = lambda x, fuses=fuses: fuses
                    found.append(made.value_and_gradient(x))
                (expected, gradient), (losses, own) = found
                for name in ("total", "content", "style", "without_priors", "region"):
                    pair = getattr(losses, name), getattr(expected, name)
                    torch.testing.assert_close(*pair, rtol=tolerance, atol=1e-12, msg=name)
                assert (own - gradient).norm() < tolerance * gradient.norm()
                assert gradient.any() and bool(expected.region) == (own_style is not None)


def same_layer(device, dtype, tolerance, m, c):
    """One layer of several tiles against the formulas. The targets are not symmetric, as Gram matrices would be: that
    tells a tile from its mirror image."""
    from videostyle.kernels import gram as kernels

    def same(found, expected):
        assert found.shape == expected.shape
        assert (found.double() - expected).norm() < tolerance * expected.norm()

    generator = torch.Generator().manual_seed(0)
    flat = torch.randn(m, c, generator=generator).relu().to(device, getattr(torch, dtype))
    minimised_grams, target = torch.randn(2, c, c, generator=generator).to(device)
    weights, share = (torch.rand(m, generator=generator) / m).to(device), torch.full((1,), 0.7, device=device)
    above, wide = torch.randn(m, c, generator=generator).to(flat), flat.double()
    gram, of_region = wide.T @ wide / m, wide.T @ (wide * weights[:, None])
    expected = torch.stack((0.5 * (gram - minimised_grams), 5 * 0.7 * (of_region - target)))
    losses = torch.stack([f * d.square().sum() for f, d in ((2, gram - minimised_grams), (3, gram - target))])
    loss_of_region = 7 * 0.7 * (of_region - target).square().sum()
    for region in (None, (weights, share, 5.0, 7.0)):
        slopes, sums = kernels.slope_and_loss(flat, minimised_grams, target, (0.5, 2.0, 3.0), region)
        same(slopes, expected[: len(slopes)])
        same(sums.sum(0), torch.cat((losses, loss_of_region[None] if region else losses.new_zeros(1))))
        added = wide @ expected[0]
        if region:
            added += weights[:, None] * (wide @ expected[1])
        for g in (None, above):
            wanted = torch.where(wide > 0, added if g is None else added + g, 0.0)
            given = None if g is None else g.clone(), flat, slopes, weights if region else None
            same(kernels.add_style_through_relu(*given), wanted)


# Positions and channels: two tiles of each, and several off the diagonal.
TILES = pytest.mark.parametrize(("m", "c"), [(150, 160), (130, 256)])


@pytest.mark.slow
def test_the_style_in_kernels_is_the_same_style():
    passes(same_style, "cpu", "float32", 1e-4)  # the interpreter cannot multiply bf16


def test_it_is_on_a_gpu(cuda):
    passes(same_style, "cuda", "bfloat16", 3e-2)


@pytest.mark.slow
@TILES
def test_a_layer_of_several_tiles_is_the_same(m, c):
    passes(same_layer, "cpu", "float32", 1e-5, m, c)


@TILES
def test_it_is_the_same_on_a_gpu(cuda, m, c):
    passes(same_layer, "cuda", "bfloat16", 2e-2, m, c)


def on_a_gpu(
    device="cuda", dtype=torch.bfloat16, style_layers=STYLE_LAYERS, adapters=False, beta: float | torch.Tensor = 100.0
) -> Objective:
    """An objective made on the CPU that takes itself for one on ``device``."""
    weights = LossWeights(1.0, beta, 0.0, CONTENT_LAYERS, style_layers)
    extractor = FeatureExtractor(small_backbone(adapters=adapters), weights.layers)
    content, style = (
        ContentTarget(extractor, picture(*SIZE), CONTENT_LAYERS),
        StyleTarget(extractor, picture(*SIZE), style_layers),
    )
    made = Objective(extractor, content, style, weights)
    extractor.device, extractor.dtype = torch.device(device), dtype
    return made


@pytest.mark.parametrize(
    ("change", "pictures", "fuses"),
    [
        ({}, 1, True),
        ({}, 2, False),
        ({"device": "cpu"}, 1, False),
        ({"dtype": torch.float32}, 1, False),
        ({"adapters": True}, 1, False),
        ({"style_layers": ()}, 1, False),
        ({"beta": torch.ones(1)}, 1, False),
    ],
    ids=("one picture", "two", "on a CPU", "float32", "adapters", "no style", "a beta for each picture"),
)
def test_the_style_is_in_kernels_only_where_they_know_how(monkeypatch, change, pictures, fuses):
    monkeypatch.setattr(fused_style, "loaded_kernels", object)
    assert on_a_gpu(**change).fuses(picture(*SIZE, count=pictures)) is fuses


def test_it_is_not_where_there_are_no_kernels(monkeypatch):
    monkeypatch.setattr(fused_style, "loaded_kernels", lambda: None)
    assert not on_a_gpu().fuses(picture(*SIZE))
