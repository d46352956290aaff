"""Clips, pictures and masks of a studio's folder, told apart by the hash of their bytes; nothing is named by a user."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from videostyle.errors import TooLargeError, UnknownError, UsageError
from videostyle.files import read_record, sync_file, wording_failures, write_json
from videostyle.pipeline.worker_process import WorkerProcess
from videostyle.samples import sample_names, samples_folder

ENDINGS = (
    *(".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif", ".m4v", ".mpg", ".ts"),
    *(".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"),
)
ROLES = ("clip", "painting", "mask")
LONGEST_NAME, ID_DIGITS = 120, 16
NEEDED = ("id", "kind", "name", "painting")  # keys of an entry
Entry = dict[str, Any]


class Store:
    """The folder ``media``: a file and its entry, a JSON of the same name, for each. ``most``: bytes of an upload."""

    def __init__(self, folder: Path, worker: WorkerProcess, most: int) -> None:
        self._folder, self._worker, self._most = folder, worker, most
        folder.mkdir(exist_ok=True)
        for left in folder.glob("*.part"):
            left.unlink()
        samples = [_entry_of_sample(name) for name in sample_names() if not name.endswith(".toml")]
        self._entries: dict[str, Entry] = {entry["id"]: entry for entry in samples}
        for file in sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime):
            entry = read_record(file, NEEDED)
            if entry is not None and self._file(entry).is_file():
                self._entries[entry["id"]] = entry

    def _file(self, entry: Entry) -> Path:
        if "sample" in entry:
            return samples_folder() / entry["sample"]
        return self._folder / (entry["id"] + entry.get("ending", ".bin"))

    def list(self) -> list[Entry]:
        """All entries, without what is long."""
        return [{k: v for k, v in e.items() if k not in ("times", "waveform")} for e in self._entries.values()]

    def known(self, name: str) -> Entry:
        """The entry as it is. Raises UnknownError."""
        if name not in self._entries:
            raise UnknownError(f"there is no picture or clip {name[:40]!r} here; upload it first")
        return self._entries[name]

    async def entry(self, name: str) -> Entry:
        """The entry with all that is known of it: a sample is looked at when it is first asked for."""
        entry = self.known(name)
        if "width" not in entry:
            self._keep(await self._worker.ask("facts", path=str(self._file(entry))) | entry)
        return self._entries[name]

    def path(self, name: str) -> Path:
        """Where the file of an id lies. Raises UnknownError."""
        return self._file(self.known(name))

    def called(self, path: str) -> str:
        """The id of the newest file that was uploaded under the name of ``path``, or is it. Raises UsageError."""
        name = path.replace("\\", "/").rpartition("/")[2]
        found = [entry["id"] for entry in self._entries.values() if name in (entry["name"], entry["id"])]
        if not found:
            raise UsageError(f"the look names {path[-80:]}, which is not here; upload it first, then the look")
        return found[-1]

    async def add(self, chunks: AsyncIterator[bytes], name: str, role: str) -> Entry:
        """Stream an upload to the disk and look at it. ``role``: one of `ROLES`.

        Raises UsageError for what is no clip or picture, TooLargeError, NoRoomError; nothing is left of it then.
        """
        if role not in ROLES:
            raise UsageError(f"role is {role[:20]!r}; it can be {', '.join(ROLES)}")
        ending = next((e for e in ENDINGS if name.lower().endswith(e)), ".bin")
        spoken = "".join(c for c in name if c.isprintable() and c not in "/\\")[-LONGEST_NAME:] or "unnamed"
        part = self._folder / f"{secrets.token_hex(8)}.part"
        try:
            with wording_failures(spoken):
                made = await self._receive(chunks, part, role)
                await asyncio.to_thread(sync_file, part)
            if made not in self._entries:
                found = await self._worker.ask("facts", path=str(part), spoken={str(part): spoken})
                if role != "clip" and found["kind"] == "clip":
                    raise UsageError(f"{spoken} is a clip; expected a picture")
                kind = "mask" if role == "mask" else found["kind"]
                shown = {"name": spoken, "ending": ending, "painting": role == "painting", "kind": kind}
                self._keep(found | shown | {"id": made})
                part.replace(self._folder / (made + ending))
            return self._entries[made]
        finally:
            part.unlink(missing_ok=True)

    async def _receive(self, chunks: AsyncIterator[bytes], part: Path, role: str) -> str:
        """Write what comes to ``part``; the id is the hash of it and of its role. Raises TooLargeError."""
        digest, size = hashlib.sha256(role.encode()), 0
        with part.open("wb") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > self._most:
                    raise TooLargeError(f"the file has more than {self._most >> 20} MiB, which is the limit here")
                digest.update(chunk)
                file.write(chunk)
        return digest.hexdigest()[:ID_DIGITS]

    def _keep(self, entry: Entry) -> None:
        write_json(self._folder / f"{entry['id']}.json", entry, durable=True)
        self._entries[entry["id"]] = entry

    def forget_masks(self, kept: str) -> None:
        """Remove the masks that ``kept`` does not name: every stroke of a brush leaves one."""
        for name, entry in [*self._entries.items()]:
            if entry["kind"] == "mask" and "sample" not in entry and name not in kept:
                self.remove(name)

    def remove(self, name: str) -> None:
        """Forget an upload. Raises UsageError for a sample."""
        entry = self.known(name)
        if "sample" in entry:
            raise UsageError(f"{entry['name']} is a sample, which stays")
        (self._folder / f"{name}.json").unlink(missing_ok=True)
        self._file(entry).unlink(missing_ok=True)
        del self._entries[name]


def _entry_of_sample(name: str) -> Entry:
    kind = "clip" if name.endswith(".mp4") else "mask" if name.startswith("looks/") else "picture"
    made = hashlib.sha256(f"sample {name}".encode()).hexdigest()[:ID_DIGITS]
    return {"id": made, "kind": kind, "name": Path(name).name, "sample": name, "painting": name.startswith("styles/")}
