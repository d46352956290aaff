"""The gallery: every figure on one page that needs no network.

Pictures, clips and plots are in the page itself; only the links to each figure's files lead out, into the same folder.
"""

import base64
import io
import re
from collections.abc import Sequence
from html import escape
from importlib import resources
from itertools import count
from pathlib import Path
from string import Template

import matplotlib
import matplotlib.image
from matplotlib.figure import Figure

from videostyle.experiments import plots
from videostyle.experiments.figures import STYLE
from videostyle.experiments.sheet import Drawing, Panel, Row, Sheet
from videostyle.files import write_text
from videostyle.frames import to_array

QUALITY = 82
MOST_COLUMNS = 5
MOST_ENLARGED = 2.6  # screen pixels for one of a picture: small ones are not blown up over the whole page
EMPTY = '<span class="empty"></span>'  # keeps a place free, so that rows stand in line
PLOT_WIDTH = 4.6  # inches at the size of matplotlib's letters
_ids = count()


def write_page(path: Path, sheets: Sequence[Sheet], folder: Path) -> Path:
    """Write the page; ``folder`` holds each figure's files in a folder of its name."""
    parts = {
        "style": _asset("page.css"),
        "script": _asset("page.js"),
        "facts": _facts(sheets),
        "hero": _hero(sheets),
        "index": "".join(
            f'<li><a href="#{recipe.name}"><span>{i}</span> {escape(recipe.title)}</a></li>'
            for i, recipe in enumerate((sheet.recipe for sheet in sheets), 1)
        ),
        "figures": "".join(_section(i, sheet, folder) for i, sheet in enumerate(sheets, 1)),
    }
    write_text(path, Template(_asset("page.html")).substitute(parts))
    return path


def _asset(name: str) -> str:
    return resources.files("videostyle.experiments").joinpath("data", name).read_text(encoding="utf-8")


def _facts(sheets: Sequence[Sheet]) -> str:
    """What all figures have in common, in one line."""
    painted = [sheet.settings for sheet in sheets if sheet.recipe.variants] or [sheet.settings for sheet in sheets]
    kept = [pair for pair in painted[0] if all(pair in settings for settings in painted)] if painted else []
    return " · ".join(f"{escape(k)} {escape(v)}" for k, v in kept)


def _hero(sheets: Sequence[Sheet]) -> str:
    """A slider between the content picture and its first result, where the method is among the figures."""
    method = next((s for s in sheets if s.recipe.layout == "method"), None)
    if method is None:
        return ""
    before, *_, after = method.rows[0].panels
    height, width = after.pixels.shape[2:]
    return (
        f'<div class="slider" style="--ratio:{width}/{height};--most:{MOST_ENLARGED * width:.0f}px">'
        f'<img src="{picture(before)}" alt="{escape(before.label)}">'
        f'<img class="over" src="{picture(after)}" alt="{escape(after.label)}">'
        f'<span class="tag left">{escape(before.label)}</span><span class="tag right">{escape(after.label)}</span>'
        '<i class="line"></i>'
        '<input type="range" min="0" max="100" step="1" value="50" aria-label="From content to result"></div>'
    )


def _section(number: int, sheet: Sheet, folder: Path) -> str:
    recipe = sheet.recipe
    curves = [d for d in sheet.drawings if d.name.startswith("loss-")]
    others = [_plot(d, wide=True) for d in sheet.drawings if not d.name.startswith("loss-")]
    settings = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in sheet.settings)
    curve_plots = "".join(map(_plot, curves))
    kind = "Question" if recipe.question else "Figure"
    columns = columns_of(sheet)
    parts = (
        f'<section id="{recipe.name}" aria-labelledby="{recipe.name}-title">',
        f'<p class="eyebrow">{kind} {number} <span>{escape(recipe.slide)}</span></p>',
        f'<h2 id="{recipe.name}-title">{escape(recipe.title)}</h2>',
        f'<p class="answer">{escape(sheet.answer)}</p>' if sheet.answer else "",
        f'<p class="caption">{escape(recipe.caption)}</p>',
        f'<p class="caption"><b>The slides say:</b> {escape(recipe.claim)}</p>' if recipe.claim else "",
        _players(folder / recipe.name) if recipe.layout == "video" else "",
        *(_row(row, recipe.layout, columns) for row in sheet.rows),
        *others,
        f'<details><summary>Loss curves</summary><div class="curves">{curve_plots}</div></details>' if curves else "",
        f'<dl class="settings">{settings}</dl>',
        _files(sheet, folder),
        "</section>",
    )
    return "".join(parts)


