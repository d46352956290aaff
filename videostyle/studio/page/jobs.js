// The queue and the gallery.

import { post, url } from "./api.js";
import { $, closing, duration, h, openDialog, row, say } from "./dom.js";
import { saveJobLook } from "./looks.js";
import { jobs, named } from "./state.js";
import { hidePainted, setMode, showPainted, stage } from "./stage.js";

let open = () => {}, take = () => {}, leave = () => {};
export const onOpen = (opened, taken, left) => ([open, take, leave] = [opened, taken, left]);
const cards = new Map();
const seen = new Map(); // id -> how many pictures of a job have been seen, so that an image is asked for anew
const earlier = new Map(); // id -> the last frame of a job, and the seconds that were left then
const asked = new Map(); // id -> what has been asked of a running job, which ends its frame first

const sorted = () => [...jobs.values()].sort((a, b) => a.order - b.order);
async function act(job, action) {
  if (job.state === "running") asked.set(job.id, action);
  fillCard(job);
  try {
    await post(`jobs/${job.id}/${action}`);
  } catch (error) {
    asked.delete(job.id);
    say(error.message, { problem: true });
  }
}

const STAGES = {
  mask: "Looking where the part is", "carry back": "Carrying your frame back", choose: "Choosing frames",
  restore: "Reading what is there", encode: "Encoding", verify: "Checking", publish: "Finishing",
};
const ASKED = { pause: "Pausing", partial: "Making the clip so far", keep: "Ending", cancel: "Cancelling" };
const ENOUGH = 4; // frames that an estimate is made from: a run's first is slow
const begun = (job) => job.ending !== ".png" && (job.pictured || (job.progress?.stage === "stylise" && job.progress.frame > 0));
const inFrames = (job) => ["stylise", "copy", "carry back", "mask"].includes(job.progress?.stage);

// Seconds; after a pause by what the frames before it took, until one has been painted anew.
function left(job) {
  const { stage: at, frame, frames, restored, seconds_left: told } = job.progress ?? {};
  if (typeof told === "number") return told;
  if (!["stylise", "mask", "restore"].includes(at)) return null;
  if (earlier.get(job.id)?.left) return earlier.get(job.id).left;
  return at === "stylise" && frames && restored >= ENOUGH && job.seconds ? (job.seconds / restored) * (frames - frame) : null;
}

function words(job) {
  const { stage: at, frame, frames } = job.progress ?? {}, seconds = left(job), before = earlier.get(job.id)?.frame;
  const count = inFrames(job) ? `${frame}${frames ? ` of ${frames}` : ""}` : "";
  if (job.problem && job.state !== "running") return named(job.problem);
  if (job.state === "done") return `${job.frames > 1 ? `${job.frames} frames, painted` : "Painted"} in ${duration(job.seconds)}`;
  if (job.state === "waiting") return count ? `Waiting, frame ${count}` : "Waiting";
  if (job.state === "paused") return `Paused${count ? `, frame ${count}` : ""}`;
  if (asked.has(job.id)) return `${ASKED[asked.get(job.id)]} after this frame`;
  if (at === "train") return `Learning the painting, ${frame} %`;
  const words = STAGES[at] ? `${STAGES[at]}${count ? `, ${count}` : ""}` : count ? `Frame ${count}` : "Beginning";
  const place = at === "mask" && before ? ` (before frame ${before + 1})` : "";
  return `${words}${place}${seconds ? `, about ${duration(seconds)} left` : ""}`;
}

function buttons(job) {
  const button = (text, work, name = text) => h("button.quiet", { text, "aria-label": `${name}: ${job.name}`, onclick: work });
  const link = (part, text) => button(text, () => download(job, part));
  const command = button("Command", () => showCommand(job.command));
  const remove = button(job.state === "done" ? "Delete" : "Cancel", () => really(job));
  if (job.state === "done") {
    const looks = [button("Use look", () => take(job)), button("Save look", () => saveJobLook(job))];
    return [link("output", "Download"), ...looks, command, remove];
  }
  // What comes and goes is last, so that the others stay where they are.
  const runs = ["waiting", "running"].includes(job.state);
  const made = [runs ? button("Pause", () => act(job, "pause")) : button("Resume", () => act(job, "resume")), remove, command];
  if (begun(job)) made.push(button("Clip so far", () => act(job, "partial")));
  if (job.partial) made.push(link("partial", "Download so far"));
  const others = [...jobs.values()].filter((other) => other.state !== "done").length > 1;
  if (others && ["waiting", "paused"].includes(job.state)) made.push(button("First", () => act(job, "first"), "To the front"));
  if (job.state === "failed") made.push(button("Begin anew", () => act(job, "restart")));
  return made;
}

function download(job, part) {
  const link = h("a", { href: url(`jobs/${job.id}/${part}?download`), download: job.name });
  document.body.append(link);
  link.click();
  link.remove();
}

