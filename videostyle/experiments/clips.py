"""The video figure: the clip and the clip painted, of one size, so that a page can play them in step."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from videostyle.experiments.questions import power
from videostyle.experiments.runner import Runner
from videostyle.experiments.sheet import Panel, Row, Sheet
from videostyle.files import fingerprint, write_json
from videostyle.media.decode import Decoder, output_size
from videostyle.media.probe import probe
from videostyle.pipeline.video import copy_video, stylise_video
from videostyle.samples import sample
from videostyle.settings import MediaSettings, Settings

LONGEST, STILLS = 480, 4
RECORD = "video.json"


def add_video(sheet: Sheet, runner: Runner, folder: Path) -> Sheet:
    """The sheet with stills of both clips; the clips lie in ``folder`` as source.mp4 and stylised.mp4."""
    clip = Path(runner.inputs.given.get("clip", sample("clip.mp4")))
    settings = Settings(**{k: getattr(runner.settings, k) for k in ("weights", "backbone", "device", "precision")})
    folder.mkdir(parents=True, exist_ok=True)
    record = make_clips(clip, runner.inputs.path("style"), folder, settings, runner)
    names = {"Source": "source.mp4", "Stylised": "stylised.mp4"}
    rows = tuple(Row(tuple(Panel(*still) for still in stills(folder / name)), label) for label, name in names.items())
    ratio = power(settings.content_weight / settings.style_weight)
    size = f"{min(runner.inputs.size, LONGEST)} px"
    words = (("α/β", ratio), ("start", settings.init), ("size", size), *sheet.settings[-1:])
    return replace(sheet, rows=rows, drawings=(), settings=words, runs=(record,))


def make_clips(clip: Path, style: Path, folder: Path, settings: Settings, runner: Runner) -> dict[str, Any]:
    """Both clips; what is there from the same request stays. Returns what made the stylised one."""
    size = min(runner.inputs.size, LONGEST)
    pictures = [fingerprint(path) for path in (clip, style)]
    names = {"pictures": pictures, "size": size, "sha": runner.backbone.sha256}
    request = json.loads(json.dumps(names | {"settings": asdict(settings)}))  # as it is read again: lists, not tuples
    here = folder / RECORD
    made = here.is_file() and here.read_text(encoding="utf-8")
    media = MediaSettings(size=size, overwrite=True, crf=20)
    if not made or json.loads(made)["request"] != request:
        copy_video(clip, folder / "source.mp4", settings, media)
        result = stylise_video(clip, style, folder / "stylised.mp4", settings, media, on_progress=runner.on_progress)
        write_json(here, {"request": request, "record": result.record})
    return dict(json.loads(here.read_text(encoding="utf-8"))["record"])


def stills(clip: Path, count: int = STILLS) -> list[tuple[str, torch.Tensor]]:
    """(time in words, frame) at even distances through a clip."""
    info = probe(clip)
    with Decoder(info, size=output_size(info, None, False), threads=1) as decoder:
        frames = [(f"{float(frame.time_seconds):.1f} s", frame.pixels) for frame in decoder]
    return [frames[round(i * (len(frames) - 1) / max(1, count - 1))] for i in range(min(count, len(frames)))]
