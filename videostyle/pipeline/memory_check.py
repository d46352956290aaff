"""Whether the device's memory is enough: estimated before the first frame, said in one line when it was not."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from videostyle.device import free_memory_bytes
from videostyle.errors import DeviceError
from videostyle.stylise.memory import (
    GIB,
    PROGRAM_BYTES,
    memory_bytes,
    needed_bytes,
    pixels_at_once,
    smallest_tile,
)
from videostyle.stylise.stylizer import Stylizer


def check_memory(stylizer: Stylizer, size: tuple[int, int]) -> None:
    """Raises DeviceError, which names what would fit, where frames of ``size`` (width, height) need more memory, by
    estimate, than the settings allow or the device has free."""
    device = stylizer.machine.device
    needed, allowed, free = planned_bytes(stylizer, size), memory_bytes(stylizer.settings, device), _room(device)
    if allowed is not None and needed > allowed:
        raise _too_large(stylizer, size, allowed, f"{_gib(allowed)} are allowed")
    if free is None or needed <= free:
        return
    there = f"{device.type} has {_gib(free - PROGRAM_BYTES)} free"
    if least_bytes(stylizer, size) > free:
        raise _too_large(stylizer, size, free, there)
    fits = f"--memory {math.floor(10 * free / GIB) / 10:g}, which takes longer,"
    raise DeviceError(f"frames of {size[0]}x{size[1]} need about {_gib(needed)} and {there}; {fits} would fit")


def _too_large(stylizer: Stylizer, size: tuple[int, int], room: float, there: str) -> DeviceError:
    """Of frames that do not fit into ``room`` in the smallest tiles either."""
    needed, longest = _gib(least_bytes(stylizer, size)), max(size)
    smaller = ((round(size[0] * n / longest), round(size[1] * n / longest)) for n in range(longest // 16 * 16, 16, -16))
    fits = next((max(found) for found in smaller if least_bytes(stylizer, found) <= room), 16)
    return DeviceError(f"frames of {size[0]}x{size[1]} need about {needed} and {there}; --size {fits} would fit")


def planned_bytes(stylizer: Stylizer, size: tuple[int, int]) -> float:
    """What a run takes, by estimate, in the tiles that its frames will be cut into."""
    settings, pixels = stylizer.settings, math.prod(size)
    through = stylizer.passes(size[1], size[0])
    return max(
        needed_bytes(settings, e, pixels, _fewer(seen, pixels_at_once(settings, e, pixels))) for e, seen in through
    )


def least_bytes(stylizer: Stylizer, size: tuple[int, int]) -> float:
    """The same in the smallest tiles."""
    settings, pixels = stylizer.settings, math.prod(size)
    through = stylizer.passes(size[1], size[0])
    return max(needed_bytes(settings, e, pixels, _fewer(seen, smallest_tile(e))) for e, seen in through)


def _fewer(pixels: int, allowed: int | None) -> int:
    return pixels if allowed is None else min(pixels, allowed)


def _room(device: torch.device) -> float | None:
    """What a run can take, the program included, which is there already."""
    free = free_memory_bytes(device)
    return None if free is None else PROGRAM_BYTES + free


def _gib(number: float) -> str:
    return f"{number / GIB:.1f} GiB"


def fitting_size(size: tuple[int, int], share: float) -> int:
    """The longer side, in steps of 16 pixels, of frames that need a tenth less than ``share`` of what these need."""
    return max(16, math.floor(max(size) * math.sqrt(0.9 * share) / 16) * 16)


@contextmanager
def enough_memory(stylizer: Stylizer, size: tuple[int, int], *, resumes: bool = True) -> Iterator[None]:
    """Raises DeviceError, which names the size that would fit, where the device's memory runs out. ``resumes``: whether
    finished frames are kept for the same command."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        device = stylizer.machine.device
        if device.type == "cuda":
            torch.cuda.empty_cache()
        free = free_memory_bytes(device)
        share = 0.75 if free is None else min(0.75, free / planned_bytes(stylizer, size))
        fits = f"--size {fitting_size(size, share)}"
        smaller = f"begin anew with --restart {fits}, which would fit"
        advice = f"finished frames are kept: free memory and give the same command again, or {smaller}"
        advice = advice if resumes else f"{fits} would fit"
        raise DeviceError(f"{device.type} ran out of memory at {size[0]}x{size[1]}; {advice}") from error


def _out_of_memory(error: BaseException) -> bool:
    """Whether it says so: on a CPU and on MPS torch has no error of its own for it."""
    phrases = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(p in str(error).lower() for p in phrases)
