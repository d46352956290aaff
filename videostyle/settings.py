"""Every setting with its default, unit and source, exactly once. The command line's options are made from these fields.

``Settings`` says how a picture is painted, ``MediaSettings`` what is read and what is written, ``RunSettings`` how a
run is gone on with. All are frozen; an unknown name or a value out of range is refused with a UsageError when they are
made.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from numbers import Integral, Real
from types import NoneType
from typing import Any, Self, get_args, get_origin, get_type_hints

from videostyle.errors import UsageError

# What a frame can start from without a picture being named.
NAMED_STARTS = ("content", "noise", "previous", "warped")


def setting(default: Any, help: str, **metadata: Any) -> Any:
    """A dataclass field with its help text; ``choices``, ``minimum``, ``above`` and ``maximum`` are checked."""
    return field(default=default, metadata={"help": help, **metadata})


# Values as people write them, in a recipe or in Python: a whole number is a number too, and so is a fraction.
KINDS: dict[Any, tuple[str, tuple[type, ...]]] = {
    bool: ("true or false", (bool,)),
    int: ("a whole number", (Integral,)),
    float: ("a number", (Real,)),
    str: ("a text", (str,)),
    NoneType: ("nothing", (NoneType,)),
}


def _expected(annotation: Any) -> list[Any]:
    """The alternatives of a type: ``int | None`` -> [int, NoneType]."""
    return list(get_args(annotation)) if get_origin(annotation) not in (None, tuple) else [annotation]


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_fits(v, get_args(kind)[0]) for v in value)
    return isinstance(value, KINDS[kind][1]) and (kind is bool or not isinstance(value, bool))


def _word(kind: Any) -> str:
    return f"a list, each {KINDS[get_args(kind)[0]][0]}" if get_origin(kind) is tuple else KINDS[kind][0]


class CheckedSettings:
    """Checks common to all settings classes: types, choices and ranges on construction, unknown names in
    ``from_mapping``."""

    def __post_init__(self) -> None:
        types = get_type_hints(type(self))
        for f in fields(self):  # type: ignore[arg-type]
            self._check(f.name, getattr(self, f.name), f.metadata, _expected(types[f.name]))

    @staticmethod
    def _check(name: str, value: Any, rule: Mapping[str, Any], kinds: list[Any]) -> None:
        option = name.replace("_", "-")
        if not any(_fits(value, kind) for kind in kinds):
            raise UsageError(f"{option} is {value!r}; expected {' or '.join(map(_word, kinds))}")
        if value is None:
            return
        if "choices" in rule and value not in rule["choices"]:
            raise UsageError(f"{option} is {value!r}; it can be {', '.join(map(str, rule['choices']))}")
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{option} is not a finite number")
        if "minimum" in rule and value < rule["minimum"]:
            raise UsageError(f"{option} is {value}; it must be at least {rule['minimum']}")
        if "above" in rule and value <= rule["above"]:
            raise UsageError(f"{option} is {value}; it must be above {rule['above']}")
        if "maximum" in rule and value > rule["maximum"]:
            raise UsageError(f"{option} is {value}; it must be at most {rule['maximum']}")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Settings from plain values (a recipe, a record); an unknown name is refused, lists become tuples."""
        known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
        unknown = sorted(set(values) - known)
        if unknown:
            raise UsageError(f"unknown setting {', '.join(unknown)}; known ones are {', '.join(sorted(known))}")
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    def replace(self, **changes: Any) -> Self:
        """The same settings with some changed."""
        return replace(self, **changes)  # type: ignore[type-var]


