"""Video stylisation: a clip in, the same clip painted in the style of a picture out.

    from videostyle import Settings, stylise_video

    stylise_video("clip.mp4", "painting.jpg", "out.mp4", Settings(iterations=100))

Names are loaded when they are first used: importing the package does no work. What a result's ``notices`` say goes to
``logging.getLogger("videostyle")`` too, which is silent until a program gives it a handler.
"""

import logging
from importlib import import_module
from typing import Any

from videostyle.version import __version__

logging.getLogger(__name__).addHandler(logging.NullHandler())

_NAMES = {
    "frames": ("Frame", "StylisedFrame", "VideoInfo"),
    "stylise.style_images": ("StyleImage",),
    "settings": ("Settings", "MediaSettings", "RunSettings", "SpreadSettings"),
    "settings.look": ("Look", "StylePicture", "RegionLook", "ColourLook", "PaintedFrame"),
    "settings.look_file": ("read_look",),
    "errors": ("VideoStyleError",),
    "stylise.stylizer": ("Stylizer",),
    "stylise.sequence": ("stylise_frames",),
    "pipeline.progress": ("Progress",),
    "pipeline.request": ("Result", "Request"),
    "pipeline.run": ("run",),
    "cluster.run": ("run_spread",),
    "pipeline.picture": ("Preview", "stylise_image", "preview_video"),
    "pipeline.video": ("stylise_video", "copy_video"),
    "pipeline.pick_frames": ("PickedFrame", "pick_keyframes"),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"videostyle.{_HOMES[name]}"), name)
