"""Settings: defaults that hold together, refusals in one line."""

from dataclasses import FrozenInstanceError, fields
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videostyle.errors import UsageError
from videostyle.settings import NAMED_STARTS, MediaSettings, RunSettings, Settings


@pytest.mark.parametrize("cls", [Settings, MediaSettings, RunSettings])
def test_the_defaults_are_valid_and_every_setting_has_a_help_text(cls):
    made = cls()
    for f in fields(cls):
        assert f.metadata["help"]
        assert getattr(made, f.name) == f.default
        if "choices" in f.metadata and f.default is not None:
            assert f.default in f.metadata["choices"]
    assert cls.from_mapping({}) == made


def test_the_published_defaults():
    made = Settings()
    assert made.content_layers == ("conv4_2",)
    assert made.style_layers == ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
    assert 1e-4 <= made.content_weight / made.style_weight <= 1e-3
    assert (made.pooling, made.tv_weight, made.seed, made.init) == ("max", 0.0, 0, "warped")
    assert made.init in NAMED_STARTS


def test_settings_are_frozen_and_named():
    with pytest.raises(FrozenInstanceError):
        Settings().seed = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        Settings("vgg19")  # type: ignore[misc]


@pytest.mark.parametrize(
    ("cls", "values", "words"),
    [
        (Settings, {"backbone": "resnet"}, r"backbone is 'resnet'; it can be auto, vgg19, vgg19-caffe, compact"),
        (Settings, {"pooling": "mean"}, r"pooling is 'mean'; it can be average, max"),
        (Settings, {"optimizer": "sgd"}, r"optimizer is 'sgd'"),
        (Settings, {"style_weight": -1.0}, r"style-weight is -1.0; it must be at least 0"),
        (Settings, {"style_weight": float("nan")}, r"style-weight is not a finite number"),
        (Settings, {"content_weight": float("inf")}, r"content-weight is not a finite number"),
        (Settings, {"style_scale": 0.0}, r"style-scale is 0.0; it must be above 0"),
        (Settings, {"style_scale": 9.0}, r"style-scale is 9.0; it must be at most 8"),
        (Settings, {"iterations": 0}, r"iterations is 0; it must be at least 1"),
        (Settings, {"iterations": 5, "min_iterations": 6}, r"min-iterations is 6 and iterations 5; the floor"),
        (Settings, {"content_layers": (), "style_layers": ()}, r"give at least one"),
        (Settings, {"temporal_weight": 5.0, "coherence": 0.0}, r"temporal-weight is 5 and coherence 0.*leave one"),
        (Settings, {"seed": -1}, r"seed is -1"),
        (MediaSettings, {"size": 15}, r"size is 15; it must be at least 16"),
        (MediaSettings, {"duration_seconds": 0.0}, r"duration-seconds is 0.0; it must be above 0"),
        (MediaSettings, {"crf": 64}, r"crf is 64; it must be at most 63"),
        (MediaSettings, {"cuts": (1.0, float("nan"))}, r"cuts holds nan; expected times"),
        (MediaSettings, {"cuts": (-1.0,)}, r"cuts holds -1.0; expected times"),
        (RunSettings, {"state_seconds": -1.0}, r"state-seconds is -1.0; it must be at least 0"),
        (RunSettings, {"restart": True, "partial": True}, r"restart throws away what partial would publish"),
        (MediaSettings, {"audio": "mp3"}, r"audio is 'mp3'; it can be auto, copy, transcode, none"),
    ],
)
def test_values_out_of_range_are_refused(cls, values, words):
    with pytest.raises(UsageError, match=words) as caught:
        cls(**values)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=words):
        cls().replace(**values)


@pytest.mark.parametrize(
    ("cls", "values", "words"),
    [
        (Settings, {"iterations": "300"}, r"iterations is '300'; expected a whole number$"),
        (Settings, {"iterations": 2.5}, r"iterations is 2.5; expected a whole number$"),
        (Settings, {"iterations": True}, r"iterations is True; expected a whole number$"),
        (Settings, {"style_weight": "much"}, r"style-weight is 'much'; expected a number$"),
        (Settings, {"temporal_weight": "1"}, r"temporal-weight is '1'; expected a number or nothing$"),
        (Settings, {"download": 1}, r"download is 1; expected true or false$"),
        (Settings, {"pooling": None}, r"pooling is None; expected a text$"),
        (Settings, {"style_layers": "conv1_1"}, r"style-layers is 'conv1_1'; expected a list, each a text$"),
        (Settings, {"style_layers": (1, 2)}, r"style-layers is \(1, 2\); expected a list, each a text$"),
        (MediaSettings, {"cuts": ("1",)}, r"cuts is \('1',\); expected a list, each a number or nothing$"),
    ],
)
def test_values_of_another_type_are_refused(cls, values, words):
    with pytest.raises(UsageError, match=words):
        cls(**values)


@pytest.mark.parametrize(("iterations", "floor"), [(1, 1), (6, 6), (8, 8), (300, 8)])
def test_a_low_ceiling_lowers_the_floor_that_nobody_gave(iterations, floor):
    assert Settings(iterations=iterations).iterations_floor == floor
    assert Settings(iterations=6).replace(iterations=iterations).iterations_floor == floor
    assert Settings(iterations=300, min_iterations=20).iterations_floor == 20


def test_without_coherence_a_temporal_weight_of_zero_is_no_contradiction():
    assert Settings(temporal_weight=0.0, coherence=0.0).temporal_weight == 0


def test_whole_numbers_and_fractions_are_numbers():
    assert Settings(style_weight=2000).style_weight == 2000
    assert MediaSettings(start_seconds=Fraction(1, 3), cuts=(1, 2.5)).cuts == (1, 2.5)


def test_the_ends_of_the_ranges_are_allowed():
    assert Settings(style_weight=0.0, style_scale=8.0, iterations=1, min_iterations=1, seed=0).iterations == 1
    assert Settings(content_layers=()).style_layers
    assert MediaSettings(size=16, crf=0).crf == 0
    assert MediaSettings(size=None).size is None


@pytest.mark.parametrize("cls", [Settings, MediaSettings, RunSettings])
def test_unknown_names_are_refused_with_the_known_ones(cls):
    with pytest.raises(UsageError, match=r"unknown setting sharpness, zoom; known ones are .*") as caught:
        cls.from_mapping({"zoom": 1, "sharpness": 2})
    assert all(f.name in str(caught.value) for f in fields(cls))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "style_weight": st.floats(0, 1e9),
            "iterations": st.integers(1, 500),
            "seed": st.integers(0, 2**31),
            "content_layers": st.lists(st.sampled_from(["conv3_1", "conv4_2"]), max_size=2),
        },
    )
)
def test_a_mapping_gives_what_it_says_and_defaults_for_the_rest(values):
    made = Settings.from_mapping(values)
    for f in fields(Settings):
        found = getattr(made, f.name)
        assert found == (tuple(v) if isinstance(v := values.get(f.name, f.default), list) else v)


def test_but_changes_only_what_it_is_told():
    made = Settings(seed=4).replace(iterations=50)
    assert (made.seed, made.iterations) == (4, 50)
    with pytest.raises(TypeError):
        made.replace(zoom=1)
