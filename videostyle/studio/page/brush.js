// A region painted on the frame: white on nothing in a canvas of its own, sent as a picture after every stroke.

import { upload, url } from "./api.js";
import { $, h, say } from "./dom.js";
import { commit, draft, media } from "./state.js";
import { frameIndex, source, times } from "./stage.js";

export const brush = { on: true, erase: false, size: 0.12, soft: 0.5, opacity: 1 };
const LARGEST = 768;
const TINT = "#ff2d6f"; // of what is in the part: far from the colours of most paintings
const shown = $("mask"), ring = h("div", { id: "brush", hidden: true });
const paint = h("canvas"), stroke = h("canvas"), before = h("canvas");
const SEEN = 1000; // ms after a stroke that the mask is still seen: it hides the painting
let region = null, loaded = "", last = null, drawing = false, fading = 0, sending = Promise.resolve();
$("picture").append(ring);

const maskOf = (r) => (r?.mask ? r.mask.split("@")[0] : "");
// A name of its own, by which look files tell masks apart.
const maskName = () => `part-${crypto.getRandomValues(new Uint32Array(1))[0].toString(16).padStart(8, "0")}.png`;
export const timeOf = (r) => (r?.mask?.includes("@") ? Number(r.mask.split("@")[1]) : null);
// Before the first stroke there is no mask that could say it.
export const isFollowing = (r) => (r.mask ? timeOf(r) !== null : r.follows !== false);
// Whether the mask lies on the frame that is shown: it follows what it covers, and is seen where it was painted.
export const isHere = (r) => timeOf(r) === null || frameIndex(timeOf(r)) === frameIndex();

function see() {
  shown.classList.add("seen");
  clearTimeout(fading);
}

// Shows for a moment where the part is.
export function glimpse() {
  see();
  fading = setTimeout(() => drawing || shown.classList.remove("seen"), SEEN);
}

// Takes the region whose mask is painted; null: none.
export async function edit(wanted) {
  region = wanted;
  const entry = source();
  shown.hidden = !wanted || !brush.on || !entry?.width || !isHere(wanted);
  ring.hidden = true;
  if (!wanted || !entry?.width) return;
  const scale = Math.min(1, LARGEST / Math.max(entry.width, entry.height));
  const size = [Math.max(1, Math.round(entry.width * scale)), Math.max(1, Math.round(entry.height * scale))];
  const name = `${maskOf(wanted)} ${size} ${draft.look.region.indexOf(wanted)}`;
  if (name === loaded) return;
  loaded = name;
  for (const canvas of [shown, paint, stroke, before]) [canvas.width, canvas.height] = size;
  if (maskOf(wanted)) await load(maskOf(wanted), name);
  show();
}

async function load(id, name) {
  const response = await fetch(url(`media/${id}/file`));
  if (!response.ok || name !== loaded) return;
  const bitmap = await createImageBitmap(await response.blob());
  const context = paint.getContext("2d");
  context.drawImage(bitmap, 0, 0, paint.width, paint.height);
  const pixels = context.getImageData(0, 0, paint.width, paint.height);
  for (let i = 0; i < pixels.data.length; i += 4) {
    pixels.data[i + 3] = pixels.data[i]; // white becomes opaque, black nothing
    pixels.data[i] = pixels.data[i + 1] = pixels.data[i + 2] = 255;
  }
  context.putImageData(pixels, 0, 0);
}

function show() {
  const context = shown.getContext("2d");
  context.globalCompositeOperation = "copy";
  context.drawImage(paint, 0, 0);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = TINT;
  context.fillRect(0, 0, shown.width, shown.height);
}

function dab(x, y) {
  const radius = Math.max(1, (brush.size * paint.width) / 2), context = stroke.getContext("2d");
  const inner = radius * (1 - brush.soft) * 0.98;
  const fade = context.createRadialGradient(x, y, inner, x, y, radius);
  fade.addColorStop(0, "#fff");
  fade.addColorStop(1, "#fff0");
  context.globalCompositeOperation = brush.soft ? "lighten" : "source-over";
  context.fillStyle = fade;
  context.fillRect(x - radius, y - radius, 2 * radius, 2 * radius);
}

function along(x, y) {
  const step = Math.max(1, (brush.size * paint.width) / 12);
  const [fromX, fromY] = last ?? [x, y], length = Math.hypot(x - fromX, y - fromY);
  for (let i = last ? Math.min(step, length) : 0; i <= length; i += step) {
    const share = length ? i / length : 0;
    dab(fromX + (x - fromX) * share, fromY + (y - fromY) * share);
  }
  last = [x, y];
  const context = paint.getContext("2d");
  context.globalCompositeOperation = "copy";
  context.globalAlpha = 1;
  context.drawImage(before, 0, 0);
  context.globalCompositeOperation = brush.erase ? "destination-out" : "source-over";
  context.globalAlpha = brush.opacity;
  context.drawImage(stroke, 0, 0);
  context.globalAlpha = 1;
  show();
}

function point(event) {
  const box = shown.getBoundingClientRect();
  return [((event.clientX - box.left) * paint.width) / box.width, ((event.clientY - box.top) * paint.height) / box.height];
}

function moveRing(event) {
  const box = shown.getBoundingClientRect(), wide = brush.size * box.width;
  ring.hidden = false;
  ring.style.width = ring.style.height = `${wide}px`;
  ring.style.left = `${event.clientX - box.left}px`;
  ring.style.top = `${event.clientY - box.top}px`;
}

export function begin(x, y) {
  before.getContext("2d").globalCompositeOperation = "copy";
  before.getContext("2d").drawImage(paint, 0, 0);
  stroke.getContext("2d").clearRect(0, 0, stroke.width, stroke.height);
  [drawing, last] = [true, null];
  see();
  along(x, y);
}

shown.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  shown.setPointerCapture(event.pointerId);
  begin(...point(event));
});
shown.addEventListener("pointermove", (event) => {
  moveRing(event);
  if (drawing) for (const part of event.getCoalescedEvents?.() ?? [event]) along(...point(part));
});
shown.addEventListener("pointerleave", () => (ring.hidden = true));
for (const end of ["pointerup", "pointercancel"]) shown.addEventListener(end, () => drawing && finish());

export function clear() {
  paint.getContext("2d").clearRect(0, 0, paint.width, paint.height);
  show();
  finish();
}

// With the keyboard: the whole frame is in, or out.
export function fill() {
  const context = paint.getContext("2d");
  context.globalCompositeOperation = "source-over";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, paint.width, paint.height);
  show();
  finish();
}

// Sends the mask; the region names it then.
function finish() {
  drawing = false;
  glimpse();
  const target = region, at = times()[frameIndex()];
  const made = h("canvas", { width: paint.width, height: paint.height }), context = made.getContext("2d");
  context.fillStyle = "#000";
  context.fillRect(0, 0, made.width, made.height);
  context.drawImage(paint, 0, 0);
  const follows = source()?.kind === "clip" && isFollowing(target);
  sending = sending.then(async () => {
    try {
      const blob = await new Promise((done) => made.toBlob(done, "image/png"));
      const entry = await upload(blob, maskName(), "mask");
      media.set(entry.id, entry);
      const index = draft.look.region.indexOf(target);
      if (index < 0) return;
      target.mask = follows ? `${entry.id}@${timeOf(target) ?? at}` : entry.id;
      delete target.follows;
      loaded = `${entry.id} ${[paint.width, paint.height]} ${index}`;
      commit("region");
    } catch (error) {
      say(error.message, { problem: true });
    }
  });
}
