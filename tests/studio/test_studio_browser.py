"""The page in a real Chromium, from the drop of a clip to the download of its painting."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from experiments.browser import find_chromium
from PIL import Image, ImageChops, ImageOps, ImageStat
from studio_server import StudioServer, by_command, same_frames

from videostyle.frames import to_array
from videostyle.media.decode import decode
from videostyle.media.probe import probe
from videostyle.pipeline.look_record import look_as_recorded
from videostyle.settings.look_file import read_look

pytestmark = pytest.mark.slow
SECONDS = 90.0  # for anything to happen

DROP = """async ([url, name, type, target]) => {
  const content = await (await fetch(url)).blob();
  const data = new DataTransfer();
  data.items.add(new File([content], name, { type }));
  for (const kind of ["dragover", "drop"]) {
    const event = new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data });
    document.querySelector(target).dispatchEvent(event);
  }
}"""


class Page:
    """A page that notes what it should never do. ``problems``: console messages, errors, requests to elsewhere."""

    def __init__(self, browser: Any, server: StudioServer, **context: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 800}, **context)
        self.page, self.problems, self.server = self.context.new_page(), [], server
        self.page.on("console", lambda message: self.problems.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        own = (f"http://127.0.0.1:{server.port}/{server.token}/", "blob:", "data:")
        self.page.on("request", lambda r: None if r.url.startswith(own) else self.problems.append(r.url))
        self.page.goto(server.address)
        self.until("window.studio && studio.timing.first > 0")

    def until(self, script: str) -> None:
        end = time.monotonic() + SECONDS
        while not self.page.evaluate(script):
            assert time.monotonic() < end, script
            self.page.wait_for_timeout(40)

    def until_painted(self) -> None:
        self.until("studio.timing.quick > 0")

    def drop(self, name: str, called: str, kind: str, target: str = "#stage") -> None:
        url = f"api/v1/media/{self.server.named(name)}/file"
        self.page.evaluate(DROP, [url, called, kind, target])

    @property
    def look(self) -> dict[str, Any]:
        return self.page.evaluate("studio.draft.look")


@pytest.fixture
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
    program = find_chromium()
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox", "--mute-audio"])
        yield browser
        browser.close()


def try_looks(seen: Page) -> None:
    """Drop, scrub, blend, key, part, undo."""
    page = seen.page
    seen.drop("clip.mp4", "holiday.mp4", "video/mp4")
    seen.until("document.getElementById('title').textContent === 'holiday.mp4'")
    seen.drop("styles/woodcut.jpg", "my painting.jpg", "image/jpeg")
    page.wait_for_selector("[aria-label='my painting'][aria-pressed='true']")
    seen.until_painted()
    page.focus("#scrub")
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    assert page.evaluate("studio.draft.at") == pytest.approx(2 / 24, abs=1e-5)
    assert page.text_content("#count") == "frame 3 of 96" and page.input_value("#clock") == "0:00.083"
    page.fill("#clock", "2.0")
    page.keyboard.press("Enter")
    assert page.evaluate("studio.draft.at") == 2
    page.fill("#clock", "0")
    page.keyboard.press("Enter")
    page.keyboard.press(".")
    page.keyboard.press(",")
    assert page.evaluate("studio.draft.at") == 0
    page.click("[aria-label='Blend stained glass in']", force=True)
    assert [style["weight"] for style in seen.look["style"]] == [0.5, 0.5]
    page.fill("[aria-label='Share of stained glass']", "0.25")
    assert [style["weight"] for style in seen.look["style"]] == [0.75, 0.25]
    page.click("[aria-label='Strength: set a key here']")
    page.focus("#scrub")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.fill("[aria-label='Strength']", "0.7")
    assert [key[:2] for key in seen.look["strength"]] == [[0, 0.5], [pytest.approx(5 / 24, abs=1e-3), 0.7]]
    seen.until("document.querySelectorAll('.lane .key').length === 2")
    page.focus("#scrub")
    page.keyboard.press("Home")
    seen.until_painted()
    page.click("text=+ Mark a part")
    box = page.locator("#mask").bounding_box()
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.15 * box["width"], box["y"] + 0.6 * box["height"], steps=6)
    page.mouse.up()
    seen.until("studio.draft.look.region[0].mask.endsWith('@0')")
    first = seen.look["region"][0]["mask"]
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.6 * box["height"], steps=6)
    page.mouse.up()
    seen.until(f"studio.draft.look.region[0].mask !== '{first}'")
    page.keyboard.press("z")
    assert seen.look["region"][0]["mask"] == first
    seen.until_painted()


def saved(seen: Page, button: str, to: Path) -> Image.Image:
    """The picture that a button downloads."""
    with seen.page.expect_download() as begun:
        seen.page.click(button)
    path = to / begun.value.suggested_filename
    begun.value.save_as(path)
    return Image.open(path).convert("RGB")


def alike(one: Image.Image, other: Image.Image) -> bool:
    """Whether two pictures are the same but for their size and a JPEG between them."""
    difference = ImageChops.difference(one, other.resize(one.size, Image.Resampling.BICUBIC))
    return max(ImageStat.Stat(difference).mean) < 12


def paint_by_hand(seen: Page, folder: Path) -> Image.Image:
    """Save a frame, give its negative back, see it on the picture and on the timeline, remove it, undo that."""
    page, mine = seen.page, folder / "mine.png"
    page.fill("#clock", "0.25")
    page.keyboard.press("Enter")
    page.keyboard.press("p")
    frame = saved(seen, "text=The clip’s frame", folder)
    assert frame.size == (640, 360) and (folder / "holiday-0000.250s.png").is_file()
    negative = ImageOps.invert(frame)
    negative.save(mine)
    with page.expect_file_chooser() as chooser:
        page.click("text=Give the picture")
    chooser.value.set_files(mine)
    seen.until("studio.draft.look.frame.length === 1")
    assert seen.look["frame"][0]["at"] == 0.25
    page.wait_for_selector("#by-hand[aria-pressed='true']")
    key = page.locator(".lane [aria-label='Your frame at 0:00.250']")
    key.wait_for()
    seen.until("studio.timing.finished > 0 && !document.getElementById('painted').hidden")
    page.wait_for_timeout(300)  # the newest picture is drawn
    shown = saved(seen, "#save-picture", folder)
    assert shown.size == (256, 144) and alike(shown, negative)
    page.keyboard.press(",")
    page.wait_for_selector("#by-hand[aria-pressed='false']")
    key.click()
    assert page.evaluate("studio.draft.at") == 0.25
    key.press("Delete")
    assert seen.look["frame"] == []
    page.keyboard.press("z")
    assert len(seen.look["frame"]) == 1
    return negative


def test_from_the_drop_to_the_download(chromium, own, tmp_path):
    seen = Page(chromium, own)
    page = seen.page
    assert page.title() == "videostyle studio"
    try_looks(seen)
    mine = paint_by_hand(seen, tmp_path)
    page.click("text=Whole picture")
    page.click("text=Everything else")
    page.fill("#setting-iterations", "6")
    page.keyboard.press("Tab")
    page.evaluate("Object.assign(studio.draft.media, { size: 64, duration_seconds: 0.5 })")
    page.click("#paint")
    page.wait_for_selector("#queue .job")
    name = page.get_attribute("#queue .job", "data-job")
    own.wait(name, lambda job: job.get("progress", {}).get("frame", 0) >= 1 and job["progress"]["stage"] == "stylise")
    page.reload()
    seen.until("window.studio && studio.timing.first > 0")
    assert [key[1] for key in seen.look["strength"]] == [0.5, 0.7], "the look is as it was"
    own.wait(name, lambda job: job["progress"]["frame"] >= 4)
    assert seen.problems == []

    own.kill()
    seen.until("document.getElementById('said').textContent.includes('does not answer')")
    again = StudioServer(own.folder, port=own.port)
    try:
        seen.until("document.getElementById('said').textContent.includes('back') || studio.timing.first > 0")
        seen.problems.clear()  # while there was no server, requests failed
        again.wait(name, lambda job: job["state"] == "done")
        page.click("#tab-gallery")
        page.click(f"[data-job='{name}'] .show")
        seen.until("document.getElementById('result').readyState >= 2")
        page.click("#view-wipe")
        page.focus("#wipe")
        page.keyboard.press("ArrowRight")
        page.click("#play")
        seen.until("document.getElementById('result').currentTime > 0.1")
        apart = (
            "Math.abs(document.getElementById('result').currentTime - document.getElementById('source').currentTime)"
        )
        assert page.evaluate(apart) < 0.1
        seen.until("document.getElementById('result').paused")
        assert page.text_content("#count") == "frame 12 of 96", "it stops at the last frame that is painted"
        seen.until("!document.getElementById('source').seeking && !document.getElementById('result').seeking")
        assert page.evaluate(apart) < 1e-3
        for key, frame in ((".", 12), ("Home", 1), ("End", 12)):
            page.keyboard.press(key)
            page.wait_for_timeout(300)
            assert page.text_content("#count") == f"frame {frame} of 96"
        with page.expect_download() as begun:
            page.click(f"[data-job='{name}'] >> text=Download")
        painted = tmp_path / begun.value.suggested_filename
        begun.value.save_as(painted)
        assert seen.problems == []
        command = again.job(name)["command"]
    finally:
        again.close()
    assert painted.name == "holiday-my painting+stained_glass.mp4"
    look, settings, _ = look_as_recorded(painted)
    assert len(look.styles) == 2 and look.regions[0].at_seconds == 0 and settings["iterations"] == 6
    given = list(decode(probe(painted)))[6]
    assert look.frames[0].at_seconds == 0.25 and alike(Image.fromarray(to_array(given.pixels)), mine)
    by_command(command, tmp_path / "command.mp4")
    assert same_frames(painted, tmp_path / "command.mp4"), "the page and the command line give the same frames"


def test_events_that_are_faster_than_their_answer(chromium, own):
    """A preview's pictures may come before the answer that says its number."""
    seen = Page(chromium, own)

    def late(route: Any) -> None:
        answer = route.fetch()
        time.sleep(2)  # the whole preview is told of meanwhile
        route.fulfill(response=answer)

    seen.page.evaluate("studio.draft.preview = 64")
    seen.page.route("**/api/v1/previews", late)
    for strength in ("0.7", "0.2"):
        seen.page.fill("[aria-label='Strength']", strength)
        seen.until_painted()
        seen.until("document.getElementById('said').textContent === 'Preview at 64 pixels'")
    assert seen.problems == []


