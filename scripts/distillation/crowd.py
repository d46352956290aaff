"""L-BFGS for many pictures at once, each with a history of its own."""

import torch

from videostyle.optimise.lbfgs import FIRST_STEP, LONGEST_STEP, PAIR_ANGLE


class LBFGSCrowd:
    """As ``LBFGS`` of the package, row by row of a crowd; by the two-loop recursion (Nocedal and Wright, alg. 7.4).

    ``count`` rows of ``pixels`` values each, with ``size`` pairs. Nothing is read back to the host.
    """

    def __init__(self, count: int, size: int, pixels: int, device: torch.device) -> None:
        self.s, self.y = torch.zeros(2, count, size, pixels, device=device)  # oldest first
        self.x, self.g = torch.zeros(2, count, pixels, device=device)
        self.begun = torch.zeros(count, 1, device=device)

    def restart(self, rows: torch.Tensor) -> None:
        """Forget what is known of some rows."""
        for state in (self.s, self.y, self.begun):
            state[rows] = 0

    def step(self, rows: torch.Tensor, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """The pictures to try next, from the pictures ``x`` and their gradients ``g``, (n, 3, H, W) float32."""
        shape, x, g = x.shape, x.flatten(1), g.flatten(1)
        begun = self.begun[rows]  # a first step leaves a pair of zeros, which is never valid
        s = torch.cat((self.s[rows, 1:], ((x - self.x[rows]) * begun)[:, None]), 1)
        y = torch.cat((self.y[rows, 1:], ((g - self.g[rows]) * begun)[:, None]), 1)
        self.s[rows], self.y[rows], self.x[rows], self.g[rows], self.begun[rows] = s, y, x, g, 1.0
        return (x + _direction(s, y, g)).view(shape)


def _direction(s: torch.Tensor, y: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """-H g, at most LONGEST_STEP; FIRST_STEP along -g where there is no valid pair. s, y: (n, m, P), g: (n, P)."""
    sy, yy = _dot(s, y), _dot(y, y)
    valid = sy > PAIR_ANGLE * (_dot(s, s) * yy).sqrt()
    rho = torch.where(valid, 1 / sy.where(valid, 1), 0)
    left, q = [], g
    for i in reversed(range(s.shape[1])):
        left.append(rho[:, i] * _dot(s[:, i], q))
        q = torch.addcmul(q, left[-1][:, None], y[:, i], value=-1)
    newest = s.shape[1] - 1 - valid.flip(1).int().argmax(1, keepdim=True)
    known = valid.any(1, keepdim=True)
    q = q * torch.where(known, (sy / yy.clamp_min(1e-30)).gather(1, newest), 1.0)
    for i, a in enumerate(reversed(left)):
        q = torch.addcmul(q, (a - rho[:, i] * _dot(y[:, i], q))[:, None], s[:, i])
    mean = q.abs().mean(1, keepdim=True).clamp_min(1e-30)
    return -q * torch.where(known, (LONGEST_STEP / mean).clamp_max(1.0), FIRST_STEP / mean)


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Along the pixels."""
    return (a * b).sum(-1)
