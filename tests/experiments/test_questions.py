"""The open questions: distances, retrieval and their words, on pictures whose answer is known."""

import pytest
import torch
from small_networks import picture, small_backbone, smooth_picture

from videostyle.experiments import questions
from videostyle.experiments.questions import MEASURES, Looks, power
from videostyle.experiments.recipes import load_recipes
from videostyle.experiments.runner import Curve, Made
from videostyle.experiments.sheet import Sheet
from videostyle.networks.backbone import Backbone


def made(pixels: torch.Tensor, loss: float = 1.0) -> Made:
    return Made("k", pixels, pixels, Curve([1, 10000], [9.0, loss], [1.0, 1.0], [1.0, 1.0]), 10000, 1.0, None)  # type: ignore[arg-type]


def sheet(name: str) -> Sheet:
    return Sheet(load_recipes((name,))[0], ())


def test_distances_vanish_for_one_picture_and_style_ignores_places():
    looks = Looks(small_backbone())
    a, b = smooth_picture(64, 64, seed=1), smooth_picture(64, 64, seed=2)
    for measure in MEASURES:
        assert looks.distance(measure, a, a) == 0
        assert looks.distance(measure, a, b) == pytest.approx(looks.distance(measure, b, a))
        assert looks.distance(measure, a, b) > 0
    moved = a.roll(16, 3)
    assert looks.distance("style", a, moved) < 0.5 * looks.distance("style", a, b)


def test_a_picture_is_looked_at_once(monkeypatch):
    network, seen = small_backbone(), []
    real = Backbone.features

    def features(self, pixels, layers):
        seen.append(pixels)
        return real(self, pixels, layers)

    monkeypatch.setattr(Backbone, "features", features)
    looks = Looks(network)
    a, b = smooth_picture(64, 64, seed=1), smooth_picture(64, 64, seed=2)
    for measure in MEASURES:
        looks.distance(measure, a, b)
    assert len(seen) == 2 and seen[0] is a and seen[1] is b


def test_seeds_that_differ_less_than_styles(make_runner):
    base = [smooth_picture(48, 48, seed=i) for i in range(4)]
    near = [made((0.97 * base[0] + 0.03 * other).contiguous()) for other in base]
    answered = questions.answer(sheet("question-seeds"), make_runner(), [*near, *map(made, base)])
    shares = answered.findings["seeds_over_styles"]
    assert all(0 <= share < 0.1 for share in shares.values())
    assert answered.drawings[0].name == "distances" and "0.0" in answered.answer


def test_a_start_that_meets_the_others_and_one_that_does_not(make_runner):
    noise, content, other = (smooth_picture(48, 48, seed=i) for i in (1, 2, 3))
    ask = sheet("question-start")
    near = questions.answer(ask, make_runner(), [made(noise), made(content), made(noise, 1.01), made(other)])
    assert near.drawings[0].name == "meeting" and "Pathological" in near.drawings[0].words
    assert "meets the others" in near.answer and near.findings["distance_in_noise_seeds"]["pathological"]["pixels"] == 0
    far = questions.answer(ask, make_runner(), [made(noise), made(content), made(content, 2.0), made(other)])
    assert "does not meet" in far.answer and far.findings["loss_excess"] == pytest.approx(1.0)


def test_photographs_are_found_until_they_are_gone(make_runner):
    runner, recipe = make_runner(), load_recipes(("question-content",))[0]
    grey = torch.full((1, 3, 32, 48), 0.5)
    kept = [runner.inputs.picture(v.content) if v.ratio > 1e-4 else grey for v in recipe.variants]
    answered = questions.answer(Sheet(recipe, ()), runner, [made(p) for p in kept])
    assert answered.findings["retrieved"][:6] == [1.0] * 6
    assert answered.findings["lost_at"] == pytest.approx(1e-4)
    assert "10⁻⁴" in answered.answer
    always = questions.answer(
        Sheet(recipe, ()), runner, [made(runner.inputs.picture(v.content)) for v in recipe.variants]
    )
    assert always.findings["lost_at"] is None


@pytest.mark.parametrize(("ratio", "words"), [(1e-3, "10⁻³"), (1 / 316, "3·10⁻³"), (1.0, "10⁰"), (5e-4, "5·10⁻⁴")])
def test_ratios_in_words(ratio, words):
    assert power(ratio) == words


def test_the_trace_of_a_start():
    start, other = picture(40, 60, seed=1), picture(40, 60, seed=2)
    assert questions.trace(start, start) == pytest.approx(1)
    assert abs(questions.trace(other, start)) < 0.1
    assert 0.3 < questions.trace(0.5 * (start + other), start) < 0.9
