"""What a GPU makes of it: peaks, seconds per evaluation and per layer, where they go, frames per second.

    python scripts/benchmark/gpu.py --weights vgg19_features_fp16.npz --clip CLIP --style PAINTING \
        --sizes 512x288 960x540 1920x1080 --networks vgg19 compact --json out/gpu.json

Needs torch, numpy, safetensors and OpenCV only. Times of the device are taken by its own events around CUDA graphs that
are replayed, after a warm-up; the roofline is the bf16 matrix product measured in the same run, for the multiplications
of the convolutions alone. `--parts` chooses among what is listed there; one that fails says why and does not keep the
others from being measured. `--yardstick N` adds, for every Nth frame, its loss over its own after 60 evaluations.
Frames are cut from the middle of the clip's, to the shape wanted, and resized.
"""

import argparse
import copy
import itertools
import statistics
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from common import Timing, machine, say, write_json
from evaluation import convolutions_alone, size
from reference import PlainObjective

from videostyle.frames import Frame
from videostyle.losses import fused_style
from videostyle.losses.objective import Objective
from videostyle.losses.pixel_losses import ColourPrior, TemporalPrior
from videostyle.networks import feature_extractor
from videostyle.networks.backbone import Backbone
from videostyle.networks.feature_extractor import FeatureExtractor
from videostyle.networks.weights import load_backbone
from videostyle.optimise import lbfgs
from videostyle.optimise.cuda_graph import CudaGraphs, ReplayedRunner, record_graph, run_eagerly
from videostyle.optimise.frame_task import FrameTask
from videostyle.optimise.image_optimiser import ImageOptimiser
from videostyle.optimise.loop import OptimiserLoop
from videostyle.pipeline.prefetch import QUEUE_SIZE, FlowPrefetcher, Prefetcher, flow_workers
from videostyle.settings import Settings
from videostyle.stylise import frame_tasks, sequence
from videostyle.stylise.schedule import ANCHOR_GAIN
from videostyle.stylise.sequence import stylise_frames
from videostyle.stylise.start_images import fit_style
from videostyle.stylise.stylizer import Stylizer
from videostyle.temporal.flow import dis_flow

# Modules that use kernels of our own where they can.
ROOMS = (feature_extractor, fused_style, lbfgs)
PARTS = ("peaks", "evaluation", "layers", "profile", "frames", "stages")
REFERENCE = "plain autograd, fp32 (convolutions TF32)"
# Evaluations between two looks at the clock, so that starting a replay does not count.
CALLS = 5
YARDSTICK_EVALUATIONS = 60
PROFILE_ROWS = 25
WAYS = ("forward", "forward_untried", "backward", "backward_untried")


def timed(body: Callable[[], object], device: torch.device, rounds: int, calls: int = CALLS) -> Timing:
    """Seconds of one call, an entry per round of ``calls`` calls, two rounds thrown away before them."""
    found = []
    for i in range(2 + rounds):
        seconds = _seconds(body, device, calls)
        if i >= 2:
            found.append(seconds / calls)
    return Timing(tuple(found))


def _seconds(body: Callable[[], object], device: torch.device, calls: int) -> float:
    if device.type != "cuda":
        began = time.perf_counter()
        for _ in range(calls):
            body()
        return time.perf_counter() - began
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    for _ in range(calls):
        body()
    last.record()
    torch.cuda.synchronize()
    return first.elapsed_time(last) / 1000


def recorded(body: Callable[[], object], device: torch.device) -> Callable[[], None]:
    """``body`` as a graph where there are graphs."""

    def once() -> None:
        body()

    return (record_graph if device.type == "cuda" else run_eagerly)(once, [])


def clip_frames(path: Path, width: int, height: int, count: int) -> list[Frame]:
    """The first frames of a clip, cut to the shape and resized."""
    video, found = cv2.VideoCapture(str(path)), list[Frame]()
    while len(found) < count:
        there, picture = video.read()
        if not there:
            break
        found.append(Frame(fitted(picture, width, height), pts=len(found)))
    return found


