"""The nodes, in the schema of ComfyUI's node interface, version 3."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import comfy.model_management as model_management
import folder_paths
import numpy as np
import torch
from comfy.utils import ProgressBar
from comfy_api.latest import Input, InputImpl, io
from PIL import Image

from videostyle import Progress
from videostyle.errors import StoppedError
from videostyle.pipeline.request import Callbacks

from .painting import Wanted, ordinary_tensors, paint_frames, paint_video
from .widgets import settings_of, widgets

CATEGORY = "videostyle"
FOLDER = "videostyle"  # in ComfyUI's output folder, which outlives a restart
PREVIEW_PX = 512
SAME_SECONDS = 0.05  # two lengths of one clip
ABOUT_STYLE = "the picture that gives the style; several of a batch are blended"
ABOUT_MASK = "a part that stays as it is, or is painted as mask_style; one mask, or one for every frame"
ABOUT_MASK_STYLE = "the style of the masked part"


def _inputs(source: io.Input, *, media: bool) -> list[io.Input]:
    return [
        source,
        io.Image.Input("style", tooltip=ABOUT_STYLE),
        *widgets(media=media),
        io.Mask.Input("mask", optional=True, tooltip=ABOUT_MASK),
        io.Image.Input("mask_style", optional=True, tooltip=ABOUT_MASK_STYLE),
    ]


class PaintVideo(io.ComfyNode):
    """From file to file: sound and times are kept, and a run that was cancelled goes on when it is asked for again."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VideostylePaintVideo",
            display_name="Paint video",
            category=CATEGORY,
            description="Paint a clip in the style of a picture: every frame, with its time and the clip's sound.",
            inputs=_inputs(io.Video.Input("video", tooltip="the clip"), media=True),
            outputs=[io.Video.Output(display_name="video")],
        )

    @classmethod
    def execute(
        cls,
        video: Input.Video,
        style: torch.Tensor,
        mask: torch.Tensor | None = None,
        mask_style: torch.Tensor | None = None,
        **values: Any,
    ) -> io.NodeOutput:
        settings, media = settings_of(values, _device())
        folder = Path(folder_paths.get_output_directory()) / FOLDER
        with tempfile.TemporaryDirectory(prefix="videostyle-") as scratch, _painting() as callbacks:
            clip = _clip_of(video, Path(scratch))
            output = paint_video(clip, Wanted(style, mask, mask_style), settings, media, folder, callbacks)
        return io.NodeOutput(InputImpl.VideoFromFile(str(output)))


class PaintFrames(io.ComfyNode):
    """From tensors to tensors; frames follow one another."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VideostylePaintFrames",
            display_name="Paint frames",
            category=CATEGORY,
            description="Paint the frames of a clip, in their order, in the style of a picture.",
            inputs=_inputs(io.Image.Input("images", tooltip="the frames"), media=False),
            outputs=[io.Image.Output(display_name="images")],
        )

    @classmethod
    def execute(
        cls,
        images: torch.Tensor,
        style: torch.Tensor,
        mask: torch.Tensor | None = None,
        mask_style: torch.Tensor | None = None,
        **values: Any,
    ) -> io.NodeOutput:
        settings, _ = settings_of(values, _device())
        with _painting() as callbacks:
            return io.NodeOutput(paint_frames(images, Wanted(style, mask, mask_style), settings, callbacks))


@contextmanager
def _painting() -> Iterator[Callbacks]:
    """ComfyUI's progress bar with the last frame in it, and its cancel button."""
    bar = ProgressBar(1)

    def show(progress: Progress) -> None:
        if progress.finished is None and progress.stage == "stylise":
            return
        pixels = None if progress.finished is None else progress.finished.pixels
        preview = None if pixels is None else ("JPEG", _picture(pixels), PREVIEW_PX)
        bar.update_absolute(progress.frame, progress.frames or progress.frame + 1, preview)

    if model_management.get_torch_device().type != "cpu":
        model_management.unload_all_models()  # what other nodes hold is loaded again when they need it
    try:
        with ordinary_tensors():
            yield Callbacks(on_progress=show, should_stop=model_management.processing_interrupted)
    except StoppedError:
        model_management.throw_exception_if_processing_interrupted()
        raise


def _picture(pixels: torch.Tensor) -> Image.Image:
    levels = (pixels[0].permute(1, 2, 0).cpu() * 255).round().byte().numpy()
    return Image.fromarray(np.ascontiguousarray(levels))


def _device() -> str:
    kind = model_management.get_torch_device().type
    return kind if kind in ("cpu", "cuda", "mps") else "auto"


def _clip_of(video: Input.Video, scratch: Path) -> Path:
    """The clip's own file where it is one, all of it; else a copy."""
    source = video.get_stream_source() if isinstance(video, InputImpl.VideoFromFile) else None
    if isinstance(source, str):
        whole = InputImpl.VideoFromFile(source).get_duration()
        if abs(whole - video.get_duration()) < SAME_SECONDS:
            return Path(source)
    copy = scratch / "clip.mp4"
    video.save_to(str(copy))
    return copy
