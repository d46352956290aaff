"""L-BFGS in matrix form against the classical two-loop recursion, and what is particular to it here."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videostyle.optimise.lbfgs import LBFGS, History

SHAPE = (4, 5)
DOUBLE = torch.float64


def empty(size: int, shape=SHAPE, dtype=DOUBLE) -> History:
    made = History.empty(size, shape)
    return History(made.pairs.to(dtype), made.valid, made.newest_slot)


def two_loops(pairs: list[tuple[torch.Tensor, torch.Tensor]], g: torch.Tensor) -> torch.Tensor:
    """-H g by Nocedal and Wright's algorithm 7.4; ``pairs`` from the oldest to the newest."""
    q, alphas = g.clone(), []
    for s, y in reversed(pairs):
        alphas.append((s @ q) / (y @ s))
        q = q - alphas[-1] * y
    if pairs:
        s, y = pairs[-1]
        q = q * (s @ y) / (y @ y)
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        q = q + s * (alpha - (y @ q) / (y @ s))
    return -q


def fed(lbfgs: LBFGS, generator: torch.Generator, bends: list[bool]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Feed pairs that bend upwards or downwards; returns those of the last ``size`` that must be in use."""
    x = torch.zeros(1, 3, *SHAPE, dtype=DOUBLE)
    g = torch.randn(x.shape, generator=generator, dtype=DOUBLE)
    lbfgs.step(x, g)
    pairs = []
    for upwards in bends:
        s = torch.randn(x.shape, generator=generator, dtype=DOUBLE)
        y = torch.randn(x.shape, generator=generator, dtype=DOUBLE)
        if ((s * y).sum() > 0) != upwards:
            y = -y
        x, g = x + s, g + y
        lbfgs.step(x, g)
        pairs.append((s.flatten(), y.flatten(), upwards))
    return [(s, y) for s, y, upwards in pairs[-lbfgs.size :] if upwards]


@settings(max_examples=60)
@given(size=st.integers(1, 6), bends=st.lists(st.booleans(), max_size=14), seed=st.integers(0, 999))
def test_direction_is_the_two_loop_recursions(size, bends, seed):
    """Also when the ring has wrapped, and with rejected pairs anywhere in it."""
    generator = torch.Generator().manual_seed(seed)
    lbfgs = LBFGS(empty(size))
    pairs = fed(lbfgs, generator, bends)
    assert int(lbfgs.valid.sum()) == len(pairs)
    g = torch.randn(3 * SHAPE[0] * SHAPE[1], generator=generator, dtype=DOUBLE)
    expected = two_loops(pairs, g)
    torch.testing.assert_close(lbfgs.direction(g), expected, rtol=1e-6, atol=1e-8 * expected.abs().max().item())


def test_a_curved_history_gives_something_else_than_the_gradient():
    """The comparison above is not between two gradients."""
    lbfgs = LBFGS(empty(4))
    fed(lbfgs, torch.Generator().manual_seed(0), [True] * 4)
    g = torch.randn(60, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    assert 0 < torch.cosine_similarity(lbfgs.direction(g), -g, dim=0) < 0.9


def quadratic(scale: float = 1.0, side: int = 6, dtype=DOUBLE):
    """x -> loss and gradient of scale * 1/2 (x - c)' D (x - c), condition number 100."""
    d = torch.logspace(0, 2, 3 * side * side, dtype=dtype).view(1, 3, side, side)
    centre = torch.linspace(0.2, 0.8, d.numel(), dtype=dtype).flip(0).view_as(d)

    def loss(x):
        return scale * 0.5 * (d * (x - centre).square()).sum(), scale * d * (x - centre)

    return loss, torch.full_like(d, 0.5)


def iterates(loss, x, history, steps):
    lbfgs, found = LBFGS(history), [x]
    for _ in range(steps):
        found.append(lbfgs.step(found[-1], loss(found[-1])[1]))
    return found, lbfgs


def test_minimises_a_quadratic():
    loss, start = quadratic()
    found, _ = iterates(loss, start, empty(10, (6, 6)), 80)
    assert loss(found[-1])[0] < 1e-10 * loss(start)[0]


def test_minimises_a_valley_with_a_bend():
    """Rosenbrock's valley in every pair of values, its minimum at 0.5 everywhere."""

    def rosenbrock(x):
        leaf = x.clone().requires_grad_()
        a, b = (2 * leaf).flatten().view(-1, 2).unbind(1)
        value = (10 * (b - a.square()).square() + (1 - a).square()).sum()
        return value.detach(), torch.autograd.grad(value, leaf)[0]

    start = torch.full((1, 3, 2, 2), 0.2, dtype=DOUBLE)
    found, _ = iterates(rosenbrock, start, empty(8, (2, 2)), 150)
    torch.testing.assert_close(found[-1], torch.full_like(start, 0.5), atol=1e-3, rtol=0)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_the_losss_own_scale_changes_nothing(scale, dtype):
    (loss, start), (scaled, _) = quadratic(dtype=dtype), quadratic(scale, dtype=dtype)
    expected, _ = iterates(loss, start, empty(5, (6, 6), dtype), 12)
    found, lbfgs = iterates(scaled, start, empty(5, (6, 6), dtype), 12)
    assert int(lbfgs.valid.sum()) == 5
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-3 if dtype == torch.float32 else 1e-9)
    assert (found[-1] - start).abs().mean() > 0.05


