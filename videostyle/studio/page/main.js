// The page: what happens when something changes, keys, files that are dropped.

import { get, listen, post, postForText, send, url } from "./api.js";
import { brush, edit } from "./brush.js";
import { $, clock, h, later, say } from "./dom.js";
import * as jobList from "./jobs.js";
import { hasKeyHere, MAIN, toggleKey } from "./numbers.js";
import * as panel from "./panel.js";
import * as preview from "./preview.js";
import * as stage from "./stage.js";
import * as state from "./state.js";
import * as timeline from "./timeline.js";

const { draft, media, jobs } = state;
const previewSoon = later(preview.request, 25), previewLater = later(preview.request, 160);

// --- the clip and its frames

async function setClip(id) {
  try {
    media.set(id, { ...media.get(id), ...(await get(`media/${id}`)) });
  } catch (error) {
    return say(error.message, { problem: true, stay: true });
  }
  stage.setSource(media.get(id));
  $("title").textContent = media.get(id).name;
  timeline.setClip();
  $("paint").textContent = media.get(id).kind === "clip" ? "Paint the clip" : "Paint it";
  sizes();
  endings();
}

async function chooseClip(id) {
  if (id !== draft.source) {
    [draft.source, draft.at, draft.media, draft.part, draft.look.region, draft.look.frame] = [id, 0, {}, -1, [], []];
    state.commit("all");
  }
  showLook();
}

function seek(index) {
  const all = stage.times();
  const next = all[Math.min(all.length - 1, Math.max(0, index))];
  if (stage.isPlaying()) stage.pause();
  const moved = next !== draft.at;
  draft.at = next;
  if (moved && stage.stage.mode === "edit") stage.hidePainted();
  stage.showFrame();
  atTime();
  if (stage.stage.mode === "edit" && moved) previewLater();
}

function atTime() {
  timeline.update();
  panel.sliders();
  const region = draft.look.region[draft.part];
  edit(region ?? null);
  const given = Boolean(panel.givenHere()), size = $("size").value || 1280;
  $("give-frame").setAttribute("aria-pressed", String(given));
  $("give-frame").textContent = given ? "Take frame back" : "Give frame";
  $("take-frame").href = draft.source ? url(`media/${draft.source}/frame?at=${draft.at}&size=${size}&download`) : "";
  $("take-frame").download = `${(stage.source()?.name ?? "frame").replace(/\.[^.]*$/, "")}-${frameName(draft.at)}s.png`;
  $("play").textContent = stage.isPlaying() ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", stage.isPlaying() ? "Pause" : "Play");
}

const frameName = (seconds) => (Math.floor(1000 * seconds) / 1000).toFixed(3).padStart(8, "0");

stage.onMove((settled) => {
  atTime();
  if (settled) {
    stage.showFrame();
    panel.parts();
    previewSoon();
  }
});
timeline.onSeek(seek);

// --- changes

let shownSource = null;
state.onChange(async (kind) => {
  if (kind === "keys dragged" || kind === "number") {
    panel.sliders();
    if (kind === "keys dragged" || Object.values(draft.look).some(state.isKeys)) timeline.update();
    if (kind === "number") lanesSoon();
    return previewSoon();
  }
  if (kind === "all" || draft.source !== shownSource) {
    shownSource = draft.source;
    await setClip(draft.source);
    stage.showFrame();
  }
  everything();
  previewSoon();
});
const lanesSoon = later(() => timeline.lanes(), 30);

function everything() {
  panel.clips();
  panel.parts();
  panel.paintings();
  panel.sliders();
  panel.fields();
  timeline.lanes();
  sizes();
  atTime();
}

function sizes() {
  const entry = stage.source(), longest = Math.max(entry?.width ?? 1280, entry?.height ?? 720);
  const usual = [360, 480, 640, 720, 960, 1280, 1920].filter((size) => size < longest);
  const chosen = draft.media.size ?? "";
  const option = (value, text) => h("option", { value, text, selected: String(value) === String(chosen) });
  $("size").replaceChildren(option("", longest <= 1280 ? `${longest}` : "1280"), ...usual.map((s) => option(s, `${s}`)), ...(longest > 1280 ? [option(longest, `${longest}`)] : []));
  if (chosen && !usual.includes(chosen) && chosen !== longest) $("size").append(option(chosen, `${chosen}`));
}

function endings() {
  const kinds = stage.source()?.kind === "clip" ? ["mp4", "mov", "mkv", "webm", "gif"] : ["png"];
  const chosen = draft.ending.slice(1);
  $("ending").replaceChildren(...kinds.map((kind) => h("option", { value: `.${kind}`, text: kind, selected: kind === chosen })));
}

