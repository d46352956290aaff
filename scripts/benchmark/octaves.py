"""Frames painted small and finished at finer octaves, against frames painted whole at the output's size.

    python scripts/benchmark/octaves.py --clips A.mp4 B.mp4 --styles X.jpg --raft RAFT_SMALL --weights FILE \
        --size 1280 -o OUT

Both ways take turns for every clip and style, through `stylise_video`, without a network of the style. Judged as
`videostyle measure` does: VGG-19's style and content loss, and the change along RAFT-small's flow, which neither way
follows. Writes ``octaves.json`` and the clips.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

from common import say, write_json
from qualities import flows, load_raft

from videostyle import MediaSettings, Settings, stylise_video
from videostyle.device import keep_freed_memory
from videostyle.measure.report import measure_files, summary
from videostyle.stylise import stylizer

WHOLE = 2**20  # pixels: no picture is that large
WAYS = {"octaves": stylizer.PAINTED_OCTAVE, "whole": WHOLE}


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    keep_freed_memory()  # as the command line does
    arguments.output.mkdir(parents=True, exist_ok=True)
    raft, rows = load_raft(arguments.raft), list[dict[str, Any]]()
    for style in arguments.styles:
        for clip in arguments.clips:
            flow = flows(raft, clip, arguments)
            for way in WAYS:
                rows.append(measured(clip, style, way, flow, arguments))
                say(str(rows[-1]))
                settings = {k: str(v) for k, v in vars(arguments).items()}
                write_json(arguments.output / "octaves.json", __doc__ or "", settings, {"rows": rows})
    return 0


def measured(clip: Path, style: Path, way: str, flow: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """One run, its cost and its measures."""
    stylizer.PAINTED_OCTAVE = WAYS[way]
    media = MediaSettings(size=arguments.size, duration_seconds=arguments.duration, overwrite=True, crf=8)
    output = arguments.output / f"{clip.stem}-{style.stem}-{way}.mp4"
    record = stylise_video(
        clip, style, output, Settings(backbone="compact", first_init="palette", keyframes="off"), media
    ).record
    found = summary(measure_files(clip, output, style, weights=arguments.weights, flow=flow).measures)
    first, *later = (frame["wall_seconds"] for frame in record["frames"])
    return {
        "clip": clip.stem,
        "style_name": style.stem,
        "way": way,
        "frames": len(later) + 1,
        "first": round(first, 2),
        "later": round(statistics.median(later), 3),
        "memory_gib": round(record["totals"]["peak_rss_bytes"] / 2**30, 2),
        **{name: found[name] for name in ("style", "content", "short", "long", "flicker")},
    }


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=Path, nargs="+", required=True)
    parser.add_argument("--styles", type=Path, nargs="+", required=True)
    parser.add_argument("--size", type=int, default=1280)
    parser.add_argument("--duration", type=float, default=1.0, help="seconds of each clip")
    parser.add_argument("--raft", type=Path, required=True, help="RAFT-small's weights (.safetensors)")
    parser.add_argument("--weights", help="VGG-19's, which judge")
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
