"""Everything that is made before the first frame: network, device, precision, style; stylises frame after frame."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch

from videostyle.device import choose_machine
from videostyle.errors import UsageError
from videostyle.losses.objective import Losses
from videostyle.losses.style import StyleTarget
from videostyle.networks.backbone import Backbone
from videostyle.networks.download import Progress as DownloadProgress
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.networks.weights import load_backbone
from videostyle.optimise.image_optimiser import ImageOptimiser, loss_weights
from videostyle.optimise.lbfgs import History
from videostyle.optimise.outcome import OptimisedImage
from videostyle.settings import Settings
from videostyle.stylise.network import choose_backbone, load_chosen
from videostyle.stylise.pictures import fit_style, noise, resized
from videostyle.stylise.state import FrameTask

OnEvaluation = Callable[[int, float], None]  # evaluation within the frame, its loss


class Stylizer:
    """Everything that is made before the first frame: network, device, precision and style; paints frame after frame.

    ``style``: (1, 3, H, W) float32 RGB in [0, 1], at any size. ``starts``: pictures that ``settings.init`` or
    ``settings.first_init`` name, by that name. Raises UsageError, WeightsError or DeviceError.
    """

    def __init__(
        self,
        style: torch.Tensor,
        settings: Settings | None = None,
        *,
        backbone: Backbone | None = None,
        starts: Mapping[str, torch.Tensor] | None = None,
        on_download: DownloadProgress | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.style, self.starts = style, dict(starts or {})
        self.machine = choose_machine(self.settings)
        self.choice = "given" if backbone else choose_backbone(self.settings, self.machine)[1]
        self.backbone = backbone or load_chosen(self.settings, self.machine, on_download)
        self.weights = loss_weights(self.settings)
        self.extractor = FeatureExtractor(
            self.backbone,
            self.weights.layers,
            pooling=self.settings.pooling,
            device=self.machine.device,
            dtype=self.machine.dtype,
        )
        self._optimiser: ImageOptimiser | None = None
        self._size: tuple[int, int] | None = None
        self._polisher = self._make_polisher(on_download) if self.settings.polish else None

    @property
    def networks(self) -> tuple[Backbone, ...]:
        """Every network that has a say in the frames."""
        return (self.backbone, *(self._polisher.networks if self._polisher else ()))

    def _make_polisher(self, on_download: DownloadProgress | None) -> "Stylizer":
        """The same with VGG-19 itself, for the last evaluations of a shot's first frame."""
        s = self.settings
        exact = s.replace(backbone="vgg19", iterations=s.polish, min_iterations=1, tolerance=0, polish=0)
        network = load_backbone(
            "auto" if s.weights else "vgg19", s.weights, download=s.download, on_progress=on_download
        )
        return Stylizer(self.style, exact, backbone=network)

    def polish(
        self, content: torch.Tensor, outcome: OptimisedImage, on_evaluation: OnEvaluation | None
    ) -> OptimisedImage:
        """``outcome`` a few evaluations of VGG-19 further, if the settings ask for it; losses stay this network's."""
        if self._polisher is None:
            return outcome
        exact, _ = self._polisher.paint(content, FrameTask("painted", outcome.pixels), on_evaluation)
        return replace(
            outcome,
            pixels=exact.pixels,
            snapshot=exact.pixels,
            losses=self.losses(content, exact.pixels),
            evaluations=outcome.evaluations + exact.evaluations,
            seconds=outcome.seconds + exact.seconds,
        )

    def paint(
        self, content: torch.Tensor, task: "FrameTask", on_evaluation: OnEvaluation | None = None
    ) -> tuple[OptimisedImage, History | None]:
        """Optimise one picture: ``content`` (1, 3, H, W) float32 in [0, 1]."""
        return self._optimiser_for(content).run(
            content,
            task.start,
            priors=task.priors,
            history=task.history,
            on_evaluation=on_evaluation,
            update_mask=task.update_mask,
            target=task.target,
            min_evaluations=task.min_evaluations,
            style=task.style,
            repair_mask=task.repair_mask,
            snapshot_at=task.snapshot_at,
        )

    def losses(self, content: torch.Tensor, pixels: torch.Tensor) -> Losses:
        """What ``pixels`` cost as a picture of ``content``, both (1, 3, H, W) in [0, 1]."""
        return self._optimiser_for(content).losses(content, pixels)

    def style_target(self, content: torch.Tensor) -> StyleTarget:
        """The style's statistics for pictures of this size."""
        return self._optimiser_for(content).style

    def _optimiser_for(self, content: torch.Tensor) -> ImageOptimiser:
        """Style targets are computed once per style and size."""
        height, width = content.shape[2:]
        if self._optimiser is None or self._size != (height, width):
            smallest = self.extractor.smallest_side
            if min(height, width) < smallest:
                raise UsageError(
                    f"the picture is {width}x{height}; {self.backbone.name} needs at least {smallest} "
                    "pixels a side for these layers; use a larger --size or shallower layers"
                )
            style = fit_style(self.style, max(height, width) * self.settings.style_scale, smallest)
            target = StyleTarget(self.extractor, style, self.weights.style_layers)
            self._optimiser, self._size = ImageOptimiser(self.extractor, target, self.settings), (height, width)
        return self._optimiser

    def start(self, name: str, content: torch.Tensor, position: int = 0) -> torch.Tensor:
        """The picture to begin with: ``content``, ``noise`` (another for every frame of a shot) or a picture's name."""
        if name == "content":
            return content
        if name == "noise":
            return noise(content, self.settings.seed + position)
        if name not in self.starts:
            raise UsageError(f"init is {name!r}; it can be content, noise, previous, warped or a picture")
        return resized(self.starts[name], (content.shape[2], content.shape[3]))
