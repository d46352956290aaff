"""What the machine offers: the device, the arithmetic that is fast on it, its memory."""

import ctypes
import os
import platform
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from videostyle.errors import DeviceError
from videostyle.settings import Settings

SHARE = "VIDEOSTYLE_CORES"  # environment variable: how many cores this process and its children may use


@dataclass(frozen=True)
class Machine:
    """Where and in what precision the network runs. ``dtype``: torch.bfloat16 or torch.float32."""

    device: torch.device
    dtype: torch.dtype

    @property
    def accelerated(self) -> bool:
        return self.device.type != "cpu"

    @property
    def precision(self) -> str:
        return "bf16" if self.dtype == torch.bfloat16 else "fp32"

    @property
    def name(self) -> str:
        """The device in words."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"{processor_name()}, {torch.get_num_threads()} threads"


def choose_machine(settings: Settings) -> Machine:
    """The device and precision that the settings ask for, or the best ones here. Raises DeviceError if not there."""
    wanted, there = settings.device, available_devices()
    if wanted == "mps":
        raise DeviceError("device is mps, where the optimiser's float64 sums cannot be had; use --device cpu")
    if wanted not in ("auto", *there):
        raise DeviceError(f"device is {wanted}, which is not available here; there is {', '.join(there)}")
    device = torch.device(there[0] if wanted == "auto" else wanted)
    bf16 = settings.precision == "bf16" or (settings.precision == "auto" and bf16_is_fast(device))
    return Machine(device, torch.bfloat16 if bf16 else torch.float32)


def available_devices() -> list[str]:
    """Devices that can be used here, the best first."""
    return ["cuda", "cpu"] if torch.cuda.is_available() else ["cpu"]


def bf16_is_fast(device: torch.device) -> bool:
    """Whether bf16 runs on hardware of its own: CUDA from Ampere on, CPUs with AVX-512 BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, test, lambda: False)() for test in tests)


def processor_name() -> str:
    """The CPU's model as the system says it."""
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def peak_memory_bytes(device: torch.device | None = None) -> tuple[int, int]:
    """(most resident memory of this process so far, most memory on the accelerator), in bytes; 0 where not known."""
    on_device = torch.cuda.max_memory_allocated(device) if device is not None and device.type == "cuda" else 0
    try:
        import resource
    except ImportError:  # Windows
        memory = _psutil()
        return (0 if memory is None else memory.Process().memory_info().peak_wset), on_device
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024, on_device


def total_memory_bytes(device: torch.device) -> int | None:
    """What the device has, or what a container may use of it, in bytes; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    if device.type != "cpu":
        return None
    if sys.platform != "linux":
        memory = _psutil()
        return None if memory is None else int(memory.virtual_memory().total)
    limits = [meminfo_bytes(Path("/proc/meminfo"), "MemTotal"), limit_of_group(Path("/sys/fs/cgroup"))]
    return min((limit for limit in limits if limit is not None), default=None)


def free_memory_bytes(device: torch.device) -> int | None:
    """What can still be had on the device, in bytes; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    if device.type != "cpu":
        return None
    if sys.platform != "linux":
        memory = _psutil()
        return None if memory is None else int(memory.virtual_memory().available)
    limits = [meminfo_bytes(Path("/proc/meminfo"), "MemAvailable"), left_in_group(Path("/sys/fs/cgroup"))]
    return min((limit for limit in limits if limit is not None), default=None)


def _psutil() -> Any:
    """psutil, which knows the memory of systems without /proc but no container's limit; None without it."""
    with suppress(ImportError):
        import psutil

        return psutil
    return None


def meminfo_bytes(meminfo: Path, entry: str) -> int | None:
    """An entry of Linux's ``meminfo`` in bytes, MemAvailable being what it would give without swapping; None on another
    system."""
    with suppress(OSError):
        lines = meminfo.read_text(encoding="ascii").splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{entry}:")), None)
    return None


def limit_of_group(group: Path) -> int | None:
    """A container's limit, in bytes; None without one."""
    with suppress(OSError, ValueError):
        return int((group / "memory.max").read_text(encoding="ascii"))
    return None


def left_in_group(group: Path) -> int | None:
    """What a container's limit leaves, in bytes, with the file caches that can be dropped; None without a limit."""
    with suppress(OSError, ValueError):
        limit, used = ((group / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
        cached = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        return int(limit) - int(used) + int(cached.get("inactive_file", 0))
    return None


def keep_freed_memory() -> None:
    """Let this process reuse what it frees instead of handing it back to the system; for programs, not libraries.

    Every evaluation frees and takes the same tens of megabytes. Does nothing where the C library has no such switch.
    """
    with suppress(AttributeError, OSError, TypeError):
        adjust = ctypes.CDLL(None).mallopt
        for parameter in (-1, -3):  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h
            adjust(parameter, 2**30)


def use_cores(number: int) -> None:
    """Use so many cores from here on, for this process's part of a machine: torch's threads, and `cores`."""
    os.environ[SHARE] = str(number)
    torch.set_num_threads(number)


def cores() -> int:
    """The CPU's cores that this process may use: a container may have few of its host's, a worker a share of them."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(there, int(os.environ.get(SHARE) or there))


def encoder_threads() -> int | None:
    """Threads for FFmpeg beside an optimiser: 1 with 4 cores or fewer, else as many as a worker's share has, or None,
    FFmpeg's own choice."""
    return 1 if cores() <= 4 else cores() if SHARE in os.environ else None
