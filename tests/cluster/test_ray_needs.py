"""What a task asks of Ray, and what is said where Ray cannot give it. No cluster and no Ray are needed."""

import builtins
import signal
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from videostyle.cluster import ray_nodes
from videostyle.cluster.ray_engine import Needs, RayEngine, RayOpener, needs_of, slots
from videostyle.cluster.ray_nodes import (
    alive,
    check_answer,
    connect,
    first_line,
    import_ray,
    kept_quiet,
    name_of,
    sees,
)
from videostyle.cluster.task import Task
from videostyle.errors import DeviceError, MediaError, MissingLibraryError, UsageError
from videostyle.settings import Settings, SpreadSettings
from videostyle.stylise.memory import GIB
from videostyle.version import __version__

RAY = SpreadSettings(ray="auto")
TOKEN = "/films/out.mp4.videostyle/token-1"


def node(cpus: float, gpus: float = 0.0, number: str = "a" * 56, memory: float = 8e9) -> dict[str, Any]:
    there = {"CPU": cpus, "GPU": gpus, "memory": memory}
    resources = {name: value for name, value in there.items() if value}
    return {"Alive": True, "NodeID": number, "NodeManagerHostname": f"host-{number[:2]}", "Resources": resources}


@pytest.mark.parametrize(
    ("nodes", "settings", "expected", "room"),
    [
        ([node(8)], RAY, Needs(8, 0), 1),
        ([node(8), node(4), node(16)], RAY, Needs(4, 0), 7),  # all of the smallest one
        ([node(16, gpus=4), node(64)], RAY, Needs(4, 1), 4),  # a GPU's part of its node
        ([node(16, gpus=4)], SpreadSettings(ray="auto", ray_gpus=0.5), Needs(2, 0.5), 8),
        ([node(8)], SpreadSettings(ray="auto", ray_cpus=2), Needs(2, 0), 4),
        ([node(16, gpus=2)], SpreadSettings(ray="auto", ray_gpus=0), Needs(16, 0), 1),
    ],
)
def test_a_tasks_share(nodes: list, settings: SpreadSettings, expected: Needs, room: int) -> None:
    needs = needs_of(alive(nodes), settings, Settings())
    assert needs == expected and slots(nodes, needs) == room


def test_on_a_cpu_that_was_asked_for_no_gpu_is_taken() -> None:
    assert needs_of([node(8, gpus=1)], RAY, Settings(device="cpu")) == Needs(8, 0)


def test_memory_limits_what_runs_at_a_time() -> None:
    assert slots([node(8, memory=7e9)], Needs(1, 0, round(2e9))) == 3


@pytest.mark.parametrize("nodes", [[], [node(2)], [node(0.5)]])
def test_a_cluster_that_never_could(nodes: list) -> None:
    with pytest.raises(DeviceError, match=r"a task needs 4 CPUs and 0 GPUs.*--ray-cpus"):
        needs_of(alive(nodes), SpreadSettings(ray="auto", ray_cpus=4), Settings())


def test_ray_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name == "ray":
            raise ImportError("No module named 'ray'")
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingLibraryError, match=r"pip install 'videostyle\[ray\]', on all nodes"):
        import_ray()


def test_another_version_is_one_line() -> None:
    def init(**options: Any) -> None:
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.9.0\n    Python: 3.10.1")

    with pytest.raises(UsageError) as caught:
        connect(SimpleNamespace(init=init), "auto")
    words = str(caught.value)
    assert "Ray: 2.9.0 Python: 3.10.1; use one image" in words and "\n" not in words


def test_no_cluster_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**options: Any) -> None:
        raise ConnectionError("Could not find any running Ray instance.")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(UsageError, match=r"no Ray cluster runs here.*ray start --head, or give --ray local"):
        connect(SimpleNamespace(init=init), "auto")


def test_rays_signal_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    given: list[dict] = []

    def init(**options: Any) -> None:
        given.append(options)
        signal.signal(signal.SIGTERM, lambda *_: None)

    connect(SimpleNamespace(init=init), "local")
    assert signal.getsignal(signal.SIGTERM) == before
    assert given[0]["address"] == "local" and given[0]["num_cpus"] >= 1


