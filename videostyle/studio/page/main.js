// The page: what happens when something changes, keys, files that are dropped.

import { get, listen, post } from "./api.js";
import { edit } from "./brush.js";
import * as byHand from "./byhand.js";
import { $, chooseFiles, clock, later, say } from "./dom.js";
import * as jobList from "./jobs.js";
import { listenToKeys } from "./keys.js";
import { readLook, replaceLook, saveLook } from "./looks.js";
import { hasKeyHere } from "./numbers.js";
import { endings, sharp, sizes } from "./output.js";
import * as panel from "./panel.js";
import * as preview from "./preview.js";
import { sliders } from "./sliders.js";
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
    stage.wait(false);
    return say(error.message, { problem: true, stay: true });
  }
  stage.setSource(media.get(id));
  $("title").textContent = media.get(id).name;
  timeline.setClip();
  if (media.get(id).kind !== "clip") $("paint").textContent = "Paint it";
  sizes();
  endings();
}

async function chooseClip(id) {
  if (id !== draft.source) {
    stage.hidePainted();
    stage.wait(true);
    [draft.source, draft.at, draft.media, draft.part, draft.look.region, draft.look.frame] = [id, 0, {}, -1, [], []];
    state.commit("all");
  }
  showLook();
}

function seek(index) {
  const all = stage.times();
  const { first, last } = stage.stage.mode === "result" ? stage.range() : { first: 0, last: all.length - 1 };
  const next = all[Math.min(last, Math.max(first, index))];
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
  sliders();
  edit((stage.stage.mode === "edit" && draft.look.region[draft.part]) || null);
  byHand.update();
  $("play").textContent = stage.isPlaying() ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", stage.isPlaying() ? "Pause" : "Play");
}

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
    sliders();
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
  sliders();
  panel.fields();
  timeline.lanes();
  sizes();
  atTime();
}

// --- queue, looks, command line

// A run of a part of the clip takes the given frames that are in it.
function wanted() {
  const look = state.lookForServer(), from = draft.media.start_seconds ?? 0, to = from + (draft.media.duration_seconds ?? Infinity);
  if (look.frame) look.frame = look.frame.filter((frame) => frame.at >= from - 1e-4 && frame.at < to - 1e-4);
  return { source: draft.source, look, media: draft.media, ending: $("ending").value };
}
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
$("save-look").addEventListener("click", trying(saveLook));
$("load-look").addEventListener("click", () => chooseFiles(".toml", ([file]) => trying(readLook)(file)));
document.addEventListener("look-file", (event) => trying(readLook)(event.detail));
$("show-command").addEventListener("click", trying(async () => {
  const { words } = await post("command", wanted());
  jobList.showCommand(words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`)).join(" "));
}));
const wholeClip = () => {
  delete draft.media.start_seconds;
  delete draft.media.duration_seconds;
};
// From the frame that is shown, or up to it, which is painted too; where it is so already: from the first, up to the last.
const mark = (end) => {
  let { first, last } = stage.range();
  const all = stage.times(), i = stage.frameIndex(), final = all.length - 1;
  if (end) [first, last] = i === last ? [first, final] : [first > i ? 0 : first, i];
  else [first, last] = i === first ? [0, last] : [i, last < i ? final : last];
  wholeClip();
  if (first > 0) draft.media.start_seconds = all[first];
  // It ends between two frames: at the very time of the next one, rounding would say whether that is in it.
  if (last < final) draft.media.duration_seconds = Number(((all[last] + all[last + 1]) / 2 - all[first]).toFixed(6));
  state.commit("setting");
};
$("by-hand").addEventListener("click", byHand.paintByHand);
$("save-picture").addEventListener("click", byHand.savePicture);
$("mark-none").addEventListener("click", () => (wholeClip(), state.commit("setting")));
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
  say("");
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
    const { first, last } = stage.range(job);
    draft.at = stage.times()[Math.max(first, Math.min(last, stage.frameIndex()))];
    edit(null);
    stage.showFrame();
    timeline.update();
    say(job.name, { stay: true });
  },
  async (job) => {
    const look = state.lookFromServer(job.look, media.get(job.source)?.seconds ?? 1), ending = job.ending === ".png" ? ".mp4" : job.ending;
    tab("look");
    replaceLook({ source: job.source, media: { ...job.media }, ending, look }, job.name);
  },
  leaveJob,
);
document.addEventListener("job-frame", (event) => {
  draft.at = stage.times()[stage.frameIndex(event.detail)];
  stage.showFrame();
  timeline.update();
});
panel.onChoose(chooseClip, seek);

listenToKeys({ seek, mark, tab });

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
    sliders();
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
    preview.forget();
  },
  preview: preview.take, progress: jobList.onProgress, job: jobList.onJob, gone: jobList.onGone,
});
stage.setView("painted");
window.studio = { draft, timing: preview.timing, clock, hasKeyHere, onProgress: jobList.onProgress }; // for tests
