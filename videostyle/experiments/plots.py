"""Drawings on a matplotlib axes: loss curves, distances, retrieval, the network.

The page turns INK and RULE into the colours of its theme: what is neither picture nor series is drawn in these two.
"""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from videostyle.experiments.runner import Made
from videostyle.experiments.sheet import Drawing

INK, RULE = "#1c1b1a", "#cfcac2"
SERIES = ("#3f7cc4", "#d2762a", "#3a9a72", "#a05fb4", "#c8504f", "#8a8458", "#4aa3b5", "#b0823a", "#6c6fd0")
LOSSES = {"total": "Total loss", "content": "Content loss", "style": "Style loss"}


def dress(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, which="major", axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)


def losses(made: Mapping[str, Made]) -> tuple[Drawing, ...]:
    """Total, content and style loss against evaluations, one drawing each; ``made`` by label."""
    return tuple(_loss(kind, title, made) for kind, title in LOSSES.items())


def _loss(kind: str, title: str, made: Mapping[str, Made]) -> Drawing:
    def draw(axes: Axes) -> None:
        for colour, (label, one) in zip(cycle(SERIES), made.items(), strict=False):
            axes.plot(one.curve.evaluation, getattr(one.curve, kind), color=colour, linewidth=1.4, label=label)
        axes.set_xscale("log")
        if all(min(getattr(one.curve, kind)) > 0 for one in made.values()):
            axes.set_yscale("log")
        dress(axes, "evaluations", title.lower())
        if kind == "total" and 1 < len(made) <= len(SERIES):
            axes.legend(frameon=False, fontsize="small")

    ends = "; ".join(f"{label}: {getattr(one.curve, kind)[-1]:.3g}" for label, one in made.items())
    return Drawing(f"loss-{kind}", title, draw, words=f"{title} against evaluations, at the end {ends}")


def distances(groups: Mapping[str, Mapping[str, Sequence[float]]]) -> Drawing:
    """Pairwise distances, ``groups``: group -> measure -> distances, each in units of the last group's mean."""

    def draw(axes: Axes) -> None:
        measures = list(next(iter(groups.values())))
        for g, (group, found) in enumerate(groups.items()):
            for m, measure in enumerate(measures):
                x = m + (g - (len(groups) - 1) / 2) * 0.34
                values = found[measure]
                mean = sum(values) / len(values)
                axes.bar(x, mean, 0.3, color=SERIES[g], alpha=0.35, label=group if m == 0 else None)
                axes.plot([x] * len(values), values, "o", color=SERIES[g], markersize=3.5)
                axes.annotate(f"{mean:.2f}", (x, max(*values, mean)), (0, 4), textcoords="offset points", ha="center")
        axes.set_xticks(range(len(measures)), measures)
        axes.tick_params(axis="x", length=0)
        dress(axes, "", "distance (1: two styles)")
        axes.margins(y=0.12)
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)

    means = {g: ", ".join(f"{m} {sum(v) / len(v):.2f}" for m, v in found.items()) for g, found in groups.items()}
    words = "; ".join(f"{group}: {found}" for group, found in means.items())
    return Drawing("distances", "Distances between outcomes", draw, words=words)


def recognition(
    ratios: Sequence[float], right: Sequence[float], wrong: Sequence[float], share: Sequence[float]
) -> Drawing:
    """Cosine to the right photograph and to the nearest wrong one, and the share that was retrieved, by alpha/beta."""

    def draw(axes: Axes) -> None:
        axes.plot(ratios, right, "o-", color=SERIES[0], label="the right photograph")
        axes.plot(ratios, wrong, "o-", color=SERIES[1], label="the nearest other one")
        for x, y, found in zip(ratios, right, share, strict=True):
            axes.annotate(f"{found:.0%}", (x, y), (0, 7), textcoords="offset points", ha="center", fontsize="small")
        axes.set_xscale("log")
        axes.invert_xaxis()
        dress(axes, "α/β, more style to the right", "cosine at conv4_2")
        axes.margins(y=0.15)
        axes.legend(frameon=False, loc="lower left")

    pairs = ", ".join(f"{r:.0e}: {s:.0%}" for r, s in zip(ratios, share, strict=True))
    return Drawing("recognition", "Retrieval of the photograph", draw, words=f"Share retrieved by ratio: {pairs}")


def architecture(layers: Mapping[str, int], content: Sequence[str], style: Sequence[str], network: str) -> Drawing:
    """The network as a row of blocks, ``layers``: channels by name; where content and style are compared is marked."""

    def draw(axes: Axes) -> None:
        x, last = 0.0, next(iter(layers))[4]
        for name, channels in layers.items():
            if name[4] != last:
                axes.annotate("pool", (x - 0.04, -0.05), ha="center", fontsize="x-small", color=INK, alpha=0.6)
                x, last = x + 0.55, name[4]
            colour = SERIES[1] if name in content else SERIES[0] if name in style else ""
            _block(axes, x, 2.6 - 0.38 * int(name[4]), name, channels, colour)
            x += 0.62
        axes.set_xlim(-0.6, x)
        axes.set_ylim(-2.0, 2.1)
        axes.set_axis_off()
        axes.plot([], [], "s", color=SERIES[0], label="style", markersize=8)
        axes.plot([], [], "s", color=SERIES[1], label="content", markersize=8)
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)

    words = f"{network}: content is compared at {', '.join(content)}, style at {', '.join(style)}"
    return Drawing("network", f"The network ({network}) and the layers used", draw, words=words, aspect=5.0)


def _block(axes: Axes, x: float, height: float, name: str, channels: int, colour: str) -> None:
    look: dict[str, Any] = {
        "boxstyle": "round,pad=0,rounding_size=0.06",
        "facecolor": colour or "none",
        "edgecolor": colour or INK,
    }
    axes.add_patch(FancyBboxPatch((x - 0.18, -height / 2), 0.36, height, **look))
    weight = "bold" if colour else "normal"
    axes.annotate(name, (x, -height / 2 - 0.1), ha="center", va="top", rotation=90, fontsize="small", fontweight=weight)
    axes.annotate(str(channels), (x, height / 2 + 0.06), ha="center", fontsize="x-small", color=INK)
