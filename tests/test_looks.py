"""Looks as values, as texts and as files: what is read is what was written, and what is wrong is said in one line."""

import random
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videostyle.errors import UsageError
from videostyle.settings import Settings
from videostyle.settings.curves import Key, Keys, KeyTime
from videostyle.settings.look import CHANGING, ColourLook, Look, RegionLook, StylePicture, as_look
from videostyle.settings.look_file import NOT_OF_A_LOOK, as_toml, from_plain, read_look, to_plain
from videostyle.settings.look_text import colours_of_text, mask_of_text, region_of_text, style_of_text

WHOLE = """
strength = [[0, 0.1], [2.5, 0.6, "smooth"], ["end-1", 0.2]]
style_scale = { drive = "bass", low = 0.8, high = 1.2 }
coherence = 0.8
feather = 12
colours = { of = "source", share = [[0, 0], ["50%", 1]] }

[[style]]
picture = "day.jpg"
weight = [[0, 1], ["cut+0.5", 0]]

[[style]]
picture = "night.jpg"
weight = [[0, 0], ["cut+0.5", 1]]
scale = 1.5

[[region]]
mask = "boat.png@2.5"

[[region]]
mask = "sky.png"
weight = 2
style = [{ picture = "wood.jpg", scale = 0.5 }]
"""


def look_of(text: str) -> tuple[Look, dict[str, Any]]:
    return from_plain(tomllib.loads(text), "look")


def test_everything_at_once():
    look, fixed = look_of(WHOLE)
    assert fixed == {"coherence": 0.8} and look.feather == 12 and look.label == "look"
    assert [p.picture for p in look.pictures] == ["day.jpg", "night.jpg", "wood.jpg"]
    assert look.regions[0] == RegionLook("boat.png", 2.5)
    assert look.regions[1] == RegionLook("sky.png", None, (StylePicture("wood.jpg", scale=0.5),), 2.0)
    assert dict(look.changing).keys() == {"strength", "style_scale"}
    assert look.paths == ("day.jpg", "night.jpg", "wood.jpg", "boat.png", "sky.png")
    assert not look.is_plain and not look.has_network


def test_what_is_written_is_what_is_read():
    look, _ = look_of(WHOLE)
    assert from_plain(tomllib.loads(as_toml(to_plain(look))), "look")[0] == look


NAMES = st.text("abc é'\"\\/#=\n\t:@.-_☃", min_size=1, max_size=12)
NUMBERS = st.floats(0.01, 5).map(lambda x: round(x, 6))
CURVES = NUMBERS | st.lists(NUMBERS, min_size=1, max_size=4).map(
    lambda values: Keys(tuple(Key(KeyTime(amount=float(i)), v, "smooth") for i, v in enumerate(values)))
)
STYLES = st.lists(st.builds(StylePicture, NAMES, CURVES, CURVES), min_size=1, max_size=3).map(tuple)
MASKS = NAMES.filter(lambda name: "@" not in name)
REGIONS = st.lists(st.builds(RegionLook, MASKS, st.none() | NUMBERS, STYLES | st.just(()), CURVES), max_size=2).map(
    tuple
)
SHARES = st.floats(0, 1).map(lambda x: round(x, 6))
COLOURS = st.builds(ColourLook, st.sampled_from(["style", "source"]) | NAMES, SHARES)
CHANGES = st.dictionaries(st.just("style_weight"), CURVES.filter(lambda c: not isinstance(c, float))).map(
    lambda found: tuple(found.items())
)


@given(st.builds(Look, STYLES, REGIONS, COLOURS, NUMBERS, CHANGES))
def test_any_look_survives_its_file(look):
    found, fixed = from_plain(tomllib.loads(as_toml(to_plain(look))), "")
    assert found == look and fixed == {}


def test_a_picture_is_a_look_and_a_look_is_itself():
    look = as_look(Path("a/brush.jpg"))
    assert look == Look((StylePicture("a/brush.jpg"),)) and look.is_plain and look.label == "brush"
    assert as_look(look) is look
    blend = Look((StylePicture("a/b.jpg"), StylePicture("c.png", 2.0)))
    assert blend.label == "b+c" and blend.has_network and not blend.is_plain


def test_paths_are_seen_from_the_files_folder(tmp_path):
    (tmp_path / "l.toml").write_text(WHOLE)
    look, _ = read_look(tmp_path / "l.toml")
    assert look.paths == tuple(str(tmp_path / p) for p in ("day.jpg", "night.jpg", "wood.jpg", "boat.png", "sky.png"))
    assert look.regions[0].at_seconds == 2.5 and look.label == "l"
    (tmp_path / "m.toml").write_text('colours = "other/p.png:0.5"\nstyle = "/somewhere/a.jpg:2:scale=3"')
    look, _ = read_look(tmp_path / "m.toml")
    assert look.colours == ColourLook(str(tmp_path / "other" / "p.png"), 0.5)
    assert look.styles == (StylePicture("/somewhere/a.jpg", 2.0, 3.0),)


# --- texts


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a.jpg", StylePicture("a.jpg")),
        ("a.jpg:0.7", StylePicture("a.jpg", 0.7)),
        ("a.jpg:1:scale=2", StylePicture("a.jpg", 1.0, 2.0)),
        ("a.jpg:scale=0.5", StylePicture("a.jpg", 1.0, 0.5)),
        (r"C:\art\a.jpg:0.5", StylePicture(r"C:\art\a.jpg", 0.5)),
        ("dir/a.jpg", StylePicture("dir/a.jpg")),
    ],
)
def test_styles(text, expected):
    assert style_of_text(text) == expected


