"""The gallery: whole and without the network as text, and alive in a real browser."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import Browser, find_chromium
from small_networks import smooth_picture

from videostyle.experiments.page import svg, write_page
from videostyle.experiments.plots import INK, distances, losses
from videostyle.experiments.recipes import load_recipes
from videostyle.experiments.runner import Curve, Made
from videostyle.experiments.sheet import Panel, Row, Sheet
from videostyle.pipeline.video import copy_video
from videostyle.samples import sample
from videostyle.settings import MediaSettings

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Checker(HTMLParser):
    """Tags that are not closed in order, ids that come twice, addresses that lead out of the folder."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids += [values["id"]] if "id" in values else []
        self.addresses += [values[k] for k in ("src", "href") if k in values]
        if tag == "img" and "alt" not in values:
            self.wrong.append("a picture without alt")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.ids += [v for k, v in attrs if k == "id"]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}>")


def made(loss: float) -> Made:
    curve = Curve([1, 2, 4], [loss * 4, loss * 2, loss], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0])
    return Made("k", smooth_picture(8, 8), smooth_picture(8, 8), curve, 4, 1.0, Path("k.png"))


def sheets() -> list[Sheet]:
    """A page with every kind of part: inputs, rows, losses, a wide drawing, an answer, a video."""
    method, seeds, video, question = load_recipes(("method", "seeds", "video", "question-seeds"))
    pictures = [smooth_picture(48, 72, seed=i) for i in range(4)]
    curves = losses({"one": made(1.0), 'a "quoted" <one>': made(2.0)})
    drawn = distances({"seeds": {"pixels": [0.2, 0.3]}, "styles": {"pixels": [1.0, 1.0]}})
    inputs = (Panel("Content", pictures[0], is_input=True), Panel("Style", pictures[1], is_input=True))
    words = (("n", "150"), ("size", "72 px"))
    row = Row(tuple(Panel(f"Seed {i}", p) for i, p in enumerate(pictures)), "Four & more")
    return [
        Sheet(method, (Row((*inputs, Panel("Result", pictures[2]))),), curves, words),
        Sheet(seeds, (row,), curves, words),
        Sheet(video, (row,), (), words),
        Sheet(question, (row,), (drawn, *curves), words, {}, "They differ by < 30 %."),
    ]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gallery")
    clips = folder / "video"
    clips.mkdir()
    for name in ("source.mp4", "stylised.mp4"):
        copy_video(sample("clip.mp4"), clips / name, media=MediaSettings(size=96, duration_seconds=1.0))
    return write_page(folder / "index.html", sheets(), folder)


@pytest.mark.slow
def test_the_page_is_whole_and_needs_no_network(page):
    text = page.read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(text)
    assert not checker.wrong and not checker.open
    assert len(set(checker.ids)) == len(checker.ids)
    for address in checker.addresses:
        assert address.startswith(("data:", "#")) or (page.parent / address).is_file(), address[:80]
    assert not re.search(r"https?://(?!www\.w3\.org)", text)
    assert "Four &amp; more" in text and "&lt; 30 %" in text


def test_a_plot_takes_the_colours_of_the_page():
    (total, _, _) = losses({"one": made(1.0)})
    first, second = svg(total), svg(total)
    assert INK not in first and "var(--ink)" in first and "<metadata" not in first
    ids = [set(re.findall(r' id="([^"]+)"', text)) for text in (first, second)]
    assert not ids[0] & ids[1]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_chromium()
    if program is None:
        pytest.skip("needs Chromium (apt-get install chromium, or set VIDEOSTYLE_CHROMIUM)")
    browser = Browser(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)], ids=["desktop", "phone-dark"])
def test_in_a_browser(page, browser, width, dark):
    browser.problems.clear()
    browser.view(width, 800, dark=dark)
    browser.open(page)
    pictures = (
        "Promise.all([...document.images].filter(i => i.src).map(i => i.decode().then(() => i.naturalWidth > 0)))"
    )
    assert browser.do(f"{pictures}.then(all => all.length > 10 && all.every(Boolean))")
    assert browser.do("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
    assert browser.do("document.documentElement.dataset.theme") == ("dark" if dark else "light")
    before = browser.do("getComputedStyle(document.body).backgroundColor")
    browser.do("document.getElementById('theme').click()")
    assert browser.do("getComputedStyle(document.body).backgroundColor") != before
    check_slider(browser)
    check_players(browser)
    check_dialog(browser)
    assert not browser.problems


def check_slider(browser: Browser) -> None:
    """By key and by finger."""
    where = "document.querySelector('.slider').style.getPropertyValue('--at')"
    assert browser.do(where) == "50%"
    browser.do("document.querySelector('.slider input').focus()")
    browser.key("ArrowRight", 39)
    assert browser.do(where) == "51%"
    box = browser.do("(b => [b.left, b.top, b.width])(document.querySelector('.slider').getBoundingClientRect())")
    x, y = box[0] + 0.25 * box[2], box[1] + 40
    browser.do("scrollTo(0, 0)")
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1, buttons=1)
    assert abs(float(browser.do(where).rstrip("%")) - 25) <= 2


def check_players(browser: Browser) -> None:
    """Both clips decode, play and stay in step; seeking moves both."""
    videos = "[...document.querySelectorAll('video')]"
    browser.wait(f"{videos}.length === 2 && {videos}.every(v => v.readyState >= 3)")
    browser.do("document.querySelector('.play').focus()")
    browser.key("Enter", 13)
    browser.do("document.querySelector('.play').click()") if browser.do(f"{videos}[0].paused") else None
    browser.wait(f"{videos}.every(v => !v.paused && v.currentTime > 0)")
    browser.wait(f"{videos}.every(v => v.currentTime > 0.3)")
    browser.do("document.querySelector('.play').click()")
    assert browser.do(f"{videos}.every(v => v.paused)")
    assert browser.do(f"Math.abs({videos}[0].currentTime - {videos}[1].currentTime)") < 0.1
    browser.do("(s => { s.value = 500; s.dispatchEvent(new Event('input')); })(document.querySelector('.seek'))")
    browser.wait(f"{videos}.every(v => Math.abs(v.currentTime - v.duration / 2) < 0.05)")


def check_dialog(browser: Browser) -> None:
    """A picture opens in large, a key or a button leads to the next and back, another key closes it."""
    browser.do("document.querySelector('.zoom').click()")
    first = browser.do("document.querySelector('#box p').textContent")
    assert browser.do("document.getElementById('box').open") and first
    browser.key("ArrowRight", 39)
    assert browser.do("document.querySelector('#box p').textContent") != first
    browser.do("document.querySelector('#box .step').click()")
    assert browser.do("document.querySelector('#box p').textContent") == first
    browser.key("Escape", 27)
    browser.wait("!document.getElementById('box').open")
