"""A queue of runs: a folder of job files beside the outputs and their run directories. It survives everything."""

import asyncio
import hashlib
import json
import os
import secrets
import shlex
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from videostyle.checkpoint.directory_name import directory_of
from videostyle.errors import UnknownError, UsageError, VideoStyleError
from videostyle.files import read_record, write_json, write_text
from videostyle.media.formats import CONTAINERS
from videostyle.pipeline.worker_process import WorkerProcess
from videostyle.settings.command_line import command_of, needs_file
from videostyle.settings.look_file import as_toml, from_plain

ENDINGS = (*CONTAINERS, ".png")  # of outputs
PARTS = ("output", "partial", "picture", "record")  # files of a job
NEEDED = ("id", "state", "order", "name", "ending", "source", "media", "look", "command", "asked")  # keys of a job
LOOK_SECONDS = 7 * 24 * 3600  # that a look's file is kept for a command line that somebody may have copied
Publish = Callable[[str, dict[str, Any]], None]


class JobQueue:
    """Runs one job after the other. States: waiting, running, paused, done, failed.

    ``publish(type, values)`` is told of every change and of all progress.
    """

    def __init__(self, folder: Path, worker: WorkerProcess, publish: Publish) -> None:
        self._jobs, self._made, self._looks = folder / "jobs", folder / "made", folder / "looks"
        self._worker, self._publish = worker, publish
        self._due, self._running, self._wanted = asyncio.Event(), 0, ""
        self._list: list[dict[str, Any]] = []
        for place in (self._jobs, self._made, self._looks):
            place.mkdir(exist_ok=True)
        for file in self._jobs.glob("*.json"):
            if (job := read_record(file, NEEDED)) is not None:
                self._list.append(job | {"state": "waiting" if job["state"] == "running" else job["state"]})
        self._list.sort(key=lambda job: job["order"])
        self._tidy()

    def _tidy(self) -> None:
        """Delete what an end in the midst of a write left, and looks that no job and no fresh command line names."""
        for left in (*self._jobs.glob(".*.part"), *self._looks.glob(".*.part")):
            left.unlink()
        named = " ".join(job["command"] for job in self._list)
        for file in self._looks.glob("*.toml"):
            if file.name not in named and time.time() - file.stat().st_mtime > LOOK_SECONDS:
                file.unlink()

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
        raise UnknownError(f"there is no job {name[:40]!r}; GET state lists them")

    def file(self, job: dict[str, Any], part: str = "output") -> Path:
        """``part``: the output, the partial result, the picture of the newest frame, the run record.

        Raises UnknownError.
        """
        ending = job["ending"]
        endings = dict(zip(PARTS, (ending, ".partial" + ending, ".jpg", ".record.json"), strict=True))
        if part not in endings:
            raise UnknownError(f"a job has no {part[:20]!r}; it can be {', '.join(PARTS)} or look")
        return self._made / (job["id"] + endings[part])

    def user_of(self, medium: str) -> str | None:
        """The name of a job that is made of this clip or picture, by its id."""
        return next((job["name"] for job in self._list if medium in json.dumps([job["source"], job["look"]])), None)

    def command(self, run: dict[str, Any]) -> Sequence[str]:
        """The words of the command line that does the same; a look that options cannot say is kept as a file."""
        look, settings = from_plain(run["look"])
        text = as_toml(run["look"])
        file = self._looks / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.toml"
        if needs_file(look):
            write_text(file, text)
        return command_of(run["kind"], run["path"], look, run["output"], settings, run["media"], str(file))

    def add(self, run: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
        """Put a run at the end of the queue.

        ``run``: its ``kind``, ``path``, ``look``, ``media``, what is ``spoken`` in the place of its paths, and the name
        of its ``output``; ``shown``: its ``source`` and ``look`` as others know them. Raises MediaError, and the queue
        is as it was then.
        """
        last, name = max((job["order"] for job in self._list), default=0), run["output"]
        job = {"id": secrets.token_hex(8), "state": "waiting", "order": last + 1, "made": time.time()} | shown
        job |= {"name": name, "ending": Path(name).suffix, "media": run["media"]}
        output, record = str(self.file(job)), str(self.file(job, "record"))
        asked = run | {"output": output, "record": record, "spoken": run["spoken"] | {output: name}}
        job |= {"command": shlex.join(self.command(asked)), "asked": asked}
        self._change(job)
        self._list.append(job)
        return job

    def _change(self, job: dict[str, Any], **changes: Any) -> None:
        """Raises MediaError; the job has changed in memory then."""
        job |= changes
        write_json(self._jobs / f"{job['id']}.json", job, durable=True)
        self._tell(job)

    def _tell(self, job: dict[str, Any]) -> None:
        self._publish("job", self.shown(job))
        self._due.set()

    def do(self, name: str, action: str) -> dict[str, Any]:
        """The job as it is then. Raises UsageError for what does not fit.

        ``action``: pause, resume, restart (resume without what is finished), first (of those that wait), partial (a
        clip of what is finished), keep (that, and the run ends), cancel (nothing is left).
        """
        job = self.get(name)
        if action in ("partial", "keep") and job["ending"] == ".png":
            raise UsageError(f"{job['name']} is a picture, of which no part can be kept; wait for it, or cancel")
        match action, job["state"]:
            case "pause" | "partial" | "keep" | "cancel", "running":
                self._wanted = action
                self._worker.stop(self._running)
            case "pause", "waiting":
                self._change(job, state="paused")
            case "resume", "paused" | "failed":
                self._change(job, state="waiting", problem=None)
            case "restart", "paused" | "failed":
                self._clear(job, "picture")
                job.pop("progress", None)
                self._change(job, state="waiting", problem=None, seconds=0.0)
            case "partial" | "keep", "waiting" | "paused" | "failed":
                self._change(job, partial_wanted=action)
            case "first", "waiting" | "paused":
                self._change(job, order=min(j["order"] for j in self._list) - 1)
                self._list.sort(key=lambda job: job["order"])
            case "cancel", _:
                self._remove(job)
            case _:
                raise UsageError(f"{action[:20]!r} does not fit a job that is {job['state']}; see docs/studio-api.md")
        return self.shown(job)

    def _remove(self, job: dict[str, Any]) -> None:
        self._list.remove(job)
        (self._jobs / f"{job['id']}.json").unlink(missing_ok=True)
        self._clear(job, *PARTS)
        self._publish("gone", {"id": job["id"]})

    def _clear(self, job: dict[str, Any], *parts: str) -> None:
        """Delete files of a job, and the state of its run."""
        shutil.rmtree(directory_of(self.file(job)), ignore_errors=True)
        for part in parts:
            self.file(job, part).unlink(missing_ok=True)

    async def work(self) -> None:
        """Run what waits, one after the other, for ever."""
        while True:
            self._due.clear()
            job = next((j for j in self._list if j.get("partial_wanted")), None)
            job = job or next((j for j in self._list if j["state"] == "waiting"), None)
            if job is None:
                await self._due.wait()
                continue
            try:
                await (self._publish_part(job) if job.get("partial_wanted") else self._run(job))
            except (VideoStyleError, OSError) as error:  # of what is written here: the disk is full, say
                self._fail_in_memory(job, error)

    def _fail_in_memory(self, job: dict[str, Any], error: Exception) -> None:
        """Nothing more can be written of the job now; its file says what it was before."""
        words = str(error).replace(f"{self._jobs.parent}{os.sep}", "")
        state = "done" if job["state"] == "done" else "failed"
        job |= {"state": state, "problem": words, "partial_wanted": None}
        self._tell(job)

    async def _ask(self, job: dict[str, Any], partial: bool) -> dict[str, Any]:
        """What the worker answers; ``{"problem": words}`` where it cannot."""

        def on_event(event: dict[str, Any]) -> None:
            job["progress"] = event  # not written: the run directory knows
            self._publish("progress", {"job": job["id"]} | event)

        self._wanted, asked = "", job["asked"] | {"shown": str(self.file(job, "picture")), "partial": partial}
        try:
            self._running, answer = await self._worker.begin("run", on_event, **asked)
            if self._wanted:  # since the worker was starting
                self._worker.stop(self._running)
            return await answer
        except VideoStyleError as error:
            return {"problem": str(error)}

    async def _run(self, job: dict[str, Any]) -> None:
        began = time.monotonic()
        self._change(job, state="running", problem=None)
        result = await self._ask(job, partial=False)
        if self._wanted == "cancel":
            return self._remove(job)
        if "problem" in result:
            return self._change(job, state="failed", **result)
        spent = job.get("seconds", 0.0) + time.monotonic() - began
        if not result.get("stopped"):
            return self._end(job, result, seconds=spent)
        state = "paused" if self._wanted in ("pause", "keep") else "waiting"
        part = self._wanted if self._wanted in ("partial", "keep") else None
        self._change(job, state=state, seconds=spent, partial_wanted=part)

    def _end(self, job: dict[str, Any], result: dict[str, Any], **changes: Any) -> None:
        self._clear(job, "partial")
        self._change(job, state="done", partial=False, partial_wanted=None, **result, **changes)

    async def _publish_part(self, job: dict[str, Any]) -> None:
        """The frames that are finished, as a clip beside the output, which is still to come; or in its place."""
        result = await self._ask(job, partial=True)
        if job not in self._list:  # it was cancelled meanwhile
            return self._clear(job, *PARTS)
        if "problem" in result:
            return self._change(job, partial_wanted=None, **result)
        if job["partial_wanted"] == "keep":
            return self._end(job, result, problem=None)
        self.file(job).replace(self.file(job, "partial"))
        self._change(job, partial_wanted=None, partial=True)
