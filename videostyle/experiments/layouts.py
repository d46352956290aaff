"""From a recipe and its finished pictures to a sheet: which picture stands where, what is said about it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

from videostyle.experiments import clips, plots, questions
from videostyle.experiments.inputs import Inputs
from videostyle.experiments.recipes import Recipe, Variant
from videostyle.experiments.runner import Made, Runner, plain
from videostyle.experiments.sheet import Panel, Row, Sheet

ENLARGED = 4  # how many times a detail is
SMALLEST_MAP = 96  # pixels on the longer side a feature map is shown at; below, its cells are drawn larger
INPUT_LABELS = {"content": "Content", "style": "Style", "dark": "Dark photograph", "reference": "Reference"}


def lay_out(recipe: Recipe, runner: Runner, folder: Path) -> Sheet:
    """The sheet of a recipe; missing pictures are made. ``folder``: where a layout leaves files of its own (clips)."""
    made = [runner.made(variant) for variant in recipe.variants]
    sheet = Sheet(
        recipe,
        rows=_rows(recipe, runner, made),
        drawings=plots.losses(_by_label(recipe, made)) if made else (),
        settings=settings_in_words(recipe, runner),
        runs=tuple(_run(v, m, runner.inputs) for v, m in zip(recipe.variants, made, strict=True)),
    )
    if recipe.layout == "video":
        return clips.add_video(sheet, runner, folder)
    if recipe.layout == "method":
        settings, layers = recipe.variants[0].settings, {c.name: len(c.weight) for c in runner.backbone.convs}
        drawn = plots.architecture(layers, settings.content_layers, settings.style_layers, runner.backbone.name)
        return replace(sheet, drawings=(drawn, *sheet.drawings))
    return questions.answer(sheet, runner, made) if recipe.question else sheet


def _rows(recipe: Recipe, runner: Runner, made: Sequence[Made]) -> tuple[Row, ...]:
    arrange = {"starts": _starts, "maps": _maps, "recognition": _first_content}.get(recipe.layout, _grid)
    return tuple(arrange(recipe, runner, made))


def input_panels(recipe: Recipe, inputs: Inputs) -> tuple[Panel, ...]:
    """The inputs that a figure shows beside its pictures."""
    names = recipe.inputs
    return tuple(Panel(INPUT_LABELS.get(n, n), inputs.picture(n), inputs.words(n), is_input=True) for n in names)


def _grid(recipe: Recipe, runner: Runner, made: Sequence[Made]) -> Iterable[Row]:
    """The variants' rows; the inputs stand before the first one."""
    pictures = dict(zip(map(id, recipe.variants), made, strict=True))
    inputs = input_panels(recipe, runner.inputs)
    for label, variants in recipe.rows().items():
        yield Row((*inputs, *(Panel(v.label, pictures[id(v)].pixels) for v in variants)), label)
        inputs = tuple(Panel("", torch.ones_like(p.pixels), is_input=True) for p in inputs)


def _starts(recipe: Recipe, runner: Runner, made: Sequence[Made]) -> Iterable[Row]:
    yield Row(tuple(Panel(v.label, m.start) for v, m in zip(recipe.variants, made, strict=True)), "Start")
    yield Row(tuple(Panel(f"n = {m.evaluations}", m.pixels) for m in made), "OptimisedImage")
    rows, columns = smoothest(runner.inputs.picture(recipe.variants[0].content))
    details = [F.interpolate(m.pixels[:, :, rows, columns], scale_factor=ENLARGED, mode="nearest") for m in made]
    labels = [f"trace of the start {questions.trace(m.pixels, m.start):.2f}" for m in made]
    labelled = tuple(map(Panel, labels, details))
    yield Row(labelled, "A detail of it, where the picture is smoothest")


