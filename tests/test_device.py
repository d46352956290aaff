"""What the machine says of itself, and what is refused for its sake."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from videostyle import device
from videostyle.errors import DeviceError
from videostyle.pipeline import memory_check


def test_available_memory(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  100 kB\nMemAvailable:   42 kB\n")
    assert device.available_bytes(tmp_path / "meminfo") == 42 * 1024
    assert device.available_bytes(tmp_path / "none") is None


def test_a_containers_limit(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 300\n")
    assert device.left_in_group(tmp_path) == 400
    (tmp_path / "memory.max").write_text("max\n")
    assert device.left_in_group(tmp_path) is None
    assert device.left_in_group(tmp_path / "none") is None


def test_this_machine_has_some() -> None:
    free = device.free_memory_bytes(torch.device("cpu"))
    assert free is None or free > 0
    assert device.free_memory_bytes(torch.device("meta")) is None


def test_frames_too_large_for_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    here = device.Machine(torch.device("cpu"), torch.float32)
    stylizer = SimpleNamespace(machine=here, networks=(SimpleNamespace(bytes_per_pixel={"fp32": 4500}),))
    monkeypatch.setattr(memory_check, "free_memory_bytes", lambda _: 2**30)
    memory_check.check_memory(stylizer, (320, 240))  # type: ignore[arg-type]
    with pytest.raises(DeviceError, match=r"frames of 1920x1080 need about 8\.7 GiB and cpu has 1\.0 GiB free"):
        memory_check.check_memory(stylizer, (1920, 1080))  # type: ignore[arg-type]


def test_keeping_freed_memory_is_a_request_that_cannot_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    device.keep_freed_memory()
    monkeypatch.setattr(device.ctypes, "CDLL", lambda name: object())  # a C library without the switch
    device.keep_freed_memory()
