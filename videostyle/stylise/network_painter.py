"""A style network at work: on a machine, and told what is known of the last picture."""

import torch

from videostyle.device import Machine
from videostyle.networks.style_network import with_fine_channels
from videostyle.networks.style_network_file import TrainedNetwork
from videostyle.temporal.warp import Warp, sample

# Trust in a pixel that moved: it was resampled, so its paint must be renewed. Training takes the same.
MOVED_TRUST = 0.65
FAST_CHANNELS = 32  # whose multiples PyTorch is fast with


class NetworkPainter:
    """A trained network on a machine, in the machine's precision."""

    def __init__(self, trained: TrainedNetwork, machine: Machine) -> None:
        self.trained, self.machine = trained, machine
        fine = -(-trained.network.shape.fine // FAST_CHANNELS) * FAST_CHANNELS
        self._network = with_fine_channels(trained.network, fine).to(machine.device, machine.dtype).eval()

    @torch.no_grad()
    def paint(
        self, content: torch.Tensor, previous: torch.Tensor | None = None, trust: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The picture of ``content`` (1, 3, H, W), see `StyleNetwork.forward`."""
        return self._network(content, previous, trust)

    def paint_after(self, content: torch.Tensor, last: torch.Tensor, warp: Warp) -> torch.Tensor:
        """The picture of the frame after the one whose picture is ``last``."""
        return self.paint(content, sample(last, warp.flow, "bicubic").clamp_(0, 1), network_trust(warp))


def network_trust(warp: Warp) -> torch.Tensor:
    """What a network is told of the last picture, (1, 1, H, W) in [0, 1]: where it was seen, less where it moved."""
    return warp.visible * torch.where(warp.static > 0, 1.0, MOVED_TRUST)
