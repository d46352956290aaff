"""The GPU's pooling kernels against PyTorch's, run by Triton's interpreter where there is no GPU."""

import os
import subprocess
import sys

import pytest

CHECK = """
import torch
from videostyle.perception import kernels
from videostyle.perception.trunk import _clear_odd_edges, _repeated, _row_pairs

torch.manual_seed(0)
device = "{device}"
for dtype in (torch.float32, torch.bfloat16):
    for n, c, height, width in ((1, 8, 2, 2), (2, 16, 6, 10), (1, 24, 7, 9), (1, 64, 5, 44)):
        x = torch.randn(n, c, height, width).to(device, dtype, memory_format=torch.channels_last)
        pooled = kernels.average_pool(x)
        expected = torch.nn.functional.avg_pool2d(x, 2)
        torch.testing.assert_close(pooled, expected)
        assert pooled.is_contiguous(memory_format=torch.channels_last)
        g = torch.randn(pooled.shape).to(device, dtype, memory_format=torch.channels_last)
        for masked in (False, True):
            wanted, found = x.clone(), x.clone()
            assert wanted.is_contiguous(memory_format=torch.channels_last)
            pairs = _row_pairs(wanted)
            pairs.copy_(torch.where(pairs > 0, _repeated(g), 0) if masked else _repeated(g))
            assert kernels.repeat(g, into=found, masked=masked) is found
            assert torch.equal(found, wanted), (dtype, c, height, width, masked)
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


def test_the_kernels_do_what_pytorch_does():
    pytest.importorskip("triton", reason="triton comes with PyTorch's CUDA builds for Linux only")
    assert "same" in run("cpu", TRITON_INTERPRET="1")


def test_the_kernels_do_it_on_a_gpu(cuda):
    assert "same" in run("cuda")