def test_rays_own_words_are_kept_back_for_a_while() -> None:
    ray = SimpleNamespace(_private=SimpleNamespace(worker=SimpleNamespace(print_to_stdstream=print)))
    with_words = kept_quiet(ray)
    assert ray._private.worker.print_to_stdstream({"lines": ["a page"]}, ignore_prefix=False) is None
    with_words()
    assert ray._private.worker.print_to_stdstream is print


class PretendedRay:
    """Takes note of what is asked of it."""

    def __init__(self, nodes: list) -> None:
        self._nodes, self.options, self.functions = nodes, list[dict](), 0
        self.tasks: list[Task] = []
        self._private = SimpleNamespace(worker=SimpleNamespace(print_to_stdstream=print))

    def is_initialized(self) -> bool:
        return True

    def nodes(self) -> list:
        return self._nodes

    def remote(self, **share: Any) -> Any:
        def options(**more: Any) -> Any:
            self.options.append(share | more)
            return SimpleNamespace(remote=begun)

        def begun(task: Task) -> object:
            self.tasks.append(task)
            return object()

        self.functions += 1
        return lambda function: SimpleNamespace(options=options)


def test_a_node_that_failed_is_left_out_where_there_are_others() -> None:
    from test_spread import task

    good, bad = node(4, number="a" * 56), node(4, number="b" * 56)
    pretended = PretendedRay([good, bad])
    engine = RayEngine(pretended, Needs(4, 0))
    engine.submit(replace(task(0), memory_gib=1000 / GIB), ())
    engine.submit(task(1), [name_of(bad)])
    engine.submit(task(2), [name_of(bad), name_of(good)])
    asked = [options.get("label_selector") for options in pretended.options]
    assert asked == [None, {"ray.io/node-id": f"!in({'b' * 56})"}, None]
    first = pretended.options[0]
    assert pretended.functions == 1
    assert (first["num_cpus"], first["num_gpus"], first["memory"], first["max_retries"]) == (4, 0, 1000, 0)


@pytest.fixture
def one_node(monkeypatch: pytest.MonkeyPatch) -> PretendedRay:
    """A cluster of a node with 4 CPUs, 2 GPUs and 8 GiB."""
    pretended = PretendedRay([node(4, gpus=2, memory=8 * GIB)])
    monkeypatch.setattr("videostyle.cluster.ray_engine.import_ray", lambda: pretended)
    return pretended


def prepared(planned: float, allowed: float | None = None, **settings: Any) -> Any:
    request = SimpleNamespace(settings=Settings(**settings))
    return SimpleNamespace(request=request, planned_bytes=planned * GIB, allowed_bytes=allowed and allowed * GIB)


def test_every_task_has_the_memory_of_its_own_clip(one_node: PretendedRay) -> None:
    from test_spread import task

    opener = RayOpener(SpreadSettings(ray="auto", ray_gpus=0), Settings())
    assert [opener.memory_gib(prepared(gib)) for gib in (1, 4)] == pytest.approx([1.1, 4.4])
    assert opener.memory_gib(prepared(4, allowed=4.2)) == 4.2  # the tiles are those of one process
    assert opener.memory_gib(prepared(4, memory=6.0)) == 6.0
    with pytest.raises(DeviceError, match=r"a task needs about 8\.8 GiB, and the largest node has 8\.0 GiB"):
        opener.memory_gib(prepared(8))
    engine = RayEngine(one_node, Needs(4, 0))
    for gib in (1.0, 4.0):
        engine.submit(replace(task(0), memory_gib=gib), ())
    assert [options["memory"] for options in one_node.options] == [GIB, 4 * GIB]
    assert [begun.memory_gib for begun in one_node.tasks] == [1.0, 4.0]


@pytest.mark.parametrize(("gpus", "share"), [(0.5, 0.5), (1, 1.0), (2, 1.0)])
def test_a_part_of_a_gpu_is_a_part_of_its_memory(gpus: float, share: float, one_node: PretendedRay) -> None:
    from test_spread import task

    assert RayOpener(SpreadSettings(ray="auto", ray_gpus=gpus), Settings()).memory_gib(prepared(500)) is None
    RayEngine(one_node, Needs(2, gpus)).submit(task(0), ())
    assert one_node.tasks[0].memory_share == share and one_node.tasks[0].memory_gib is None


