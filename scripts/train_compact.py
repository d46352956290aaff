"""Train the embedded network from VGG-19: ``python scripts/train_compact.py DATA... --minutes 120``.

DATA are folders of natural pictures and textures; paintings from the shared folder are added where it is there. The
run can be stopped and started again: it goes on from its last checkpoint. In ``distillation/``: what is asked of the
network (``matching.py``), on which pictures (``walkers.py``), and where it starts (``start.py``).
"""

import argparse
import copy
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
from distillation.matching import DEEPEST, DEEPEST_EVERY, Match, Recording, match, teach
from distillation.pictures import Pictures, crop
from distillation.start import from_backbone, from_teacher
from distillation.student import Plan, Student
from distillation.walkers import STRIDE, Walker, Walkers

from videostyle.perception import compact
from videostyle.perception.compact import LAYERS
from videostyle.perception.objective import LossWeights
from videostyle.perception.trunk import Trunk
from videostyle.perception.weights import from_file
from videostyle.settings import Settings

SHARED = Path(os.environ.get("VIDEOSTYLE_SHARED", "../shared"))
PLAN = "1_1:16 2_1:48 2_2:48 3_1:96 3_2:96 3_3:96 4_1:192 4_2:256 5_1:64"
HELD_OUT = ("kandinsky", "hokusai", "matisse", "mondrian")  # the paintings that judge the result
CROWD = 4  # walkers per picture of a batch
WARM_UP_STEPS = 60
COOL_DOWN = 0.4  # of the run
EMA = 0.998
PUPIL_EVERY = 10  # steps after which walkers follow the new weights
MEASURE_EVERY = 9  # steps between measurements of the gradient term's weight
MOST_WEIGHT = 5.0
CLIP = 3.0  # times the running norm


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
    p.add_argument("--paintings", type=Path, default=SHARED / "paintings", metavar="DIR")
    p.add_argument(
        "--minutes", type=float, default=120, help="length of the whole run; the rate falls to zero at its end"
    )
    p.add_argument("--plan", default=PLAN, help="layers, channels and kernels of a new network (default: %(default)s)")
    p.add_argument("--init", type=Path, metavar="FILE", help="go on from these weights (with --minutes of its own)")
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
        self.args, self.device = args, torch.device(args.device)
        self.rng = np.random.default_rng(args.seed)
        s = Settings()
        self.weights = LossWeights(s.content_weight, s.style_weight, 0.0, s.content_layers, s.style_layers)
        shallow = tuple(name for name in s.style_layers if name != DEEPEST)
        # E_l is divided by the number of style layers: without one of them, the others weigh the same as before.
        share = len(shallow) / len(s.style_layers)
        self.shallow = LossWeights(s.content_weight, s.style_weight * share, 0.0, s.content_layers, shallow)
        self.teacher_backbone = from_file(args.teacher)
        self.teacher = Recording(self.teacher_backbone, LAYERS, device=self.device, dtype=torch.bfloat16)
        folders = [*args.data, *([args.paintings] if args.paintings.is_dir() else [])]
        self.pictures = Pictures(folders, HELD_OUT, args.out / "pictures.pt")
        self.folder_count = len(folders)
        self.student = self._begin().to(self.device)
        groups = [
            {"params": [p], "lr": 1.0, "size": float(p.detach().square().mean().sqrt())}
            for p in self.student.parameters()
        ]
        self.adam = torch.optim.Adam(groups, betas=(0.9, 0.98), eps=1e-12)
        self.average = {k: v.detach().clone() for k, v in self.student.named_parameters()}
        self.step, self.elapsed, self.gradient_weight, self.norm = 0, 0.0, 0.1, 0.0
        self._resume()
        self.walkers = Walkers(
            CROWD * args.batch,
            args.side,
            self.pictures,
            self.teacher,
            self.weights,
            self._draw_style,
            self.rng,
            self._pupil(),
        )

    def _begin(self) -> Student:
        crops = torch.cat([crop(self.pictures.any(self.rng), 160, self.rng) for _ in range(48)])
        if self.args.init:
            return from_backbone(compact.load(self.args.init), self.teacher_backbone, crops, torch.bfloat16)
        student = from_teacher(self.teacher_backbone, Plan.parse(self.args.plan), crops, torch.bfloat16)
        (self.args.out / "start.safetensors").write_bytes(compact.to_bytes(student.export()))
        return student

    def _draw_style(self, rng: np.random.Generator) -> np.ndarray:
        """Paintings, which come last, in half of the cases; the rest by the size of their folders."""
        sizes = [float(len(f)) for f in self.pictures.folders]
        if self.folder_count > len(self.args.data):
            sizes[-1] = sum(sizes[:-1])
        return self.pictures.any(rng, sizes)

    def run(self) -> None:
        limit, saved, logs = self.args.minutes * 60, time.monotonic(), []
        while self.elapsed < limit:
            began = time.monotonic()
            logs.append(self.one_step())
            self.step += 1
            now = time.monotonic()
            self.elapsed += now - began
            if self.step % 20 == 0:
                self._log(logs)
                logs = []
            if now - saved > 120:
                self._save()
                saved = now
        if logs:
            self._log(logs)
        self._save()

    def one_step(self) -> dict[str, float]:
        picked = [self.walkers.crowd[i] for i in self.walkers.draw(self.args.batch)]
        x = torch.cat([w.x for w in picked]).to(self.device)
        weights = self.weights if self.step % DEEPEST_EVERY == 0 else self.shallow
        probe = self.step % 2 == 1
        parts = self._parts(picked, probe)
        teaching = teach(self.teacher, picked, x, weights, parts)
        found = match(self.student, picked, x, teaching, weights, parts)
        if probe:
            found.log = {f"{k} apart" if k[:2] in ("co", "g/", "ra") else k: v for k, v in found.log.items()}
        self._backward(found)
        if self.step % PUPIL_EVERY == 0:
            self.walkers.pupil = self._pupil()
        for i, walker in enumerate(picked if not probe else ()):
            self._watch(walker, float(teaching.loss[i]), found.log)
            g = found.input_gradient if walker.follows_student else teaching.gradient
            walker.step(g[i : i + 1].float().cpu())
            if walker.follows_student:
                walker.run(self.walkers.pupil, self.weights, STRIDE)
        found.log["rate"] = self._set_rate()
        self.adam.step()
        decay = min(EMA, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, p in self.student.named_parameters():
                self.average[name].lerp_(p, 1 - decay)
        return found.log

    def _parts(self, picked: list[Walker], probe: bool) -> torch.Tensor:
        """(N, 2) factors of alpha and beta: the walkers' own, or (``probe``) only content or only style.

        Near the end of an optimisation the two gradients nearly cancel, and their sum tells little about either: every
        second step therefore looks at one of them alone. (At the content itself there is only the style's.)
        """
        parts = torch.tensor([[1.0, w.beta] for w in picked])
        if probe:
            content = torch.tensor([w.age > 0 and self.rng.random() < 0.5 for w in picked])
            parts = torch.where(content[:, None], torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
        return parts

    def _pupil(self) -> Trunk:
        """The small network as the product runs it."""
        return Trunk(self.student.export(), self.weights.layers, device=self.device, dtype=torch.bfloat16)

    @staticmethod
    def _watch(walker: Walker, loss: float, log: dict[str, float]) -> None:
        """How far VGG-19's loss has fallen on a long way, by whose gradient it followed: what all this is for."""
        if walker.age == 0:
            walker.first_loss = loss
        elif walker.first_loss and walker.age >= 30:
            log["fall, student's way" if walker.follows_student else "fall, VGG-19's way"] = loss / walker.first_loss

    def _backward(self, found: Match) -> None:
        """Sum of the terms; the gradient term's weight keeps its pull below ``--share`` of the others'."""
        others = found.features + found.grams + found.content
        parameters = list(self.student.parameters())
        if self.step % MEASURE_EVERY == 0:
            a = torch.autograd.grad(others, parameters, retain_graph=True, allow_unused=True)
            b = torch.autograd.grad(found.gradient, parameters, allow_unused=True)
            weight = min(MOST_WEIGHT, self.args.share * self._norm(a) / max(self._norm(b), 1e-20))
            self.gradient_weight += (0.3 if self.step else 1.0) * (weight - self.gradient_weight)
            for p, ga, gb in zip(parameters, a, b, strict=True):
                p.grad = _sum(ga, gb, self.gradient_weight)
        else:
            self.adam.zero_grad()
            (others + self.gradient_weight * found.gradient).backward()
        norm = self._norm([p.grad for p in parameters])
        self.norm = norm if self.step == 0 else 0.95 * self.norm + 0.05 * min(norm, CLIP * self.norm)
        if norm > CLIP * self.norm:
            for p in parameters:
                if p.grad is not None:
                    p.grad.mul_(CLIP * self.norm / norm)
        found.log |= {"norm": norm, "weight": self.gradient_weight}

    def _norm(self, gradients) -> float:
        """Norm of a gradient, each tensor in units of its own size."""
        sizes = [group["size"] for group in self.adam.param_groups]
        squares = [s**2 * float(g.square().sum()) for s, g in zip(sizes, gradients, strict=True) if g is not None]
        return math.sqrt(sum(squares))

    def _set_rate(self) -> float:
        """Warm-up by steps, then constant, and down to zero in the last part of the run's minutes."""
        left = max(0.0, 1 - self.elapsed / (self.args.minutes * 60))
        rate = self.args.rate * min(1.0, (self.step + 1) / WARM_UP_STEPS, left / COOL_DOWN)
        for group in self.adam.param_groups:
            group["lr"] = rate * group["size"]
        return rate

    def averaged(self) -> Student:
        """The student with its weights averaged over the last steps."""
        student = copy.deepcopy(self.student)
        with torch.no_grad():
            for name, p in student.named_parameters():
                p.copy_(self.average[name])
        return student

    def _log(self, logs: list[dict[str, float]]) -> None:
        mean = {k: float(np.mean([entry[k] for entry in logs if k in entry])) for k in set().union(*logs)}
        line = {"step": self.step, "minutes": round(self.elapsed / 60, 2)} | {
            k: float(f"{v:.3g}") for k, v in mean.items()
        }
        with (self.args.out / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _save(self) -> None:
        (self.args.out / "compact.safetensors").write_bytes(compact.to_bytes(self.averaged().export()))
        state = {
            "student": self.student.state_dict(),
            "adam": self.adam.state_dict(),
            "average": self.average,
            "clock": (self.step, self.elapsed, self.gradient_weight, self.norm),
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
        self.step, self.elapsed, self.gradient_weight, self.norm = state["clock"]


def _sum(a: torch.Tensor | None, b: torch.Tensor | None, weight: float) -> torch.Tensor | None:
    """a + weight b, where either may be missing."""
    if a is None or b is None:
        return a if b is None else weight * b
    return a + weight * b


if __name__ == "__main__":
    raise SystemExit(main())
