"""The loop body as it is and recorded: the same numbers, on buffers that do not move, whatever replays it."""

import warnings

import pytest
import torch
from small_networks import picture, small_backbone, smooth_picture

from videostyle.losses.pixel_losses import ColourPrior, TemporalPrior
from videostyle.losses.style import StyleTarget
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.optimise.cuda_graph import CudaGraphs, record_graph, run_eagerly
from videostyle.optimise.frame_task import FrameTask
from videostyle.optimise.image_optimiser import CHECK_EVERY_ON_GPU, ImageOptimiser, loss_weights
from videostyle.optimise.loop import CONTENT, STYLE, TOTAL, WARM_UP, OptimiserLoop
from videostyle.settings import Settings

SIZE = (24, 31)
SETTINGS = Settings(
    content_layers=("conv2_2",),
    style_layers=("conv1_1", "conv2_1", "conv3_1"),
    style_weight=1e7,
    iterations=10,
    min_iterations=3,
    tolerance=0.0,
    history_size=5,
)
CONTENTS = [smooth_picture(*SIZE, seed=i) for i in (1, 2, 3)]
PAINTING = picture(20, 26, seed=2).square()


def optimiser(device="cpu", dtype=torch.float32, **changes) -> ImageOptimiser:
    settings = SETTINGS.replace(**changes)
    extractor = FeatureExtractor(small_backbone(), loss_weights(settings).layers, device=device, dtype=dtype)
    return ImageOptimiser(extractor, StyleTarget(extractor, PAINTING, settings.style_layers), settings)


def recorded(record, **changes) -> ImageOptimiser:
    made = optimiser(**changes)
    made.graphs, made.check_every = CudaGraphs(record), CHECK_EVERY_ON_GPU
    return made


def paint(made: ImageOptimiser):
    """A shot of three frames: history, an anchored style, priors, a still region and a bare one are carried."""
    device = made.extractor.device
    outcomes, history, prior, free, style, missing = [], None, (), None, None, None
    for content in (c.to(device) for c in CONTENTS):
        start = outcomes[-1].pixels if outcomes else content
        task = FrameTask("content", start, history, prior, update_mask=free, repair_mask=missing, styles=style)
        outcome, history = made.run(content, task)
        outcomes.append(outcome)
        if style is None:
            style = made.anchored(outcome.pixels, 2.0)
        free = torch.ones(1, 1, *SIZE, device=device)
        free[..., :8, :] = 0
        mean = outcome.pixels.mean((2, 3), keepdim=True)
        prior = (TemporalPrior(1e3, outcome.pixels, free.clone()), ColourPrior(1e5, mean + 0.01, mean + 0.02))
        missing = torch.zeros_like(free)
        missing[..., 10:15, 4:20] = len(outcomes) / 3
    return outcomes, history


def test_a_recording_does_the_same_frame_after_frame():
    expected, history = paint(optimiser())
    found, carried = paint(recorded(run_eagerly))
    for a, b in zip(expected, found, strict=True):
        assert torch.equal(a.curve, b.curve)
        assert torch.equal(a.pixels, b.pixels)
        assert torch.equal(a.losses.without_priors, b.losses.without_priors)
    assert torch.equal(history.pairs, carried.pairs)


def test_one_recording_for_each_kind_of_frame_and_nothing_in_it_moves():
    made = []

    def record(body, tensors):
        addresses = [t.data_ptr() for t in tensors]
        made.append(addresses)

        def replay():
            body()
            assert [t.data_ptr() for t in tensors] == addresses

        return replay

    paint(recorded(record))
    assert len(made) == 4  # first frames, and later ones; where they begin, and how they go on
    assert all(len(set(a)) > 20 for a in made)


def test_calls_before_the_recording_leave_no_trace():
    def record(body, tensors):
        for _ in range(WARM_UP + 1):
            body()
        return body

    expected, _ = paint(optimiser())
    found, _ = paint(recorded(record))
    assert all(torch.equal(a.curve, b.curve) for a, b in zip(expected, found, strict=True))


