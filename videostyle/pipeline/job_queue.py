"""A queue of runs: a folder of job files beside the outputs and their run directories. It survives everything."""

import asyncio
import json
import secrets
import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from videostyle.checkpoint.directory_name import directory_of
from videostyle.errors import UnknownError, UsageError, VideoStyleError
from videostyle.files import write_json, write_text
from videostyle.pipeline.worker_process import WorkerProcess
from videostyle.settings.command_line import command_of
from videostyle.settings.look import Look
from videostyle.settings.look_file import as_toml, to_plain

Publish = Callable[[str, dict[str, Any]], None]


class JobQueue:
    """Runs one job after the other. States: waiting, running, paused, done, failed.

    ``publish(type, values)`` is told of every change and of all progress.
    """

    def __init__(self, folder: Path, worker: WorkerProcess, publish: Publish) -> None:
        self._jobs, self._made, self._worker, self._publish = folder / "jobs", folder / "made", worker, publish
        self._due, self._running, self._wanted = asyncio.Event(), 0, ""
        self._list: list[dict[str, Any]] = []
        for place in (self._jobs, self._made):
            place.mkdir(exist_ok=True)
        for file in self._jobs.glob("*.json"):
            job = json.loads(file.read_text(encoding="utf-8"))
            self._list.append(job | {"state": "waiting" if job["state"] == "running" else job["state"]})
        self._list.sort(key=lambda job: job["order"])

    def list(self) -> list[dict[str, Any]]:
        return [self.shown(job) for job in self._list]

    def shown(self, job: dict[str, Any]) -> dict[str, Any]:
        """A job as others see it: without what is asked of the worker, which has paths."""
        pictured = {"pictured": self.file(job, "picture").is_file()}
        return {key: value for key, value in job.items() if key != "asked"} | pictured

    def get(self, name: str) -> dict[str, Any]:
        """Raises UnknownError."""
        for job in self._list:
            if job["id"] == name:
                return job
        raise UnknownError(f"there is no job {name[:40]!r}; GET jobs lists them")

    def file(self, job: dict[str, Any], part: str = "output") -> Path:
        """The ``output`` of a job, its ``partial`` result, the ``picture`` of its newest frame, or its ``look``."""
        endings = {"output": job["ending"], "partial": ".partial" + job["ending"], "picture": ".jpg", "look": ".toml"}
        return (self._jobs if part == "look" else self._made) / (job["id"] + endings[part])

    def add(
        self, values: dict[str, Any], path: Path, look: Look, settings: dict[str, Any], media: dict[str, Any]
    ) -> dict[str, Any]:
        """Put a run of the clip or picture ``path`` at the end of the queue. ``values``: what is shown of it, its
        ``name`` and the ``ending`` of its output among them."""
        last = max((job["order"] for job in self._list), default=0)
        job = {"id": secrets.token_hex(8), "state": "waiting", "order": last + 1, "made": time.time()} | values
        output, kind = str(self.file(job)), "image" if job["ending"] == ".png" else "video"
        plain, record = settings | to_plain(look), str(self.file(job).with_suffix(".record.json"))
        write_text(self.file(job, "look"), as_toml(plain))
        words = command_of(kind, str(path), look, output, settings, media, str(self.file(job, "look")))
        asked = {"kind": kind, "path": str(path), "look": plain, "media": media, "output": output, "record": record}
        job |= {"command": shlex.join(words), "asked": asked}
        self._list.append(job)
        self._change(job)
        return job

    def _change(self, job: dict[str, Any], **changes: Any) -> None:
        job |= changes
        write_json(self._jobs / f"{job['id']}.json", job)
        self._publish("job", self.shown(job))
        self._due.set()

    def do(self, job: dict[str, Any], action: str) -> None:
        """pause, resume, partial, cancel, first (of those that wait). Raises UsageError for what does not fit."""
        match action, job["state"]:
            case "pause" | "partial" | "cancel", "running":
                self._wanted = action
                self._worker.stop(self._running)
            case "pause", "waiting":
                self._change(job, state="paused")
            case "resume", "paused" | "failed":
                self._change(job, state="waiting", problem=None)
            case "partial", "paused" | "failed":
                self._change(job, partial_wanted=True)
            case "first", "waiting" | "paused":
                self._change(job, order=min(j["order"] for j in self._list) - 1)
                self._list.sort(key=lambda job: job["order"])
            case "cancel", _:
                self._remove(job)
            case _:
                raise UsageError(f"{action[:20]!r} does not fit a job that is {job['state']}; see docs/studio-api.md")

    def _remove(self, job: dict[str, Any]) -> None:
        self._list.remove(job)
        (self._jobs / f"{job['id']}.json").unlink(missing_ok=True)
        shutil.rmtree(directory_of(self.file(job)), ignore_errors=True)
        record = self.file(job).with_suffix(".record.json")
        for file in (*(self.file(job, part) for part in ("output", "partial", "picture", "look")), record):
            file.unlink(missing_ok=True)
        self._publish("gone", {"id": job["id"]})

    async def work(self) -> None:
        """Run what waits, one after the other, for ever."""
        while True:
            self._due.clear()
            job = next((j for j in self._list if j.get("partial_wanted")), None)
            job = job or next((j for j in self._list if j["state"] == "waiting"), None)
            if job is None:
                await self._due.wait()
            elif job.get("partial_wanted"):
                await self._publish_part(job)
            else:
                await self._run(job)

    async def _ask(self, job: dict[str, Any], partial: bool) -> dict[str, Any]:
        def on_event(event: dict[str, Any]) -> None:
            job["progress"] = event  # not written: the run directory knows
            self._publish("progress", {"job": job["id"]} | event)

        asked = job["asked"] | {"shown": str(self.file(job, "picture")), "partial": partial}
        self._running, answer = await self._worker.begin("run", on_event, **asked)
        return await answer

    async def _run(self, job: dict[str, Any]) -> None:
        self._wanted, began = "", time.monotonic()
        self._change(job, state="running", problem=None)
        try:
            result = await self._ask(job, partial=False)
        except VideoStyleError as error:
            return self._change(job, state="failed", problem=self._spoken(job, str(error)))
        spent = job.get("seconds", 0.0) + time.monotonic() - began
        if not result.get("stopped"):
            self.file(job, "partial").unlink(missing_ok=True)
            return self._change(job, state="done", seconds=spent, partial=False, **result)
        if self._wanted == "cancel":
            return self._remove(job)
        state = "paused" if self._wanted == "pause" else "waiting"
        self._change(job, state=state, seconds=spent, partial_wanted=self._wanted == "partial")

    async def _publish_part(self, job: dict[str, Any]) -> None:
        """The frames that are finished, as a clip beside the output, which is still to come."""
        try:
            await self._ask(job, partial=True)
            self.file(job).replace(self.file(job, "partial"))
            self._change(job, partial_wanted=False, partial=True)
        except VideoStyleError as error:
            self._change(job, partial_wanted=False, problem=self._spoken(job, str(error)))

    def _spoken(self, job: dict[str, Any], words: str) -> str:
        """An error without paths, which a reader of the page has never seen."""
        return words.replace(str(self.file(job)), job["name"]).replace(job["asked"]["path"], "the clip")
