"""Which builds of FFmpeg are named as faulty."""

import pytest

from videostyle.cli import doctor
from videostyle.media.advisories import ADVISORIES, CHECKED, known_faults
from videostyle.media.ffmpeg import Ffmpeg

MAGICYUV, ENCRYPTED, SANM, EXR = (advisory.number for advisory in ADVISORIES)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("9.0.2", []),
        ("n9.0.2-17-g2a571b6068-20260930", []),
        ("8.1.2", []),
        ("8.1.1", [MAGICYUV]),
        ("8.1", [MAGICYUV]),
        ("8.0.3", [ENCRYPTED]),
        ("8.0.1", [MAGICYUV, ENCRYPTED]),
        ("7.1.5-0+deb13u1", [ENCRYPTED, SANM]),
        ("7.1.1", [MAGICYUV, ENCRYPTED, SANM, EXR]),
        ("7.0.2-static", [MAGICYUV, ENCRYPTED, SANM, EXR]),
        ("N-118000-gabcdef", []),
        ("", []),
    ],
)
def test_faults_of_a_version(version: str, expected: list[str]) -> None:
    assert [fault.number for fault in known_faults(version)] == expected


def test_the_table_is_dated_and_has_sources() -> None:
    assert len(CHECKED.split("-")) == 3
    for advisory in ADVISORIES:
        assert advisory.number.startswith("CVE-") and advisory.source
        assert list(advisory.mended) == sorted(advisory.mended, reverse=True)


def test_doctor_names_a_faulty_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_ffmpeg", lambda: Ffmpeg("/usr/bin/ffmpeg", "7.0.2-static", (7, 0)))
    monkeypatch.setattr(doctor, "av_ffmpeg_version", lambda: "8.1.1")
    warnings = [line for line in doctor.report() if line.startswith("warning: ")]
    assert len(warnings) == 2 and not any("\n" in line for line in warnings)
    assert "this ffmpeg has CVE-2026-8461, a MagicYUV stream" in warnings[0]
    assert "PyAV's FFmpeg 8.1.1 has CVE-2026-8461" in warnings[1]
    monkeypatch.setattr(doctor, "find_ffmpeg", lambda: Ffmpeg("/usr/bin/ffmpeg", "8.1.2", (8, 1)))
    monkeypatch.setattr(doctor, "av_ffmpeg_version", lambda: "8.1.2")
    assert not [line for line in doctor.report() if line.startswith("warning: ")]
