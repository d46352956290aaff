"""What a style network is trained against: the objective at one octave, the style at another, and its colours."""

from collections import deque
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from videostyle.losses.content import ContentTarget
from videostyle.losses.objective import Objective
from videostyle.stylise.start_images import fit_style
from videostyle.stylise.stylizer import Stylizer

# The optimiser's content weight times this, by steps: a network smears what it sees once, the optimiser sees it often.
# The last weight comes late, since from the beginning it leaves too little style.
CONTENT, CONTENT_STEPS = (8.0, 20.0), (250, 625)
STATISTIC = "gram"  # what a training is tuned for, whatever pictures are optimised by
COARSE = 2  # the style is asked for at 1/COARSE of the size too: large forms, which the network's view is too small for
# Weight of the colours' squared Wasserstein distance, for colours in [0, 1], in units of the first loss.
COLOURS = 10.0
COLOUR_CELLS = 2, 8  # pixels a side of the means whose colours are compared: strokes, and areas
DIRECTIONS, MOST_COLOURS = 16, 2048
# Pictures that are compared with the painting together: one alone would need each of its colours, content or not.
TOGETHER = 9


class Critic:
    """The gradient of a painted picture's loss. ``size``: longer side of the pictures whose strokes are asked for."""

    def __init__(self, stylizer: Stylizer, size: int) -> None:
        self._extractor, self._device = stylizer.extractor, stylizer.machine.device
        self._weights = replace(stylizer.weights, statistic=STATISTIC)
        self._style_only = replace(self._weights, content=0.0, content_layers=())
        self._fine, self._coarse = (stylizer.style_target_at(size / scale) for scale in (1, COARSE))
        smallest = self._extractor.smallest_side
        images = [(fit_style(i.picture, size * i.scale, smallest).to(self._device), i.weight) for i in stylizer.style]
        self._colours = [[(_colours(picture, cell)[0], weight) for picture, weight in images] for cell in COLOUR_CELLS]
        self._earlier: list[deque[torch.Tensor]] = [deque(maxlen=TOGETHER - 1) for _ in COLOUR_CELLS]
        self.first_loss: float | None = None

    def __call__(self, frame: torch.Tensor, painted: torch.Tensor, steps: int) -> tuple[float, torch.Tensor]:
        """The objective of ``painted`` as a picture of ``frame``, (N, 3, S, S), over the first one, and the gradient
        of all that is asked for, in the same unit, as a sum over the pictures; after so many ``steps`` of training."""
        extractor, factor = self._extractor, float(np.interp(steps, CONTENT_STEPS, CONTENT))
        weights = replace(self._weights, content=factor * self._weights.content)
        content = ContentTarget(extractor, frame, weights.content_layers)
        losses, gradient = Objective(extractor, content, self._fine, weights).value_and_gradient(painted)
        mean = losses.without_priors.mean().item()
        if self.first_loss is None:
            self.first_loss = max(mean, torch.finfo(torch.float32).tiny)
        gradient = (gradient + self._of_coarse(painted)) / self.first_loss
        return mean / self.first_loss, gradient.add_(self._of_colours(painted), alpha=COLOURS)

    def _of_coarse(self, painted: torch.Tensor) -> torch.Tensor:
        """The gradient of the style loss at 1/COARSE of the size."""
        small = F.avg_pool2d(painted, COARSE).contiguous()
        objective = Objective(self._extractor, ContentTarget.of({}), self._coarse, self._style_only)
        _, gradient = objective.value_and_gradient(small)
        return F.interpolate(gradient, scale_factor=float(COARSE)) / COARSE**2

    @torch.enable_grad()
    def _of_colours(self, painted: torch.Tensor) -> torch.Tensor:
        """The gradient of the sliced Wasserstein distance (Rabin et al. 2011) of the colours to the style's, squared.

        Departures: of at most ``MOST_COLOURS`` places a picture, drawn anew each time; together with those of the
        pictures before.
        """
        x = painted.detach().requires_grad_()
        total = x.new_zeros(())
        for cell, styles, earlier in zip(COLOUR_CELLS, self._colours, self._earlier, strict=True):
            places = _colours(x, cell)
            at = torch.randperm(places.shape[1])[:MOST_COLOURS].to(x.device)
            ours = places[:, at].flatten(0, 1)
            found = torch.cat((ours, *earlier))
            directions = F.normalize(torch.randn(3, DIRECTIONS), dim=0).to(x.device)
            mine = (found @ directions).sort(0)[0]
            for theirs, weight in styles:
                drawn = theirs[torch.randint(len(theirs), (len(found),)).to(x.device)]
                change = (mine - (drawn @ directions).sort(0)[0]).square().mean()
                total = total + weight * len(found) / len(ours) * len(x) * change
            earlier.append(ours.detach())
        return torch.autograd.grad(total, x)[0]


def _colours(pictures: torch.Tensor, cell: int) -> torch.Tensor:
    """Means over cells of the pictures: (N, cells, 3)."""
    return F.avg_pool2d(pictures, cell).flatten(2).transpose(1, 2)
