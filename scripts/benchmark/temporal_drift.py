"""Drift: does a clip that goes nowhere stay what it was? A webcam clip played to and fro, and a still with noise.

    python scripts/benchmark/temporal_drift.py --weights FILE --clip WEBCAM --still PHOTO --style PAINTING -o OUT

Asked, over 300 frames: mean luma runs by less than 0.5 % (the source's own run is said beside it); where the source's
luma deviates by less than 3/255 over time, that of the picture does by less than 1/255 (medians over the pixels, after
the first second); the style loss of the last frame is within 3 % of the 30th's: a picture that freezes or fades would
pass the others.
Writes ``OUT/drift.json``, and for each run a sheet of six frames and an x-t slice, the source above the picture.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path

import torch
from common import say, write_json
from PIL import Image

from videostyle import Frame, Settings, StylisedFrame, Stylizer, stylise_frames
from videostyle.frames import luma, to_array
from videostyle.measure.metrics import Variation, mean_colour, slope
from videostyle.media.decode import decode, output_size
from videostyle.media.probe import probe
from videostyle.media.still import read_picture
from videostyle.networks.weights import load_backbone

SETTLED = 30  # frames: the first second, and the frame whose style loss is compared with
STILL, NOISE = 3 / 255, 2 / 255
SHEET = 6  # frames to look at


@dataclass(frozen=True)
class Drift:
    """What is asked, in the units that it is asked in; ``evaluations``: a frame, from the second on."""

    luma_percent: float
    source_luma_percent: float
    style_ratio: float
    deviation_of_255: float
    source_deviation_of_255: float
    still: float
    evaluations: float
    seconds: float


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    torch.set_num_threads(arguments.threads)
    folder = Path(arguments.output)
    backbone = load_backbone("auto" if arguments.weights else "compact", arguments.weights)
    results: dict[str, dict[str, float]] = {}
    for style_path in arguments.styles:
        stylizer = Stylizer(read_picture(style_path), Settings(keyframes="off"), backbone=backbone)
        for name, frames in runs(arguments).items():
            title = f"{name}-{Path(style_path).stem}"
            results[title] = asdict(drift(frames, stylizer, folder / title))
            say(f"{title}: " + ", ".join(f"{k} {v:.4g}" for k, v in results[title].items()))
            write_json(folder / "drift.json", __doc__, vars(arguments), {"runs": results})
    return 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="default: the compact network")
    parser.add_argument("--clip", help="played to and fro")
    parser.add_argument("--beginning", type=int, help="only so many frames of the clip")
    parser.add_argument("--still", help="a photograph, with noise of sigma 2/255 that is new in every frame")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--style", dest="styles", nargs="+", required=True)
    parser.add_argument("--size", type=int, default=384, help="longer side in pixels")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("-o", "--output", default="out")
    return parser.parse_args(argv)


def runs(arguments: argparse.Namespace) -> dict[str, list[torch.Tensor]]:
    """The source frames of every run, by its name."""
    found = {}
    if arguments.clip:
        info = probe(Path(arguments.clip))
        decoded = decode(info, size=output_size(info, arguments.size, even=False))
        pictures = [f.pixels for f in islice(decoded, arguments.beginning)]
        found[Path(arguments.clip).stem] = list(islice(to_and_fro(pictures), arguments.frames))
    if arguments.still:
        still = read_picture(arguments.still, longest=arguments.size)
        found[Path(arguments.still).stem] = list(islice(noisy(still), arguments.frames))
    return found


def to_and_fro(pictures: list[torch.Tensor]) -> Iterator[torch.Tensor]:
    """0 1 2 1 0 1 2 ..."""
    return cycle([*pictures, *pictures[-2:0:-1]])


def noisy(still: torch.Tensor) -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    while True:
        yield (still + NOISE * torch.randn(still.shape, generator=generator)).clamp(0, 1)


def drift(source: list[torch.Tensor], stylizer: Stylizer, path: Path) -> Drift:
    """Paint the frames and measure; ``path`` is where the pictures go, without an ending."""
    of_source, of_picture = Variation(), Variation()
    lumas, lumas_of_source = list[float](), list[float]()
    costs, shown, lines = list[StylisedFrame](), list[torch.Tensor](), list[torch.Tensor]()
    for f in stylise_frames((Frame(p, pts=i) for i, p in enumerate(source)), stylizer):
        if f.index >= SETTLED:
            of_source.add(luma(source[f.index]))
            of_picture.add(luma(f.pixels))
        lumas.append(mean_colour(f.pixels)[0])
        lumas_of_source.append(mean_colour(source[f.index])[0])
        costs.append(f.without_pixels())
        both = torch.cat((source[f.index], f.pixels), dim=2)
        row = source[f.index].shape[2] // 2
        lines.append(torch.cat((source[f.index][:, :, row], f.pixels[:, :, row]), dim=2))
        if f.index in {i * (len(source) - 1) // (SHEET - 1) for i in range(SHEET)}:
            shown.append(both)
    save(torch.cat(shown, dim=3), path.with_name(path.name + "-sheet.png"))
    save(torch.stack(lines, dim=2), path.with_name(path.name + "-xt.png"))
    still = of_source.deviation < STILL
    return Drift(
        percent_run(lumas),
        percent_run(lumas_of_source),
        costs[-1].style_loss / costs[min(SETTLED, len(costs) - 1)].style_loss,
        255 * of_picture.deviation[still].median().item(),
        255 * of_source.deviation[still].median().item(),
        still.float().mean().item(),
        sum(f.evaluations for f in costs[1:]) / (len(costs) - 1),
        sum(f.wall_seconds for f in costs),
    )


def percent_run(values: list[float]) -> float:
    """How far the line through the values runs, in percent of the first."""
    return 100 * slope(values) / values[0]


def save(picture: torch.Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(to_array(picture)).save(path)


if __name__ == "__main__":
    raise SystemExit(main())
