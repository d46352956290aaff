"""The other side of `worker`: questions, answers, and a new process where one has died. Imports no torch."""

import asyncio
import itertools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from videostyle.errors import UsageError, VideoStyleError
from videostyle.processes import DETACHED

LONGEST_LINE = 1 << 26  # bytes: the times of a million frames
# A browser is busy beside the worker. By default threads of GNU OpenMP that wait for one another keep their processors
# for milliseconds; with two other busy programs on two cores a preview takes 5.5 s so, and 2.4 s with this.
SHARES_PROCESSORS = {"GOMP_SPINCOUNT": "10000"}
GONE = "the painting process has ended, perhaps for want of memory; try again, at a smaller size"
OnEvent = Callable[[dict[str, Any]], None]


class WorkerError(VideoStyleError):
    """The painting process failed."""


class WorkerProcess:
    """Asks a `worker`, which is started when it is first needed. ``folder``: for its lock and its log."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, itertools.count(1)
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task | None = None
        self._asked: dict[int, tuple[asyncio.Future[dict[str, Any]], OnEvent | None]] = {}
        self._starting = asyncio.Lock()

    async def begin(self, do: str, on_event: OnEvent | None = None, **values: Any) -> tuple[int, asyncio.Future]:
        """(the number of a question, its answer to come). ``on_event`` is told what happens on the way."""
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                await self._start()
        number, answer = next(self._numbers), asyncio.get_running_loop().create_future()
        self._asked[number] = answer, on_event
        self._write({"number": number, "do": do} | values)
        return number, answer

    async def ask(self, do: str, on_event: OnEvent | None = None, **values: Any) -> dict[str, Any]:
        """The answer. Raises UsageError for what cannot be done, WorkerError where the process fails."""
        _, answer = await self.begin(do, on_event, **values)
        return await answer

    def stop(self, run: int) -> None:
        """Let a run end after the frame in progress."""
        self._write({"number": 0, "do": "stop", "run": run})

    def _write(self, message: dict[str, Any]) -> None:
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def _start(self) -> None:
        with (self._folder / "worker.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "videostyle.pipeline.worker", str(self._folder)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=SHARES_PROCESSORS | os.environ,
                limit=LONGEST_LINE,
                **DETACHED,  # Ctrl-C is the server's: it lets the frame in progress be kept
            )
        self._reading = asyncio.create_task(self._read(self._process))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            told = json.loads(line)
            answer, on_event = self._asked.get(told["number"], (None, None))
            if "event" in told:
                if on_event is not None:
                    on_event(told["event"])
                continue
            self._asked.pop(told["number"], None)
            if answer is not None and not answer.done():
                if "error" in told:
                    answer.set_exception((UsageError if told["expected"] else WorkerError)(told["error"]))
                else:
                    answer.set_result(told["result"])
        await process.wait()
        for answer, _ in self._asked.values():
            if not answer.done():
                answer.set_exception(WorkerError(GONE))
        self._asked.clear()

    async def close(self) -> None:
        """Let the process keep its frame and end; it does so without this one too."""
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=2)
            self._reading.cancel()
