"""One shot of a clip at a time, for a scheduler that only starts commands: Slurm's arrays, Kubernetes' indexed jobs."""

import time
from dataclasses import replace
from pathlib import Path

from videostyle.checkpoint.run_directory import directory_of
from videostyle.cluster.clip import planning
from videostyle.cluster.folder import BusyError, ShotsFolder, asked, read_plan, refuse_other, shots_in
from videostyle.cluster.prepare import absolute, prepare
from videostyle.errors import MediaError, UsageError
from videostyle.pipeline.request import Callbacks, Request
from videostyle.pipeline.shot import Shot, shots_of, stylise_shot
from videostyle.settings import MediaSettings, Settings
from videostyle.settings.look import as_look

BUSY_SECONDS = 1.0  # between two looks at whether another process has made the plan


def plan_once(
    request: Request, callbacks: Callbacks | None = None, longest_seconds: float | None = None
) -> tuple[list[Shot], Request]:
    """(the shots of a request's clip, the request as it is fixed for all workers), planned where nobody has yet.

    The plan is kept in ``OUT.videostyle``, where `cluster.run.run_spread` finds it and the shots.
    ``longest_seconds``: see `pipeline.shot.plan_shots`. Raises VideoStyleError.
    """
    callbacks = callbacks or Callbacks()
    while (found := _planned(request, longest_seconds)) is None:
        prepared = prepare(request, callbacks)
        try:
            folder = ShotsFolder(
                prepared.job.output.path, prepared.provenance, request.run.replace(keep=True), longest_seconds
            )
        except BusyError:
            time.sleep(BUSY_SECONDS)
            continue
        try:
            if not folder.plan:
                shots = shots_of(prepared.job, planning(callbacks), longest_seconds)
                folder.keep_plan(shots, request, prepared.fixed(folder.path.absolute()))
        finally:
            folder.release(keep=True)
    return found


def paint_one(
    request: Request, number: int, callbacks: Callbacks | None = None, longest_seconds: float | None = None
) -> Path:
    """Paint shot ``number``, from 0, of a request's clip; returns its folder. Raises VideoStyleError."""
    callbacks = callbacks or Callbacks()
    shots, fixed = plan_once(request, callbacks, longest_seconds)
    if not 0 <= number < len(shots):
        raise UsageError(f"shot is {number}; the clip has {len(shots)}, numbered from 0: see videostyle shot --list")
    folder = directory_of(Path(fixed.place)) / "shots"
    return stylise_shot(shots[number], fixed, folder, callbacks.should_stop, None, callbacks.on_progress)


def _planned(request: Request, longest_seconds: float | None) -> tuple[list[Shot], Request] | None:
    plan = read_plan(request.place)
    if plan is None or not plan["shots"]:
        return None
    try:
        refuse_other(directory_of(request.place), plan["asked"], asked(request, longest_seconds))
    except OSError as error:
        raise MediaError(f"{error.filename} cannot be read ({error.strerror}); all machines must see it") from error
    settings = Settings.from_mapping(plan["settings"]).replace(memory=request.settings.memory)
    place = absolute(str(request.place)) + ("/" if str(request.place).endswith("/") else "")
    own = replace(request, source=absolute(str(request.source)), output=place, settings=settings)
    style = as_look(request.style).with_paths(absolute)
    return shots_in(plan), replace(own, style=style, media=MediaSettings.from_mapping(plan["media"]))
