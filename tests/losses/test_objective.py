"""The objective's value and gradient against autograd through the plain definitions, and what its numbers mean."""

import pytest
import torch
import torch.nn.functional as F
from small_networks import CONTENT_LAYERS, STYLE_LAYERS, picture, pixel_backbone, small_backbone, smooth_picture

from videostyle.losses import formulas
from videostyle.losses.content import ContentTarget
from videostyle.losses.gram import mean_gram
from videostyle.losses.objective import LossWeights, Objective
from videostyle.losses.pixel_losses import ColourPrior, TemporalPrior
from videostyle.losses.style import StyleTarget
from videostyle.losses.style_region import RegionStyleLoss
from videostyle.networks.backbone import layer_stride
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.networks.weights import from_file

# On the small network's features this style weight makes both losses about equal, so that neither hides the other.
WEIGHTS = LossWeights(content=1.5, style=1e6, tv=0.0, content_layers=CONTENT_LAYERS, style_layers=STYLE_LAYERS)


def objective(backbone, content, style, weights=WEIGHTS, *, pooling="average", dtype=torch.float64, priors=()):
    extractor = FeatureExtractor(backbone, weights.layers, pooling=pooling, dtype=dtype)
    target = ContentTarget(extractor, content, weights.content_layers)
    return Objective(extractor, target, StyleTarget(extractor, style, weights.style_layers), weights, priors)


def plain_losses(backbone, x, content, style, weights, *, pooling="average", priors=()):
    """(total, content, style) from ``Backbone.features`` and ``losses``, differentiable, in the input's precision."""
    wanted = weights.layers
    f, p, a = (backbone.features(t, wanted, pooling) for t in (x, content, style))
    content_loss = style_loss = x.new_zeros(x.shape[0])
    for n in weights.content_layers:
        content_loss = content_loss + formulas.content_loss(f[n], p[n], layer_stride(n))
    for n in weights.style_layers:
        grams = formulas.gram(f[n]), formulas.gram(a[n])
        style_loss = style_loss + formulas.style_loss(*grams, backbone.references[n].channels) / len(
            weights.style_layers
        )
    total = weights.content * content_loss + weights.style * style_loss + weights.tv * formulas.total_variation(x)
    for prior in priors:
        if isinstance(prior, TemporalPrior):
            wanted = formulas.temporal_loss(x, prior.target, prior.mask)
        else:
            mean = x.mean((2, 3), keepdim=True)
            wanted = ((prior.low - mean).relu() + (mean - prior.high).relu()).square().mean((1, 2, 3))
        total = total + prior.weight * wanted
    return total, content_loss, style_loss


def assert_equals_autograd(backbone, size, *, count=1, pooling="average", weights=WEIGHTS, with_priors=False):
    double = torch.float64
    x, content = (picture(*size, seed=s, count=count, dtype=double) for s in (1, 2))
    style = picture(21, 40, seed=3, dtype=double)
    priors = ()
    if with_priors:
        masks = (picture(*size, seed=s, dtype=double)[:, :1].round() for s in (4, 5))
        priors = tuple(
            TemporalPrior(100.0 * (i + 1), picture(*size, seed=6 + i, dtype=double), mask)
            for i, mask in enumerate(masks)
        )
        mean = x.mean((2, 3), keepdim=True)  # below, within and above in the three channels
        away = torch.tensor([0.1, 0.0, -0.2], dtype=double).view(1, 3, 1, 1)
        priors += (ColourPrior(1e4, mean[:1] + away - 0.02, mean[:1] + away + 0.02),)
    made = objective(backbone, content, style, weights, pooling=pooling, priors=priors)
    found, gradient = made.value_and_gradient(x)
    leaf = x.clone().requires_grad_()
    expected = plain_losses(backbone, leaf, content, style, weights, pooling=pooling, priors=priors)
    (expected_gradient,) = torch.autograd.grad(expected[0].sum(), leaf)
    for ours, theirs in zip((found.total, found.content, found.style), expected, strict=True):
        assert ours.shape == (count,)
        torch.testing.assert_close(ours.double(), theirs.detach(), rtol=1e-9, atol=0)
    scale = expected_gradient.abs().max().item()
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-7, atol=1e-9 * scale)
    torch.testing.assert_close(made.value(x).total, found.total, rtol=1e-12, atol=0)


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("size", [(32, 48), (37, 51)], ids=str)
@pytest.mark.parametrize("count", [1, 2])
def test_equals_autograd(pooling, size, count):
    assert_equals_autograd(small_backbone(), size, count=count, pooling=pooling)


