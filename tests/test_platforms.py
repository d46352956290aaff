"""What differs on macOS and Windows, by emulation: a system's name, a missing module, an error that it gives."""

import fcntl
import io
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from videostyle import device, files, processes
from videostyle.checkpoint import lock
from videostyle.checkpoint.lock import Lock
from videostyle.cli.main import main
from videostyle.errors import DeviceError
from videostyle.media.camera import Camera, inputs
from videostyle.settings import Settings
from videostyle.settings.look_text import region_of_text, style_of_text


def as_windows(monkeypatch: pytest.MonkeyPatch, module: ModuleType, **changed: Any) -> SimpleNamespace:
    """Let a module see Windows' os.name, and what is ``changed`` of os."""
    seen = SimpleNamespace(**vars(os) | {"name": "nt"} | changed)
    monkeypatch.setattr(module, "os", seen)
    return seen


class Msvcrt:
    """Windows' locks of bytes, one holder each."""

    LK_NBLCK = 2

    def __init__(self) -> None:
        self.held: set[int] = set()

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        assert (mode, count) == (self.LK_NBLCK, 1)
        if (number := os.fstat(descriptor).st_ino) in self.held:
            raise OSError(36, "Resource deadlock avoided")
        self.held.add(number)


@pytest.fixture
def msvcrt(monkeypatch: pytest.MonkeyPatch) -> Msvcrt:
    fake = Msvcrt()
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", fake)
    return fake


def test_a_lock_without_fcntl(tmp_path: Path, msvcrt: Msvcrt) -> None:
    first = Lock(tmp_path / "run" / "lock")
    with pytest.raises(BlockingIOError):
        Lock(tmp_path / "run" / "lock")
    msvcrt.held.clear()  # the system does it when the file is closed
    first.close()
    Lock(tmp_path / "run" / "lock").close()


@pytest.mark.parametrize("windows", [False, True])
def test_a_locks_file_is_removed_when_the_system_allows_it(
    windows: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """POSIX: under the lock, so that nobody can take it between. Windows removes no open file."""
    done: list[str] = []

    def close(descriptor: int) -> None:
        done.append("closed, the file is there" if (tmp_path / "run" / "lock").exists() else "closed, it is gone")
        os.close(descriptor)

    held = Lock(tmp_path / "run" / "lock")
    if windows:
        as_windows(monkeypatch, lock, close=close)
    else:
        monkeypatch.setattr(lock, "os", SimpleNamespace(**vars(os) | {"close": close}))
    held.close(remove=True)
    assert done == ["closed, the file is there" if windows else "closed, it is gone"]
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_read_is_replaced_later_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[Path] = []
    replace = Path.replace

    def refuse_twice(part: Path, target: Path) -> Path:
        tries.append(part)
        if len(tries) < 3:
            raise PermissionError(13, "being used by another process")
        return replace(part, target)

    monkeypatch.setattr(Path, "replace", refuse_twice)
    monkeypatch.setattr(files, "MOVE_SECONDS", 0)
    with pytest.raises(PermissionError), files.replacing(tmp_path / "a") as part:
        part.write_text("new")  # here an error is an error
    tries.clear()
    as_windows(monkeypatch, files)
    with files.replacing(tmp_path / "a") as part:
        part.write_text("new")
    assert (tmp_path / "a").read_text() == "new" and len(tries) == 3
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_file_that_stays_in_use_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "being used by another process")

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(files, "MOVE_SECONDS", 0)
    as_windows(monkeypatch, files)
    with pytest.raises(PermissionError), files.replacing(tmp_path / "a") as part:
        part.write_text("new")
    assert not list(tmp_path.iterdir())


def test_a_file_is_synced_through_a_descriptor_that_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows' fsync fails with any other."""
    modes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda d: modes.append(fcntl.fcntl(d, fcntl.F_GETFL) & os.O_ACCMODE))
    (tmp_path / "a").write_bytes(b"content")
    files.sync_file(tmp_path / "a")
    assert modes == [os.O_RDWR] and (tmp_path / "a").read_bytes() == b"content"


def test_a_folder_that_cannot_be_opened_is_not_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    as_windows(monkeypatch, files, open=refuse)
    files.sync_folder(tmp_path)


def test_a_child_has_a_group_of_its_own() -> None:
    assert processes.detached("posix") == {"start_new_session": True}
    assert processes.detached("nt") == {"creationflags": 0x200}  # CREATE_NEW_PROCESS_GROUP


@pytest.mark.parametrize("windows", [False, True])
def test_a_child_is_ended(windows: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], **processes.DETACHED)
    assert processes.is_running(child.pid)
    if windows:
        as_windows(monkeypatch, processes, killpg=None)
    processes.end_group(child)
    assert child.wait(20) != 0
    processes.end_group(child)  # again


def test_whether_a_process_lives_is_not_asked_by_killing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    as_windows(monkeypatch, processes, kill=None)
    monkeypatch.setitem(sys.modules, "psutil", SimpleNamespace(pid_exists=lambda number: number == 5))
    assert processes.is_running(5) and not processes.is_running(6)
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert processes.is_running(6)


CPU = torch.device("cpu")


def test_memory_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = SimpleNamespace(total=16 << 30, available=7 << 30)
    own = SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=3 << 30))
    fake = SimpleNamespace(virtual_memory=lambda: memory, Process=lambda: own)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "psutil", fake)
    monkeypatch.setitem(sys.modules, "resource", None)
    assert (device.total_memory_bytes(CPU), device.free_memory_bytes(CPU)) == (16 << 30, 7 << 30)
    assert device.peak_memory_bytes()[0] == 3 << 30
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert device.total_memory_bytes(CPU) is device.free_memory_bytes(CPU) is None
    assert device.peak_memory_bytes()[0] == 0


def test_the_peak_is_in_bytes_on_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    linux = device.peak_memory_bytes()[0]
    monkeypatch.setattr(sys, "platform", "darwin")
    assert linux >= 1024 * device.peak_memory_bytes()[0] * 0.9


def test_metal_is_refused_and_never_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.available_devices() == ["cpu"]
    assert device.choose_machine(Settings()).device.type == "cpu"
    with pytest.raises(DeviceError, match=r"device is mps, where .* cannot be had; use --device cpu"):
        device.choose_machine(Settings(device="mps"))


def test_a_macs_camera_is_asked_for_a_rate_that_it_has() -> None:
    command = inputs(Camera("avfoundation", "0"), Camera("avfoundation", ":0"))
    assert command == ["-f", "avfoundation", "-framerate", "30", "-i", "0", "-f", "avfoundation", "-i", ":0"]
    assert inputs(Camera("dshow", "video=USB Camera"), None) == ["-f", "dshow", "-i", "video=USB Camera"]


def test_a_drives_letter_is_no_separator() -> None:
    assert style_of_text(r"C:\art\a.jpg:0.7:scale=2").picture == r"C:\art\a.jpg"
    region = region_of_text(r"D:\masks\sky.png@2.5:C:/art/a.jpg:0.5")
    assert (region.mask, region.at_seconds, region.styles[0].picture) == (r"D:\masks\sky.png", 2.5, "C:/art/a.jpg")


def test_any_name_can_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows' standard output into a file has a code page of 256 characters."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="cp1252"))
    with pytest.raises(SystemExit):
        main(["--version"])
    print("\u65e5.mp4", flush=True)
    assert written.getvalue().decode("cp1252").endswith("\\u65e5.mp4\n")
