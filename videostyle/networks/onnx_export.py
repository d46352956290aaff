"""A style network for other programs: an ONNX file for pictures of any size, checked by running it."""

import contextlib
import io
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from videostyle.errors import UsageError, WeightsError
from videostyle.files import replacing
from videostyle.networks.style_network import StyleNetwork

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
SMALLEST = 8  # pixels a side
EXAMPLE = (97, 131)  # height and width that are no multiple of anything, so that nothing is taken for a constant
CHECKED = ((97, 131), (64, 96), (33, 202))
LARGEST_ERROR = 0.5 / 255


def check_packages() -> None:
    """Raises UsageError where a package that is needed is missing."""
    for name in PACKAGES:
        try:
            import_module(name)
        except ImportError:
            raise UsageError(f"an ONNX file needs {name}; pip install videostyle[onnx]") from None


def export_onnx(network: StyleNetwork, path: str | Path) -> None:
    """Write the network with inputs frame, previous (N, 3, H, W), trust (N, 1, H, W) and the output picture, all
    float32 in [0, 1], any N, H and W from ``SMALLEST``; see `StyleNetwork.forward`.

    Raises UsageError, WeightsError for a file that does not paint as the network does, OSError.
    """
    check_packages()
    with replacing(Path(path)) as temporary:
        _export(network, temporary)
        _check(network, temporary)


@torch.no_grad()
def _export(network: StyleNetwork, path: Path) -> None:
    sides = {2: torch.export.Dim("height", min=SMALLEST), 3: torch.export.Dim("width", min=SMALLEST)}
    sides |= {0: torch.export.Dim("batch")}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # the exporter tells of its steps
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            _inputs(2, *EXAMPLE),
            str(path),
            dynamo=True,
            external_data=False,
            input_names=["frame", "previous", "trust"],
            output_names=["picture"],
            dynamic_shapes={name: sides for name in ("frame", "previous", "trust")},
        )


@torch.no_grad()
def _check(network: StyleNetwork, path: Path) -> None:
    runtime: Any = import_module("onnxruntime")
    session = runtime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    for height, width in CHECKED:
        given = _inputs(1, height, width)
        (picture,) = session.run(None, dict(zip(names, (t.numpy() for t in given), strict=True)))
        error = float(np.abs(picture - network(*given).numpy()).max())
        if not error <= LARGEST_ERROR:
            raise WeightsError(f"the ONNX file paints {width}x{height} otherwise than the network: off by {error:.2g}")


def _inputs(count: int, height: int, width: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    channels = (3, 3, 1)
    return tuple(torch.rand(count, c, height, width, generator=generator) for c in channels)
