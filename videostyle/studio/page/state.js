// What is being worked on: one plain object, its undo, and what of it a look file would say.

import { put } from "./api.js";
import { later } from "./dom.js";

export const media = new Map(); // id -> entry
export const jobs = new Map(); // id -> job
export let form = [];

export const draft = {
  source: null, at: 0, preview: 256, part: -1, ending: ".mp4", media: {},
  look: { style: [], region: [], frame: [], colours: { of: "source", share: 0 } },
};

const listeners = [];
const past = [], future = [];
let before = "";
const MOST_UNDO = 200;

export const onChange = (listener) => listeners.push(listener);
const copy = (value) => JSON.parse(JSON.stringify(value));
const undoable = () => JSON.stringify([draft.look, draft.media, draft.source]);
let unsaved = false;
function saveNow(options) {
  unsaved = false;
  put("draft", draft, options).catch(() => {});
}
const saveSoon = later(() => unsaved && saveNow(), 400);
function save() {
  unsaved = true;
  saveSoon();
}
addEventListener("pagehide", () => unsaved && saveNow({ keepalive: true })); // a request that outlives the page

export function changed(kind = "look") {
  for (const listener of listeners) listener(kind);
}

// A change has been made. While a slider is dragged only the last of its changes can be undone: done = false before.
export function commit(kind = "look", done = true) {
  if (done) {
    const now = undoable();
    if (now !== before) {
      past.push(before);
      if (past.length > MOST_UNDO) past.shift();
      future.length = 0;
      before = now;
    }
    save();
  }
  changed(kind);
}

function travel(from, to) {
  if (!from.length) return false;
  to.push(before);
  before = from.pop();
  [draft.look, draft.media, draft.source] = JSON.parse(before);
  keepKnown();
  save();
  changed("all");
  return true;
}

export const undo = () => travel(past, future);
export const redo = () => travel(future, past);

export function begin(state) {
  form = state.form;
  media.clear();
  for (const entry of state.media) media.set(entry.id, entry);
  if (state.draft?.look) Object.assign(draft, state.draft);
  keepKnown();
  before = undoable();
}

export const sample = (name) => [...media.values()].find((entry) => entry.sample === name)?.id;

// Takes what is not on the server any more out of the draft.
export function keepKnown() {
  if (!media.has(draft.source)) draft.source = sample("clip.mp4") ?? null;
  const here = (style) => media.has(style.picture);
  draft.look.style = draft.look.style.filter(here);
  draft.look.region = draft.look.region.filter((r) => !r.mask || media.has(r.mask.split("@")[0]));
  for (const region of draft.look.region) region.style = region.style?.filter(here);
  draft.look.frame = (draft.look.frame ?? []).filter(here);
  draft.part = Math.min(draft.part, draft.look.region.length - 1);
  if (!draft.look.style.length) draft.look.style = [{ picture: sample("styles/brush.jpg") }];
}

// A message with the names of files in the place of their ids.
export const named = (words) => words.replace(/(\S*[/\\])?\b([0-9a-f]{16})\.\w+/g, (all, _, id) => media.get(id)?.name ?? all);

// --- looks

export const isKeys = Array.isArray;
export const isEditable = (curve) => typeof curve === "number" || (isKeys(curve) && curve.every((k) => typeof k[0] === "number"));

export function valueAt(curve, seconds) {
  if (typeof curve === "number") return curve;
  if (!isKeys(curve)) return curve?.low ?? 0; // follows the sound
  const keys = curve.filter((key) => typeof key[0] === "number");
  if (!keys.length) return curve[0][1];
  const next = keys.findIndex((key) => key[0] > seconds);
  if (next === 0) return keys[0][1];
  if (next < 0) return keys.at(-1)[1];
  const [from, to] = [keys[next - 1], keys[next]];
  let share = (seconds - from[0]) / (to[0] - from[0]);
  if (to[2] === "hold") share = 0;
  if (to[2] === "smooth") share = share * share * (3 - 2 * share);
  return from[1] + (to[1] - from[1]) * share;
}

// The curve with a value at a time: the key there is changed, or a new one made.
export function withKey(curve, seconds, value) {
  const time = Math.round(seconds * 1000) / 1000;
  const keys = isKeys(curve) ? copy(curve) : [];
  const there = keys.find((key) => Math.abs(key[0] - time) < 0.002);
  if (there) there[1] = value;
  else keys.push([time, value, "smooth"]);
  return keys.sort((a, b) => a[0] - b[0]);
}

// The look as a file would say it: without what is as by default.
export function lookForServer(look = draft.look) {
  const made = copy(look);
  made.region = made.region.filter((region) => region.mask);
  if (!made.region.length) delete made.region;
  if (!made.frame?.length) delete made.frame;
  for (const region of made.region ?? []) {
    delete region.follows;
    if (!region.style?.length) delete region.style;
  }
  if (made.colours.share === 0) delete made.colours;
  return made;
}

function timed(curve, seconds) {
  if (!isKeys(curve)) return curve;
  return curve.map(([time, ...rest]) => {
    if (typeof time === "number") return [time, ...rest];
    const end = /^end(?:\s*-\s*([\d.]+))?$/.exec(time), percent = /^([\d.]+)\s*%$/.exec(time);
    if (end) return [Math.max(0, seconds - Number(end[1] ?? 0)), ...rest];
    return [percent ? (seconds * Number(percent[1])) / 100 : Number.isNaN(Number(time)) ? time : Number(time), ...rest];
  });
}

// A look from the server, in the form that is worked with; "end" and "50%" become seconds of this clip.
export function lookFromServer(values, seconds) {
  const look = copy(values);
  look.region ??= [];
  look.frame ??= [];
  if (typeof look.colours === "string") {
    const [of, share] = look.colours.split(":");
    look.colours = of === "style" ? { of: "source", share: 0 } : { of, share: Number(share ?? 1) };
  }
  look.colours ??= { of: "source", share: 0 };
  look.colours.share = timed(look.colours.share ?? 1, seconds);
  for (const [name, value] of Object.entries(look)) if (isKeys(value) && isKeys(value[0])) look[name] = timed(value, seconds);
  for (const style of [...look.style, ...look.region.flatMap((r) => r.style ?? [])]) {
    for (const name of ["weight", "scale"]) if (name in style) style[name] = timed(style[name], seconds);
  }
  return look;
}
