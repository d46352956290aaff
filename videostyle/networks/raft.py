"""RAFT-small (Teed and Deng 2020), a network that estimates optical flow; the model is torchvision's."""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F

from videostyle.errors import MissingLibraryError, WeightsError
from videostyle.networks.download import DownloadProgress, fetch
from videostyle.networks.weights import KnownWeights, read_file

NAME = "raft_small"
RAFT_SMALL = KnownWeights(
    "raft_small_C_T_V2-01064c6d.pth", "rgb-minus-1-to-1", "torchvision, Raft_Small_Weights.C_T_V2"
)
# Its coarsest correlations take 128 pixels a side, its features an eighth of them.
SMALLEST_SIDE, MULTIPLE = 128, 8


class Raft:
    """The network on a device, and the ``sha256`` of the file that its weights are from."""

    def __init__(self, model: torch.nn.Module, sha256: str, device: torch.device) -> None:
        self._model, self.sha256, self.device = model.eval().requires_grad_(False).to(device), sha256, device

    @torch.no_grad()
    def __call__(self, current: torch.Tensor, previous: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Flow (1, 2, H, W) in pixels from ``current`` to ``previous``, and back; both (1, 3, H, W) in [0, 1]."""
        height, width = current.shape[2:]
        padding = (0, _missing(width), 0, _missing(height))
        a, b = (2 * F.pad(frame.to(self.device), padding, mode="replicate") - 1 for frame in (current, previous))
        both = self._model(torch.cat((a, b)), torch.cat((b, a)))[-1][..., :height, :width].contiguous()
        return both[:1], both[1:]


def _missing(side: int) -> int:
    return SMALLEST_SIDE - side if side < SMALLEST_SIDE else -side % MULTIPLE


def load_raft(
    device: torch.device,
    weights: str | Path | None = None,
    *,
    download: bool = False,
    on_progress: DownloadProgress | None = None,
) -> Raft:
    """RAFT-small with the weights of the file, or those in torch's hub cache.

    ``download``: fetch them if they are not there. Raises WeightsError for weights that are missing, damaged or of
    wrong shape, MissingLibraryError where torchvision does not have the model.
    """
    model = _model()
    path = RAFT_SMALL.path if weights is None else Path(weights)
    if weights is None and not path.is_file():
        if not download:
            raise WeightsError(
                "RAFT-small's weights (4 MB) are not here; add --download to fetch them, give a file with "
                "--flow-weights, or use --flow dis"
            )
        fetch(raft_url(), path, RAFT_SMALL.hash_prefix, on_progress, option="--flow-weights")
    file = read_file(path, option="--flow-weights")
    _check(path, file.tensors, model.state_dict())
    model.load_state_dict({name: file.tensors[name] for name in model.state_dict()})
    return Raft(model, file.sha256, device)


def raft_url() -> str:
    """Where torchvision publishes RAFT-small; imported here because it takes a second."""
    from torchvision.models.optical_flow import Raft_Small_Weights

    return str(Raft_Small_Weights.C_T_V2.url)


def _model() -> torch.nn.Module:
    try:
        from torchvision.models.optical_flow import raft_small
    except ImportError as e:
        raise MissingLibraryError(f"torchvision has no raft_small here ({e}); update it, or use --flow dis") from e
    model: torch.nn.Module = raft_small(weights=None, progress=False)
    return model


def _check(path: Path, found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in expected.items():
        if name not in found:
            raise WeightsError(f"{path.name} holds no {name}; expected RAFT-small under torchvision's names")
        if found[name].shape != tensor.shape:
            shapes = f"{tuple(found[name].shape)}, expected {tuple(tensor.shape)}"
            raise WeightsError(f"{path.name}: {name} is {shapes}; is it RAFT-small?")
        if not torch.isfinite(found[name]).all():
            raise WeightsError(f"{path.name}: {name} holds values that are not finite; fetch it again")
