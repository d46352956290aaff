"""What the talk left open, answered with one number and one drawing each.

Distances are root mean squares: between pixels in [0, 1], between nominal features at conv4_2, and between Gram
matrices of all style layers, each layer's scaled to length one so that every layer counts alike.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import torch
import torch.nn.functional as F

from videostyle.experiments import plots
from videostyle.experiments.runner import Made, Runner
from videostyle.experiments.sheet import Sheet

CONTENT_LAYER = "conv4_2"
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
MEASURES = {"pixels": "pixels", "content": f"content ({CONTENT_LAYER})", "style": "style (Gram)"}


class Looks:
    """How the network sees pictures; each is looked at once."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self._look = functools.cache(self._features)  # tensors are hashed by identity

    def content(self, pixels: torch.Tensor) -> torch.Tensor:
        """Features at conv4_2, (1, c, h, w)."""
        return self._look(pixels)[CONTENT_LAYER]

    def style(self, pixels: torch.Tensor) -> torch.Tensor:
        """All layers' Gram matrices in one vector, each scaled to length one."""
        features = self._look(pixels)
        grams = [torch.einsum("nchw,ndhw->cd", f, f) / f[0, 0].numel() for f in (features[k] for k in STYLE_LAYERS)]
        return torch.cat([(g / g.norm()).flatten() for g in grams])

    def distance(self, measure: str, a: torch.Tensor, b: torch.Tensor) -> float:
        """Between two pictures (1, 3, H, W) of one size, by a name from MEASURES."""
        seen = {"pixels": lambda p: p, "content": self.content, "style": self.style}[measure]
        return (seen(a) - seen(b)).square().mean().sqrt().item()

    def _features(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        return self.runner.features(pixels, (CONTENT_LAYER, *STYLE_LAYERS))


def answer(sheet: Sheet, runner: Runner, made: Sequence[Made]) -> Sheet:
    """The sheet with its findings, answer and drawing. ``made``: the pictures of its variants, in their order."""
    ask = {"differences": _differences, "meeting": _meeting, "recognition": _recognition}[sheet.recipe.layout]
    return ask(sheet, runner, made)


def _differences(sheet: Sheet, runner: Runner, made: Sequence[Made]) -> Sheet:
    looks, groups = Looks(runner), {}
    for row in sheet.recipe.rows():
        pictures = [m.pixels for v, m in zip(sheet.recipe.variants, made, strict=True) if v.row == row]
        groups[row] = {k: [looks.distance(k, a, b) for a, b in combinations(pictures, 2)] for k in MEASURES}
    units = {k: _mean(list(groups.values())[-1][k]) for k in MEASURES}
    relative = {g: {k: [d / units[k] for d in found[k]] for k in MEASURES} for g, found in groups.items()}
    share = {k: _mean(next(iter(relative.values()))[k]) for k in MEASURES}
    words = (
        f"Two seeds differ {share['pixels']:.2f} times as much as two styles in their pixels, "
        f"{share['content']:.2f} times in {CONTENT_LAYER} and {share['style']:.2f} times in their Gram matrices: "
        + ("in detail, not in kind." if share["style"] < 0.5 * share["pixels"] else "in kind as well as in detail.")
    )
    drawn = plots.distances({g: {MEASURES[k]: v for k, v in found.items()} for g, found in relative.items()})
    findings = {"seeds_over_styles": share, "distances": groups}
    return replace(sheet, drawings=(drawn, *sheet.drawings), findings=findings, answer=words)


def _meeting(sheet: Sheet, runner: Runner, made: Sequence[Made]) -> Sheet:
    """Variants: noise, content, pathological, and noise of another seed, the measure of an ordinary difference."""
    looks = Looks(runner)
    noise, content, odd, other = made
    ordinary = {k: looks.distance(k, noise.pixels, other.pixels) for k in MEASURES}
    apart = {
        name: {k: looks.distance(k, noise.pixels, one.pixels) / ordinary[k] for k in MEASURES}
        for name, one in (("pathological", odd), ("content", content))
    }
    excess = odd.loss / noise.loss - 1
    in_loss = "meets the others in the loss" if excess < 0.05 else "does not meet the others, not even in the loss"
    eye = apart["pathological"]["content"]
    left = {name: trace(one.pixels, odd.start) for name, one in (("pathological", odd), ("noise", noise))}
    words = (
        f"After {odd.evaluations} evaluations the pathological start {in_loss} ({excess:+.0%} against noise); "
        f"its outcome lies {eye:.1f} times as far from noise's, in conv4_2, as two noise seeds from one another, "
        f"in Gram matrices {apart['pathological']['style']:.1f} times. The trace of the start, the cosine between its "
        f"fine detail and the outcome's, is {left['pathological']:.2f} ({left['noise']:.2f} from noise instead): "
        + ("the eye finds it." if left["pathological"] > 0.1 + left["noise"] else "the eye does not find it either.")
    )
    losses = [m.loss for m in made]
    findings = {"loss_excess": excess, "distance_in_noise_seeds": apart, "losses": losses, "trace": left}
    total, _, _ = plots.losses({v.label: m for v, m in zip(sheet.recipe.variants, made, strict=True)})
    drawn = replace(total, name="meeting")  # not among the curves that are folded away
    return replace(sheet, drawings=(drawn, *sheet.drawings), findings=findings, answer=words)


def trace(outcome: torch.Tensor, start: torch.Tensor) -> float:
    """What is left of a start: the cosine, 0 to 1, of what a 3 x 3 mean takes from both pictures (1, 3, H, W)."""
    padded = ((picture, F.pad(picture, (1, 1, 1, 1), mode="replicate")) for picture in (outcome, start))
    return _cosine(*(picture - F.avg_pool2d(wide, 3, 1) for picture, wide in padded))


def _recognition(sheet: Sheet, runner: Runner, made: Sequence[Made]) -> Sheet:
    recipe, looks = sheet.recipe, Looks(runner)
    # every photograph and its mirror image, which has the same things in other places
    photographs = {(name, False): runner.inputs.picture(name) for name in recipe.contents}
    mirrored = {(name, True): picture.flip(3) for (name, _), picture in photographs.items()}
    album = {key: looks.content(picture) for key, picture in (photographs | mirrored).items()}
    by_ratio: dict[float, list[tuple[float, float]]] = {}
    for variant, one in zip(recipe.variants, made, strict=True):
        by_ratio.setdefault(variant.ratio, []).append(_retrieve(looks.content(one.pixels), variant.content, album))
    ratios = sorted(by_ratio, reverse=True)
    right = [_mean([r for r, _ in by_ratio[x]]) for x in ratios]
    wrong = [_mean([w for _, w in by_ratio[x]]) for x in ratios]
    share = [_mean([float(r > w) for r, w in by_ratio[x]]) for x in ratios]
    lost = next((x for x, s in zip(ratios, share, strict=True) if s < 1), None)
    least = power(ratios[-1])
    words = (
        f"Every photograph is found even at {least}, the smallest (cosine {right[-1]:.2f}, others {wrong[-1]:.2f})."
        if lost is None
        else f"The content stops being recognisable at α/β = {power(lost)}: there, not every photograph is found."
    )
    findings = {"ratios": ratios, "cosine_right": right, "cosine_wrong": wrong, "retrieved": share, "lost_at": lost}
    drawn = plots.recognition(ratios, right, wrong, share)
    return replace(sheet, drawings=(drawn,), findings=findings, answer=words)


def _retrieve(features: torch.Tensor, name: str, album: Mapping[tuple[str, bool], torch.Tensor]) -> tuple[float, float]:
    """Cosines to the right photograph and to the nearest other one."""
    found = {key: _cosine(features, other) for key, other in album.items()}
    return found.pop((name, False)), max(found.values())


def _cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    """Between feature maps; one of another size is brought to the first one's."""
    if a.shape != b.shape:
        b = F.interpolate(b, a.shape[2:], mode="bilinear", antialias=True)
    return F.cosine_similarity(a.flatten(), b.flatten(), 0).item()


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def power(ratio: float) -> str:
    """3.16e-4 -> 3·10⁻⁴."""
    exponent = math.floor(math.log10(ratio) + 1e-9)
    factor = round(ratio / 10**exponent)
    digits = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{digits}" if factor == 1 else f"{factor}·10{digits}"