def test_an_address_in_the_environment_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        connect(SimpleNamespace(init=lambda **options: given.append(options)), "auto")
    assert given[0]["address"] == address and "num_cpus" not in given[0]


def test_a_task_does_not_wait_for_a_node_that_has_gone() -> None:
    from test_spread import task

    good, bad = node(4, number="a" * 56), node(4, number="b" * 56)
    pretended, cancelled = PretendedRay([good, bad]), list[object]()
    pretended.cancel = cancelled.append  # type: ignore[attr-defined]
    engine = RayEngine(pretended, Needs(4, 0, 1000))
    engine.submit(task(0), [name_of(bad)])
    assert engine.room and not cancelled
    good["Alive"], engine._looked = False, -1e9
    assert engine.room and len(cancelled) == 1
    assert [options.get("label_selector") is None for options in pretended.options] == [False, True]
    assert list(engine._running.values()) == [task(0)] and not engine._avoided


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (("host-aa", TOKEN, __version__), r"^/films is not shared: node host-aa does not see it; name an output in a"),
        (
            ("host-aa", "/home/a.mp4", __version__),
            r"^/home/a\.mp4 is not shared: node host-aa does not see it; put it in",
        ),
        (
            ("host-aa", "", "0.0.1"),
            r"^node host-aa has videostyle 0\.0\.1 and this machine .*; use one version",
        ),
    ],
)
def test_what_a_node_answers(answer: tuple, words: str) -> None:
    check_answer(Path(TOKEN), "host-aa", "", __version__)
    with pytest.raises(MediaError, match=words):
        check_answer(Path(TOKEN), *answer)


def test_a_node_looks_for_the_clip_and_the_pictures_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_nodes, "here", lambda: "host-aa")
    token, clip = tmp_path / "token-1", tmp_path / "clip.mp4"
    assert sees(token, [str(clip)])[1] == str(token)
    token.touch()
    assert sees(token, [str(clip)])[1] == str(clip)
    clip.touch()
    assert sees(token, [str(clip)]) == ("host-aa", "", __version__)


def test_a_remote_error_is_told_in_one_line() -> None:
    remote = "ray::sees() (pid=1)\n  File x\nModuleNotFoundError: No module named 'videostyle'"
    assert first_line(RuntimeError(remote)) == "ModuleNotFoundError: No module named 'videostyle'"
    assert first_line(RuntimeError("Task was killed.\nmore")) == "Task was killed."
    assert first_line(RuntimeError("")) == "RuntimeError"


def test_a_task_that_was_killed_for_memory_is_begun_again_elsewhere(tmp_path: Path) -> None:
    from test_spread import task

    words = ["Task was killed due to the node running low on memory."]

    class RayError(Exception): ...

    class OutOfMemoryError(RayError): ...

    def get(reference: object) -> None:
        raise OutOfMemoryError("\n".join(words))

    pretended = PretendedRay([node(4)])
    pretended.exceptions = SimpleNamespace(RayError=RayError)  # type: ignore[attr-defined]
    pretended.get, pretended.wait = get, lambda there, **named: (there, [])  # type: ignore[attr-defined]
    engine, lost = RayEngine(pretended, Needs(4, 0)), replace(task(0), logs=tmp_path)
    engine.submit(lost, ())
    lost.log.write_text("2026-11-30 10:00:00 shot 0 of film.mp4 begun on host-aa (aaaaaaaa), process 7\n")
    ((ended, outcome),) = engine.wait(0.0)
    assert ended is lost and outcome.again and outcome.node == name_of(node(4))
    assert outcome.problem == "the worker was killed, as its node ran out of memory"
    lost.log.unlink()  # before it began, there is no log: Ray's words have the node's number, or nothing has
    engine.submit(lost, ())
    assert engine.wait(0.0)[0][1].node == "an unknown node"
    words.append(f"where it ran, ID: {'a' * 56}, was low on memory")
    engine.submit(lost, ())
    assert engine.wait(0.0)[0][1].node == name_of(node(4))
