"""Several clips and several styles: every pair by itself, so that one that fails does not stop the others."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videostyle.checkpoint.run_directory import directory_of
from videostyle.errors import StoppedError, UsageError, VideoStyleError
from videostyle.pipeline.job import Result, default_output
from videostyle.pipeline.video import stylise_video
from videostyle.settings import MediaSettings


@dataclass(frozen=True)
class Pair:
    """A clip, a style, and where the one in the style of the other goes."""

    clip: str
    style: str
    output: Path


@dataclass(frozen=True)
class BatchItemResult:
    """What became of a pair: a result, or a problem in words, or neither, where the output was there already."""

    pair: Pair
    result: Result | None = None
    problem: str = ""


def pairs_of(clips: Sequence[str], styles: Sequence[str], folder: Path) -> list[Pair]:
    """Every clip in every style, in ``folder`` (made where it is missing) as ``CLIP-STYLE.mp4``.

    Raises UsageError where two would have the same name, or the folder cannot be made.
    """
    pairs = [Pair(c, s, folder / default_output(c, s, ".mp4")) for c, s in itertools.product(clips, styles)]
    taken: dict[Path, Pair] = {}
    for pair in pairs:
        other = taken.setdefault(pair.output, pair)
        if other is not pair:
            raise UsageError(
                f"{other.clip} with {other.style} and {pair.clip} with {pair.style} would both become {pair.output}; "
                "rename one of them"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made a folder ({error.strerror}); choose another place") from error
    return pairs


def stylise_pair(pair: Pair, media: MediaSettings, **arguments: Any) -> BatchItemResult:
    """`stylise_video` for one pair, its errors in words; an output that is whole is left as it is.

    Raises StoppedError, as there nothing else should begin either.
    """
    if pair.output.exists() and not media.overwrite and not directory_of(pair.output).exists():
        return BatchItemResult(pair)
    try:
        return BatchItemResult(pair, stylise_video(pair.clip, pair.style, pair.output, media=media, **arguments))
    except StoppedError:
        raise
    except VideoStyleError as error:
        return BatchItemResult(pair, problem=str(error))
    except Exception as error:  # a bug, or a library's: the other clips have nothing to do with it
        return BatchItemResult(pair, problem=f"{type(error).__name__}: {error}")
