"""Which frames of a shot show all of it: a mask of what no chosen frame has shown, carried along the flow.

A frame waits as the *candidate*: what it newly shows is not lost when it leaves the picture, so nothing is chosen
before it must be. A later frame takes its place where it shows more, or the same more clearly, and hides little of it;
the candidate is chosen once SHARE of a later picture is to be seen neither in it nor in a chosen frame.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import torch
import torch.nn.functional as F

from videostyle.frames import Frame, luma
from videostyle.temporal import box_filter
from videostyle.temporal.cuts import BLACK
from videostyle.temporal.flow import FlowEstimator, dis_flow
from videostyle.temporal.scales import NEAR_PX, NOISE
from videostyle.temporal.trust import with_photometric_confidence
from videostyle.temporal.warp import Warp

# Share of the picture that a frame must newly show to be worth choosing, and that may stay unseen at any time.
SHARE = 0.2
# What may be given up of a candidate for a better one, and by how much that one must be better.
SLACK = SHARE / 2
# A frame that follows a chosen one so soon must be all new; SHARE is enough after this time.
APART_SECONDS = 0.7
# Longer side, in pixels, of the copies that frames are compared in.
COMPARED_PX = 256
# Chosen frames of a shot in which things are looked for again.
REMEMBERED = 3
# Standard deviation of a picture, of [0, 1], below which its contrast is noise.
FLATTEST = 4 * NOISE


@dataclass(frozen=True)
class ChosenFrame:
    """A frame that is chosen, and the share of it, in [0, 1], that no frame of its shot chosen before shows.

    Black is left out of both.
    """

    frame: Frame
    newly_shown: float


def choose_frames(
    frames: Iterable[Frame], estimate: FlowEstimator = dis_flow, longest: int = COMPARED_PX
) -> Iterator[ChosenFrame]:
    """The chosen frames of every shot, in order; shots begin where a frame says ``cut``.

    All frames have one size. Two of them are held, with a few copies of ``longest`` pixels. A shot of black frames has
    none that is worth it; every other one has at least one.
    """
    shot: _Shot | None = None
    for frame in frames:
        copy = _copy(frame.pixels, longest)
        if shot is None or frame.cut:
            if shot is not None:
                yield from shot.end()
            shot = _Shot(frame, copy, estimate)
        else:
            yield from shot.next_frame(frame, copy)
    if shot is not None:
        yield from shot.end()


@dataclass
class _Candidate:
    """The frame that is chosen next, if none takes its place.

    Masks and maps (1, 1, h, w) in [0, 1]. ``copy``: (1, 3, h, w). ``shows``: what of it is newly shown, at its own
    pixels. At the present frame's: ``beyond``, what is unseen even with it; ``detail``, how clearly it shows things.
    ``gone``: share of the picture that it alone shows and that has left it since.
    """

    frame: Frame
    copy: torch.Tensor
    shows: torch.Tensor
    beyond: torch.Tensor
    detail: torch.Tensor
    newly_shown: float
    gone: float = 0.0

    @property
    def gain(self) -> float:
        return float(self.shows.mean())


class _Shot:
    """One shot, frame after frame. ``_unseen``: (1, 1, h, w) in [0, 1], what of this frame no chosen one shows."""

    def __init__(self, frame: Frame, copy: torch.Tensor, estimate: FlowEstimator) -> None:
        self._estimate, self._copy = estimate, copy
        self._unseen = torch.ones_like(copy[:, :1])
        self._chosen: deque[torch.Tensor] = deque(maxlen=REMEMBERED)
        self._given_up = 0.0
        self._last_seconds: Fraction | None = None
        self._candidate = self._as_candidate(frame)

    def next_frame(self, frame: Frame, copy: torch.Tensor) -> Iterator[ChosenFrame]:
        """Take the next frame; yields the candidate where it is chosen now."""
        self._follow(copy)
        wait = self._candidate
        shown = _shows_something(copy)
        if (wait.beyond * shown).mean() < SLACK and self._clearer() < SLACK:
            return
        self._look_again()
        beyond = float((wait.beyond * shown).mean())
        better = beyond - wait.gone + self._clearer()
        if better > SLACK and self._given_up + wait.gone < SLACK:
            self._given_up += wait.gone
            self._candidate = self._as_candidate(frame)
        elif beyond >= SHARE:
            if self._is_worth_it():
                yield self._choose()
                self._candidate = self._as_candidate(frame)
            elif (other := self._as_candidate(frame)).gain > wait.gain:
                self._candidate = other

    def end(self) -> Iterator[ChosenFrame]:
        """The candidate, if it is worth it or the shot has no other."""
        if self._is_worth_it() if self._chosen else self._candidate.gain > 0:
            yield self._choose()

    def _is_worth_it(self) -> bool:
        """Whether the candidate newly shows enough, so long after the last chosen frame."""
        if self._last_seconds is None:
            return self._candidate.gain >= SHARE
        seconds = float(self._candidate.frame.time_seconds - self._last_seconds)
        return self._candidate.gain >= max(SHARE, 1 - seconds / APART_SECONDS)

    def _choose(self) -> ChosenFrame:
        chosen = self._candidate
        self._unseen, self._given_up = chosen.beyond, 0.0
        self._chosen.append(chosen.copy)
        self._last_seconds = chosen.frame.time_seconds
        return ChosenFrame(chosen.frame, chosen.newly_shown)

    def _as_candidate(self, frame: Frame) -> _Candidate:
        shown = _shows_something(self._copy)
        shows = self._unseen * shown
        share = float(shows.sum() / shown.sum().clamp_min(1))
        return _Candidate(frame, self._copy, shows, self._unseen - shows, _detail(self._copy), share)

    def _follow(self, copy: torch.Tensor) -> None:
        """Carry the masks to the next frame, and count what has gone."""
        before, wait = self._copy, self._candidate
        onward, back = self._link(before, copy), self._link(copy, before)
        wait.gone += float(((self._unseen - wait.beyond) * (1 - onward.visible)).mean())
        masks = back(torch.cat((self._unseen, wait.beyond, wait.detail), 1)).clamp(0, 1)
        unseen, beyond, wait.detail = masks.split(1, 1)
        self._unseen = 1 - back.visible * (1 - unseen)
        wait.beyond = torch.minimum(1 - back.visible * (1 - beyond), self._unseen)
        self._copy = copy

    def _look_again(self) -> None:
        """Find what is in the chosen frames and in the candidate after all, by the flow straight to them."""
        wait = self._candidate
        for chosen in self._chosen:
            self._unseen = torch.minimum(self._unseen, 1 - self._link(self._copy, chosen).visible)
        there = self._link(self._copy, wait.copy).visible * (wait.shows.mean() > 0)
        wait.beyond = torch.minimum(torch.minimum(wait.beyond, 1 - there), self._unseen)
        hidden = wait.shows * (1 - self._link(wait.copy, self._copy).visible)
        wait.gone = min(wait.gone, float(hidden.mean()))

    def _clearer(self) -> float:
        """By what share of the picture the present frame is clearer than the candidate where both show the same."""
        both = self._unseen - self._candidate.beyond
        now, then = (((d + NOISE) * both).mean() for d in (_detail(self._copy), self._candidate.detail))
        return float(both.mean() * (now / then.clamp_min(1e-6) - 1).clamp_max(1))

    def _link(self, current: torch.Tensor, other: torch.Tensor) -> Warp:
        """The motion from one copy to another; ``visible`` is what of ``current`` is to be seen in ``other``."""
        other = _in_its_light(other, current)
        warp = with_photometric_confidence(self._estimate(current, other), current, other)
        return Warp(warp.flow, warp.comparable, warp.visible * _share_inside(warp.flow))


def _copy(pixels: torch.Tensor, longest: int) -> torch.Tensor:
    height, width = pixels.shape[2:]
    scale = min(1.0, longest / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return F.interpolate(pixels.cpu(), size, mode="area")


def _share_inside(flow: torch.Tensor) -> torch.Tensor:
    """The part of every pixel, (1, 1, h, w) in [0, 1], that lies inside the frame at x + flow(x).

    `flow.inside` forgives half a pixel, and a camera that turns slowly would never show anything new.
    """
    height, width = flow.shape[2:]
    x = torch.arange(width) + flow[:, :1]
    y = torch.arange(height).view(-1, 1) + flow[:, 1:]
    across, down = (torch.minimum(at + 1, size - at).clamp(0, 1) for at, size in ((x, width), (y, height)))
    return across * down


def _in_its_light(picture: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """``picture`` with the brightness and contrast of ``like``, where that explains most of their difference: a fade.

    Both (1, 3, h, w) in [0, 1].
    """
    deviation = picture.std()
    if deviation < FLATTEST:
        return picture
    matched = ((picture - picture.mean()) * (like.std() / deviation) + like.mean()).clamp(0, 1)
    left, whole = ((like - p).square().mean() for p in (matched, picture))
    return matched if left < whole / 2 else picture


def _detail(picture: torch.Tensor) -> torch.Tensor:
    """The deviation of brightness around every pixel, (1, 3, h, w) -> (1, 1, h, w) in [0, 0.5]."""
    bright = luma(picture)
    return (box_filter.mean(bright.square(), NEAR_PX) - box_filter.mean(bright, NEAR_PX).square()).clamp_min(0).sqrt()


def _shows_something(picture: torch.Tensor) -> torch.Tensor:
    """Mask (1, 1, h, w) of 0 and 1: 0 where there is plain black."""
    return ((luma(picture) > BLACK / 255) | (_detail(picture) > FLATTEST)).float()