def test_equals_autograd_with_total_variation_and_priors():
    weights = LossWeights(1.0, 1e6, 1e-4, CONTENT_LAYERS, STYLE_LAYERS)
    assert_equals_autograd(small_backbone(), (19, 33), weights=weights, with_priors=True)
    assert_equals_autograd(small_backbone(), (19, 33), count=2, weights=weights, with_priors=True)


@pytest.mark.parametrize("adapters", [False, True])
def test_equals_autograd_with_scale_and_adapters(adapters):
    assert_equals_autograd(small_backbone(scale=1.7, adapters=adapters), (32, 37), count=2)


def test_equals_autograd_when_layers_are_shared_or_missing():
    shared = LossWeights(1.0, 1e6, 0.0, ("conv2_2", "conv3_1"), ("conv1_1", "conv2_2"))
    content_only = LossWeights(2.0, 0.0, 0.0, ("conv3_1",), ())
    style_only = LossWeights(0.0, 2.0, 0.0, (), ("conv2_1", "conv4_1"))
    assert_equals_autograd(small_backbone(), (20, 24), weights=shared)
    for weights in (content_only, style_only):
        assert_equals_autograd(small_backbone(), (20, 24), weights=weights)


def test_an_objective_of_its_own_shares_nothing_and_says_the_same():
    """A recorded loop must not overwrite what the next frame reads; anchored, so that every target differs."""
    x, content, style = (picture(24, 32, seed=s, dtype=torch.float64) for s in range(3))
    given = objective(small_backbone(), content, style)
    given = with_style(given, content, style_of(given).anchored_at(given.extractor, x, 8.0))
    own = given.clone()
    for mine, theirs in zip(own.tensors(), given.tensors(), strict=True):
        assert torch.equal(mine, theirs)
        assert mine.data_ptr() != theirs.data_ptr()
    before = own.value(content).total
    for tensor in given.tensors():
        tensor.mul_(2)
    assert torch.equal(own.value(content).total, before)
    assert not torch.equal(given.value(content).total, before)


@pytest.mark.parametrize("adapters", [False, True])
def test_a_region_has_its_own_gram_matrix(adapters):
    """Against autograd through the plain definition: the region's weighted Gram matrix, times its share and weight."""
    backbone, double = small_backbone(adapters=adapters), torch.float64
    x, content = (picture(29, 38, seed=s, dtype=double) for s in (1, 2))
    style, mask = picture(21, 40, seed=3, dtype=double), torch.zeros(1, 1, 29, 38, dtype=double)
    mask[..., 5:20, 9:30] = picture(15, 21, seed=4, dtype=double)[:, :1]
    extractor = FeatureExtractor(backbone, WEIGHTS.layers, dtype=double)
    target, grams = ContentTarget(extractor, content, CONTENT_LAYERS), StyleTarget(extractor, style, STYLE_LAYERS)
    whole, found = (
        Objective(extractor, target, grams, WEIGHTS, region=region).value_and_gradient(x) for region in (None, mask)
    )
    leaf = x.clone().requires_grad_()
    f, a = (backbone.features(t, STYLE_LAYERS) for t in (leaf, style))
    expected = torch.zeros((), dtype=double)
    for n in STYLE_LAYERS:
        weights = F.interpolate(mask, f[n].shape[2:], mode="area").flatten(2)
        flat = f[n].flatten(2)
        difference = flat * weights / weights.sum() @ flat.transpose(1, 2) - formulas.gram(a[n])
        expected = expected + difference.square().sum() / (4 * backbone.references[n].channels ** 2 * len(STYLE_LAYERS))
    expected = WEIGHTS.style * 0.1 * mask.mean() * expected
    (gradient,) = torch.autograd.grad(expected, leaf)
    assert found[0].region.item() == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(found[0].total, whole[0].total + found[0].region)
    torch.testing.assert_close(found[1] - whole[1], gradient, rtol=1e-6, atol=1e-9 * gradient.abs().max().item())
    assert found[0].without_priors == whole[0].without_priors and found[0].style == whole[0].style


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_a_region_is_the_same_looked_at_densely(dtype, near):
    """As a GPU does: all positions with their weights, in the network's own precision."""
    x, content, style = (smooth_picture(64, 80, seed=s) for s in range(3))
    mask = torch.zeros(1, 1, 64, 80)
    mask[..., 10:50, 20:60] = smooth_picture(40, 40, seed=4)[:, :1]
    extractor = FeatureExtractor(small_backbone(), WEIGHTS.layers, dtype=dtype)
    target, grams = ContentTarget(extractor, content, CONTENT_LAYERS), StyleTarget(extractor, style, STYLE_LAYERS)
    sparse, dense = (Objective(extractor, target, grams, WEIGHTS, region=mask, dense=dense) for dense in (False, True))
    assert [used_densely(o) for o in (sparse, dense)] == [{False}, {True}]
    assert used_densely(Objective(extractor, target, grams, WEIGHTS, region=mask)) == {False}  # a CPU's default
    (expected, wanted), (losses_, g) = (o.value_and_gradient(x) for o in (sparse, dense))
    assert expected.region > 0
    assert losses_.region.item() == pytest.approx(expected.region.item(), rel=near)
    assert (g - wanted).norm() < near * wanted.norm()


