"""What do looks give on clips: blends, regions, the source kept, its colours, changes over time; and what do they cost?

    python scripts/benchmark/looks.py --clips A.mp4 B.mp4 --styles X.jpg Y.jpg --masks FOLDER --weights VGG19 -o OUT

``--masks``: for every clip a picture ``CLIP.png`` that was painted on its first frame. Frames are painted without
files. Judged: by VGG-19 the style distance inside the region (eroded by 16 px) to its own painting, over that of the
clip painted wholly in that style, and to the other painting over its own, there ("other") and in the clip painted
wholly ("other_whole"); the largest difference to the source where it is kept,
outside the feather; with the source's colours the distance of a* and b* (CIELAB) to it, their change from frame to
frame beside the source's own, and the energy of fine strokes in L over that with the style's colours; the change along
RAFT-small's flow inside the region (--raft). Writes ``looks.json``, and for every clip and look a sheet of frames and
an x-t slice, the source's above.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from common import say, write_json
from PIL import Image
from qualities import load_raft

from videostyle import Frame, MediaSettings, Settings, StylisedFrame
from videostyle.device import keep_freed_memory
from videostyle.frames import luma, to_array
from videostyle.losses.style import StyleTarget
from videostyle.measure.metrics import masked_style_distance
from videostyle.media.decode import decode, output_size
from videostyle.media.probe import probe
from videostyle.media.still import read_picture
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.networks.weights import load_backbone
from videostyle.pipeline.job import open_stylizer
from videostyle.pipeline.region_masks import open_mask
from videostyle.settings.curves import curve_of
from videostyle.settings.look import ColourLook, Look, RegionLook, StylePicture
from videostyle.stylise.choose_maker import frame_maker_of
from videostyle.stylise.recolour import to_lab
from videostyle.stylise.start_images import fit_style
from videostyle.temporal.warp import sample

SETTINGS = Settings(backbone="compact", first_init="palette", keyframes="off")
LAYERS = SETTINGS.style_layers
# Pixels: of soft edges, taken off a region for its style, of the box that fine strokes are below.
FEATHER, ERODED, FINE = 8.0, 16, 9
SHEET = 6


def looks(one: str, other: str, mask: str, has_sound: bool, seconds: float) -> dict[str, Look]:
    """Every kind of look with two styles and a mask; what changes does so within so many ``seconds``."""
    a, b = StylePicture(one), StylePicture(other)

    def number(value: Any) -> Any:
        return curve_of(value, "number")

    begin, end = 0.25 * seconds, 0.75 * seconds
    there, back = [[begin, 1], [end, 0]], [[begin, 0], [end, 1]]
    swell = [[0, 0], [seconds / 2, 0.8], [seconds, 0]]
    found = {
        "one": Look((a,)),
        "other": Look((b,)),
        "blend": Look((StylePicture(one, 0.5), StylePicture(other, 0.5))),
        "regions": Look((a,), (RegionLook(mask, 0.0, (b,)),)),
        "kept": Look((a,), (RegionLook(mask, 0.0),)),
        "source": Look((a,), colours=ColourLook("source")),
        "ramp": Look((a,), changing=(("strength", number(swell)),)),
        "turn": Look((StylePicture(one, number(there)), StylePicture(other, number(back)))),
    }
    if has_sound:
        found["audio"] = Look((a,), changing=(("strength", number({"drive": "audio", "low": 0.3, "high": 0.7})),))
    return found


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    keep_freed_memory()  # as the command line does
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    judge = FeatureExtractor(load_backbone("vgg19-caffe", str(arguments.weights)), LAYERS)
    raft = None if arguments.raft is None else load_raft(arguments.raft)
    one, other = arguments.styles
    rows: list[dict[str, Any]] = []
    for clip in arguments.clips:
        info, media = probe(clip), MediaSettings(size=arguments.size, duration_seconds=arguments.duration)
        size = output_size(info, arguments.size, even=True)
        sources = list(decode(info, size=size, duration_seconds=arguments.duration))
        mask = arguments.masks / f"{clip.stem}.png"
        region = open_mask(str(mask), 0.0, info=info, size=size, media=media, feather=FEATHER)
        masks = [region.at(frame.time_seconds) for frame in sources]
        has_sound = any(s.kind == "audio" for s in info.streams)
        wanted = looks(str(one), str(other), str(mask), has_sound, arguments.duration)
        chosen = {name: look for name, look in wanted.items() if not arguments.only or name in arguments.only}
        stylizers = {name: open_stylizer(look, SETTINGS, size, None, info, media) for name, look in chosen.items()}
        turns = zip(*(frame_maker_of(stylizer).frames(sources) for stylizer in stylizers.values()), strict=True)
        made = dict(zip(chosen, map(list, zip(*turns, strict=True)), strict=True))  # a frame of each, in turns
        for name in chosen:
            sheet(sources, made[name], arguments.output / f"{clip.stem}-{name}.png")
            row = {"clip": clip.stem, "look": name, **cost(made[name], made.get("one"))}
            rows.append(row | measured(name, sources, made, masks, (one, other), judge, raft))
            say(", ".join(f"{key} {value}" for key, value in rows[-1].items()))
            settings = {key: str(value) for key, value in vars(arguments).items()}
            write_json(arguments.output / "looks.json", __doc__ or "", settings, {"rows": rows})
    return 0


def cost(frames: list[StylisedFrame], one: list[StylisedFrame] | None) -> dict[str, float]:
    """Seconds and evaluations of the frames after the first; ``times``: the median of what they take over ``one``'s."""
    first, *later = frames
    pairs = zip(later, (one or frames)[1:], strict=True)
    return {
        "times": round(statistics.median(f.wall_seconds / o.wall_seconds for f, o in pairs), 3),
        "first": round(first.wall_seconds, 2),
        "later": round(statistics.median(f.wall_seconds for f in later), 3),
        "evaluations": round(statistics.fmean(f.evaluations for f in later), 1),
    }


