"""Real clips in real styles, file to file, checked and laid out to be looked at.

    python scripts/benchmark/clips.py --clips A.mp4 B.mp4 --styles X.jpg Y.jpg --weights FILE -o OUT

For every pair: ``OUT/CLIP-STYLE.mp4``, its run record, and a contact sheet (source above, stylised below, at equal
steps of time). Checks that the output has the source's frames, that every timestamp relative to the first lies within
half a tick of the output's time base, and that sound is there where the source has it. Exit status 1 if a check fails.
"""

import argparse
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from videostyle import MediaSettings, Settings, stylise_video
from videostyle.frames import to_array
from videostyle.media.decode import decode
from videostyle.media.probe import probe

COLUMNS = 6
TILE_WIDTH = 320


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(weights=arguments.weights, backbone=arguments.backbone)
    media = MediaSettings(size=arguments.size, duration_seconds=arguments.duration, overwrite=True)
    results = []
    for clip in map(Path, arguments.clips):
        for style in map(Path, arguments.styles):
            name = f"{clip.stem}-{style.stem}"
            output = folder / f"{name}.mp4"
            run = stylise_video(clip, style, output, settings, media, record_to=folder / f"{name}.json").record
            result = {"name": name, **check(clip, output, media), **cost(run)}
            sheet(clip, output, media).save(folder / f"{name}.png")
            results.append(result)
            print(json.dumps(result), flush=True)
    (folder / "clips.json").write_text(json.dumps(results, indent=1))
    return 0 if all(r["whole"] for r in results) else 1


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", nargs="+", required=True)
    parser.add_argument("--styles", nargs="+", required=True)
    parser.add_argument("--backbone", default="auto")
    parser.add_argument("--weights")
    parser.add_argument("--size", type=int)
    parser.add_argument("--duration", type=float)
    parser.add_argument("-o", "--output", default="out")
    return parser.parse_args(argv)


def check(clip: Path, output: Path, media: MediaSettings) -> dict[str, Any]:
    """Frames, timestamps and sound of an output against its source's."""
    wanted, made = timestamps(clip), timestamps(output)
    if media.duration_seconds is not None:
        wanted = [t for t in wanted if t - wanted[0] < Fraction(media.duration_seconds)]
    tick = time_base(output)
    errors = [abs((a - wanted[0]) - (b - made[0])) for a, b in zip(wanted, made, strict=False)]
    worst = max(errors) / tick
    sound = [has_sound(clip), has_sound(output)]
    whole = len(wanted) == len(made) and worst <= Fraction(1, 2) and sound[0] == sound[1]
    return {"frames": [len(wanted), len(made)], "worst_ticks": float(worst), "sound": sound, "whole": whole}


def timestamps(path: Path) -> list[Fraction]:
    """Seconds of every decoded frame of the first video stream."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [Fraction(frame.pts or 0) * Fraction(frame.time_base or 0) for frame in container.decode(stream)]


def time_base(path: Path) -> Fraction:
    with av.open(str(path)) as container:
        found = container.streams.video[0].time_base
        assert found is not None
        return found


def has_sound(path: Path) -> bool:
    with av.open(str(path)) as container:
        return bool(container.streams.audio)


def cost(run: dict[str, Any]) -> dict[str, Any]:
    """What the run record says of time and evaluations."""
    later = [f["evaluations"] for f in run["frames"][1:]]
    return {
        "seconds": run["totals"]["wall_seconds"],
        "first_evaluations": run["frames"][0]["evaluations"],
        "later_evaluations": float(np.mean(later)) if later else None,
        "peak_rss_bytes": run["totals"]["peak_rss_bytes"],
    }


def sheet(clip: Path, output: Path, media: MediaSettings) -> Image.Image:
    """Source frames above, stylised below."""
    rows = [tiles(path, media.duration_seconds if path is clip else None) for path in (clip, output)]
    return Image.fromarray(np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0))


def tiles(path: Path, duration: float | None) -> list[np.ndarray]:
    """COLUMNS frames at equal steps, (h, TILE_WIDTH, 3) uint8 each."""
    info = probe(path)
    size = (TILE_WIDTH, round(info.height * TILE_WIDTH / info.width / 2) * 2)
    frames = list(decode(info, size=size, duration_seconds=duration))
    picked = np.linspace(0, len(frames) - 1, COLUMNS).round().astype(int)
    return [to_array(frames[i].pixels) for i in picked]


if __name__ == "__main__":
    raise SystemExit(main())
