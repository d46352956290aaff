"""The core without files: frames in, stylised frames out, each started from the one before it.

Imports where only torch, numpy and cv2 are installed.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F

from videostyle import health
from videostyle.errors import UsageError
from videostyle.frame import Frame, StylisedFrame
from videostyle.machine import Machine, choose_machine
from videostyle.motion import carry
from videostyle.motion.carry import Colours, Painted
from videostyle.motion.flow import FlowEstimator, flow_named
from videostyle.motion.warp import Warp, sample
from videostyle.optimise.goal import Goal
from videostyle.optimise.lbfgs import History
from videostyle.optimise.shot import Outcome, ShotOptimiser, loss_weights
from videostyle.perception.backbones import Backbone
from videostyle.perception.objective import ColourPrior, Losses, Prior, StyleTarget, TemporalPrior
from videostyle.perception.trunk import Trunk
from videostyle.perception.weights import Progress as DownloadProgress
from videostyle.perception.weights import load_backbone, weights_are_here
from videostyle.settings import Settings

# White Gaussian noise as a start: mid-grey, with most of [0, 1] in reach.
NOISE_MEAN, NOISE_DEVIATION = 0.5, 0.25

# A frame is good enough where the shot's first frame was after so many evaluations from the content, for what either
# costs untouched (``as_goal``). 80 would bring the worst frame 1 % nearer, for up to half more evaluations, and let a
# webcam clip darken. What the compact network gains late is less by VGG-19's measure (its model card): 60 instead of 45
# took twice the evaluations on the sample clip's first 24 frames at 384 px, for 4 % less of VGG-19's loss.
GOAL_EVALUATIONS, GOAL_OF_COMPACT = 60, 45
# How much more firmly than the style's own loss a shot is held at what its first frame had reached of the style by
# then. Held at what that converges to, the style of frames that are taken less far is pulled on for seconds. More would
# let the content pay for it: the balance of style and content rightly changes with what is to be seen.
ANCHOR_STIFFNESS = 2.0
# A frame of which less than this share is unfinished may stop after this many evaluations: it has little left to do,
# and what is done to it again and again adds up.
UNFINISHED_SHARE, FEWEST_EVALUATIONS = 0.005, 3
# A frame of which more than this share has just come into view is given this many: the rest of it is so good already
# that the whole would be good enough before the new part is painted.
REVEALED_SHARE, REVEALED_EVALUATIONS = 0.04, 20
# How firmly what moves is held to the frame before: so much less after a frame that did not get to its goal, but never
# less than LOOSEST, where the shot's anchor does not hold it either; and as much more after one that was there so soon.
# Over 50 frames of the sample clip the worst of every twelfth frame is 1.04 and 1.06 of its own 60 evaluations in two
# styles, instead of 1.22 and 1.19, for as many evaluations or fewer (``frame.py --judged-every 12``, 192 px, VGG-19).
LOOSER, LOOSEST, EASY_EVALUATIONS = 1 / 4, 1 / 16, 12

OnEvaluation = Callable[[int, float], None]  # evaluation within the frame, its loss


@dataclass(frozen=True)
class ShotState:
    """What one frame leaves to the next one of its shot; nothing of it crosses a cut.

    ``source`` and ``stylised``: (1, 3, H, W) float32 in [0, 1]. ``history``: the optimiser's curvature pairs.
    ``painted``: what is known of every pixel. ``goal``: how far the others are to be taken. ``style``: the style,
    anchored at what the shot's first frame had reached of it when it was as good as that. ``colours``: of the shot's
    first frame.
    """

    source: torch.Tensor
    stylised: torch.Tensor
    history: History | None
    painted: Painted
    goal: Goal
    style: StyleTarget
    colours: Colours
    firmness: float


@dataclass(frozen=True)
class Position:
    """Between two frames: all that the frames to come need to know of those before. A run can be gone on with here.

    ``index``: the next frame's. ``shot``, ``first``: of the frame before it, its shot and where that began. ``losses``:
    of the last frames of that shot, what the next one's is compared with.
    """

    index: int = 0
    shot: int = 0
    first: int = 0
    state: ShotState | None = None
    losses: tuple[float, ...] = ()


# Everything that a position is made of, for whoever stores it.
POSITION_PARTS = (Position, ShotState, Goal, History, Painted, StyleTarget, Colours)


@dataclass(frozen=True)
class Beginning:
    """How a frame is begun: what ``ShotOptimiser.run`` takes beside the content, and what is known after it."""

    name: str
    start: torch.Tensor
    history: History | None = None
    priors: tuple[Prior, ...] = ()
    free: torch.Tensor | None = None
    goal: float | None = None
    floor: int | None = None
    style: StyleTarget | None = None
    part: torch.Tensor | None = None
    painted: Painted | None = None
    note_at: int | None = None


class Painter:
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
        self.trunk = Trunk(
            self.backbone,
            self.weights.layers,
            pooling=self.settings.pooling,
            device=self.machine.device,
            dtype=self.machine.dtype,
        )
        self._optimiser: ShotOptimiser | None = None
        self._size: tuple[int, int] | None = None
        self._polisher = self._exact(on_download) if self.settings.polish else None

    @property
    def networks(self) -> tuple[Backbone, ...]:
        """Every network that has a say in the frames."""
        return (self.backbone, *(self._polisher.networks if self._polisher else ()))

    def _exact(self, on_download: DownloadProgress | None) -> "Painter":
        """The same with VGG-19 itself, for the last evaluations of a shot's first frame."""
        s = self.settings
        exact = s.but(backbone="vgg19", iterations=s.polish, min_iterations=1, tolerance=0, polish=0)
        network = load_backbone(
            "auto" if s.weights else "vgg19", s.weights, download=s.download, on_progress=on_download
        )
        return Painter(self.style, exact, backbone=network)

    def polished(self, content: torch.Tensor, outcome: Outcome, on_evaluation: OnEvaluation | None) -> Outcome:
        """``outcome`` a few evaluations of VGG-19 further, if the settings ask for it; losses stay this network's."""
        if self._polisher is None:
            return outcome
        exact, _ = self._polisher.paint(content, Beginning("painted", outcome.pixels), on_evaluation)
        return replace(
            outcome,
            pixels=exact.pixels,
            on_the_way=exact.pixels,
            losses=self.losses(content, exact.pixels),
            evaluations=outcome.evaluations + exact.evaluations,
            seconds=outcome.seconds + exact.seconds,
        )

    def paint(
        self, content: torch.Tensor, begin: "Beginning", on_evaluation: OnEvaluation | None = None
    ) -> tuple[Outcome, History | None]:
        """Optimise one picture: ``content`` (1, 3, H, W) float32 in [0, 1]."""
        return self._optimiser_for(content).run(
            content,
            begin.start,
            priors=begin.priors,
            history=begin.history,
            on_evaluation=on_evaluation,
            free=begin.free,
            goal=begin.goal,
            floor=begin.floor,
            style=begin.style,
            part=begin.part,
            note_at=begin.note_at,
        )

    def losses(self, content: torch.Tensor, pixels: torch.Tensor) -> Losses:
        """What ``pixels`` cost as a picture of ``content``, both (1, 3, H, W) in [0, 1]."""
        return self._optimiser_for(content).losses(content, pixels)

    def style_target(self, content: torch.Tensor) -> StyleTarget:
        """The style's statistics for pictures of this size."""
        return self._optimiser_for(content).style

    def _optimiser_for(self, content: torch.Tensor) -> ShotOptimiser:
        """Style targets are computed once per style and size."""
        height, width = content.shape[2:]
        if self._optimiser is None or self._size != (height, width):
            if min(height, width) < self.trunk.smallest_side:
                raise UsageError(
                    f"the picture is {width}x{height}; {self.backbone.name} needs at least {self.trunk.smallest_side} "
                    "pixels a side for these layers; use a larger --size or shallower layers"
                )
            style = fit_style(self.style, max(height, width) * self.settings.style_scale, self.trunk.smallest_side)
            target = StyleTarget(self.trunk, style, self.weights.style_layers)
            self._optimiser, self._size = ShotOptimiser(self.trunk, target, self.settings), (height, width)
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


