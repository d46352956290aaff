"""A mask carried along a shot from the frame that it was painted on, in either direction of time.

Every frame is compared with two others. *The frame before*: a pixel near the mask's edge goes with the motion inside or
with that outside, whichever explains its colours; motion is continued from where the flow is sure, since DIS smears it
across edges. *The key frame*, on which the mask was painted: the displacement to it is followed, corrected where the
two pictures differ, and tells the outline and what the thing looks like. So errors do not add up, what was covered is
known again, and what has changed its looks is painted anew from the last frame (a new key).
"""

from dataclasses import dataclass, replace

import torch

from videostyle.temporal import box_filter
from videostyle.temporal.affine_field import Box, affine_field, continued, smooth
from videostyle.temporal.flow import FlowEstimator
from videostyle.temporal.scales import NEAR_PX, NOISE, PATCH_PX
from videostyle.temporal.warp import sample

# Of two pictures with noise: what the square of their difference, summed over the channels, is on average.
NOISE_ENERGY = 3 * 2 * NOISE**2
# The same for two different things: channels 0.08 apart.
UNLIKE_ENERGY = 3 * 0.08**2
# Beyond this median, a sixth of the way to another thing, the key frame no longer shows what the mask is on.
CHANGED_ENERGY = UNLIKE_ENERGY / 6
# What the key frame says counts so much of what the frame before says; both say -1 to 1. Less than 1: a clear motion
# overrules the painted outline.
KEY_WEIGHT = 0.6
# The same of what its colours say.
COLOUR_WEIGHT = 0.15
# Levels a channel of the table of colours.
LEVELS = 16
# Masked share of two patches' surroundings below which a part without likeness to the key frame is dropped.
CRUMB = 0.1
# What nothing speaks for or against stays as it is well inside the mask, and is outside elsewhere.
UNDECIDED = 0.05
# Weight of the last motion against the pixels of this frame: of a thing that is covered, it is all that is known.
INERTIA_PX = 20.0
# Around the mask, in pixels: how far things are seen to move between two frames, with the flow's smear.
MARGIN_PX = 48
# The displacement to the key frame is corrected by at most so much in a frame, in pixels: a linear model's reach.
CORRECTION_PX = 1.0


@dataclass(frozen=True)
class MaskState:
    """Where the mask has got to.

    ``mask``: (1, 1, H, W) in [0, 1]. ``frame``: (1, 3, H, W), the frame it is of. ``key`` (1, 4, H, W): the key frame
    and its mask, 0 to 1. ``to_key``: (1, 2, H, W) in pixels, from the pixels of what is masked to those of the key
    frame, continued to where it is covered. ``motion``: (3, 2), the affine motion of the last frame. ``peak``: the
    painted mask's greatest value, which the inside has everywhere. ``odds``: for every colour, how much more frequent
    it was inside than outside. ``light``: (1, 3, 1, 1), how much brighter than in the key frame it is now.
    ``painted_px``: pixels inside the mask that was painted.
    """

    mask: torch.Tensor
    frame: torch.Tensor
    key: torch.Tensor
    to_key: torch.Tensor
    motion: torch.Tensor
    peak: float
    odds: torch.Tensor
    light: torch.Tensor
    painted_px: float


def begin(frame: torch.Tensor, mask: torch.Tensor) -> MaskState:
    """The state at the key frame (1, 3, H, W), RGB in [0, 1]. ``mask``: (1, 1, H, W) in [0, 1], both float32.

    What is carried is an outline: inside is what has at least half of the mask's greatest value.
    """
    peak = float(mask.max())
    key = torch.cat((frame, mask / peak if peak else mask), 1)
    return MaskState(
        mask,
        frame,
        key,
        torch.zeros_like(frame[:, :2]),
        frame.new_zeros(3, 2),
        peak,
        _odds(frame, mask, peak),
        torch.ones(1, 3, 1, 1),
        float((key[:, 3:] > 0.5).sum()),
    )


def follow(state: MaskState, frame: torch.Tensor, estimate: FlowEstimator) -> MaskState:
    """The state at the next frame, or at the one before when the shot is run backwards.

    ``estimate`` is given the same part of both frames, around the mask. What has left the picture does not come back.
    """
    box = _box(state)
    if box is None:
        return replace(state, mask=torch.zeros_like(state.mask), frame=frame)
    step = _Step(state, frame, box, estimate)
    alpha, to_key, extension = step.result()
    mask = torch.zeros_like(state.mask)
    mask[..., *box] = alpha * state.peak
    everywhere = affine_field(extension, frame.shape[3], (slice(0, frame.shape[2]), slice(0, frame.shape[3])))
    everywhere[..., *box] = to_key
    if step.key_error > CHANGED_ENERGY:
        return replace(begin(frame, mask), motion=step.motion, peak=state.peak, painted_px=state.painted_px)
    return replace(state, mask=mask, frame=frame, to_key=everywhere, motion=step.motion, light=step.light)


