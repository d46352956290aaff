"""Makes the pictures that recipes need, each once, and keeps them: an interrupted run continues where it stopped.

A picture's key is a hash of everything that its pixels depend on: pictures that several figures share are one file.
"""

import functools
import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from videostyle.device import choose_machine
from videostyle.experiments.inputs import Inputs
from videostyle.experiments.recipes import Recipe, Variant, slides_settings
from videostyle.files import write_json
from videostyle.media.still import read_picture, write_picture
from videostyle.networks.backbone import Backbone
from videostyle.optimise.frame_task import FrameTask
from videostyle.optimise.outcome import OptimisedImage
from videostyle.pipeline.progress import OnProgress, Progress
from videostyle.settings import Settings
from videostyle.stylise.choose_network import load_chosen
from videostyle.stylise.stylizer import OnEvaluation, Stylizer

KEPT_POINTS = 300  # of a loss curve, on a logarithmic scale
NOT_IN_KEY = ("backbone", "weights", "download", "device", "precision")  # the network's hash and the precision are
FORMAT = 1  # of what is kept; another number makes everything anew


class Curve(NamedTuple):
    """A loss curve: evaluations (from 1) and the losses there; content and style without their weights."""

    evaluation: list[int]
    total: list[float]
    content: list[float]
    style: list[float]


@dataclass(frozen=True)
class Made:
    """A finished picture, (1, 3, H, W) in [0, 1] as its 8-bit file has it, and how it came about."""

    key: str
    pixels: torch.Tensor
    start: torch.Tensor
    curve: Curve
    evaluations: int
    seconds: float
    path: Path

    @property
    def loss(self) -> float:
        return self.curve.total[-1]


