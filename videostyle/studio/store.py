"""Clips, pictures and masks of a studio's folder, told apart by the hash of their bytes; nothing is named by a user."""

import hashlib
import json
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from videostyle.errors import UnknownError, UsageError
from videostyle.files import write_json
from videostyle.pipeline.worker_process import WorkerProcess
from videostyle.samples import sample, sample_names

ID = re.compile(r"[0-9a-f]{16}")
ENDINGS = (
    *(".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif", ".m4v", ".mpg", ".ts"),
    *(".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"),
)
LONGEST_NAME = 120


class TooLargeError(UsageError):
    """More bytes than are taken."""


class Store:
    """The folder ``media``: a file and its entry, a JSON of the same name, for each. ``most``: bytes of an upload."""

    def __init__(self, folder: Path, worker: WorkerProcess, most: int) -> None:
        self._folder, self._worker, self._most = folder, worker, most
        folder.mkdir(exist_ok=True)
        for left in folder.glob("*.part"):
            left.unlink()
        self._entries: dict[str, dict[str, Any]] = {}
        for file in sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime):
            entry = json.loads(file.read_text(encoding="utf-8"))
            if self._file(entry).is_file():
                self._entries[entry["id"]] = entry
        for name in sample_names():
            if not name.endswith(".toml"):
                made = hashlib.sha256(f"sample {name}".encode()).hexdigest()[:16]
                kind = "clip" if name.endswith(".mp4") else "mask" if name.startswith("looks/") else "picture"
                role = {"sample": name, "painting": name.startswith("styles/")}
                entry = {"id": made, "kind": kind, "name": Path(name).name, **role}
                self._entries[made] = entry | self._entries.get(made, {})

    def _file(self, entry: dict[str, Any]) -> Path:
        return sample(entry["sample"]) if "sample" in entry else self._folder / (entry["id"] + entry["ending"])

    def list(self) -> list[dict[str, Any]]:
        """All entries, without what is long."""
        return [{k: v for k, v in e.items() if k not in ("times", "waveform")} for e in self._entries.values()]

    def known(self, name: str) -> dict[str, Any]:
        """The entry as it is. Raises UnknownError."""
        if not ID.fullmatch(name) or name not in self._entries:
            raise UnknownError(f"there is no picture or clip {name[:40]!r} here; upload it first")
        return self._entries[name]

    async def entry(self, name: str) -> dict[str, Any]:
        """The entry with all that is known of it, found out where it is not known yet."""
        entry = self.known(name)
        if "width" not in entry:
            found = await self._worker.ask("facts", path=str(self._file(entry)))
            entry.update({key: value for key, value in found.items() if key != "kind"})
            write_json(self._folder / f"{name}.json", entry)
        return entry

    def path(self, name: str) -> Path:
        """Where the file of an id lies. Raises UnknownError."""
        return self._file(self.known(name))

    def called(self, name: str) -> str | None:
        """The id of the newest file that was uploaded under a name, or is it."""
        found = [entry["id"] for entry in self._entries.values() if name in (entry["name"], entry["id"])]
        return found[-1] if found else None

    async def add(self, chunks: AsyncIterator[bytes], name: str, role: str) -> dict[str, Any]:
        """Stream an upload to the disk and look at it. ``role``: clip, painting or mask.

        Raises UsageError for what is no clip or picture, TooLargeError; nothing is left of it then.
        """
        part, digest, size = self._folder / f"{secrets.token_hex(8)}.part", hashlib.sha256(role.encode()), 0
        try:
            with part.open("wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > self._most:
                        raise TooLargeError(f"the file has more than {self._most >> 20} MiB, which is the limit here")
                    digest.update(chunk)
                    file.write(chunk)
            made = digest.hexdigest()[:16]
            if made in self._entries:
                return self._entries[made]
            ending = next((e for e in ENDINGS if name.lower().endswith(e)), ".bin")
            spoken = "".join(c for c in name if c.isprintable() and c not in "/\\")[-LONGEST_NAME:] or "unnamed"
            try:
                found = await self._worker.ask("facts", path=str(part))
            except UsageError as error:
                raise UsageError(str(error).replace(str(part), spoken)) from None
            if role != "clip" and found["kind"] == "clip":
                raise UsageError(f"{spoken} is a clip; expected a picture")
            kind = "mask" if role == "mask" else found["kind"]
            entry = {"id": made, "name": spoken, "ending": ending, "painting": role == "painting"} | found
            part.replace(self._folder / (made + ending))
            self._entries[made] = entry | {"kind": kind}
            write_json(self._folder / f"{made}.json", self._entries[made])
            return self._entries[made]
        finally:
            part.unlink(missing_ok=True)

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
