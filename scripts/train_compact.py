"""Train the embedded network from VGG-19: ``python scripts/train_compact.py DATA... --minutes 120``.

DATA are folders of natural pictures and textures; paintings from the shared folder, where it is there, and the samples'
styles are added. The run can be stopped and started again: it goes on from its last checkpoint. In ``distillation/``:
what is asked of the network (``matching.py``), on which pictures (``walkers.py``), and where it starts (``start.py``).
"""

import argparse
import copy
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from distillation.matching import KeepingExtractor, Log, Match, match, teach, with_directions
from distillation.pictures import Pictures, crop
from distillation.start import from_teacher, narrowed
from distillation.student import Plan, Student
from distillation.walkers import Walkers, walks

from videostyle.device import choose_machine
from videostyle.networks import compact
from videostyle.networks.backbone import Backbone, Conv
from videostyle.networks.compact import LAYERS
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.networks.weights import from_file
from videostyle.optimise.image_optimiser import loss_weights, style_weight
from videostyle.pipeline.prefetch import Prefetcher
from videostyle.settings import Settings

SHARED = Path(os.environ.get("VIDEOSTYLE_SHARED", "../shared"))
PAINTINGS = [SHARED / "paintings", Path(__file__).parents[1] / "samples" / "styles"]
PLAN = "1_1:16 1_2:16 2_1:48 2_2:48 3_1:96 3_2:96 3_3:96 4_1:192 4_2:256 5_0:128 5_1:128"
HELD_OUT = ("kandinsky", "hokusai", "matisse", "mondrian")  # the paintings that judge the result
CROWD = 4  # walkers per picture of a batch
WARM_UP_STEPS = 60
COOL_DOWN = 0.4  # of the run
EMA = 0.998
PUPIL_EVERY = 10  # steps after which walkers follow the new weights
MEASURE_EVERY = 9  # steps between measurements of the gradient term's weight
MOST_WEIGHT = 5.0
CLIP = 3.0  # times the running norm
LOG_EVERY, SAVE_SECONDS = 20, 30


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    Training(args).run()
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    p.add_argument("data", nargs="+", type=Path, help="folders of pictures, read recursively")
    p.add_argument("--teacher", type=Path, default=SHARED / "weights" / "vgg19_features_fp16.npz", metavar="FILE")
    p.add_argument("--paintings", nargs="*", type=Path, default=PAINTINGS, metavar="DIR", help="half of the styles")
    p.add_argument(
        "--minutes", type=float, default=120, help="length of the whole run; the rate falls to zero at its end"
    )
    p.add_argument("--plan", default=PLAN, help="layers, channels and kernels of a new network (default: %(default)s)")
    p.add_argument("--init", type=Path, metavar="FILE", help="go on from these weights (with --minutes of its own)")
    p.add_argument("--narrow", default="", metavar="PLAN", help="with --init: fewer channels in some layers, as 1_2:16")
    p.add_argument("--out", type=Path, default=Path("checkpoints"), metavar="DIR")
    p.add_argument("--batch", type=int, default=6)
    p.add_argument("--side", type=int, default=160, help="picture size in training, a multiple of 16")
    p.add_argument("--rate", type=float, default=6e-3, help="Adam's step, relative to each tensor's own size")
    p.add_argument("--share", type=float, default=0.7, help="most weight of the gradient term, relative to the others")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--seed", type=int, default=0)
    return p.parse_args(argv)


