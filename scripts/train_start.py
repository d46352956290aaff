"""Train the start of style networks: weights from which a new painting is learned in few steps.

    python scripts/train_start.py --pictures FOLDER... --styles FOLDER... --minutes 60 -o start.safetensors

Reptile (Nichol, Achiam and Schulman 2018): from the weights so far, a few steps towards one style, then the weights
move part of the way there; then the next style. Styles whose names hold a word of ``--hold-out`` stay out. The run can
be stopped and started again: it goes on from its checkpoint, ``OUT.pt``.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from videostyle import Settings, Stylizer
from videostyle.errors import VideoStyleError
from videostyle.media.still import read_picture
from videostyle.networks.style_network import StyleNetwork
from videostyle.networks.style_network_file import TrainedNetwork, load_network, save_network
from videostyle.training.trainer import Trainer, trained_network
from videostyle.training.views import Picture

ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}
LONGEST = 420  # pixels of a training picture
INNER_STEPS = 24  # towards one style
FIRST_WAY, LAST_WAY = 0.7, 0.15  # share of the way to the style's weights that is kept, from first to last
MEMORY_EVERY = 4  # tasks, of which one also has frames that follow another
SIZE = 512
SAVE_SECONDS = 120


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(arguments.seed)
    torch.manual_seed(arguments.seed)
    pictures = [Picture(p) for p in read_all(arguments.pictures, arguments.hold_out, LONGEST, arguments.most)]
    styles = list(read_all(arguments.styles, arguments.hold_out, SIZE, arguments.most))
    network = load_network(arguments.first).network if arguments.first else StyleNetwork()
    tasks, before = 0, 0.0
    checkpoint = Path(f"{arguments.output}.pt")
    if checkpoint.is_file():
        saved = torch.load(checkpoint, weights_only=True)
        network.load_state_dict(saved["network"])
        tasks, before = saved["tasks"], saved["seconds"]
    print(f"{len(pictures)} pictures, {len(styles)} styles, {tasks} tasks before", flush=True)
    began, saved_at, losses = time.monotonic() - before, time.monotonic(), list[float]()
    while (share := (time.monotonic() - began) / (60 * arguments.minutes)) < 1:
        style = styles[rng.integers(len(styles))]
        losses.append(task(network, style, pictures, tasks, FIRST_WAY + (LAST_WAY - FIRST_WAY) * share))
        tasks += 1
        if tasks % 10 == 0:
            print(f"{tasks} tasks, {time.monotonic() - began:.0f} s: {statistics.fmean(losses[-10:]):.3f}", flush=True)
        if time.monotonic() - saved_at > SAVE_SECONDS:
            saved_at = time.monotonic()
            torch.save({"network": network.state_dict(), "tasks": tasks, "seconds": saved_at - began}, checkpoint)
    torch.save({"network": network.state_dict(), "tasks": tasks, "seconds": time.monotonic() - began}, checkpoint)
    training = {"tasks": tasks, "steps": INNER_STEPS, "styles": len(styles), "pictures": len(pictures)}
    save_network(arguments.output, TrainedNetwork(trained_network(network), "", {}, SIZE, training))
    return 0


def task(network: StyleNetwork, style: torch.Tensor, pictures: list[Picture], number: int, way: float) -> float:
    """A few steps towards ``style``, of which ``network`` keeps the share ``way``; the mean loss of the last steps."""
    learner = StyleNetwork(network.shape)
    learner.load_state_dict(network.state_dict())
    trainer = Trainer(Stylizer(style, Settings(backbone="compact")), learner, pictures, SIZE, seed=number)
    with_memory = number % MEMORY_EVERY == 0
    trainer.memory_from = 0.0 if with_memory else 1.0
    share = 0.7 if with_memory else 0.3
    losses = [trainer.step(share).objective for _ in range(INNER_STEPS)]
    with torch.no_grad():
        for mine, theirs in zip(network.parameters(), learner.parameters(), strict=True):
            mine.lerp_(theirs, way)
    return statistics.fmean(losses[-6:]) / max(losses[0], 1e-6)


def read_all(folders: list[Path], hold_out: list[str], longest: int, most: int) -> Iterator[torch.Tensor]:
    """The pictures of the folders, recursively, at most ``most`` of each; files that are none are left out."""
    for folder in folders:
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS)
        paths = [p for p in paths if not any(word in p.name.lower() for word in hold_out)]
        for path in paths[:: max(1, len(paths) // most)][:most]:
            try:
                yield read_picture(path, longest=longest)
            except VideoStyleError as error:
                print(f"left out: {error}", flush=True)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, nargs="+", required=True, help="folders of photographs")
    parser.add_argument("--styles", type=Path, nargs="+", required=True, help="folders of paintings and textures")
    parser.add_argument("--hold-out", nargs="*", default=[], help="words in the names of styles that judge the result")
    parser.add_argument("--most", type=int, default=300, help="pictures of a folder, at most")
    parser.add_argument("--first", type=Path, help="a start to go on from")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
