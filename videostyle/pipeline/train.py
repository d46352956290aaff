"""From a painting to its network: material, training that can be stopped and goes on, the file."""

import pickle
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from videostyle.errors import MediaError, StoppedError, UsageError, VideoStyleError
from videostyle.files import replacing
from videostyle.media.decode import Decoder, output_size
from videostyle.media.probe import probe
from videostyle.media.still import read_picture, write_picture
from videostyle.networks.calibration import calibration_pictures
from videostyle.networks.onnx_export import check_packages, export_onnx
from videostyle.networks.style_network_file import TrainedNetwork, save_network
from videostyle.pipeline.progress import Progress
from videostyle.pipeline.request import Callbacks
from videostyle.samples import sample, samples_folder
from videostyle.settings import Settings, TrainSettings
from videostyle.stylise.network_painter import NetworkPainter
from videostyle.stylise.style_networks import NetworkKey, find_network, first_network
from videostyle.stylise.stylizer import Stylizer
from videostyle.training.report_card import report_card
from videostyle.training.trainer import Trainer, trained_network
from videostyle.training.views import Picture

# Pixels of a clip, at the octave that its frames are painted at, from which a training is worth its time; what VGG-19
# costs by the embedded network.
WORTH_PIXELS, VGG19_COST = 110e6, 8
SAVE_SECONDS, PREVIEW_SECONDS = 10.0, 15.0
CLIP_FRAMES = 6  # of each clip, spread evenly
MOST_PICTURES = 500  # of a folder
PICTURE_ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}


@dataclass(frozen=True)
class TrainRequest:
    """A network to be trained. ``output``: the file; by default the style's place in the user's cache.

    ``export``: an ONNX file to write too; with it a network that is in the cache is not trained again.
    """

    style: str | Path
    output: str | Path | None = None
    settings: Settings = field(default_factory=Settings)
    training: TrainSettings = field(default_factory=TrainSettings)
    export: str | Path | None = None


@dataclass(frozen=True)
class TrainResult:
    """A file and what it holds; ``seconds``: of training, those of earlier calls among them; 0 where none was."""

    output: Path
    network: TrainedNetwork
    seconds: float


def train(request: TrainRequest, callbacks: Callbacks | None = None) -> TrainResult:
    """Train a network for a style picture, write its file, and keep it in the user's cache, where every command finds
    it. Stopped or killed, the same call goes on. Raises VideoStyleError."""
    callbacks, training = callbacks or Callbacks(), request.training
    settings = request.settings
    settings = settings.replace(backbone="compact") if settings.backbone == "auto" else settings
    stylizer = Stylizer(read_picture(request.style), settings, on_download=callbacks.on_download)
    key = NetworkKey.of(stylizer.style, stylizer.settings, training.size)
    output = key.path if request.output is None else Path(request.output)
    _check_places(request)
    exported_alone = request.output is None and not training.restart
    if request.export is not None and exported_alone and (found := find_network(key)) is not None:
        return TrainResult(_export(found, request.export), found, 0.0)
    pictures = training_pictures(training.on, training.pictures, key.size)
    run = _Training(stylizer, key, output, 60 * training.minutes, callbacks, restart=training.restart)
    network, seconds = run.run([Picture(p) for p in pictures])
    photo = read_picture(sample("photo.jpg"), longest=key.size)
    card = report_card(stylizer, network, [photo, pictures[-1]]) if not training.no_card else {}
    network = replace(network, card=card)
    for place in dict.fromkeys((output, key.path)):
        _write(place, network)
    run.clear()
    if request.export is not None:
        _export(network, request.export)
    return TrainResult(output, network, seconds)


def _check_places(request: TrainRequest) -> None:
    """Refuse what could not be written. Raises UsageError."""
    for place in (request.output, request.export):
        if place is not None and not Path(place).resolve().parent.is_dir():
            raise UsageError(f"{place} cannot be written: its folder does not exist; create it first")
    if request.export is not None:
        check_packages()


def _export(network: TrainedNetwork, path: str | Path) -> Path:
    try:
        export_onnx(network.network, path)
        return Path(path)
    except OSError as e:
        raise MediaError(f"{path} could not be written: {e.strerror or e}; choose another place") from e


def network_for(
    stylizer: Stylizer, longest: int, clips: Sequence[str | Path], callbacks: Callbacks, frames: int | None = None
) -> TrainedNetwork:
    """The style's network for pictures of ``longest`` pixels: found, or trained now and kept in the user's cache.

    ``frames``: of the clip that waits, to be told. The embedded network is its critic whichever network ``stylizer``
    has: VGG-19 takes eight times as long.
    """
    key = NetworkKey.of(stylizer.style, stylizer.settings, longest)
    if (found := find_network(key)) is not None:
        return found
    settings = stylizer.settings.replace(backbone="compact", weights=None, pooling="max")
    critic = Stylizer(stylizer.style, settings)
    run = _Training(critic, key, key.path, 60 * TrainSettings().minutes, callbacks, frames=frames)
    network, _ = run.run([Picture(p) for p in training_pictures(clips, None, key.size)])
    _write(key.path, network)
    run.clear()
    return network


def worth_training(stylizer: Stylizer, size: tuple[int, int], frames: int | None) -> bool:
    """Whether painting every frame of a clip takes a CPU ten times as long as a training's minute; by its pixels alone,
    so that a run that is resumed finds the same answer. Not on an accelerator, where clips take minutes."""
    if frames is None or stylizer.machine.accelerated:
        return False
    cost = 1 if stylizer.backbone.name == "compact" else VGG19_COST
    painted = size[0] * size[1] / 4 ** stylizer.finer_octaves(*size)
    return frames * painted * cost >= WORTH_PIXELS


