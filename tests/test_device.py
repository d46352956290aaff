"""What the machine says of itself, and what is refused for its sake."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from small_networks import small_backbone

from videostyle import device
from videostyle.errors import DeviceError
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.pipeline import memory_check
from videostyle.settings import Settings
from videostyle.stylise import memory

LAYERS = ("conv1_1", "conv4_2", "conv5_1")


def test_available_memory(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  100 kB\nMemAvailable:   42 kB\n")
    assert device.meminfo_bytes(tmp_path / "meminfo", "MemAvailable") == 42 * 1024
    assert device.meminfo_bytes(tmp_path / "none", "MemAvailable") is None


def test_a_containers_limit(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("900\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 300\n")
    assert device.left_in_group(tmp_path) == 400
    assert device.limit_of_group(tmp_path) == 1000
    (tmp_path / "memory.max").write_text("max\n")
    assert device.left_in_group(tmp_path) is None
    assert device.limit_of_group(tmp_path) is None
    assert device.left_in_group(tmp_path / "none") is None


def test_this_machine_has_some() -> None:
    total = device.total_memory_bytes(torch.device("cpu"))
    assert total is None or total > 0
    assert device.total_memory_bytes(torch.device("meta")) is None
    free = device.free_memory_bytes(torch.device("cpu"))
    assert free is None or free > 0
    assert device.free_memory_bytes(torch.device("meta")) is None


def test_frames_too_large_for_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(size: tuple[int, int], allowed: float | None, free: float) -> None:
        here, extractor = device.Machine(torch.device("cpu"), torch.float32), FeatureExtractor(small_backbone(), LAYERS)
        whole = {"passes": lambda height, width: [(extractor, height * width)]}
        stylizer = SimpleNamespace(machine=here, settings=Settings(memory=allowed), **whole)
        monkeypatch.setattr(memory_check, "free_memory_bytes", lambda _: int(free * 2**30))
        memory_check.check_memory(stylizer, size)  # type: ignore[arg-type]

    monkeypatch.setattr(memory, "total_memory_bytes", lambda _: 16 * 2**30)
    check((320, 240), None, 1)
    check((1920, 1080), None, 10)
    check((3840, 2160), None, 15)  # in tiles
    check((3840, 2160), 7, 7)
    words = (
        r"frames of 1920x1080 need about 8\.9 GiB and cpu has 5\.0 GiB free; --memory 5\.6, which takes longer, would"
    )
    with pytest.raises(DeviceError, match=words):
        check((1920, 1080), None, 5)
    check((1920, 1080), 5.6, 5)
    with pytest.raises(DeviceError, match=r"3840x2160 need about 4.7 GiB and cpu has 3\.0 GiB free; --size 3152 would"):
        check((3840, 2160), None, 3)
    with pytest.raises(
        DeviceError, match=r"1920x1080 need about 2\.1 GiB and 2\.0 GiB are allowed; --size 1792 would fit"
    ):
        check((1920, 1080), 2, 10)
    check((1792, 1008), 2, 10)


def test_keeping_freed_memory_is_a_request_that_cannot_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    device.keep_freed_memory()
    monkeypatch.setattr(device.ctypes, "CDLL", lambda name: object())  # a C library without the switch
    device.keep_freed_memory()
