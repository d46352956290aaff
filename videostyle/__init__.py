"""Video stylisation: a clip in, the same clip painted in the style of a picture out."""

from videostyle.version import __version__

__all__ = ["__version__"]
