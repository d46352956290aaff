"""A request's words on the command line ask for the same request."""

from typing import Any

import pytest

from videostyle.cli.looks import asked_looks
from videostyle.cli.options import given_settings
from videostyle.cli.parser import make_parser
from videostyle.settings import MediaSettings, Settings
from videostyle.settings.command_line import command_of, needs_file
from videostyle.settings.look import ColourLook, Look, RegionLook, StylePicture
from videostyle.settings.look_file import from_plain

PLAIN = Look((StylePicture("a.jpg"),))
LOOKS = [
    PLAIN,
    PLAIN.replace(colours=ColourLook("source", 0.4), feather=3.0),
    Look((StylePicture("a.jpg", 0.7), StylePicture("b b.jpg", 0.3, 2.0))),
    PLAIN.replace(regions=(RegionLook("m.png", 1.5, (StylePicture("b.jpg"),), 2.0), RegionLook("n.png"))),
    PLAIN.replace(colours=ColourLook("c.jpg")),
]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("settings", [{}, {"strength": 0.1, "no_anchor": True, "style_layers": ["conv1_1", "conv2_1"]}])
def test_the_words_ask_for_the_same(look: Look, settings: dict[str, Any]) -> None:
    media = {"size": 64, "start_seconds": 0.5, "duration_seconds": 1.25, "cuts": [0.5, 1]}
    words = command_of("video", "clip one.mp4", look, "out.mp4", settings, media)
    assert words[0] == "videostyle" and not needs_file(look)
    arguments = make_parser().parse_args(words[1:])
    (asked,), found = asked_looks(arguments, arguments.styles)
    assert asked == look and found == Settings.from_mapping(settings)
    assert given_settings(arguments, MediaSettings) == MediaSettings.from_mapping(media)
    assert (arguments.clips, arguments.output) == (["clip one.mp4"], "out.mp4")


@pytest.mark.parametrize(
    "values",
    [
        {"style": [{"picture": "a.jpg"}], "strength": [[0, 0.1], [1, 0.5]]},
        {"style": [{"picture": "a.jpg", "weight": [[0, 1], [1, 0.5]]}]},
        {"style": [{"picture": "a:b.jpg"}]},
        {"style": [{"picture": "a.jpg"}], "region": [{"mask": "m.png", "weight": 0.5}]},
        {"style": [{"picture": "a.jpg"}], "region": [{"mask": "m.png", "style": [{"picture": "b", "scale": 2}]}]},
    ],
)
def test_what_options_cannot_say_needs_a_file(values: dict[str, Any]) -> None:
    look, settings = from_plain(values)
    assert needs_file(look)
    words = command_of("video", "c.mp4", look, "o.mp4", settings | {"seed": 3}, {}, "look.toml")
    assert words == ["videostyle", "video", "c.mp4", "--look", "look.toml", "-o", "o.mp4"]
