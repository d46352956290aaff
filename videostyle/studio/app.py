"""The routes: the page, and the interface for it and for other programs, ``/api/v1`` (docs/studio-api.md)."""

import asyncio
import json
import mimetypes
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from videostyle.errors import UnknownError, UsageError, VideoStyleError
from videostyle.files import read_record, write_json
from videostyle.pipeline.job_queue import ENDINGS, JobQueue
from videostyle.pipeline.media_store import Store
from videostyle.pipeline.worker_process import WorkerProcess
from videostyle.settings.form import form
from videostyle.settings.look_file import as_toml, from_plain
from videostyle.studio import checks
from videostyle.version import __version__

PAGE = Path(__file__).parent / "page"
MOST_SIZE = 4096  # longer side of a frame or a preview, in pixels
MOST_LISTENERS, MOST_LAG = 64, 500
QUIET_SECONDS = 15.0  # between two signs of life of the events
PRIVATE = {"cache-control": "private"}  # a frame, a file with an id: they never change


class Studio:
    """What the routes work with, for one folder."""

    def __init__(self, folder: Path, most_upload: int) -> None:
        self.folder, self.worker = folder, WorkerProcess(folder)
        self.listeners = set[asyncio.Queue[str]]()
        self.store = Store(folder / "media", self.worker, most_upload)
        self.jobs = JobQueue(folder, self.worker, self.tell)
        self.store.forget_masks(json.dumps([self.jobs.list(), self.saved_draft()]))
        self.preview, self.pictured, self.picture = 0, False, folder / "preview.jpg"

    @asynccontextmanager
    async def alive(self, _app: Starlette) -> AsyncIterator[None]:
        of_earlier = (self.picture, *self.folder.glob("frame-*.*"), *self.folder.glob(".*.part"))
        for left in of_earlier:
            left.unlink(missing_ok=True)
        first = self.store.entry(self.store.called("clip.mp4"))  # starts the worker before it is needed
        tasks = [asyncio.create_task(work) for work in (self.jobs.work(), first)]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, self.worker.close(), return_exceptions=True)

    # --- events: everybody who listens is told what happens

    def tell(self, kind: str, values: dict[str, Any]) -> None:
        for queue in [*self.listeners]:
            if queue.qsize() > MOST_LAG:  # it does not keep up
                self.listeners.discard(queue)
            else:
                queue.put_nowait(f"event: {kind}\ndata: {json.dumps(values)}\n\n")

    async def events(self, _request: Request) -> Response:
        if len(self.listeners) >= MOST_LISTENERS:
            raise UsageError(f"{MOST_LISTENERS} listeners are there already; close some pages")
        return StreamingResponse(self.stream(), media_type="text/event-stream")

    async def stream(self) -> AsyncIterator[str]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self.listeners.add(queue)
        try:
            yield ": here\n\n"
            while queue in self.listeners:
                try:
                    yield await asyncio.wait_for(queue.get(), QUIET_SECONDS)
                except TimeoutError:
                    yield ": quiet\n\n"
        finally:
            self.listeners.discard(queue)

    # --- what the page begins with

    async def state(self, _request: Request) -> Response:
        lists = {"media": self.store.list(), "jobs": self.jobs.list(), "form": form(), "draft": self.saved_draft()}
        return JSONResponse({"version": __version__} | lists)

    def saved_draft(self) -> Any:
        return read_record(self.folder / "draft.json")

    async def draft(self, request: Request) -> Response:
        write_json(self.folder / "draft.json", await checks.json_of(request), durable=True)
        return JSONResponse({})

    # --- clips, pictures, masks

    async def upload(self, request: Request) -> Response:
        asked = request.query_params
        entry = await self.store.add(request.stream(), asked.get("name", "unnamed"), asked.get("role", "clip"))
        return JSONResponse(entry, 201)

    async def entry(self, request: Request) -> Response:
        return JSONResponse(await self.store.entry(request.path_params["id"]))

    async def remove(self, request: Request) -> Response:
        name = request.path_params["id"]
        if user := self.jobs.user_of(name):
            raise UsageError(f"{self.store.known(name)['name']} is used by {user}; delete that run first")
        self.store.remove(name)
        return JSONResponse({})

    async def file(self, request: Request) -> Response:
        return FileResponse(self.store.path(request.path_params["id"]), headers=PRIVATE)

    async def frame(self, request: Request) -> Response:
        """The exact frame at a time; with ``?download`` as PNG, to be painted over."""
        asked, path = request.query_params, self.store.path(request.path_params["id"])
        at, size = checks.number(asked, "at", 0.0, 0, 1e6), checks.number(asked, "size", 960, 16, MOST_SIZE)
        kind, saved = ("png", {"content-disposition": "attachment"}) if "download" in asked else ("jpeg", {})
        to = self.folder / f"frame-{secrets.token_hex(8)}.{kind}"
        try:
            await self.worker.ask("frame", path=str(path), at=at, size=int(size), to=str(to))
            return Response(to.read_bytes(), media_type=f"image/{kind}", headers=PRIVATE | saved)
        finally:
            to.unlink(missing_ok=True)

    # --- previews

    async def start_preview(self, request: Request) -> Response:
        """Paint one frame; with ``?wait=1`` the answer is the picture."""
        asked = await checks.json_of(request)
        size, at = checks.number(asked, "size", 256, 32, MOST_SIZE), checks.number(asked, "at", 0.0, 0, 1e6)
        look, path = checks.look_with_paths(asked, self.store), str(self.store.path(str(asked.get("source"))))
        mine = 0

        def tell(event: dict[str, Any]) -> None:
            self.pictured |= mine == self.preview and "picture" in event
            self.tell("preview", {"preview": mine} | event)

        message = {"path": path, "at": at, "size": int(size), "look": look, "to": str(self.picture)}
        message["spoken"] = checks.spoken(asked, self.store)
        mine, answer = await self.worker.begin("preview", tell, quick=bool(asked.get("quick")), **message)
        self.preview, self.pictured = mine, False
        if request.query_params.get("wait"):
            if (await answer).get("superseded"):
                raise UsageError("another preview was asked for meanwhile; ask again")
            return Response(self.picture.read_bytes(), media_type="image/jpeg")

        async def follow() -> None:
            try:
                tell({"stage": "superseded" if await answer else "ended"})
            except VideoStyleError as error:
                tell({"stage": "failed", "problem": str(error)})

        return JSONResponse({"preview": mine}, 202, background=BackgroundTask(follow))

    async def newest_picture(self, request: Request) -> Response:
        if request.path_params["number"] != self.preview or not self.pictured:
            return Response(status_code=204)  # another has taken its place, or it has none yet
        return Response(self.picture.read_bytes(), media_type="image/jpeg")

    # --- looks

    async def read_look(self, request: Request) -> Response:
        return JSONResponse({"look": checks.look_of_file(await checks.text_of(request), self.store)})

    async def write_look(self, request: Request) -> Response:
        return PlainTextResponse(as_toml(checks.look_with_names(await checks.json_of(request), self.store)))

    # --- runs: of the command line, and jobs

    def run_of(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What a worker takes, checked; ``output`` is the name that a browser saves it under. Raises UsageError."""
        entry, ending = self.store.known(str(asked.get("source"))), str(asked.get("ending", ".mp4"))
        look, media = checks.look_with_paths(asked, self.store), checks.media_settings(asked)
        kind, ending = ("image", ".png") if entry["kind"] == "picture" else ("video", ending)
        if ending not in ENDINGS:
            raise UsageError(f"ending is {ending[:20]!r}; it can be {', '.join(ENDINGS)}")
        label = from_plain(checks.look_with_names(asked, self.store))[0].label
        name, path = f"{Path(entry['name']).stem}-{label}"[:100] + ending, str(self.store.path(entry["id"]))
        run = {"kind": kind, "path": path, "look": look, "media": media, "output": name}
        return run | {"spoken": checks.spoken(asked, self.store)}

    async def command(self, request: Request) -> Response:
        """The command line that paints the same."""
        return JSONResponse({"words": self.jobs.command(self.run_of(await checks.json_of(request)))})

    async def add_job(self, request: Request) -> Response:
        asked = await checks.json_of(request)
        job = self.jobs.add(self.run_of(asked), {"source": asked["source"], "look": asked["look"]})
        return JSONResponse(self.jobs.shown(job), 201)

    async def job(self, request: Request) -> Response:
        return JSONResponse(self.jobs.shown(self.jobs.get(request.path_params["id"])))

    async def do(self, request: Request) -> Response:
        return JSONResponse(self.jobs.do(request.path_params["id"], request.path_params["action"]))

    async def job_file(self, request: Request) -> Response:
        job, part = self.jobs.get(request.path_params["id"]), request.path_params["part"]
        if part == "look":
            return PlainTextResponse(as_toml(checks.look_with_names(job, self.store)))
        file = self.jobs.file(job, part)
        if not file.is_file():
            raise UnknownError(f"{job['name']} has no {part} yet")
        if part == "picture":  # the next one may take its place at any time
            return Response(file.read_bytes(), media_type="image/jpeg")
        return FileResponse(file, filename=job["name"] if "download" in request.query_params else None)


def make_app(folder: Path, most_upload: int) -> Starlette:
    """The application for a studio's folder, without its guard."""
    s = Studio(folder, most_upload)
    api = [
        Route("/state", s.state),
        Route("/draft", s.draft, methods=["PUT"]),
        Route("/events", s.events),
        Route("/media", s.upload, methods=["POST"]),
        Route("/media/{id}", s.entry),
        Route("/media/{id}", s.remove, methods=["DELETE"]),
        Route("/media/{id}/file", s.file),
        Route("/media/{id}/frame", s.frame),
        Route("/previews", s.start_preview, methods=["POST"]),
        Route("/previews/{number:int}", s.newest_picture),
        Route("/looks", s.read_look, methods=["POST"]),
        Route("/looks/file", s.write_look, methods=["POST"]),
        Route("/command", s.command, methods=["POST"]),
        Route("/jobs", s.add_job, methods=["POST"]),
        Route("/jobs/{id}", s.job),
        Route("/jobs/{id}/{action}", s.do, methods=["POST"]),
        Route("/jobs/{id}/{part}", s.job_file),
    ]
    mimetypes.add_type("text/javascript", ".js")  # Windows' registry may say otherwise
    routes = [Mount("/api/v1", routes=api), Mount("/", StaticFiles(directory=PAGE, html=True))]
    handlers = dict.fromkeys((HTTPException, VideoStyleError, ClientDisconnect, Exception), checks.in_words)
    return Starlette(routes=routes, lifespan=s.alive, exception_handlers=handlers)
