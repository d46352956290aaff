"""The command line: what works, what is refused and how, and that the README's commands are true."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import av
import pytest
import torch
from PIL import Image

from videostyle.cli.main import main
from videostyle.media.still import read_picture
from videostyle.samples import sample
from videostyle.settings import MediaSettings, RunSettings, Settings

QUICK = ["--size", "64", "--iterations", "2", "--min-iterations", "1"]
SHORT = [*QUICK, "--duration", "0.2"]
README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def clip() -> str:
    return str(sample("clip.mp4"))


@pytest.fixture(scope="module")
def style() -> str:
    return str(sample("styles/brush.jpg"))


def refusal(capsys: pytest.CaptureFixture[str], status: int, *arguments: str) -> str:
    """Run a command that must fail with this status and one line on stderr; that line."""
    assert main([*arguments]) == status
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("videostyle: ")]
    assert len(lines) == 1 and "Traceback" not in captured.err and "should not happen" not in captured.err
    return lines[0]


def test_video_with_its_default_name_sound_and_record(
    here: Path, clip: str, style: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["video", clip, "--style", style, *SHORT, "--record", "run.json"]) == 0
    assert {p.name for p in here.iterdir()} == {"clip-brush.mp4", "run.json"}
    with av.open(str(here / "clip-brush.mp4")) as made:
        assert (made.streams.video[0].width, made.streams.video[0].height) == (64, 36)
        assert len(made.streams.audio) == 1
        frames = sum(1 for _ in made.decode(video=0))
        comment = json.loads(made.metadata["comment"])
    run = json.loads((here / "run.json").read_text())
    assert run["totals"]["frames"] == len(run["frames"]) == frames == 5
    assert run["backbone"]["name"] == comment["videostyle"]["backbone"]["name"] == "compact"
    assert run["settings"]["iterations"] == comment["videostyle"]["settings"]["iterations"] == 2
    assert str(here) not in json.dumps(run) and os.path.dirname(clip) not in json.dumps(run)
    assert run["frames"][0]["start"] == "palette" and run["frames"][-1]["start"] == "warped"
    assert "clip-brush.mp4: 5 frames in " in capsys.readouterr().out


def test_quiet_prints_nothing(here: Path, clip: str, style: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["video", clip, "--style", style, *SHORT, "--quiet", "-o", "out.mkv"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_an_existing_output_is_kept_unless_told(
    here: Path, clip: str, style: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "out.mp4").write_bytes(b"precious")
    line = refusal(capsys, 2, "video", clip, "--style", style, *SHORT, "-o", "out.mp4")
    assert "out.mp4" in line and "--overwrite" in line
    assert (here / "out.mp4").read_bytes() == b"precious"
    assert main(["video", clip, "--style", style, *SHORT, "-o", "out.mp4", "--overwrite"]) == 0
    assert (here / "out.mp4").stat().st_size > 1000


def test_preview_is_a_picture_and_an_estimate(
    here: Path, clip: str, style: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["video", clip, "--style", style, *QUICK, "--preview", "1.5"]) == 0
    assert [p.name for p in here.iterdir()] == ["clip-brush-preview.png"]
    later = read_picture(here / "clip-brush-preview.png")
    assert later.shape == (1, 3, 36, 64)
    said = capsys.readouterr().out
    assert "96 frames" in said and "a frame" in said and "memory" in said
    assert main(["video", clip, "--style", style, *QUICK, "--overwrite", "--preview"]) == 0
    assert not torch.equal(read_picture(here / "clip-brush-preview.png"), later)  # another frame of the clip


def test_passthrough_needs_no_style(here: Path, clip: str) -> None:
    assert main(["video", clip, "--passthrough", "--size", "64", "--quiet", "-o", "same.mp4"]) == 0
    with av.open(str(here / "same.mp4")) as made:
        assert (made.streams.video[0].width, made.streams.video[0].height) == (64, 36)
        assert sum(1 for _ in made.decode(video=0)) == 96


def test_image_with_its_default_name(here: Path, style: str) -> None:
    assert main(["image", str(sample("photo.jpg")), "--style", style, *QUICK, "--quiet"]) == 0
    assert read_picture(here / "photo-brush.png").shape == (1, 3, 43, 64)
    with Image.open(here / "photo-brush.png") as made:
        assert "compact" in made.text["Comment"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "init",
    ["content", "PICTURE", *(pytest.param(name, marks=pytest.mark.slow) for name in ("noise", "previous", "warped"))],
)
def test_every_start(here: Path, clip: str, style: str, init: str) -> None:
    init = style if init == "PICTURE" else init
    arguments = [
        "--init",
        init,
        "--keyframes",
        "off",
        "--first-init",
        "noise",
        "--quiet",
        "-o",
        "out.gif",
        "--record",
        "run.json",
    ]
    assert main(["video", clip, "--style", style, *SHORT, *arguments]) == 0
    assert (here / "out.gif").is_file()
    starts = [frame["start"] for frame in json.loads((here / "run.json").read_text())["frames"]]
    first = "noise" if init in ("previous", "warped") else Path(init).name  # --first-init is for these two
    assert starts == [first, *[Path(init).name] * (len(starts) - 1)] and len(starts) > 1


def test_a_low_ceiling_needs_no_floor(here: Path, clip: str, style: str) -> None:
    arguments = ["--size", "64", "--duration", "0.1", "--iterations", "3", "--quiet", "--record", "run.json"]
    assert main(["video", clip, "--style", style, *arguments]) == 0
    run = json.loads((here / "run.json").read_text())
    assert (run["settings"]["iterations"], run["settings"]["min_iterations"]) == (3, 3)
    assert all(frame["evaluations"] <= 3 for frame in run["frames"])


def test_rare_options_are_in_a_group_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["video", "--help"])
    usual, _, rare = capsys.readouterr().out.partition("advanced (rarely needed):")
    for cls in (Settings, MediaSettings, RunSettings):
        for f in fields(cls):
            option = "--" + f.metadata.get("option", f.name).replace("_", "-")
            listed = [len(re.findall(rf"^  {option}(?![\w-])", part, flags=re.M)) for part in (usual, rare)]
            assert listed == ([0, 1] if f.metadata.get("rare") else [1, 0]), option
    assert len(usual.splitlines()) < 100


def test_other_options_work(here: Path, clip: str, style: str) -> None:
    options = "--optimizer adam --tv-weight 1 --style-layers conv1_1,conv2_1 --content-layers conv4_2 --precision fp32"
    options += " --style-scale 0.5 --audio none --crf 30 --seed 3 --tolerance 0 --content-weight 2 --style-weight 50"
    common = ["video", clip, "--style", style, *SHORT, "--quiet", "-o", "out.mp4", "--record", "run.json"]
    assert main([*common, *options.split()]) == 0
    with av.open(str(here / "out.mp4")) as made:
        assert not made.streams.audio
    run = json.loads((here / "run.json").read_text())
    given = {"optimizer": "adam", "tv_weight": 1, "style_layers": ["conv1_1", "conv2_1"], "precision": "fp32"}
    given |= {"content_layers": ["conv4_2"], "style_scale": 0.5, "seed": 3, "tolerance": 0, "content_weight": 2}
    given |= {"style_weight": 50}
    assert {name: run["settings"][name] for name in given} == given
    assert (run["media"]["audio"], run["media"]["crf"], run["device"]["precision"]) == ("none", 30, "fp32")


@pytest.mark.parametrize(
    "option",
    [
        "--optimizer adam",
        "--tv-weight 1000",
        "--style-layers conv1_1",
        "--content-layers conv3_1",
        "--style-scale 0.5",
        "--content-weight 100",
        "--style-weight 5",
        "--seed 3",
        "--first-init content",
    ],
)
def test_every_option_of_the_look_changes_the_picture(here: Path, style: str, option: str) -> None:
    common = ["image", str(sample("photo.jpg")), "--style", style, "--size", "64", "--iterations", "8", "--quiet"]
    common += ["--first-init", "noise"]  # the content loss of a picture that is the content already is 0
    assert main([*common, "-o", "usual.png"]) == 0
    assert main([*common, *option.split(), "-o", "other.png"]) == 0
    assert not torch.equal(read_picture(here / "usual.png"), read_picture(here / "other.png"))


OTHER_NAMES = ("with space.mp4", 'it\'s "quoted".mp4', "żółć-画.mp4", "http:x.mp4", "concat:a|b.mp4")


@pytest.mark.parametrize(
    "name", ["-dash.mp4", "50% off%d.mp4", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHER_NAMES)]
)
def test_awkward_names_are_files_and_nothing_else(here: Path, clip: str, style: str, name: str) -> None:
    shutil.copy(clip, here / name)
    shutil.copy(style, here / f"{name}.jpg")
    arguments = [f"--style={name}.jpg", *SHORT, "--quiet", f"--output=out {name}", "--", name]
    assert main(["video", *arguments]) == 0
    assert (here / f"out {name}").is_file()


BAD = {
    "missing clip": (2, "video nope.mp4 --style {style}", r"nope\.mp4"),
    "another URL is a file": (2, "video ftp://localhost:1/x.mp4 --style {style}", r"ftp:/"),
    "a URL where nothing answers": (1, "video http://localhost:1/x.mp4 --style {style}", r"http://"),
    "no style": (2, "video {clip}", "--style"),
    "missing style": (2, "video {clip} --style nope.png", r"nope\.png"),
    "unreadable style": (2, "video {clip} --style text.png", r"text\.png"),
    "a video as style": (2, "video {clip} --style {clip}", "picture"),
    "a picture as clip": (2, "video {style} --style {style}", "clip|video"),
    "a clip without video": (2, "video sound.wav --style {style}", "video"),
    "garbage as clip": (1, "video text.mp4 --style {style}", r"text\.mp4"),
    "an empty clip": (1, "video empty.mp4 --style {style}", r"empty\.mp4"),
    "a folder as clip": (2, "video . --style {style}", "folder|directory"),
    "no such output folder": (2, "video {clip} --style {style} -o no/out.mp4", "no"),
    "an unknown ending": (2, "video {clip} --style {style} -o out.xyz", "xyz"),
    "the source as output": (2, "video copy.mp4 --style {style} -o copy.mp4 --overwrite", r"copy\.mp4"),
    "an unknown layer": (2, "video {clip} --style {style} --style-layers conv9_9", "conv9_9.*conv1_1"),
    "a layer of vgg19": (2, "video {clip} --style {style} --content-layers conv3_3", "vgg19"),
    "average pooling": (2, "video {clip} --style {style} --pooling average", "vgg19"),
    "a number that is none": (2, "video {clip} --style {style} --size big", "--size.*number"),
    "not a number": (2, "video {clip} --style {style} --tolerance nan", "tolerance.*number"),
    "a negative weight": (2, "video {clip} --style {style} --style-weight -1", "style-weight"),
    "a temporal weight without coherence": (
        2,
        "video {clip} --style {style} --coherence 0 --temporal-weight 5",
        "temporal-weight is 5 .*coherence 0.*leave one",
    ),
    "floor above ceiling": (2, "video {clip} --style {style} --iterations 2 --min-iterations 5", "floor"),
    "a start beyond the end": (2, "video {clip} --style {style} --start 99", "99"),
    "an unknown device": (2, "video {clip} --style {style} --device tpu", "tpu"),
    "an unknown start": (2, "video {clip} --style {style} --init nope.png", r"nope\.png"),
    "missing weights": (1, "video {clip} --style {style} --weights nope.pth", r"nope\.pth"),
    "garbage as weights": (1, "video {clip} --style {style} --weights text.npz", r"text\.npz"),
    "a wrong kind of weights": (1, "video {clip} --style {style} --weights {style}", "safetensors"),
    "weights not here": (1, "video {clip} --style {style} --backbone vgg19-caffe", "--weights"),
    "no record folder": (2, "video {clip} --style {style} --record no/run.json", "record"),
    "an unknown command": (2, "paint", "--help"),
    "an unknown option": (2, "video {clip} --style {style} --sparkle", "--sparkle"),
    "a missing photo": (2, "image nope.jpg --style {style}", r"nope\.jpg"),
    "unknown weights name": (1, "weights check nope", "nope"),
    "weights that cannot be fetched": (2, "weights fetch compact", "vgg19"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_line(
    here: Path, clip: str, style: str, case: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(here / "cache"))
    (here / "text.png").write_text("no picture\n")
    (here / "text.mp4").write_text("no clip\n" * 200)
    (here / "text.npz").write_text("no weights\n")
    (here / "empty.mp4").touch()
    shutil.copy(clip, here / "copy.mp4")
    sound = (
        b"RIFF"
        + (36 + 1600).to_bytes(4, "little")
        + b"WAVEfmt "
        + bytes.fromhex("1000000001000100401f0000803e000002001000")
    )
    (here / "sound.wav").write_bytes(sound + b"data" + (1600).to_bytes(4, "little") + bytes(1600))
    before = {p.name: p.stat().st_mtime_ns for p in here.iterdir()}
    status, command, words = BAD[case]
    line = refusal(capsys, status, *[part.format(clip=clip, style=style) for part in command.split()])
    assert re.search(words, line), line
    assert {p.name: p.stat().st_mtime_ns for p in here.iterdir() if p.name != "cache"} == before


@pytest.mark.slow
def test_without_opencv_the_headless_package_is_named(here: Path) -> None:
    code = "import sys; sys.modules['cv2'] = None; from videostyle.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = ["video", str(sample("clip.mp4")), "--style", str(sample("styles/brush.jpg"))]
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "opencv-python-headless" in done.stderr and "Traceback" not in done.stderr


def test_doctor_and_weights_say_what_is_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    for word in ("ffmpeg", "devices", "would use", "weights of vgg19", "torch", "opencv"):
        assert word in said
    assert main(["weights"]) == 0
    assert "weights of compact: in the package" in capsys.readouterr().out
    assert main(["weights", "check", "compact"]) == 0
    assert "compact: sound" in capsys.readouterr().out


def test_it_ends_in_silence_when_nobody_reads() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code = "import sys; from videostyle.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "weights"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_importing_the_package_does_no_work() -> None:
    code = "import sys, videostyle; print([m for m in ('torch', 'cv2', 'av', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def readme_commands() -> list[str]:
    """Every line of the README's shell blocks that runs the tool on the samples or on nothing."""
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.S)
    parts = [part.strip() for block in blocks for line in block.splitlines() for part in line.split("&&")]
    tool = [part.removeprefix(".venv/bin/") for part in parts if re.match(r"(\.venv/bin/)?videostyle ", part)]
    return [command for command in tool if "holiday" not in command]


