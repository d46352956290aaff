"""One frame after the other, by one of several networks, faded from one to the next."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from videostyle.stylise.network_painter import NetworkPainter
from videostyle.temporal.flow import FlowEstimator


class LivePainter:
    """Paints frames of any size. ``fade_seconds``: how long one network takes to give way to another."""

    def __init__(self, painters: Sequence[NetworkPainter], flow: FlowEstimator, fade_seconds: float = 1.0) -> None:
        self.painters = list(painters)
        self.current, self.leaving = 0, 0
        self._flow, self._fade_seconds = flow, fade_seconds
        self._since = -fade_seconds
        self._source: torch.Tensor | None = None
        self._pictures: dict[int, torch.Tensor] = {}

    def choose(self, index: int, now: float) -> None:
        """Fade to the network of that number from ``now`` on, in seconds; one that does not exist changes nothing."""
        if 0 <= index < len(self.painters) and index != self.current:
            self.leaving, self.current, self._since = self.current, index, now

    def paint(self, content: torch.Tensor, now: float) -> torch.Tensor:
        """The picture of ``content`` (1, 3, H, W) in [0, 1], at ``now``; frames follow one another."""
        share = 1.0 if self._fade_seconds <= 0 else min(1.0, max(0.0, (now - self._since) / self._fade_seconds))
        wanted = {self.current} if share >= 1 else {self.leaving, self.current}
        self._fit(content)
        warp = None if self._source is None else self._flow(content, self._source).to(content.device)
        made = {}
        for index in wanted:
            painter, last = self.painters[index], self._pictures.get(index)
            if last is None or warp is None:
                made[index] = painter.paint(content)
            else:
                made[index] = painter.paint_after(content, last, warp)
        self._source, self._pictures = content, made
        picture = made[self.current]
        return picture if share >= 1 else torch.lerp(made[self.leaving], picture, share)

    def _fit(self, content: torch.Tensor) -> None:
        """What is known of the last frame, at this one's size."""
        if self._source is not None and self._source.shape != content.shape:
            size = (content.shape[3], content.shape[2])
            self._source = resized(self._source, size)
            self._pictures = {index: resized(picture, size) for index, picture in self._pictures.items()}


def resized(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(N, C, H, W) to ``size``, (width, height); the picture itself where it has that size."""
    if picture.shape[3] == size[0] and picture.shape[2] == size[1]:
        return picture
    return F.interpolate(picture, (size[1], size[0]), mode="bilinear", antialias=True)
