"""Networks for paintings: how near they come to optimised pictures, by training time, from nothing and from the start.

    python scripts/benchmark/networks.py --paintings FILE... --photos FILE... --minutes 1 4 --starts shipped nothing \
        --weights FILE --judge ../shared/judge -o OUT

Every painting gets a network of its own for each start and time; ``--steps N`` trains by steps, which a busy machine
does not change. The photographs are in no training. Judged against 60 evaluations from the content: the fall of the
style loss (compact, and VGG-19 with ``--weights``), the content loss of VGG-19, octaves and colours of ``paint.py``
without any network. Writes ``networks.json`` after every row, and a sheet for every painting: photograph, optimised
picture, then the networks' pictures. What the file holds is not run again. ``--evaluations``: also optimised so far,
from the content and from the last network's picture; each goes to a folder ``pictures/START-EVALUATIONS``, for
``blind.py``. Every network stays in OUT/networks, as ``videostyle train`` writes it, but without a report card.
"""

import argparse
import json
import statistics
import time
from dataclasses import dataclass
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
from videostyle.networks.style_network import StyleNetwork
from videostyle.networks.style_network_file import TrainedNetwork, save_network
from videostyle.pipeline.train import training_pictures
from videostyle.stylise.network_painter import NetworkPainter
from videostyle.stylise.style_networks import NetworkKey, first_network
from videostyle.training.trainer import Trainer, trained_network
from videostyle.training.views import Picture

EVALUATIONS = 60
TILE = 300  # height of a picture on a sheet, in pixels


@dataclass(frozen=True)
class Case:
    """A painting and what its photographs become without a network."""

    name: str
    path: Path
    stylizer: Stylizer
    judge: Stylizer | None
    contents: list[torch.Tensor]
    optimised: list[torch.Tensor]


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    keep_freed_memory()  # as the command line does
    torch.set_num_threads(arguments.threads)
    paint = octave_judge(arguments.judge)
    out = arguments.output
    settings = {k: v for k, v in vars(arguments).items() if k in ("minutes", "steps", "starts", "size", "threads")}
    file = out / "networks.json"
    rows: list[dict[str, Any]] = json.loads(file.read_text())["results"]["rows"] if file.is_file() else []
    done = {(row["painting"], row["way"]) for row in rows}
    material = [Picture(p) for p in training_pictures((), arguments.pictures, arguments.size)]
    for path in sorted(p for p in arguments.paintings if p.suffix in {".jpg", ".png"}):
        ways = [(start, budget) for start in arguments.starts for budget in (arguments.steps or arguments.minutes)]
        unit = "steps" if arguments.steps else "min"
        names = {f"{start}, {budget:g} {unit}": (start, budget) for start, budget in ways}
        if all((path.stem, name) in done for name in names):
            continue
        case = prepared(path, arguments)
        columns = [case.contents, case.optimised]
        for name, (start, budget) in names.items():
            network, steps = trained(case, start, budget, bool(arguments.steps), material, arguments.size)
            key = NetworkKey.of(case.stylizer.style, case.stylizer.settings, arguments.size)
            made = TrainedNetwork(network, key.style, key.settings, key.size, {"steps": steps})
            painter = NetworkPainter(made, case.stylizer.machine)
            (out / "networks").mkdir(exist_ok=True)
            save_network(out / "networks" / f"{path.stem}-{start}-{budget:g}{unit}.safetensors", made)
            pictures = [painter.paint(content) for content in case.contents]
            columns.append(pictures)
            if (path.stem, name) not in done:
                rows.append({"painting": path.stem, "way": name, "steps": steps, **judged(case, pictures, paint)})
                say(as_line(rows[-1]))
                write_json(file, __doc__ or "", settings, {"rows": rows})
        for count in arguments.evaluations:
            for start, firsts in (("content", case.contents), ("network", columns[-1])):
                pictures, losses = optimised_from(case, firsts, count)
                row = {"painting": path.stem, "way": f"{start}, {count} evaluations", "steps": count, "loss": losses}
                rows.append(row | judged(case, pictures, paint))
                say(as_line(rows[-1]))
                write_json(file, __doc__ or "", settings, {"rows": rows})
                for photo, picture in zip(arguments.photos, pictures, strict=True):
                    save(picture, out / "pictures" / f"{start}-{count}" / f"{path.stem}-{photo.stem}.png")
        for photo, content, picture in zip(arguments.photos, case.contents, columns[-1], strict=True):
            save(content, out / "pictures" / "reference" / f"{path.stem}-{photo.stem}.png")
            save(picture, out / "pictures" / "network" / f"{path.stem}-{photo.stem}.png")
        sheet(columns, out / f"{path.stem}.png")
    summary(rows)
    return 0


def prepared(path: Path, arguments: argparse.Namespace) -> Case:
    """The painting with its optimised pictures, which are kept in the output folder."""
    picture = read_picture(path)
    stylizer = Stylizer(picture, Settings(backbone="compact"))
    alone = Stylizer(picture, Settings(backbone="compact", iterations=EVALUATIONS, tolerance=0.0, init="content"))
    judge = Stylizer(picture, Settings(weights=str(arguments.weights))) if arguments.weights else None
    contents, optimised = [], []
    for photo in arguments.photos:
        contents.append(read_picture(photo, longest=arguments.size))
        kept = arguments.output / "optimised" / f"{path.stem}-{photo.stem}-{arguments.size}.pt"
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            (frame,) = stylise_frames([Frame(contents[-1])], alone)
            torch.save(frame.pixels, kept)
        optimised.append(torch.load(kept, weights_only=True))
    return Case(path.stem, path, stylizer, judge, contents, optimised)


