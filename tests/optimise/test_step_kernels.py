"""A step in the GPU's kernels against the same step in PyTorch's, run by Triton's interpreter where there is no GPU."""

import os
import subprocess
import sys

import pytest

CHECK = """
import torch
from videostyle.optimise import kernels
from videostyle.optimise.lbfgs import FIRST_STEP, LBFGS, LONGEST_STEP, PAIR_ANGLE, History

device = "{device}"
assert kernels.work(device)
kernels.PROGRAMS = 32
generator = torch.Generator().manual_seed(0)
for size in (1, 3, 8):
    plain, fused = (LBFGS(History.empty(size, (11, 13))).owning() for _ in range(2))
    on_device = [t.to(device) for t in fused.tensors()]
    x, curvature = torch.rand(2, 1, 3, 11, 13, generator=generator)
    for k in range(2 * size + 3):
        noise = torch.randn(x.shape, generator=generator) * (k % 3 == 1)  # now and then a pair that bends downwards
        g = (curvature + 0.1) * (x - 0.3) + noise
        expected = plain.step(x, g)
        given = x.to(device), g.to(device), PAIR_ANGLE, FIRST_STEP, LONGEST_STEP
        found = kernels.step(on_device, *given).cpu()
        assert (found - expected).abs().max() < 1e-3 * (expected - x).abs().max(), (size, k)
        for mine, theirs in zip(on_device, plain.tensors(), strict=True):
            torch.testing.assert_close(mine.cpu(), theirs, rtol=1e-3, atol=1e-5)
        x = expected.clamp(0, 1)
    assert plain.valid.any()
print("same")
"""


def run(device: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", CHECK.format(device=device)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_step_in_kernels_is_the_same_step():
    pytest.importorskip("triton", reason="triton comes with PyTorch's CUDA builds for Linux only")
    assert "same" in run("cpu", TRITON_INTERPRET="1")


def test_it_is_on_a_gpu(cuda):
    assert "same" in run("cuda")
