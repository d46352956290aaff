"""``videostyle measure``: a stylised file against its source, as numbers, JSON and a plot."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

import torch

from videostyle import files
from videostyle.device import choose_machine
from videostyle.errors import UsageError
from videostyle.frames import Frame
from videostyle.losses.style import StyleTarget
from videostyle.measure.metrics import LONG_TERM_FRAMES, ClipMeasures, FrameMeasures, WarpError
from videostyle.media.decode import Decoder
from videostyle.media.probe import probe
from videostyle.media.still import read_picture
from videostyle.media.survey import open_media
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.networks.weights import load_backbone, weights_are_here
from videostyle.settings import Settings
from videostyle.stylise.start_images import fit_style
from videostyle.temporal.cuts import find_shots
from videostyle.temporal.flow import dis_flow, given_warp
from videostyle.temporal.warp import Warp

DEFINITIONS = {  # those of `metrics`, after Lai et al. 2018
    "style": "mean over layers of E_l of Gatys et al. 2016, Grams divided by the positions, without its weight",
    "content": "content loss of Gatys et al. 2016 at a reference of 512 x 512, without its weight",
    "short": "mean over trusted pixels and channels of |x_t - warp(x_t-1)|^2, pixels in [0, 1], squared, no root "
    "(Lai et al. 2018, section 4.2); trusted: seen before by forward-backward consistency, off motion boundaries "
    "(Sundaram et al. 2010), by OpenCV's DIS on the source or the flow given",
    "long": f"the same between frames t and t-{LONG_TERM_FRAMES} of a shot",
    "source": "the source's own error with the same flow and mask: the floor",
    "flicker": "median over pixels whose source luma deviates by less than 3/255 over the shot of the standard "
    "deviation of stylised luma over time, in [0, 1]",
    "drift": "how far the least-squares line of a frame's mean luma, Cb and Cr (BT.709) runs over the shot, in [0, 1]",
}
COMPARED = ("style_layers", "content_layers", "pooling", "style_scale")  # the settings of the record that are used


@dataclass(frozen=True)
class Report:
    """The measures with what they were made with."""

    network: str
    size: tuple[int, int]
    settings: dict[str, Any]
    record: dict[str, Any]
    measures: ClipMeasures

    def as_json(self) -> dict[str, Any]:
        head = {"network": self.network, "size": self.size, "compared": self.settings, "record": self.record}
        shots, frames = ([asdict(part) for part in parts] for parts in (self.measures.shots, self.measures.frames))
        return head | {"definitions": DEFINITIONS, "summary": summary(self.measures), "shots": shots, "frames": frames}


def measure_files(
    source: str | Path,
    stylised: str | Path,
    style: str | Path,
    *,
    weights: str | None = None,
    flow: str | Path | None = None,
    on_frame: Callable[[FrameMeasures], None] | None = None,
) -> Report:
    """Measure ``stylised`` against ``source`` and the picture ``style``, frame by frame.

    Layers, pooling and the style's scale come from the record in the stylised file's comment tag, where there is one.
    The judge is VGG-19 where its weights are at hand (``weights``, or fetched before), else the compact network.
    ``flow``: a folder of ``*N.npz`` (N: a frame's number counted from 0) with the flow from frame N to frame N-1.
    Raises VideoStyleError; UsageError where the clips differ in length.
    """
    record, painted = read_record(stylised), probe(stylised)
    compared = {name: v for name, v in record.get("settings", {}).items() if name in COMPARED}
    settings = Settings.from_mapping(compared | {"weights": weights})
    machine = choose_machine(settings)
    known = load_backbone("auto" if weights else "vgg19" if weights_are_here("vgg19") else "compact", weights)
    layers = tuple(dict.fromkeys((*settings.content_layers, *settings.style_layers)))
    # Distances are compared between runs, so they are made in float32 wherever they are made.
    pooling = known.nearest_pooling(settings.pooling)
    extractor = FeatureExtractor(known, layers, pooling=pooling, device=machine.device, dtype=torch.float32)
    size = (painted.width, painted.height)
    picture = fit_style(read_picture(style), max(size) * settings.style_scale, extractor.smallest_side)
    target = StyleTarget(extractor, picture, settings.style_layers)
    measures = ClipMeasures(extractor, target, settings.content_layers, flow_of(flow))
    media = record.get("media", {})
    part = {"start_seconds": media.get("start_seconds") or 0.0, "duration_seconds": media.get("duration_seconds")}
    with Decoder(painted) as ours, Decoder(probe(source), size=size, **part) as theirs:
        for one, other in _pairs(iter(ours), find_shots(iter(theirs))):
            found = measures.add(one.pixels, other)
            if on_frame:
                on_frame(found)
    measures.finish()
    return Report(known.name, size, {k: getattr(settings, k) for k in COMPARED}, record, measures)


def _pairs(stylised: Iterator[Frame], source: Iterator[Frame]) -> Iterator[tuple[Frame, Frame]]:
    """Frames of both clips by their order; both must end together."""
    for index, (one, other) in enumerate(zip_longest(stylised, source)):
        if one is None or other is None:
            short, long = ("stylised clip", "source") if one is None else ("source", "stylised clip")
            words = f"the {short} ends after {index} frames and the {long} goes on; give the clip's own source"
            raise UsageError(words)
        yield one, other


def read_record(path: str | Path) -> dict[str, Any]:
    """The run record in a file's comment tag; empty where there is none of ours."""
    try:
        with open_media(str(path)) as container:
            found = json.loads(container.metadata.get("comment", "")).get("videostyle", {})
    except (OSError, ValueError, AttributeError):  # no file, no JSON, or somebody else's; probing says more
        return {}
    return found if isinstance(found, dict) else {}


def flow_of(folder: str | Path | None) -> Callable[[torch.Tensor, torch.Tensor, int | None], Warp]:
    """DIS, or where a file of ``folder`` is numbered for the frame, its flow."""
    files = {} if folder is None else flow_files(Path(folder))

    def warp(current: torch.Tensor, previous: torch.Tensor, index: int | None) -> Warp:
        estimated = dis_flow(current, previous)
        return estimated if index is None or index not in files else given_warp(files[index], estimated)

    return warp


def flow_files(folder: Path) -> dict[int, Path]:
    """The .npz files of a folder by the number that their names end in. Raises UsageError where there is none."""
    if not folder.is_dir():
        raise UsageError(f"flow is {folder}, which is no folder; expected one with files like flow0001.npz")
    numbered = ((re.search(r"[0-9]+$", file.stem), file) for file in sorted(folder.glob("*.npz")))
    found = {int(number[0]): file for number, file in numbered if number}
    if not found:
        raise UsageError(f"flow is {folder}, where no file is named like flow0001.npz")
    return found


def summary(measures: ClipMeasures) -> dict[str, float | None]:
    """Means over frames; flicker and drift of the shots, weighted by their frames, drift as the largest."""
    frames, shots = measures.frames, measures.shots
    return {
        "frames": len(frames),
        "shots": len(shots),
        "style": _mean([f.style for f in frames]),
        "content": _mean([f.content for f in frames]),
        **_errors("short", [f.short for f in frames]),
        **_errors("long", [f.long for f in frames]),
        "flicker": _mean([s.flicker for s in shots for _ in range(s.frames)]),
        "source_flicker": _mean([s.source_flicker for s in shots for _ in range(s.frames)]),
        "drift_luma": max((s.drift[0] for s in shots), key=abs, default=None),
        "drift_cb": max((s.drift[1] for s in shots), key=abs, default=None),
        "drift_cr": max((s.drift[2] for s in shots), key=abs, default=None),
    }


def _errors(name: str, found: list[WarpError | None]) -> dict[str, float | None]:
    parts = {name: "stylised", f"{name}_source": "source", f"{name}_excess": "excess"}
    return {key: _mean([getattr(e, part) for e in found if e is not None]) for key, part in parts.items()}


def _mean(values: list[float]) -> float | None:
    said = [v for v in values if v == v]
    return sum(said) / len(said) if said else None


def write_json(path: str | Path, judgement: Report) -> None:
    """Every number with its definition; NaN, which JSON does not know, is null. Raises MediaError."""
    files.write_json(Path(path), json.loads(json.dumps(judgement.as_json()), parse_constant=_null_for_nan))


def _null_for_nan(constant: str) -> float | None:
    return None if constant == "NaN" else float(constant)


def table(judgement: Report) -> list[str]:
    """The summary as lines of text."""
    width, height = judgement.size
    lines = [f"judged by {judgement.network} at {width}x{height}, pixels in [0, 1], squared errors"]
    for name, value in summary(judgement.measures).items():
        lines.append(f"{name:16s} {'-' if value is None else format(value, 'd' if isinstance(value, int) else '.4g')}")
    return lines


def plot(judgement: Report, path: str | Path) -> None:
    """Distances, warp errors and mean colour over time, as a picture."""
    from matplotlib.figure import Figure

    frames = judgement.measures.frames
    times = [f.seconds for f in frames]
    figure = Figure(figsize=(9, 9), layout="constrained")
    axes = figure.subplots(4, 1, sharex=True)
    axes[0].plot(times, [f.style for f in frames], label="style distance")
    axes[1].plot(times, [f.content for f in frames], label="content distance")
    for name in ("short", "long"):
        there = [(f.seconds, e) for f in frames if (e := getattr(f, name)) is not None]
        axes[2].plot([t for t, _ in there], [e.stylised for _, e in there], label=f"{name} warp error")
        axes[2].plot([t for t, _ in there], [e.source for _, e in there], "--", label=f"{name}, source's own")
    for channel, name in enumerate(("luma", "Cb", "Cr")):
        axes[3].plot(times, [f.colour[channel] for f in frames], label=f"mean {name}")
    cuts = [frame.seconds for before, frame in pairwise(frames) if frame.shot != before.shot]
    for axis in axes:
        axis.legend(loc="upper right")
        for seconds in cuts:
            axis.axvline(seconds, color="grey", linewidth=0.5)
    axes[3].set_xlabel("seconds")
    try:
        figure.savefig(path)
    except (OSError, ValueError) as e:
        words = f"the plot cannot go to {path} ({e}); name a .png, .svg or .pdf in a folder that exists"
        raise UsageError(words) from e
