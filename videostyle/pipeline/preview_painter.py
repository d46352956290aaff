"""One frame at a time, painted again and again while somebody looks: networks and statistics stay between them."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from videostyle.frames import Frame, StylisedFrame
from videostyle.media.mask_picture import is_picture
from videostyle.media.probe import probe
from videostyle.media.still import read_picture
from videostyle.pipeline.facts import frame_at
from videostyle.pipeline.fit_picture import fitted
from videostyle.pipeline.given_frames import ROUNDING_SECONDS
from videostyle.pipeline.look import LookDirection
from videostyle.pipeline.region_masks import CARRIED_SIZE, OnProgress, open_mask
from videostyle.settings import MediaSettings, Settings, TrainSettings
from videostyle.settings.look import Look
from videostyle.stylise.choose_maker import frame_maker_of
from videostyle.stylise.style_networks import NetworkKey, find_network
from videostyle.stylise.stylizer import Stylizer

# Settings that a network is loaded with; with the same values it is used again.
OF_NETWORK = ("backbone", "weights", "download", "content_layers", "style_layers", "pooling")
OF_MACHINE = ("device", "precision", "memory")
QUICK_EVALUATIONS = 10  # of every octave: by then strokes and colours are there
KEPT, KEPT_BYTES = 32, 1 << 30  # pictures, masks and frames, and the bytes of their pixels
FRAME_SECONDS = 0.001  # of the clip that a preview needs, from the frame's time on


@dataclass(frozen=True)
class FrameRequest:
    """A frame of a clip, or a picture, and how it is painted. ``size``: of its longer side, in pixels."""

    source: Path
    at_seconds: float
    size: int
    look: Look
    settings: Settings


class PreviewPainter:
    """Paints `FrameRequest`s. A style's network is used where there is one, but none is trained."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Any] = {}
        self._stylizers: dict[Hashable, Stylizer] = {}

    def paint(
        self,
        request: FrameRequest,
        on_picture: Callable[[torch.Tensor], None] | None = None,
        on_mask: OnProgress | None = None,
        *,
        quick: bool = False,
    ) -> StylisedFrame:
        """The frame. ``on_picture`` is given every picture on the way, (1, 3, H, W) in [0, 1] and smaller at first;
        ``on_mask(done, total)`` is told through how many frames a mask has been carried. An exception that one of them
        raises ends the painting. ``quick``: few evaluations. Raises VideoStyleError.
        """
        settings = request.settings.with_quality()
        if quick:
            most = min(QUICK_EVALUATIONS, settings.iterations)
            settings = settings.replace(iterations=most, min_iterations=None)
        frame = self._once(("frame", request.source, request.at_seconds, request.size), self._frame, request)
        if (given := self._given(request, frame)) is not None:
            return given
        stylizer = self._stylizer(request, settings, frame, on_mask)
        stylizer.on_picture = on_picture
        (stylised,) = frame_maker_of(stylizer).frames([frame])
        return stylised

    def _given(self, request: FrameRequest, frame: Frame) -> StylisedFrame | None:
        """The picture that is given for this very frame."""
        for painted in request.look.frames:
            if abs(painted.at_seconds - float(frame.time_seconds)) <= ROUNDING_SECONDS:
                picture = self._once(("picture", painted.picture), read_picture, painted.picture)
                pixels = fitted(picture, frame.pixels, Path(painted.picture).name)
                return StylisedFrame(pixels, frame.pts, frame.time_base, start="given")
        return None

    def _frame(self, request: FrameRequest) -> Frame:
        return frame_at(request.source, request.at_seconds, request.size)

    def _stylizer(
        self, request: FrameRequest, settings: Settings, frame: Frame, on_mask: OnProgress | None
    ) -> Stylizer:
        source, look = request.source, request.look
        info = None if is_picture(source) else self._once(("info", source), probe, source)
        media = MediaSettings(start_seconds=float(frame.time_seconds), duration_seconds=FRAME_SECONDS)
        size = frame.pixels.shape[3], frame.pixels.shape[2]
        carried = {"carried_size": min(CARRIED_SIZE, max(size))}
        direction = LookDirection(
            look,
            settings,
            info,
            media,
            size,
            on_mask,
            read=lambda path: self._once(("picture", path), read_picture, path),
            open_region=lambda path, at, **known: self._once(
                ("mask", path, at, size, media, known["feather"], source), open_mask, path, at, **known, **carried
            ),
        )
        style = direction.styles[0].at(0.0)
        found = None
        if look.has_network:
            found = find_network(NetworkKey.of(style, settings, min(max(size), TrainSettings.size)))
        if found is None and settings.uses_network:
            settings = settings.replace(quality=None, network=None, init="warped", first_init="palette")
            direction.settings = settings
        key = tuple(getattr(settings, name) for name in (*OF_NETWORK, *OF_MACHINE))
        if key not in self._stylizers:
            starts = {name: read_picture(name) for name in settings.start_pictures}
            self._stylizers = {key: Stylizer(style, settings, direction=direction, starts=starts)}
        made = self._stylizers[key].directed(settings, direction)
        if found is not None:
            made.use_network(found)
        return made

    def _once(self, key: Hashable, make: Callable[..., Any], *asked: Any, **known: Any) -> Any:
        """What ``make`` gives, kept for the next time; what was not asked for the longest goes."""
        found = self._kept.pop(key) if key in self._kept else make(*asked, **known)
        self._kept[key] = found
        while len(self._kept) > KEPT or (len(self._kept) > 1 and sum(map(_bytes, self._kept.values())) > KEPT_BYTES):
            del self._kept[next(iter(self._kept))]
        return found


def _bytes(value: Any) -> int:
    """Of the pixels in a tensor, a frame or a mask."""
    if isinstance(value, torch.Tensor):
        return value.nbytes
    return sum(part.nbytes for part in getattr(value, "__dict__", {}).values() if isinstance(part, torch.Tensor))