def test_every_control_has_a_name_and_can_be_reached(chromium, own):
    seen = Page(chromium, own, color_scheme="dark")
    nameless = """[...document.querySelectorAll("button, input, select, [role=tab]")].filter((e) => e.offsetParent &&
      !(e.getAttribute("aria-label") || e.labels?.length || e.textContent.trim())).map((e) => e.outerHTML)"""
    seen.page.click("text=Everything else")
    assert seen.page.evaluate(nameless) == []
    assert seen.page.evaluate("[...document.querySelectorAll('[tabindex]')].every((e) => e.tabIndex <= 0)")
    seen.page.click("h1")
    for key in ("1", "2", "3", "f", "f", "q", "g", "l", "k", "z", "?"):
        seen.page.keyboard.press(key)
    assert seen.page.is_visible("dialog")
    seen.page.keyboard.press("Escape")
    seen.page.set_viewport_size({"width": 390, "height": 844})
    wide = "document.documentElement.scrollWidth <= innerWidth"
    assert seen.page.evaluate(wide), "a phone needs no scrolling sideways"
    assert seen.problems == []


def stroke(page: Any, from_x: float, to_x: float) -> None:
    """With the brush, at half the frame's height."""
    box = page.locator("#mask").bounding_box()
    page.mouse.move(box["x"] + from_x * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + to_x * box["width"], box["y"] + 0.5 * box["height"], steps=4)
    page.mouse.up()


