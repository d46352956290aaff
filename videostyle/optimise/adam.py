"""Adam behind the interface of `LBFGS`."""

import torch

BETAS = (0.9, 0.99)


class Adam:
    """torch's Adam on a picture in [0, 1], made anew for each frame. ``learning_rate``: in pixel values."""

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self._parameter: torch.nn.Parameter | None = None
        self._adam: torch.optim.Adam | None = None

    def step(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        """The picture to try next, from the picture ``x`` and its gradient ``g``, both (1, 3, H, W) float32."""
        if self._parameter is None or self._adam is None:
            self._parameter = torch.nn.Parameter(x.clone())
            self._adam = torch.optim.Adam([self._parameter], lr=self.learning_rate, betas=BETAS)
        self._parameter.data.copy_(x)  # the caller may have projected the picture
        self._parameter.grad = g
        self._adam.step()
        return self._parameter.detach().clone()