class _Step:
    """One frame's work, on the part ``box`` of the picture; all that is called a mask here is (1, 1, h, w)."""

    def __init__(self, state: MaskState, frame: torch.Tensor, box: Box, estimate: FlowEstimator) -> None:
        self._state, self._box = state, box
        self._frame, self._before = frame[..., *box], state.frame[..., *box]
        mask = state.mask[..., *box] / (state.peak or 1)
        self._past = torch.cat((mask, state.to_key[..., *box]), 1)
        self._warp = estimate(self._frame, self._before)
        self._sort_pixels()
        self._find_motion()
        self._find_key()

    def result(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(mask, displacement to the key frame, coefficients of that displacement's affine extension)."""
        outline = self._outline
        evidence = self._motion_evidence() + KEY_WEIGHT * self._key_evidence()
        evidence = evidence + COLOUR_WEIGHT * self._colour_evidence() + UNDECIDED * (2 * self._inside - 1)
        open_ = 1 - (self._inside + self._outside) * self._warp.visible
        near = box_filter.maximum(torch.maximum(self._carried, (outline > 0.5).float()), PATCH_PX)
        evidence = torch.where(open_ * near > 0, evidence, 2 * self._carried - 1)
        decided = (box_filter.mean(evidence, 1) > 0).float()
        # The painted outline where the decision comes within a pixel of it, else the decision's own, antialiased
        apart = box_filter.mean((decided - (outline > 0.5).float()).abs(), NEAR_PX)
        own = (2 * smooth(decided, 1) - 0.5).clamp(0, 1)
        return torch.where(apart < 1.5 / (2 * NEAR_PX + 1), outline, own), self._to_key, self._extension

    @property
    def key_error(self) -> float:
        """Median energy of the difference to the key frame where the masked thing is seen.

        0 where half of it is covered, or less than a tenth of it is in the picture: that would make no key.
        """
        seen = (self._carried * self._warp.visible > 0) & (self._outline > 0.5)
        if float(seen.sum()) <= max(float((self._outline > 0.5).sum()) / 2, self._state.painted_px / 10):
            return 0.0
        return float(self._key_energy[seen].median())

    @property
    def light(self) -> torch.Tensor:
        """How much brighter than in the key frame each channel is, where the masked thing is seen, (1, 3, 1, 1)."""
        key = self._key_at(self._to_key)
        seen = self._sure * (self._outline > 0.5)
        shown, known = ((x * seen).sum((2, 3), keepdim=True) for x in (self._frame, key[:, :3]))
        return self._state.light * (shown + INERTIA_PX) / (known + INERTIA_PX)

    def _sort_pixels(self) -> None:
        """What follows from the flow alone: where the mask goes, and what is well inside and outside of it."""
        mask = self._past[:, :1]
        inner, outer = (1 - box_filter.maximum((m > 0.5).float(), PATCH_PX) for m in (1 - mask, mask))
        moved = sample(torch.cat((inner, outer, self._past), 1), self._warp.flow, mode="bilinear")
        self._inside, self._outside, self._carried = ((moved[:, i : i + 1] > 0.5).float() for i in range(3))
        self._to_key = moved[:, 3:] + self._warp.flow

    def _find_motion(self) -> None:
        """The motion inside and outside, each continued across the mask's edge."""
        flow, visible = self._warp.flow, self._warp.visible
        key = self._key_at(self._to_key)
        alike = torch.exp(-2 / UNLIKE_ENERGY * _energy(self._frame, key)) * self._carried * visible * (key[:, 3:] > 0.5)
        self._sure = torch.maximum(alike * (alike > 0.5), 0.2 * self._inside * visible)
        width = self._state.mask.shape[3]
        self._inner_flow, self.motion = continued(flow, self._sure, width, self._box, self._state.motion, INERTIA_PX)
        weight = self._outside * visible
        total = smooth(torch.cat((flow * weight, weight), 1), PATCH_PX)
        known = (weight == 0) & (total[:, 2:] > 1e-3)
        self._outer_flow = torch.where(known, total[:, :2] / total[:, 2:].clamp_min(1e-6), flow)

    def _find_key(self) -> None:
        """The displacement to the key frame, corrected where the two differ and continued over what is covered."""
        self._inner = sample(torch.cat((self._before, self._past), 1), self._inner_flow, mode="bilinear")
        to_key = self._inner[:, 4:] + self._inner_flow
        key = self._key_at(to_key)
        shift = _misfit(self._frame, key[:, :3], self._sure * key[:, 3:])
        to_key = sample(to_key, shift, mode="bilinear") + shift
        weight = self._sure + 1e-3 * (self._key_at(to_key)[:, 3:] > 0.5)
        width, no_motion = self._state.mask.shape[3], torch.zeros_like(self.motion)
        self._to_key, self._extension = continued(to_key, weight, width, self._box, no_motion, 1e-4)
        key = self._key_at(self._to_key)
        self._outline, self._key_energy = key[:, 3:], _energy(self._frame, key)

    def _key_at(self, to_key: torch.Tensor) -> torch.Tensor:
        corner = self._box[1].start, self._box[0].start
        key = sample(self._state.key, to_key, mode="bilinear", corner=corner)
        return torch.cat((key[:, :3] * self._state.light, key[:, 3:]), 1)

    def _motion_evidence(self) -> torch.Tensor:
        """From -1, goes with what is outside, to 1, goes with what is inside."""
        source = torch.cat((self._before, 1 - self._past[:, :1]), 1)
        outer = sample(source, self._outer_flow, mode="bilinear")
        inside, outside = (_cost(self._frame, moved[:, :4]) for moved in (self._inner, outer))
        return (outside - inside) / (outside + inside + NOISE_ENERGY)

    def _key_evidence(self) -> torch.Tensor:
        """1 inside the key frame's outline and alike, -1 outside it or unlike, 0 there where all around has changed."""
        alike = 2 * torch.exp(-2 / UNLIKE_ENERGY * self._key_energy) - 1
        says = self._outline * alike - (1 - self._outline)
        known, there = smooth(torch.cat((self._sure, self._carried), 1), PATCH_PX).split(1, 1)
        crumb = (there < CRUMB) & (known < 1e-3)
        trusted = (2 * known / (there + 1e-3)).clamp_max(1)
        return torch.where(says > 0, says, torch.where(crumb, -2, says * trusted))

    def _colour_evidence(self) -> torch.Tensor:
        """1 for colours that only the inside had in the key frame, -1 for those of the outside alone."""
        odds = self._state.odds[_bins(self._frame / self._state.light)][None, None]
        return box_filter.mean(odds, NEAR_PX)


def _box(state: MaskState) -> Box | None:
    """The part of the picture with the mask, seen or covered, and MARGIN_PX around it.

    None where less than one of the flow's patches and a tenth of the painted mask is left.
    """
    height, width = state.mask.shape[2:]
    there = torch.maximum(state.mask, sample(state.key[:, 3:], state.to_key, mode="bilinear") * state.peak)[0, 0]
    there = there > state.peak / 2
    if float(there.sum()) < min(PATCH_PX**2, state.painted_px / 10):
        return None
    sides = []
    for dim, size in ((1, height), (0, width)):
        at = there.any(dim).nonzero().flatten()
        if not len(at):
            return None
        sides.append(slice(max(0, int(at[0]) - MARGIN_PX), min(size, int(at[-1]) + 1 + MARGIN_PX)))
    return sides[0], sides[1]


def _bins(frame: torch.Tensor) -> torch.Tensor:
    """The colour's place in the table, int64 (h, w)."""
    red, green, blue = (frame[0] * LEVELS).long().clamp_(0, LEVELS - 1)
    return (red * LEVELS + green) * LEVELS + blue


def _odds(frame: torch.Tensor, mask: torch.Tensor, peak: float) -> torch.Tensor:
    """-1 to 1 for every colour (LEVELS^3,): how much more frequent it is inside than outside."""
    inside = mask[0, 0] > peak / 2
    shares = []
    for part in (inside, ~inside):
        counts = torch.bincount(_bins(frame)[part], minlength=LEVELS**3).float().view(1, 1, LEVELS, LEVELS, LEVELS)
        counts = torch.nn.functional.avg_pool3d(counts, 3, 1, 1)
        shares.append((counts / counts.sum().clamp_min(1)).flatten())
    rare = 1 / LEVELS**3
    return (shares[0] - shares[1]) / (shares[0] + shares[1] + rare)


def _energy(frame: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
    """Mean square of the difference, over the pixels near by that belong to it: ``moved``'s fourth channel."""
    weight = moved[:, 3:4]
    square = (frame - moved[:, :3]).square().sum(1, keepdim=True)
    total = box_filter.mean(torch.cat((square * weight, weight), 1), NEAR_PX)
    return total[:, :1] / (total[:, 1:] + 1e-3)


def _cost(frame: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
    """What it takes to explain a pixel by one of the frame before, or as one that was not there."""
    belongs = moved[:, 3:4]
    return torch.lerp(torch.full_like(belongs, UNLIKE_ENERGY), _energy(frame, moved).clamp_max(UNLIKE_ENERGY), belongs)


def _misfit(frame: torch.Tensor, key: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The shift (1, 2, h, w) in pixels that makes ``key`` at x + shift(x) like ``frame``: one step of Lucas and Kanade
    (1981) with windows of the flow's patches, damped where there is no texture."""
    down, across = torch.gradient(key, dim=(2, 3))
    difference = frame - key
    pairs = (across, across), (across, down), (down, down), (across, difference), (down, difference)
    moments = torch.cat([(a * b).sum(1, keepdim=True) * weight for a, b in pairs], 1)
    xx, xy, yy, xd, yd = smooth(moments, PATCH_PX).split(1, 1)
    damping = 0.02 * (xx + yy) + NOISE**2
    xx, yy = xx + damping, yy + damping
    shift = torch.cat((yy * xd - xy * yd, xx * yd - xy * xd), 1) / (xx * yy - xy * xy)
    return shift.clamp(-CORRECTION_PX, CORRECTION_PX)
