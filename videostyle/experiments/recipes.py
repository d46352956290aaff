"""Recipes: what each figure of the presentation shows, one TOML file per figure. Unknown keys and settings are refused.

A recipe's ``variants`` are the pictures it needs: an input to paint, an input to take the style of, and settings that
differ from the slides' own (``data/recipes/_slides.toml``).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import resources
from typing import Any

from videostyle.errors import UsageError
from videostyle.settings import Settings

LAYOUTS = ("grid", "method", "starts", "maps", "video", "differences", "meeting", "recognition")
QUICK_SIZE, QUICK_EVALUATIONS = 256, 150  # longer side in pixels; evaluations where the slides make 3000


@dataclass(frozen=True)
class Variant:
    """One picture of a figure. ``settings``: all of them, the slides' with this variant's changes."""

    label: str
    row: str = ""
    content: str = "content"
    style: str = "style"
    settings: Settings = field(default_factory=Settings)

    @property
    def ratio(self) -> float:
        """alpha/beta, the weight of the content loss over that of the style loss."""
        return self.settings.content_weight / self.settings.style_weight


@dataclass(frozen=True)
class Recipe:
    """One figure: its words, the inputs it shows beside the pictures, its layout and its variants."""

    name: str
    title: str
    slide: str
    caption: str
    order: int
    layout: str = "grid"
    claim: str = ""  # what the slides say it shows
    question: bool = False  # the talk left it open
    inputs: tuple[str, ...] = ()
    contents: tuple[str, ...] = ()  # every variant is made for each of these inputs
    layers: tuple[str, ...] = ()  # whose feature maps are shown
    maps: int = 0  # how many of each layer
    variants: tuple[Variant, ...] = ()

    def rows(self) -> dict[str, list[Variant]]:
        """Variants by the label of their row, in order."""
        labels = dict.fromkeys(variant.row for variant in self.variants)
        return {label: [variant for variant in self.variants if variant.row == label] for label in labels}


def load_recipes(names: tuple[str, ...] = (), settings: Mapping[str, Any] | None = None) -> list[Recipe]:
    """The named recipes (all by default) in the slides' order, with ``settings`` laid over every variant's own."""
    texts = _texts()
    if unknown := [name for name in names if name not in texts]:
        raise UsageError(f"there is no experiment called {', '.join(unknown)}; there are {', '.join(sorted(texts))}")
    chosen = [parse_recipe(name, texts[name], settings) for name in (names or texts)]
    return sorted(chosen, key=lambda recipe: recipe.order)


def parse_recipe(name: str, text: str, settings: Mapping[str, Any] | None = None) -> Recipe:
    """A recipe from TOML. Raises UsageError for what it does not know."""
    values = tomllib.loads(text)
    _refuse_unknown(name, values, Recipe)
    common = slides_settings() | dict(settings or {})
    variants = tuple(_variant(name, v, common) for v in values.pop("variants", []))
    if contents := values.get("contents"):
        variants = tuple(replace(v, content=content, row=content) for content in contents for v in variants)
    plain: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    recipe = Recipe(name=name, variants=variants, **plain)
    if recipe.layout not in LAYOUTS:
        raise UsageError(f"recipe {name}: layout is {recipe.layout!r}; it can be {', '.join(LAYOUTS)}")
    return recipe


def slides_settings() -> dict[str, Any]:
    """The slides' own numbers, for every picture whose recipe does not say otherwise."""
    return tomllib.loads(_folder().joinpath("_slides.toml").read_text(encoding="utf-8"))


def scaled(recipe: Recipe, evaluations: int) -> Recipe:
    """The same recipe with ``evaluations`` where the slides make their usual 3000, others in proportion."""
    share = evaluations / slides_settings()["iterations"]
    fewer = ((v, max(1, round(v.settings.iterations * share))) for v in recipe.variants)
    return replace(recipe, variants=tuple(replace(v, settings=v.settings.replace(iterations=n)) for v, n in fewer))


def _variant(name: str, values: dict[str, Any], common: Mapping[str, Any]) -> Variant:
    _refuse_unknown(name, values, Variant)
    try:
        settings = Settings.from_mapping({**common, **values.pop("settings", {})})
    except UsageError as e:
        raise UsageError(f"recipe {name}: {e}") from None
    return Variant(settings=settings, **values)


def _refuse_unknown(name: str, values: Mapping[str, Any], cls: type) -> None:
    known = {f.name for f in fields(cls)} - {"name"}  # a recipe's name is its file's
    if unknown := sorted(set(values) - known):
        raise UsageError(f"recipe {name}: unknown key {', '.join(unknown)}; known ones are {', '.join(sorted(known))}")


def _texts() -> dict[str, str]:
    files = (f for f in _folder().iterdir() if f.name.endswith(".toml") and not f.name.startswith("_"))
    return {f.name.removesuffix(".toml"): f.read_text(encoding="utf-8") for f in files}


def _folder() -> Any:  # importlib's Traversable moved between Python 3.11 and 3.14
    return resources.files("videostyle.experiments").joinpath("data", "recipes")
