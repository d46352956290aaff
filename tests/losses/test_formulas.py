"""The losses by value and by gradient, against the papers' formulas written out."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videostyle.losses import formulas

STRIDE = 64  # 512 / 64 = 8: a layer of 8 x 8 positions is at the reference size, where nothing departs from the paper


def features(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_content_loss_by_hand():
    f = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]], dtype=torch.float64)
    p = torch.tensor([[[[0.0, 2.0], [1.0, 7.0]]]], dtype=torch.float64)
    # 1/2 (1 + 0 + 4 + 9) = 7 on 2 x 2 positions, at the reference size for stride 256
    assert formulas.content_loss(f, p, stride=256).tolist() == [7.0]
    assert formulas.content_loss(f, p, stride=128).tolist() == [28.0]  # 4 times the positions


def test_gram_and_style_loss_by_hand():
    f = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]], dtype=torch.float64)  # 2 channels, 2 positions
    assert formulas.gram(f).tolist() == [[[2.5, 0.5], [0.5, 5.0]]]
    target = torch.tensor([[[2.5, 1.5], [1.5, 3.0]]], dtype=torch.float64)
    # squared differences 0, 1, 1, 4, divided by 4 N^2 = 16
    assert formulas.style_loss(formulas.gram(f), target, nominal_channels=2).tolist() == [6 / 16]


def test_total_variation_by_hand():
    x = torch.zeros(1, 3, 2, 2, dtype=torch.float64)
    x[0, 0] = torch.tensor([[0.0, 1.0], [3.0, 3.0]])
    # across 1 + 0, down 9 + 4, times 512^2 / 4
    assert formulas.total_variation(x).tolist() == [14 * 512**2 / 4]


def test_temporal_loss_by_hand():
    x, target = torch.zeros(1, 3, 1, 2), torch.full((1, 3, 1, 2), 0.5)
    mask = torch.tensor([[[[1.0, 0.0]]]])
    assert formulas.temporal_loss(x, target, mask).tolist() == [0.25 / 2]  # the mean runs over untrusted pixels too


def test_content_loss_is_the_slides_sum_at_the_reference_size():
    f, p = features(1, 5, 8, 8, seed=1), features(1, 5, 8, 8, seed=2)
    written_out = 0.5 * sum((a - b) ** 2 for a, b in zip(f.flatten().tolist(), p.flatten().tolist(), strict=True))
    assert formulas.content_loss(f, p, STRIDE).item() == pytest.approx(written_out, rel=1e-12)


def test_style_loss_is_the_slides_sum_when_both_have_m_positions():
    f, a = features(1, 4, 3, 5, seed=1), features(1, 4, 3, 5, seed=2)
    n, m = 4, 15
    big_g, big_a = (t[0].flatten(1) @ t[0].flatten(1).T for t in (f, a))
    written_out = sum((big_g[i, j] - big_a[i, j]).item() ** 2 for i in range(n) for j in range(n))
    found = formulas.style_loss(formulas.gram(f), formulas.gram(a), n).item()
    assert found == pytest.approx(written_out / (4 * n**2 * m**2), rel=1e-12)


def test_content_gradient_is_the_slides():
    z, p = features(1, 5, 8, 8, seed=3).requires_grad_(), features(1, 5, 8, 8, seed=4).relu()
    (gradient,) = torch.autograd.grad(formulas.content_loss(z.relu(), p, STRIDE).sum(), z)
    f = z.detach().relu()
    torch.testing.assert_close(gradient, torch.where(f > 0, f - p, 0.0))


def test_style_gradient_is_the_slides():
    z, a = features(1, 5, 8, 8, seed=5).requires_grad_(), features(1, 5, 8, 8, seed=6).relu()
    n, m, w = 5, 64, 0.2
    loss = w * formulas.style_loss(formulas.gram(z.relu()), formulas.gram(a), n)
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    f = z.detach().relu()
    flat, flat_a = f[0].flatten(1), a[0].flatten(1)
    formula = w / (n**2 * m**2) * (flat @ flat.T - flat_a @ flat_a.T) @ flat
    torch.testing.assert_close(gradient, torch.where(f > 0, formula.view_as(f), 0.0))


FIXED = features(1, 3, 4, 5, seed=8)
LOSSES = {
    "content": lambda f: formulas.content_loss(f, FIXED.expand_as(f), STRIDE),
    "style": lambda f: formulas.style_loss(formulas.gram(f), formulas.gram(FIXED), 3),
    "tv": formulas.total_variation,
    "temporal": lambda f: formulas.temporal_loss(f, FIXED.expand_as(f), FIXED[:, :1].abs()),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_per_sample(name):
    batch = features(2, 3, 4, 5)
    together = LOSSES[name](batch)
    torch.testing.assert_close(together, torch.cat([LOSSES[name](batch[:1]), LOSSES[name](batch[1:])]))
    assert (together > 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_gradcheck(name):
    assert torch.autograd.gradcheck(LOSSES[name], features(2, 3, 4, 5, seed=9).requires_grad_())


@settings(max_examples=25)
@given(height=st.integers(1, 6), width=st.integers(1, 6), times=st.integers(2, 3), seed=st.integers(0, 99))
def test_tiling_a_picture_changes_neither_content_nor_style(height, width, times, seed):
    """Size-free: the same features repeated over a larger picture have the same formulas."""
    f, p = features(1, 3, height, width, seed=seed), features(1, 3, height, width, seed=seed + 100)
    f_big, p_big = f.repeat(1, 1, times, times), p.repeat(1, 1, times, times)
    torch.testing.assert_close(formulas.content_loss(f_big, p_big, 8), formulas.content_loss(f, p, 8))
    torch.testing.assert_close(formulas.gram(f_big), formulas.gram(f))


@settings(max_examples=25)
@given(shift=st.floats(-1, 1), seed=st.integers(0, 99))
def test_total_variation_ignores_brightness(shift, seed):
    x = features(1, 3, 4, 5, seed=seed)
    torch.testing.assert_close(formulas.total_variation(x + shift), formulas.total_variation(x))


def test_reference_positions_of_vgg():
    assert [formulas.reference_positions(s) for s in (1, 8, 16)] == [512 * 512, 64 * 64, 32 * 32]