class Training:
    """A run: the networks, the crowd of walkers, the optimiser and the clock."""

    def __init__(self, args: argparse.Namespace) -> None:
        machine = choose_machine(Settings(device=args.device))
        self.args, self.device, self.dtype = args, machine.device, machine.dtype
        self.rng = np.random.default_rng(args.seed)
        s = Settings()
        self.weights = loss_weights(s)
        self.grain_weight = s.grain_weight * style_weight(s)
        folders = [*args.data, *(folder for folder in args.paintings if folder.is_dir())]
        self.pictures = Pictures(folders, HELD_OUT, args.out / "pictures.pt")
        crops = torch.cat([crop(self.pictures.any(self.rng), 160, self.rng) for _ in range(48)])
        teacher = from_file(args.teacher)
        self.student = self._begin(teacher, crops).to(self.device)
        teacher = with_directions(teacher, crops)
        self.teacher = KeepingExtractor(teacher, LAYERS, pooling="max", device=self.device, dtype=self.dtype)
        self.parameters = list(self.student.parameters())
        self.sizes = [float(p.detach().square().mean().sqrt()) for p in self.parameters]
        groups = [{"params": [p], "lr": 1.0} for p in self.parameters]
        self.adam = torch.optim.Adam(groups, betas=(0.9, 0.98), eps=1e-12)
        self.average = [p.detach().clone() for p in self.parameters]
        self.step, self.elapsed = 0, 0.0
        self.gradient_weight, self.norm = torch.tensor([0.1, 0.0], device=self.device)
        self._resume()

    def _begin(self, teacher: Backbone, crops: torch.Tensor) -> Student:
        """A new network, with the convolutions of ``--init`` where the plan has the same."""
        begun: dict[str, Conv] = {}
        if self.args.init:
            given = narrowed(compact.load(self.args.init), Plan.parse(self.args.narrow), crops)
            begun = {conv.name: conv for conv in given.convs}
        plan = Plan.parse(self.args.plan)
        wanted = {item.name: (item.channels, item.kernel) for item in plan}
        begun = {n: conv for n, conv in begun.items() if wanted.get(n) == (len(conv.weight), conv.weight.shape[-1])}
        student = from_teacher(teacher, plan, crops, self.dtype, begun)
        (self.args.out / "start.safetensors").write_bytes(compact.to_bytes(student.export()))
        return student

    def _draw_style(self, rng: np.random.Generator) -> np.ndarray:
        """Paintings, which come last, in half of the cases; within each half by the size of the folders."""
        sizes, first = [float(len(f)) for f in self.pictures.folders], len(self.args.data)
        photographs, paintings = sum(sizes[:first]), sum(sizes[first:])
        if paintings:
            sizes[first:] = [size * photographs / paintings for size in sizes[first:]]
        return self.pictures.any(rng, sizes)

    def run(self) -> None:
        drawn = walks(self.pictures, self._draw_style, self.args.side, np.random.default_rng(self.args.seed + 1))
        with Prefetcher(drawn, CROWD) as source:
            self.walkers = Walkers(
                CROWD * self.args.batch,
                self.args.side,
                source,
                self.teacher,
                self.weights,
                self.grain_weight,
                self.rng,
                self._pupil(),
            )
            self._steps()
        self._save()

    def _steps(self) -> None:
        limit, saved, logs = self.args.minutes * 60, time.monotonic(), list[Log]()
        while self.elapsed < limit:
            began = time.monotonic()
            logs.append(self.one_step())
            self.step += 1
            if self.step % LOG_EVERY == 0 or self.step == 1:
                self._log(logs)
                logs = []
            now = time.monotonic()
            self.elapsed += now - began
            if now - saved > SAVE_SECONDS:
                self._save()
                saved = now
        if logs:
            self._log(logs)

    def one_step(self) -> Log:
        picked = self.walkers.draw(self.args.batch)
        batch = self.walkers.batch(picked)
        probe = self.step % 2 == 1
        parts = self._probed(picked) if probe else batch.parts
        teaching = teach(self.teacher, batch, self.weights, parts)
        found = match(self.student, batch, teaching, self.weights, parts)
        if probe:
            found.log = {f"{k} apart" if k[:2] in ("co", "g/", "ra") else k: v for k, v in found.log.items()}
        self._backward(found)
        if self.step % PUPIL_EVERY == 0:
            self.walkers.pupil = self._pupil()
        if not probe:
            found.log |= self.walkers.fallen(picked, teaching.loss)
            self._walk(picked, teaching.gradient, found.input_gradient)
        self._set_rate()
        self.adam.step()
        torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1 - self._decay())
        return found.log

    def _decay(self) -> float:
        return min(EMA, (1 + self.step) / (10 + self.step))

    def _walk(self, picked: np.ndarray, teachers: torch.Tensor, students: torch.Tensor) -> None:
        """Every walker one step further by whose gradient it follows, and the student's some more by themselves."""
        follows = self.walkers.follows_student[picked]
        chosen = torch.from_numpy(follows).to(self.device).view(-1, 1, 1, 1)
        self.walkers.step(picked, torch.where(chosen, students, teachers))
        self.walkers.run(picked, follows)

    def _probed(self, picked: np.ndarray) -> torch.Tensor:
        """(N, 2) factors of alpha and beta that look at content or style alone, instead of the walkers' own.

        Near the end of an optimisation the two gradients nearly cancel, and their sum tells little about either: every
        second step therefore looks at one of them alone. (At the content itself there is only the style's.)
        """
        content = (self.walkers.age[picked] > 0) & (self.rng.random(len(picked)) < 0.5)
        return torch.from_numpy(np.stack((content, ~content), 1)).float().to(self.device)

    def _pupil(self) -> FeatureExtractor:
        """The small network as the product runs it."""
        return FeatureExtractor(
            self.student.export(), self.weights.layers, pooling="max", device=self.device, dtype=self.dtype
        )

    def _backward(self, found: Match) -> None:
        """Sum of the terms; the gradient term's weight keeps its norm below ``--share`` of the others'."""
        others = found.features + found.grams + found.content
        if self.step % MEASURE_EVERY == 0:
            a = torch.autograd.grad(others, self.parameters, retain_graph=True, allow_unused=True)
            b = torch.autograd.grad(found.gradient, self.parameters, allow_unused=True)
            weight = (self.args.share * self._norm(a) / self._norm(b).clamp_min(1e-20)).clamp_max(MOST_WEIGHT)
            self.gradient_weight = torch.lerp(self.gradient_weight, weight, 0.3 if self.step else 1.0)
            for p, ga, gb in zip(self.parameters, a, b, strict=True):
                p.grad = _sum(ga, gb, self.gradient_weight)
        else:
            self.adam.zero_grad()
            (others + self.gradient_weight * found.gradient).backward()
        gradients = [p.grad for p in self.parameters]
        norm = self._norm(gradients)
        self.norm = torch.lerp(self.norm, torch.minimum(norm, CLIP * self.norm), 0.05) if self.step else norm
        shorter = (CLIP * self.norm / norm).clamp_max(1.0)
        torch._foreach_mul_([g for g in gradients if g is not None], shorter)
        found.log |= {"norm": norm, "weight": self.gradient_weight}

    def _norm(self, gradients: Sequence[torch.Tensor | None]) -> torch.Tensor:
        """Norm of a gradient, each tensor in units of its own size."""
        there = [(g, size) for g, size in zip(gradients, self.sizes, strict=True) if g is not None]
        norms = torch.stack(torch._foreach_norm([g for g, _ in there]))
        return (norms * norms.new_tensor([size for _, size in there])).norm()

    def _set_rate(self) -> None:
        """Warm-up by steps, then constant, and down to zero in the last part of the run's minutes."""
        left = max(0.0, 1 - self.elapsed / (self.args.minutes * 60))
        self.rate = self.args.rate * min(1.0, (self.step + 1) / WARM_UP_STEPS, left / COOL_DOWN)
        for group, size in zip(self.adam.param_groups, self.sizes, strict=True):
            group["lr"] = self.rate * size

    def averaged(self) -> Student:
        """The student with its weights averaged over the last steps."""
        student = copy.deepcopy(self.student)
        with torch.no_grad():
            for p, average in zip(student.parameters(), self.average, strict=True):
                p.copy_(average)
        return student

    def _log(self, logs: list[Log]) -> None:
        """The means of some steps' logs as a line of JSON."""
        line = {"step": self.step, "minutes": round(self.elapsed / 60, 2), "rate": float(f"{self.rate:.3g}")}
        for key in sorted(set().union(*logs)):
            mean = torch.stack([entry[key] for entry in logs if key in entry]).nanmean()
            line[key] = float(f"{mean.item():.3g}")
        with (self.args.out / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _save(self) -> None:
        (self.args.out / "compact.safetensors").write_bytes(compact.to_bytes(self.averaged().export()))
        state = {
            "student": self.student.state_dict(),
            "adam": self.adam.state_dict(),
            "average": self.average,
            "clock": (self.step, self.elapsed),
            "sizes": (self.gradient_weight, self.norm),
        }
        torch.save(state, self.args.out / "state.pt.part")
        os.replace(self.args.out / "state.pt.part", self.args.out / "state.pt")

    def _resume(self) -> None:
        path = self.args.out / "state.pt"
        if not path.is_file():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.student.load_state_dict(state["student"])
        self.adam.load_state_dict(state["adam"])
        self.average = state["average"]
        self.step, self.elapsed = state["clock"]
        self.gradient_weight, self.norm = state["sizes"]


def _sum(a: torch.Tensor | None, b: torch.Tensor | None, weight: torch.Tensor) -> torch.Tensor | None:
    """a + weight b, where either may be missing."""
    if a is None or b is None:
        return a if b is None else weight * b
    return a + weight * b


if __name__ == "__main__":
    raise SystemExit(main())
