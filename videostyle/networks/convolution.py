"""One convolution in a fixed precision, by the fastest kernel that the device has."""

import math

import torch
import torch.nn.functional as F

CHANNELS_LAST = torch.channels_last


class _Convolution:
    """One convolution with a fixed weight in a fixed precision, on the CPU through a prepacked oneDNN kernel.

    A CPU without AVX-512 has no bf16 of its own, and PyTorch's stand-in takes 15 times as long as float32: there it is
    done in float32, between numbers that are rounded to bf16.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, padding: int, relu: bool) -> None:
        self.widens = weight.dtype == torch.bfloat16 and weight.device.type == "cpu" and not _has_bf16()
        if self.widens:
            weight, bias = weight.float(), None if bias is None else bias.float()
        self.bias, self.padding, self.relu, self.packable = bias, padding, relu, _can_pack(weight)
        self.weight = weight.contiguous(memory_format=CHANNELS_LAST)
        self._packed, self._packed_for = self.weight, torch.Size()
        self._fuses = dict[torch.Size, bool]()  # by the input's shape

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self._run(x.float()).to(x.dtype) if self.widens else self._run(x)

    def _run(self, x: torch.Tensor) -> torch.Tensor:
        if not self.packable:
            return self._plain(x)
        if x.shape != self._packed_for:
            self._pack(x.shape)
        activation = "relu" if self.relu else "none"
        return torch.ops.mkldnn._convolution_pointwise(
            x, self._packed, self.bias, [self.padding] * 2, [1, 1], [1, 1], 1, activation, [], ""
        )

    def _plain(self, x: torch.Tensor) -> torch.Tensor:
        # AMD's GPUs, which PyTorch calls CUDA too, say that they have cuDNN and cannot run its convolutions.
        if x.is_cuda and torch.version.hip is None and torch.backends.cudnn.is_available():
            return self._cudnn(x)
        y = F.conv2d(x, self.weight, self.bias, padding=self.padding)
        return y.relu_() if self.relu else y

    def _cudnn(self, x: torch.Tensor) -> torch.Tensor:
        """On an NVIDIA GPU: float32 is that, not TF32. On the way forward in bf16, bias and ReLU are done inside the
        kernel where cuDNN can, and cost nothing there; everywhere else they take passes of their own.

        Which of its kernels is the fastest cuDNN finds out in the first call for a shape, and remembers.
        """
        if self.relu and self.bias is not None and x.dtype == torch.bfloat16:
            if x.shape not in self._fuses:
                self._fuses[x.shape] = self._try_fusing(x)
            if self._fuses[x.shape]:
                return self._fused(x)
        where = [self.padding] * 2, [1, 1], [1, 1], 1
        benchmark, deterministic, tf32 = True, False, False
        y = torch.ops.aten.cudnn_convolution(x, self.weight, *where, benchmark, deterministic, tf32)
        if self.bias is not None:
            y += self.bias.view(1, -1, 1, 1)
        return y.relu_() if self.relu else y

    def _fused(self, x: torch.Tensor) -> torch.Tensor:
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
            return torch.ops.aten.cudnn_convolution_relu(
                x, self.weight, self.bias, [1, 1], [self.padding] * 2, [1, 1], 1
            )

    def _try_fusing(self, x: torch.Tensor) -> bool:
        """Whether cuDNN can do all in one kernel, and does it right.

        PyTorch has it add 0 times what the result's memory held before: that may have been no number.
        """
        try:
            self._fused(x).fill_(math.nan)  # the next result of this size gets its memory
            return bool(self._fused(x).isfinite().all())
        except RuntimeError:
            return False

    def _pack(self, shape: torch.Size) -> None:
        """Lay the weight out as the kernel for inputs of this shape wants it.

        The layout depends on the shape: packed for another one, oneDNN lays 192 channels out anew in every call, which
        takes three times as long as the convolution.
        """
        self._packed = torch.ops.mkldnn._reorder_convolution_weight(
            self.weight, [self.padding] * 2, [1, 1], [1, 1], 1, list(shape)
        )
        self._packed_for = shape


def _can_pack(weight: torch.Tensor) -> bool:
    """oneDNN's prepacked convolutions, which torch.compile uses too, exist for float32 and bf16 on x86 CPUs."""
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
