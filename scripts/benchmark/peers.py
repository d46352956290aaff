"""Other programs, unmodified, through their own command lines: what an evaluation costs with them.

Seconds per evaluation are (a run of 2 N evaluations - a run of N) / N: loading, targets and saving cancel out. The same
picture, size, layers, average pooling and no total variation; the same weights, converted to what the program reads.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from videostyle.media.still import write_picture
from videostyle.networks.backbone import CAFFE_MEAN_BGR, VGG19_LAYERS, Backbone

Command = Callable[["Job", int], list[str]]


@dataclass(frozen=True)
class Job:
    """What a peer is given: its folder, and PNG and weight files in a folder of our own."""

    program: Path
    folder: Path
    longest: int

    @property
    def content(self) -> Path:
        return self.folder / "content.png"

    @property
    def style(self) -> Path:
        return self.folder / "style.png"

    @property
    def weights(self) -> Path:
        return self.folder / "vgg19.pth"

    @property
    def output(self) -> Path:
        return self.folder / "out.png"


def neural_style_pt(job: Job, evaluations: int) -> list[str]:
    """ProGamerGov/neural-style-pt: L-BFGS, its default layers (ours, too)."""
    command = [sys.executable, "neural_style.py", "-gpu", "c", "-content_image", str(job.content)]
    command += ["-style_image", str(job.style), "-model_file", str(job.weights), "-disable_check"]
    command += ["-pooling", "avg", "-tv_weight", "0", "-init", "image", "-optimizer", "lbfgs", "-seed", "0"]
    command += ["-image_size", str(job.longest), "-output_image", str(job.output), "-print_iter", "0"]
    return [*command, "-save_iter", "0", "-num_iterations", str(evaluations)]


def style_transfer_pytorch(job: Job, evaluations: int) -> list[str]:
    """crowsonkb/style-transfer-pytorch: Adam at one scale; another style loss, so not equal work. Own weights."""
    command = [sys.executable, "-m", "style_transfer.cli", str(job.content), str(job.style), "-o", str(job.output)]
    command += ["--devices", "cpu", "--pooling", "average", "-tw", "0", "-s", str(job.longest), "-ms", str(job.longest)]
    return [*command, "--save-every", "1000000", "-ii", str(evaluations)]


COMMANDS: dict[str, Command] = {
    "neural-style-pt": neural_style_pt,
    "style-transfer-pytorch": style_transfer_pytorch,
}


class Peer:
    """One program at one size. ``given``: NAME=PATH, the name one of ``COMMANDS``, the path that of its checkout."""

    def __init__(self, given: str, content: torch.Tensor, style: torch.Tensor, backbone: Backbone) -> None:
        self.name, _, path = given.partition("=")
        if self.name not in COMMANDS or not Path(path).is_dir():
            raise SystemExit(f"--peer is {given!r}; expected NAME=FOLDER with NAME one of {', '.join(COMMANDS)}")
        self._kept = tempfile.TemporaryDirectory()
        self.job = Job(Path(path).resolve(), Path(self._kept.name), max(content.shape[2:]))
        write_picture(self.job.content, content, overwrite=True)
        write_picture(self.job.style, style, overwrite=True)
        torch.save(caffe_state(backbone), self.job.weights)

    def run_seconds(self, evaluations: int) -> float:
        """Wall seconds of one run of its command line."""
        command = COMMANDS[self.name](self.job, evaluations)
        environment = os.environ | {"PYTHONPATH": str(self.job.program)}
        began = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=self.job.program if self.name == "neural-style-pt" else self.job.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        seconds = time.perf_counter() - began
        if done.returncode:
            raise SystemExit(f"{self.name} failed: {done.stdout[-2000:]}")
        return seconds

    def evaluation_seconds(self, evaluations: int) -> float:
        """(A run of 2 N - a run of N) / N."""
        return (self.run_seconds(2 * evaluations) - self.run_seconds(evaluations)) / evaluations


def caffe_state(backbone: Backbone) -> dict[str, torch.Tensor]:
    """The convolutions as the Caffe weights have them: for BGR in 0-255 with the Caffe mean subtracted."""
    state = {}
    for i, conv in enumerate(backbone.convs):
        weight, bias = conv.weight, conv.bias
        if i == 0:  # ours reads RGB in [0, 1] minus a centre
            mean = torch.tensor(CAFFE_MEAN_BGR).flip(0) / 255
            bias = bias + torch.einsum("oikl,i->o", weight, mean - torch.tensor(backbone.centre))
            weight = weight.flip(1) / 255
        index = VGG19_LAYERS[conv.name][0]
        state[f"features.{index}.weight"], state[f"features.{index}.bias"] = weight.contiguous(), bias.contiguous()
    return state
