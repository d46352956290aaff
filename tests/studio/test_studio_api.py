"""The interface for the page and for other programs: everything but the page itself."""

import io
import json
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
import torch
from PIL import Image, ImageChops, ImageOps, ImageStat
from studio_server import FEW, SMALL, StudioServer, by_command, same_frames, sample_bytes

from videostyle.cli.main import main
from videostyle.errors import MissingLibraryError
from videostyle.media.decode import decode
from videostyle.media.probe import probe
from videostyle.samples import sample
from videostyle.settings.form import form
from videostyle.settings.look_file import read_look


def events(server: StudioServer, until: str, here: threading.Event) -> list[tuple[str, dict]]:
    """(type, values) of what is told, up to and with the first text that holds ``until``; ``here``: it listens."""
    found, kind = [], ""
    with httpx.stream("GET", f"{server.address}api/v1/events", timeout=120, trust_env=False) as stream:
        for line in stream.iter_lines():
            here.set()
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((kind, json.loads(line.removeprefix("data: "))))
                if until in line:
                    return found
    return found


def test_the_state_says_what_is_there(server):
    state = server.client.get("state").json()
    assert {"clip.mp4", "photo.jpg", "styles/brush.jpg"} <= {entry.get("sample") for entry in state["media"]}
    assert state["form"] == json.loads(json.dumps(form())) and state["draft"] is None
    server.client.put("draft", json={"at": 1})
    assert server.client.get("state").json()["draft"] == {"at": 1}


def test_the_form_is_the_settings_own():
    fields = {field["name"]: field for field in form()}
    assert fields["strength"] | {"help": ""} == {
        **{"name": "strength", "group": "look", "kind": "number", "default": 0.5, "help": "", "rare": False},
        **{"minimum": 0.0, "maximum": 1.0},
    }
    assert fields["style_layers"]["kind"] == "names" and fields["cuts"]["kind"] == "numbers"
    assert fields["no_shots"]["kind"] == "switch" and fields["octaves"]["kind"] == "whole"
    assert not set(fields) & {"weights", "network", "device", "overwrite", "stream"}


def test_a_clip_and_its_exact_frames(server):
    entry = server.client.get(f"media/{server.named('clip.mp4')}").json()
    assert (entry["width"], entry["height"], len(entry["times"]), len(entry["waveform"])) == (640, 360, 96, 1000)
    assert entry["times"][1] == pytest.approx(1 / 24, abs=1e-5)
    asked = {"at": entry["times"][30], "size": 160}
    answer = server.client.get(f"media/{entry['id']}/frame", params=asked)
    shown = Image.open(io.BytesIO(answer.content)).convert("RGB")
    info = probe(sample("clip.mp4"))
    wanted = list(decode(info, size=(160, 90)))[30].pixels[0]
    got = torch.frombuffer(bytearray(shown.tobytes()), dtype=torch.uint8).view(90, 160, 3).permute(2, 0, 1) / 255
    assert (got - wanted).abs().mean() < 0.02
    part = server.client.get(f"media/{entry['id']}/file", headers={"range": "bytes=4-7"})
    assert part.status_code == 206 and part.content == b"ftyp"


def test_a_preview_emerges_and_a_new_one_takes_its_place(server):
    told: list[tuple[str, dict]] = []
    here = threading.Event()
    listener = threading.Thread(target=lambda: told.extend(events(server, '"ended"', here)))
    listener.start()
    assert here.wait(30)
    asked = {"source": server.named("clip.mp4"), "at": 0.5, "size": 96, "look": server.look(iterations=300)}
    first = server.client.post("previews", json=asked).json()["preview"]
    last = server.client.post("previews", json=asked | {"look": server.look(strength=0.7)}).json()["preview"]
    listener.join(120)
    assert {"preview": first, "stage": "superseded"} in [values for _, values in told]
    stages = [values["stage"] for _, values in told if values["preview"] == last]
    assert stages[0] == "emerging" and stages[-2:] == ["finished", "ended"] and "quick" in stages
    picture = server.client.get(f"previews/{last}")
    assert Image.open(io.BytesIO(picture.content)).size == (96, 54)
    assert server.client.get(f"previews/{first}").status_code == 204
    whole = server.client.post("previews?wait=1", json=asked | {"quick": True})
    assert whole.headers["content-type"] == "image/jpeg"