def fitted(picture: np.ndarray, width: int, height: int) -> torch.Tensor:
    """(h, w, 3) BGR bytes -> (1, 3, height, width) RGB in [0, 1]: the largest part of that shape, from the middle."""
    h, w = picture.shape[:2]
    scale = min(w / width, h / height)
    cut_w, cut_h = round(width * scale), round(height * scale)
    top, left = (h - cut_h) // 2, (w - cut_w) // 2
    cut = picture[top : top + cut_h, left : left + cut_w]
    resized = cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC)
    rgb = torch.from_numpy(cv2.cvtColor(resized, cv2.COLOR_BGR2RGB))
    return rgb.permute(2, 0, 1)[None].float().div(255).contiguous()


def read_style(path: Path) -> torch.Tensor:
    picture = cv2.imread(str(path))
    if picture is None:
        raise SystemExit(f"{path} cannot be read as a picture")
    return fitted(picture, picture.shape[1], picture.shape[0])


def multiplications(extractor: FeatureExtractor, width: int, height: int) -> list[float]:
    """Floating-point operations of every stage's convolution in one direction: two for a product and its sum."""
    found, convs = [], extractor.backbone.convs
    for stage, conv in zip(extractor.stages, convs, strict=False):
        if stage.pool:
            width, height = width // 2, height // 2
        found.append(2.0 * conv.weight.numel() * width * height)
    return found


