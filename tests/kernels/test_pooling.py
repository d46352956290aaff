"""The GPU's pooling kernels against PyTorch's, run by Triton's interpreter where there is no GPU."""

import pytest
import torch
from kernel_process import passes


def same_pooling(device):
    from videostyle.kernels import pooling

    assert pooling.self_test(device)
    torch.manual_seed(0)
    for dtype in (torch.float32, torch.bfloat16):
        for n, c, height, width in ((1, 8, 2, 2), (2, 16, 6, 10), (1, 24, 7, 9), (1, 64, 5, 44)):
            x = torch.randn(n, c, height, width).to(device, dtype, memory_format=torch.channels_last)
            pooled = pooling.average_pool(x)
            torch.testing.assert_close(pooled, torch.nn.functional.avg_pool2d(x, 2))
            assert pooled.is_contiguous(memory_format=torch.channels_last)
            g = torch.randn(pooled.shape).to(device, dtype, memory_format=torch.channels_last)
            for masked in (False, True):
                wanted, found = x.clone(), x.clone()
                assert found.is_contiguous(memory_format=torch.channels_last)
                reached = wanted[:, :, : height // 2 * 2, : width // 2 * 2]
                four_times = g.repeat_interleave(2, 2).repeat_interleave(2, 3)
                reached.copy_(torch.where(reached > 0, four_times, 0) if masked else four_times)
                assert pooling.repeat(g, into=found, masked=masked) is found
                assert torch.equal(found, wanted), (dtype, c, height, width, masked)


@pytest.mark.slow
def test_the_kernels_do_what_pytorch_does():
    passes(same_pooling, "cpu")


def test_the_kernels_do_it_on_a_gpu(cuda):
    passes(same_pooling, "cuda")
