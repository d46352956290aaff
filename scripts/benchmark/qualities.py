"""What each --quality costs and gives: seconds a frame, style, content, warp error along an independent flow.

    python scripts/benchmark/qualities.py --clips A.mp4 B.mp4 --styles X.jpg --size 512 --duration 2 \
        --raft RAFT_SMALL --weights FILE -o OUT

The ways take turns for every clip and style: ``content`` (no network, the defaults), ``draft``, ``standard``, ``best``.
A style's network is trained first, for ``--minutes``, and is not in the seconds; ``counted`` are those of a frame of a
clip of 300 frames, with its share of the training and of the first frame. The warp error is ``videostyle measure``'s,
along RAFT-small's flow (torchvision) where its weights are given, else OpenCV's DIS. Every output stays in OUT.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import say, write_json
from safetensors.torch import load_file
from torchvision.models.optical_flow import raft_small

from videostyle import MediaSettings, Settings, stylise_video
from videostyle.device import keep_freed_memory
from videostyle.measure.report import measure_files, summary
from videostyle.media.decode import decode, output_size
from videostyle.media.probe import probe
from videostyle.pipeline.train import TrainRequest, train
from videostyle.settings import TrainSettings

WAYS = ("content", "draft", "standard", "best")
CLIP_FRAMES = 300


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    keep_freed_memory()  # as the command line does
    arguments.output.mkdir(parents=True, exist_ok=True)
    torch.hub.set_dir(str(arguments.output / "hub"))
    raft = None if arguments.raft is None else load_raft(arguments.raft)
    rows: list[dict[str, Any]] = []
    for style in arguments.styles:
        # `size` of a network is that of its clip's frames
        training = TrainSettings(
            minutes=arguments.minutes, size=arguments.size, no_card=True, pictures=arguments.pictures
        )
        model = arguments.output / f"{style.stem}.safetensors"
        if not model.is_file():
            train(TrainRequest(style, model, Settings(), training))
        for clip in arguments.clips:
            flow = None if raft is None else flows(raft, clip, arguments)
            for way in arguments.ways:
                rows.append(measured(clip, style, way, model, flow, arguments))
                say(str(rows[-1]))
                settings = {k: str(v) for k, v in vars(arguments).items()}
                write_json(arguments.output / "qualities.json", __doc__ or "", settings, {"rows": rows})
    for way in arguments.ways:
        those = [row for row in rows if row["way"] == way]
        known = [key for key in those[0] if key not in NAMES and all(row[key] is not None for row in those)]
        told = {key: round(statistics.median(row[key] for row in those), 6) for key in known}
        say(f"{way}: {told}")
    return 0


NAMES = ("clip", "style_name", "way")


def measured(
    clip: Path, style: Path, way: str, model: Path, flow: Path | None, arguments: argparse.Namespace
) -> dict[str, Any]:
    """One run, its cost and its measures."""
    network = {"network": str(model)} if way != "content" else {"first_init": "content"}
    settings = Settings(
        backbone=arguments.backbone,
        weights=arguments.weights if arguments.backbone != "compact" else None,
        quality=None if way == "content" else way,
        **network,
    )
    media = MediaSettings(size=arguments.size, duration_seconds=arguments.duration, overwrite=True, crf=8)
    output = arguments.output / f"{clip.stem}-{style.stem}-{way}.mp4"
    record = stylise_video(clip, style, output, settings, media).record
    frames = record["frames"]
    first, later = frames[0]["wall_seconds"], statistics.fmean(f["wall_seconds"] for f in frames[1:])
    training = 60 * arguments.minutes if way != "content" else 0.0
    found = summary(measure_files(clip, output, style, weights=arguments.weights, flow=flow).measures)
    return {
        "clip": clip.stem,
        "style_name": style.stem,
        "way": way,
        "frames": len(frames),
        "seconds": round(record["totals"]["wall_seconds"] / len(frames), 4),
        "first": round(first, 3),
        "later": round(later, 4),
        "counted": round((training + first) / CLIP_FRAMES + later, 4),
        "evaluations": round(statistics.fmean(f["evaluations"] for f in frames[1:]), 2),
        "style": found["style"],
        "content": found["content"],
        "warp": found["short"],
        "warp_long": found["long"],
        "flicker": found["flicker"],
    }


def load_raft(path: Path) -> torch.nn.Module:
    model = raft_small(weights=None)
    model.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
    return model.eval()


@torch.no_grad()
def flows(raft: torch.nn.Module, clip: Path, arguments: argparse.Namespace) -> Path:
    """A folder of the clip's flow from every frame to the one before it, as `videostyle measure` reads it."""
    folder = arguments.output / "flow" / f"{clip.stem}-{arguments.size}"
    if folder.is_dir():
        return folder
    folder.mkdir(parents=True)
    info = probe(clip)
    size = output_size(info, arguments.size, even=True)
    before: torch.Tensor | None = None
    for number, frame in enumerate(decode(info, size=size, duration_seconds=arguments.duration)):
        height, width = frame.pixels.shape[2:]
        padding = (0, -width % 8, 0, -height % 8)
        now = 2 * torch.nn.functional.pad(frame.pixels, padding, mode="replicate") - 1
        if before is not None:
            found = raft(now, before)[-1][0, :, :height, :width]
            np.savez_compressed(
                folder / f"flow{number:05d}.npz", flow=found.permute(1, 2, 0).numpy().astype(np.float16)
            )
        before = now
    return folder


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, nargs="+", required=True)
    parser.add_argument("--styles", type=Path, nargs="+", required=True)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--backbone", default="compact", help="network that optimises")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--duration", type=float, default=2.0, help="seconds of each clip")
    parser.add_argument("--minutes", type=float, default=1.0, help="of training")
    parser.add_argument("--pictures", help="folder of photographs to train on, beside the samples")
    parser.add_argument("--raft", type=Path, help="weights of torchvision's raft_small")
    parser.add_argument("--weights", help="VGG-19's, to judge with")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/qualities"))
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
