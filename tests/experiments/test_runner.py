"""The runner: every recipe goes through it, shared pictures are made once, an interrupted run goes on."""

import json
from dataclasses import replace

import pytest
import torch
from small_networks import picture, small_backbone

from videostyle.experiments.inputs import checkerboard
from videostyle.experiments.layouts import liveliest_maps, smoothest
from videostyle.experiments.present import Presentation, PresentationRequest
from videostyle.experiments.recipes import QUICK_EVALUATIONS, load_recipes, scaled
from videostyle.experiments.runner import thinned
from videostyle.media.still import read_picture

RECIPES = [scaled(recipe, QUICK_EVALUATIONS) for recipe in load_recipes()]


def test_every_recipe_runs_and_shared_pictures_are_made_once(make_runner, calls):
    runner = make_runner()
    plan = runner.plan(RECIPES)
    runner.run(plan)
    wanted = sum(len(recipe.variants) for recipe in RECIPES)
    assert len(calls) == len(plan) == 55 < wanted
    assert not runner.plan(RECIPES)
    for recipe in RECIPES:
        for variant in recipe.variants:
            made = runner.made(variant)
            assert made.evaluations == variant.settings.iterations
            assert made.pixels.shape == runner.inputs.picture(variant.content).shape
    assert len(calls) == 55  # nothing was made twice


def test_an_interrupted_run_goes_on_where_it_stopped(make_runner, calls):
    recipe = RECIPES[1]
    runner = make_runner()
    plan = runner.plan([recipe])
    runner.run(dict(list(plan.items())[:3]))
    again = make_runner()
    assert len(again.plan([recipe])) == len(plan) - 3
    again.run(again.plan([recipe]))
    assert len(calls) == len(plan)


def test_other_inputs_and_settings_are_other_pictures(make_runner, pictures):
    variant = RECIPES[0].variants[0]
    key = make_runner().key(variant)
    assert make_runner().key(variant) == key
    other = make_runner()
    other.inputs.given = pictures | {"content": pictures["dark"]}
    assert other.key(variant) != key
    for change in ({"seed": 5}, {"iterations": 7}, {"style_weight": 3.0}, {"init": "content"}, {"pooling": "max"}):
        assert make_runner().key(replace(variant, settings=variant.settings.replace(**change))) != key, change
    assert make_runner().key(replace(variant, style="dark")) != key
    assert make_runner().key(replace(variant, settings=variant.settings.replace(weights="w.pth", download=True))) == key
    for network in (replace(small_backbone(), sha256="a"), replace(small_backbone(), name="other")):
        changed = make_runner()
        changed.backbone = network
        assert changed.key(variant) != key


def test_a_real_picture_keeps_its_curve(make_runner):
    runner = make_runner()
    recipe = RECIPES[5]  # starts: noise, content, pathological
    few = [v for v in recipe.variants if v.settings.iterations < 200][:3]
    few = [type(v)(v.label, settings=v.settings.replace(iterations=4, content_layers=("conv2_2",))) for v in few]
    seen = []
    runner.on_progress = seen.append
    starts = set()
    for variant in few:
        made = runner.made(variant)
        assert made.curve.evaluation == [1, 2, 3, 4]
        assert made.loss == made.curve.total[-1] <= made.curve.total[0]
        assert len(made.curve.content) == len(made.curve.style) == 4
        record = json.loads(made.path.with_suffix(".json").read_text())
        assert record["settings"]["init"] == variant.settings.init
        starts.add(round(made.start.mean().item(), 4))
    assert len(starts) == 3 and len(seen) == 12


def test_a_long_curve_is_thinned_evenly_over_the_logarithm():
    curve = torch.arange(1, 10001).float().view(-1, 1).expand(-1, 3)
    kept = thinned(curve)
    assert len(kept.evaluation) <= 320
    assert kept.evaluation[:20] == list(range(1, 21)) and kept.evaluation[-1] == 10000
    assert kept.total == [pytest.approx(e) for e in kept.evaluation]


def test_the_pathological_start_is_saturated():
    board = checkerboard(30, 45)
    assert board.shape == (1, 3, 30, 45)
    assert set(board.unique().tolist()) == {0.0, 1.0}
    assert len({tuple(c) for c in board[0].flatten(1).T.tolist()}) == 4


def test_feature_maps_that_vary_are_chosen_and_shown_whole():
    features = torch.zeros(1, 5, 8, 8)
    features[0, 2], features[0, 4] = picture(8, 8)[0, 0], 10 * picture(8, 8)[0, 1]
    maps = liveliest_maps(features, 2)
    assert len(maps) == 2
    for one in maps:
        assert one.shape[2] >= 72 and one.min() == 0 and one.max() == 1


def test_a_detail_is_taken_where_the_picture_is_smoothest():
    busy = picture(40, 60)
    busy[:, :, 24:38, 30:50] = 0.5
    rows, columns = smoothest(busy)
    assert (rows.stop - rows.start, columns.stop - columns.start) == (10, 15)
    assert busy[:, :, rows, columns].var() == 0


@pytest.mark.slow
def test_a_folder_gets_figures_records_and_a_page(tmp_path, pictures, calls):
    names = ("method", "feature-maps")
    request = PresentationRequest(tmp_path / "out", names, pictures, size=48, quick=True, evaluations=30)
    presentation = Presentation(request)
    estimate = presentation.estimate(measure=False)
    assert estimate.pictures == len(presentation.plan) and estimate.seconds is None
    written = presentation.make()
    assert written[-1] == tmp_path / "out" / "index.html"
    for name in names:
        folder = tmp_path / "out" / name
        assert {f"{name}.png", f"{name}.pdf", "run.json"} <= {p.name for p in folder.iterdir()}
        record = json.loads((folder / "run.json").read_text())
        assert record["size"] == 48
        assert record["quick"] and record["evaluations_for_3000"] == 30 and record["backbone"]["name"] == "compact"
        for run in record["runs"]:
            assert run["evaluations"] == 30
            assert read_picture(tmp_path / "out" / "pictures" / run["picture"]).shape[2:] == (32, 48)
            assert (run["content"], run["style"]) == ("content.png", "style.png")
            assert len(run["curve"]["total"]) == len(run["curve"]["evaluation"])
    assert not Presentation(request).plan
