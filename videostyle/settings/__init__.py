"""Every setting with its default, unit and source, exactly once. The command line's options are made from these fields.

``Settings`` says how a picture is stylised, ``MediaSettings`` what is read and written, ``RunSettings`` how a run is
saved and resumed. All are frozen; an unknown name or a value out of range raises UsageError on construction.
"""

import math
from dataclasses import dataclass
from typing import Self

from videostyle.errors import UsageError
from videostyle.settings.checked import CheckedSettings, rare_setting, setting
from videostyle.settings.runs import LiveSettings as LiveSettings
from videostyle.settings.runs import RunSettings as RunSettings
from videostyle.settings.runs import SpreadSettings as SpreadSettings
from videostyle.settings.runs import TrainSettings as TrainSettings

# What a frame can start from beside a picture.
NAMED_STARTS = ("content", "palette", "noise", "network", "previous", "warped")
AUTO = "auto"  # chosen by what is there
STANDARD_ITERATIONS, STANDARD_FEWEST = 20, 2  # evaluations per frame, at most and at least, for --quality standard
DRAFT_FLOW_SIZE = 256  # longer side, in pixels, of the frames whose flow a draft follows
MOST_APART = 16  # frames from one key to the next
SPACINGS = ("off", AUTO, *map(str, range(2, MOST_APART + 1)))
MIN_ITERATIONS = 8  # evaluations per frame, at least, by default
# Settings that a network has learned; with other values it is another network.
LEARNED = ("style_weight", "content_weight", "strength", "style_scale", "tv_weight", "content_layers", "style_layers")
UNIT_RANGE = {"minimum": 0.0, "maximum": 1.0}


