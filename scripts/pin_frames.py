"""Pin the frames of fixed runs by their hashes: whether a change of the code changes a picture, to the bit.

    python scripts/pin_frames.py --shared ../shared --json before.json
    (change the code)
    python scripts/pin_frames.py --shared ../shared --json after.json --against before.json

Every run goes through the command line in a process of its own, so that it survives any change of the library's own
interface. A run's hash is of its decoded pixels, in order. Hashes belong to one machine, one set of versions and one
number of threads. Exit status 1 where a run differs from ``--against``.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SECONDS = "0.4"


@dataclass(frozen=True)
class Run:
    """One command: ``command`` is video or image; names of files are relative to the shared folder or the checkout."""

    command: str
    source: str
    style: str
    options: tuple[str, ...]


VGG19 = ("--weights", "weights/vgg19_features_fp16.npz", "--iterations", "40")
WOLF, CARPHONE, BIKES = "clips/tokenflow_wolf.mp4", "clips/skv_carphone_pristine.mp4", "clips/skv_bikes.mp4"
STARRY, WAVE, KANDINSKY = (
    f"paintings/{name}.jpg" for name in ("vangogh_starry_night", "hokusai_great_wave", "kandinsky_composition_vii")
)
BRUSH, CLIP, PHOTO = "samples/styles/brush.jpg", "samples/clip.mp4", "samples/photo.jpg"


def video(source: str, style: str, size: int, *options: str, seconds: str = SECONDS) -> Run:
    return Run("video", source, style, ("--size", str(size), "--duration", seconds, *options))


RUNS: dict[str, Run] = {
    "compact bf16, wolf": video(WOLF, STARRY, 192, "--precision", "bf16"),
    "compact fp32, carphone": video(CARPHONE, WAVE, 176, "--precision", "fp32"),
    "vgg19 bf16, wolf": video(WOLF, KANDINSKY, 128, "--precision", "bf16", *VGG19),
    "vgg19 fp32, carphone": video(CARPHONE, STARRY, 128, "--precision", "fp32", *VGG19),
    "coherence 0": video(CARPHONE, WAVE, 176, "--coherence", "0"),
    "init content": video(WOLF, WAVE, 160, "--init", "content", "--iterations", "30"),
    "init previous": video(WOLF, WAVE, 160, "--init", "previous"),
    "several shots": video(BIKES, STARRY, 192, "--start", "0.5", "--cuts", "0.6,0.8"),
    "sample clip": video(CLIP, BRUSH, 192, "--start", "1.5", seconds="1.2"),
    "no anchor, farneback, reduced flow": video(
        CARPHONE, KANDINSKY, 176, "--no-anchor", "--flow", "farneback", "--flow-size", "96"
    ),
    "adam from noise": video(CARPHONE, STARRY, 128, "--optimizer", "adam", "--first-init", "noise"),
    "compact finishes what vgg19 has painted": video(WOLF, STARRY, 384, *VGG19, seconds="0.1"),
    "picture": Run("image", PHOTO, BRUSH, ("--size", "256", "--strength", "0.65", "--style-scale", "0.7")),
    "picture, vgg19, average pooling": Run("image", PHOTO, WAVE, ("--size", "160", "--pooling", "average", *VGG19)),
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder of clips and weights")
    parser.add_argument("--json", type=Path, help="where the hashes go")
    parser.add_argument("--against", type=Path, help="hashes of an earlier run")
    parser.add_argument("--only", nargs="*", help="only the runs whose names hold one of these texts")
    arguments = parser.parse_args(argv)
    before = json.loads(arguments.against.read_text()) if arguments.against else {}
    found: dict[str, Any] = {}
    for name, run in RUNS.items():
        if arguments.only and not any(text in name for text in arguments.only):
            continue
        found[name] = pinned(run, arguments.shared.resolve())
        state = "" if name not in before else "same" if before[name]["sha256"] == found[name]["sha256"] else "DIFFERENT"
        print(f"{name:36} {found[name]['sha256'][:16]} {found[name]['evaluations']:6} evaluations  {state}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    return int(any(name in before and before[name]["sha256"] != f["sha256"] for name, f in found.items()))


def pinned(run: Run, shared: Path) -> dict[str, Any]:
    """The hash of a run's pixels, and what the run says that it did."""
    with tempfile.TemporaryDirectory() as folder:
        record, output = Path(folder, "record.json"), Path(folder, "out" if run.command == "video" else "out.png")
        options = [str(located(text, shared)) if "/" in text else text for text in run.options]
        command = [sys.executable, "-m", "videostyle", run.command, str(located(run.source, shared))]
        command += ["--style", str(located(run.style, shared)), "--first-init", "content", *options]
        command += ["--quiet", "--record", str(record)]
        command += ["-o", f"{output}/" if run.command == "video" else str(output)]
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        subprocess.run(command, check=True, cwd=folder, env={**os.environ, "PYTHONPATH": paths})
        written = json.loads(record.read_text())
        files = sorted(output.glob("*.png")) if output.is_dir() else [output]
        return {
            "sha256": hash_of(files),
            "frames": len(files),
            "evaluations": written["totals"]["evaluations"],
            "losses": [frame["loss"] for frame in written["frames"]],
        }


def located(name: str, shared: Path) -> Path:
    """A file of the checkout's samples or of the shared folder."""
    return (ROOT if name.startswith("samples/") else shared) / name


def hash_of(pictures: list[Path]) -> str:
    digest = hashlib.sha256()
    for picture in pictures:
        with Image.open(picture) as opened:
            digest.update(np.asarray(opened).tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