def used_densely(made: Objective) -> set[bool]:
    return {loss.index is None for loss in made.layer_losses if isinstance(loss, RegionStyleLoss)}


def test_a_whole_picture_as_a_region_adds_to_the_style_and_an_empty_region_is_none():
    x, content, style = (smooth_picture(32, 40, seed=s) for s in range(3))
    extractor = FeatureExtractor(small_backbone(), WEIGHTS.layers)
    target, grams = ContentTarget(extractor, content, CONTENT_LAYERS), StyleTarget(extractor, style, STYLE_LAYERS)
    plain, whole, empty = (
        Objective(extractor, target, grams, WEIGHTS, region=region).value_and_gradient(x)
        for region in (None, torch.ones(1, 1, 32, 40), torch.zeros(1, 1, 32, 40))
    )
    torch.testing.assert_close(whole[0].region, 0.1 * WEIGHTS.style * plain[0].style, rtol=1e-3, atol=0)
    assert torch.equal(whole[0].total, plain[0].total + whole[0].region)
    assert torch.equal(empty[0].total, plain[0].total)
    assert torch.equal(empty[1], plain[1])


def test_gradients_of_pre_activations_are_the_slides():
    """Through the product's own path: with a layer that copies its input, x is the pre-activation."""
    x, p, a = (picture(512, 512, seed=s, dtype=torch.float64) * 2 - 1 for s in range(3))
    f, f_p, f_a = (t.relu() for t in (x, p, a))
    for alpha, beta in ((1.0, 0.0), (0.0, 1.0)):
        weights = LossWeights(alpha, beta, 0.0, ("conv1_1",), ("conv1_1",))
        losses_, gradient = objective(pixel_backbone(), p, a, weights).value_and_gradient(x)
        flat, flat_a = f[0].flatten(1), f_a[0].flatten(1)
        n, m = 3, 512 * 512
        big = flat @ flat.T - flat_a @ flat_a.T
        style = (1 / (n**2 * m**2) * big @ flat).view_as(f)
        torch.testing.assert_close(gradient, torch.where(f > 0, alpha * (f - f_p) + beta * style, 0.0))
        torch.testing.assert_close(losses_.content[0], 0.5 * (f - f_p).square().sum())
        torch.testing.assert_close(losses_.style[0], big.square().sum() / (4 * n**2 * m**2))


def test_the_content_itself_has_no_content_loss_and_the_style_itself_no_style_loss():
    content = picture(32, 32, seed=1)
    made = objective(small_backbone(), content, content, dtype=torch.float32)
    found, gradient = made.value_and_gradient(content)
    assert found.content.item() == 0
    assert found.style.item() == 0
    assert not gradient.any()


