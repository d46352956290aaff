"""A studio in a process of its own, as a user starts it."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from videostyle.media.decode import decode
from videostyle.media.probe import probe
from videostyle.samples import sample

PATIENCE = 200.0  # seconds
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}
# A run of a second and less: eight frames of 64 pixels.
SMALL = {"size": 64, "duration_seconds": 0.3}
FEW = {"iterations": 6, "min_iterations": 6}


class StudioServer:
    """``address``: with the token. ``client``: for /api/v1."""

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "videostyle", "studio", str(folder), "--no-browser", "--port", str(port)]
        self.folder = folder
        self.process = subprocess.Popen(
            [*command, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ONE_THREAD,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[0]
        self.port = int(self.address.split(":")[2].split("/")[0])
        self.token = self.address.rstrip("/").rpartition("/")[2]
        self.client = httpx.Client(base_url=f"{self.address}api/v1/", timeout=PATIENCE, trust_env=False)

    def named(self, name: str) -> str:
        """The id of a sample."""
        media = self.client.get("state").json()["media"]
        return next(entry["id"] for entry in media if entry.get("sample") == name)

    def look(self, **values: Any) -> dict[str, Any]:
        return {"style": [{"picture": self.named("styles/brush.jpg")}], **FEW, **values}

    def queue(self, look: dict[str, Any] | None = None, **media: Any) -> dict[str, Any]:
        asked = {"source": self.named("clip.mp4"), "look": look or self.look(), "media": SMALL | media}
        answer = self.client.post("jobs", json=asked)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def job(self, name: str) -> dict[str, Any]:
        return self.client.get(f"jobs/{name}").json()

    def wait(self, name: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The job once it is as wanted."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            job = self.job(name)
            if wanted(job):
                return job
            assert job["state"] != "failed", job
            time.sleep(0.05)
        raise AssertionError(f"waited too long: {self.job(name)}")

    def kill(self) -> None:
        """As a power cut does."""
        self.process.send_signal(signal.SIGKILL)
        self._end()

    def close(self) -> str:
        """Ctrl-C; what was said on stderr."""
        self.process.send_signal(signal.SIGINT)
        return self._end()

    def _end(self) -> str:
        _, said = self.process.communicate(timeout=PATIENCE)
        self.client.close()
        return said


def by_command(command: str, output: Path) -> Path:
    """What the command line of a job paints, with the worker's number of threads; the job's own output is named."""
    *words, made = shlex.split(command)
    run = [sys.executable, "-m", *words[:-1], "-o", str(output), "--quiet"]
    ended = subprocess.run(run, env=ONE_THREAD, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 0, ended.stderr
    return Path(made)


def same_frames(one: Path, other: Path) -> bool:
    """Whether two clips have the same frames, to the bit."""
    pairs = zip(decode(probe(one)), decode(probe(other)), strict=True)
    return all(a.pts == b.pts and bool((a.pixels == b.pixels).all()) for a, b in pairs)


def sample_bytes(name: str) -> bytes:
    return sample(name).read_bytes()
