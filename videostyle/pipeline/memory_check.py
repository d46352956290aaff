"""Whether the device's memory is enough: estimated before the first frame, said in one line when it was not."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from videostyle.device import free_memory_bytes
from videostyle.errors import DeviceError
from videostyle.stylise.stylizer import Stylizer


def check_memory(stylizer: Stylizer, size: tuple[int, int]) -> None:
    """Raises DeviceError where the frames need more memory, by estimate, than the device has free."""
    machine = stylizer.machine
    needed, free = _needed_bytes(stylizer, size), free_memory_bytes(machine.device)
    if free is not None and needed > free:
        there = f"{machine.device.type} has {free / 2**30:.1f} GiB free; --size {fitting_size(size, free / needed)}"
        raise DeviceError(f"frames of {size[0]}x{size[1]} need about {needed / 2**30:.1f} GiB and {there} would fit")


def _needed_bytes(stylizer: Stylizer, size: tuple[int, int]) -> float:
    return size[0] * size[1] * max(n.bytes_per_pixel[stylizer.machine.precision] for n in stylizer.networks)


def fitting_size(size: tuple[int, int], share: float) -> int:
    """The longer side, in steps of 16 pixels, of frames that need a tenth less than ``share`` of what these need."""
    return max(16, math.floor(max(size) * math.sqrt(0.9 * share) / 16) * 16)


@contextmanager
def enough_memory(stylizer: Stylizer, size: tuple[int, int]) -> Iterator[None]:
    """Raises DeviceError, which names the size that would fit, where the device's memory runs out."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        device = stylizer.machine.device
        if device.type == "cuda":
            torch.cuda.empty_cache()
        free = free_memory_bytes(device)
        share = 0.75 if free is None else min(0.75, free / _needed_bytes(stylizer, size))
        smaller = f"begin anew with --restart --size {fitting_size(size, share)}, which would fit"
        advice = f"finished frames are kept: free memory and give the same command again, or {smaller}"
        raise DeviceError(f"{device.type} ran out of memory at {size[0]}x{size[1]}; {advice}") from error


def _out_of_memory(error: BaseException) -> bool:
    """Whether it says so: on a CPU and on MPS torch has no error of its own for it."""
    phrases = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(p in str(error).lower() for p in phrases)
