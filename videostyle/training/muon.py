"""Muon: momentum whose update of a weight matrix is made orthogonal (Jordan et al. 2024)."""

from collections.abc import Callable, Iterable
from typing import Any

import torch

MOMENTUM = 0.9
# Coefficients of Jordan et al.'s Newton-Schulz iteration: singular values end between 0.7 and 1.2.
NEWTON_SCHULZ, ITERATIONS = (3.4445, -4.7750, 2.0315), 5


class Muon(torch.optim.Optimizer):
    """For the weights of convolutions, (out, in, k, k), each seen as a matrix (out, in k k).

    PyTorch's own takes matrices only. Departure: the rate is not scaled by a matrix's shape beyond sqrt(out / in k k).
    """

    def __init__(self, parameters: Iterable[torch.Tensor], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step along the orthogonal update; ``closure`` is not used."""
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"].mul_(MOMENTUM).add_(weight.grad)
                matrix = weight.grad.add(momentum, alpha=MOMENTUM).flatten(1)
                scale = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
                weight.sub_(orthogonal(matrix).view_as(weight), alpha=group["lr"] * scale)


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """The matrix with singular values near 1, same singular vectors; zero stays zero."""
    a, b, c = NEWTON_SCHULZ
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / (wide.norm() + torch.finfo(wide.dtype).eps)
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x if matrix.shape[0] <= matrix.shape[1] else x.T
