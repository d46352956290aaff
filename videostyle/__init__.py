"""Video stylisation: a clip in, the same clip painted in the style of a picture out.

    from videostyle import Settings, stylise_video

    stylise_video("clip.mp4", "painting.jpg", "out.mp4", Settings(iterations=100))

Names are loaded when they are first used: importing the package does no work.
"""

from importlib import import_module
from typing import Any

from videostyle.version import __version__

_HOMES = {
    "Frame": "frames",
    "StylisedFrame": "frames",
    "VideoInfo": "frames",
    "StyleImage": "stylise.look",
    "Settings": "settings",
    "MediaSettings": "settings",
    "RunSettings": "settings",
    "VideoStyleError": "errors",
    "Stylizer": "stylise.stylizer",
    "stylise_frames": "stylise.sequence",
    "Progress": "pipeline.progress",
    "Result": "pipeline.request",
    "Request": "pipeline.request",
    "run": "pipeline.run",
    "Preview": "pipeline.picture",
    "stylise_video": "pipeline.video",
    "stylise_image": "pipeline.picture",
    "preview_video": "pipeline.picture",
    "copy_video": "pipeline.video",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"videostyle.{_HOMES[name]}"), name)