@dataclass(frozen=True, kw_only=True)
class Settings(CheckedSettings):
    """How a picture is stylised: network, objective, optimiser, device."""

    # The network
    backbone: str = setting(
        "auto",
        "network whose features define the losses; auto: compact on a CPU, on a GPU vgg19 if its weights are there; "
        "vgg19 paints a frame at about 256 pixels, and compact finishes it at its size",
        choices=("auto", "vgg19", "vgg19-caffe", "compact"),
    )
    weights: str | None = setting(None, "file with the network's weights (.pth, .safetensors or .npz)", metavar="FILE")
    download: bool = setting(False, "download weights that are missing, once: VGG-19's (574 MB), RAFT-small's (4 MB)")

    # The objective (Gatys, Ecker and Bethge 2016; see losses/formulas.py for the formulas and their units)
    # Default: alpha/beta = 2e-4, between the slides' 1e-3 and 1e-4.
    style_weight: float = setting(
        5000.0, "beta, weight of the style loss: a higher value gives more of the style", minimum=0.0
    )
    content_weight: float = rare_setting(1.0, "alpha, weight of the content loss", minimum=0.0)
    strength: float = setting(
        0.5,
        "strength of the style from 0 (a tint) to 1 (little but texture); multiplies beta by 1/100 to 100, 0.5 by 1",
        **UNIT_RANGE,
    )
    style_scale: float = setting(
        1.0,
        "longer side of the style picture as a multiple of the output's: a higher value gives broader strokes",
        above=0.0,
        maximum=8.0,
    )
    statistic: str = rare_setting(
        "wasserstein",
        "what is compared of the features of picture and style: mean and covariance, by the Wasserstein distance of "
        "Gaussians or by their differences; Gram matrices (as in the presentation); or those of features minus the "
        "style's mean",
        choices=("wasserstein", "covariance", "gram", "shifted"),
    )
    octaves: int | None = rare_setting(
        None,
        "octaves of a picture that are painted from nothing, the coarsest first, each twice the size of the one before "
        "(default: from about 64 pixels; 1: its own size alone, as in the presentation)",
        minimum=1,
        maximum=8,
    )
    grain_weight: float = rare_setting(
        2.5e5,
        "weight of the loss on grain beyond the style's own, in units of the style loss (0: none, as in the "
        "presentation)",
        minimum=0.0,
    )
    tv_weight: float = rare_setting(
        0.0, "weight of the total variation loss: a higher value gives a smoother picture", minimum=0.0
    )
    content_layers: tuple[str, ...] = rare_setting(
        ("conv4_2",), "layers of the content loss, separated by commas", metavar="NAMES"
    )
    style_layers: tuple[str, ...] = rare_setting(
        ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"),
        "layers of the style loss, separated by commas, with equal weights",
        metavar="NAMES",
    )
    pooling: str = rare_setting(
        "max",
        "pooling between the network's layers: max, which VGG-19 was trained with, or average (as in the presentation)",
        choices=("average", "max"),
    )

    # The style's own network (see networks/style_network.py)
    quality: str | None = setting(
        None,
        "paint with a network of the style, which is trained first where there is none; draft: by the network alone; "
        "standard: few evaluations per frame from there; best: as many as without it",
        choices=("draft", "standard", "best"),
    )
    network: str | None = rare_setting(
        None, "file of the style's network, made by videostyle train (default: found by the style)", metavar="FILE"
    )

    # From frame to frame (see temporal/)
    coherence: float = setting(
        0.5,
        "how closely a frame follows the previous one, from 0 to 1; 0 disables the temporal loss and drift control",
        **UNIT_RANGE,
    )
    temporal_weight: float | None = rare_setting(
        None, "weight of the temporal loss (default: set by --coherence)", minimum=0.0, metavar="GAMMA"
    )
    keyframes: str = setting(
        AUTO,
        "paint only some frames, and make those between from the two around them; auto: 2 to 16 frames apart, as "
        "motion allows; off: paint every frame",
        metavar="auto|N|off",
    )
    touch_up: int = rare_setting(
        0, "evaluations that a frame between two keyframes is given besides, held to both of them", minimum=0
    )
    flow: str = rare_setting(
        "dis",
        "method of optical flow; raft: a network, far slower on a CPU, better where something moves very fast",
        choices=("dis", "farneback", "raft"),
    )
    flow_weights: str | None = rare_setting(
        None, "file with RAFT-small's weights (.pth, .safetensors or .npz)", metavar="FILE"
    )
    flow_size: int | None = rare_setting(
        None,
        "longer side, in pixels, of the frames that optical flow is computed on (default: those that are painted)",
        minimum=32,
    )
    no_anchor: bool = rare_setting(
        False,
        "disable drift control: neither anchor colours and style to the shot's first frame nor freeze static pixels",
    )

    # The optimiser
    iterations: int = setting(300, "maximum number of evaluations per frame", minimum=1, metavar="MAX")
    min_iterations: int | None = rare_setting(
        None,
        "minimum number of evaluations per frame, fewer only for a frame that is nearly finished "
        f"(default: {MIN_ITERATIONS}, or --iterations if that is lower)",
        minimum=1,
    )
    tolerance: float = rare_setting(
        1e-3,
        "stop a frame when the loss falls by less than this share per evaluation; 0: never stop early",
        minimum=0.0,
    )
    no_target: bool = rare_setting(
        False, "end each frame after a shot's first at its minimum of evaluations, whatever loss it has reached"
    )
    optimizer: str = rare_setting("lbfgs", "optimiser", choices=("lbfgs", "adam"))
    history_size: int = rare_setting(8, "number of curvature pairs that L-BFGS stores", minimum=1, maximum=100)
    learning_rate: float = rare_setting(0.05, "step size of Adam, for pixel values in [0, 1]", above=0.0)
    init: str = rare_setting(
        "warped", f"initial image of a frame: {', '.join(NAMED_STARTS)}, or a picture", metavar="START"
    )
    first_init: str = rare_setting(
        AUTO,
        "initial image of the first frame of a shot where --init is warped or previous: content, palette (the content "
        "in the style's colours), noise, network (what the style's network makes of it), or a picture; auto: network "
        "where the style has one, or the clip is long enough to train one first, else palette",
        metavar="START",
    )
    seed: int = rare_setting(0, "random seed of the noise", minimum=0)

    # The machine
    device: str = setting("auto", "device to compute on; mps is refused", choices=("auto", "cpu", "cuda", "mps"))
    precision: str = rare_setting(
        "auto",
        "number format of the network; auto: bf16 where the device is fast at it, else fp32",
        choices=("auto", "bf16", "fp32"),
    )
    memory: float | None = rare_setting(
        None,
        "most memory to use, in GiB: frames that need more go through the network in tiles, which takes longer "
        "(default: nine tenths of the device's)",
        above=0.0,
        metavar="GIB",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_iterations is not None and self.min_iterations > self.iterations:
            both = f"min-iterations is {self.min_iterations} and iterations {self.iterations}"
            raise UsageError(f"{both}; the floor cannot lie above the ceiling")
        if self.temporal_weight and self.coherence == 0:
            both = f"temporal-weight is {self.temporal_weight:g} and coherence 0"
            raise UsageError(f"{both}, which disables the temporal loss; leave one of them out")
        if self.keyframes not in SPACINGS:
            raise UsageError(f"keyframes is {self.keyframes!r}; it can be auto, off, or from 2 to {MOST_APART}")
        if not self.uses_keyframes:
            other = f"init is {self.init}" if self.init != "warped" else "quality is draft"
            if self.keyframes not in ("off", AUTO):
                raise UsageError(f"keyframes is {self.keyframes} and {other}; leave one of them out")
            if self.touch_up:
                why = "keyframes off" if self.keyframes == "off" else other
                raise UsageError(f"touch-up is {self.touch_up} and {why}: every frame is painted; leave it out")
        if self.quality and self.init not in ("warped", "network"):
            raise UsageError(f"quality is {self.quality} and init {self.init}; leave one of them out")
        if self.network is not None and not self.uses_network:
            raise UsageError(f"network is {self.network} and nothing starts from it; add --quality, or leave it out")
        if self.flow_weights is not None and self.flow != "raft":
            raise UsageError(f"flow-weights is {self.flow_weights} and flow {self.flow}; add --flow raft")
        if not self.content_layers and not self.style_layers:
            raise UsageError("neither content-layers nor style-layers name a layer; give at least one")

    @property
    def uses_keyframes(self) -> bool:
        """Whether some frames are made from others: only those that are carried along the motion, and no drafts."""
        return self.keyframes != "off" and self.init == "warped" and self.quality != "draft"

    @property
    def uses_network(self) -> bool:
        """Whether the style's network must have a say in the frames."""
        asked = self.quality is not None or "network" in (self.init, self.first_init)
        return asked or (self.network is not None and self.may_use_network)

    @property
    def may_use_network(self) -> bool:
        """Whether the style's network has a say in the frames where there is one."""
        return self.first_init == AUTO and self.init in ("previous", "warped")

    @property
    def start_pictures(self) -> frozenset[str]:
        """The names of pictures that frames start from."""
        return frozenset({self.init, self.first_init} - {*NAMED_STARTS, AUTO})

    def with_quality(self) -> Self:
        """The settings that ``quality`` means, beside those that were given."""
        if self.quality in (None, "draft"):
            return self
        started = self.replace(first_init="network")
        if self.quality == "best":
            return started
        most = STANDARD_ITERATIONS if self.iterations == type(self).iterations else self.iterations
        fewest = self.min_iterations or min(STANDARD_FEWEST, most)
        return started.replace(iterations=most, min_iterations=fewest, no_target=True)

    @property
    def iterations_floor(self) -> int:
        """``min_iterations``, or its default: a low ceiling lowers it."""
        return min(MIN_ITERATIONS, self.iterations) if self.min_iterations is None else self.min_iterations


@dataclass(frozen=True, kw_only=True)
class MediaSettings(CheckedSettings):
    """What is read from the clip and how the result is written."""

    size: int | None = setting(
        None,
        "longer side of the output in pixels, at most the source's (default: 1280 on a CPU, 1920 on a GPU)",
        minimum=16,
    )
    start_seconds: float = setting(
        0.0, "where to begin in the clip, in seconds", minimum=0.0, option="start", metavar="SECONDS"
    )
    duration_seconds: float | None = setting(
        None,
        "how much of the clip to take, in seconds (default: all that follows)",
        above=0.0,
        option="duration",
        metavar="SECONDS",
    )
    stream: int | None = setting(
        None, "index of the video stream (default: the one that the file marks as default, else the largest)", minimum=0
    )
    no_shots: bool = rare_setting(False, "do not search for cuts; treat the clip as one shot")
    cuts: tuple[float, ...] | None = rare_setting(
        None, "times at which shots begin, in seconds, separated by commas; no search for cuts", metavar="SECONDS,..."
    )
    audio: str = setting(
        "auto",
        "sound of the source; auto: copied where the container takes it, else transcoded",
        choices=("auto", "copy", "transcode", "none"),
    )
    codec: str | None = rare_setting(
        None, "video codec (default: by the output's extension, H.264 for .mp4)", metavar="NAME"
    )
    crf: int | None = setting(
        None, "quality of the encoder, lower is better (default: 18 for H.264)", minimum=0, maximum=63
    )
    overwrite: bool = setting(False, "replace the output if it exists")

    def __post_init__(self) -> None:
        super().__post_init__()
        for time in self.cuts or ():
            if not 0 <= time < math.inf:
                raise UsageError(f"cuts holds {time}; expected times in seconds from the clip's beginning")