def stylise_frames(
    frames: Iterable[Frame],
    style: torch.Tensor,
    settings: Settings | None = None,
    flow: FlowEstimator | None = None,
    *,
    painter: Painter | None = None,
    on_evaluation: Callable[[int, int, float], None] | None = None,
    begin: Position | None = None,
    on_position: Callable[[Position], None] | None = None,
) -> Iterator[StylisedFrame]:
    """Stylise frames in turn, each started as ``settings.init`` says; the core of ``stylise_video``, without files.

    ``frames``: any iterable of frames of one size. ``style``: (1, 3, H, W) float32 RGB in [0, 1]. ``flow(current,
    previous)`` gives the Warp between two source frames (1, 3, H, W); by default as ``settings.flow`` says. A frame
    with ``cut`` begins a shot, which is painted as if nothing had been before it. ``painter``: one made before,
    for the same style and settings. ``on_evaluation(frame, evaluation, loss)`` is called on the way, ``on_position``
    before a frame comes out, with what is known after it; given as ``begin``, with the frames from there on, it goes on
    as if it had never stopped. Frames come out as they are finished; a whole clip is never in memory.
    """
    painter = painter or Painter(style, settings)
    flow = flow or flow_named(painter.settings.flow, painter.settings.flow_size)
    position = begin or Position()
    for index, frame in enumerate(frames, position.index):
        if frame.cut and index > 0:
            position = Position(index, position.shot + 1, index)
        report = None if on_evaluation is None else (lambda k, loss, i=index: on_evaluation(i, k, loss))
        stylised, position = _next_frame(painter, frame, position, flow, report)
        if on_position is not None:
            on_position(position)
        yield stylised


