"""Clips, styles and outputs with URLs: fetched whole, put up whole, refused in one line. Only the loopback is used."""

import functools
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from videostyle.cli.main import main
from videostyle.errors import MediaError, MissingLibraryError, StoppedError, UsageError
from videostyle.pipeline import remote
from videostyle.pipeline.remote import StoredShots, fetched, is_remote, with_files
from videostyle.pipeline.request import Callbacks, Request
from videostyle.pipeline.run import run
from videostyle.samples import sample
from videostyle.settings import MediaSettings, Settings

fsspec = pytest.importorskip("fsspec", reason="fsspec comes with torch")


@pytest.fixture(autouse=True)
def _scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv(remote.SCRATCH, str(tmp_path / "scratch"))


@pytest.fixture
def store() -> Iterator[Any]:
    """Object storage in memory, with a clip and a style."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    for name in ("clip.mp4", "styles/brush.jpg"):
        system.put_file(str(sample(name)), f"/films/{Path(name).name}")
    yield system
    system.store.clear()


def request(**changes: Any) -> Request:
    asked = Request(
        "video",
        "memory://films/clip.mp4",
        "memory://films/brush.jpg",
        "memory://out/painted.mp4",
        Settings(iterations=2),
        MediaSettings(size=48, duration_seconds=0.1),
    )
    return replace(asked, **changes)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("s3://a/b.mp4", True),
        ("https://a/b.mp4", True),
        ("a:b.mp4", False),
        ("file://a", False),
        (Path("s3:/a"), False),
    ],
)
def test_what_a_url_is(path: object, expected: bool) -> None:
    assert is_remote(path) is expected


def test_a_clip_and_a_style_are_fetched_and_the_output_put_up(store: Any, tmp_path: Path) -> None:
    result = run(request())
    assert result.url == "memory://out/painted.mp4"
    local = run(
        Request(
            "video",
            sample("clip.mp4"),
            sample("styles/brush.jpg"),
            tmp_path / "painted.mp4",
            Settings(iterations=2),
            MediaSettings(size=48, duration_seconds=0.1),
        )
    )
    assert store.cat("/out/painted.mp4") == local.output.read_bytes()
    assert not list((tmp_path / "scratch").iterdir())


def test_a_run_that_is_stopped_goes_on(store: Any) -> None:
    with pytest.raises(StoppedError):
        run(request(), Callbacks(should_stop=lambda: True))
    assert not store.exists("/out/painted.mp4")
    assert run(request()).restored == 1 and store.exists("/out/painted.mp4")


@pytest.fixture
def expired(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be put up, once."""
    left = ["credentials"]
    put = type(store).put_file

    def refused(self: Any, *arguments: Any, **more: Any) -> None:
        if left:
            raise PermissionError(f"Expired {left.pop()}")
        put(self, *arguments, **more)

    monkeypatch.setattr(type(store), "put_file", refused)


def test_an_output_that_could_not_be_put_up_is_not_painted_again(store: Any, tmp_path: Path, expired: None) -> None:
    painted: list[int] = []
    told = Callbacks(on_progress=lambda progress: painted.append(progress.frame))
    with pytest.raises(MediaError, match="Expired credentials"):
        run(request(), told)
    assert painted and not store.exists("/out/painted.mp4")
    painted.clear()
    with pytest.raises(UsageError, match="setting seed was 0, is 1; give the same again, or --restart"):
        run(request(settings=Settings(iterations=2, seed=1)), told)
    result = run(request(), told)
    assert not painted and result.url == "memory://out/painted.mp4" and result.frames == 3
    assert store.exists("/out/painted.mp4") and not list((tmp_path / "scratch").iterdir())


def test_a_picture_that_could_not_be_put_up_is_painted_again(store: Any, tmp_path: Path, expired: None) -> None:
    asked = request(kind="image", source="memory://films/brush.jpg", output="memory://out/painted.png")
    with pytest.raises(MediaError, match="Expired credentials"):
        run(asked)
    assert run(asked).frames == 1 and store.exists("/out/painted.png") and not list((tmp_path / "scratch").iterdir())


def test_a_part_leaves_the_frames_for_the_rest(store: Any) -> None:
    asked: list[bool] = []
    with pytest.raises(StoppedError):
        run(request(), Callbacks(should_stop=lambda: asked.append(True) or len(asked) > 1))
    part = request().run.replace(partial=True)
    assert run(request(run=part)).frames == 2 and store.exists("/out/painted.mp4")
    whole = run(request(media=request().media.replace(overwrite=True)))
    assert (whole.frames, whole.restored) == (3, 2)