@settings(max_examples=30)
@given(scale=st.floats(-20, 20), seed=st.integers(0, 999))
def test_the_first_step_is_one_level_of_255_on_average(scale, seed):
    g = torch.randn(1, 3, *SHAPE, generator=torch.Generator().manual_seed(seed)) * 10**scale
    x = torch.full_like(g, 0.5)
    step = LBFGS(empty(3, dtype=torch.float32)).step(x, g) - x
    assert step.abs().mean().item() == pytest.approx(1 / 255, rel=1e-3)
    torch.testing.assert_close(step, -g * (1 / 255 / g.abs().mean()), rtol=1e-3, atol=1e-6)


def test_no_step_is_wilder_than_the_longest():
    """A nearly flat pair asks for a huge step."""
    lbfgs = LBFGS(empty(3))
    x, g = torch.zeros(1, 3, *SHAPE, dtype=DOUBLE), torch.ones(1, 3, *SHAPE, dtype=DOUBLE)
    lbfgs.step(x, g)
    step = lbfgs.step(x + 0.01, g * (1 + 1e-6)) - (x + 0.01)
    assert step.abs().mean().item() == pytest.approx(32 / 255, rel=1e-9)


def test_a_zero_gradient_moves_nothing():
    x = torch.rand(1, 3, *SHAPE)
    assert torch.equal(LBFGS(empty(3, dtype=torch.float32)).step(x, torch.zeros_like(x)), x)


@pytest.mark.parametrize(("angle", "kept"), [(1e-7, True), (1e-9, False), (0.0, False)])
def test_pairs_are_kept_by_their_angle(angle, kept):
    lbfgs = LBFGS(empty(2))
    s, y = torch.zeros(2, 1, 3, *SHAPE, dtype=DOUBLE)
    s[0, 0, 0, 0], y[0, 0, 0, 0], y[0, 0, 0, 1] = 1e-3, 5e4 * angle, 5e4
    x = torch.zeros_like(s)
    lbfgs.step(x, x)
    lbfgs.step(x + s, x + y)
    assert bool(lbfgs.valid.any()) is kept


# --- the history that is carried to the next frame


def used_history() -> History:
    loss, start = quadratic()
    _, lbfgs = iterates(loss, start, empty(5, (6, 6)), 9)
    return lbfgs.history()


def test_a_carried_history_goes_on_where_it_stopped():
    history = used_history()
    g = torch.randn(history.pairs.shape[1:].numel(), generator=torch.Generator().manual_seed(3), dtype=DOUBLE)
    order = (history.newest_slot + 1 + torch.arange(history.size)) % history.size
    pairs = [(history.pairs[i].flatten(), history.pairs[i + history.size].flatten()) for i in order]
    torch.testing.assert_close(LBFGS(history).direction(g), two_loops(pairs, g), rtol=1e-6, atol=1e-9)


def test_warping_by_the_identity_changes_nothing():
    history = used_history()
    warped = history.warped(lambda pairs: pairs, torch.ones(1, 1, 6, 6, dtype=DOUBLE))
    g = torch.randn(history.pairs.shape[1:].numel(), generator=torch.Generator().manual_seed(3), dtype=DOUBLE)
    assert torch.equal(LBFGS(warped).direction(g), LBFGS(history).direction(g))


def test_warping_moves_the_pairs_and_masks_them():
    history = used_history()
    mask = torch.ones(1, 1, 6, 6, dtype=DOUBLE)
    mask[..., :2] = 0
    warped = history.warped(lambda pairs: pairs.roll(1, dims=3), mask)
    assert torch.equal(warped.pairs[..., 2:], history.pairs[..., 1:-1])
    assert not warped.pairs[..., :2].any()
    assert torch.equal(warped.valid, history.valid)


def test_a_pair_that_warping_spoilt_is_rejected():
    history = used_history()
    pairs = history.pairs.clone()
    pairs[history.newest_slot + history.size] *= -1
    pairs[(history.newest_slot + 1) % history.size] = 0
    valid = LBFGS(History(pairs, history.valid, history.newest_slot)).valid
    expected = torch.ones(history.size, dtype=torch.bool)
    expected[history.newest_slot] = expected[(history.newest_slot + 1) % history.size] = False
    assert torch.equal(valid, expected)


def test_the_pairs_that_are_given_are_its_own_from_then_on():
    """Those of a large picture take gigabytes. A copy goes on by itself."""
    history = used_history()
    copy, before = history.clone(), history.pairs.clone()
    lbfgs = LBFGS(history)
    fed_x = torch.rand(1, 3, 6, 6, dtype=DOUBLE)
    lbfgs.step(fed_x, fed_x)
    lbfgs.step(fed_x + 1, fed_x + 2)
    assert lbfgs.history().pairs.data_ptr() == history.pairs.data_ptr()
    assert torch.equal(copy.pairs, before) and not torch.equal(history.pairs, before)
    assert not torch.equal(lbfgs.history().pairs, before)


def test_an_empty_history():
    history = History.empty(4, (5, 7))
    assert history.pairs.shape == (8, 3, 5, 7)
    assert history.size == 4
    assert not history.valid.any()
    g = torch.randn(3 * 5 * 7)
    assert torch.equal(LBFGS(history).direction(g), -g)