def training_pictures(clips: Sequence[str | Path], folder: str | Path | None, longest: int) -> list[torch.Tensor]:
    """Pictures of at most ``longest`` pixels: the samples, generated ones, a folder's, and last the clips' frames.

    Raises UsageError for a folder without pictures, and MediaError.
    """
    found = [read_picture(path, longest=longest) for path in sorted(samples_folder().glob("*.jpg"))]
    found += list(calibration_pictures().split(1))
    found += _of_clip(sample("clip.mp4"), longest)
    if folder is not None:
        found += _of_folder(Path(folder), longest)
    for clip in clips:
        found += _of_clip(clip, longest)
    return found


def _of_clip(clip: str | Path, longest: int) -> Iterator[torch.Tensor]:
    info = probe(clip)
    size, length = output_size(info, longest, even=False), float(info.duration_seconds or 0)
    for i in range(CLIP_FRAMES if length else 1):
        with Decoder(info, size=size, start_seconds=length * i / CLIP_FRAMES, threads=1) as decoder:
            yield from (frame.pixels for frame, _ in zip(decoder, range(1), strict=False))


def _of_folder(folder: Path, longest: int) -> Iterator[torch.Tensor]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; --pictures takes a folder of photographs")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_ENDINGS)
    if not paths:
        raise UsageError(f"{folder} holds no pictures; --pictures takes a folder of photographs")
    for path in paths[:: -(-len(paths) // MOST_PICTURES)]:
        with suppress(VideoStyleError):  # one damaged photograph of hundreds does not matter
            yield read_picture(path, longest=longest)


class _Training:
    """The loop over steps. ``output``: beside it lie the checkpoint and the preview."""

    def __init__(
        self,
        stylizer: Stylizer,
        key: NetworkKey,
        output: Path,
        seconds: float,
        callbacks: Callbacks,
        *,
        restart: bool = False,
        frames: int | None = None,
    ) -> None:
        self._frames = frames
        self.stylizer, self.key, self.seconds, self.callbacks = stylizer, key, seconds, callbacks
        self.checkpoint = output.with_name(f"{output.stem}.checkpoint")
        self.preview = output.with_name(f"{output.stem}-preview.png")
        if restart:
            self.clear()

    def run(self, pictures: Sequence[Picture]) -> tuple[TrainedNetwork, float]:
        """The trained network, and the seconds that it took."""
        torch.manual_seed(self.stylizer.settings.seed)
        trainer = Trainer(self.stylizer, first_network(), pictures, self.key.size, self.stylizer.settings.seed)
        before = self._restore(trainer)
        began = saved = shown = time.monotonic()
        while (passed := before + time.monotonic() - began) < self.seconds:
            losses = trainer.step(passed / self.seconds)
            self._tell(trainer.steps, losses.objective, self.seconds - passed)
            now = time.monotonic()
            stop = self.callbacks.should_stop is not None and self.callbacks.should_stop()
            if stop or now - saved > SAVE_SECONDS:
                saved = now
                self._save(trainer, before + now - began)
            if now - shown > PREVIEW_SECONDS:
                shown = now
                self._show(trainer)
            if stop:
                raise StoppedError(f"stopped after {trainer.steps} steps; the same command goes on from there")
        training = {"steps": trainer.steps, "seconds": round(passed, 1), "pictures": len(pictures)}
        key = self.key
        made = TrainedNetwork(trained_network(trainer.network), key.style, key.settings, key.size, training)
        return made, passed

    def clear(self) -> None:
        """Remove what only an unfinished training needs."""
        self.checkpoint.unlink(missing_ok=True)
        self.preview.unlink(missing_ok=True)

    def _tell(self, step: int, loss: float, left: float) -> None:
        if self.callbacks.on_progress:
            share = int(100 * (1 - max(0.0, left) / self.seconds))
            self.callbacks.on_progress(
                Progress("train", share, 100, step, loss, seconds_left=max(0.0, left), for_frames=self._frames)
            )

    def _show(self, trainer: Trainer) -> None:
        """The sample photograph as the network paints it now."""
        trained = TrainedNetwork(trained_network(trainer.network), "", {}, self.key.size)
        photo = read_picture(sample("photo.jpg"), longest=self.key.size).to(self.stylizer.machine.device)
        write_picture(self.preview, NetworkPainter(trained, self.stylizer.machine).paint(photo).cpu(), overwrite=True)

    def _made_from(self) -> dict[str, Any]:
        return {"style": self.key.style, "settings": self.key.settings, "size": self.key.size}

    def _save(self, trainer: Trainer, seconds: float) -> None:
        content = {"made_from": self._made_from(), "state": trainer.state(), "seconds": seconds}
        try:
            self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.checkpoint, durable=True) as temporary:
                torch.save(content, temporary)
        except OSError as e:
            raise MediaError(f"{self.checkpoint} could not be written: {e.strerror or e}; choose another place") from e

    def _restore(self, trainer: Trainer) -> float:
        """Seconds that an earlier call has trained; 0 where its checkpoint is missing, damaged or another's."""
        if not self.checkpoint.is_file():
            return 0.0
        try:
            saved = torch.load(self.checkpoint, weights_only=True)
            if saved["made_from"] != self._made_from():
                return 0.0
            trainer.load(saved["state"])
            return float(saved["seconds"])
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, EOFError, pickle.UnpicklingError):
            return 0.0


def _write(path: Path, network: TrainedNetwork) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_network(path, network)
    except OSError as e:
        raise MediaError(f"{path} could not be written: {e.strerror or e}; choose another place") from e
