"""Network weights from files: found and checked; nothing in a file is executed.

A file is identified by its sha256, its metadata, or the gain of its first convolution.
"""

import contextlib
import hashlib
import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import safetensors
import torch

from videostyle.errors import UsageError, WeightsError
from videostyle.files import replacing, sha256_of
from videostyle.networks import calibration, compact
from videostyle.networks.backbone import PREPROCESSING, VGG19_LAYERS, Backbone, vgg19
from videostyle.networks.download import DownloadProgress, fetch, torchvision_url


@dataclass(frozen=True)
class KnownWeights:
    """A published weights file. ``hash_prefix``: first digits of its sha256, which torch.hub puts in the name."""

    file_name: str
    preprocessing: str
    origin: str

    @property
    def hash_prefix(self) -> str:
        return self.file_name.rsplit("-", 1)[1].split(".")[0]

    @property
    def path(self) -> Path:
        """Where torch.hub keeps it."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.file_name


KNOWN = {
    "vgg19": KnownWeights(
        "vgg19-dcbb9e9d.pth", "rgb-0-1-imagenet-mean-std", "torchvision, VGG19_Weights.IMAGENET1K_V1"
    ),
    "vgg19-caffe": KnownWeights("vgg19-d01eb7cb.pth", "bgr-0-255-caffe-mean", "Simonyan and Zisserman, from Caffe"),
}
# The first weights of torchvision's VGG-19, which identify a copy in another format.
TORCHVISION_FIRST_WEIGHTS = (-5.3474e-02, -4.9257e-02, -6.7942e-02)
GAIN_TOLERANCE = 0.03


@dataclass(frozen=True)
class WeightsFile:
    """Tensors of a file in torchvision's numbering, with the file's metadata."""

    path: Path
    tensors: Mapping[str, torch.Tensor]
    metadata: Mapping[str, str]
    sha256: str


def load_backbone(
    name: str, weights: str | Path | None = None, *, download: bool = False, on_progress: DownloadProgress | None = None
) -> Backbone:
    """The network called ``name`` (vgg19, vgg19-caffe or compact), or that of the file ``weights``.

    ``download``: fetch VGG-19's weights if they are not in torch's hub cache. Raises UsageError for an unknown name and
    WeightsError for weights that are missing, damaged, of wrong shape or of unknown preprocessing.
    """
    if weights is not None:
        return from_file(Path(weights), name)
    if name == compact.NAME:
        return compact.load()
    if name not in KNOWN:
        raise UsageError(f"no backbone is called {name!r}; there are {', '.join((*KNOWN, 'compact'))}")
    known = KNOWN[name]
    if not known.path.is_file():
        if name != "vgg19":
            raise WeightsError(f"the weights of {name} are not here; give their file with --weights {known.file_name}")
        if not download:
            raise WeightsError(
                "VGG-19's weights (574 MB) are not here; add --download to fetch them, give a file with --weights, "
                "or use --backbone compact"
            )
        fetch(torchvision_url(), known.path, known.hash_prefix, on_progress)
    return from_file(known.path, name)


def weights_are_here(name: str) -> bool:
    """Whether a backbone can be loaded without a download."""
    return name == compact.NAME or KNOWN[name].path.is_file()


def from_file(path: Path, name: str = "auto") -> Backbone:
    """The backbone that a .pth, .safetensors or .npz file holds, calibrated to the original's activation scale."""
    file = read_file(path)
    if name == compact.NAME:
        raise UsageError(f"--weights {path.name} was given with --backbone compact, which has its own; leave one out")
    _check_shapes(file)
    preprocessing = identify(file)
    original = preprocessing == KNOWN["vgg19-caffe"].preprocessing or _has_original_gain(file, preprocessing)
    found = "vgg19-caffe" if original else "vgg19"
    if name in KNOWN and name != found:
        raise WeightsError(f"{path.name} holds {found}, not {name}; use --backbone {found} or auto")
    backbone = vgg19(file.tensors, name=found, preprocessing=preprocessing, sha256=file.sha256)
    return backbone if original else _calibrated(backbone)


def read_file(path: Path, option: str = "--weights") -> WeightsFile:
    """Read a weights file, which was given with ``option``, without executing anything in it."""
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors, ".pth": _read_pth, ".pt": _read_pth}
    if path.suffix.lower() not in readers:
        raise WeightsError(f"{path.name} is not a weights file: expected .pth, .safetensors or .npz")
    if not path.is_file():
        raise WeightsError(f"no weights file {path}: check the path given with {option}")
    try:
        tensors, metadata = readers[path.suffix.lower()](path)
        return WeightsFile(path, tensors, metadata, sha256_of(path))
    except MemoryError:
        raise
    except Exception as e:  # four libraries, each with exceptions of its own for a damaged file
        words = (str(e).strip() or type(e).__name__).splitlines()[0][:200]
        raise WeightsError(f"{path.name} cannot be read as weights: {words}; fetch it again") from e