def _next_frame(
    painter: Painter, frame: Frame, position: Position, flow: FlowEstimator, on_evaluation: OnEvaluation | None
) -> tuple[StylisedFrame, Position]:
    """The frame at ``position`` and the position after it. One that looks wrong is painted again from a fresh start."""
    stylised, state = _stylise_frame(painter, frame, position, flow, on_evaluation)
    if stylised.problem:
        again, fresh_state = _stylise_frame(painter, frame, position, flow, on_evaluation, fresh=True)
        if not again.problem:
            stylised, state = replace(again, problem=f"{stylised.problem}; painted again, and well"), fresh_state
        else:  # neither what was carried nor what it left is to be trusted
            words = f"{stylised.problem}; painted again: {again.problem}"
            stylised, state = replace(stylised, problem=words), replace(state, history=None)
    losses = (*position.losses, stylised.loss)[-health.NEIGHBOURS :] if math.isfinite(stylised.loss) else ()
    after = Position(position.index + 1, position.shot, position.first, state, losses)
    return replace(stylised, index=position.index, shot=position.shot), after


def _stylise_frame(
    painter: Painter,
    frame: Frame,
    position: Position,
    flow: FlowEstimator,
    on_evaluation: OnEvaluation | None,
    *,
    fresh: bool = False,
) -> tuple[StylisedFrame, ShotState]:
    """One frame. ``fresh``: started as if it were the first of its shot."""
    began = time.perf_counter()
    content, state = frame.pixels.to(painter.machine.device), position.state
    if fresh:
        begin = _first(painter, content)
    else:
        begin = _begin(painter, content, position.index - position.first, state, flow)
    outcome, history = painter.paint(content, begin, on_evaluation)
    if state is None or fresh:
        outcome = painter.polished(content, outcome, on_evaluation)
    after = _after(painter, content, outcome, history, begin, state)
    painted = [outcome]
    if begin.goal is not None and _measures_again(painter.settings) and after.goal.is_old(outcome.untouched):
        painted.append(_alone(painter, content, after.goal.evaluations, on_evaluation))
        after = replace(after, goal=after.goal.again(painted[-1]))
    loss = outcome.losses.own.item()
    stylised = StylisedFrame(
        pixels=outcome.pixels,
        pts=frame.pts,
        time_base=frame.time_base,
        cut=frame.cut,
        start=begin.name,
        evaluations=sum(o.evaluations for o in painted),
        loss=loss,
        content_loss=outcome.losses.content.item(),
        style_loss=outcome.losses.style.item(),
        optimise_seconds=sum(o.seconds for o in painted),
        wall_seconds=time.perf_counter() - began,
        problem=health.problem(outcome.pixels, content, loss, outcome.curve, position.losses),
    )
    return stylised, after