def test_the_readme_has_its_two_commands() -> None:
    text = README.read_text(encoding="utf-8")
    assert re.search(r"<!-- command one -->\n```sh\n.*pip install.*videostyle video samples/clip.mp4.*\n```", text)
    assert re.search(r"<!-- command two -->\n```sh\n.*pip install.*pytest.*\n```", text)
    assert len(readme_commands()) >= 5


@pytest.mark.parametrize("command", readme_commands())
def test_the_readme_commands_run(here: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "samples").symlink_to(sample("clip.mp4").parent)
    _, *arguments = shlex.split(command)
    if arguments[0] in ("video", "image"):
        arguments += QUICK
    if arguments[0] == "video" and "--preview" not in arguments:
        arguments += ["--duration", "0.2"]
    if arguments == ["--help"]:
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 0
    else:
        assert main(arguments) == 0
    assert capsys.readouterr().out


def test_the_readmes_options_exist(capsys: pytest.CaptureFixture[str]) -> None:
    text = README.read_text(encoding="utf-8")
    for command in [*sorted(set(re.findall(r"videostyle ([a-z]+)", text)) & COMMANDS), ""]:
        with pytest.raises(SystemExit):
            main([*([command] if command else []), "--help"])
    known = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    named = set(re.findall(r"(?<![a-z])--[a-z][a-z-]+", text)) - PIPS_OPTIONS
    assert named <= known, named - known


COMMANDS = {"video", "image", "webcam", "measure", "experiments", "demo", "doctor", "weights"}
PIPS_OPTIONS = {"--quiet"}