def test_a_prior_pulls_only_where_its_mask_is():
    content = picture(24, 24)
    mask = torch.zeros(1, 1, 24, 24)
    mask[..., :10, :] = 1
    none = LossWeights(0.0, 0.0, 0.0, CONTENT_LAYERS, STYLE_LAYERS)
    prior = TemporalPrior(5.0, target=picture(24, 24, seed=1), mask=mask)
    made = objective(small_backbone(), content, content, none, dtype=torch.float32, priors=(prior,))
    _, gradient = made.value_and_gradient(content)
    assert not gradient[..., 10:, :].any()
    assert gradient[..., :10, :].abs().min() > 0
    switched_off = TemporalPrior(5.0, prior.target, torch.zeros_like(mask))
    made = objective(small_backbone(), content, content, none, dtype=torch.float32, priors=(switched_off,))
    losses_, gradient = made.value_and_gradient(content)
    assert losses_.total.item() == 0
    assert not gradient.any()


def test_a_mean_colour_is_free_between_its_bounds_and_pulled_back_from_beyond():
    content = picture(24, 24)
    mean = content.mean((2, 3), keepdim=True)
    none = LossWeights(0.0, 0.0, 0.0, CONTENT_LAYERS, STYLE_LAYERS)
    away = torch.tensor([0.05, 0.0, -0.05]).view(1, 3, 1, 1)  # too dark in the first channel, too bright in the last
    prior = ColourPrior(2.0, mean + away - 0.01, mean + away + 0.01)
    made = objective(small_backbone(), content, content, none, dtype=torch.float32, priors=(prior,))
    found, gradient = made.value_and_gradient(content)
    assert found.total.item() == pytest.approx(2 * 2 * 0.04**2 / 3, rel=1e-4)
    darker, within, brighter = gradient.unbind(1)
    assert not within.any()
    torch.testing.assert_close(brighter, -darker)
    torch.testing.assert_close(brighter.mean(), torch.tensor(2 * 2 * 0.04 / (3 * 24 * 24)), rtol=1e-4, atol=0)
    assert found.without_priors.item() == 0


@pytest.mark.parametrize("adapters", [False, True])
def test_bf16_agrees_with_fp32(adapters):
    backbone = small_backbone(4, adapters=adapters)
    other, content, style = (smooth_picture(64, 81, seed=s) for s in range(3))
    x = (other + picture(64, 81)) / 2
    exact, exact_gradient = objective(backbone, content, style, dtype=torch.float32).value_and_gradient(x)
    found, gradient = objective(backbone, content, style, dtype=torch.bfloat16).value_and_gradient(x)
    assert gradient.dtype == found.total.dtype == torch.float32
    assert torch.cosine_similarity(gradient.flatten(), exact_gradient.flatten(), dim=0) > 0.995
    torch.testing.assert_close(found.content, exact.content, rtol=0.02, atol=0)
    torch.testing.assert_close(found.style, exact.style, rtol=0.02, atol=0)


def test_the_balance_does_not_depend_on_the_size():
    """The same scene and style at twice the size: content and style losses stay within a few per cent."""
    weights = LossWeights(1.0, 1.0, 0.0, ("conv3_1",), STYLE_LAYERS)
    values = []
    for side in (320, 640):  # the zero padding of small feature maps is what keeps this from being exact
        x, content, style = (smooth_picture(side, side, seed=s) for s in range(3))
        found = objective(small_backbone(), content, style, weights, dtype=torch.float32).value(x)
        values.append((found.content.item(), found.style.item()))
    (content_small, style_small), (content_large, style_large) = values
    assert content_large == pytest.approx(content_small, rel=0.05)
    assert style_large == pytest.approx(style_small, rel=0.03)


@pytest.mark.shared
def test_the_real_network_in_bf16_agrees_with_fp32(shared):
    backbone = from_file(shared / "weights" / "vgg19_features_fp16.npz")
    content, style = (smooth_picture(96, 80, seed=s) for s in range(2))
    x = (3 * content + picture(96, 80)) / 4
    weights = LossWeights(1.0, 2000.0, 0.0, CONTENT_LAYERS, STYLE_LAYERS)
    exact, exact_gradient = objective(backbone, content, style, weights, dtype=torch.float32).value_and_gradient(x)
    found, gradient = objective(backbone, content, style, weights, dtype=torch.bfloat16).value_and_gradient(x)
    assert torch.cosine_similarity(gradient.flatten(), exact_gradient.flatten(), dim=0) > 0.99
    torch.testing.assert_close(found.total, exact.total, rtol=0.02, atol=0)