def measured(
    name: str,
    sources: list[Frame],
    made: dict[str, list[StylisedFrame]],
    masks: list[torch.Tensor],
    styles: tuple[Path, Path],
    judge: FeatureExtractor,
    raft: torch.nn.Module | None,
) -> dict[str, float]:
    """What is asked of this look."""
    found: dict[str, float] = {}
    if name == "regions" and {"one", "other"} <= made.keys():
        found |= by_region(made, masks, styles, judge)
        if raft is not None:
            changes = [along_flow(sources, made[way], masks, raft) for way in ("regions", "one", "other")]
            found |= {"change": changes[0], "change_without": max(changes[1:])}
    if name == "kept":
        outside = [F.max_pool2d(1 - m, 2 * int(FEATHER) + 1, 1, int(FEATHER)) == 0 for m in masks]
        pairs = zip(made[name], sources, outside, strict=True)
        away = [((p.pixels - s.pixels).abs() * o).max().item() for p, s, o in pairs]
        found["kept_levels"] = round(255 * max(away), 3)
    if name == "source":
        found |= colours(sources, made[name])
        if "one" in made:
            strokes = [statistics.fmean(map(fine_strokes, made[way])) for way in ("source", "one")]
            found["strokes"] = round(strokes[0] / strokes[1], 3)
    return found


