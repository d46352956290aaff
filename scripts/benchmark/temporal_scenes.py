"""Scenes for the temporal benchmark: frames with true flow (Middlebury, MPI-Sintel), or real clips with DIS's."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from videostyle.media.still import read_picture
from videostyle.temporal.flow import dis_flow, given_warp
from videostyle.temporal.warp import Warp


@dataclass(frozen=True)
class Scene:
    """``frames``: (1, 3, H, W) each, in the order they are played. ``flow(current, previous)``: the warp between two of
    them. ``judged``: indices of the frames whose flow to the one before is true."""

    name: str
    frames: list[torch.Tensor]
    flow: Callable[[torch.Tensor, torch.Tensor], Warp]
    judged: set[int]


def flow_scenes(folder: Path, size: int, wanted: list[str] | None, device: torch.device) -> Iterator[Scene]:
    """One scene per sub-folder that holds flow, its frames and warps on ``device``."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and (not wanted or path.name in wanted):
            yield true_scene(path, size, device)


def true_scene(path: Path, size: int, device: torch.device) -> Scene:
    """Frames played backwards: the files hold the flow from a frame to the next, which then is the one before it."""
    numbers = {int(f.stem.removeprefix("frame").removeprefix("_")): f for f in path.glob("frame*.png")}
    order = sorted(numbers, reverse=True)
    frames = {n: read_picture(numbers[n], longest=size).to(device) for n in order}
    warps = {}
    for n in order[1:]:
        warp = dis_flow(frames[n], frames[n + 1])
        true = next(iter(path.glob(f"flow*{n:02d}.npz")), None)
        warps[n] = (warp if true is None else true_warp(true, warp, path, n)).to(device)
    by_id = {id(frames[n]): n for n in order}
    known = {i for i, n in enumerate(order[1:], 1) if any(path.glob(f"flow*{n:02d}.npz"))}
    last = max(known)
    return Scene(
        path.name,
        [frames[n] for n in order[: last + 1]],
        lambda current, previous: warps[by_id[id(current)]],
        known,
    )


def true_warp(file: Path, dis: Warp, folder: Path, number: int) -> Warp:
    """The file's flow at the frames' size. Mask: finite, inside the frame, not in the given occlusion map (or, where
    there is none, not in DIS's), off the motion's boundaries."""
    occluded = folder / f"occlusions_{number:04d}.png"
    if not occluded.is_file():
        return given_warp(file, dis)
    hidden = torch.from_numpy(np.asarray(Image.open(occluded).convert("L")).copy())[None, None].float() / 255
    seen = (F.interpolate(hidden, tuple(dis.flow.shape[2:]), mode="area") < 0.01).float()
    return given_warp(file, Warp(dis.flow, seen, seen))


def clip_scene(path: Path, size: int, frames: int, device: torch.device) -> Scene:
    """The beginning of a real clip; its flow is DIS's, in use and in judgement."""
    from videostyle.media.decode import decode, output_size
    from videostyle.media.probe import probe

    info = probe(path)
    pictures = [f.pixels.to(device) for f in islice(decode(info, size=output_size(info, size, even=False)), frames)]
    return Scene(path.stem, pictures, lambda a, b: dis_flow(a, b).to(device), set(range(1, len(pictures))))