def test_a_recording_owns_its_buffers():
    """The style is every frame's, priors and histories are the caller's: none may be written over."""
    made = recorded(run_eagerly)
    (area,) = made.areas
    style = {name: s.clone() for name, s in area.target.statistics.items()}
    first, history = made.run(CONTENTS[0], FrameTask("content", CONTENTS[0]))
    kept = history.pairs.clone(), first.pixels.clone()
    anchored = made.anchored(first.pixels, 2.0)
    made.run(CONTENTS[1], FrameTask("content", first.pixels, history=history, styles=anchored))
    made.run(CONTENTS[2], FrameTask("content", first.pixels, history=history))
    assert torch.equal(history.pairs, kept[0])
    assert torch.equal(first.pixels, kept[1])
    for name, kept_statistics in style.items():
        for now, then in zip(area.target.statistics[name].tensors(), kept_statistics.tensors(), strict=True):
            assert torch.equal(now, then)


def test_looking_every_few_evaluations_stops_at_most_that_much_later():
    every = optimiser(tolerance=0.01, iterations=100)
    seldom = optimiser(tolerance=0.01, iterations=100)
    seldom.check_every = 4
    a, _ = every.run(CONTENTS[0], FrameTask("content", CONTENTS[0]))
    b, _ = seldom.run(CONTENTS[0], FrameTask("content", CONTENTS[0]))
    assert a.evaluations <= b.evaluations < a.evaluations + 4
    assert torch.equal(b.curve[: a.evaluations], a.curve)
    seen = []
    seldom.run(CONTENTS[0], FrameTask("content", CONTENTS[0]), on_evaluation=lambda k, loss: seen.append((k, loss)))
    assert seen == [(k + 1, b.curve[k, 0].item()) for k in range(b.evaluations)]


def test_adam_is_not_recorded():
    made = recorded(run_eagerly, optimizer="adam")
    expected, _ = optimiser(optimizer="adam").run(CONTENTS[0], FrameTask("content", CONTENTS[0]))
    found, history = made.run(CONTENTS[0], FrameTask("content", CONTENTS[0]))
    assert torch.equal(expected.pixels, found.pixels)
    assert history is None


# In bf16 on a CPU the curves are 2 % off where a shot begins and 9 % in later frames, the last loss up to 6 %.
@pytest.mark.parametrize(
    ("dtype", "curves", "last"), [(torch.float32, 1e-3, 0.05), (torch.bfloat16, 0.2, 0.2)], ids=("float32", "bf16")
)
def test_a_cuda_graph_follows_the_cpu(cuda, dtype, curves, last):
    made = optimiser(device="cuda", dtype=dtype)
    assert made.graphs is not None and made.graphs.record.func is record_graph
    assert first_loop(made).objective.fuses(CONTENTS[0].cuda()) is (dtype == torch.bfloat16)
    expected, _ = paint(optimiser())
    found, _ = paint(made)
    # A shot's first content loss is exactly 0, and in bf16 another way to compute the same features misses that.
    columns = (TOTAL, CONTENT, STYLE) if dtype == torch.float32 else (TOTAL, STYLE)
    for a, b in zip(expected, found, strict=True):
        assert b.evaluations == a.evaluations
        assert b.pixels.device.type == "cuda"
        for column in columns:
            torch.testing.assert_close(b.curve[:3, column], a.curve[:3, column], rtol=curves, atol=0)
        assert b.losses.without_priors.item() == pytest.approx(a.losses.without_priors.item(), rel=last)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=("float32", "bf16"))
def test_nothing_is_read_back_in_an_evaluation_on_a_gpu(cuda, dtype):
    """The body as it is: a replay has no host to read back to."""
    own = first_loop(optimiser(device="cuda", dtype=dtype)).clone()
    own.evaluate()
    own.step_and_evaluate()  # kernels are tried out and chosen
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this mode is a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        own.step_and_evaluate()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def first_loop(made: ImageOptimiser) -> OptimiserLoop:
    """A shot's first frame where it begins."""
    content = CONTENTS[0].to(made.extractor.device)
    objective, _ = made.objective(content, FrameTask("content", content))
    return OptimiserLoop(
        objective, made.stepper(FrameTask("content", content)), content, None, made.settings.iterations
    )