class Bench:
    """What all parts need: the device, the arguments, and the results so far."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.device = torch.device(arguments.device)
        self.style = read_style(arguments.style)
        self.results: dict[str, Any] = {}
        self._backbones: dict[str, Backbone] = {}
        self.peak_flops = float("nan")

    def stylizer(self, network: str, **changes: Any) -> Stylizer:
        settings = Settings(device=self.device.type, precision="bf16", statistic="gram", keyframes="off").replace(
            **changes
        )
        return Stylizer(self.style, settings, backbone=self.backbone(network))

    def backbone(self, network: str) -> Backbone:
        if network not in self._backbones:
            given = None if network == "compact" else self.arguments.weights
            self._backbones[network] = load_backbone("auto" if given else network, given)
        return self._backbones[network]

    def frames(self, width: int, height: int) -> list[Frame]:
        return clip_frames(self.arguments.clip, width, height, self.arguments.frames)

    # -- peaks

    def peaks(self) -> dict[str, float]:
        """bf16 matrix product of random numbers and copying, as this device does them."""
        side, size_ = (8192, 2**28) if self.device.type == "cuda" else (512, 2**20)
        a, b = (torch.randn(side, side, device=self.device).bfloat16() for _ in range(2))
        source = torch.zeros(size_, device=self.device)
        target = torch.empty_like(source)
        product = timed(partial(torch.mm, a, b), self.device, 10)
        copy = timed(partial(target.copy_, source), self.device, 10)
        self.peak_flops = 2 * side**3 / product.median
        bandwidth = 2 * source.numel() * 4 / copy.median
        say(f"bf16 product of {side}: {self.peak_flops / 1e12:.0f} TFLOP/s; copying: {bandwidth / 1e12:.2f} TB/s")
        return {"matmul_flops": self.peak_flops, "copy_bytes_per_second": bandwidth}

    # -- seconds per evaluation

    def evaluation(self, network: str, width: int, height: int) -> dict[str, Any]:
        """Seconds of the recorded loop body of a later frame, and of its pieces."""
        stylizer = self.stylizer(network)
        loop = Loop(stylizer, self.frames(width, height)[:2])
        work = 2 * sum(multiplications(stylizer.extractor, width, height))
        rounds, rows = self.arguments.rounds, {}
        say(f"{network} {width}x{height}: {work / 1e9:.0f} GFLOP, {work / width / height / 1e6:.3f} a Mpx")
        bodies: dict[str, Callable[[], object]] = {
            "evaluation and step": loop.body(region=False),
            "the same, with a region's own style loss": loop.body(region=True),
            "value and gradient": recorded(loop.value_and_gradient(prior=False), self.device),
            "convolutions alone": recorded(convolutions_alone(stylizer.extractor, loop.content), self.device),
        }
        for name, body in bodies.items():
            rows[name] = row = self._row(timed(body, self.device, rounds), work)
            say(_line(name, row))
        if network == "vgg19":
            rows[REFERENCE] = row = self._reference(stylizer, loop, work)
            say(_line(REFERENCE, row))
            say(f"  loss {row['loss']:.6g}, ours {row['our_loss']:.6g}; cosine of the gradients {row['cosine']:.5f}")
        return rows

    def _row(self, timing: Timing, work: float) -> dict[str, Any]:
        flops = work / timing.median
        return {**timing.as_json(), "flops": flops, "share_of_roofline": flops / self.peak_flops}

    def _reference(self, stylizer: Stylizer, loop: "Loop", work: float) -> dict[str, Any]:
        """The plain implementation's time, as torch does it by default; its numbers, in float32 throughout.

        At a picture half painted: where it is finished its gradient is what rounding leaves of it.
        """
        x = torch.lerp(loop.content, loop.start, 0.5)
        style = fit_style(self.style, max(loop.content.shape[2:]), 16).to(self.device)
        plain = PlainObjective(stylizer.backbone, loop.content, style, stylizer.weights)
        row = self._row(timed(partial(plain.value_and_gradient, x), self.device, 5, 1), work)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            plain = PlainObjective(stylizer.backbone, loop.content, style, stylizer.weights)
            (total, _, _), expected = plain.value_and_gradient(x)
        losses, found = loop.objective(prior=False).value_and_gradient(x)
        cosine = torch.cosine_similarity(found.double().flatten(), expected.double().flatten(), dim=0)
        return row | {"loss": total.item(), "our_loss": losses.total.item(), "cosine": cosine.item()}

    # -- layer by layer

    def layers(self, network: str, width: int, height: int) -> list[dict[str, Any]]:
        """Every convolution in both directions: as FeatureExtractor runs it, and as cuDNN would choose untried."""
        extractor = self.stylizer(network).extractor
        content = self.frames(width, height)[0].pixels.to(self.device)
        given = torch.nn.functional.pad(content, (1,) * 4).to(extractor.dtype, memory_format=torch.channels_last)
        activations = extractor.forward(content)
        work = multiplications(extractor, width, height)
        rows = []
        say(f"{network} {width}x{height}: microseconds (TFLOP/s) forward, as chosen untried, backward, untried")
        for stage, output, flop in zip(extractor.stages, activations.outputs, work, strict=True):
            if stage.pool:
                given = torch.nn.functional.avg_pool2d(given, 2)
            rows.append(self._layer(stage.name, stage.forward, given, stage.backward, output, flop))
            given = output
        first = extractor.stages[0]
        for way, convolution, x in (
            ("forward", first.forward, wider(content)),
            ("backward", first.backward, activations.outputs[0]),
        ):
            eight = eight_channels(convolution)
            seconds = self._many(partial(eight, x))
            say(f"  {first.name} {way} with 3 channels widened to 8: {seconds * 1e6:.1f}")
        for k in WAYS:
            say(f"  {k}: {sum(r[k] for r in rows) * 1e3:.3f} ms in all")
        return rows

    def _layer(
        self, name: str, forward: Any, given: torch.Tensor, backward: Any, output: torch.Tensor, flop: float
    ) -> dict[str, Any]:
        bodies = (
            partial(forward, given),
            partial(untried, forward, given),
            partial(backward, output),
            partial(untried, backward, output),
        )
        row: dict[str, Any] = dict(zip(WAYS, map(self._many, bodies), strict=True))
        cells = (f"{row[k] * 1e6:8.1f} ({flop / row[k] / 1e12:4.0f})" for k in WAYS)
        shape = f"{output.shape[1]} x {output.shape[2]} x {output.shape[3]}"
        apart = "" if forward.fused_shapes.get(given.shape, True) else "  bias and ReLU apart"
        say(f"  {name} {shape:16} " + " ".join(cells) + apart)
        return row | {"name": name, "flop": flop}

    def _many(self, body: Callable[[], object], calls: int = 10) -> float:
        """Seconds of one call, of ten in one graph."""

        def several() -> None:
            for _ in range(calls):
                body()

        return timed(recorded(several, self.device), self.device, 5, 1).median / calls

    # -- where it goes

    def profile(self, network: str, width: int, height: int) -> list[dict[str, Any]]:
        """Every kernel of a few replayed evaluations, by name."""
        loop = Loop(self.stylizer(network), self.frames(width, height)[:2])
        body = loop.body(region=self.arguments.region)
        body()
        wanted = torch.profiler.ProfilerActivity
        with torch.profiler.profile(
            activities=[wanted.CUDA, wanted.CPU] if self.device.type == "cuda" else [wanted.CPU]
        ) as seen:
            for _ in range(CALLS):
                body()
            if self.device.type == "cuda":
                torch.cuda.synchronize()
        rows = kernels_of(seen, self.device)
        total = sum(row["seconds"] for row in rows)
        say(f"{network} {width}x{height}: {sum(r['calls'] for r in rows):.0f} kernels, {total * 1e6:.0f} us of them")
        for row in rows[:PROFILE_ROWS]:
            say(f"  {row['seconds'] * 1e6:8.1f} us {row['calls']:6.1f} x  {row['name'][:110]}")
        return rows

    # -- frames

    def paint(self, network: str, width: int, height: int) -> dict[str, Any]:
        """Frames per second with the defaults, flow and copying beside the optimiser as in the pipeline."""
        frames, stylizer = self.frames(width, height), self.stylizer(network)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        helpers = flow_workers() if stylizer.machine.accelerated else 0
        flow = FlowPrefetcher(dis_flow, True, helpers)
        pairs_in_line, times, found = flow.pairs(frames), [time.perf_counter()], []
        with Prefetcher(pairs_in_line, max(QUEUE_SIZE, helpers)) if helpers else nullcontext(pairs_in_line) as pairs:
            for painted in stylise_frames(flow.frames(pairs), stylizer, flow=flow):
                painted.pixels.mul(255).round().to(torch.uint8).cpu()
                times.append(time.perf_counter())
                found.append(painted.without_pixels())
        seconds = [b - a for a, b in itertools.pairwise(times)]
        row: dict[str, Any] = {
            "seconds": seconds,
            "first_seconds": seconds[0],
            "frames_per_second": (len(seconds) - 1) / sum(seconds[1:]) if len(seconds) > 1 else 0.0,
            "evaluations": [f.evaluations for f in found],
            "losses": [f.loss for f in found],
            "problems": [f.problem for f in found if f.problem],
            "memory_bytes": torch.cuda.max_memory_allocated() if self.device.type == "cuda" else 0,
        }
        later = row["evaluations"][1:] or [0]
        say(
            f"{network} {width}x{height}: {row['frames_per_second']:.1f} frames a second, median "
            f"{statistics.median(seconds[1:] or [0]) * 1e3:.1f} ms, evaluations {row['evaluations'][0]} then "
            f"{statistics.mean(later):.1f} ({min(later)} to {max(later)}); first frame {seconds[0]:.2f} s, "
            f"{row['memory_bytes'] / 2**30:.2f} GiB; {row['problems'] or 'no problems'}"
        )
        if self.arguments.yardstick:
            row["ratios"] = self._ratios(stylizer, frames, row["losses"])
            late = row["ratios"][1:] or row["ratios"]
            say(f"  loss over its own 60 evaluations: median {statistics.median(late):.3f}, worst {max(late):.3f}")
        return row

    def _ratios(self, stylizer: Stylizer, frames: list[Frame], losses: list[float]) -> list[float]:
        """Loss over yardstick of every Nth frame, the yardstick in the same precision."""
        alone = stylizer.settings.replace(
            init="content", iterations=YARDSTICK_EVALUATIONS, tolerance=0.0, history_size=20
        )  # fmt: skip
        chosen = slice(None, None, self.arguments.yardstick)
        exact = Stylizer(self.style, alone, backbone=stylizer.backbone)
        own = [f.loss for f in stylise_frames(frames[chosen], exact)]
        return [a / b for a, b in zip(losses[chosen], own, strict=True)]

    # -- stages

    def stages(self, network: str, width: int, height: int) -> dict[str, float]:
        """Median seconds of each stage of a later frame, one after the other, the device waited for after each."""
        frames, stylizer, watch = self.frames(width, height), self.stylizer(network), Watch(self.device)
        patched = [
            (frame_tasks, "task_from_previous", "follow"),
            (frame_tasks, "carried", "carried"),
            (sequence, "next_state", "after"),
            (ImageOptimiser, "objective", "content's features"),
            (ImageOptimiser, "runner", "into the recorded loop"),
            (ImageOptimiser, "run", "run"),
            (ReplayedRunner, "history", "history out"),
            (sequence.frame_check, "problem", "health"),
        ]
        kept = [(owner, name, getattr(owner, name)) for owner, name, _ in patched]
        for owner, name, title in patched:
            setattr(owner, name, watch.of(getattr(owner, name), title))
        try:
            began = time.perf_counter()
            for frame in stylise_frames(frames, stylizer, flow=watch.of(dis_flow, "flow")):
                watch.of(lambda f=frame: f.pixels.mul(255).round().to(torch.uint8).cpu(), "out")()
                watch.add("whole frame", time.perf_counter() - began)
                began = time.perf_counter()
        finally:
            for owner, name, original in kept:
                setattr(owner, name, original)
        found = {name: statistics.median(seconds[1:] or seconds) for name, seconds in watch.seconds.items()}
        say(f"{network} {width}x{height}: median ms of each stage of a frame, nested ones counted twice:")
        say("  " + ", ".join(f"{name} {seconds * 1e3:.2f}" for name, seconds in found.items()))
        return found

    def run(self) -> None:
        """Part after part, also where another one fails; all results are written after each."""
        parts = {name: getattr(self, name) for name in PARTS if name not in ("peaks", "frames")} | {
            "frames": self.paint
        }
        jobs: list[tuple[str, Callable[[], Any]]] = [("peaks", self.peaks)]
        for part in self.arguments.parts:
            for network, (width, height) in itertools.product(self.arguments.networks, self.arguments.sizes):
                if part != "peaks":
                    jobs.append((f"{part} {network} {width}x{height}", partial(parts[part], network, width, height)))
        for name, job in jobs:
            began = time.perf_counter()
            try:
                self.results[name] = job()
            except Exception:
                self.results[name] = {"failed": traceback.format_exc()}
                say(f"{name} failed:\n{traceback.format_exc()}")
            say(f"[{name}: {time.perf_counter() - began:.1f} s]")
            if self.arguments.json:
                self._write()

    def _write(self) -> None:
        given = {k: str(v) if isinstance(v, Path) else v for k, v in vars(self.arguments).items()}
        if self.device.type == "cuda":
            given["gpu"] = torch.cuda.get_device_name()
        write_json(self.arguments.json, "what a GPU makes of it", given, self.results)


class Loop:
    """The recorded loop body as it is for a later frame: full history, anchored style, a prior, all of it free."""

    def __init__(self, stylizer: Stylizer, frames: Sequence[Frame]) -> None:
        self.stylizer, self.device = stylizer, stylizer.machine.device
        first, self.content = (frame.pixels.to(self.device) for frame in (frames[0], frames[-1]))
        self.optimiser = stylizer.optimiser(self.content)
        outcome, self.history = self.optimiser.run(first, FrameTask("content", first))
        self.start = outcome.pixels
        self.styles = self.optimiser.anchored(outcome.pixels, ANCHOR_GAIN)

    def objective(self, prior: bool, region: bool = False) -> Objective:
        """``prior``: with all of a later frame; else content and style alone. ``region``: all of it repaired too."""
        whole = torch.ones_like(self.start[:, :1])
        mean = self.start.mean((2, 3), keepdim=True)
        priors = (TemporalPrior(1e13, self.start, whole), ColourPrior(1e14, mean, mean)) if prior else ()
        styles = self.styles if prior else None
        missing = whole if region else None
        task = FrameTask("warped", self.start, self.history, priors, styles=styles, repair_mask=missing)
        return self.optimiser.objective(self.content, task)[0]

    def value_and_gradient(self, prior: bool) -> Callable[[], object]:
        return partial(self.objective(prior).value_and_gradient, self.start)

    def body(self, region: bool) -> Callable[[], None]:
        """One step of the optimiser and one evaluation, again and again."""
        objective, stepper = (
            self.objective(True, region),
            self.optimiser.stepper(FrameTask("", self.start, self.history)),
        )
        loop = OptimiserLoop(objective, stepper, self.start, None, self.stylizer.settings.iterations)
        runner = ReplayedRunner(loop, CudaGraphs(record_graph if self.device.type == "cuda" else run_eagerly))
        runner.advance(2)

        def again() -> None:
            runner.advance(1)
            if runner.taken % 100 == 0:  # the log has rows for so many evaluations
                runner.loop.count.fill_(2)

        return again


def untried(convolution: Any, x: torch.Tensor) -> torch.Tensor:
    """A stage's convolution as cuDNN chooses it untried. The flag for TF32, which means nothing for bf16, keeps that
    apart from what FeatureExtractor had it try."""
    if x.device.type != "cuda":
        return convolution(x)
    padding, ones = [convolution.padding] * 2, [1, 1]
    if convolution.relu and convolution.bias is not None:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=True):
            return torch.ops.aten.cudnn_convolution_relu(
                x, convolution.weight, convolution.bias, ones, padding, ones, 1
            )
    return torch.ops.aten.cudnn_convolution(x, convolution.weight, padding, ones, ones, 1, False, False, True)


def wider(content: torch.Tensor) -> torch.Tensor:
    """The padded picture with 5 channels of zeros, (1, 8, H + 2, W + 2) bf16 channels-last."""
    padded = torch.nn.functional.pad(content, (1, 1, 1, 1, 0, 5))
    return padded.to(torch.bfloat16, memory_format=torch.channels_last)


def eight_channels(convolution: Any) -> Any:
    """A convolution from or to 3 channels with 5 more, of zeros."""
    made, weight = copy.copy(convolution), convolution.weight
    missing = (0, 5) if weight.shape[1] == 3 else (0, 0, 0, 5)
    made.weight = torch.nn.functional.pad(weight, (0, 0, 0, 0, *missing)).contiguous(memory_format=torch.channels_last)
    made.packed_for = torch.Size()  # so that it packs the new weight
    return made


def kernels_of(seen: Any, device: torch.device) -> list[dict[str, Any]]:
    """Kernels by name with calls and seconds of one evaluation, those that take longest first."""
    found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for event in seen.events():
        on_device = event.device_type == torch.autograd.DeviceType.CUDA
        if device.type == "cuda" and not on_device:
            continue
        span = event.time_range.elapsed_us() if on_device else event.self_cpu_time_total
        found[event.name][0] += 1 / CALLS
        found[event.name][1] += span / 1e6 / CALLS
    rows = [{"name": name, "calls": calls, "seconds": seconds} for name, (calls, seconds) in found.items()]
    return sorted(rows, key=lambda row: -float(str(row["seconds"])))


class Watch:
    """Wall seconds of calls by title, the device waited for before and after each."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, defaultdict[str, list[float]](list)

    def of(self, function: Callable[..., Any], title: str) -> Callable[..., Any]:
        def watched(*args: Any, **options: Any) -> Any:
            self._wait()
            began = time.perf_counter()
            found = function(*args, **options)
            self._wait()
            self.add(title, time.perf_counter() - began)
            return found

        return watched

    def add(self, title: str, seconds: float) -> None:
        self.seconds[title].append(seconds)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def _line(name: str, row: dict[str, Any]) -> str:
    return (
        f"  {name:42} {row['median_seconds'] * 1e3:8.3f} ms (IQR {row['iqr_seconds'] * 1e3:.3f}), "
        f"{row['flops'] / 1e12:5.0f} TFLOP/s, {row['share_of_roofline']:.0%} of the roofline"
    )


