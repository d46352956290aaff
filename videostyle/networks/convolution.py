"""One convolution in a fixed precision, by the fastest kernel that the device has."""

import math

import torch
import torch.nn.functional as F

CHANNELS_LAST = torch.channels_last


class Convolution:
    """One convolution, and its ReLU where ``relu``, with a fixed weight; on the CPU a prepacked oneDNN kernel.

    A CPU without AVX-512 takes 15 times as long for bf16 as for float32: there the convolution is done in float32,
    between numbers that are rounded to bf16. ``fused_shapes``: for each input shape, whether cuDNN adds bias and ReLU.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, padding: int, relu: bool) -> None:
        self.widens = weight.dtype == torch.bfloat16 and weight.device.type == "cpu" and not _has_bf16()
        if self.widens:
            weight, bias = weight.float(), None if bias is None else bias.float()
        self.bias, self.padding, self.relu, self.packable = bias, padding, relu, _can_pack(weight)
        self.weight = weight.contiguous(memory_format=CHANNELS_LAST)
        self._packed, self.packed_for = self.weight, torch.Size()  # the input's shape
        self.fused_shapes = dict[torch.Size, bool]()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self._run(x.float()).to(x.dtype) if self.widens else self._run(x)

    def _run(self, x: torch.Tensor) -> torch.Tensor:
        if not self.packable:
            return self._plain(x)
        if x.shape != self.packed_for:
            self._pack(x.shape)
        activation = "relu" if self.relu else "none"
        return torch.ops.mkldnn._convolution_pointwise(
            x, self._packed, self.bias, [self.padding] * 2, [1, 1], [1, 1], 1, activation, [], ""
        )

    def _plain(self, x: torch.Tensor) -> torch.Tensor:
        # On AMD's GPUs, which PyTorch calls CUDA too, cuDNN is reported and its convolutions fail.
        if x.is_cuda and torch.version.hip is None and torch.backends.cudnn.is_available():
            return self._cudnn(x)
        y = F.conv2d(x, self.weight, self.bias, padding=self.padding)
        return y.relu_() if self.relu else y

    def _cudnn(self, x: torch.Tensor) -> torch.Tensor:
        """On an NVIDIA GPU, without TF32; in bf16 with bias and ReLU inside the kernel where cuDNN can.

        cuDNN times its kernels in the first call for a shape and keeps the fastest.
        """
        if self.relu and self.bias is not None and x.dtype == torch.bfloat16:
            if x.shape not in self.fused_shapes:
                self.fused_shapes[x.shape] = self._can_fuse(x)
            if self.fused_shapes[x.shape]:
                return self._fused(x)
        where = [self.padding] * 2, [1, 1], [1, 1], 1
        benchmark, deterministic, tf32 = True, False, False
        y = torch.ops.aten.cudnn_convolution(x, self.weight, *where, benchmark, deterministic, tf32)
        if self.bias is not None:
            y += self.bias.view(1, -1, 1, 1)
        return y.relu_() if self.relu else y

    def _fused(self, x: torch.Tensor) -> torch.Tensor:
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
            where = [1, 1], [self.padding] * 2, [1, 1], 1
            return torch.ops.aten.cudnn_convolution_relu(x, self.weight, self.bias, *where)

    def _can_fuse(self, x: torch.Tensor) -> bool:
        """Whether cuDNN has one kernel for all and ignores what the result's memory held: it may add 0 times that."""
        try:
            self._fused(x).fill_(math.nan)  # the next result of this size gets this memory
            return bool(self._fused(x).isfinite().all())
        except RuntimeError:
            return False

    def _pack(self, shape: torch.Size) -> None:
        """Lay the weight out as oneDNN wants it for inputs of this shape: else it does so in every call, which takes
        three times as long as the convolution (192 channels)."""
        where = [self.padding] * 2, [1, 1], [1, 1], 1
        self._packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *where, list(shape))
        self.packed_for = shape


def _can_pack(weight: torch.Tensor) -> bool:
    """oneDNN has prepacked convolutions for float32 and bf16 on x86 CPUs."""
    return (
        weight.device.type == "cpu"
        and weight.dtype in (torch.float32, torch.bfloat16)
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and hasattr(torch.ops.mkldnn, "_reorder_convolution_weight")
    )


def _has_bf16() -> bool:
    """Whether oneDNN computes bf16 on this CPU: on x86 it does from AVX-512 on."""
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return torch.backends.mkldnn.is_available() and supported is not None and supported()
