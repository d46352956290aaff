"""A live session: frames in, painted frames out, at the rate that is asked for, with what it measured."""

import json
from dataclasses import asdict
from pathlib import Path

from videostyle.device import choose_machine
from videostyle.errors import UsageError
from videostyle.files import write_text
from videostyle.live.clip import paint_clip
from videostyle.live.painter import LivePainter
from videostyle.live.request import LiveRequest, LiveResult, from_clip
from videostyle.live.stream import paint_stream
from videostyle.media.encode import check_output
from videostyle.media.formats import OutputFormat
from videostyle.networks.style_network_file import load_network
from videostyle.pipeline.job import check_record, open_stylizer
from videostyle.pipeline.request import Callbacks
from videostyle.pipeline.run_record import versions
from videostyle.stylise.choose_flow import flow_network
from videostyle.stylise.choose_maker import draft_flow
from videostyle.stylise.network_painter import NetworkPainter


def live(request: LiveRequest, callbacks: Callbacks | None = None) -> LiveResult:
    """Paint until the source ends, or a key or ``callbacks.should_stop`` says so. Raises VideoStyleError."""
    callbacks = callbacks or Callbacks()
    _check(request)
    network = flow_network(request.settings, choose_machine(request.settings), callbacks.on_download)
    flow = draft_flow(request.settings, network)
    painter = LivePainter(_painters(request, callbacks), flow, request.live.fade_seconds)
    result = (paint_clip if from_clip(request) else paint_stream)(request, painter, callbacks)
    if request.record_to is not None:
        settings = {"live": asdict(request.live), "media": asdict(request.media)}
        machine = painter.painters[0].machine
        told = {"settings": settings, "versions": versions(), "device": machine.name, "totals": result.totals}
        write_text(Path(request.record_to), json.dumps(told, indent=1))
    return result


def _check(request: LiveRequest) -> None:
    if not request.styles and not request.models:
        raise UsageError("there is nothing to paint with; give --style PAINTING or --model FILE")
    check_record(request.record_to)
    if request.output is not None:
        check_output(OutputFormat.of(request.output, request.media))
    if not (request.shows_window or request.virtual_camera or request.output is not None):
        raise UsageError("the pictures go nowhere; give --output FILE, or leave --no-window out")


def _painters(request: LiveRequest, callbacks: Callbacks) -> list[NetworkPainter]:
    """Of the files, then of the styles."""
    machine = choose_machine(request.settings)
    found = [NetworkPainter(load_network(path), machine) for path in request.models]
    settings = request.settings.replace(quality="draft")
    return found + [
        open_stylizer(style, settings, (request.size, request.size), callbacks).network_painter
        for style in request.styles
    ]
