"""Moving a picture along the optical flow.

The flow convention, stated here once: shape (N, 2, H, W), channels (dx, dy), in pixels at its own resolution, from
the *current* frame to the *previous* one: the current pixel (x, y) was at (x + dx, y + dy) before. Masks have shape
(N, 1, H, W) and are 1 where the warp is to be trusted, 0 where it is not.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Warp:
    """Flow (1, 2, H, W) from the current frame to the previous one, with two masks (1, 1, H, W) in [0, 1].

    ``comparable``: 1 where the two frames can be compared along the flow; 0 at the edges of moving things, where the
    flow is smeared. ``visible``: 1 where what is visible now was visible before, edges included.
    """

    flow: torch.Tensor
    comparable: torch.Tensor
    visible: torch.Tensor

    def __call__(self, previous: torch.Tensor) -> torch.Tensor:
        """The previous frame's values (N, C, H, W) at the current frame's pixels."""
        return warp(previous, self.flow)

    def to(self, device: torch.device | str) -> "Warp":
        return Warp(self.flow.to(device), self.comparable.to(device), self.visible.to(device))

    def resized(self, height: int, width: int) -> "Warp":
        """The same motion of pictures of another size."""
        if self.flow.shape[2:] == (height, width):
            return self
        scale = self.flow.new_tensor([width / self.flow.shape[3], height / self.flow.shape[2]]).view(1, 2, 1, 1)
        parts = self.flow, self.comparable, self.visible
        flow, comparable, visible = (F.interpolate(part, (height, width), mode="bilinear") for part in parts)
        return Warp(flow * scale, comparable, visible)

    def after(self, nearer: "Warp") -> "Warp":
        """The motion over two steps: ``nearer`` leads from a frame to the one that this leads on from.

        Displacements are added, so that a picture is resampled once, however many steps it is moved over.
        """
        parts = torch.cat((self.flow, self.comparable, self.visible), 1)
        still = _static(nearer.flow)
        there = torch.where(still, parts, sample(parts, nearer.flow, mode="bilinear"))
        flow, comparable, visible = there.split((2, 1, 1), 1)
        return Warp(nearer.flow + flow, nearer.comparable * comparable, nearer.visible * visible)

    @property
    def static(self) -> torch.Tensor:
        """1 where a pixel does not move and is copied, (1, 1, H, W)."""
        return _static(self.flow).to(self.flow.dtype)


def shorter(flow: torch.Tensor, pixels: float) -> torch.Tensor:
    """bool (1, 1, H, W): displacements of less than so many pixels. ``norm`` takes thirty times as long on a CPU."""
    return flow.square().sum(1, keepdim=True) < pixels**2


def warp(previous: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """``cubic``, except that pixels that do not move are copied: resampling them blurs a little every time."""
    return torch.where(_static(flow), previous, cubic(previous, flow))


def _static(flow: torch.Tensor) -> torch.Tensor:
    """bool (1, 1, H, W): no displacement at all, which is what `static.static_mask` leaves where nothing moves."""
    return (flow == 0).all(1, keepdim=True)


def cubic(previous: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """``previous`` (N, C, H, W) at x + flow(x) by cubic convolution with a = -0.5 (Keys 1981, Catmull and Rom 1974).

    Cubic because a bilinear chain of warps blurs visibly within seconds. ``grid_sample`` has a = -0.75, which moves a
    ramp by 0.297 pixels where 0.25 are meant, so that a picture slips off a slow camera, and strengthens waves of 4 to
    9 pixels by up to 3 % at every warp. Keys' kernels are linear in a, and a = 0 is the bilinear one at the fraction
    3 t^2 - 2 t^3: along an axis this is exact, across both it leaves out a product of two differences.
    """
    fraction = (flow - flow.floor()).square() * (3 - 2 * (flow - flow.floor()))
    smooth = sample(previous, flow.floor() + fraction, mode="bilinear")
    return smooth.lerp_(sample(previous, flow, mode="bicubic"), 2 / 3)


def sample(previous: torch.Tensor, flow: torch.Tensor, mode: str, corner: tuple[int, int] = (0, 0)) -> torch.Tensor:
    """``previous`` (N, C, H, W) at x + flow(x), flow (1, 2, h, w); outside the picture the border repeats.

    ``corner``: (left, top) in ``previous`` of the part of the picture that the flow is of. In float: nothing is rounded
    to 1/32 pixel as OpenCV 4's ``remap`` does.
    """
    height, width = previous.shape[2:]
    columns, rows = (torch.arange(n, device=flow.device, dtype=flow.dtype) for n in flow.shape[:1:-1])
    x = columns + corner[0] + flow[:, 0]
    y = (rows + corner[1]).view(-1, 1) + flow[:, 1]
    # align_corners=False: the centre of pixel i lies at (2 i + 1) / size - 1
    grid = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), dim=-1)
    grid = grid.expand(previous.shape[0], -1, -1, -1)
    return F.grid_sample(previous, grid, mode=mode, padding_mode="border", align_corners=False)
