"""From the camera to a painted clip: a recording that is kept, then the pipeline as for any clip."""

from collections.abc import Callable
from pathlib import Path

from videostyle.checkpoint.run_directory import directory_of
from videostyle.errors import UsageError
from videostyle.media import camera, publish
from videostyle.media.camera import Camera, list_cameras
from videostyle.media.encode import check_output
from videostyle.media.formats import OutputFormat
from videostyle.media.still import read_picture
from videostyle.pipeline.request import Result
from videostyle.pipeline.video import stylise_video
from videostyle.settings import MediaSettings, RunSettings, Settings
from videostyle.settings.look import Look, as_look

__all__ = ["Camera", "list_cameras", "recording_name", "stylise_webcam"]
MAX_SECONDS = 3600.0


def stylise_webcam(
    style: str | Path | Look,
    output: str | Path,
    seconds: float,
    settings: Settings | None = None,
    media: MediaSettings | None = None,
    *,
    device: str | None = None,
    microphone: str | None = None,
    on_start: Callable[[Camera, Path], None] | None = None,
    on_recorded: Callable[[Path], None] | None = None,
    **options: object,
) -> Result:
    """Record ``seconds`` from the camera ``device`` (FORMAT:DEVICE, default: the first) and paint it.

    The recording stays beside the output (`recording_name`), whatever happens afterwards. ``microphone``: a source of
    sound, FORMAT:DEVICE (alsa:default, pulse:default); by default what the camera's own device gives. ``options`` go to
    `stylise_video`. Raises VideoStyleError.
    """
    media = media or MediaSettings()
    if not 0 < seconds <= MAX_SECONDS:
        raise UsageError(f"seconds is {seconds:g}; it must be above 0 and at most {MAX_SECONDS:g}")
    check_output(OutputFormat.of(output, media))
    for picture in as_look(style).pictures:
        read_picture(picture.picture, longest=64)  # what is wrong with it is said before anyone poses
    recording = recording_name(output)
    run = options.get("run")
    if directory_of(output).exists() and not (isinstance(run, RunSettings) and run.restart):
        same = f"`videostyle video {recording}` and the same options"  # with the recording that it had, not a new one
        raise UsageError(f"a run for {output} was stopped; go on with {same}, or say --restart")
    publish.check_place(recording, overwrite=media.overwrite)
    chosen = camera.choose_camera(device)
    sound = camera.choose_microphone(microphone)
    start = (lambda: on_start(chosen, recording)) if on_start else None
    camera.record(chosen, recording, seconds, microphone=sound, overwrite=media.overwrite, on_start=start)
    if on_recorded:
        on_recorded(recording)
    return stylise_video(recording, style, output, settings, media, **options)  # type: ignore[arg-type]


def recording_name(output: str | Path) -> Path:
    """``OUT-recording.mkv``, beside the output."""
    path = Path(output)
    return path.with_name(f"{path.stem}-recording.mkv")