def test_two_marked_parts_are_saved_and_read_again(chromium, own, tmp_path):
    """Each with its own mask; before the first stroke it can be said whether a part follows what it covers."""
    seen = Page(chromium, own)
    page = seen.page
    for index, (begin, end) in enumerate(((0.1, 0.2), (0.7, 0.9))):
        page.click("text=+ Mark a part")
        if index == 1:
            page.click("#tools >> text=Follows what it covers")
            page.wait_for_selector("#tools >> text=Stays in place")
        stroke(page, begin, end)
        seen.until(f"studio.draft.look.region[{index}].mask !== ''")
    masks = [region["mask"] for region in seen.look["region"]]
    assert masks[0].endswith("@0") and "@" not in masks[1] and masks[0].split("@")[0] != masks[1]
    downloads: list[Any] = []
    page.on("download", lambda download: downloads.append(download))
    page.click("#save-look")
    while len(downloads) < 3:
        page.wait_for_timeout(40)
    for download in downloads:
        download.save_as(tmp_path / download.suggested_filename)
    look, _ = read_look(tmp_path / "look.toml")
    assert len({region.mask for region in look.regions}) == 2
    assert all(Path(region.mask).is_file() for region in look.regions), "the masks lie beside the look"
    with page.expect_file_chooser() as chooser:
        page.click("#load-look")
    chooser.value.set_files(tmp_path / "look.toml")
    seen.until("studio.draft.part < 0")
    assert [region["mask"] for region in seen.look["region"]] == [masks[0].replace("@0", "@0.0"), masks[1]]
    assert seen.problems == []


