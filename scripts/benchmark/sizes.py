"""Is it the same painting at every size? One pair at several sizes, shrunk to one size and judged there by VGG-19.

    python scripts/benchmark/sizes.py --style PAINTING --content PHOTO --weights FILE -o OUT

Each picture is OUT/SIZE.png, and OUT/sheet.png shows them beside one another, with a crop of each at full size. Judged
at ``--at`` pixels: VGG-19's style loss (`formulas.style_loss`) over that of the picture made at that size, and the
sliced Wasserstein distance by octave with ``--judge``. Writes ``sizes.json``.
"""

import argparse
import time
from pathlib import Path

import torch
from common import octave_judge, say, write_json
from PIL import Image

from videostyle import Frame, Settings, Stylizer, stylise_frames
from videostyle.device import keep_freed_memory
from videostyle.frames import to_array
from videostyle.media.still import read_picture
from videostyle.networks.weights import load_backbone
from videostyle.stylise.start_images import resized


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    keep_freed_memory()  # as the command line does
    torch.set_num_threads(arguments.threads)
    style, content = read_picture(arguments.style), read_picture(arguments.content)
    backbone = load_backbone("auto", str(arguments.weights))
    judge = Stylizer(
        style, Settings(octaves=1, statistic="gram", precision="fp32", grain_weight=0.0), backbone=backbone
    )
    paint = None if arguments.judge is None else octave_judge(arguments.judge)
    arguments.output.mkdir(parents=True, exist_ok=True)
    at = _at(content, arguments.at)
    rows = []
    for size in arguments.sizes:
        began = time.perf_counter()
        source = _at(content, size)
        (made,) = stylise_frames([Frame(source)], Stylizer(style, Settings(backbone="compact")))
        path = arguments.output / f"{size}.png"
        Image.fromarray(to_array(made.pixels)).save(path)
        loss = judge.losses(at, resized(made.pixels, (at.shape[2], at.shape[3]))).style.item()
        octaves = None if paint is None else paint.distances(str(path), str(arguments.style), arguments.at)
        rows.append({"size": size, "style": loss, "octaves": octaves, "seconds": time.perf_counter() - began})
    own = next(row["style"] for row in rows if row["size"] == arguments.at)
    for row in rows:
        octaves = " ".join(f"{value:.1f}" for value in row["octaves"] or ())
        say(
            f"{row['size']:5} px  {row['style']:.3g}, {row['style'] / own:.2f} times  {octaves}  {row['seconds']:.0f} s"
        )
    write_json(arguments.output / "sizes.json", __doc__ or "", {"at": arguments.at}, {"rows": rows})
    sheet([arguments.output / f"{size}.png" for size in arguments.sizes], arguments.output / "sheet.png")
    return 0


def _at(picture: torch.Tensor, longest: int) -> torch.Tensor:
    """The picture with its longer side at ``longest`` pixels, larger or smaller."""
    scale = longest / max(picture.shape[2:])
    return resized(picture, (round(picture.shape[2] * scale), round(picture.shape[3] * scale)))


def sheet(pictures: list[Path], path: Path, side: int = 480) -> None:
    """Every picture as a whole, and below it a crop of its middle at full size."""
    made = Image.new("RGB", (side * len(pictures), 2 * side), "white")
    for i, one in enumerate(map(Image.open, pictures)):
        whole = one.copy()
        whole.thumbnail((side, side))
        left, top = max(0, (one.width - side) // 2), max(0, (one.height - side) // 2)
        made.paste(whole, (i * side, 0))
        made.paste(one.crop((left, top, min(one.width, left + side), min(one.height, top + side))), (i * side, side))
    made.save(path)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="VGG-19's, which judge")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 1920])
    parser.add_argument("--at", type=int, default=512, help="one of the sizes, at which all are judged")
    parser.add_argument("--judge", type=Path, help="folder of paint.py")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