def columns_of(sheet: Sheet) -> int:
    """As many as the longest row has; what is too long for the page is broken into rows of even length."""
    most = max((len(row.panels) for row in sheet.rows), default=1)
    lines = -(-most // MOST_COLUMNS)
    return max(-(-most // lines), 3 if most < 3 else 1)


def _row(row: Row, layout: str, columns: int) -> str:
    label = f"<h3>{escape(row.label)}</h3>" if row.label else ""
    crisp = " crisp" if layout == "maps" else ""
    made = [p for p in row.panels if not p.is_input] or list(row.panels)
    ratio = min(p.pixels.shape[3] / p.pixels.shape[2] for p in made)
    panels = "".join(_panel(p, ratio) if p.label or not p.is_input else EMPTY for p in row.panels)
    return f'{label}<div class="row{crisp}" style="--n:{columns}">{panels}</div>'


def _panel(panel: Panel, ratio: float) -> str:
    """A picture; one of another shape than its row's is fitted into the same height."""
    words = f"<figcaption>{escape(panel.label)}</figcaption>" if panel.label else ""
    kind = ' class="input"' if panel.is_input else ""
    name = escape(panel.label or "Feature map")
    return (
        f'<figure{kind}><button class="zoom" aria-label="Enlarge: {name}">'
        f'<img src="{picture(panel)}" alt="{name}" style="aspect-ratio:{ratio:.4f}"></button>{words}</figure>'
    )


def _players(folder: Path) -> str:
    """Source and stylised clip with one set of controls."""
    clips = [(label, folder / name) for label, name in (("Source", "source.mp4"), ("Stylised", "stylised.mp4"))]
    videos = "".join(
        f'<figure><video src="{_data(path.read_bytes(), "video/mp4")}" playsinline muted preload="auto" tabindex="-1" '
        f'aria-label="{label} clip"></video><figcaption>{label}</figcaption></figure>'
        for label, path in clips
    )
    return (
        f'<div class="players"><div class="row" style="--n:2">{videos}</div><div class="controls">'
        '<button class="play" aria-pressed="false">Play</button>'
        '<input class="seek" type="range" min="0" max="1000" value="0" aria-label="Position in the clip">'
        '<button class="sound" aria-pressed="false">Sound off</button></div></div>'
    )


def _plot(drawing: Drawing, wide: bool = False) -> str:
    broad = drawing.aspect > 3
    kind = "plot broad" if broad else "plot wide" if wide else "plot"
    title = "" if broad else f"<figcaption>{escape(drawing.title)}</figcaption>"
    words = escape(drawing.words)
    return f'<figure class="{kind}" role="img" aria-label="{words}">{title}{svg(drawing, wide)}</figure>'


def svg(drawing: Drawing, wide: bool = False) -> str:
    """A drawing as SVG whose ink and rules take the page's colours."""
    width = PLOT_WIDTH * (2.1 if drawing.aspect > 3 else 1.25 if wide else 1)
    salt = {"svg.hashsalt": f"{drawing.name}-{next(_ids)}"}  # ids are hashes; the same drawing may come twice
    with matplotlib.rc_context(STYLE | salt):
        figure = Figure(figsize=(width, width / drawing.aspect + 0.4), layout="constrained", facecolor="none")
        axes = figure.subplots()
        axes.set_facecolor("none")
        drawing.draw(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = re.sub(r"<metadata>.*?</metadata>", "", "<svg" + file.getvalue().partition("<svg")[2], flags=re.DOTALL)
    text = re.sub(r' id="(?:figure|axes|patch|matplotlib|xtick|ytick|line2d|text|legend|Path)[^"]*"', "", text)
    text = re.sub(r'<svg ([^>]*?)width="[^"]*"', r'<svg aria-hidden="true" \1', text, count=1)
    text = re.sub(r' height="[^"]*pt"', "", text, count=1)
    return text.replace(plots.INK, "var(--ink)").replace(plots.RULE, "var(--rule)")


def _files(sheet: Sheet, folder: Path) -> str:
    name = sheet.recipe.name
    there = [f for f in (f"{name}.png", f"{name}.pdf", "losses.pdf", "run.json") if (folder / name / f).is_file()]
    links = " ".join(f'<a href="{name}/{file}">{file}</a>' for file in there)
    return f'<p class="files">{links}</p>'


def picture(panel: Panel) -> str:
    """A panel's picture as a data URI."""
    file = io.BytesIO()
    matplotlib.image.imsave(file, to_array(panel.pixels), format="webp", pil_kwargs={"quality": QUALITY, "method": 4})
    return _data(file.getvalue(), "image/webp")


def _data(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