class TestStoredShots:
    """What is copied beside an output until it is there."""

    URL = "memory://out/painted.mp4"

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A plan and a finished shot."""
        shot = tmp_path / "run" / "shots" / "shot-00000"
        shot.mkdir(parents=True)
        for path in (tmp_path / "run" / "plan.json", shot / "frames", shot / "journal"):
            path.write_text(path.name)
        return tmp_path / "run"

    def store(self, folder: Path) -> None:
        with StoredShots(self.URL) as stored:
            stored.put(folder, folder / "plan.json")
            stored.put(folder, folder / "shots" / "shot-00000")

    def test_another_machine_finds_them(self, store: Any, folder: Path, tmp_path: Path) -> None:
        self.store(folder)
        with StoredShots(self.URL) as stored:
            stored.fetch(tmp_path / "other", restart=False)
            found = {path.relative_to(tmp_path / "other") for path in (tmp_path / "other").rglob("*")}
            assert found == {path.relative_to(folder) for path in folder.rglob("*")}
            assert (tmp_path / "other" / "shots" / "shot-00000" / "frames").read_text() == "frames"
            (tmp_path / "other" / "plan.json").write_text("own")
            stored.fetch(tmp_path / "other", restart=False)
            assert (tmp_path / "other" / "plan.json").read_text() == "own"  # what is there already is its own

    def test_they_go(self, store: Any, folder: Path, tmp_path: Path) -> None:
        for away in (StoredShots.remove, lambda stored: stored.fetch(tmp_path / "new", restart=True)):
            self.store(folder)
            assert store.exists("/out/painted.mp4.videostyle/plan.json")
            with StoredShots(self.URL) as stored:
                away(stored)
            assert not store.exists("/out/painted.mp4.videostyle") and not (tmp_path / "new").exists()

    def test_what_cannot_be_stored_stops_nothing(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refused(url: str) -> None:
            raise PermissionError("Access denied")

        monkeypatch.setattr(fsspec.core, "url_to_fs", refused)
        self.store(folder)
        words = r"^stopped; finished shots could not be stored: .*Access denied"
        with pytest.raises(StoppedError, match=words), StoredShots(self.URL) as stored:
            stored.put(folder, folder / "plan.json")
            raise StoppedError("stopped")

    def test_files_are_stored_nowhere_else(self, store: Any, folder: Path, tmp_path: Path) -> None:
        with StoredShots(tmp_path / "painted.mp4") as stored:
            stored.put(folder, folder / "plan.json")
            stored.fetch(tmp_path / "other", restart=True)
            stored.remove()
        assert not store.find("/out") and not (tmp_path / "other").exists()


def test_an_output_that_is_there_is_kept_unless_told(store: Any) -> None:
    store.pipe("/out/painted.mp4", b"precious")
    with pytest.raises(UsageError, match=r"memory://out/painted\.mp4 exists already.*--overwrite"):
        run(request())
    assert store.cat("/out/painted.mp4") == b"precious"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"output": "https://example.invalid/out.mp4"}, "can be read only"),
        ({"output": "memory://out/"}, "is a folder"),
        ({"record_to": "memory://out/run.json"}, "the record cannot go to"),
    ],
)
def test_places_that_cannot_be_written(store: Any, changes: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        run(request(**changes))


def test_a_clip_that_is_not_there_is_one_line(store: Any) -> None:
    with pytest.raises(MediaError, match=r"memory://films/none\.mp4 cannot be reached .*your credentials"):
        run(request(source="memory://films/none.mp4"))


def test_a_library_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(url: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(MissingLibraryError, match=r"s3:// needs another library .*videostyle\[cloud\]"):
        fetched("s3://films/clip.mp4", tmp_path)


def test_credentials_that_are_missing_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(url: str) -> None:
        raise PermissionError("Unable to locate\ncredentials")

    monkeypatch.setattr(fsspec.core, "url_to_fs", refused)
    with pytest.raises(MediaError) as caught:
        fetched("s3://films/clip.mp4", tmp_path)
    assert "Unable to locate credentials" in str(caught.value) and "\n" not in str(caught.value)


def test_a_clip_of_the_web(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="http:// needs aiohttp: pip install 'videostyle[cloud]'")
    folder = str(sample("clip.mp4").parent)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/clip.mp4"
        copy = Path(fetched(url, tmp_path))
        assert copy.read_bytes() == sample("clip.mp4").read_bytes() and copy.suffix == ".mp4"
        with pytest.raises(MediaError, match=r"none\.mp4 cannot be reached"):
            fetched(url.replace("clip", "none"), tmp_path)
        server.shutdown()


def test_files_are_left_alone(tmp_path: Path) -> None:
    plain = Request("video", "clip.mp4", "style.jpg", "out.mp4")
    seen: list[Request] = []
    with pytest.raises(StopIteration):
        with_files(plain, lambda asked: (seen.append(asked), next(iter(())))[1])
    assert seen == [plain]


def test_several_clips_are_files(capsys: pytest.CaptureFixture[str]) -> None:
    style = str(sample("styles/brush.jpg"))
    assert main(["video", "s3://films/a.mp4", "b.mp4", "--style", style]) == 2
    assert main(["video", "a.mp4", "b.mp4", "--style", style, "-o", "s3://films/"]) == 2
    assert capsys.readouterr().err.count("is for one clip in one style") == 2