$("size").addEventListener("change", () => {
  if ($("size").value) draft.media.size = Number($("size").value);
  else delete draft.media.size;
  state.commit("setting");
});
const SHARP = [256, 384, 512, 768, 1024];
function sharp() {
  const option = (size) => h("option", { value: size, text: `${size}`, selected: size === draft.preview });
  $("sharp").replaceChildren(...SHARP.map(option));
}
$("sharp").addEventListener("change", () => {
  draft.preview = Number($("sharp").value);
  state.commit("setting");
});
$("ending").addEventListener("change", () => {
  draft.ending = $("ending").value;
  state.commit("setting");
});

// --- queue, looks, command line

const wanted = () => {
  const look = state.lookForServer();
  const regions = (look.region ?? []).filter((region) => region.mask);
  delete look.region;
  if (regions.length) look.region = regions;
  return { source: draft.source, look, media: draft.media, ending: $("ending").value };
};
const trying = (work) => async (...values) => {
  try {
    return await work(...values);
  } catch (error) {
    say(error.message, { problem: true });
  }
};

$("paint").addEventListener("click", trying(async () => {
  const job = await post("jobs", wanted());
  if (!jobs.has(job.id)) jobList.onJob(job);
  tab("queue");
  say(`${job.name} is queued`);
}));
$("save-look").addEventListener("click", trying(async () => {
  const text = await postForText("looks/file", wanted());
  const link = h("a", { href: URL.createObjectURL(new Blob([text], { type: "application/toml" })), download: "look.toml" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}));
const readLook = trying(async (file) => {
  const { look } = await send("looks", await file.text());
  draft.look = state.lookFromServer(look, stage.source()?.seconds ?? 1);
  draft.part = -1;
  state.commit("look");
  say(`${file.name} is the look now`);
});
$("load-look").addEventListener("click", () => panel.chooseFiles(".toml", ([file]) => readLook(file)));
document.addEventListener("look-file", (event) => readLook(event.detail));
$("show-command").addEventListener("click", trying(async () => {
  const { words } = await post("command", wanted());
  jobList.showCommand(words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`)).join(" "));
}));
const mark = (end) => {
  const from = draft.media.start_seconds ?? 0, to = from + (draft.media.duration_seconds ?? Infinity), i = stage.frameIndex();
  const next = stage.times()[i + 1] ?? stage.source()?.seconds ?? draft.at;
  let [first, last] = end ? [from, next] : [draft.at, to];
  if (last <= first) [first, last] = end ? [0, next] : [draft.at, Infinity];
  const whole = !Number.isFinite(last) || last >= (stage.source()?.seconds ?? 0) - 1e-3;
  Object.assign(draft.media, { start_seconds: first, duration_seconds: Number((last - first).toFixed(6)) });
  if (!first) delete draft.media.start_seconds;
  if (whole) delete draft.media.duration_seconds;
  state.commit("setting");
};
$("give-frame").addEventListener("click", panel.giveFrame);
$("mark-in").addEventListener("click", () => mark(false));
$("mark-out").addEventListener("click", () => mark(true));

// --- panels

const TABS = ["look", "queue", "gallery"];
function tab(name) {
  for (const other of TABS) {
    const on = other === name, button = $(`tab-${other}`);
    button.setAttribute("aria-selected", String(on));
    button.tabIndex = on ? 0 : -1;
    $(`panel-${other}`).hidden = !on;
  }
  $("go").hidden = name !== "look";
  if (name === "look") leaveJob();
  const running = [...jobs.values()].find((job) => job.state === "running");
  if (name === "queue" && running && stage.stage.mode === "edit") document.querySelector(`[data-job="${running.id}"] .show`)?.click();
}
async function leaveJob() {
  if (stage.stage.mode === "edit") return;
  stage.setMode("edit");
  jobList.lists();
  await setClip(draft.source);
  stage.showFrame();
  everything();
  previewSoon();
}
const showLook = () => tab("look");
for (const [index, name] of TABS.entries()) {
  $(`tab-${name}`).addEventListener("click", () => tab(name));
  $(`tab-${name}`).addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: 2 }[event.key];
    if (!step) return;
    event.stopPropagation();
    const next = TABS[(index + step) % 3];
    tab(next);
    $(`tab-${next}`).focus();
  });
}
jobList.onOpen(
  async (job) => {
    await setClip(job.source);
    draft.at = stage.times()[stage.frameIndex(Math.max(draft.at, job.media.start_seconds ?? 0))];
    edit(null);
    stage.showFrame();
    timeline.update();
    say(job.name, { stay: true });
  },
  async (job) => {
    [draft.source, draft.media, draft.ending] = [job.source, { ...job.media }, job.ending === ".png" ? ".mp4" : job.ending];
    draft.look = state.lookFromServer(job.look, media.get(job.source)?.seconds ?? 1);
    draft.part = -1;
    tab("look");
    state.commit("all");
  },
);
document.addEventListener("job-frame", (event) => {
  draft.at = stage.times()[stage.frameIndex(event.detail)];
  stage.showFrame();
  timeline.update();
});
panel.onChoose(chooseClip, seek);

// --- buttons and keys

const by = (step) => () => seek(stage.frameIndex() + step);
const part = (work) => () => draft.part >= 0 && work();
const KEYS = {
  " ": stage.play, ",": by(-1), ".": by(1), ArrowLeft: by(-1), ArrowRight: by(1), Home: () => seek(0), End: () => seek(Infinity),
  1: () => stage.setView("source"), 2: () => stage.setView("wipe"), 3: () => stage.setView("painted"),
  f: stage.zoom, m: stage.sound, i: () => mark(false), o: () => mark(true), "?": help,
  z: state.undo, Z: state.redo, y: state.redo,
  k: () => (toggleKey(MAIN[0]), state.commit("keys")), p: panel.giveFrame,
  b: part(() => panel.setBrush(true, false)), e: part(() => panel.setBrush(true, true)), v: part(() => panel.setBrush(!brush.on, false)),
  "[": part(() => ((brush.size = Math.max(0.01, brush.size / 1.2)), panel.parts())),
  "]": part(() => ((brush.size = Math.min(0.5, brush.size * 1.2)), panel.parts())),
  l: () => tab("look"), q: () => tab("queue"), g: () => tab("gallery"),
};
addEventListener("keydown", (event) => {
  const at = event.target, text = at.matches("input:not([type=range], [type=checkbox]), select, textarea");
  if (event.ctrlKey || event.metaKey) {
    if (event.key.toLowerCase() === "z" && !text) {
      event.preventDefault();
      (event.shiftKey ? state.redo : state.undo)();
    }
    return;
  }
  if (event.altKey || text || $("dialog").open) return;
  const arrows = event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End";
  if (arrows && at.matches("input, [role=tab]")) return;
  if (event.key === " " && at.matches("button, summary, input[type=checkbox]")) return;
  const work = KEYS[event.key];
  if (!work) return;
  event.preventDefault();
  work();
});

function help() {
  const rows = [
    ["space", "play, pause"], [", .  or arrows", "frame before, frame after"], ["1 2 3", "source, compare, painted"], ["f", "100 %"],
    ["k", "key of the strength, here"], ["p", "your own painting of this frame"], ["i o", "from here, up to here"], ["b e [ ]", "brush, erase, size"], ["v", "hide the brush"], ["z  Z", "undo, redo"],
    ["l q g", "look, queue, gallery"], ["m", "sound"],
  ];
  const dialog = $("dialog");
  dialog.replaceChildren(
    h("h2", { text: "Keys" }), h("dl", {}, ...rows.flatMap(([key, does]) => [h("dt", { text: key }), h("dd", { text: does })])),
    h("button", { text: "Close", autofocus: true, onclick: () => dialog.close() }),
  );
  dialog.showModal();
}

const CLICKS = {
  play: stage.play, before: by(-1), after: by(1), sound: stage.sound, zoom: stage.zoom, help,
  "view-source": KEYS[1], "view-wipe": KEYS[2], "view-painted": KEYS[3],
};
for (const [id, work] of Object.entries(CLICKS)) $(id).addEventListener("click", () => work());

// --- files that are dropped anywhere

addEventListener("dragover", (event) => {
  event.preventDefault();
  $("stage").classList.add("dropping");
  $("drop-hint").hidden = false;
});
const dropped = () => ($("stage").classList.remove("dropping"), ($("drop-hint").hidden = true));
addEventListener("dragleave", (event) => event.relatedTarget || dropped());
addEventListener("drop", (event) => {
  event.preventDefault();
  dropped();
  const onClips = event.target.closest?.("#clips");
  panel.addFiles([...event.dataTransfer.files], onClips ? "clip" : null);
});

// --- the beginning, and every return of the server

let lost = false;
async function load() {
  const found = await get("state");
  const first = shownSource === null;
  if (first) state.begin(found);
  for (const entry of found.media) media.set(entry.id, { ...media.get(entry.id), ...entry });
  jobs.clear();
  for (const job of found.jobs) jobs.set(job.id, job);
  jobList.lists();
  if (first && draft.source) {
    sharp();
    panel.sliders();
    panel.clips();
    panel.parts();
    panel.paintings();
    previewSoon();
    state.changed("all");
  }
}
listen({
  open: () => {
    if (lost) say("The studio is back");
    lost = false;
    load().catch((error) => say(error.message, { problem: true, stay: true }));
  },
  lost: () => {
    if (!lost) say("The studio does not answer; nothing is lost. Start it again with videostyle studio", { problem: true, stay: true });
    lost = true;
  },
  preview: preview.take, progress: jobList.onProgress, job: jobList.onJob, gone: jobList.onGone,
});
stage.setView("painted");
window.studio = { draft, timing: preview.timing, clock, hasKeyHere }; // for tests