def _read_npz(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    if not zipfile.is_zipfile(path):
        raise ValueError("not a NumPy .npz archive")
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    tensors = {key: torch.from_numpy(a) for key, a in arrays.items() if a.dtype.kind == "f"}
    return tensors, {key: str(a) for key, a in arrays.items() if a.dtype.kind == "U" and a.ndim == 0}


def _read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    with safetensors.safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118 (no iterator)


def _read_pth(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as e:  # torch's own message advises to switch the check off
        raise ValueError("it is no PyTorch file or holds more than tensors (nothing in it was executed)") from e
    if not isinstance(loaded, Mapping):
        raise ValueError(f"it holds a {type(loaded).__name__}, not a state dict")
    return {k: v for k, v in loaded.items() if isinstance(v, torch.Tensor)}, {}


def _check_shapes(file: WeightsFile) -> None:
    if "features.0.weight" not in file.tensors:
        raise WeightsError(f"{file.path.name} holds no features.0.weight; expected VGG-19 in torchvision's numbering")
    deepest = max(index for index, _, _ in VGG19_LAYERS.values() if f"features.{index}.weight" in file.tensors)
    for layer, (index, inputs, outputs) in VGG19_LAYERS.items():
        if index > deepest:
            return
        expected = {"weight": (outputs, inputs, 3, 3), "bias": (outputs,)}
        for kind, shape in expected.items():
            key = f"features.{index}.{kind}"
            found = tuple(file.tensors[key].shape) if key in file.tensors else None
            if found != shape:
                raise WeightsError(f"{file.path.name}: {key} ({layer}) is {found}, expected {shape}; is it VGG-19?")
            if not torch.isfinite(file.tensors[key]).all():
                words = f"{key} ({layer}) holds values that are not finite; fetch it again"
                raise WeightsError(f"{file.path.name}: {words}")


def identify(file: WeightsFile) -> str:
    """The preprocessing that the weights expect: by the hash, the file's metadata, or the first layer's gain.

    Raises WeightsError where none of them tells: the original and torchvision's weights have the same keys and shapes,
    and a wrong guess gives pictures that look nearly right.
    """
    for known in KNOWN.values():
        if file.sha256.startswith(known.hash_prefix):
            return known.preprocessing
    told = file.metadata.get("preprocessing")
    if told in PREPROCESSING:
        return told
    if told is None:
        for preprocessing in PREPROCESSING:
            if _has_original_gain(file, preprocessing):
                return preprocessing
        first = file.tensors["features.0.weight"].flatten()[:3].float()
        if torch.allclose(first, torch.tensor(TORCHVISION_FIRST_WEIGHTS), rtol=1e-2, atol=0):
            return KNOWN["vgg19"].preprocessing
    raise WeightsError(
        f"{file.path.name}: cannot tell what input these weights expect (preprocessing: {told or 'not said'}); "
        f"store `preprocessing` in the file's metadata: {' or '.join(PREPROCESSING)}"
    )


def _has_original_gain(file: WeightsFile, preprocessing: str) -> bool:
    """Whether the mean activation of conv1_1 under this preprocessing is within GAIN_TOLERANCE of the original's."""
    first = {key: file.tensors[key] for key in ("features.0.weight", "features.0.bias")}
    mean = calibration.mean_activations(vgg19(first, preprocessing=preprocessing))["conv1_1"]
    return abs(mean / calibration.ORIGINAL_MEANS["conv1_1"] - 1) < GAIN_TOLERANCE


def _calibrated(backbone: Backbone) -> Backbone:
    """``calibration.calibrated``, which takes 0.5 s: its scales are kept in torch's hub folder, by the file's hash."""
    means = hashlib.sha256(json.dumps(calibration.ORIGINAL_MEANS).encode()).hexdigest()
    cache = Path(torch.hub.get_dir()) / "videostyle" / f"scales-{backbone.sha256[:16]}-{means[:16]}.json"
    try:
        scales = json.loads(cache.read_text())
        references = {n: replace(backbone.references[n], scale=float(s)) for n, s in scales.items()}
        if references:
            return replace(backbone, references=references)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # missing or damaged: compute it
    found = calibration.calibrated(backbone)
    with contextlib.suppress(OSError):  # a folder that cannot be written to
        cache.parent.mkdir(parents=True, exist_ok=True)
        with replacing(cache) as temporary:
            temporary.write_text(json.dumps({name: r.scale for name, r in found.references.items()}))
    return found