def test_a_frame_is_taken_painted_over_and_given_back(server):
    """As PNG, at the output's size; its preview is the picture, and the command line names it."""
    clip = server.named("clip.mp4")
    taken = server.client.get(f"media/{clip}/frame", params={"at": 0.5, "size": 96, "download": ""})
    assert taken.headers["content-type"] == "image/png" and taken.headers["content-disposition"] == "attachment"
    frame = Image.open(io.BytesIO(taken.content)).convert("RGB")
    painted, negative = io.BytesIO(), ImageOps.invert(frame)
    negative.save(painted, "PNG")
    named = {"role": "painting", "name": "mine.png"}
    entry = server.client.post("media", params=named, content=painted.getvalue()).json()
    look = server.look(frame=[{"at": 0.5, "picture": entry["id"]}])
    shown = server.client.post("previews?wait=1", json={"source": clip, "at": 0.5, "size": 96, "look": look})
    difference = ImageChops.difference(Image.open(io.BytesIO(shown.content)).convert("RGB"), negative)
    assert frame.size == (96, 54) and ImageStat.Stat(difference).mean < [6, 6, 6]  # of a JPEG
    words = server.client.post("command", json={"source": clip, "look": look, "media": {}}).json()["words"]
    assert words[words.index("--keyframe") + 1].startswith("0.5=")


def test_an_error_of_the_painting_is_said(server):
    look = server.look() | {"region": [{"mask": server.named("styles/brush.jpg"), "style": []}]}
    answer = server.client.post("previews?wait=1", json={"source": server.named("clip.mp4"), "size": 64, "look": look})
    words = answer.json()["error"]
    assert answer.status_code == 400 and "give a mask of its shape" in words
    assert "brush.jpg" in words and str(sample("styles/brush.jpg").parent) not in words, "names, and no paths"


def test_a_preview_has_no_picture_before_its_first(server):
    """Not the picture of the preview before it."""
    asked = {"source": server.named("clip.mp4"), "at": 0.5, "size": 64, "look": server.look(), "quick": True}
    assert server.client.post("previews?wait=1", json=asked).status_code == 200
    slow = asked | {"look": server.look(iterations=400, min_iterations=400), "size": 512, "at": 1.5}
    number = server.client.post("previews", json=slow).json()["preview"]
    assert server.client.get(f"previews/{number}").status_code == 204
    assert server.client.post("previews?wait=1", json=asked).status_code == 200


def test_an_upload_can_be_deleted_unless_a_run_needs_it(own):
    made = io.BytesIO()
    Image.new("RGB", (64, 36), "red").save(made, "PNG")
    entry = own.client.post("media?role=painting&name=red.png", content=made.getvalue()).json()
    clip = own.client.post("media?role=clip&name=mine.mp4", content=sample_bytes("clip.mp4")).json()
    asked = {"source": clip["id"], "look": own.look(style=[{"picture": entry["id"]}]), "media": SMALL}
    job = own.client.post("jobs", json=asked).json()
    for used in (entry, clip):
        answer = own.client.delete(f"media/{used['id']}")
        assert answer.status_code == 400
        assert answer.json()["error"] == f"{used['name']} is used by {job['name']}; delete that run first"
    own.client.post(f"jobs/{job['id']}/cancel")
    for _ in range(1200):
        if own.client.get(f"jobs/{job['id']}").status_code == 404:
            break
        time.sleep(0.05)
    for used in (entry, clip):
        assert own.client.delete(f"media/{used['id']}").status_code == 200
        assert own.client.delete(f"media/{used['id']}").status_code == 404
    assert own.client.delete(f"media/{own.named('clip.mp4')}").status_code == 400


def test_a_studio_begins_though_files_are_damaged_or_left_behind(own):
    left = [own.folder / "frame-00.jpeg", own.folder / ".draft.json.7.part", own.folder / "jobs" / ".x.json.7.part"]
    damaged = [own.folder / "draft.json", own.folder / "jobs" / "x.json", own.folder / "media" / "x.json"]
    own.kill()
    for file in (*left, *damaged, own.folder / "address"):
        file.write_bytes(b"")
    again = StudioServer(own.folder)
    state = again.client.get("state").json()
    said = again.close().splitlines()
    assert state["draft"] is None and state["jobs"] == []
    assert sorted(line.split(" is damaged")[0] for line in said) == sorted(map(str, damaged))
    assert not [file for file in (*left, *damaged) if file.exists()]


