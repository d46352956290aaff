"""The run record: how an output was made, as JSON beside it and inside its comment tag. File names only, no paths."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from videostyle.device import peak_memory_bytes
from videostyle.files import fingerprint
from videostyle.frames import StylisedFrame, VideoInfo
from videostyle.networks import raft
from videostyle.pipeline.look_record import look_entry, look_provenance
from videostyle.settings import MediaSettings, Settings
from videostyle.settings.look import Look
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal.flow import OPENCV_VERSION
from videostyle.version import __version__


def heading(stylizer: Stylizer, media: MediaSettings, *, source: str, look: Look) -> dict[str, Any]:
    """What is known before the first frame; this much also goes into the output's comment tag."""
    return {
        "settings": settings_without_paths(stylizer.settings),
        "media": asdict(media),
        "backbone": {"name": stylizer.backbone.name, "sha256": stylizer.backbone.sha256, "because": stylizer.choice},
        "finer_backbone": {"name": stylizer.finer_backbone.name, "sha256": stylizer.finer_backbone.sha256},
        "versions": versions(),
        **style_network(stylizer),
        **flow_network(stylizer),
        "device": {"name": stylizer.machine.name, "precision": stylizer.machine.precision},
        "source": {"file": source},
        "style": {"file": Path(look.styles[0].picture).name},
        "look": look_entry(look),
    }


def provenance(
    stylizer: Stylizer,
    media: MediaSettings,
    *,
    source: Path,
    look: Look,
    frames: Mapping[str, Any],
    decoder: Mapping[str, str],
) -> dict[str, dict[str, Any]]:
    """Everything that the frames depend on, in groups; what is in ``environment`` should not matter, but may.

    ``frames``: their size and depth. ``decoder``: versions of what reads the clip. Raises OSError.
    """
    settings = {k: v for k, v in asdict(stylizer.settings).items() if k not in NOT_IN_FRAMES}
    settings["min_iterations"] = stylizer.settings.iterations_floor  # given or not, the frames are the same
    pictures = [name for name in ("init", "first_init") if settings[name] in stylizer.settings.start_pictures]
    settings |= {name: fingerprint(Path(settings[name])) for name in pictures}
    machine, networks = stylizer.machine, stylizer.networks
    names, sums = [network.name for network in networks], [network.sha256 for network in networks]
    width, height = frames["size"]
    tiles = stylizer.tiles(height, width)  # another number of them rounds differently
    learned = style_network(stylizer) | flow_network(stylizer)
    environment = {name: version for name, version in versions().items() if name != "python"} | dict(decoder)
    where = {"device": machine.name, "tiles": tiles if tiles > 1 else None}  # the name has the number of threads
    return {
        "source": {"fingerprint": fingerprint(source)},
        "style": {"fingerprint": fingerprint(Path(look.styles[0].picture))},
        "look": {} if look.is_plain else look_provenance(look),
        "setting": settings,
        "network": {"name": names, "sha256": sums, "precision": machine.precision} | learned,
        "cut": {name: getattr(media, name) for name in READING},
        "frame": dict(frames),
        "environment": environment | where,
    }


def style_network(stylizer: Stylizer) -> dict[str, Any]:
    """The style's network, where the frames depend on one."""
    network = stylizer.style_network
    return {} if network is None else {"style_network": {"sha256": network.sha256, **network.training}}


def flow_network(stylizer: Stylizer) -> dict[str, Any]:
    """The network of the optical flow, where the frames follow one."""
    network = stylizer.flow_network
    return {} if network is None else {"flow_network": {"name": raft.NAME, "sha256": network.sha256}}


# Settings of where the network comes from and runs: the network, the device and the tiles are compared instead
NOT_IN_FRAMES = ("backbone", "weights", "network", "flow_weights", "download", "device", "precision", "memory")
READING = ("start_seconds", "duration_seconds", "stream", "no_shots", "cuts")  # what is read, where shots begin


def settings_without_paths(settings: Settings) -> dict[str, Any]:
    """The settings as plain values, paths cut to file names."""
    values = asdict(settings) | {"min_iterations": settings.iterations_floor}
    paths = [name for name in ("weights", "network", "flow_weights", "init", "first_init") if values[name] is not None]
    return values | {name: Path(values[name]).name for name in paths}


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


def totals(
    frames: Sequence[Mapping[str, Any]], wall_seconds: float, device: torch.device, restored: int = 0
) -> dict[str, Any]:
    """Sums over the run and its peaks. ``restored``: frames that were there when it was resumed."""
    resident, on_device = peak_memory_bytes(device)
    return {
        "frames": len(frames),
        "restored": restored,
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
    kept = ("settings", "media", "backbone", "versions", "style", "look")
    return json.dumps({"videostyle": {key: record[key] for key in kept if key in record}}, separators=(",", ":"))
