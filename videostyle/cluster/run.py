"""A clip in shots over workers: planned and checked here, painted there, joined here."""

from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from videostyle.checkpoint.run_directory import PLAN, directory_of
from videostyle.cluster.clip import Opener, begin, paint
from videostyle.cluster.folder import is_planned
from videostyle.cluster.prepare import Prepared
from videostyle.cluster.processes import Place, ProcessEngine, places
from videostyle.cluster.spread import Engine
from videostyle.pipeline.remote import StoredShots, with_files
from videostyle.pipeline.request import Callbacks, Request, Result
from videostyle.pipeline.run import run
from videostyle.settings import Settings, SpreadSettings


@dataclass(frozen=True)
class ProcessOpener:
    """Processes of this machine."""

    where: list[Place]

    @property
    def room(self) -> int:
        return len(self.where)

    def memory_gib(self, prepared: Prepared) -> float | None:
        return None  # a place has its share

    def open(self, token: Path, files: Collection[str], logs: Path) -> Engine:
        return ProcessEngine(self.where, logs)

    def close(self) -> None: ...


def run_spread(request: Request, settings: SpreadSettings, callbacks: Callbacks | None = None) -> Result:
    """`pipeline.run.run` for one clip, its shots painted by many workers; equal to the bit on the same kind of machine.

    Raises VideoStyleError; finished shots are kept, and the same call goes on, on other workers too.
    """
    callbacks = callbacks or Callbacks()
    found = opener_of(settings, request.settings)
    opener = found or ProcessOpener(places("1", request.settings.device))

    def local(request: Request) -> Result:
        stored.fetch(directory_of(request.place), restart=request.run.restart)
        alone = found is None and settings.longest_shot is None
        if alone and (request.run.restart or not is_planned(request.place)):
            return run(request, callbacks)
        return _run_in_shots(stored, opener, callbacks, settings.longest_shot, request)

    with closing(opener), StoredShots(request.output) as stored:
        result = with_files(request, local)
        if not request.run.partial:
            stored.remove()
        return result


def opener_of(spread: SpreadSettings, settings: Settings) -> Opener | None:
    """The workers that were asked for; None for this process, as `auto` is on a CPU. Raises VideoStyleError."""
    if spread.ray is not None:
        from videostyle.cluster.ray_engine import RayOpener

        return RayOpener(spread, settings)
    where = places(spread.workers or "auto", settings.device)
    if spread.workers in (None, "auto") and len(where) == 1:
        return None
    return ProcessOpener(where)


def _run_in_shots(
    stored: StoredShots, opener: Opener, callbacks: Callbacks, longest_seconds: float | None, request: Request
) -> Result:
    clip = begin(request, opener, callbacks, longest_seconds)
    with clip.folder as folder:
        if not request.run.partial:
            stored.put(folder.path, folder.path / PLAN)
        paint([clip], opener, callbacks, folder.logs, lambda path: stored.put(folder.path.absolute(), path))
        result = clip.join(callbacks)
    if len(clip.shots) == 1 and not request.run.partial:
        words = "the clip is one shot, which one worker paints: more of them help a clip with cuts, or several clips"
        result = replace(result, notices=(*result.notices, words))
    return result
