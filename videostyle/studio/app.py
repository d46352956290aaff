"""The routes: the page, and the interface for it and for other programs, ``/api/v1`` (docs/studio-api.md)."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from videostyle.errors import UnknownError, UsageError, VideoStyleError
from videostyle.files import write_json, write_text
from videostyle.pipeline.job_queue import JobQueue
from videostyle.pipeline.worker_process import WorkerProcess
from videostyle.settings.command_line import command_of, needs_file
from videostyle.settings.form import form
from videostyle.settings.look_file import as_toml, from_plain
from videostyle.studio.asked import in_words, json_of, number, text_of
from videostyle.studio.looks import asked_look, asked_media, look_file, plain_look, read_look_file
from videostyle.studio.store import Store
from videostyle.version import __version__

PAGE = Path(__file__).parent / "page"
MOST_SIZE, MOST_LISTENERS, MOST_LAG = 4096, 64, 500
VIDEO_ENDINGS = (".mp4", ".mov", ".mkv", ".webm", ".gif")
ROLES = ("clip", "painting", "mask")
KEPT_LOOKS = 20  # look files that commands name
QUIET_SECONDS = 15.0  # between two signs of life of the events
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class Studio:
    """What the routes work with, for one folder."""

    def __init__(self, folder: Path, most_upload: int) -> None:
        self.folder, self.worker = folder, WorkerProcess(folder)
        self.listeners: set[asyncio.Queue[str]] = set()
        self.store = Store(folder / "media", self.worker, most_upload)
        self.jobs = JobQueue(folder, self.worker, self.publish)
        self.store.forget_masks(json.dumps([self.jobs.list(), self.saved_draft()]))
        self.preview, self.tasks = 0, set[asyncio.Task]()

    def publish(self, kind: str, values: dict[str, Any]) -> None:
        """Tell everybody who listens; one who does not keep up is let go."""
        for queue in [*self.listeners]:
            if queue.qsize() > MOST_LAG:
                self.listeners.discard(queue)
            else:
                queue.put_nowait(f"event: {kind}\ndata: {json.dumps(values)}\n\n")

    def start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    @asynccontextmanager
    async def alive(self, _app: Starlette) -> AsyncIterator[None]:
        (self.folder / "preview.jpg").unlink(missing_ok=True)
        self.start(self.jobs.work())
        self.start(self._warm_up())
        yield
        for task in self.tasks:
            task.cancel()
        await self.worker.close()

    async def _warm_up(self) -> None:
        """Start the worker before it is needed, with what the page asks first."""
        with suppress(VideoStyleError):
            await self.store.entry(self.store.called("clip.mp4") or "")

    # --- the page

    async def page(self, request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        there = {file.name: file for file in PAGE.iterdir()}
        if name not in there:
            raise UnknownError(f"there is no page {name[:40]!r}")
        return Response(there[name].read_bytes(), media_type=KINDS.get(there[name].suffix))

    async def state(self, _request: Request) -> Response:
        lists = {"media": self.store.list(), "jobs": self.jobs.list(), "form": form(), "draft": self.saved_draft()}
        return JSONResponse({"version": __version__} | lists)

    def saved_draft(self) -> Any:
        draft = self.folder / "draft.json"
        return json.loads(draft.read_text(encoding="utf-8")) if draft.is_file() else None

    async def draft(self, request: Request) -> Response:
        write_json(self.folder / "draft.json", await json_of(request))
        return JSONResponse({})

    async def events(self, request: Request) -> Response:
        if len(self.listeners) >= MOST_LISTENERS:
            raise UsageError(f"{MOST_LISTENERS} listeners are there already; close some pages")
        queue: asyncio.Queue[str] = asyncio.Queue()

        async def stream() -> AsyncIterator[str]:
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

        return StreamingResponse(stream(), media_type="text/event-stream")

    # --- clips, pictures, masks

    async def upload(self, request: Request) -> Response:
        role = request.query_params.get("role", "clip")
        if role not in ROLES:
            raise UsageError(f"role is {role[:20]!r}; it can be {', '.join(ROLES)}")
        with suppress(ClientDisconnect):
            entry = await self.store.add(request.stream(), request.query_params.get("name", "unnamed"), role)
            return JSONResponse(entry, 201)
        return Response(status_code=400)

    async def entry(self, request: Request) -> Response:
        return JSONResponse(await self.store.entry(request.path_params["id"]))

    async def remove(self, request: Request) -> Response:
        self.store.remove(request.path_params["id"])
        return JSONResponse({})

    async def file(self, request: Request) -> Response:
        return FileResponse(self.store.path(request.path_params["id"]), headers={"cache-control": "private"})

    async def frame(self, request: Request) -> Response:
        """The exact frame at a time; with ``?download`` as PNG, to be painted over."""
        asked = request.query_params
        at, size = number(asked, "at", 0.0, 0, 1e6), number(asked, "size", 960, 16, MOST_SIZE)
        kind, headers = ("png" if "download" in asked else "jpeg"), {"cache-control": "private"}
        if kind == "png":
            headers["content-disposition"] = "attachment"
        to = self.folder / f"frame-{secrets.token_hex(8)}.{kind}"
        try:
            path = str(self.store.path(request.path_params["id"]))
            await self.worker.ask("frame", path=path, at=at, size=int(size), to=str(to))
            return Response(to.read_bytes(), media_type=f"image/{kind}", headers=headers)
        finally:
            to.unlink(missing_ok=True)

    # --- looks and previews

    async def start_preview(self, request: Request) -> Response:
        """Paint one frame; with ``?wait=1`` the answer is the picture."""
        asked = await json_of(request)
        size, at = int(number(asked, "size", 256, 32, MOST_SIZE)), number(asked, "at", 0.0, 0, 1e6)
        look, path = plain_look(asked_look(asked.get("look"), self.store)), self.store.path(str(asked.get("source")))
        to, mine = self.folder / "preview.jpg", 0

        def on_event(event: dict[str, Any]) -> None:
            self.publish("preview", {"preview": mine} | event)

        message = {"path": str(path), "at": at, "size": size, "look": look, "to": str(to)}
        quick = bool(asked.get("quick"))
        mine, answer = await self.worker.begin("preview", on_event, quick=quick, **message)
        self.preview = mine
        if request.query_params.get("wait"):
            if (await answer).get("superseded"):
                raise UsageError("another preview was asked for meanwhile; ask again")
            return Response(to.read_bytes(), media_type="image/jpeg")

        async def follow() -> None:
            try:
                ended = await answer
                self.publish("preview", {"preview": mine, "stage": "superseded" if ended else "ended"})
            except Exception as error:
                self.publish("preview", {"preview": mine, "stage": "failed", "problem": str(error)})

        self.start(follow())
        return JSONResponse({"preview": mine}, 202)

    async def picture(self, request: Request) -> Response:
        picture = self.folder / "preview.jpg"
        if request.path_params["number"] != self.preview or not picture.is_file():
            return Response(status_code=204)  # another has taken its place
        return Response(picture.read_bytes(), media_type="image/jpeg")

    async def read_look(self, request: Request) -> Response:
        return JSONResponse({"look": read_look_file(await text_of(request), self.store)})

    async def write_look(self, request: Request) -> Response:
        return PlainTextResponse(look_file((await json_of(request)).get("look"), self.store))

    async def command(self, request: Request) -> Response:
        """The command line that paints the same."""
        asked = await json_of(request)
        look, media = asked_look(asked.get("look"), self.store), asked_media(asked.get("media"))
        entry = self.store.known(str(asked.get("source")))
        kind, ending = ("image", ".png") if entry["kind"] == "picture" else ("video", ".mp4")
        file = self.folder / "looks" / f"{secrets.token_hex(4)}.toml"
        if needs_file(look[0]):
            file.parent.mkdir(exist_ok=True)
            write_text(file, as_toml(plain_look(look)))
            for old in sorted(file.parent.glob("*.toml"), key=lambda f: f.stat().st_mtime)[:-KEPT_LOOKS]:
                old.unlink()
        output, words = Path(entry["name"]).stem + "-painted" + ending, str(self.store.path(entry["id"]))
        return JSONResponse({"words": command_of(kind, words, look[0], output, look[1], media, str(file))})

    # --- jobs

    async def add_job(self, request: Request) -> Response:
        asked = await json_of(request)
        entry = await self.store.entry(str(asked.get("source")))
        look, media = asked_look(asked.get("look"), self.store), asked_media(asked.get("media"))
        ending = ".png" if entry["kind"] == "picture" else asked.get("ending", ".mp4")
        if ending not in (*VIDEO_ENDINGS, ".png"):
            raise UsageError(f"ending is {str(ending)[:20]!r}; it can be {', '.join(VIDEO_ENDINGS)}")
        styles = from_plain(asked["look"])[0].styles
        named = "+".join(Path(self.store.known(style.picture)["name"]).stem for style in styles)
        name = f"{Path(entry['name']).stem}-{named}"[:100] + ending
        values = {"name": name, "source": entry["id"], "ending": ending, "look": asked["look"], "media": media}
        job = self.jobs.add(values, self.store.path(entry["id"]), *look, media)
        return JSONResponse(self.jobs.shown(job), 201)

    async def job(self, request: Request) -> Response:
        return JSONResponse(self.jobs.shown(self.jobs.get(request.path_params["id"])))

    async def do(self, request: Request) -> Response:
        job = self.jobs.get(request.path_params["id"])
        self.jobs.do(job, request.path_params["action"])
        return JSONResponse(self.jobs.shown(job))

    async def job_file(self, request: Request) -> Response:
        job, part = self.jobs.get(request.path_params["id"]), request.path_params["part"]
        if part not in ("output", "partial", "picture", "look"):
            raise UnknownError(f"a job has no {part[:20]!r}")
        file = self.jobs.file(job, part)
        if not file.is_file():
            raise UnknownError(f"{job['name']} has no {part} yet")
        if part == "picture":
            return Response(file.read_bytes(), media_type="image/jpeg")
        if part == "look":
            return PlainTextResponse(look_file(job["look"], self.store))
        shown = {} if "download" not in request.query_params else {"filename": job["name"]}
        return FileResponse(file, **shown)


def make_app(folder: Path, most_upload: int) -> Starlette:
    """The application for a studio's folder, without its guard."""
    s, api = Studio(folder, most_upload), "/api/v1"
    routes: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
        *(("GET", "/", s.page), ("GET", "/page/{name}", s.page), ("GET", f"{api}/state", s.state)),
        *(("PUT", f"{api}/draft", s.draft), ("GET", f"{api}/events", s.events), ("POST", f"{api}/media", s.upload)),
        *(("GET", f"{api}/media/{{id}}", s.entry), ("DELETE", f"{api}/media/{{id}}", s.remove)),
        *(("GET", f"{api}/media/{{id}}/file", s.file), ("GET", f"{api}/media/{{id}}/frame", s.frame)),
        *(("POST", f"{api}/previews", s.start_preview), ("GET", f"{api}/previews/{{number:int}}", s.picture)),
        *(("POST", f"{api}/looks", s.read_look), ("POST", f"{api}/looks/file", s.write_look)),
        *(("POST", f"{api}/command", s.command), ("POST", f"{api}/jobs", s.add_job)),
        *(("GET", f"{api}/jobs/{{id}}", s.job), ("POST", f"{api}/jobs/{{id}}/{{action}}", s.do)),
        ("GET", f"{api}/jobs/{{id}}/{{part}}", s.job_file),
    ]
    made = [Route(path, endpoint, methods=[method]) for method, path, endpoint in routes]
    handlers = dict.fromkeys((HTTPException, VideoStyleError, Exception), in_words)
    return Starlette(routes=made, lifespan=s.alive, exception_handlers=handlers)