def smoothest(picture: torch.Tensor) -> tuple[slice, slice]:
    """Rows and columns of the window of 1/ENLARGED the size that varies least: there one sees what a start left."""
    size = [side // ENLARGED for side in picture.shape[2:]]
    varies = F.avg_pool2d(picture.square(), size, 1) - F.avg_pool2d(picture, size, 1).square()
    row, column = divmod(int(varies.sum(1).argmin()), varies.shape[3])
    return slice(row, row + size[0]), slice(column, column + size[1])


def _first_content(recipe: Recipe, runner: Runner, made: Sequence[Made]) -> Iterable[Row]:
    """Of a question that is asked of several photographs, the first one's pictures."""
    chosen = [(v, m) for v, m in zip(recipe.variants, made, strict=True) if v.content == recipe.contents[0]]
    yield Row(tuple(Panel(v.label, m.pixels) for v, m in chosen), "α/β")


def _maps(recipe: Recipe, runner: Runner, made: Sequence[Made]) -> Iterable[Row]:
    content = runner.inputs.picture("content")
    features = runner.features(content, recipe.layers)
    yield Row(input_panels(recipe, runner.inputs))
    for layer in recipe.layers:
        count, height, width = features[layer].shape[1:]
        panels = tuple(Panel("", m) for m in liveliest_maps(features[layer], recipe.maps))
        yield Row(panels, f"{layer}: {recipe.maps} of {count} maps of {width} x {height}")


def liveliest_maps(features: torch.Tensor, count: int) -> list[torch.Tensor]:
    """The ``count`` channels of (1, c, h, w) that vary most for their size, as grey pictures (1, 3, H, W)."""
    edge = 1 if min(features.shape[2:]) >= 6 else 0  # what the padding does to the border says nothing of the picture
    maps = features[0, :, edge : features.shape[2] - edge, edge : features.shape[3] - edge]
    flat = maps.flatten(1)
    lively = flat.var(1) / flat.square().mean(1).sqrt().clamp_min(1e-12)
    chosen = lively.topk(min(count, len(maps))).indices.sort().values
    return [_grey(maps[i]) for i in chosen]


def _grey(one: torch.Tensor) -> torch.Tensor:
    """A map (h, w) stretched to [0, 1]; outliers do not darken the rest."""
    low, high = one.quantile(0.01), one.quantile(0.99)
    stretched = ((one - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
    times = max(1, -(-SMALLEST_MAP // max(one.shape)))
    return F.interpolate(stretched[None, None], scale_factor=times, mode="nearest").expand(1, 3, -1, -1)


def _by_label(recipe: Recipe, made: Sequence[Made]) -> dict[str, Made]:
    """Pictures by a label that is theirs alone."""
    found: dict[str, Made] = {}
    for variant, one in zip(recipe.variants, made, strict=True):
        longer = f"{variant.label}, {variant.row.lower()}"
        labels = (variant.label, f"{variant.label}, n = {one.evaluations}")
        found[next((label for label in labels if label not in found), longer)] = one
    return found


def _run(variant: Variant, made: Made, inputs: Inputs) -> dict[str, object]:
    pictures = {"content": inputs.words(variant.content), "style": inputs.words(variant.style)}
    cost = {"picture": made.path.name, "evaluations": made.evaluations, "seconds": made.seconds}
    return {
        "label": variant.label,
        "row": variant.row,
        **pictures,
        "settings": plain(variant.settings),
        **cost,
        "losses": {"total": made.loss, "content": made.curve.content[-1], "style": made.curve.style[-1]},
        "curve": made.curve._asdict(),
    }


def settings_in_words(recipe: Recipe, runner: Runner) -> tuple[tuple[str, str], ...]:
    """(name, value) of what the pictures of a figure have in common, and what varies."""
    found = {name: {say(v) for v in recipe.variants} for name, say in WORDS.items() if recipe.variants}
    words = [(name, values.pop() if len(values) == 1 else "varies") for name, values in found.items()]
    return (*words, ("size", f"{runner.inputs.size} px"), ("network", runner.backbone.name))


def span(layers: Sequence[str]) -> str:
    return ", ".join(layers) if len(layers) < 4 else f"{layers[0]} to {layers[-1]}"


WORDS: dict[str, Callable[[Variant], str]] = {
    "content at": lambda v: span(v.settings.content_layers),
    "style at": lambda v: span(v.settings.style_layers),
    "α/β": lambda v: questions.power(v.ratio),
    "start": lambda v: v.settings.init,
    "n": lambda v: str(v.settings.iterations),
    "seed": lambda v: str(v.settings.seed),
    "pooling": lambda v: v.settings.pooling,
}
