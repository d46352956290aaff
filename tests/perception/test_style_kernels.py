"""The GPU's kernels for the style against PyTorch's operations, run by Triton's interpreter where there is no GPU."""

import os
import subprocess
import sys

import pytest

CHECK = """
import torch
from networks import CONTENT_LAYERS, STYLE_LAYERS, picture, small_backbone
from videostyle.perception import objective
from videostyle.perception import style_kernels as kernels
from videostyle.perception.objective import ContentTarget, LossWeights, Objective, Prior, StyleTarget
from videostyle.perception.trunk import Trunk

device, dtype = "{device}", torch.{dtype}
kernels.PROGRAMS = 4
x, content, style = (picture(34, 45, seed=i).to(device) for i in range(3))
part = torch.zeros(1, 1, 34, 45, device=device)
part[..., 5:20, 10:30] = 0.5
for content_layers in (CONTENT_LAYERS, ("conv3_1",)):
    weights = LossWeights(1.0, 100.0, 0.0, content_layers, STYLE_LAYERS)
    trunk = Trunk(small_backbone(), weights.layers, device=device, dtype=dtype)
    free = StyleTarget(trunk, style, STYLE_LAYERS)
    for target in (free, free.anchored(trunk, content, 2.0)):
        for whole in (None, part):
            made = Objective(trunk, ContentTarget(trunk, content, content_layers), target, weights)
            made._part = None if whole is None else objective._Part(whole, STYLE_LAYERS, dense=True)
            found = []
            for fused in (False, True):
                made._may_fuse = lambda x, fused=fused: fused
                objective._kernels = lambda: kernels
                found.append(made.value_and_gradient(x))
            (expected, gradient), (losses, own) = found
            for name in ("total", "content", "style", "own", "part"):
                torch.testing.assert_close(
                    getattr(losses, name), getattr(expected, name), rtol={tolerance}, atol=1e-12, msg=name
                )
            assert (own - gradient).norm() < {tolerance} * gradient.norm()
            assert gradient.any() and bool(expected.part) == (whole is not None)
print("same")
"""


def run(device: str, dtype: str, tolerance: float, **environment: str) -> str:
    paths = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, "-c", CHECK.format(device=device, dtype=dtype, tolerance=tolerance)],
        env=os.environ | {"PYTHONPATH": paths} | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_style_in_kernels_is_the_same_style():
    pytest.importorskip("triton", reason="triton comes with PyTorch's CUDA builds for Linux only")
    assert "same" in run("cpu", "float32", 1e-4, TRITON_INTERPRET="1")  # the interpreter cannot multiply bf16


def test_it_is_on_a_gpu(cuda):
    assert "same" in run("cuda", "bfloat16", 3e-2)
