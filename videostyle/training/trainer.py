"""Training a style network: the product's own objective as its critic, one step after the other.

The content is what the critic keeps of a frame in the painting's colours: asked for both palettes, a network finds a
mixture that is neither, and puts colours where the content says nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from videostyle.networks.style_network import StyleNetwork
from videostyle.stylise.palette import Moments, colour_map
from videostyle.stylise.stylizer import Stylizer
from videostyle.training.critic import Critic
from videostyle.training.muon import Muon
from videostyle.training.sequences import FIRST_SHARE, Batch, Sequences
from videostyle.training.views import LEVELS, Picture

SIDE, BATCH = 272, 1  # pixels a side and number of the frames of a step
RATE = 0.2  # of Muon, for the convolutions but the last
ADAM_RATE, BETAS = 6e-3, (0.9, 0.99)  # of Adam, for all other weights
WARM_UP, LEAST_RATE = 10, 0.02  # steps in which the rates grow, and what they fall to, linearly, of their values
LARGEST_GRADIENT = 1.0  # norm over all weights
# Share of the training before which every frame is a first one: a network that cannot paint yet would only copy.
MEMORY_FROM = 0.8
# Weight of the mean squared change along the motion, in units of the first loss, for pixels in [0, 1].
TEMPORAL = 100.0


@dataclass(frozen=True)
class StepLosses:
    """Of one step: the objective over its first value, and the mean squared change along the motion."""

    objective: float
    temporal: float


class Trainer:
    """Trains ``network`` to paint ``pictures`` in the stylizer's style. ``size``: longer side of the pictures whose
    strokes it learns, in pixels."""

    def __init__(
        self, stylizer: Stylizer, network: StyleNetwork, pictures: Sequence[Picture], size: int, seed: int = 0
    ) -> None:
        self.stylizer, self.network, self.size = stylizer, network, size
        self.steps, self.memory_from = 0, MEMORY_FROM
        self._device = stylizer.machine.device
        self._critic = Critic(stylizer, size)
        seen = Moments.of([picture.level(2.0 ** (LEVELS - 1)) for picture in pictures], [1.0] * len(pictures))
        self._palette = colour_map(seen, stylizer.colours)  # of all pictures together
        network.to(self._device).train()
        convolutions, others = _split(network)
        self._optimisers = {
            "muon": (Muon(convolutions, RATE), RATE),
            "adam": (torch.optim.Adam(others, ADAM_RATE, BETAS), ADAM_RATE),
        }
        self._rng = np.random.default_rng(seed)
        self._sequences = Sequences(pictures, BATCH, SIDE, self._rng)

    def step(self, share: float) -> StepLosses:
        """One step; ``share`` of the training, in [0, 1], is done."""
        self._set_rate(share)
        self._sequences.first_share = 1.0 if share < self.memory_from else FIRST_SHARE
        batch = self._sequences.next()
        batch = Batch(*(t.to(self._device) for t in (batch.frame, batch.previous, batch.trust)))
        machine = self.stylizer.machine
        with torch.autocast(machine.device.type, torch.bfloat16, enabled=machine.dtype == torch.bfloat16):
            painted = self.network(batch.frame, batch.previous, batch.trust)
        losses, gradient = self.gradient(batch, painted.detach())
        self.network.zero_grad()
        painted.backward(gradient)
        nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        for optimiser, _ in self._optimisers.values():
            optimiser.step()
        self._sequences.painted(painted)
        self.steps += 1
        return losses

    def gradient(self, batch: Batch, painted: torch.Tensor) -> tuple[StepLosses, torch.Tensor]:
        """The losses of the pictures (N, 3, S, S) and their gradient, as a mean over the batch."""
        objective, gradient = self._critic(self._palette(batch.frame), painted.contiguous(), self.steps)
        change = (painted - batch.previous) * batch.trust
        slope = gradient + 2 * TEMPORAL / change[0].numel() * change * batch.trust
        return StepLosses(objective, change.square().mean().item()), slope / len(painted)

    def _set_rate(self, share: float) -> None:
        factor = min(1.0, (self.steps + 1) / WARM_UP) * max(LEAST_RATE, 1 - share)
        for optimiser, rate in self._optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = factor * rate

    def state(self) -> dict[str, Any]:
        """What another trainer of the same kind goes on from; sequences begin anew."""
        return {
            "network": self.network.state_dict(),
            "optimisers": {name: optimiser.state_dict() for name, (optimiser, _) in self._optimisers.items()},
            "steps": self.steps,
            "first_loss": self._critic.first_loss,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from the `state` of another."""
        self.network.load_state_dict(state["network"])
        for name, (optimiser, _) in self._optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        self.steps, self._critic.first_loss = state["steps"], state["first_loss"]


def _split(network: StyleNetwork) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(weights of convolutions but the last, all others)."""
    last = network.last.weight
    convolutions = [p for p in network.parameters() if p.ndim == 4 and p is not last]
    return convolutions, [p for p in network.parameters() if p.ndim != 4 or p is last]


def trained_network(network: StyleNetwork) -> StyleNetwork:
    """A copy for painting, its weights rounded as a file keeps them."""
    made = StyleNetwork(network.shape)
    made.load_state_dict({name: tensor.half().float().cpu() for name, tensor in network.state_dict().items()})
    return made.eval()
