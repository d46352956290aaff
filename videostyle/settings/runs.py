"""How a run is saved, a network trained and a live session timed."""

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
