// The picture: the source's frame, what is painted over it, the line between both.

import { url } from "./api.js";
import { $, h, pressed, say } from "./dom.js";
import { draft } from "./state.js";

const video = $("source"), exact = $("exact"), over = $("over"), result = $("result"), painted = $("painted");
const SETTLED = 120; // ms without another step
const TAIL = 0.5; // of a frame: a time in its middle is shown as that frame

export const stage = { mode: "edit", view: "painted", job: null, playable: true, whole: false, sound: false };
let entry = null, wiped = 50, asked = 0, following = 0, waiting = false;
let moved = () => {};
export const onMove = (listener) => (moved = listener);

export const source = () => entry;
export const times = () => entry?.times ?? [0];
export function frameIndex(seconds = draft.at) {
  const all = times();
  let low = 0, high = all.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (all[middle] <= seconds + 1e-4) low = middle;
    else high = middle - 1;
  }
  return low;
}

const step = (i) => (times()[i + 1] ?? times()[i] + 0.04) - times()[i];
const inside = (i) => times()[i] + TAIL * step(i);
const start = () => (stage.mode === "result" ? times()[range().first] : 0);

// The first and the last frame of what is painted: of the job that is shown, or of the draft.
export function range({ media, frames } = stage.job ?? draft) {
  const all = times(), from = media.start_seconds ?? 0, to = from + (media.duration_seconds ?? Infinity);
  const first = Math.max(0, all.findIndex((at) => at >= from - 1e-4));
  const last = frames ? first + frames - 1 : all.findLastIndex((at) => at < to - 1e-4);
  return { first, last: Math.min(all.length - 1, Math.max(first, last)) };
}

// --- what is shown

export function setSource(found) {
  if (entry?.id === found.id) return;
  entry = found;
  stage.playable = found.kind === "clip";
  exact.hidden = true;
  hidePainted();
  if (found.kind === "clip") video.src = url(`media/${found.id}/file`);
  else video.removeAttribute("src");
  fit();
}

video.addEventListener("error", () => {
  if (entry?.kind !== "clip" || !video.getAttribute("src")) return;
  stage.playable = false;
  say("This browser cannot play the clip; its frames are shown all the same");
  showFrame();
});

// The server's own frame takes the place of the video's, once the scrubbing has ended.
async function showExact(address, wanted) {
  const next = new Image();
  next.src = address;
  await next.decode().catch(() => {});
  if (!next.naturalWidth || !wanted()) return;
  exact.src = address;
  exact.hidden = false;
}

export function showFrame() {
  if (!entry) return;
  const index = frameIndex(), at = times()[index], mine = ++asked;
  video.hidden = entry.kind !== "clip" || !stage.playable;
  if (!video.hidden) {
    exact.hidden = true;
    video.currentTime = inside(index);
  }
  if (stage.mode === "result") {
    result.currentTime = Math.max(0, inside(index) - start());
    return;
  }
  const longest = Math.min(1600, Math.max(entry.width, entry.height));
  const address = entry.kind === "clip" ? url(`media/${entry.id}/frame?at=${at}&size=${longest}`) : url(`media/${entry.id}/file`);
  setTimeout(() => mine === asked && video.paused && showExact(address, () => mine === asked && video.paused), SETTLED);
}

// Draws the picture in a response over the source's frame, if it is still wanted() by then.
export async function showPainted(path, wanted) {
  const response = await fetch(url(path));
  if (response.status !== 200) return;
  const bitmap = await createImageBitmap(await response.blob());
  if (!wanted()) return;
  if (painted.width !== bitmap.width || painted.height !== bitmap.height) {
    [painted.width, painted.height] = [bitmap.width, bitmap.height];
  }
  painted.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  painted.hidden = stage.mode === "result";
  place();
}

export function hidePainted() {
  painted.hidden = true;
  place();
}

// A painting of what is shown is to come: until then the source is dimmed.
export function wait(on) {
  waiting = on;
  place();
}

export function setMode(mode, job = null) {
  pause();
  if (stage.mode === "result") result.removeAttribute("src");
  [stage.mode, stage.job] = [mode, job];
  result.hidden = mode !== "result";
  document.body.dataset.mode = mode;
  $("lanes").toggleAttribute("inert", mode !== "edit");
  hidePainted();
  if (mode === "result") {
    result.src = url(`jobs/${job.id}/output`);
    result.muted = !stage.sound;
    video.muted = true;
  }
  fit();
  moved(false);
}

// --- source, compare, painted

export function setView(view) {
  stage.view = view;
  for (const name of ["source", "wipe", "painted"]) pressed($(`view-${name}`), name === view);
  place();
}

