"""Recipes: every one loads, says what the slides say, and refuses what it does not know."""

import pytest

from videostyle.errors import UsageError
from videostyle.experiments.inputs import check_input
from videostyle.experiments.recipes import QUICK_EVALUATIONS, load_recipes, parse_recipe, scaled, slides_settings
from videostyle.networks.compact import LAYERS

RECIPES = load_recipes()
HEAD = 'order = 1\ntitle = "T"\nslide = "S"\ncaption = "C"\n'


def test_all_figures_of_the_slides_are_there():
    wanted = ["method", "trade-off", "content-layer", "style-layers", "feature-maps", "initialisation", "seeds"]
    assert [recipe.name for recipe in load_recipes()][:9] == [*wanted, "photo-realistic", "video"]
    assert sum(recipe.question for recipe in RECIPES) == 3


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
def test_a_recipe_refers_to_inputs_and_layers_that_exist(recipe):
    assert recipe.title and recipe.slide and recipe.caption
    for name in {
        *recipe.inputs,
        *recipe.contents,
        *(v.content for v in recipe.variants),
        *(v.style for v in recipe.variants),
    }:
        check_input(name)
    for variant in recipe.variants:
        assert variant.settings.init in ("noise", "content", "pathological")
        assert {*variant.settings.content_layers, *variant.settings.style_layers} <= set(LAYERS)
        assert variant.settings.pooling == "average"
    assert set(recipe.layers) <= set(LAYERS)


def test_the_slides_numbers():
    slides = slides_settings()
    assert (slides["iterations"], slides["init"], slides["seed"]) == (3000, "noise", 0)
    assert slides["content_weight"] / slides["style_weight"] == 1e-3
    by_name = {recipe.name: recipe for recipe in RECIPES}
    assert [v.ratio for v in by_name["trade-off"].variants] == pytest.approx([1e-1, 1e-2, 1e-3, 1e-4])
    assert [v.settings.iterations for v in by_name["initialisation"].variants] == [3000, 3000, 3000, 10000]
    assert by_name["photo-realistic"].variants[0].settings.iterations == 5000
    assert len({v.ratio for v in by_name["question-content"].variants}) == 9


def test_quick_is_the_same_with_fewer_evaluations():
    for recipe in RECIPES:
        for slow, fast in zip(recipe.variants, scaled(recipe, QUICK_EVALUATIONS).variants, strict=True):
            assert fast.settings == slow.settings.replace(iterations=slow.settings.iterations // 20)


def test_evaluations_are_scaled_in_proportion():
    by_name = {recipe.name: scaled(recipe, 600) for recipe in RECIPES}
    assert [v.settings.iterations for v in by_name["initialisation"].variants] == [600, 600, 600, 2000]
    assert by_name["photo-realistic"].variants[0].settings.iterations == 1000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour = 1", "unknown key colour"),
        ('[[variants]]\nlabel = "a"\nsize = 3', "unknown key size"),
        ('[[variants]]\nlabel = "a"\nsettings = { beta = 3 }', "recipe x: unknown setting beta"),
        ('[[variants]]\nlabel = "a"\nsettings = { iterations = 0 }', "recipe x: iterations is 0"),
        ('layout = "circle"', "layout is 'circle'"),
    ],
)
def test_what_is_not_known_is_refused(text, words):
    with pytest.raises(UsageError, match=words):
        parse_recipe("x", HEAD + text)


def test_names_and_inputs_that_do_not_exist_are_refused():
    with pytest.raises(UsageError, match="no experiment called nothing"):
        load_recipes(("nothing",))
    with pytest.raises(UsageError, match="no input called"):
        check_input("nothing")


def test_variants_are_made_for_each_of_several_contents():
    text = HEAD + 'contents = ["content", "dark"]\n[[variants]]\nlabel = "a"\n[[variants]]\nlabel = "b"'
    variants = parse_recipe("x", text).variants
    assert [(v.content, v.label) for v in variants] == [
        ("content", "a"),
        ("content", "b"),
        ("dark", "a"),
        ("dark", "b"),
    ]
