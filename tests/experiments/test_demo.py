"""The demo video: what goes into it, and what comes out, with a stub in the painter's place."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from small_networks import smooth_picture

from videostyle.errors import StalledError, UsageError
from videostyle.experiments.demo import film, lettering, montage
from videostyle.experiments.demo.film import make_demo
from videostyle.experiments.demo.lettering import caption, cropped, end_card
from videostyle.media.still import read_picture, write_picture
from videostyle.networks import compact
from videostyle.pipeline.video import copy_video
from videostyle.samples import sample
from videostyle.settings import MediaSettings, Settings

SECONDS = 0.25
USUAL = [({"quick": True}, 256, 30), ({"size": 32}, 32, 99), ({}, 1280, 99)]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float, float]]:
    """Clips are copied, not painted; the style, start and length of each are noted."""
    seen = []

    def copy(clip, style, output, settings, media, **_):
        seen.append((Path(style).stem, media.start_seconds, media.duration_seconds))
        return copy_video(clip, output, settings, media)

    monkeypatch.setattr(film, "stylise_video", copy)
    for name in ("SECONDS", "TITLE_SECONDS", "END_SECONDS"):
        monkeypatch.setattr(film, name, SECONDS)
    return seen


def streams(path: Path) -> dict[str, float]:
    """What a player sees: frames, seconds, size, streams."""
    with av.open(str(path)) as made:
        video = made.streams.video[0]
        frames = sum(1 for _ in made.decode(video=0))
        sound = [s.codec_context.name for s in made.streams.audio]
        size = (video.width, video.height)
        return {"frames": frames, "seconds": float(made.duration or 0) / 1e6, "size": size, "sound": sound}  # type: ignore[dict-item]


@pytest.mark.slow
def test_the_demo_has_every_scene_sound_and_an_animation(tmp_path, stub, monkeypatch):
    styles = [sample(f"styles/{name}.jpg") for name in ("brush", "cubist", "woodcut")]
    folder = tmp_path / "demo"
    video, animation = make_demo(folder, styles=styles, settings=Settings(backbone="compact"), size=64)
    made = streams(video)
    rate, expected = 24, 6 * round(SECONDS * 24)
    assert made["frames"] == expected
    assert made["seconds"] == pytest.approx(expected / rate, abs=0.1)
    assert made["size"] == (1280, 720) and made["sound"] == ["aac"]
    assert 0 < animation.stat().st_size < 3_000_000 and animation.suffix in (".webp", ".gif")
    # the main style paints all, the others only their own frames
    assert stub == [("brush", 0, SECONDS), ("cubist", 0, SECONDS / 2), ("woodcut", SECONDS / 2, SECONDS / 2)]
    monkeypatch.setattr(film, "compose", lambda *_: None)
    make_demo(folder, styles=styles, settings=Settings(backbone="compact"), size=64)
    assert len(stub) == 3  # what was painted is kept


@pytest.fixture
def painted(tmp_path, stub, monkeypatch):
    """Makes a demo of a short clip and one style, its cards not drawn; the number of clips painted so far."""
    monkeypatch.setattr(lettering.Sheet, "save", lambda _, path: path)
    monkeypatch.setattr(film, "compose", lambda *_: None)
    monkeypatch.setattr(film, "animate", lambda *_: tmp_path / "demo.webp")
    clip, style = tmp_path / "in.mp4", tmp_path / "style.png"
    copy_video(sample("clip.mp4"), clip, media=MediaSettings(size=64, duration_seconds=0.25))
    write_picture(style, smooth_picture(40, 60, seed=1), overwrite=False)

    def make(**changes) -> int:
        make_demo(tmp_path / "demo", clip, [style], Settings(backbone="compact").replace(**changes), size=32)
        return len(stub)

    return make


@pytest.mark.slow
def test_a_demo_is_painted_again_for_other_content_and_not_for_the_same(tmp_path, painted):
    assert painted() == painted() == 1
    write_picture(tmp_path / "style.png", smooth_picture(40, 60, seed=2), overwrite=True)
    assert painted() == painted() == 2
    media = MediaSettings(size=64, duration_seconds=0.25, start_seconds=1.0, overwrite=True)
    copy_video(sample("clip.mp4"), tmp_path / "in.mp4", media=media)
    assert painted() == painted() == 3
    assert painted(seed=1) == 4
    write_picture(tmp_path / "start.png", smooth_picture(40, 60, seed=1), overwrite=False)
    start = {"first_init": str(tmp_path / "start.png")}
    assert painted(**start) == painted(**start) == 5
    write_picture(tmp_path / "start.png", smooth_picture(40, 60, seed=2), overwrite=True)
    assert painted(**start) == 6


@pytest.mark.slow
def test_two_styles_of_one_name_are_two(tmp_path, stub, monkeypatch):
    cards, scenes = [], []
    monkeypatch.setattr(film, "compose", lambda made, *_: scenes.extend(made))
    monkeypatch.setattr(film, "animate", lambda *_: tmp_path / "demo.webp")
    monkeypatch.setattr(film.lettering, "end_card", lambda size, stills, *_: cards.append(stills) or caption(size, ""))
    monkeypatch.setattr(lettering.Sheet, "save", lambda _, path: path)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_picture(tmp_path / folder / "style.png", smooth_picture(40, 60, seed=ord(folder)), overwrite=False)
    styles = [tmp_path / "a/style.png", tmp_path / "b/style.png"]
    make_demo(tmp_path / "demo", None, styles, Settings(backbone="compact"), size=32)
    painted = {part.clip for scene in scenes for part in scene.parts} - {tmp_path / "demo/clips/source.mp4"}
    assert len(painted) == len(stub) == 2 and len(cards[0]) == 3


@pytest.mark.slow
@pytest.mark.parametrize(("options", "size", "iterations"), [({"quick": True, "size": 48}, 48, 30), *USUAL])
def test_size_and_quick_reach_the_painter(tmp_path, stub, monkeypatch, options, size, iterations):
    seen = []

    def copy(clip, style, output, settings, media, **_):
        seen.append((media.size, settings.iterations))
        return copy_video(clip, output, settings, media)

    monkeypatch.setattr(film, "stylise_video", copy)
    monkeypatch.setattr(film, "compose", lambda *_: None)
    monkeypatch.setattr(film, "animate", lambda *_: tmp_path / "demo.webp")
    monkeypatch.setattr(lettering.Sheet, "save", lambda _, path: path)
    settings = Settings(backbone="compact", device="cpu", iterations=99)
    make_demo(tmp_path / "demo", styles=[sample("styles/brush.jpg")], settings=settings, **options)
    assert seen == [(size, iterations)]


@pytest.mark.slow
def test_a_demo_is_painted_again_by_another_network(painted, monkeypatch):
    assert painted() == 1
    network = compact.load()
    monkeypatch.setattr(compact, "load", lambda: replace(network, sha256="other"))
    assert painted() == painted() == 2


@pytest.mark.slow
def test_a_clip_without_sound_that_is_square_and_one_style(tmp_path, stub):
    graph = montage.Canvas((64, 64), Fraction(24))
    silent = tmp_path / "a silent 'clip'.mp4"
    montage.compose([montage.Scene(12, (montage.Part(sample("clip.mp4"), 12),))], graph, silent)
    assert streams(silent)["sound"] == []
    video, _ = make_demo(tmp_path / "out", silent, [sample("styles/brush.jpg")], Settings(backbone="compact"), size=32)
    made = streams(video)
    assert made["sound"] == [] and len(stub) == 1
    assert made["frames"] == 5 * 6


@pytest.mark.parametrize("relative", [False, True])
def test_a_folder_whose_name_means_something_to_ffmpeg(tmp_path, monkeypatch, relative):
    """The list of scenes knows quotes, and names in it are URLs."""
    folder = tmp_path / "a #1 it's 50%?"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    output = (folder.relative_to(tmp_path) if relative else folder) / "demo.mp4"
    scenes = [montage.Scene(n, (montage.Part(sample("clip.mp4"), n),)) for n in (6, 3)]
    montage.compose(scenes, montage.Canvas((64, 36), Fraction(24)), output)
    assert streams(output)["frames"] == 9


def test_composing_is_tried_once_more_when_ffmpeg_hangs(tmp_path, monkeypatch):
    ways: list[float] = []
    real = montage.run

    def hangs_first(arguments, *, seconds):
        ways.append(seconds)
        if len(ways) == 1:
            raise StalledError("ffmpeg did not finish")
        return real(arguments, seconds=seconds)

    monkeypatch.setattr(montage, "run", hangs_first)
    clip = tmp_path / "clip.mp4"
    canvas = montage.Canvas((64, 36), Fraction(24))
    montage.compose([montage.Scene(6, (montage.Part(sample("clip.mp4"), 6),))], canvas, clip)
    assert streams(clip)["frames"] == 6
    assert len(ways) == 3 and ways[0] < 60  # twice the scene, then the joining


def test_a_place_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        make_demo(tmp_path / "file")
    with pytest.raises(UsageError, match="does not exist"):
        make_demo(tmp_path / "no" / "demo")


def test_a_gif_where_webp_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(montage, "has", lambda *_: False)
    clip = tmp_path / "clip.mp4"
    montage.compose(
        [montage.Scene(6, (montage.Part(sample("clip.mp4"), 6),))], montage.Canvas((64, 36), Fraction(24)), clip
    )
    made = montage.animate(clip, tmp_path, 8_000_000)
    assert made.suffix == ".gif" and made.read_bytes()[:3] == b"GIF"


def test_a_style_picture_is_cut_to_its_place():
    assert cropped(smooth_picture(30, 60), 1.0).shape == (1, 3, 30, 30)
    assert cropped(smooth_picture(60, 30), 2.0).shape == (1, 3, 15, 30)


@pytest.mark.slow
@pytest.mark.parametrize("given", [False, True])
def test_the_end_names_the_command_that_makes_the_demo(tmp_path, stub, monkeypatch, given):
    commands = []

    def card(size, stills, command, lines):
        commands.append(command)
        return end_card(size, stills, command, lines)

    monkeypatch.setattr(film, "compose", lambda *_: None)
    monkeypatch.setattr(film, "animate", lambda *_: tmp_path / "demo.webp")
    monkeypatch.setattr(film.lettering, "end_card", card)
    monkeypatch.setattr(lettering.Sheet, "save", lambda _, path: path)
    monkeypatch.setattr(film, "STYLES", ("brush",))
    clip, style = tmp_path / "my holiday.mp4", tmp_path / "one.jpg"
    clip.write_bytes(sample("clip.mp4").read_bytes())
    style.write_bytes(sample("styles/brush.jpg").read_bytes())
    options = {"clip": clip, "styles": [style], "size": 32, "quick": True} if given else {}
    make_demo(tmp_path / "demo", settings=Settings(backbone="compact", device="cpu"), **options)
    asked = " --clip 'my holiday.mp4' --style one.jpg --size 32 --quick" if given else ""
    assert commands == [f"videostyle demo{asked}"]


@pytest.mark.parametrize("count", [2, 3, 6, 11])
def test_every_still_has_its_place_on_the_end_card(tmp_path, count):
    stills = [(f"Style {i}", smooth_picture(40, 60, seed=i)) for i in range(count)]
    card = end_card((1280, 720), stills, "videostyle demo " + "x " * 99, ["a line"])
    boxes = [image.get_extent() for image in card.axes.images]
    assert len(boxes) == count
    assert all(0 <= left < right <= 1280 and 0 <= top < bottom < 590 for left, right, bottom, top in boxes)
    assert read_picture(card.save(tmp_path / "end.png")).shape == (1, 3, 720, 1280)


def test_the_words_are_drawn(tmp_path):
    drawn = read_picture(caption((320, 180), "Woodcut").save(tmp_path / "c.png"))
    assert drawn.shape == (1, 3, 180, 320) and drawn.std() > 0.01