def test_the_queue_by_its_buttons(chromium, own):
    """Pause, resume and cancel; a failed run can begin anew."""
    seen = Page(chromium, own)
    page = seen.page
    page.click("#tab-queue")
    job = own.queue(duration_seconds=4.0)
    card = page.locator(f"[data-job='{job['id']}']")
    own.wait(job["id"], lambda job: job.get("progress", {}).get("frame", 0) >= 2)
    card.get_by_text("Pause", exact=True).click()
    own.wait(job["id"], lambda job: job["state"] == "paused")
    card.get_by_text("Paused, frame").wait_for()
    card.get_by_text("Resume", exact=True).click()
    own.wait(job["id"], lambda job: job["state"] == "running")
    card.get_by_text("Cancel", exact=True).click()
    page.click("dialog >> text=Delete everything")
    card.wait_for(state="detached", timeout=1000 * SECONDS)
    assert own.client.get("state").json()["jobs"] == []
    failed = own.queue(own.look(region=[{"mask": own.named("styles/brush.jpg"), "style": []}]))
    card = page.locator(f"[data-job='{failed['id']}']")
    card.get_by_text("Begin anew", exact=True).wait_for(timeout=1000 * SECONDS)
    with page.expect_response("**/restart") as answered:
        card.get_by_text("Begin anew", exact=True).click()
    assert answered.value.status == 200
    card.get_by_text("Begin anew", exact=True).wait_for(timeout=1000 * SECONDS)
    assert seen.problems == []


def test_scrubbing_asks_for_the_last_frame_alone(chromium, own):
    seen = Page(chromium, own)
    page = seen.page
    seen.until("studio.timing.finished > 0")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "size=640" in request.url else None)
    page.evaluate("""() => {
      const scrub = document.getElementById("scrub");
      for (let i = 1; i <= 30; i++) {
        scrub.value = i;
        scrub.dispatchEvent(new Event("input"));
      }
    }""")
    seen.until("!document.getElementById('exact').hidden")
    page.wait_for_timeout(300)
    assert len(asked) == 1 and f"at={page.evaluate('studio.draft.at')}" in asked[0], asked


def test_nothing_moves_when_a_preview_comes(chromium, own):
    """Nor does the page scroll sideways at 1280 pixels."""
    seen = Page(chromium, own)
    boxes = """() => ["stage", "picture", "time", "track", "lanes", "said", "tab-look", "sliders", "go"].map((id) => {
      const { x, y, width, height } = document.getElementById(id).getBoundingClientRect();
      return [id, x, y, width, height];
    })"""
    seen.until("studio.timing.finished > 0")
    before = seen.page.evaluate(boxes)
    seen.page.fill("[aria-label='Strength']", "0.9")
    seen.until("studio.timing.first > 0")
    during = seen.page.evaluate(boxes)
    seen.until("studio.timing.finished > 0")
    assert before == during == seen.page.evaluate(boxes)
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_change_just_before_the_page_closes_is_kept(chromium, own):
    seen = Page(chromium, own)
    seen.page.fill("[aria-label='Strength']", "0.77")
    seen.page.evaluate("studio.draft.at")  # the change is there
    seen.page.goto("about:blank")
    end = time.monotonic() + SECONDS
    while (own.client.get("state").json()["draft"] or {}).get("look", {}).get("strength") != 0.77:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_an_upload_is_deleted_on_the_page(chromium, own):
    """With the Delete key and with its cross; the look goes on without it."""
    seen = Page(chromium, own)
    page = seen.page
    for name, way in (("one", "key"), ("two", "cross")):
        seen.drop("styles/woodcut.jpg" if name == "one" else "styles/cubist.jpg", f"{name}.jpg", "image/jpeg")
        thing = page.locator(f"#paintings [aria-label='{name}']")
        thing.wait_for()
        if way == "key":
            thing.press("Delete")
        else:
            page.click(f"[aria-label='Delete {name}']", force=True)
        page.click("dialog >> text='Delete'")
        thing.wait_for(state="detached")
        assert len(seen.look["style"]) == 1
    assert not [entry for entry in own.client.get("state").json()["media"] if "sample" not in entry]
    page.keyboard.press("z")
    seen.until_painted()
    assert seen.problems == []