@dataclass
class Runner:
    """Paints variants through the public API. ``folder``: where pictures are kept. ``settings``: the machine's part."""

    folder: Path
    inputs: Inputs
    settings: Settings
    backbone: Backbone
    on_progress: OnProgress | None = None
    done: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        self.key = functools.cache(self._key)

    @classmethod
    def open(cls, folder: Path, inputs: Inputs, settings: Settings, on_download: Callable | None = None) -> "Runner":
        """A runner with the network that the settings mean on this machine."""
        return cls(folder, inputs, settings, load_chosen(settings, choose_machine(settings), on_download))

    @property
    def pooling(self) -> str:
        """The slides', where the network has it."""
        return self.backbone.nearest_pooling(slides_settings()["pooling"])

    def features(self, pixels: torch.Tensor, layers: Collection[str]) -> dict[str, torch.Tensor]:
        """The network's reference features of ``pixels`` (1, 3, H, W), by layer."""
        with torch.no_grad():
            return self.backbone.features(pixels, layers, self.pooling)

    def plan(self, recipes: Iterable[Recipe]) -> dict[str, Variant]:
        """The pictures that these recipes need and that are not there yet, by key, each once."""
        needed = {self.key(v): v for recipe in recipes for v in recipe.variants}
        return {key: variant for key, variant in needed.items() if not self._record_path(key).is_file()}

    def run(self, plan: Mapping[str, Variant]) -> None:
        """Make every picture of a plan."""
        self.done, self.total = 0, len(plan)
        for key, variant in plan.items():
            self._make(key, variant)
            self.done += 1
            self._report(0, 0.0)

    def made(self, variant: Variant) -> Made:
        """The picture of a variant; made now if it is not there."""
        key = self.key(variant)
        if not self._record_path(key).is_file():
            self._make(key, variant)
        record = json.loads(self._record_path(key).read_text(encoding="utf-8"))
        path = self.folder / f"{key}.png"
        curve = Curve(**record["curve"])
        return Made(key, read_picture(path), self.start(variant), curve, curve.evaluation[-1], record["seconds"], path)

    def start(self, variant: Variant) -> torch.Tensor:
        """What a variant's picture is started from, (1, 3, H, W)."""
        return self._painter(variant).start(variant.settings.init, self.inputs.picture(variant.content)).clamp(0, 1)

    def _key(self, variant: Variant) -> str:
        """A hash of the inputs' pixels, the settings, the network and its precision."""
        content, style = self.inputs.picture(variant.content), self.inputs.style(variant.style)
        pictures = [_digest(picture) for picture in (content, style, *self._starts(variant).values())]
        network = [FORMAT, self.backbone.sha256 or self.backbone.name, choose_machine(self.settings).precision]
        words = json.dumps([plain(variant.settings), network, pictures], sort_keys=True)
        return hashlib.sha256(words.encode()).hexdigest()[:20]

    def _starts(self, variant: Variant) -> dict[str, torch.Tensor]:
        """The picture that a variant starts from, by its name; none for the content and noise."""
        init = variant.settings.init
        return {} if init in ("content", "noise") else {init: self.inputs.picture(init)}

    def seconds_per_evaluation(self, plan: Mapping[str, Variant]) -> float:
        """Measured on the first picture of a plan, thrown away; 0 where nothing is left to do."""
        if not plan:
            return 0.0
        variant = next(iter(plan.values()))
        stylizer, content = self._painter(variant, iterations=3), self.inputs.picture(variant.content)
        _paint(stylizer, content, content)  # the first time pays for setting up
        return _paint(stylizer, content, content).seconds / 3

    def _make(self, key: str, variant: Variant) -> None:
        began, stylizer = time.perf_counter(), self._painter(variant)
        content = self.inputs.picture(variant.content).to(stylizer.machine.device)
        outcome = _paint(stylizer, content, stylizer.start(variant.settings.init, content), self._report)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_picture(self.folder / f"{key}.png", outcome.pixels, overwrite=True)
        record = {
            **{name: self.inputs.words(getattr(variant, name)) for name in ("content", "style")},
            "settings": plain(variant.settings),
            "evaluations": outcome.evaluations,
            "seconds": round(time.perf_counter() - began, 3),
            "curve": thinned(outcome.curve)._asdict(),
        }
        write_json(self._record_path(key), record)  # last: where it is, the picture is whole

    def _painter(self, variant: Variant, **changes: Any) -> Stylizer:
        machine = {name: getattr(self.settings, name) for name in NOT_IN_KEY}
        settings = variant.settings.replace(**machine, **changes)
        style, starts = self.inputs.style(variant.style), self._starts(variant)
        return Stylizer(style, settings, backbone=self.backbone, starts=starts)

    def _report(self, evaluation: int, loss: float) -> None:
        if self.on_progress:
            self.on_progress(Progress("experiments", self.done, self.total or None, evaluation, loss))

    def _record_path(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def _paint(
    stylizer: Stylizer, content: torch.Tensor, start: torch.Tensor, report: OnEvaluation | None = None
) -> OptimisedImage:
    """One picture, with its loss curve."""
    return stylizer.optimise(content, FrameTask(stylizer.settings.init, start), report)[0]


def thinned(curve: torch.Tensor) -> Curve:
    """At most KEPT_POINTS of a curve (evaluations, 3), spread evenly over the logarithm, first and last among them."""
    count = len(curve)
    wanted = torch.logspace(0, torch.tensor(float(count)).log10().item(), KEPT_POINTS).round().long().clamp(1, count)
    kept = sorted({*range(1, min(count, 20) + 1), *wanted.tolist(), count})
    total, content, style = ([float(f"{x:.6g}") for x in column] for column in curve[[k - 1 for k in kept]].T.tolist())
    return Curve(kept, total, content, style)


def plain(settings: Settings) -> dict[str, Any]:
    """What the figures say of settings: those that change pixels, without the machine's part."""
    return {name: value for name, value in asdict(settings).items() if name not in NOT_IN_KEY}


def _digest(pixels: torch.Tensor) -> str:
    return hashlib.sha256(repr(tuple(pixels.shape)).encode() + pixels.contiguous().numpy().tobytes()).hexdigest()
