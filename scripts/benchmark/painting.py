"""How near pictures come to a painting without any network's opinion: octaves, colours, grain, content, seconds.

    python scripts/benchmark/painting.py --styles FILE... --contents FILE... --judge ../shared/judge -o OUT \
        --way "today" --way "one octave: octaves=1 grain_weight=0 first_init=content" --others peer=FOLDER

A way is a name and settings that differ from the defaults. Each picture goes to OUT/WAY/STYLE-CONTENT.png,
for ``blind.py``; ``--others``: a folder of another program's pictures by the same names, judged alike where they are.
Octaves and colours: ``paint.py``, from fine to coarse. Grain: the power above a quarter of a cycle a pixel over that of
the style picture at the same size, of luma and of chroma. Content: ST-LPIPS (Ghildyal and Liu 2022), where the package
stlpips-pytorch is installed: its features are not those that are optimised. Writes ``painting.json`` after every row;
what it holds is not made again.
"""

import argparse
import json
import statistics
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import octave_judge, say, write_json
from PIL import Image

from videostyle import Frame, Settings, Stylizer, stylise_frames
from videostyle.device import keep_freed_memory
from videostyle.frames import to_array
from videostyle.media.still import read_picture
from videostyle.stylise.start_images import fit_style, resized

Row = dict[str, Any]


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    keep_freed_memory()  # as the command line does
    torch.set_num_threads(arguments.threads)
    paint = octave_judge(arguments.judge)
    like = content_judge()
    out, ways = arguments.output, dict(way(text, arguments.weights) for text in arguments.way)
    others = dict(text.split("=", 1) for text in arguments.others)
    file = out / "painting.json"
    rows: list[Row] = json.loads(file.read_text())["results"]["rows"] if file.is_file() else []
    done = {(row["style"], row["content"], row["way"]) for row in rows}
    for style in arguments.styles:
        for content in arguments.contents:
            seen = read_picture(content, longest=arguments.size)
            for name in (*ways, *others):
                folder = Path(others[name]) if name in others else out / name
                path = folder / f"{style.stem}-{content.stem}.png"
                if (style.stem, content.stem, name) in done or (name in others and not path.is_file()):
                    continue
                made = {} if name in others else painted(style, seen, ways[name], path)
                row = {"style": style.stem, "content": content.stem, "way": name, **made}
                rows.append(row | judged(path, style, seen, paint, like))
                say(as_line(rows[-1]))
                write_json(file, __doc__ or "", {"size": arguments.size, "ways": arguments.way}, {"rows": rows})
    summary(rows)
    return 0


def way(text: str, weights: Path | None) -> tuple[str, Settings]:
    """ "name: key=value ..." as a name and its settings."""
    name, _, rest = text.partition(":")
    values: Row = {"backbone": "compact"}
    for pair in rest.split():
        key, value = pair.split("=", 1)
        try:
            values[key] = json.loads(value)
        except json.JSONDecodeError:
            values[key] = value
    if values["backbone"] != "compact":
        values["weights"] = str(weights)
    return name.strip(), Settings(**values)


def painted(style: Path, content: torch.Tensor, settings: Settings, path: Path) -> Row:
    """Write the picture; its seconds and evaluations."""
    stylizer = Stylizer(read_picture(style), settings)
    began = time.perf_counter()
    (frame,) = stylise_frames([Frame(content)], stylizer)
    seconds = time.perf_counter() - began
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(to_array(frame.pixels)).save(path)
    return {"seconds": seconds, "evaluations": frame.evaluations}


def judged(path: Path, style: Path, content: torch.Tensor, paint: Any, like: Any) -> Row:
    """Octaves and colours, grain and content of the picture in ``path``."""
    picture = read_picture(path)
    content = resized(content, (picture.shape[2], picture.shape[3]))
    at_size = fit_style(read_picture(style), max(picture.shape[2:]), 16)
    octaves = paint.distances(np.ascontiguousarray(to_array(picture)[..., ::-1] / np.float32(255)), str(style))
    shares = [ours / theirs for ours, theirs in zip(grain(picture), grain(at_size), strict=True)]
    row: Row = {"octaves": [round(float(d), 2) for d in octaves], "grain": [round(s, 3) for s in shares]}
    return row if like is None else row | {"content_distance": round(like(content, picture), 4)}


def grain(picture: torch.Tensor) -> tuple[float, float]:
    """Power above a quarter of a cycle a pixel, of luma and of chroma, by a windowed Fourier transform."""
    pixels = np.asarray(Image.fromarray(to_array(picture)).convert("YCbCr"), np.float32) / 255
    height, width = pixels.shape[:2]
    window = (np.hanning(height)[:, None] * np.hanning(width))[..., None]
    spectrum = np.fft.fft2((pixels - pixels.mean((0, 1))) * window, axes=(0, 1))
    fine = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)) > 0.25
    power = (np.abs(spectrum) ** 2)[fine].sum(0) / (window**2).sum() / (height * width)
    return float(power[0]), float(power[1:].mean())


def content_judge() -> Any:
    """A function of two pictures (1, 3, H, W) in [0, 1], or None where the package is not there."""
    try:
        stlpips = import_module("stlpips_pytorch.stlpips")
    except ImportError as error:
        say(f"no judge of content: {error}")
        return None
    network = stlpips.LPIPS(net="alex", variant="shift_tolerant", verbose=False)

    @torch.no_grad()
    def distance(content: torch.Tensor, picture: torch.Tensor) -> float:
        return float(network(2 * content - 1, 2 * picture - 1))

    return distance


def as_line(row: Row) -> str:
    octaves, chroma = " ".join(f"{d:5.1f}" for d in row["octaves"]), " ".join(f"{s:5.2f}" for s in row["grain"])
    line = f"{row['style'][:16]:16s} {row['content'][:12]:12s} {row['way'][:20]:20s} {octaves}  grain {chroma}"
    line += f"  content {row['content_distance']:.3f}" if "content_distance" in row else ""
    return line + (f"  {row['seconds']:.1f} s, {row['evaluations']}" if "seconds" in row else "")


def summary(rows: list[Row]) -> None:
    """Medians by way, over all its pairs and over those that every way has."""
    ways = dict.fromkeys(row["way"] for row in rows)
    pairs = {name: {(r["style"], r["content"]) for r in rows if r["way"] == name} for name in ways}
    common = set.intersection(*pairs.values()) if pairs else set()
    for words, chosen in (("all", set.union(*pairs.values()) if pairs else set()), ("common", common)):
        for name in ways:
            those = [r for r in rows if r["way"] == name and (r["style"], r["content"]) in chosen]
            if those:
                say(f"{words} {len(those)}: {as_line(_median(those, name))}")


def _median(rows: list[Row], name: str) -> Row:
    found: Row = {"style": "median", "content": "", "way": name}
    for key in ("octaves", "grain"):
        found[key] = np.median([row[key] for row in rows], 0).tolist()
    for key in ("content_distance", "seconds", "evaluations"):
        if all(key in row for row in rows):
            found[key] = statistics.median(row[key] for row in rows)
    return found


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--styles", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--contents", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--way", action="append", required=True, metavar="NAME: KEY=VALUE ...")
    parser.add_argument("--others", nargs="*", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--judge", type=Path, required=True, metavar="FOLDER", help="where paint.py is")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="VGG-19's, for ways with backbone=vgg19")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
