"""What is kept of clips and pictures when the disk is full, and after a power cut."""

import asyncio
import errno
import json
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from videostyle import files
from videostyle.errors import NoRoomError
from videostyle.pipeline import media_store
from videostyle.pipeline.media_store import Store


class Looker:
    """A worker that takes everything for a picture."""

    async def ask(self, do: str, **_: Any) -> dict[str, Any]:
        return {"kind": "picture", "width": 4, "height": 3}


def store_in(folder: Path) -> Store:
    return Store(folder / "media", Looker(), 1 << 20)  # type: ignore[arg-type]


async def chunks() -> AsyncIterator[bytes]:
    yield b"a picture"


def take_in(store: Store, name: str = "mine.jpg") -> dict[str, Any]:
    return asyncio.run(store.add(chunks(), name, "painting"))


def test_an_upload_survives_a_power_cut(tmp_path, monkeypatch):
    synced: list[str] = []
    monkeypatch.setattr(files, "sync_file", lambda path: synced.append(path.name))
    monkeypatch.setattr(media_store, "sync_file", lambda path: synced.append(path.suffix))
    entry = take_in(store_in(tmp_path))
    assert synced[0] == ".part" and entry["id"] in synced[1], "the file, then its entry"


@pytest.mark.parametrize("what", ["upload", "entry"])
def test_a_full_disk_is_said_and_nothing_is_left(tmp_path, monkeypatch, what):
    def no_room(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = store_in(tmp_path)
    known = store.list()
    monkeypatch.setattr(*((media_store, "sync_file") if what == "upload" else (files, "replacing")), no_room)
    with pytest.raises(NoRoomError, match="the disk is full; make room on it"):
        take_in(store)
    assert list((tmp_path / "media").iterdir()) == [] and store.list() == known


def test_a_damaged_entry_is_set_aside(tmp_path, caplog):
    entry = take_in(store_in(tmp_path))
    damaged = tmp_path / "media" / f"{'0' * 16}.json"
    damaged.write_bytes(b"")
    with caplog.at_level(logging.WARNING, "videostyle"):
        store = store_in(tmp_path)
    assert store.known(entry["id"]) == json.loads((tmp_path / "media" / f"{entry['id']}.json").read_text())
    (words,) = caplog.messages
    assert words == f"{damaged} is damaged; it was set aside as {damaged.name}.damaged" and not damaged.exists()