def test_the_style_picture_may_have_another_size():
    x, content, style = (smooth_picture(128, 128, seed=s) for s in range(3))
    same = objective(small_backbone(), content, style, dtype=torch.float32).value(x)
    larger = objective(small_backbone(), content, smooth_picture(192, 192, seed=2), dtype=torch.float32).value(x)
    assert larger.style.item() == pytest.approx(same.style.item(), rel=0.05)


@pytest.mark.parametrize("shape", [(1, 6, 40, 40), (2, 6, 13, 11), (1, 12, 2, 3)], ids=str)
def test_mean_gram_in_bf16_is_the_exact_gram_of_the_rounded_features(shape):
    features = torch.randn(shape, generator=torch.Generator().manual_seed(0)).relu()
    rounded = features.to(torch.bfloat16, memory_format=torch.channels_last)
    exact = formulas.gram(rounded.double())
    error = (mean_gram(rounded).double() - exact).norm() / exact.norm()
    assert error < 2**-8
    torch.testing.assert_close(mean_gram(rounded.double()), exact, rtol=1e-12, atol=1e-12)
    assert mean_gram(rounded).dtype == torch.float32


def test_slicing_makes_a_bf16_gram_finer_than_one_product():
    features = torch.randn(1, 8, 64, 64, generator=torch.Generator().manual_seed(1)).relu()
    rounded = features.to(torch.bfloat16, memory_format=torch.channels_last)
    exact = formulas.gram(rounded.double())
    flat = rounded.permute(0, 2, 3, 1).reshape(1, -1, 8)
    one_product = (flat.transpose(1, 2) @ flat).double() / flat.shape[1]
    sliced, whole = ((g - exact).norm() / exact.norm() for g in (mean_gram(rounded).double(), one_product))
    assert sliced < whole / 2
    assert sliced < 2**-10


def test_layers_are_named_once():
    assert LossWeights(1, 1, 0, ("conv2_1",), ("conv1_1", "conv2_1")).layers == ("conv2_1", "conv1_1")


# --- the style anchored at what a picture has reached of it


def style_of(made):
    """The style of an objective with one."""
    (area,) = made.areas
    return area.target


def with_style(made, content, style):
    """The same objective towards another target of the style."""
    seen = ContentTarget(made.extractor, content, made.weights.content_layers)
    return Objective(made.extractor, seen, style, made.weights)


def anchored_at(x0, content, style, anchor_gain, at):
    """(definitions, gradient) at ``at``, plain and anchored at ``x0``."""
    made = objective(small_backbone(), content, style)
    plain = made.value_and_gradient(at)
    anchored = style_of(made).anchored_at(made.extractor, x0, anchor_gain)
    return plain, with_style(made, content, anchored).value_and_gradient(at)


def test_an_anchor_changes_nothing_where_it_lies():
    x0, content, style = (picture(24, 32, seed=s, dtype=torch.float64) for s in (1, 2, 3))
    (losses_, gradient), (held, held_gradient) = anchored_at(x0, content, style, 8.0, x0)
    torch.testing.assert_close(held_gradient, gradient)
    torch.testing.assert_close(held.without_priors, losses_.without_priors)
    torch.testing.assert_close(held.style, losses_.style)


def test_an_anchor_pulls_back_from_both_sides():
    x0, content, style = (picture(24, 32, seed=s, dtype=torch.float64) for s in (1, 2, 3))
    made = objective(small_backbone(), content, style)
    plain = style_of(made)
    for there in (style[..., :24, :32], torch.full_like(x0, 0.5)):
        at = x0 + 0.3 * (there - x0)

        def slope_along(target, at=at):
            _, gradient = with_style(made, content, target).value_and_gradient(at)
            return (gradient * (at - x0)).sum()

        assert slope_along(plain.anchored_at(made.extractor, x0, 50.0)) > slope_along(plain)


def test_an_anchored_gradient_is_that_of_its_total():
    x0, content, style, at, step = (picture(24, 32, seed=s, dtype=torch.float64) for s in (1, 2, 3, 4, 5))
    made = objective(small_backbone(), content, style)
    made = with_style(made, content, style_of(made).anchored_at(made.extractor, x0, 8.0))
    _, gradient = made.value_and_gradient(at)
    eps = 1e-6
    up, down = (made.value(at + s * eps * step).total for s in (1, -1))
    torch.testing.assert_close((up - down) / (2 * eps), (gradient * step).sum()[None], rtol=1e-4, atol=0)
