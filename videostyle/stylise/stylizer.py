"""Everything that is made before the first frame: network, device, precision, style; optimises frame after frame."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from videostyle.device import choose_machine
from videostyle.errors import UsageError
from videostyle.frames import Frame
from videostyle.losses.objective import Losses
from videostyle.losses.style import StyleTarget
from videostyle.networks.backbone import Backbone, layer_stride
from videostyle.networks.download import DownloadProgress
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.networks.raft import Raft
from videostyle.networks.style_network_file import TrainedNetwork
from videostyle.optimise.cuda_graph import CudaGraphs
from videostyle.optimise.frame_task import FrameTask
from videostyle.optimise.image_optimiser import ImageOptimiser, OnEvaluation, OnPicture, loss_weights
from videostyle.optimise.lbfgs import History
from videostyle.optimise.octaves import halved, with_large_forms
from videostyle.optimise.outcome import OptimisedImage
from videostyle.settings import AUTO, NAMED_STARTS, Settings
from videostyle.stylise.choose_network import choose_backbone, finer_backbone, load_chosen
from videostyle.stylise.direction import Area, Direction, Moment
from videostyle.stylise.memory import pixels_at_once
from videostyle.stylise.network_painter import NetworkPainter
from videostyle.stylise.palette import Moments
from videostyle.stylise.start_images import noise, resized
from videostyle.stylise.style_images import StyleImage, as_style
from videostyle.stylise.style_targets import StyleTargets
from videostyle.stylise.wanted import Wanted

# Share of the backbone's target evaluations that reach the same loss from the network's painting.
NETWORK_SHARE = 2 / 3
# The share where the coarser octaves are painted first.
OCTAVES_SHARE = 1 / 4
# Longer side (px) of the coarsest octave and of the one that frames are painted at, but for a factor of root 2.
COARSEST_OCTAVE, PAINTED_OCTAVE, MOST_FINER = 64, 256, 2
# Evaluations of a coarser octave, at most; one costs a quarter of what it costs at twice the size.
COARSE_EVALUATIONS = 40
# alpha of a finer octave over that of the one where large forms are decided: eyes and letters are seen there.
FINER_CONTENT = 2.0
KEPT_SIZES = 8  # a clip's octaves


class Stylizer:
    """Network, device, precision and style, made once; optimises pictures of any size, style targets once per size.

    ``style``: one picture (1, 3, H, W) float32 RGB in [0, 1] at any size, or several `StyleImage`s to be blended.
    ``direction``: what is wanted of each frame, where that is not one style with the same settings everywhere.
    ``backbone``: instead of the settings' networks. ``starts``: pictures that ``settings.init`` or
    ``settings.first_init`` name, by that name. Raises UsageError, WeightsError or DeviceError.
    """

    def __init__(
        self,
        style: torch.Tensor | Sequence[StyleImage],
        settings: Settings | None = None,
        *,
        direction: Direction | None = None,
        backbone: Backbone | None = None,
        starts: Mapping[str, torch.Tensor] | None = None,
        on_download: DownloadProgress | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.style, self.starts = as_style(style), dict(starts or {})
        self.direction, self.on_download = direction, on_download
        self.machine = choose_machine(self.settings)
        self.choice = "given" if backbone else choose_backbone(self.settings, self.machine)[1]
        self.backbone = backbone or load_chosen(self.settings, self.machine, on_download)
        self.finer_backbone = backbone or finer_backbone(self.backbone, self.settings)
        self.weights = loss_weights(self.settings)
        self.extractor = self._extractor(self.backbone, self.settings.style_layers)
        self.finer_extractor = self._extractor(self.finer_backbone, self._finer_layers)
        self.on_picture: OnPicture | None = None  # told every picture on the way, at its octave's size
        self._painter: NetworkPainter | None = None
        self.flow_network: Raft | None = None  # see choose_flow.py
        self._most_pixels, self._targets = 0, StyleTargets()
        self.wanted = Wanted(Moment(self.settings, (Area(self.style),)), self._targets)
        self._optimisers: dict[tuple[int, int, bool], ImageOptimiser] = {}
        self._graphs: dict[tuple[int, int, bool], CudaGraphs | None] = {}

    def at(self, frame: Frame, palette: Moments | None = None) -> "Stylizer":
        """What paints this frame: this stylizer, or one for what the direction wants at its moment.

        ``palette``: the source's colours at the beginning of the shot; None: the frame is its first. Networks,
        statistics and recordings are shared.
        """
        if self.direction is None:
            return self
        moment, made = self.direction(frame), copy.copy(self)
        if moment.colours.of_source:
            own = palette or Moments.of([frame.pixels], [1.0])
            moment = replace(moment, colours=replace(moment.colours, palette=own))
        made.settings, made.weights = moment.settings, loss_weights(moment.settings)
        made.wanted, made._optimisers = Wanted(moment, self._targets), {}
        return made

    def directed(self, settings: Settings, direction: Direction) -> "Stylizer":
        """A stylizer for another direction that shares this one's networks and statistics.

        ``settings``: their network, layers and machine are this one's.
        """
        made = copy.copy(self)
        made.settings, made.direction, made._painter, made._optimisers = settings, direction, None, {}
        return made

    @property
    def look(self) -> str:
        """Equal for frames that are painted alike."""
        return self.wanted.moment.look

    @property
    def source_palette(self) -> Moments | None:
        """The source's colours at the beginning of the shot, where the picture has them."""
        colours = self.wanted.moment.colours
        return colours.palette if colours.of_source else None

    @property
    def networks(self) -> tuple[Backbone, ...]:
        """Every network that has a say in the frames."""
        return tuple({network.sha256: network for network in (self.backbone, self.finer_backbone)}.values())

    def passes(self, height: int, width: int) -> list[tuple[FeatureExtractor, int]]:
        """What a frame of this size goes through, and with how many of its pixels: what paints it, what finishes it."""
        finer, pixels = self.finer_octaves(height, width), height * width
        return [(self.extractor, pixels // 4**finer), *([(self.finer_extractor, pixels)] if finer else [])]

    def tiles(self, height: int, width: int) -> int:
        """In how many tiles frames of this size go through the network, by the memory that there is.

        Smaller pictures that are painted beside them go through it in tiles of the same size.
        """
        if height * width > self._most_pixels:
            self._most_pixels = height * width
            for extractor in (self.extractor, self.finer_extractor):
                extractor.tile_pixels = pixels_at_once(self.settings, extractor, self._most_pixels)
        return len(self.passes(height, width)[-1][0].tiles((height, width)))

    def use_network(self, network: TrainedNetwork) -> None:
        """Take the style's network, for drafts and for starts that are called network."""
        self._painter = NetworkPainter(network, self.machine)

    @property
    def style_network(self) -> TrainedNetwork | None:
        """The style's network, where there is one."""
        return None if self._painter is None else self._painter.trained

    @property
    def first_init(self) -> str:
        """What a shot's first frame starts from."""
        named = self.settings.first_init
        return named if named != AUTO else "palette" if self._painter is None else "network"

    def target_evaluations(self, content: torch.Tensor) -> int:
        """Those of a shot's first frame, of this size, whose loss is the target of the later ones."""
        if self.octaves(content.shape[2], content.shape[3]) > 1:
            return round(self.backbone.target_evaluations * OCTAVES_SHARE)
        return round(self.backbone.target_evaluations * (NETWORK_SHARE if self.first_init == "network" else 1))

    @property
    def network_painter(self) -> NetworkPainter:
        """What paints with the style's network. Raises UsageError where there is none."""
        if self._painter is None:
            raise UsageError("there is no network for this style; make one with videostyle train, or give --network")
        return self._painter

    def optimise(
        self, content: torch.Tensor, task: FrameTask, on_evaluation: OnEvaluation | None = None
    ) -> tuple[OptimisedImage, History | None]:
        """Optimise one picture of ``content`` (1, 3, H, W) float32 in [0, 1]; the history to carry on."""
        return self.optimiser(content).run(content, task, on_evaluation, self.shown(content))

    def shown(self, content: torch.Tensor) -> OnPicture | None:
        """What takes the pictures on the way to one of ``content`` for `on_picture`, in the colours they will have."""
        told = self.on_picture
        return None if told is None else (lambda pixels: told(self.wanted.finished(pixels, content.to(pixels))))

    def losses(self, content: torch.Tensor, pixels: torch.Tensor) -> Losses:
        """What ``pixels`` cost as a picture of ``content``, both (1, 3, H, W) in [0, 1]."""
        return self.optimiser(content).losses(content, pixels)

    def style_target(self, content: torch.Tensor) -> StyleTarget:
        """The style's statistics for pictures of this size."""
        return self.optimiser(content).areas[0].target

    def finer_octaves(self, height: int, width: int) -> int:
        """How many octaves of a picture of this size are finished from the one that it is painted at."""
        if self.settings.octaves == 1:
            return 0
        return min(MOST_FINER, max(0, round(math.log2(max(height, width) / PAINTED_OCTAVE))))

    def in_octaves(self, content: torch.Tensor) -> list[torch.Tensor]:
        """``content`` (1, 3, H, W) at the octave that a frame is painted at, and at the finer ones, nearest first."""
        self.tiles(content.shape[2], content.shape[3])
        contents = [content]
        for _ in range(self.finer_octaves(content.shape[2], content.shape[3])):
            contents.insert(0, halved(contents[0]))
        return contents

    def optimiser(self, content: torch.Tensor, finer: bool = False) -> ImageOptimiser:
        """For pictures of this size; ``finer``: for an octave that is finished from the one below it.

        A finer octave has its large forms: it is judged without the deepest layer, and by a style that is not enlarged,
        since an enlarged one has no detail. The last few are kept. Raises UsageError where the layers need more pixels.
        """
        height, width = content.shape[2], content.shape[3]
        if (height, width, finer) not in self._optimisers:
            smallest = self.extractor.smallest_side
            if min(height, width) < smallest:
                raise UsageError(
                    f"the picture is {width}x{height}; {self.backbone.name} needs at least {smallest} "
                    "pixels a side for these layers; use a larger --size or shallower layers"
                )
            self.tiles(height, width)
            extractor, settings = self._of_finer if finer else (self.extractor, self.settings)
            layers = settings.style_layers
            areas = self.wanted.style_areas(extractor, layers, height, width, enlarge=not finer)
            made = ImageOptimiser(extractor, areas, settings, self._graphs.get((height, width, finer)))
            self._optimisers[height, width, finer], self._graphs[height, width, finer] = made, made.graphs
            while len(self._optimisers) > KEPT_SIZES:
                oldest = next(iter(self._optimisers))
                del self._optimisers[oldest]
                self._graphs.pop(oldest, None)
        return self._optimisers[height, width, finer]

    def _extractor(self, backbone: Backbone, style_layers: tuple[str, ...]) -> FeatureExtractor:
        return FeatureExtractor(
            backbone,
            tuple(dict.fromkeys((*self.settings.content_layers, *style_layers))),
            pooling=self.settings.pooling,
            device=self.machine.device,
            dtype=self.machine.dtype,
        )

    @property
    def _finer_layers(self) -> tuple[str, ...]:
        """All style layers but the deepest."""
        layers = sorted(self.settings.style_layers, key=layer_stride)
        return tuple(layers[:-1] or layers)

    @property
    def _of_finer(self) -> tuple[FeatureExtractor, Settings]:
        """What finer octaves are judged with: every layer that is left keeps its weight."""
        own, left = self.settings, self._finer_layers
        beta = own.style_weight * len(left) / max(1, len(own.style_layers))
        settings = own.replace(style_layers=left, style_weight=beta, content_weight=own.content_weight * FINER_CONTENT)
        return self.finer_extractor, settings

    def start(self, name: str, content: torch.Tensor, position: int = 0) -> torch.Tensor:
        """The start called ``name``: content, palette (the content in the style's colours), noise (another for every
        ``position`` in a shot), network (the content as the style's network paints it) or a picture's name."""
        if name == "content":
            return content
        if name == "palette":
            return self.wanted.in_palette(content)
        if name == "network":
            return self.network_painter.paint(content)
        if name == "noise":
            return noise(content, self.settings.seed + position)
        if name not in self.starts:
            raise UsageError(f"init is {name!r}; it can be {', '.join(NAMED_STARTS)} or a picture")
        return resized(self.starts[name], (content.shape[2], content.shape[3]))

    def painted_coarsely(self, content: torch.Tensor, start: torch.Tensor, octaves: int | None = None) -> torch.Tensor:
        """``start`` with all octaves but its own painted, the coarsest first: large forms and long strokes.

        Both (1, 3, H, W) in [0, 1]. Each octave is judged at its own size, and its change is added to the finer one,
        whose detail stays. ``octaves``: by default those of this size.
        """
        octaves = octaves or self.octaves(content.shape[2], content.shape[3])
        if octaves == 1:
            return start
        small = halved(content)
        begun = self.painted_coarsely(small, halved(start), octaves - 1)
        painted, _ = self.optimise(small, FrameTask("coarse", begun, max_evaluations=COARSE_EVALUATIONS))
        return with_large_forms(start, painted.pixels.to(start.device))

    @property
    def colours(self) -> Moments:
        """The style's."""
        return self.wanted.colours_of(self.wanted.areas[0])

    def octaves(self, height: int, width: int) -> int:
        """At how many octaves a picture of this size is painted from nothing, the coarsest first."""
        if not self.weights.style_layers:
            return 1
        longest, shortest = max(height, width), min(height, width)
        wanted = self.settings.octaves or 1 + max(0, round(math.log2(longest / COARSEST_OCTAVE)))
        smallest = self.extractor.smallest_side
        side = min(shortest, self.wanted.smallest_side(longest, smallest))
        return max(1, min(wanted, 1 + math.floor(math.log2(side / smallest))))

    def style_target_at(self, longest: float) -> StyleTarget:
        """The style's statistics for pictures whose longer side has ``longest`` pixels."""
        return self.wanted.target(self.wanted.areas[0], self.extractor, self.weights.style_layers, longest)