@pytest.mark.parametrize("text", ["", ":", "a.jpg:", "a.jpg:x", "a.jpg:1:2:x", "a.jpg:nan", ":0.5", "a:b:c"])
def test_what_is_no_style(text):
    with pytest.raises(UsageError, match="not a style"):
        style_of_text(text)


@pytest.mark.parametrize("text", ["a.jpg:-1", "a.jpg:1:scale=0", "a.jpg:1:scale=9"])
def test_numbers_out_of_range(text):
    with pytest.raises(UsageError, match=r"of a\.jpg is"):
        style_of_text(text)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("m.png", RegionLook("m.png")),
        ("m.png@2.5", RegionLook("m.png", 2.5)),
        ("m.png:a.jpg", RegionLook("m.png", None, (StylePicture("a.jpg"),))),
        ("m.png@0:a.jpg:0.5", RegionLook("m.png", 0.0, (StylePicture("a.jpg"),), 0.5)),
        (r"C:\m.png:D:/a.jpg:2", RegionLook(r"C:\m.png", None, (StylePicture("D:/a.jpg"),), 2.0)),
        ("me@home.png", RegionLook("me@home.png")),
    ],
)
def test_regions(text, expected):
    assert region_of_text(text) == expected


@pytest.mark.parametrize("text", ["", ":a.jpg", "m.png:", "m.png:a.jpg:x", "m.png:a.jpg:1:2", "m.png@-1", "@3"])
def test_what_is_no_region(text):
    with pytest.raises(UsageError, match=r"not a (region|mask)"):
        region_of_text(text)


def test_masks():
    assert mask_of_text("a@b@3") == ("a@b", 3.0) and mask_of_text("a@b") == ("a@b", None)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("style", ColourLook()),
        ("source", ColourLook("source")),
        ("source:0.6", ColourLook("source", 0.6)),
        ("p.png:0.2", ColourLook("p.png", 0.2)),
    ],
)
def test_colours(text, expected):
    assert colours_of_text(text) == expected


@pytest.mark.parametrize("text", ["", ":1", "source:x", "source:0.5:1", "source:2", "source:-1"])
def test_what_are_no_colours(text):
    with pytest.raises(UsageError, match="colours"):
        colours_of_text(text)


# --- errors


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "the look has no style"),
        ("style = 3", "style is 3"),
        ('style = "a.jpg"\ncolour = "source"', "'colour', which is not known"),
        ('style = "a.jpg"\nstrength = 2', "strength is 2"),
        ('style = "a.jpg"\nstrength = [[0, 2]]', "strength is 2"),
        ('style = "a.jpg"\nstrength = [[0, 0.5], [1, 0.6, "fast"]]', "strength goes to its key at 1 by 'fast'"),
        ('style = "a.jpg"\niterations = [[0, 5], [1, 6]]', "iterations is"),
        ('style = "a.jpg"\nweights = "x"', "'weights', which is not known"),
        ('[[style]]\npicture = "a.jpg"\nsize = 3', "a style has 'size'"),
        ("[[style]]\nweight = 3", "picture of a style is None"),
        ('style = "a.jpg"\n[[region]]\nstyle = "b.jpg"', "mask of a region is None"),
        ('style = "a.jpg"\nregion = "m.png"', "region is 'm.png'; expected tables"),
        ('style = "a.jpg"\nfeather = [[0, 1]]', "feather is"),
        ('style = "a.jpg"\nfeather = -1', "feather is -1"),
        ('[[style]]\npicture = "a.jpg"\nweight = [[0, 0], [1, 0]]', "no weight"),
    ],
)
def test_what_a_look_may_not_say(text, words, tmp_path):
    (tmp_path / "l.toml").write_text(text)
    with pytest.raises(UsageError) as refused:
        read_look(tmp_path / "l.toml")
    assert words in str(refused.value) and "l.toml" in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"style = ", b"a = [" * 3000, b"x" * (2 << 20)], ids=len)
def test_what_is_no_look(content, tmp_path):
    (tmp_path / "l.toml").write_bytes(content)
    with pytest.raises(UsageError, match=r"l\.toml") as refused:
        read_look(tmp_path / "l.toml")
    assert len(str(refused.value)) < 300


def test_a_look_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"none\.toml cannot be read"):
        read_look(tmp_path / "none.toml")


@pytest.mark.parametrize("seed", range(200))
def test_mutated_looks_are_read_or_refused_in_one_line(seed, tmp_path):
    draw = random.Random(seed)
    text = list(WHOLE)
    for _ in range(draw.randint(1, 8)):
        place = draw.randrange(len(text))
        text[place : place + draw.choice((0, 1, 5, 30))] = draw.choice(
            ("", "0", "-1", '"', "[", "]", "{", "=", "\n", "nan", "1e400", "true", "style", "[[region]]\n", "\x00", "☃")
        )
    (tmp_path / "l.toml").write_text("".join(text), encoding="utf-8")
    try:
        look, fixed = read_look(tmp_path / "l.toml")
    except UsageError as error:
        assert "\n" not in str(error) and str(error).startswith(str(tmp_path))
    else:
        Settings(**fixed)
        assert look.styles


def test_every_setting_is_of_the_look_or_of_the_machine():
    names = {*Settings.__dataclass_fields__}
    assert names >= NOT_OF_A_LOOK and names >= {*CHANGING} and not {*CHANGING} & NOT_OF_A_LOOK
