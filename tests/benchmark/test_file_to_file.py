"""pipeline.py: where the time of a run goes, by hand."""

import pipeline
import pytest

RECORD = {
    "media": {"size": 512},
    "backbone": {"name": "vgg19"},
    "frames": [{"wall_seconds": 5.0}, {"wall_seconds": 4.0}],
    "totals": {"frames": 2, "wall_seconds": 10.0, "optimise_seconds": 8.0, "peak_rss_bytes": 3 * 2**20},
}


def test_shares_add_up(monkeypatch, tmp_path):
    monkeypatch.setattr(pipeline, "run_record", lambda *_: (RECORD, 12.0))
    row = pipeline.row(tmp_path / "clip.mp4", tmp_path / "style.png", [])
    assert row["optimise_share"] + row["carry_share"] + row["rest_share"] == pytest.approx(1)
    assert (row["optimise_share"], row["carry_share"]) == (0.8, pytest.approx(0.1))
    assert (row["overhead"], row["start_seconds"]) == (pytest.approx(0.2), 2.0)
    assert row["frames_per_second"] == pytest.approx(0.2)
    assert "| 3 MiB |" in pipeline.as_markdown(row)


@pytest.mark.slow
def test_a_failed_run_is_no_row(tmp_path):
    with pytest.raises(pipeline.subprocess.CalledProcessError):
        pipeline.run_record(tmp_path / "none.mp4", tmp_path / "none.png", [])
