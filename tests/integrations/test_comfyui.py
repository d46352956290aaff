"""The nodes for ComfyUI, on a stub of its interface (`comfyui_stub.py`): widgets, both nodes, masks, cancelling; and
that what is published with them is true."""

import asyncio
import json
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
import torch
from comfyui_stub import NODES, ComfyUI, InterruptProcessingException, VideoFromComponents, VideoFromFile, load

from videostyle import Settings, VideoStyleError
from videostyle.media.ffmpeg import find_ffmpeg
from videostyle.media.still import read_picture
from videostyle.samples import sample
from videostyle.settings import MediaSettings
from videostyle.settings.form import form

ROOT = Path(__file__).parents[2]
MORE = 'first_init = "palette"\nmin_iterations = 1'
QUICK = {"iterations": 3, "more_settings": MORE, "keyframes": "off"}


@pytest.fixture
def comfyui(tmp_path: Path) -> ComfyUI:
    return ComfyUI(tmp_path / "output")


@pytest.fixture
def nodes(comfyui: ComfyUI, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(comfyui, monkeypatch)


def picture(name: str) -> torch.Tensor:
    """(1, H, W, 3), small."""
    return read_picture(sample(name), longest=96).permute(0, 2, 3, 1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    command = [find_ffmpeg().path, "-v", "error", "-i", str(sample("clip.mp4")), "-t", "0.25", "-s", "64x36", str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path


@pytest.fixture(scope="module")
def frames(clip: Path) -> torch.Tensor:
    """An IMAGE batch: (6, 36, 64, 3)."""
    with av.open(str(clip)) as container:
        arrays = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return torch.from_numpy(np.stack(arrays)).float() / 255


def painted(nodes: ModuleType, *images: torch.Tensor, **more: object) -> torch.Tensor:
    with torch.inference_mode():  # as ComfyUI runs nodes
        (found,) = nodes.nodes.PaintFrames.execute(*images, **(QUICK | more)).args
    return found


def test_the_extension_lists_both_nodes(nodes: ModuleType) -> None:
    extension = asyncio.run(nodes.comfy_entrypoint())
    schemas = [node.define_schema() for node in asyncio.run(extension.get_node_list())]
    assert [s.display_name for s in schemas] == ["Paint video", "Paint frames"]
    assert [[p.kind for p in s.outputs] for s in schemas] == [["VIDEO"], ["IMAGE"]]
    for schema in schemas:
        names = [put.id for put in schema.inputs]
        assert len(names) == len(set(names)) and names[1] == "style"
        assert {p.id for p in schema.inputs if p.known.get("optional")} == {"mask", "mask_style"}


def test_widgets_are_the_settings_that_people_use(nodes: ModuleType) -> None:
    schema = nodes.nodes.PaintVideo.define_schema()
    made = {put.id: put for put in schema.inputs if put.kind not in ("VIDEO", "IMAGE", "MASK")}
    usual = {s["name"] for s in form() if s["group"] == "look" and not s["rare"]}
    assert set(made) == usual | set(nodes.widgets.OF_MEDIA) | {nodes.widgets.MORE}
    defaults = {name: put.known["default"] for name, put in made.items()}
    settings, media = nodes.widgets.settings_of(defaults, "cpu")
    assert settings == Settings(device="cpu") and media == MediaSettings()
    for name, put in made.items():
        about = next((s for s in form() if s["name"] == name), {"help": ""})
        assert about["help"] in put.known["tooltip"]
        if put.kind in ("INT", "FLOAT"):
            assert put.known["min"] <= put.known["default"] <= put.known["max"]
            if "maximum" in about:
                assert put.known["max"] == about["maximum"]
        if put.kind == "COMBO":
            assert put.known["default"] in put.known["options"] and set(about["choices"]) <= set(put.known["options"])


def test_values_become_settings(nodes: ModuleType) -> None:
    values = {"quality": "draft", "strength": 0.7, "size": 320, "duration_seconds": 0.0, "keyframes": "off"}
    settings, media = nodes.widgets.settings_of(values | {"more_settings": "seed = 3\ntv_weight = 2"}, "cuda")
    assert settings == Settings(quality="draft", strength=0.7, seed=3, tv_weight=2.0, keyframes="off", device="cuda")
    assert media == MediaSettings(size=320)
    for wrong, words in (("seed = ", "more_settings"), ("sneed = 3", "sneed"), ("seed = -1", "seed")):
        with pytest.raises(VideoStyleError, match=words) as caught:
            nodes.widgets.settings_of({"more_settings": wrong}, "cpu")
        assert "\n" not in str(caught.value)


def test_frames_are_painted_as_a_clip_is(nodes: ModuleType, comfyui: ComfyUI, frames: torch.Tensor) -> None:
    out = painted(nodes, frames, picture("styles/brush.jpg"))
    assert out.shape == frames.shape and out.dtype == torch.float32 and out.min() >= 0 and out.max() <= 1
    assert not out.is_inference()
    assert (out - frames).abs().mean() > 0.05
    first, second = (painted(nodes, frames[n : n + 1], picture("styles/brush.jpg")) for n in (0, 1))
    assert torch.equal(out[:1], first)
    assert (out[1] - out[0]).abs().mean() < (second - first).abs().mean()  # carried along, not each for itself
    assert comfyui.bars[0] == [(n, len(frames), True) for n in range(1, len(frames) + 1)]
    assert comfyui.unloaded == 0


def test_several_pictures_are_blended(nodes: ModuleType, frames: torch.Tensor) -> None:
    one, other = picture("styles/brush.jpg"), picture("styles/woodcut.jpg")
    side = min(one.shape[1], one.shape[2], other.shape[1], other.shape[2])
    both = torch.cat([p[:, :side, :side] for p in (one, other)])
    outs = [painted(nodes, frames[:1], style) for style in (both[:1], both[1:], both)]
    assert not torch.equal(outs[2], outs[0]) and not torch.equal(outs[2], outs[1])


def test_a_mask_keeps_a_part_or_paints_it_otherwise(nodes: ModuleType, frames: torch.Tensor) -> None:
    style, mask = picture("styles/brush.jpg"), torch.zeros(36, 64)
    mask[:, :32] = 1
    out = painted(nodes, frames[:2], style, mask=mask)
    assert (out[:, :, :24] - frames[:2, :, :24]).abs().max() < 0.02
    assert (out[:, :, 40:] - frames[:2, :, 40:]).abs().mean() > 0.05
    other = painted(nodes, frames[:2], style, mask=mask, mask_style=picture("styles/woodcut.jpg"))
    assert (other[:, :, :24] - frames[:2, :, :24]).abs().mean() > 0.05


def test_a_mask_for_every_frame(nodes: ModuleType, frames: torch.Tensor) -> None:
    masks = torch.zeros(len(frames), 36, 64)
    masks[:3, :, :32], masks[3:, :, 32:] = 1, 1
    out = painted(nodes, frames, picture("styles/brush.jpg"), mask=masks)
    apart = (out - frames).abs()
    assert apart[:3, :, :24].max() < 0.02 and apart[3:, :, 40:].max() < 0.02
    with pytest.raises(VideoStyleError, match="2 masks came for 6 frames"):
        painted(nodes, frames, picture("styles/brush.jpg"), mask=masks[:2])


def test_cancelling_frames_ends_at_once(nodes: ModuleType, comfyui: ComfyUI, frames: torch.Tensor) -> None:
    comfyui.cancels_at = 2
    with pytest.raises(InterruptProcessingException):
        painted(nodes, frames, picture("styles/brush.jpg"))
    assert [value for value, *_ in comfyui.bars[0]] == [1, 2] and not comfyui.interrupted


def video(nodes: ModuleType, clip: object, **more: object) -> Path:
    with torch.inference_mode():
        (found,) = nodes.nodes.PaintVideo.execute(
            clip, picture("styles/brush.jpg"), **(QUICK | {"size": 48} | more)
        ).args
    assert isinstance(found, VideoFromFile)
    return Path(found.file)


def test_a_clip_is_painted_from_file_to_file(nodes: ModuleType, comfyui: ComfyUI, clip: Path) -> None:
    out = video(nodes, VideoFromFile(str(clip)))
    assert out.parent == comfyui.output / "videostyle" and re.fullmatch(r"clip-[0-9a-f]{12}\.mp4", out.name)
    with av.open(str(out)) as made, av.open(str(clip)) as source:
        assert [f.time for f in made.decode(video=0)] == [f.time for f in source.decode(video=0)]
        assert made.streams.audio and made.streams.video[0].width == 48
    again = out.stat().st_mtime_ns
    assert video(nodes, VideoFromFile(str(clip))) == out and out.stat().st_mtime_ns == again
    assert video(nodes, VideoFromFile(str(clip)), strength=0.9) != out


def test_a_cancelled_clip_goes_on(
    nodes: ModuleType, comfyui: ComfyUI, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is no file too, whose copy lies elsewhere the next time."""
    results, stylise = [], nodes.painting.stylise_video
    monkeypatch.setattr(nodes.painting, "stylise_video", lambda *a, **k: results.append(stylise(*a, **k)))
    comfyui.cancels_at = 3
    with pytest.raises(InterruptProcessingException):
        video(nodes, VideoFromComponents(clip))
    folder = comfyui.output / "videostyle"
    assert [p.suffix for p in folder.glob("clip-*")] == [".videostyle"]
    comfyui.cancels_at = None
    out = video(nodes, VideoFromComponents(clip))
    (result,) = results  # the fourth frame was finished when cancelling was noticed
    assert (result.restored, result.redone, result.frames) == (4, 0, 6) and comfyui.bars[1][-1][0] == 6
    assert list(folder.glob("clip-*")) == [out]


def test_a_trimmed_clip_is_copied_first(nodes: ModuleType, clip: Path) -> None:
    whole, trimmed = VideoFromFile(str(clip)), VideoFromFile(str(clip), seconds=0.1)
    video(nodes, whole)
    video(nodes, trimmed)
    assert (whole.saved, trimmed.saved) == (0, 1)


def test_masks_of_a_clip(nodes: ModuleType, clip: Path, frames: torch.Tensor) -> None:
    masks = torch.zeros(len(frames), 36, 64)
    masks[:, :, :32] = 1
    for mask in (masks[:1], masks):
        out = video(nodes, VideoFromFile(str(clip)), mask=mask, size=64)
        with av.open(str(out)) as container:
            made = next(container.decode(video=0)).to_ndarray(format="rgb24") / 255
        apart = np.abs(made - frames[0].numpy())
        assert apart[:, :24].mean() < 0.03 and apart[:, 40:].mean() > 0.05


def test_other_nodes_models_leave_an_accelerator(nodes: ModuleType, comfyui: ComfyUI) -> None:
    comfyui.device = "cuda"
    with nodes.nodes._painting():
        pass
    assert comfyui.unloaded == 1 and nodes.nodes._device() == "cuda"
    comfyui.device = "xpu"
    assert nodes.nodes._device() == "auto"


def requirements(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def test_requirements_never_name_torch() -> None:
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert requirements(NODES / "requirements.txt") == ["videostyle>=0.1"]
    without = requirements(NODES / "requirements-without-torch.txt")
    assert without == [line for line in needed if not line.startswith("torch")]


def test_the_registry_is_told_what_is_true() -> None:
    about = tomllib.loads((NODES / "pyproject.toml").read_text(encoding="utf-8"))
    assert re.fullmatch(r"\d+\.\d+\.\d+", about["project"]["version"]) and "comfyui" not in about["project"]["name"]
    assert about["project"]["dependencies"] == requirements(NODES / "requirements.txt")
    assert {"PublisherId", "DisplayName", "Icon", "requires-comfyui"} == set(about["tool"]["comfy"])


@pytest.mark.parametrize("name", ["paint_video", "paint_frames"])
def test_an_example_has_the_nodes_inputs(name: str, nodes: ModuleType) -> None:
    """A value for every widget, in their order, and links that end where they should."""
    flow = json.loads((NODES / "example_workflows" / f"{name}.json").read_text(encoding="utf-8"))
    by_id = {node["id"]: node for node in flow["nodes"]}
    for number, source, out, target, into, kind in flow["links"]:
        assert number in by_id[source]["outputs"][out]["links"] and by_id[target]["inputs"][into]["link"] == number
        assert by_id[source]["outputs"][out]["type"] == by_id[target]["inputs"][into]["type"] == kind
    schemas = {s.node_id: s for s in (n.define_schema() for n in (nodes.nodes.PaintVideo, nodes.nodes.PaintFrames))}
    (node,) = (node for node in flow["nodes"] if node["type"] in schemas)
    puts = schemas[node["type"]].inputs
    linked = [p for p in puts if p.kind in ("VIDEO", "IMAGE", "MASK")]
    assert [i["name"] for i in node["inputs"]] == [p.id for p in linked]
    widgets = [p for p in puts if p not in linked]
    values = dict(zip([p.id for p in widgets], node["widgets_values"], strict=True))
    expected = {p.id: p.known["default"] for p in widgets} | ({"size": 512} if name == "paint_video" else {})
    assert values == expected
