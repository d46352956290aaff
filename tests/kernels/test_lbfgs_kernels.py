"""A step in the GPU's kernels against the same step in PyTorch's, run by Triton's interpreter where there is no GPU."""

import pytest
import torch
from kernel_process import passes

from videostyle.optimise.lbfgs import FIRST_STEP, LBFGS, LONGEST_STEP, PAIR_ANGLE, History

CASES = pytest.mark.parametrize(
    ("runs", "programs", "shape", "memory_format"),  # runs: history's size, steps
    [
        ([(1, 5), (3, 9), (8, 19)], 4, (11, 13), "contiguous_format"),
        # more values than all programs take at a time; more partial sums than are added up at a time
        pytest.param([(3, 5)], 2, (31, 33), "contiguous_format", marks=pytest.mark.slow),
        pytest.param([(65, 3)], 16, (11, 13), "contiguous_format", marks=pytest.mark.slow),
        ([(3, 5)], 2, (11, 13), "channels_last"),
    ],
    ids=("small", "several passes", "several pieces", "channels last"),
)


def same_steps(device, runs, programs, shape, memory_format):
    from videostyle.kernels import lbfgs

    lbfgs.PROGRAMS = programs
    assert lbfgs.self_test(device)
    generator = torch.Generator().manual_seed(0)
    for size, steps in runs:
        plain, fused = (LBFGS(History.empty(size, shape)).clone() for _ in range(2))
        on_device = [t.to(device) for t in fused.tensors()]
        x, curvature = torch.rand(2, 1, 3, *shape, generator=generator)
        for k in range(steps):
            noise = torch.randn(x.shape, generator=generator) * (k % 3 == 1)  # now and then a pair that bends downwards
            g = (curvature + 0.1) * (x - 0.3) + noise
            expected = plain.step(x, g)
            given = (t.to(device, memory_format=getattr(torch, memory_format)) for t in (x, g))
            found = lbfgs.step(on_device, *given, PAIR_ANGLE, FIRST_STEP, LONGEST_STEP).cpu()
            assert (found - expected).abs().max() < 1e-3 * (expected - x).abs().max(), (size, k)
            for mine, theirs in zip(on_device, plain.tensors(), strict=True):
                torch.testing.assert_close(mine.cpu(), theirs, rtol=1e-3, atol=1e-5)
            x = expected.clamp(0, 1)
        assert plain.valid.any()


@pytest.mark.slow
@CASES
def test_a_step_in_kernels_is_the_same_step(runs, programs, shape, memory_format):
    passes(same_steps, "cpu", runs, programs, shape, memory_format)


@CASES
def test_it_is_on_a_gpu(cuda, runs, programs, shape, memory_format):
    passes(same_steps, "cuda", runs, programs, shape, memory_format)