function place() {
  const anything = !painted.hidden || !result.hidden;
  const comparing = stage.view === "wipe" && anything;
  const from = stage.view === "source" ? 100 : comparing ? wiped : 0;
  for (const part of [over, $("divider")]) part.style.setProperty("--wiped", `${from}%`);
  $("divider").hidden = !comparing;
  $("wipe").hidden = !comparing;
  const busy = waiting && !anything && stage.mode === "edit" && stage.view !== "source";
  $("picture").classList.toggle("busy", busy);
  $("picture").setAttribute("aria-busy", String(busy));
}

$("wipe").addEventListener("input", (event) => {
  wiped = Number(event.target.value);
  place();
});
$("wipe").addEventListener("pointerdown", (event) => {
  const box = $("wipe").getBoundingClientRect();
  $("wipe").value = (100 * (event.clientX - box.left)) / box.width;
  wiped = Number($("wipe").value);
  place();
});

// --- size

function natural() {
  if (stage.mode === "result" && result.videoWidth) return [result.videoWidth, result.videoHeight];
  return entry?.width ? [entry.width, entry.height] : [16, 9];
}

export function fit() {
  const [width, height] = natural(), room = $("stage"), picture = $("picture");
  for (const part of [room, picture]) part.style.setProperty("--ratio", `${width} / ${height}`);
  const wide = stage.whole
    ? width / devicePixelRatio
    : Math.min(room.clientWidth, (room.clientHeight * width) / height);
  picture.style.setProperty("--wide", `${Math.floor(wide)}px`);
  room.classList.toggle("whole", stage.whole);
  pressed($("zoom"), stage.whole);
}
new ResizeObserver(fit).observe($("stage"));
result.addEventListener("loadedmetadata", () => {
  fit();
  showFrame();
});

export function zoom() {
  stage.whole = !stage.whole;
  fit();
}

// Dragging moves a picture that is larger than its room.
let hold = null;
$("stage").addEventListener("pointerdown", (event) => {
  if (stage.whole && event.target !== $("wipe") && event.target !== $("mask")) hold = [event.clientX, event.clientY];
});
addEventListener("pointerup", () => (hold = null));
addEventListener("pointermove", (event) => {
  if (!hold) return;
  $("stage").scrollBy(hold[0] - event.clientX, hold[1] - event.clientY);
  hold = [event.clientX, event.clientY];
});

// --- playing: the clip, or the painted clip with the clip in step

const leader = () => (stage.mode === "result" ? result : video);
export const isPlaying = () => !leader().paused;

function follow() {
  if (stage.mode !== "result") return;
  const wanted = result.currentTime + start();
  if (Math.abs(video.currentTime - wanted) > 0.045) video.currentTime = wanted;
}

function tick() {
  if (!isPlaying()) return;
  follow();
  draft.at = times()[Math.min(stage.mode === "result" ? range().last : Infinity, frameIndex(leader().currentTime + start()))];
  moved(false);
  following = requestAnimationFrame(tick);
}

export async function play() {
  if (isPlaying()) return pause();
  if (stage.mode !== "result" && (!stage.playable || entry?.kind !== "clip")) return;
  exact.hidden = true;
  asked++;
  waiting = false;
  if (stage.mode === "edit") hidePainted();
  follow();
  const ends = leader().ended || (stage.mode === "result" ? frameIndex() >= range().last : leader().currentTime > leader().duration - 0.06);
  if (ends) leader().currentTime = 0;
  await Promise.all([leader().play(), ...(stage.mode === "result" && stage.playable ? [video.play()] : [])]).catch(() => {});
  if (isPlaying()) {
    cancelAnimationFrame(following);
    tick();
  }
  moved(false);
}

export function pause() {
  const was = isPlaying();
  following = 0;
  video.pause();
  result.pause();
  if (was) moved(true);
}

for (const clip of [video, result]) {
  clip.addEventListener("ended", () => {
    if (clip !== leader() || !following) return; // a step to the last frame ends a clip too
    pause();
    if (stage.mode === "result") draft.at = times()[range().last];
    moved(true);
  });
}

export function sound() {
  stage.sound = !stage.sound;
  leader().muted = !stage.sound;
  if (stage.mode === "result") video.muted = true;
  pressed($("sound"), stage.sound);
}

export const hasPainted = () => !painted.hidden;

// What is painted and shown, as a canvas; null: the source alone.
export function paintedPicture() {
  if (stage.view === "source" || (painted.hidden && !result.videoWidth)) return null;
  if (!painted.hidden) return painted;
  const made = h("canvas", { width: result.videoWidth, height: result.videoHeight });
  made.getContext("2d").drawImage(result, 0, 0);
  return made;
}
