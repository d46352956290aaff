"""The embedded network: what it is, what it answers to, and that VGG-19 agrees with it to a point."""

from importlib import resources
from pathlib import Path

import pytest
import torch

from videostyle.errors import UsageError, WeightsError
from videostyle.losses.content import ContentTarget
from videostyle.losses.formulas import content_loss, gram, style_loss
from videostyle.losses.objective import LossWeights, Objective
from videostyle.losses.style import StyleTarget
from videostyle.networks import compact
from videostyle.networks.backbone import VGG19_LAYERS
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.networks.weights import from_file
from videostyle.optimise.lbfgs import LBFGS, History

STYLE = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
PRESENTATION = (*STYLE, "conv2_2", "conv4_2")
WEIGHTS = LossWeights(content=1.0, style=2000.0, tv=0.0, content_layers=("conv4_2",), style_layers=STYLE)


@pytest.fixture(scope="module")
def backbone():
    return compact.load()


def test_the_file_is_small_and_travels_with_its_card():
    folder = resources.files(compact)
    assert len(folder.joinpath(compact.FILE_NAME).read_bytes()) <= 8_000_000
    assert "CC BY 4.0" in folder.joinpath("MODEL_CARD.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("layer", PRESENTATION)
def test_answers_to_the_presentations_layers(backbone, layer):
    backbone.check([layer], "max")
    reference = backbone.references[layer]
    assert reference.channels == VGG19_LAYERS[layer][2]
    assert torch.equal(reference.adapter, reference.adapter.triu())


@pytest.mark.parametrize("layer", sorted(set(VGG19_LAYERS) - set(PRESENTATION)))
def test_other_layers_are_refused_by_naming_vgg19(backbone, layer):
    with pytest.raises(UsageError, match=rf"compact has no layer {layer}.*use --backbone vgg19"):
        backbone.check([layer], "max")


def test_average_pooling_is_refused_by_naming_vgg19(backbone):
    with pytest.raises(UsageError, match=r"max pooling, not average; use --backbone vgg19"):
        FeatureExtractor(backbone, STYLE, pooling="average")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"gone.safetensors is missing"):
        compact.load(tmp_path / "gone.safetensors")


def test_the_file_format_goes_there_and_back(backbone):
    again = compact.from_tensors(compact.load_tensors(compact.to_bytes(backbone)))
    assert [(c.name, c.pool) for c in again.convs] == [(c.name, c.pool) for c in backbone.convs]
    assert all(torch.equal(a.weight, b.weight) for a, b in zip(again.convs, backbone.convs, strict=True))
    assert all(torch.equal(again.references[n].adapter, backbone.references[n].adapter) for n in compact.LAYERS)
    assert len(backbone.sha256) == 64


def test_pools_once_per_block(backbone):
    pooled = [conv.name for conv in backbone.convs if conv.pool]
    assert pooled == ["conv2_1", "conv3_1", "conv4_1", "conv5_0"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_features_are_finite_on_extreme_pictures(backbone, dtype):
    extractor = FeatureExtractor(backbone, PRESENTATION, dtype=dtype)
    for x in (torch.zeros(1, 3, 32, 48), torch.ones(1, 3, 32, 48), torch.rand(1, 3, 32, 48).round()):
        activations = extractor.forward(x)
        assert all(torch.isfinite(activations[name]).all() for name in PRESENTATION)


def _pictures(*, dtype=torch.float32, height=48, width=64):
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(1, 3, height, width, dtype=dtype, generator=generator) for _ in range(3))


def _objective(extractor, content, style):
    return Objective(
        extractor,
        ContentTarget(extractor, content, WEIGHTS.content_layers),
        StyleTarget(extractor, style, WEIGHTS.style_layers),
        WEIGHTS,
    )


def test_gradient_equals_autograd_in_float64(backbone):
    """Through adapters and folded scales: the fast path against the plain losses on reference features."""
    content, style, x = _pictures(dtype=torch.float64)
    objective = _objective(FeatureExtractor(backbone, WEIGHTS.layers, dtype=torch.float64), content, style)
    losses, gradient = objective.value_and_gradient(x)

    x.requires_grad_()
    own, of_content, of_style = (backbone.features(p, WEIGHTS.layers) for p in (x, content, style))
    total = content_loss(own["conv4_2"], of_content["conv4_2"], 8)
    for name in STYLE:
        n = VGG19_LAYERS[name][2]
        total = total + 2000.0 / 5 * style_loss(gram(own[name]), gram(of_style[name]), n)
    total.sum().backward()
    assert losses.total.item() == pytest.approx(total.item(), rel=1e-6)
    # The metric A'A is kept in float32, hence not closer than this.
    assert torch.allclose(gradient.double(), x.grad, rtol=0, atol=1e-5 * float(x.grad.abs().max()))


def test_the_same_gradient_twice(backbone):
    content, style, x = _pictures()
    objective = _objective(FeatureExtractor(backbone, WEIGHTS.layers), content, style)
    assert torch.equal(objective.value_and_gradient(x)[1], objective.value_and_gradient(x)[1])


def _read(path: Path, side: int) -> torch.Tensor:
    cv2 = pytest.importorskip("cv2")
    image = cv2.resize(cv2.imread(str(path)), (side, side), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255


def test_vgg19_finds_the_picture_painted_and_recognisable(shared):
    """A floor, far below what the model card reports: VGG-19's style loss falls to a quarter, content stays."""
    content = _read(shared / "photos" / "tubingen.jpg", 160)
    style = _read(shared / "paintings" / "kandinsky_composition_vii.jpg", 160)
    judge = _objective(
        FeatureExtractor(from_file(shared / "weights" / "vgg19_features_fp16.npz"), WEIGHTS.layers), content, style
    )
    own = _objective(FeatureExtractor(compact.load(), WEIGHTS.layers), content, style)
    x, lbfgs = content, LBFGS(History.empty(8, (160, 160)))
    for _ in range(40):
        x = lbfgs.step(x, own.value_and_gradient(x)[1]).clamp(0, 1)
    before, after = judge.value(content), judge.value(x)
    assert after.style < 0.5 * before.style
    assert after.total < 0.5 * before.total
    gradients = [o.value_and_gradient(content)[1].flatten() for o in (judge, own)]
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.3