def _after(
    painter: Painter,
    content: torch.Tensor,
    outcome: Outcome,
    history: History | None,
    begin: Beginning,
    state: ShotState | None,
) -> ShotState:
    """What a finished frame leaves to the next one. The first of a shot sets its goal, its anchor and its colours."""
    if state is None:
        style = painter.style_target(content).anchored(painter.trunk, outcome.on_the_way, ANCHOR_STIFFNESS)
        goal, colours = Goal.of(outcome, _evaluations_to_goal(painter)), Colours.of(outcome.pixels, content)
        firmness = 1.0
    else:
        style, goal, colours = state.style, state.goal.older(), state.colours
        firmness = firmness_after(painter.settings, state, outcome)
    painted = Painted.whole(content)
    if begin.painted is not None and begin.free is not None:
        painted = begin.painted.after(content, begin.free, outcome.evaluations)
    return ShotState(content, outcome.pixels, history, painted, goal, style, colours, firmness)


def firmness_after(settings: Settings, state: ShotState, outcome: Outcome) -> float:
    """How firmly what moves is held in the next frame; less after one that was held too firmly to get to its goal."""
    if not state.goal.reached(outcome):
        return max(LOOSEST, state.firmness * LOOSER)
    if outcome.evaluations <= max(EASY_EVALUATIONS, settings.min_iterations):
        return min(1.0, state.firmness / LOOSER)
    return state.firmness


def _evaluations_to_goal(painter: Painter) -> int:
    return GOAL_OF_COMPACT if painter.backbone.name == "compact" else GOAL_EVALUATIONS


def _measures_again(settings: Settings) -> bool:
    """Not where no goal ends a frame, nor where a shot's first frame was polished, which is a goal of its own."""
    return settings.tolerance > 0 and not settings.polish


def _alone(painter: Painter, content: torch.Tensor, evaluations: int, on_evaluation: OnEvaluation | None) -> Outcome:
    """A frame painted by itself, as a shot's first is, for so many ``evaluations``."""
    begin = replace(_first(painter, content), goal=math.inf, floor=evaluations)
    return painter.paint(content, begin, on_evaluation)[0]


def _begin(
    painter: Painter, content: torch.Tensor, position: int, state: ShotState | None, flow: FlowEstimator
) -> Beginning:
    """The first frame of a shot begins as ``first_init`` says, the others as ``init`` says."""
    settings = painter.settings
    if settings.init not in ("previous", "warped"):
        return Beginning(settings.init, painter.start(settings.init, content, position))
    if state is None:
        return _first(painter, content)
    if settings.init == "previous":
        return Beginning("previous", state.stylised, state.history)
    return _follow(settings, content, state, flow(content, state.source).to(content.device))


def _first(painter: Painter, content: torch.Tensor) -> Beginning:
    """From nothing but the source and the settings."""
    name = painter.settings.first_init
    return Beginning(name, painter.start(name, content), note_at=_evaluations_to_goal(painter))


