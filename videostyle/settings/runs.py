"""How a run is saved and spread, a network trained and a live session timed."""

from dataclasses import dataclass

from videostyle.errors import UsageError
from videostyle.settings.checked import CheckedSettings, rare_setting, setting


@dataclass(frozen=True, kw_only=True)
class RunSettings(CheckedSettings):
    """How a run is saved in its run directory ``OUT.videostyle``, and resumed. No setting here changes a frame."""

    partial: bool = setting(False, "stylise nothing more: write the frames that are finished, with their sound")
    restart: bool = setting(False, "discard what a stopped run left in OUT.videostyle, and begin again")
    resume_anyway: bool = rare_setting(
        False, "resume although library versions, the number of threads or the device have changed"
    )
    keep: bool = rare_setting(False, "keep OUT.videostyle when the run is finished")
    state_seconds: float = rare_setting(
        30.0,
        "seconds between two saved states, the most work that a crash loses; longer on a slow disk, "
        "0: save after every frame",
        minimum=0.0,
        metavar="SECONDS",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.restart and self.partial:
            raise UsageError("restart throws away what partial would publish; give one of them")


@dataclass(frozen=True, kw_only=True)
class SpreadSettings(CheckedSettings):
    """Where the shots of a clip, or several clips, are painted at a time. Only ``longest_shot`` changes frames."""

    workers: str | None = rare_setting(
        None,
        "paint shots, or several clips, in so many processes of this machine; auto: one for each GPU, on a CPU one",
        metavar="N|auto",
    )
    ray: str | None = rare_setting(
        None,
        "paint them on a Ray cluster: its address, auto (the one that this machine is part of, or RAY_ADDRESS), or "
        "local (all of this machine); all nodes must see the clip, the style and the output's folder",
        metavar="ADDRESS",
        const="auto",
    )
    ray_cpus: int | None = rare_setting(
        None, "CPUs of a task on Ray, which are also its threads (default: all of the smallest node)", minimum=1
    )
    ray_gpus: float | None = rare_setting(
        None, "GPUs of a task on Ray (default: 1 where a node has one)", minimum=0.0, maximum=64.0
    )
    longest_shot: float | None = rare_setting(
        None,
        "split longer shots where they are stillest, so that more workers than shots help: the paint begins anew there",
        minimum=1.0,
        metavar="SECONDS",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.workers is not None and self.ray is not None:
            raise UsageError("workers are of this machine and ray is a cluster; give one of them")
        if self.ray is None and (self.ray_cpus is not None or self.ray_gpus is not None):
            raise UsageError("ray-cpus and ray-gpus are of a task on a cluster; add --ray, or leave them out")
        if self.longest_shot is not None and not self.is_asked:
            raise UsageError("longest-shot is for several workers; add --workers or --ray, or leave it out")

    @property
    def is_asked(self) -> bool:
        """Whether anything but one process was asked for."""
        return self.workers is not None or self.ray is not None


@dataclass(frozen=True, kw_only=True)
class TrainSettings(CheckedSettings):
    """How a style's network is trained."""

    minutes: float = setting(1.0, "minutes of training", above=0.0, maximum=600.0)
    on: tuple[str, ...] = setting((), "clips to fit the network to, separated by commas", metavar="CLIPS")
    pictures: str | None = setting(None, "folder of photographs to train on, beside the samples", metavar="FOLDER")
    size: int = setting(
        512, "longer side, in pixels, of the pictures whose strokes are learned", minimum=192, maximum=4096
    )
    no_card: bool = rare_setting(False, "leave out the report card, which takes as long as two optimised pictures")
    restart: bool = setting(False, "discard what a stopped training left, and begin again")


@dataclass(frozen=True, kw_only=True)
class LiveSettings(CheckedSettings):
    """How a live session keeps time."""

    fps: float = setting(
        24.0, "frames a second that are held, by smaller frames where need be", above=0.0, maximum=240.0
    )
    seconds: float | None = setting(None, "length of the session in seconds (default: until q)", above=0.0)
    fade_seconds: float = setting(1.0, "how long one style takes to give way to another", minimum=0.0)
