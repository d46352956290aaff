"""``videostyle measure``: from two files and a picture to numbers."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import known_warp

from videostyle.cli.main import main
from videostyle.errors import UsageError
from videostyle.measure import report
from videostyle.measure.metrics import ClipMeasures, FrameMeasures, ShotMeasures, WarpError
from videostyle.samples import sample
from videostyle.temporal.flow import given_warp

QUICK = ["--size", "64", "--iterations", "3", "--min-iterations", "1", "--quiet", "--start", "1", "--duration", "0.2"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few frames from the middle of the sample clip, stylised."""
    out = tmp_path_factory.mktemp("made") / "out.mp4"
    command = ["video", str(sample("clip.mp4")), "--style", str(sample("styles/brush.jpg")), "-o", str(out), *QUICK]
    assert main([*command, "--style-scale", "0.75", "--style-layers", "conv1_1,conv2_1"]) == 0
    return out


def test_measure_prints_a_table_and_writes_json_and_a_plot(made, tmp_path, capsys):
    files = {"--json": tmp_path / "m.json", "--plot": tmp_path / "m.png"}
    options = [word for pair in files.items() for word in map(str, pair)]
    style = str(sample("styles/brush.jpg"))
    assert main(["measure", str(sample("clip.mp4")), str(made), "--style", style, *options]) == 0
    printed = capsys.readouterr().out
    assert "judged by" in printed and "short_excess" in printed
    found = json.loads(files["--json"].read_text())
    assert found["compared"]["style_layers"] == ["conv1_1", "conv2_1"]  # from the record in the file
    assert found["compared"]["style_scale"] == 0.75
    assert found["size"] == [64, 36]
    assert found["summary"]["frames"] == len(found["frames"]) == 5
    assert found["frames"][0]["seconds"] == pytest.approx(1.0, abs=0.05)  # the part that was stylised
    assert found["frames"][0]["short"] is None
    assert all(f["short"]["source"] < 0.01 for f in found["frames"][1:])
    assert set(found["definitions"]) >= {"style", "content", "short", "long", "flicker", "drift"}
    assert files["--plot"].read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_clip_that_is_not_the_source_is_refused(made, capsys):
    style = str(sample("styles/brush.jpg"))
    assert main(["measure", str(made), str(sample("clip.mp4")), "--style", style]) == 2
    assert "goes on" in capsys.readouterr().err


def test_a_file_without_a_record_has_none(tmp_path):
    assert report.read_record(sample("clip.mp4")) == {}
    assert report.read_record(tmp_path / "nothing.mp4") == {}


@pytest.mark.slow
def test_known_flow_takes_the_place_of_the_estimate_between_neighbours(made, tmp_path):
    """The flow given is of the frame that its number names: 2 of the 5 frames, not the others."""
    np.savez(tmp_path / "2.npz", flow=np.full((36, 64, 2), 20, np.float16))
    source, style = sample("clip.mp4"), sample("styles/brush.jpg")
    estimated, given = (report.measure_files(source, made, style, flow=f).measures for f in (None, tmp_path))
    differ = [a.short != b.short for a, b in zip(estimated.frames, given.frames, strict=True)]
    assert differ == [False, False, True, False, False]


def test_flow_files_are_told_by_their_numbers(tmp_path):
    with pytest.raises(UsageError, match="no folder"):
        report.flow_files(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no file is named like"):
        report.flow_files(tmp_path)
    for name in ("flow0001.npz", "flow_12.npz", "other.npz"):
        np.savez(tmp_path / name, flow=np.zeros((4, 4, 2), np.float16))
    assert {n: p.name for n, p in report.flow_files(tmp_path).items()} == {1: "flow0001.npz", 12: "flow_12.npz"}


def test_known_flow_is_scaled_and_trusted_where_it_is_known(tmp_path):
    flow = np.zeros((40, 80, 2), np.float16)
    flow[..., 0], flow[..., 1] = 4, -2
    flow[:20, :20] = math.nan
    np.savez(tmp_path / "1.npz", flow=flow)
    fallback = known_warp(torch.zeros(1, 2, 20, 40), torch.ones(1, 1, 20, 40))
    found = given_warp(tmp_path / "1.npz", fallback)
    assert found.flow[0, :, 15, 30].tolist() == [2.0, -1.0]
    assert not found.comparable[..., :10, :10].any()  # unknown
    assert not found.comparable[..., -1:].any() and not found.comparable[..., 0, :].any()  # came from outside
    assert found.visible[..., 12:, 12:37].all()


def judged(*frames: FrameMeasures, shots: tuple[ShotMeasures, ...] = ()) -> report.Report:
    measures = ClipMeasures(None, None, (), None)  # type: ignore[arg-type]
    measures.frames, measures.shots = list(frames), list(shots)
    return report.Report("small", (64, 36), {}, {}, measures)


def frame(index: int, short: WarpError | None) -> FrameMeasures:
    return FrameMeasures(index, 0, index / 25, 1.0 + index, 2.0, short, None, (0.5, 0.0, 0.0))


def shot(number: int, frames: int, flicker: float, drift: float) -> ShotMeasures:
    return ShotMeasures(number, frames, 0.5, flicker, flicker, (drift, 0.0, 0.0), (0.0, 0.0, 0.0))


def test_json_holds_no_nan(tmp_path):
    nothing = WarpError(math.nan, math.nan)
    report.write_json(
        tmp_path / "m.json", judged(frame(0, None), frame(1, nothing), shots=(shot(0, 2, math.nan, 0.1),))
    )
    text = (tmp_path / "m.json").read_text()
    found = json.loads(text)
    assert "NaN" not in text
    assert found["frames"][1]["short"] == {"stylised": None, "source": None}
    assert found["shots"][0]["flicker"] is None and found["shots"][0]["drift"] == [0.1, 0.0, 0.0]


def test_the_summary_leaves_out_what_cannot_be_said():
    errors = (None, WarpError(0.5, 0.1), WarpError(math.nan, math.nan), WarpError(0.3, 0.1))
    shots = (shot(0, 1, 0.4, -0.3), shot(1, 3, 0.2, 0.1), shot(2, 5, math.nan, 0.2))
    found = report.summary(judged(*(frame(i, e) for i, e in enumerate(errors)), shots=shots).measures)
    assert (found["frames"], found["shots"], found["style"], found["content"]) == (4, 3, 2.5, 2.0)
    assert found["short"] == pytest.approx(0.4) and found["short_source"] == pytest.approx(0.1)
    assert found["short_excess"] == pytest.approx(0.3)
    assert found["long"] is found["long_source"] is found["long_excess"] is None
    assert found["flicker"] == pytest.approx(0.25)  # weighted by frames
    assert found["drift_luma"] == -0.3  # the largest, with its sign
    assert report.summary(judged(frame(0, WarpError(math.nan, math.nan))).measures)["short_excess"] is None