@dataclass(frozen=True, kw_only=True)
class Settings(CheckedSettings):
    """How a picture is painted: network, objective, optimiser, device."""

    # The network
    backbone: str = setting(
        "auto", "network whose features are compared", choices=("auto", "vgg19", "vgg19-caffe", "compact")
    )
    weights: str | None = setting(None, "file with the network's weights (.pth, .safetensors, .npz)", metavar="FILE")
    download: bool = setting(False, "fetch VGG-19's weights (574 MB) if they are not here yet")
    polish: int = setting(
        0,
        "with the compact network: evaluations of VGG-19 itself at the end of each shot's first frame "
        "(its weights from torch's cache, --download or --weights)",
        minimum=0,
        metavar="N",
    )

    # The objective (Gatys, Ecker and Bethge 2016; see perception/losses.py for the formulas and their units)
    content_weight: float = setting(1.0, "alpha, the weight of the content loss", minimum=0.0)
    style_weight: float = setting(
        5000.0,  # alpha/beta = 2e-4: between the slides' 1e-3 and 1e-4, chosen by eye over clips and styles
        "beta, the weight of the style loss",
        minimum=0.0,
    )
    strength: float = setting(
        0.5, "how far the style goes: 0 tints, 1 leaves little but texture (multiplies beta)", minimum=0.0, maximum=1.0
    )
    tv_weight: float = setting(0.0, "weight of the total variation (smoothness)", minimum=0.0)
    content_layers: tuple[str, ...] = setting(("conv4_2",), "layers compared for content", metavar="NAMES")
    style_layers: tuple[str, ...] = setting(
        ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"),
        "layers compared for style, weighted equally",
        metavar="NAMES",
    )
    pooling: str = setting(
        "average", "pooling of the network (Gatys et al. prefer average)", choices=("average", "max")
    )
    style_scale: float = setting(1.0, "style picture's longer side relative to the output's", above=0.0, maximum=8.0)

    # From frame to frame (see temporal/)
    coherence: float = setting(
        0.5,
        "how firmly a frame keeps to the one before it; 0: no temporal loss, no masks, nothing held still",
        minimum=0.0,
        maximum=1.0,
    )
    temporal_weight: float | None = setting(
        None, "weight of the temporal loss (default: what --coherence means)", minimum=0.0, metavar="TEMPORAL_WEIGHT"
    )

    flow: str = setting("dis", "optical flow between source frames", choices=("dis", "farneback"))
    flow_size: int | None = setting(
        None, "longer side of the frames that the flow is computed on (default: the output's)", minimum=32
    )
    no_anchor: bool = setting(
        False, "do not hold a shot's colour and contrast at its first frame's, nor leave finished still parts alone"
    )

    # The optimiser
    optimizer: str = setting("lbfgs", "optimiser", choices=("lbfgs", "adam"))
    iterations: int = setting(300, "most evaluations of loss and gradient per frame", minimum=1, metavar="MAX")
    min_iterations: int = setting(8, "fewest evaluations per frame", minimum=1)
    tolerance: float = setting(
        1e-3, "stop when the loss falls by less than this share per evaluation (0: never stop early)", minimum=0.0
    )
    history_size: int = setting(8, "curvature pairs that L-BFGS keeps", minimum=1, maximum=100)
    learning_rate: float = setting(0.05, "Adam's step size, in pixel values of [0, 1]", above=0.0)
    init: str = setting("warped", f"what a frame starts from: {', '.join(NAMED_STARTS)}, or a picture", metavar="START")
    first_init: str = setting(
        "content", "what the first frame of a shot starts from: content, noise, or a picture", metavar="START"
    )
    seed: int = setting(0, "seed of the noise", minimum=0)

    # The machine
    device: str = setting("auto", "where to compute", choices=("auto", "cpu", "cuda", "mps"))
    precision: str = setting(
        "auto",
        "arithmetic of the network: bf16 where the device is fast at it, else fp32",
        choices=("auto", "bf16", "fp32"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_iterations > self.iterations:
            raise UsageError(
                f"min-iterations is {self.min_iterations} and iterations {self.iterations}; "
                "the floor cannot lie above the ceiling"
            )
        if self.polish and self.backbone not in ("auto", "compact"):
            raise UsageError(f"polish is for the compact network and backbone is {self.backbone}; leave one out")
        if not self.content_layers and not self.style_layers:
            raise UsageError("neither content-layers nor style-layers name a layer; give at least one")


@dataclass(frozen=True, kw_only=True)
class MediaSettings(CheckedSettings):
    """What is read from the clip and how the result is written."""

    size: int | None = setting(
        None,
        "longer side of the output in pixels, never above the source's (default: 512 on a CPU, 960 on a GPU)",
        minimum=16,
    )
    start_seconds: float = setting(0.0, "where to begin in the clip", minimum=0.0, option="start", metavar="SECONDS")
    duration_seconds: float | None = setting(
        None, "how much of the clip to take", above=0.0, option="duration", metavar="SECONDS"
    )
    stream: int | None = setting(
        None, "index of the video stream (default: the file's own default, else the largest)", minimum=0
    )
    no_shots: bool = setting(False, "do not look for cuts: the clip is one shot")
    cuts: tuple[float, ...] | None = setting(
        None, "where shots begin, in seconds, instead of looking for cuts", metavar="SECONDS,..."
    )
    audio: str = setting(
        "auto", "the source's sound: copied where the container takes it", choices=("auto", "copy", "transcode", "none")
    )
    codec: str | None = setting(None, "video codec (default: by the output's name, H.264 for .mp4)", metavar="NAME")
    crf: int | None = setting(
        None, "quality of the encoder, lower is better (default: 18 for H.264)", minimum=0, maximum=63
    )
    overwrite: bool = setting(False, "replace an existing output")

    def __post_init__(self) -> None:
        super().__post_init__()
        for time in self.cuts or ():
            if not (math.isfinite(time) and time >= 0):
                raise UsageError(f"cuts holds {time}; expected times in seconds from the clip's beginning")


@dataclass(frozen=True, kw_only=True)
class RunSettings(CheckedSettings):
    """How a run is kept safe in its run directory ``OUT.videostyle``, and gone on with. None of it changes a frame."""

    restart: bool = setting(False, "start over, whatever a run that was stopped left in OUT.videostyle")
    resume_anyway: bool = setting(False, "go on although versions, threads or the device are not what they were")
    partial: bool = setting(False, "paint nothing more: publish the frames that are finished, with their sound")
    keep: bool = setting(False, "do not remove OUT.videostyle when the run is done")
    state_seconds: float = setting(
        30.0,
        "seconds between two states on the disk: what is lost at most; more on a slow disk, 0: after every frame",
        minimum=0.0,
        metavar="SECONDS",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.restart and self.partial:
            raise UsageError("restart throws away what partial would publish; give one of them")