def test_a_number_says_what_it_means_and_goes_back_to_normal(chromium, own):
    """It can be typed; what a click brings back, Delete on the slider does too."""
    seen = Page(chromium, own)
    page, number = seen.page, "[aria-label='Strength: number']"
    back, slider = page.locator("[aria-label='Strength: back to normal']"), page.locator("[aria-label='Strength']")
    assert not back.is_visible()
    page.fill(number, "0,2")
    page.keyboard.press("Enter")
    assert seen.look["strength"] == 0.2 and slider.input_value() == "0.2"
    words = page.text_content("#meaning-whole")
    assert words.startswith("Strength 0.20: strength of the style") and words.endswith("; 0.50 is normal")
    assert slider.get_attribute("aria-describedby") == "meaning-whole"
    back.click()
    assert "strength" not in seen.look and page.input_value(number) == "0.50" and not back.is_visible()
    for typed, wanted in (("7", 1), ("no number", 1), ("0.9", 0.9)):
        page.fill(number, typed)
        page.keyboard.press("Enter")
        assert seen.look["strength"] == wanted
    slider.press("Delete")
    assert "strength" not in seen.look
    page.hover("[aria-label='Clip’s colours']")
    assert page.text_content("#meaning-whole").startswith("Clip’s colours 0 %: ")
    page.fill("[aria-label='Clip’s colours: number']", "30 %")
    page.keyboard.press("Tab")
    assert seen.look["colours"]["share"] == 0.3
    assert seen.problems == []


PROGRESS = """([id, left]) => {
  const event = { job: id, stage: "stylise", frame: 9, frames: 14, restored: 0, seconds_left: 24, at: null };
  studio.onProgress(event);
  if (left) studio.onProgress({ ...event, stage: "mask", frame: 6, seconds_left: null });
}"""


def test_the_chosen_part_is_the_part_that_is_painted(chromium, own):
    """The page says from when to when, and how many frames; the run has as many, and its buttons stay in place."""
    seen = Page(chromium, own)
    page = seen.page
    page.evaluate(
        "Object.assign(studio.draft.media, { size: 64 }); Object.assign(studio.draft.look, { iterations: 6 })"
    )
    assert [text.split(",")[0] for text in page.locator("#size option").all_text_contents()] == ["360", "480", "640"]
    assert page.text_content("#paint") == "Paint the clip"
    for seconds, key in (("0.5", "i"), ("1.0", "o")):
        page.fill("#clock", seconds)
        page.keyboard.press("Enter")
        page.keyboard.press(key)
    assert page.text_content("#range") == "0.500 to 1.000 s, 13 frames"
    assert page.get_attribute("#mark-in", "aria-pressed") == page.get_attribute("#mark-out", "aria-pressed") == "true"
    assert page.text_content("#paint") == "Paint this part"
    page.keyboard.press("o")
    assert page.text_content("#range") == "0.500 to 3.958 s, 84 frames", "pressed again, up to the last"
    page.keyboard.press("o")
    page.click("#paint")
    page.wait_for_selector("#queue .job")
    name = page.get_attribute("#queue .job", "data-job")
    own.wait(name, lambda job: job.get("progress", {}).get("frame", 0) >= 1 and job["progress"]["stage"] == "stylise")
    place = f"[data-job='{name}'] .row button"
    told = []
    for looking in (False, True):
        page.evaluate(PROGRESS, [name, looking])
        told.append((page.text_content(f"[data-job='{name}'] p"), page.locator(place).first.bounding_box()))
    assert told[0][0] == "Frame 9 of 14, about 24 s left"
    assert told[1][0] == "Looking where the part is, 6 of 14 (before frame 10), about 24 s left"
    assert told[0][1] == told[1][1], "the buttons stay where they are"
    assert own.wait(name, lambda job: job["state"] == "done")["frames"] == 13
    page.click("#tab-gallery")
    page.get_by_text("13 frames, painted in").wait_for()
    with page.expect_download() as begun:
        page.click("#gallery >> text=Save look")
    assert begun.value.suggested_filename == "clip-brush.toml"
    page.click("#tab-look")
    page.fill("[aria-label='Strength']", "0.9")
    page.click("#tab-gallery")
    page.click("#gallery >> text=Use look")
    seen.until("!('strength' in studio.draft.look)")
    page.click("#offer >> text=Undo")
    assert seen.look["strength"] == 0.9 and not page.is_visible("#offer")
    assert seen.problems == []
