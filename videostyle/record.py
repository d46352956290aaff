"""The run record: how an output was made, as JSON beside it and inside its comment tag. File names only, no paths."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from videostyle.frame import StylisedFrame, VideoInfo
from videostyle.machine import peak_memory_bytes
from videostyle.motion.flow import OPENCV_VERSION
from videostyle.painter import Painter
from videostyle.settings import MediaSettings, Settings
from videostyle.version import __version__


def heading(painter: Painter, media: MediaSettings, *, source: str, style: str) -> dict[str, Any]:
    """What is known before the first frame; this much also goes into the output's comment tag."""
    return {
        "settings": settings_without_paths(painter.settings),
        "media": asdict(media),
        "backbone": {"name": painter.backbone.name, "sha256": painter.backbone.sha256, "because": painter.choice},
        "versions": versions(),
        "device": {"name": painter.machine.name, "precision": painter.machine.precision},
        "source": {"file": source},
        "style": {"file": style},
    }


def settings_without_paths(settings: Settings) -> dict[str, Any]:
    """The settings as plain values, paths cut to file names."""
    values = asdict(settings)
    for name in ("weights", "init", "first_init"):
        if values[name] is not None:
            values[name] = Path(values[name]).name
    return values


def versions() -> dict[str, str]:
    """Versions of what changes the frames."""
    return {
        "videostyle": __version__,
        "torch": str(torch.__version__),
        "opencv": OPENCV_VERSION,
        "python": platform.python_version(),
    }


def source_entry(info: VideoInfo) -> dict[str, Any]:
    """The source as probing found it."""
    return {
        "file": info.path.name,
        "container": info.container,
        "codec": info.codec,
        "size": [info.width, info.height],
        "frames": info.frames,
        "duration_seconds": seconds(info.duration_seconds),
        "average_rate": None if info.average_rate is None else str(info.average_rate),
        "streams": [f"{s.kind} {s.codec}" for s in info.streams],
    }


def frame_entry(frame: StylisedFrame) -> dict[str, Any]:
    """One frame's line of the record."""
    return {
        "index": frame.index,
        "pts_seconds": seconds(frame.time_seconds),
        "shot": frame.shot,
        "start": Path(frame.start).name,
        "evaluations": frame.evaluations,
        "loss": frame.loss,
        "content_loss": frame.content_loss,
        "style_loss": frame.style_loss,
        "optimise_seconds": round(frame.optimise_seconds, 4),
        "wall_seconds": round(frame.wall_seconds, 4),
    } | ({"problem": frame.problem} if frame.problem else {})


def totals(frames: Sequence[Mapping[str, Any]], wall_seconds: float, device: torch.device) -> dict[str, Any]:
    """Sums over the run and its peaks."""
    resident, on_device = peak_memory_bytes(device)
    return {
        "frames": len(frames),
        "evaluations": sum(f["evaluations"] for f in frames),
        "optimise_seconds": round(sum(f["optimise_seconds"] for f in frames), 3),
        "wall_seconds": round(wall_seconds, 3),
        "peak_rss_bytes": resident,
        "peak_vram_bytes": on_device,
    }


def seconds(value: Fraction | None) -> float | None:
    return None if value is None else round(float(value), 6)


def comment(record: Mapping[str, Any]) -> str:
    """The record's heading as one line of JSON for a comment tag."""
    kept = ("settings", "media", "backbone", "versions", "style")
    return json.dumps({"videostyle": {key: record[key] for key in kept if key in record}}, separators=(",", ":"))