def test_another_host_is_warned_of(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("videostyle.studio.serve.serve", lambda *_: None)
    for host, warned in (("0.0.0.0", True), ("127.0.0.1", False)):
        assert main(["studio", str(tmp_path / "x"), "--no-browser", "--host", host]) == 0
        assert (f"other machines can reach {host}" in capsys.readouterr().err) == warned


@pytest.mark.slow
def test_a_photograph_is_painted_too(own):
    asked = {"source": own.named("photo.jpg"), "look": own.look(), "media": {"size": 64}}
    job = own.client.post("jobs", json=asked).json()
    job = own.wait(job["id"], lambda job: job["state"] == "done")
    assert job["name"] == "photo-brush.png"
    painted = own.client.get(f"jobs/{job['id']}/output").content
    assert max(Image.open(io.BytesIO(painted)).size) == 64


@pytest.mark.slow
def test_events_are_the_objects_of_the_command_line(own, tmp_path):
    """A `progress` event has the keys of `--progress json`, and says which job it is of."""
    told: list[tuple[str, dict]] = []
    here = threading.Event()
    listener = threading.Thread(target=lambda: told.extend(events(own, '"state": "done"', here)))
    listener.start()
    assert here.wait(30)
    job = own.queue()
    listener.join(120)
    run = [sys.executable, "-m", *shlex.split(job["command"])[:-1], str(tmp_path / "x.mp4"), "--progress", "json"]
    ended = subprocess.run(run, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    mine = [values for kind, values in told if kind == "progress"]
    of_page = {"job", "picture", "at"}
    for stage in ("stylise", "publish"):
        line = next(line for line in lines if line["stage"] == stage)
        event = next(event for event in mine if event["stage"] == stage)
        assert event.keys() == line.keys() | of_page and event["job"] == job["id"]
        assert {type(event[key]) for key in ("frame", "frames", "restored")} == {int}
    frames = [event["frame"] for event in mine if event["picture"]]
    assert frames == list(range(1, 9))


@pytest.mark.slow
def test_a_job_equals_its_command_line_to_the_bit_though_previews_step_in(own, tmp_path):
    region = {"mask": f"{own.named('looks/boat.png')}@0", "style": [{"picture": own.named("styles/woodcut.jpg")}]}
    look = own.look(strength=[[0, 0.3], [0.3, 0.6]], region=[region])
    job = own.queue(look)
    own.wait(job["id"], lambda job: job.get("progress", {}).get("stage") == "stylise")
    asked = {"source": own.named("clip.mp4"), "at": 1.0, "size": 64, "look": own.look(), "quick": True}
    assert own.client.post("previews?wait=1", json=asked).status_code == 200
    assert own.job(job["id"])["state"] == "running", "the preview came within the run"
    done = own.wait(job["id"], lambda job: job["state"] == "done")
    assert done["frames"] == 8 and done["problem"] is None
    there = by_command(done["command"], tmp_path / "command.mp4")
    assert same_frames(there, tmp_path / "command.mp4")
    text = own.client.get(f"jobs/{job['id']}/look").text
    assert 'picture = "brush.jpg"' in text and "boat.png@0" in text
    shown = subprocess.run(
        [sys.executable, "-m", "videostyle", "look", str(there)], capture_output=True, text=True, check=True
    )
    assert "strength = [[0.0, 0.3], [0.3, 0.6]]" in shown.stdout and "woodcut.jpg" in shown.stdout
    answer = own.client.get(f"jobs/{job['id']}/output?download")
    assert 'filename="clip-brush.mp4"' in answer.headers["content-disposition"]


@pytest.mark.slow
def test_pause_resume_part_order_and_cancel(own):
    first, second, third = (own.queue(duration_seconds=3.0), own.queue(), own.queue())
    own.wait(first["id"], lambda job: job.get("progress", {}).get("frame", 0) >= 3)
    assert [own.job(job["id"])["state"] for job in (first, second, third)] == ["running", "waiting", "waiting"]
    own.client.post(f"jobs/{third['id']}/first")
    assert own.client.get("state").json()["jobs"][0]["id"] == third["id"]
    own.client.post(f"jobs/{first['id']}/partial")
    own.wait(first["id"], lambda job: job.get("partial"))
    part = own.client.get(f"jobs/{first['id']}/partial")
    assert part.status_code == 200 and part.content[4:8] == b"ftyp"
    own.client.post(f"jobs/{second['id']}/pause")
    own.wait(third["id"], lambda job: job["state"] == "done")
    assert own.job(second["id"])["state"] == "paused"
    own.wait(first["id"], lambda job: job["state"] == "running")
    own.client.post(f"jobs/{first['id']}/cancel")
    until = time.monotonic() + 60
    while own.client.get(f"jobs/{first['id']}").status_code != 404:  # when its frame is finished
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not [path for path in (own.folder / "made").iterdir() if path.name.startswith(first["id"])]
    own.client.post(f"jobs/{second['id']}/resume")
    own.wait(second["id"], lambda job: job["state"] == "done")
    assert own.client.post(f"jobs/{second['id']}/resume").status_code == 400


@pytest.mark.slow
def test_a_run_that_ends_early_keeps_what_is_finished(own):
    job = own.queue(duration_seconds=3.0)
    own.wait(job["id"], lambda job: job.get("progress", {}).get("frame", 0) >= 3)
    assert own.client.post(f"jobs/{job['id']}/keep").status_code == 200
    done = own.wait(job["id"], lambda job: job["state"] == "done")
    output = own.folder / "made" / f"{job['id']}.mp4"
    assert 3 <= done["frames"] == len(list(decode(probe(output)))) < 72
    assert not (own.folder / "made" / f"{output.name}.videostyle").exists(), "its state is not needed any more"
    assert own.client.post(f"jobs/{job['id']}/keep").status_code == 400, "it is done"


@pytest.mark.slow
def test_the_queue_survives_the_server(own, tmp_path):
    job = own.queue(duration_seconds=1.0)
    waiting = own.queue()
    own.wait(job["id"], lambda job: job.get("progress", {}).get("frame", 0) >= 4)
    address = own.address
    own.kill()
    again = StudioServer(own.folder, port=own.port)
    try:
        assert again.address == address
        done = again.wait(job["id"], lambda job: job["state"] == "done")
        assert done["frames"] == 24
        assert again.wait(waiting["id"], lambda job: job["state"] == "done")["frames"] == 8
        assert same_frames(by_command(done["command"], tmp_path / "command.mp4"), tmp_path / "command.mp4")
    finally:
        again.close()
    assert not list(own.folder.rglob("*.videostyle"))


def test_looks_are_saved_and_read_by_names(server, tmp_path):
    look = server.look(strength=[[0, 0.1], [2, 0.6, "smooth"]], colours="source:0.5")
    text = server.client.post("looks/file", json={"look": look}).text
    (tmp_path / "look.toml").write_text(text)
    found, settings = read_look(tmp_path / "look.toml")
    assert Path(found.styles[0].picture).name == "brush.jpg" and settings == FEW
    again = server.client.post("looks", content=text).json()["look"]
    assert again["style"] == look["style"] and again["strength"] == [[0.0, 0.1], [2.0, 0.6, "smooth"]]
    for bad in ("no toml", "strength = 7", "[[style]]\npicture = 'nowhere.jpg'", "x" * 100):
        answer = server.client.post("looks", content=bad)
        assert answer.status_code == 400 and "error" in answer.json()


def test_the_command_line_says_the_same(server):
    clip, style = server.named("clip.mp4"), server.named("styles/brush.jpg")
    look = {"style": [{"picture": style}], "strength": 0.6, "style_layers": ["conv1_1", "conv2_1"]}
    words = server.client.post("command", json={"source": clip, "look": look, "media": SMALL}).json()["words"]
    assert words[:3] == ["videostyle", "video", str(sample("clip.mp4"))]
    assert words[3:] == [
        *("--style", str(sample("styles/brush.jpg")), "--strength", "0.6", "--style-layers", "conv1_1,conv2_1"),
        *("--size", "64", "--duration", "0.3", "-o", "clip-brush.mp4"),
    ]
    changing = look | {"strength": [[0, 0.1], [1, 0.5]]}
    words = server.client.post("command", json={"source": clip, "look": changing}).json()["words"]
    assert read_look(words[words.index("--look") + 1])[0].changing


def test_a_mask_of_a_brush_is_taken_in(server):
    made = io.BytesIO()
    Image.new("L", (64, 36), 255).save(made, "PNG")
    entry = server.client.post("media?role=mask&name=part.png", content=made.getvalue()).json()
    assert entry["kind"] == "mask" and entry["width"] == 64
    clip = server.client.post("media?role=clip&name=holiday.mp4", content=sample_bytes("clip.mp4")).json()
    assert clip["kind"] == "clip" and clip["name"] == "holiday.mp4"


def test_a_missing_extra_is_one_line_with_the_command(monkeypatch, tmp_path, capsys):
    from videostyle.studio import serve

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'videostyle\[studio\]'"):
        serve.serve(tmp_path / "x", "127.0.0.1", 0, 1, print)
    assert not (tmp_path / "x").exists()
    assert main(["studio", str(tmp_path / "x"), "--no-browser"]) == 1
    assert "pip install" in capsys.readouterr().err


def test_the_server_imports_no_torch():
    code = "import sys, videostyle.studio.app, videostyle.cli.studio; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