function really(job) {
  const done = job.state === "done", some = !done && begun(job);
  const remove = closing(() => act(job, "cancel"));
  openDialog(
    `${done ? "Delete" : "Cancel"} ${job.name}?`,
    h("p", { text: done ? "The painting and its look go." : some ? "Some of its frames are finished." : "Nothing of it is finished yet." }),
    row(
      some && h("button.primary", { text: "Keep the clip so far", onclick: closing(() => act(job, "keep")) }),
      h(some ? "button" : "button.primary", { text: done ? "Delete" : some ? "Delete everything" : "Cancel the run", onclick: remove }),
      h("button.quiet", { text: done ? "Do not delete" : "Go on", autofocus: true, onclick: closing() }),
    ),
  );
}

export function showCommand(text) {
  const shown = h("pre", { text, tabIndex: 0 });
  const copy = h("button.primary", { text: "Copy", onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(shown);
    }
  } });
  openDialog("The same on the command line", shown, row(copy, h("button.quiet", { text: "Close", autofocus: true, onclick: closing() })));
}

function fillCard(job) {
  if (!cards.has(job.id)) return;
  const { card, image, name, line, bar, row } = cards.get(job.id);
  const wanted = job.pictured ? url(`jobs/${job.id}/picture?${seen.get(job.id) ?? job.state}`) : "";
  if (wanted && image.getAttribute("src") !== wanted) image.src = wanted;
  image.hidden = !wanted;
  name.textContent = name.title = job.name;
  line.textContent = line.title = words(job);
  line.classList.toggle("lives", job.state === "running");
  line.classList.toggle("problem", Boolean(job.problem));
  bar.hidden = job.state === "done" || job.state === "failed";
  bar.max = (inFrames(job) && job.progress.frames) || 1;
  bar.value = inFrames(job) ? job.progress.frame : 0;
  card.querySelector(".show").setAttribute("aria-pressed", String(stage.job?.id === job.id));
  const state = `${job.state} ${job.partial} ${begun(job)} ${jobs.size}`;
  if (row.dataset.state !== state) {
    row.dataset.state = state;
    row.replaceChildren(...buttons(job));
  }
}

function card(job) {
  if (!cards.has(job.id)) {
    const image = h("img", { alt: "", hidden: true }), name = h("b"), line = h("p"), row = h("div.row");
    const bar = h("progress", { "aria-label": "Frames" });
    const show = h("button.show", { "aria-label": `Show ${job.name}`, onclick: () => show_(jobs.get(job.id)) }, image);
    cards.set(job.id, { card: h("div.job", { "data-job": job.id }, show, name, bar, line, row), image, name, line, bar, row });
  }
  fillCard(job);
  return cards.get(job.id).card;
}

export function lists() {
  const all = sorted(), left = all.filter((job) => job.state !== "done"), done = all.filter((job) => job.state === "done").reverse();
  const none = (text) => h("p.empty", { text });
  $("queue").replaceChildren(...(left.length ? left.map(card) : [none(`Nothing is queued. ${done.length ? "What is finished is in the gallery." : "Choose a look, then “Paint the clip”."}`)]));
  const tiles = h("div.tiles", {}, ...done.map(card));
  $("gallery").replaceChildren(done.length ? tiles : none("What has been painted will be here, each with its look."));
  $("waiting").textContent = left.length || "";
}

// Shows a job on the stage: its newest frame, or the painted clip.
async function show_(job) {
  await open(job);
  if (job.state === "done" && job.ending !== ".png" && job.ending !== ".gif") setMode("result", job);
  else {
    setMode("job", job);
    hidePainted();
    if (job.pictured) await showPainted(`jobs/${job.id}/picture`, () => stage.job?.id === job.id);
  }
  lists();
}

export function onJob(job) {
  const before = jobs.get(job.id);
  jobs.set(job.id, { progress: before?.progress, ...job });
  asked.delete(job.id);
  lists();
  if (job.state === "running" && before?.state !== "running" && !$("panel-queue").hidden && stage.mode === "edit") {
    show_(jobs.get(job.id));
  }
  if (before && before.state !== "done" && job.state === "done") {
    say(`${job.name} is finished`);
    if (stage.job?.id === job.id) show_(jobs.get(job.id));
  }
}

export async function onProgress(event) {
  const job = jobs.get(event.job);
  if (!job) return;
  job.progress = event;
  if (event.stage === "stylise") earlier.set(job.id, { frame: event.frame, left: left(job) });
  if (event.picture) {
    job.pictured = true;
    seen.set(job.id, (seen.get(job.id) ?? 0) + 1);
    if (stage.mode === "job" && stage.job?.id === job.id) {
      draw(job);
      if (event.at !== null) document.dispatchEvent(new CustomEvent("job-frame", { detail: event.at }));
    }
  }
  fillCard(job);
}

let drawing = false;
async function draw(job) {
  if (drawing) return;
  drawing = true;
  await showPainted(`jobs/${job.id}/picture`, () => stage.job?.id === job.id).catch(() => {});
  drawing = false;
}

export function onGone({ id }) {
  jobs.delete(id);
  cards.delete(id);
  asked.delete(id);
  earlier.delete(id);
  if (stage.job?.id === id) leave();
  lists();
}