def by_region(
    made: dict[str, list[StylisedFrame]], masks: list[torch.Tensor], styles: tuple[Path, Path], judge: FeatureExtractor
) -> dict[str, float]:
    """Style distances, medians over some frames: of the region and of the ground to their own painting over a clip's
    painted wholly in it, and to the other's over their own."""
    longest = max(masks[0].shape[2:])
    targets = [StyleTarget(judge, fit_style(read_picture(p), longest, 16), LAYERS) for p in styles]
    found: dict[str, list[float]] = {}
    for i in range(len(masks) // 3, len(masks), max(1, len(masks) // 6)):
        for part, mask, own, whole in (("ground", 1 - masks[i], 0, "one"), ("region", masks[i], 1, "other")):
            inner = 1 - F.max_pool2d(1 - (mask > 0.99).float(), 2 * ERODED + 1, 1, ERODED)
            if inner.sum() < 1000:
                continue

            def distance(way: str, style: int, i: int = i, inner: torch.Tensor = inner) -> float:
                return masked_style_distance(judge, made[way][i].pixels, targets[style], inner)

            found.setdefault(part, []).append(distance("regions", own) / distance(whole, own))
            found.setdefault(f"{part}_other", []).append(distance("regions", 1 - own) / distance("regions", own))
            found.setdefault(f"{part}_other_whole", []).append(distance(whole, 1 - own) / distance(whole, own))
    return {key: round(statistics.median(values), 3) for key, values in found.items()}


@torch.no_grad()
def along_flow(
    sources: list[Frame], frames: list[StylisedFrame], masks: list[torch.Tensor], raft: torch.nn.Module
) -> float:
    """Mean squared change inside the masks along RAFT-small's flow, where the source changes little along it, 1e-3."""
    found = []
    height, width = sources[0].pixels.shape[2:]
    padding = (0, -width % 8, 0, -height % 8)
    for i in range(len(sources) // 2, len(sources), 3):
        pair = [2 * F.pad(sources[j].pixels, padding, mode="replicate") - 1 for j in (i, i - 1)]
        flow = raft(*pair)[-1][..., :height, :width]
        steady = (sources[i].pixels - sample(sources[i - 1].pixels, flow, "bicubic")).abs().amax(1, keepdim=True) < 0.05
        weight = steady * masks[i]
        change = (frames[i].pixels - sample(frames[i - 1].pixels, flow, "bicubic")).square().mean(1, keepdim=True)
        found.append(((change * weight).sum() / weight.sum().clamp_min(1)).item())
    return round(1e3 * statistics.fmean(found), 4)


def colours(sources: list[Frame], frames: list[StylisedFrame]) -> dict[str, float]:
    """Mean distance of a* and b* to the source, and their mean change from frame to frame beside the source's."""
    ours, theirs = ([to_lab(f.pixels)[:, 1:] for f in clip] for clip in (frames, sources))

    def apart(a: torch.Tensor, b: torch.Tensor) -> float:
        return (a - b).square().sum(1).sqrt().mean().item()

    changes = [statistics.fmean(map(apart, labs[1:], labs)) for labs in (ours, theirs)]
    away = statistics.fmean(map(apart, ours, theirs))
    return {"ab": round(away, 3), "ab_change": round(changes[0], 3), "ab_change_source": round(changes[1], 3)}


def fine_strokes(frame: StylisedFrame) -> float:
    """Variance of luma below FINE pixels."""
    y = luma(frame.pixels)
    return (y - F.avg_pool2d(y, FINE, 1, FINE // 2, count_include_pad=False)).square().mean().item()


def x_t_slice(frames: Sequence[Frame]) -> torch.Tensor:
    """The middle row of every frame, each three pixels high, the first on top."""
    rows = (f.pixels[:, :, f.pixels.shape[2] // 2, None] for f in frames)
    return torch.cat([row.expand(-1, -1, 3, -1) for row in rows], 2)


def sheet(sources: list[Frame], frames: list[StylisedFrame], path: Path) -> None:
    """Frames of the source above the same ones painted; below, both x-t slices through the middle."""
    chosen = [round(i * (len(frames) - 1) / (SHEET - 1)) for i in range(SHEET)]
    rows = [torch.cat([clip[i].pixels for i in chosen], 3) for clip in (sources, frames)]
    x_t = torch.cat([x_t_slice(sources), x_t_slice(frames)], 3)
    rows.append(F.pad(x_t, (0, rows[0].shape[3] - x_t.shape[3], 0, 0), value=1.0))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(to_array(torch.cat(rows, 2))).save(path)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=Path, nargs="+", required=True)
    parser.add_argument("--styles", type=Path, nargs=2, required=True, metavar=("ONE", "OTHER"))
    parser.add_argument("--masks", type=Path, required=True, help="folder of masks painted on the clips' first frames")
    parser.add_argument("--only", nargs="+", help="names of looks (default: all)")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--duration", type=float, default=1.0, help="seconds of each clip")
    parser.add_argument("--weights", type=Path, required=True, help="VGG-19's, which judge")
    parser.add_argument("--raft", type=Path, help="weights of torchvision's raft_small")
    parser.add_argument("--threads", type=int)
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
