"""Downloads of weights: a file reaches its place only whole and with the right hash."""

import http.client
import os
import urllib.request
from collections.abc import Callable
from pathlib import Path

from videostyle.errors import WeightsError
from videostyle.files import sha256_of

DownloadProgress = Callable[[int, int | None], None]  # bytes so far, bytes in all where known
CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 30


def torchvision_url() -> str:
    """Where torchvision publishes VGG-19; imported here because it takes a second."""
    from torchvision.models import VGG19_Weights

    return VGG19_Weights.IMAGENET1K_V1.url


def fetch(
    url: str, path: Path, hash_prefix: str, on_progress: DownloadProgress | None = None, option: str = "--weights"
) -> None:
    """Download ``url`` to ``path`` whole and with the right sha256, or raise WeightsError and leave no such file.

    An interrupted download stays beside ``path`` as ``.part``; the next call continues it.
    ``option``: what a file of one's own is given with.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _download(url, part, on_progress)
    except (OSError, http.client.HTTPException, ValueError) as e:  # URLError is an OSError
        raise WeightsError(
            f"{path.name} could not be fetched from {url}: {e}; run again to go on, or use {option}"
        ) from e
    found = sha256_of(part)
    if not found.startswith(hash_prefix):
        part.unlink()
        raise WeightsError(
            f"{path.name} came with sha256 {found[:16]}..., expected {hash_prefix}...; the file was removed, try again"
        )
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def _download(url: str, part: Path, on_progress: DownloadProgress | None) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as e:
        e.close()
        if e.code != 416:  # .part is complete already, or too long: its hash tells
            raise
        return
    with response:
        if response.status != 206:
            have = 0  # the server sends the file from its beginning
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with part.open("ab" if have else "wb") as file:
            while chunk := response.read(CHUNK_BYTES):
                file.write(chunk)
                have += len(chunk)
                if on_progress:
                    on_progress(have, total)
        if total is not None and have < total:
            raise OSError(f"the connection ended after {have} of {total} bytes")