def _follow(settings: Settings, content: torch.Tensor, state: ShotState, warp: Warp) -> Beginning:
    """Begin from the frame before, moved along the flow, and keep to it (``motion/carry.py``)."""
    if settings.coherence == 0:
        moved = warp(state.stylised).clamp(0, 1)
        return Beginning("warped", moved, _carried(state.history, warp))
    difference = carry.Difference.between(content, state.source, warp)
    warp, painted = carry.rested(carry.doubted(warp, difference), content, difference, state.painted)
    painted = painted.moved(warp)
    free = painted.to_paint(content, warp)
    part = painted.part if painted.unfinished.any() else None
    style = state.style if state.firmness > LOOSEST else None
    if settings.no_anchor:
        free, part, style = torch.ones_like(free), None, None
    start = carry.start(state.stylised, state.source, content, warp, painted.source, free)
    weight = settings.temporal_weight
    weight = carry.temporal_weight(settings.coherence) if weight is None else weight
    priors: tuple[Prior, ...] = (TemporalPrior(weight, start, carry.hold(warp, painted, state.firmness)),)
    if not settings.no_anchor:
        priors += (ColourPrior(carry.GAMMA, *state.colours.between(content)),)
    history = _carried(state.history, warp, warp.visible_before * free)
    floor = _fewest(settings, warp, painted)
    return Beginning("warped", start, history, priors, free, state.goal.level, floor, style, part, painted)


def _fewest(settings: Settings, warp: Warp, painted: Painted) -> int:
    """The fewest evaluations: fewer than the settings' where nothing is left to do, more where much is new."""
    if painted.unfinished.mean().item() < UNFINISHED_SHARE:
        return min(settings.min_iterations, FEWEST_EVALUATIONS)
    if warp.visible_before.mean().item() < 1 - REVEALED_SHARE:
        return max(settings.min_iterations, REVEALED_EVALUATIONS)
    return settings.min_iterations


def _carried(history: History | None, warp: Warp, mask: torch.Tensor | None = None) -> History | None:
    """The optimiser's history, moved along. Curvature is a guess: bilinear does as well, and costs a fifth."""
    return None if history is None else history.warped(partial(sample, flow=warp.flow, mode="bilinear"), mask)


def noise(like: torch.Tensor, seed: int) -> torch.Tensor:
    """White Gaussian noise of the same shape, the same on every device: drawn on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(like.shape, generator=generator) * NOISE_DEVIATION + NOISE_MEAN
    return drawn.to(like.device)


def resized(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """A picture (1, 3, H, W) at ``size`` = (height, width), antialiased, in [0, 1]."""
    if tuple(picture.shape[2:]) == size:
        return picture
    return F.interpolate(picture, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


def fit_style(style: torch.Tensor, longest: float, smallest: int) -> torch.Tensor:
    """The style with its longer side at ``longest`` pixels, aspect kept, no side below ``smallest``."""
    height, width = style.shape[2:]
    scale = longest / max(height, width)
    return resized(style, (max(smallest, round(height * scale)), max(smallest, round(width * scale))))


def choose_backbone(settings: Settings, machine: Machine) -> tuple[str, str]:
    """(network, why): what ``auto`` means here, for the first line and the record."""
    if settings.polish:
        return "compact", f"with {settings.polish} evaluations of VGG-19 for each shot's first frame"
    if settings.backbone != "auto":
        return settings.backbone, "asked for"
    if settings.weights is not None:
        return "auto", f"the network of {settings.weights}"
    if not machine.accelerated:
        return "compact", "made for CPUs"
    if weights_are_here("vgg19") or settings.download:
        return "vgg19", "the reference network, fast enough on this device"
    return "compact", "VGG-19's weights are not here; --download fetches them"


def load_chosen(settings: Settings, machine: Machine, on_download: DownloadProgress | None = None) -> Backbone:
    """The network that the settings mean on this machine."""
    name, _ = choose_backbone(settings, machine)
    weights = None if settings.polish else settings.weights  # they are VGG-19's then
    return load_backbone(name, weights, download=settings.download, on_progress=on_download)
