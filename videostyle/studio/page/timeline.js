// The clip's frames and sound, the part of it that is painted, and a lane for every number that has keys.

import { $, clock, h, pressed, say } from "./dom.js";
import { allNumbers } from "./numbers.js";
import { commit, draft, isEditable, isKeys, valueAt } from "./state.js";
import { frameIndex, range, source, times } from "./stage.js";

let seek = () => {};
export const onSeek = (listener) => (seek = listener);
const WAYS = ["linear", "smooth", "hold"];
const ROOM = 0.16; // of a lane's height, above and below its curve

const length = () => source()?.seconds ?? 1;
// A frame's place: the first at the left end, the last at the right.
const place = (seconds) => (100 * Math.min(1, Math.max(0, seconds / Math.max(1e-3, times().at(-1) || length()))));

export function setClip() {
  const scrub = $("scrub"), moving = source()?.kind === "clip";
  scrub.max = times().length - 1;
  scrub.disabled = !moving;
  $("time").hidden = !moving;
  draw();
}

export function draw() {
  const canvas = $("wave"), wave = source()?.waveform;
  const wide = (canvas.width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio)));
  const high = (canvas.height = Math.max(1, Math.round(canvas.clientHeight * devicePixelRatio)));
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(canvas).getPropertyValue("--wave");
  if (!wave) {
    context.fillRect(0, high / 2, wide, 1);
    return;
  }
  for (let x = 0; x < wide; x += 3) {
    const loud = Math.max(0.02, wave[Math.min(wave.length - 1, Math.floor((x * wave.length) / wide))]);
    context.fillRect(x, (high - loud * high * 0.86) / 2, 2, loud * high * 0.86);
  }
}
new ResizeObserver(draw).observe($("wave"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

export function update() {
  const index = frameIndex(), at = times()[index], scrub = $("scrub");
  scrub.value = index;
  scrub.setAttribute("aria-valuetext", `frame ${index + 1} of ${times().length}, ${clock(at)}`);
  $("time").style.setProperty("--now", `${place(at)}%`);
  if (document.activeElement !== $("clock")) $("clock").value = clock(at);
  $("count").textContent = `frame ${index + 1} of ${times().length}`;
  kept();
}

// The part of the clip that is painted: its last frame is in it.
function kept() {
  const { first, last } = range(), [from, to] = [times()[first], times()[last]], count = last - first + 1, whole = count === times().length;
  $("kept").style.setProperty("--from", `${place(from)}%`);
  $("kept").style.setProperty("--rest", `${100 - place(to)}%`);
  $("range").textContent = whole ? "" : `${from.toFixed(3)} to ${to.toFixed(3)} s, ${count} ${count === 1 ? "frame" : "frames"}`;
  $("mark-none").hidden = whole;
  pressed($("mark-in"), first > 0);
  pressed($("mark-out"), last < times().length - 1);
  if (source()?.kind === "clip") $("paint").textContent = whole ? "Paint the clip" : "Paint this part";
}

$("scrub").addEventListener("input", (event) => seek(Number(event.target.value)));

// --- a time that is typed: "2", "2.0", "1:05.5"

$("clock").addEventListener("focus", () => $("clock").select());
$("clock").addEventListener("blur", update);
$("clock").addEventListener("keydown", (event) => {
  if (event.key === "Escape") $("clock").blur();
  if (event.key !== "Enter") return;
  const parts = $("clock").value.trim().split(":").map(Number), seconds = parts.reduce((all, part) => 60 * all + part, 0);
  $("clock").blur();
  if (Number.isNaN(seconds)) say(`${clock(0)} is how a time is written`, { problem: true });
  else seek(frameIndex(seconds + 0.0005)); // what is shown is rounded
});

// --- lanes: frames that are given, then the numbers that have keys

export function lanes() {
  const focused = document.activeElement?.dataset?.key;
  const keyed = allNumbers().filter((number) => isKeys(number.get()));
  const made = [...(draft.look.frame.length ? [given()] : []), ...keyed.map(lane)];
  const hint = h("p.hint", { text: "◇ beside a slider sets a key at this frame: its number then changes from key to key." });
  $("lanes").replaceChildren(...(made.length ? made : [hint]));
  if (focused) document.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

// A click beside the keys goes to that time, as on the clip.
$("lanes").addEventListener("pointerdown", (event) => {
  if (!event.target.classList.contains("lane")) return;
  const box = event.target.getBoundingClientRect();
  seek(frameIndex(((event.clientX - box.left) / box.width) * times().at(-1)));
});

function given() {
  const keys = draft.look.frame.map((frame, index) => {
    const words = `Your frame at ${clock(frame.at)}`, help = "click goes there; Delete removes";
    const made = h("button.key.hold", { "aria-label": words, title: `${words}\n${help}`, "data-key": `frame ${index}` });
    made.style.setProperty("--at", `${place(frame.at)}%`);
    made.style.setProperty("--high", "50%");
    made.addEventListener("click", () => seek(frameIndex(frame.at)));
    made.addEventListener("keydown", (event) => {
      if (event.key !== "Delete" && event.key !== "Backspace") return;
      event.preventDefault();
      event.stopPropagation();
      draft.look.frame.splice(index, 1);
      commit("frames");
    });
    return made;
  });
  return h("div.lane", { role: "group", "aria-label": "Your frames" }, ...keys, h("span", { text: "Your frames" }));
}

function lane(number) {
  const curve = number.get(), made = h("div.lane", { role: "group", "aria-label": `Keys of ${number.label}` });
  const high = (value) => {
    const share = (number.scale.to(value) - number.low) / (number.high - number.low);
    return 100 * (1 - ROOM - Math.min(1, Math.max(0, share)) * (1 - 2 * ROOM));
  };
  const line = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  line.setAttribute("viewBox", "0 0 100 100");
  line.setAttribute("preserveAspectRatio", "none");
  line.setAttribute("aria-hidden", "true");
  const poly = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  const last = times().at(-1) || length();
  const points = Array.from({ length: 201 }, (_, i) => `${i / 2},${high(valueAt(curve, (last * i) / 200))}`);
  poly.setAttribute("points", points.join(" "));
  line.append(poly);
  const keys = isEditable(curve) ? curve.map((_, index) => key(number, curve, index, high)) : [];
  made.append(line, ...keys, h("span", { text: number.label + (keys.length ? "" : ": keys of a look file, at cuts") }));
  return made;
}

function key(number, curve, index, high) {
  const [time, value, how = "linear"] = curve[index];
  const words = `${number.label} ${number.scale.shown(value)} at ${clock(time)}, ${how}`;
  const help = "drag to move; Enter: linear, smooth or hold; Delete removes";
  const made = h("button.key", { "aria-label": words, title: `${words}\n${help}`, "data-key": `${number.id} ${index}` });
  made.classList.add(how);
  made.style.setProperty("--at", `${place(time)}%`);
  made.style.setProperty("--high", `${high(value)}%`);
  let moving = false;
  made.addEventListener("pointerdown", (event) => {
    made.setPointerCapture(event.pointerId);
    moving = false;
    event.stopPropagation();
  });
  made.addEventListener("pointermove", (event) => {
    if (!made.hasPointerCapture(event.pointerId)) return;
    moving = true;
    const box = made.parentElement.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    const up = 1 - ((event.clientY - box.top) / box.height - ROOM) / (1 - 2 * ROOM);
    const moved = number.low + Math.min(1, Math.max(0, up)) * (number.high - number.low);
    const at = times()[frameIndex(share * times().at(-1))];
    if (neighbours(curve, index, at)) curve[index][0] = at;
    curve[index][1] = Math.round(1000 * number.scale.from(moved)) / 1000;
    made.style.setProperty("--at", `${place(curve[index][0])}%`);
    made.style.setProperty("--high", `${high(curve[index][1])}%`);
    commit("keys dragged", false);
  });
  made.addEventListener("pointerup", () => {
    if (moving) commit("keys");
    else seek(frameIndex(time));
  });
  made.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key], lift = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (move) {
      const at = times()[frameIndex(time) + move];
      if (at !== undefined && neighbours(curve, index, at)) curve[index][0] = at;
    } else if (lift) {
      const placed = number.scale.to(value) + (lift * (number.high - number.low)) / 50;
      curve[index][1] = Math.round(1000 * number.scale.from(Math.min(number.high, Math.max(number.low, placed)))) / 1000;
    } else if (event.key === "Enter") {
      curve[index][2] = WAYS[(WAYS.indexOf(how) + 1) % WAYS.length];
    } else if (event.key === "Delete" || event.key === "Backspace") {
      curve.splice(index, 1);
      if (!curve.length) number.set(value);
    } else return;
    event.preventDefault();
    event.stopPropagation();
    commit("keys");
  });
  return made;
}

const neighbours = (curve, index, at) =>
  (index === 0 || curve[index - 1][0] < at) && (index === curve.length - 1 || curve[index + 1][0] > at);
