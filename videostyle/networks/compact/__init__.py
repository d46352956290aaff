"""The embedded network, distilled from VGG-19 (see MODEL_CARD.md).

The safetensors file beside this module holds the convolutions (``conv1_1.weight``, float16, and ``.bias``, float32)
and, for each layer in ``LAYERS``, an upper triangular ``conv1_1.adapter`` R (c, c), float32: distances and Gram
matrices of R F stand for those of the original VGG-19's features, under max pooling.
"""

import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from videostyle.errors import WeightsError
from videostyle.networks.backbone import VGG19_LAYERS, Backbone, Conv, LayerReference

NAME = "compact"
FILE_NAME = "compact.safetensors"
# Evaluations from the content; 15 more would lower VGG-19's loss by 4 % only.
TARGET_EVALUATIONS = 45
# The layers of the default settings, and those of the presentation's figures.
LAYERS = ("conv1_1", "conv2_1", "conv2_2", "conv3_1", "conv4_1", "conv4_2", "conv5_1")


def is_here() -> bool:
    """Whether the embedded network's file is in the package."""
    return resources.files(__name__).joinpath(FILE_NAME).is_file()


def load(path: Path | None = None) -> Backbone:
    """The embedded network, or one of the same format from ``path`` (as ``scripts/train_compact.py`` writes them)."""
    try:
        data = path.read_bytes() if path else resources.files(__name__).joinpath(FILE_NAME).read_bytes()
    except FileNotFoundError as e:
        raise WeightsError(f"{path or FILE_NAME} is missing; install videostyle again or use --backbone vgg19") from e
    return from_tensors(load_tensors(data), sha256=hashlib.sha256(data).hexdigest())


def from_tensors(tensors: Mapping[str, torch.Tensor], sha256: str = "") -> Backbone:
    """A backbone from its tensors, convolutions in the order of their names; a pooling comes before each new block."""
    names = sorted(key.removesuffix(".weight") for key in tensors if key.endswith(".weight"))
    convs = tuple(
        Conv(name, tensors[f"{name}.weight"].float(), tensors[f"{name}.bias"].float(), pool=before[4] != name[4])
        for before, name in zip([names[0], *names], names, strict=False)
    )
    references = {
        name: LayerReference(
            channels=VGG19_LAYERS[name][2],
            adapter=tensors[f"{name}.adapter"].float(),
        )
        for name in names
        if f"{name}.adapter" in tensors
    }
    return Backbone(
        name=NAME,
        convs=convs,
        references=references,
        sha256=sha256,
        poolings=("max",),
        target_evaluations=TARGET_EVALUATIONS,
        bytes_per_pixel={"fp32": 2400, "bf16": 2100},  # with 17 % to spare
        embedded=True,
    )


def to_bytes(backbone: Backbone) -> bytes:
    """The file's content for a compact backbone: convolutions in float16, biases and adapters in float32."""
    tensors = {f"{conv.name}.weight": conv.weight.half().contiguous() for conv in backbone.convs}
    tensors |= {f"{conv.name}.bias": conv.bias.float().contiguous() for conv in backbone.convs}
    for name, reference in backbone.references.items():
        assert reference.adapter is not None
        tensors[f"{name}.adapter"] = (reference.scale * reference.adapter).float().contiguous()
    return save_tensors(tensors)