def trained(
    case: Case, start: str, budget: float, by_steps: bool, pictures: list[Picture], size: int
) -> tuple[StyleNetwork, int]:
    """A network after ``budget`` steps or minutes, and its steps."""
    torch.manual_seed(0)
    trainer = Trainer(case.stylizer, first_network() if start == "shipped" else StyleNetwork(), pictures, size)
    began = time.monotonic()
    while (share := (trainer.steps if by_steps else (time.monotonic() - began) / 60) / budget) < 1:
        trainer.step(share)
    return trained_network(trainer.network), trainer.steps


def optimised_from(case: Case, starts: list[torch.Tensor], evaluations: int) -> tuple[list[torch.Tensor], float]:
    """Pictures after so many evaluations from ``starts``, and their mean loss over the optimised pictures'."""
    pictures, ratios = [], []
    for content, start, optimised in zip(case.contents, starts, case.optimised, strict=True):
        settings = Settings(backbone="compact", iterations=evaluations, min_iterations=1, tolerance=0.0, init="start")
        stylizer = Stylizer(case.stylizer.style, settings, backbone=case.stylizer.backbone, starts={"start": start})
        (frame,) = stylise_frames([Frame(content)], stylizer)
        pictures.append(frame.pixels)
        ratios.append(frame.loss / case.stylizer.losses(content, optimised).without_priors.item())
    return pictures, statistics.fmean(ratios)


def judged(case: Case, pictures: list[torch.Tensor], paint: Any) -> dict[str, Any]:
    """Means over the photographs; ``worst``: the smallest fall."""
    falls = [fall(case.stylizer, *three) for three in zip(case.contents, pictures, case.optimised, strict=True)]
    found: dict[str, Any] = {"style": statistics.fmean(falls), "worst": min(falls)}
    if case.judge is not None:
        seen = [fall(case.judge, *three) for three in zip(case.contents, pictures, case.optimised, strict=True)]
        costs = [
            (case.judge.losses(c, p).content / case.judge.losses(c, o).content).item()
            for c, p, o in zip(case.contents, pictures, case.optimised, strict=True)
        ]
        found |= {"style_vgg19": statistics.fmean(seen), "content_vgg19": statistics.fmean(costs)}
    for name, those in (("paint", pictures), ("paint_optimised", case.optimised)):
        distances = [paint.distances(np.ascontiguousarray(bgr(p)), str(case.path)) for p in those]
        found[name] = [round(float(d), 2) for d in np.mean(distances, 0)]
    return found


def fall(judge: Stylizer, content: torch.Tensor, picture: torch.Tensor, optimised: torch.Tensor) -> float:
    """How far the style loss has fallen from the content's own, as a share of the optimised picture's fall."""
    before, now, then = (judge.losses(content, p).style.item() for p in (content, picture, optimised))
    return (before - now) / (before - then)


def bgr(picture: torch.Tensor) -> np.ndarray:
    return picture[0].permute(1, 2, 0).float().numpy()[:, :, ::-1]


def as_line(row: dict[str, Any]) -> str:
    line = f"{row['painting']:28s} {row['way']:18s} {row['steps']:5d} steps: style {row['style']:.3f}"
    line += f" (worst {row['worst']:.3f})" + (f", loss {row['loss']:.2f}" if "loss" in row else "")
    if "style_vgg19" in row:
        line += f", VGG-19 {row['style_vgg19']:.3f}, content {row['content_vgg19']:.2f}"
    pairs = zip(row["paint"], row["paint_optimised"], strict=True)
    return line + "; octaves " + " ".join(f"{ours:.1f}/{optimised:.1f}" for ours, optimised in pairs)


def summary(rows: list[dict[str, Any]]) -> None:
    """Medians and worst over the paintings, by way."""
    for way in dict.fromkeys(row["way"] for row in rows):
        those = [row for row in rows if row["way"] == way]
        for what in ("style", "style_vgg19"):
            values = [row[what] for row in those if what in row]
            if values:
                say(f"{way}: {what} median {statistics.median(values):.3f}, lowest {min(values):.3f} of {len(values)}")


def save(picture: torch.Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(to_array(picture)).save(path)


def sheet(columns: list[list[torch.Tensor]], path: Path) -> None:
    """Rows: photographs; columns: the photograph, optimised, then the networks'."""
    lines = []
    for row in zip(*columns, strict=True):
        tiles = [Image.fromarray(to_array(p)) for p in row]
        lines.append(np.hstack([np.asarray(t.resize((round(t.width * TILE / t.height), TILE))) for t in tiles]))
    width = max(line.shape[1] for line in lines)
    whole = np.vstack([np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0))) for line in lines])
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(whole).save(path)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paintings", type=Path, nargs="+", required=True, help="pictures that give the styles")
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="photographs to paint")
    parser.add_argument("--judge", type=Path, required=True, help="folder of paint.py")
    parser.add_argument("--pictures", type=Path, help="folder of photographs to train on, beside the samples")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 4.0])
    parser.add_argument("--steps", type=int, nargs="+", default=[])
    parser.add_argument("--starts", nargs="+", choices=("shipped", "nothing"), default=["shipped", "nothing"])
    parser.add_argument("--evaluations", type=int, nargs="*", default=[], help="optimise by so many too")
    parser.add_argument("--weights", type=Path, help="VGG-19's, to judge with")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("-o", "--output", type=Path, default=Path("out/networks"))
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