def about() -> Iterator[str]:
    here = machine()
    yield f"{here.processor}, {here.cores} cores, torch {here.torch}, commit {here.commit}"
    if torch.cuda.is_available():
        yield f"{torch.cuda.get_device_name()}, cuDNN {torch.backends.cudnn.version()}, CUDA {torch.version.cuda}"
        own = {
            room.__name__.rpartition(".")[2]: room.loaded_kernels() is not None
            for room in (feature_extractor, fused_style, lbfgs)
        }
        yield "kernels of our own: " + ", ".join(f"{k} {'yes' if v else 'NO'}" for k, v in own.items())


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="file with VGG-19's weights (default: torch's hub folder)")
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--sizes", type=size, nargs="+", default=[(512, 288), (960, 540), (1920, 1080)], metavar="WxH")
    parser.add_argument("--networks", nargs="+", default=["vgg19"], choices=("vgg19", "compact"))
    parser.add_argument("--parts", nargs="+", default=["evaluation", "frames"], choices=PARTS)
    parser.add_argument("--frames", type=int, default=40, help="of the clip (default: 40)")
    parser.add_argument("--rounds", type=int, default=20, help=f"of {CALLS} evaluations (default: 20)")
    parser.add_argument("--region", action="store_true", help="profile evaluations with a region's own style loss")
    parser.add_argument("--yardstick", type=int, default=0, metavar="N", help="for every Nth frame (default: none)")
    parser.add_argument("--plain", action="store_true", help="without the kernels of our own")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number to this file, after each part")
    arguments = parser.parse_args(argv)
    for line in about():
        say(line)
    if arguments.plain:
        for room in ROOMS:
            vars(room)["loaded_kernels"] = lambda: None
    bench = Bench(arguments)
    bench.run()
    return 1 if any("failed" in found for found in bench.results.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
