"""As much of ComfyUI's interface as the nodes use, by the names and shapes of ComfyUI 0.3.64: `comfy_api.latest`,
`comfy.utils`, `comfy.model_management` and `folder_paths`. ComfyUI itself is no package that could be installed."""

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

NODES = Path(__file__).parents[2] / "integrations" / "comfyui"


class InterruptProcessingException(Exception):  # noqa: N818 (ComfyUI's name)
    """The cancel button."""


class ComfyUI:
    """What the nodes told it: ``bars``, each a list of (value, total, whether there was a preview)."""

    def __init__(self, output: Path) -> None:
        self.output, self.interrupted, self.unloaded, self.device = output, False, 0, "cpu"
        self.bars: list[list[tuple[int, int, bool]]] = []
        self.cancels_at: int | None = None  # a value of the bar

    def modules(self) -> dict[str, ModuleType]:
        utils, management = ModuleType("comfy.utils"), ModuleType("comfy.model_management")
        comfy, folders = ModuleType("comfy"), ModuleType("folder_paths")
        api, latest = ModuleType("comfy_api"), ModuleType("comfy_api.latest")
        utils.ProgressBar = lambda total, node_id=None: Bar(self)
        management.processing_interrupted = lambda: self.interrupted
        management.throw_exception_if_processing_interrupted = self._throw
        management.get_torch_device = lambda: SimpleNamespace(type=self.device)
        management.unload_all_models = self._unload
        folders.get_output_directory = lambda: str(self.output)
        latest.io, latest.ComfyExtension = Io, type("ComfyExtension", (), {})
        latest.Input = SimpleNamespace(Video=object)
        latest.InputImpl = SimpleNamespace(VideoFromFile=VideoFromFile)
        comfy.utils, comfy.model_management, api.latest = utils, management, latest
        return {m.__name__: m for m in (comfy, utils, management, folders, api, latest)}

    def _throw(self) -> None:
        if self.interrupted:
            self.interrupted = False
            raise InterruptProcessingException

    def _unload(self) -> None:
        self.unloaded += 1


class Bar:
    def __init__(self, comfyui: ComfyUI) -> None:
        self._comfyui = comfyui
        comfyui.bars.append([])

    def update_absolute(self, value: int, total: int | None = None, preview: Any = None) -> None:
        assert preview is None or (preview[0] == "JPEG" and preview[1].mode == "RGB" and preview[2] > 0)
        self._comfyui.bars[-1].append((value, total or 0, preview is not None))
        if value == self._comfyui.cancels_at:
            self._comfyui.interrupted = True


class Put:
    """An input or output of a node."""

    def __init__(self, kind: str, name: str | None = None, *, display_name: str = "", **known: Any) -> None:
        allowed = {"optional", "tooltip", "default", "min", "max", "step", "options", "multiline"}
        assert set(known) <= allowed, set(known) - allowed
        self.kind, self.id, self.known = kind, name, known


def _type(kind: str) -> SimpleNamespace:
    return SimpleNamespace(
        Input=lambda name, **known: Put(kind, name, **known), Output=lambda **known: Put(kind, **known)
    )


class Io:
    Input = Put
    Image, Mask, Video = _type("IMAGE"), _type("MASK"), _type("VIDEO")
    Combo, Int, Float = _type("COMBO"), _type("INT"), _type("FLOAT")
    String, Boolean = _type("STRING"), _type("BOOLEAN")
    ComfyNode = type("ComfyNode", (), {})
    Schema = SimpleNamespace

    class NodeOutput:
        def __init__(self, *values: Any) -> None:
            self.args = values


class VideoFromFile:
    """``seconds``: of the clip, where it is trimmed to its beginning."""

    def __init__(self, file: str, seconds: float | None = None) -> None:
        self.file, self._seconds, self.saved = file, seconds, 0

    def get_stream_source(self) -> str:
        return self.file

    def get_duration(self) -> float:
        import av

        with av.open(self.file) as container:
            return self._seconds or container.duration / av.time_base

    def save_to(self, path: str) -> None:
        self.saved += 1
        shutil.copy(self.file, path)


class VideoFromComponents:
    """A clip that is no file: ``save_to`` makes one."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def save_to(self, path: str) -> None:
        shutil.copy(self._file, path)


def load(comfyui: ComfyUI, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The nodes, as ComfyUI loads a folder of custom nodes."""
    for name, module in comfyui.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    for name in [name for name in sys.modules if name.startswith("stubbed_nodes")]:
        monkeypatch.delitem(sys.modules, name)
    spec = importlib.util.spec_from_file_location("stubbed_nodes", NODES / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "stubbed_nodes", module)
    with torch.inference_mode():
        spec.loader.exec_module(module)
    return module
