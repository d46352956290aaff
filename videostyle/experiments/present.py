"""All experiments, from names to a folder of figures: pictures, figures, records, page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videostyle.device import choose_machine
from videostyle.errors import UsageError
from videostyle.experiments import recipes
from videostyle.experiments.inputs import Inputs, check_folder
from videostyle.experiments.recipes import Recipe, Variant
from videostyle.experiments.runner import Runner
from videostyle.experiments.sheet import Sheet
from videostyle.files import write_json
from videostyle.pipeline.progress import OnProgress
from videostyle.pipeline.run_record import versions
from videostyle.settings import Settings
from videostyle.stylise.choose_network import choose_backbone

SIZE = 512  # the longer side in pixels of the slides' pictures
PICTURES = "pictures"


@dataclass(frozen=True)
class PresentationRequest:
    """Which experiments, on which pictures, where to."""

    folder: Path
    names: tuple[str, ...] = ()
    given: Mapping[str, Path] = field(default_factory=dict)
    size: int | None = None
    quick: bool = False
    evaluations: int | None = None  # where the slides make 3000, others in proportion; None: 3000 or ``quick``'s
    settings: Settings = field(default_factory=Settings)  # the machine's part: network, device


@dataclass(frozen=True)
class Estimate:
    """What is still to be done. ``seconds``: about how long it takes here, None where that was not measured."""

    pictures: int
    evaluations: int
    size: int
    seconds: float | None


class Presentation:
    """The experiments of a request, made ready: ``estimate``, then ``make``."""

    def __init__(
        self, request: PresentationRequest, on_progress: OnProgress | None = None, on_download: Callable | None = None
    ):
        if request.evaluations is not None and request.evaluations < 1:
            raise UsageError(f"evaluations is {request.evaluations}; it must be at least 1")
        check_folder(request.folder, "the figures")
        self.request = request
        usual = recipes.QUICK_EVALUATIONS if request.quick else recipes.slides_settings()["iterations"]
        self.evaluations = request.evaluations or usual
        inputs = Inputs(request.size or (recipes.QUICK_SIZE if request.quick else SIZE), request.given)
        for name in request.given:
            inputs.path(name) if name == "clip" else inputs.picture(name)  # refused before any work
        self.runner = Runner.open(request.folder / PICTURES, inputs, request.settings, on_download)
        self.runner.on_progress = on_progress
        loaded = recipes.load_recipes(request.names, {"pooling": self.runner.pooling})
        self.recipes = [recipes.scaled(recipe, self.evaluations) for recipe in loaded]
        self.plan: dict[str, Variant] = self.runner.plan(self.recipes)

    def estimate(self, measure: bool = True) -> Estimate:
        """What is to be done; ``measure``: and how long it takes, from three evaluations."""
        evaluations = sum(v.settings.iterations for v in self.plan.values())
        each = self.runner.seconds_per_evaluation(self.plan) if measure else None
        seconds = None if each is None else evaluations * each
        return Estimate(len(self.plan), evaluations, self.runner.inputs.size, seconds)

    def make(self) -> list[Path]:
        """Make what is missing, then every figure, its record and the page; the files that were written."""
        from videostyle.experiments.page import write_page

        self.runner.run(self.plan)
        folder = self.request.folder
        page = write_page(folder / "index.html", [self._figure(recipe) for recipe in self.recipes], folder)
        return [*(folder / r.name / f"{r.name}.png" for r in self.recipes), page]

    def _figure(self, recipe: Recipe) -> Sheet:
        from videostyle.experiments.figures import write_figure
        from videostyle.experiments.layouts import lay_out

        place = self.request.folder / recipe.name
        place.mkdir(parents=True, exist_ok=True)
        sheet = lay_out(recipe, self.runner, place)
        write_figure(sheet, place)
        write_json(place / "run.json", self._record(sheet))
        return sheet

    def _record(self, sheet: Sheet) -> dict[str, Any]:
        backbone, machine = self.runner.backbone, choose_machine(self.request.settings)
        because = choose_backbone(self.request.settings, machine)[1]
        figure = {"figure": sheet.recipe.name, "slide": sheet.recipe.slide, "quick": self.request.quick}
        return figure | {
            "evaluations_for_3000": self.evaluations,
            "size": self.runner.inputs.size,
            "backbone": {"name": backbone.name, "sha256": backbone.sha256, "because": because},
            "device": {"name": machine.name, "precision": machine.precision},
            "versions": versions(),
            "answer": sheet.answer,
            "findings": dict(sheet.findings),
            "runs": [dict(run) for run in sheet.runs],
        }
