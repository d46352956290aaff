"""Clips, styles and outputs on object storage or the web: fetched whole before a run, put up whole after it.

Everything between works on files. Only text that begins with one of SCHEMES is a URL; only this file knows fsspec.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from videostyle.checkpoint.run_directory import ENDING, PLAN, is_published
from videostyle.errors import MediaError, MissingLibraryError, UsageError, VideoStyleError
from videostyle.pipeline.request import Request, Result
from videostyle.settings.look import as_look

SCHEMES = ("s3://", "gs://", "gcs://", "az://", "abfs://", "http://", "https://", "memory://")
SCRATCH = "VIDEOSTYLE_SCRATCH"  # environment variable: the folder of local copies and of what is painted


def is_remote(path: object) -> bool:
    """Whether this is a URL."""
    return isinstance(path, str) and path.startswith(SCHEMES)


def has_remote(request: Request) -> bool:
    """Whether a request names anything but files."""
    return any(map(is_remote, (request.source, request.output, *_pictures(request))))


def with_files(request: Request, run: Callable[[Request], Result]) -> Result:
    """``run`` of a request with local copies of what its URLs name; an output with a URL is put up when it is whole.

    The copies are in a folder of their own, where the same request finds them again, and the finished frames; also the
    whole output, where that could not be put up. Raises UsageError for a place that cannot be written, MediaError for
    one that cannot be reached, and what ``run`` raises.
    """
    if not has_remote(request):
        return run(request)
    output = request.output if is_remote(request.output) else None
    if output is not None:
        _check_output(str(output), overwrite=request.media.overwrite)
    if is_remote(request.record_to):
        raise UsageError(f"the record cannot go to {request.record_to}; name a file of this machine")
    folder = scratch_folder(request)
    try:
        source = fetched(request.source, folder)
        style: Any = request.style
        if request.kind != "copy":
            style = as_look(request.style).with_paths(lambda path: str(fetched(path, folder)))
    except VideoStyleError:
        if not any(path.is_file() for path in folder.rglob("*")):  # nothing was fetched
            shutil.rmtree(folder, ignore_errors=True)
        raise
    own = replace(request, source=source, style=style)
    if output is None:
        result = run(own)
        shutil.rmtree(folder, ignore_errors=True)
        return result
    result = _put_up(own, str(output), folder / Path(str(output)).name, run)
    if not (request.run.partial or request.run.keep):
        shutil.rmtree(folder, ignore_errors=True)
    return result


def _put_up(request: Request, url: str, local: Path, run: Callable[[Request], Result]) -> Result:
    """``run``, its output put up from ``local``. The run directory is kept until then: it says what the output was made
    from, so that the same request goes on with that, and another one is refused."""
    if request.run.restart or not is_published(local):  # a picture, or a part of a clip, that could not be put up
        local.unlink(missing_ok=True)
    result = run(replace(request, output=local, run=request.run.replace(keep=True)))
    with _reaching(url) as (system, path):
        system.put_file(str(result.output), path)
    local.unlink()
    return replace(result, url=url)


class StoredShots:
    """Finished shots, copied beside an output on object storage as they come: ``URL.videostyle``, until it is there.

    A context manager; it does nothing for an ``output`` that is a file. Copies are made in a thread of its own. What
    cannot be stored stops no run; where one ends without its output, the error says that too.
    """

    def __init__(self, output: str | Path | None) -> None:
        self._url = f"{output}{ENDING}" if is_remote(output) else None
        self._copying = ThreadPoolExecutor(1, "stored")
        self._problem = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._copying.shutdown()
        if self._problem and isinstance(error, VideoStyleError):
            raise type(error)(f"{error}; {self._problem}") from error

    def fetch(self, folder: Path, *, restart: bool) -> None:
        """Copy to ``folder`` what another machine has left, unless something is there; ``restart``: take it away.

        Raises MediaError.
        """
        if restart:
            self.remove()
        if self._url is None or (folder / PLAN).exists():
            return
        with _reaching(self._url) as (system, path):
            names = system.find(path) if system.exists(path) else []
            for name in sorted(names, key=lambda name: name.endswith(PLAN)):  # the plan last: all is there then
                place = folder / name.removeprefix(path).lstrip("/")
                place.parent.mkdir(parents=True, exist_ok=True)
                system.get_file(name, str(place))

    def put(self, folder: Path, path: Path) -> None:
        """Copy a file of ``folder``, or a folder of files in it, as soon as what came before is copied."""
        if self._url is not None:
            self._copying.submit(self._put, self._url, folder, path)

    def _put(self, url: str, folder: Path, path: Path) -> None:
        try:
            with _reaching(url) as (system, remote):
                for file in sorted(path.iterdir()) if path.is_dir() else [path]:
                    system.put_file(str(file), f"{remote}/{file.relative_to(folder).as_posix()}")
        except VideoStyleError as error:
            self._problem = f"finished shots could not be stored: {error}"

    def remove(self) -> None:
        """Take them away. Raises MediaError."""
        if self._url is not None:
            self._copying.shutdown(cancel_futures=True)
            self._copying = ThreadPoolExecutor(1, "stored")
            with _reaching(self._url) as (system, path):
                if system.exists(path):
                    system.rm(path, recursive=True)


def scratch_folder(request: Request) -> Path:
    """The local folder of a request. Raises UsageError."""
    named = "\n".join(map(str, (request.source, request.place, *_pictures(request))))
    base = os.environ.get(SCRATCH) or tempfile.gettempdir()
    folder = Path(base) / f"videostyle-{hashlib.sha256(named.encode()).hexdigest()[:16]}"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"{base} cannot hold local copies ({error.strerror}); set {SCRATCH} to a folder") from error
    return folder


def fetched(path: str | Path, folder: Path) -> str | Path:
    """A local copy of a URL, in ``folder``; a path is what it is. Raises MediaError."""
    if not is_remote(path):
        return path
    url = str(path)
    name = url.partition("?")[0].rstrip("/").rpartition("/")[2]
    place = folder / hashlib.sha256(url.encode()).hexdigest()[:8] / name  # under its own name, which records tell
    place.parent.mkdir(exist_ok=True)
    with _reaching(url) as (system, remote):
        size = system.info(remote).get("size")
        if not (place.is_file() and size is not None and place.stat().st_size == size):
            part = place.with_name(f".{place.name}.{os.getpid()}.part")
            try:
                system.get_file(remote, str(part))
                part.replace(place)
            finally:
                with suppress(OSError):
                    part.unlink()
    return place


def _pictures(request: Request) -> tuple[str, ...]:
    return () if request.kind == "copy" else as_look(request.style).paths


def _check_output(url: str, *, overwrite: bool) -> None:
    if url.startswith(("http://", "https://")):
        raise UsageError(f"{url} can be read only; name a file, or a place on object storage")
    if url.endswith("/"):
        raise UsageError(f"{url} is a folder, which would not appear in one step; name a file such as {url}out.mp4")
    with _reaching(url) as (system, path):
        there = system.exists(path)
    if there and not overwrite:
        raise UsageError(f"{url} exists already; choose another name or say --overwrite")


@contextmanager
def _reaching(url: str) -> Iterator[tuple[Any, str]]:
    """(fsspec's file system of a URL, the path there), and whatever it raises in one line."""
    try:
        import fsspec

        yield fsspec.core.url_to_fs(url)
    except VideoStyleError:
        raise
    except ImportError as error:
        words = f"{url.partition(':')[0]}:// needs another library ({error})"
        raise MissingLibraryError(f"{words}: pip install 'videostyle[cloud]'") from error
    except Exception as error:  # every provider has errors of its own
        words = " ".join(f"{type(error).__name__}: {error}".split())
        raise MediaError(f"{url} cannot be reached ({words[:300]}); check its name and your credentials") from error
