"""Several clips and several styles: every output by itself, so that one that fails does not stop the others."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from videostyle.checkpoint.run_directory import directory_of
from videostyle.errors import StoppedError, UsageError, VideoStyleError
from videostyle.pipeline.request import Callbacks, Request, Result, default_output
from videostyle.pipeline.run import run
from videostyle.settings import MediaSettings, RunSettings, Settings
from videostyle.settings.look import Look, as_look


@dataclass(frozen=True)
class BatchItemResult:
    """What became of a request: a result, or a problem in words, or neither, where the output was there already."""

    request: Request
    result: Result | None = None
    problem: str = ""


def requests_of(
    clips: Sequence[str],
    styles: Sequence[str | Path | Look],
    folder: Path,
    settings: Settings,
    media: MediaSettings,
    run_settings: RunSettings,
) -> list[Request]:
    """Every clip in every style, in ``folder`` (made where it is missing) as ``CLIP-STYLE.mp4``.

    Raises UsageError where two would have the same name, or the folder cannot be made.
    """
    taken: dict[Path, Request] = {}
    for clip, style in itertools.product(clips, styles):
        output = folder / default_output(clip, style, ".mp4")
        request = Request("video", clip, style, output, settings, media, run_settings)
        other = taken.setdefault(output, request)
        if other is not request:
            named = as_look(other.style).label, as_look(style).label
            both = f"{other.source} with {named[0]} and {clip} with {named[1]}"
            raise UsageError(f"{both} would both become {output}; rename one of them")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made a folder ({error.strerror}); choose another place") from error
    return list(taken.values())


def run_item(request: Request, callbacks: Callbacks | None = None) -> BatchItemResult:
    """`run` for one of several requests, its errors in words; a whole output is left alone. Raises StoppedError."""
    output = Path(request.place)
    if output.exists() and not request.media.overwrite and not directory_of(output).exists():
        return BatchItemResult(request)
    try:
        return BatchItemResult(request, run(request, callbacks))
    except StoppedError:
        raise
    except VideoStyleError as error:
        return BatchItemResult(request, problem=str(error))
    except Exception as error:  # a bug, or a library's: it does not concern the other clips
        return BatchItemResult(request, problem=f"{type(error).__name__}: {error}")
