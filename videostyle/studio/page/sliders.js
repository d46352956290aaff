// Sliders: of the brush, and of numbers of a look, with the number itself, the way back to normal, and its key.

import { $, h, pressed } from "./dom.js";
import { hasKeyHere, MAIN, normal, setNow, toggleKey } from "./numbers.js";
import { source } from "./stage.js";
import { commit, draft, isEditable, valueAt } from "./state.js";

const NEAR = 0.006; // of a slider: the same place

export function plainSlider(name, value, low, high, set) {
  const shown = h("output", { text: `${Math.round(100 * value)}` });
  const input = h("input", { type: "range", min: low, max: high, step: 0.01, value, "aria-label": `Brush: ${name}` });
  input.addEventListener("input", () => {
    set(Number(input.value));
    shown.textContent = `${Math.round(100 * input.value)}`;
  });
  return h("div.slide.plain", {}, h("label", { text: name }), input, shown);
}

const shownSliders = new Map();

// Sliders, and below them the line that says what the number means of the one that has the focus or the pointer.
export function group(numbers, name) {
  if (!numbers.length) return [];
  const line = h("p.meaning", { id: `meaning-${name}` });
  const made = numbers.map((number) => slider(number, line));
  explain(numbers[0], line);
  return [...made, line];
}

const shownNow = (number) => number.scale.shown(valueAt(number.get(), draft.at));

function explain(number, line) {
  line.number = number;
  const usual = number.normal === undefined ? number.scale.shown(number.usual) : `${Math.round(100 * number.normal)} %`;
  line.replaceChildren(h("b", { text: `${number.label} ${shownNow(number)}` }), `: ${number.help}; ${usual} is normal`);
}

function slider(number, line) {
  const name = number.spoken ?? number.label;
  const input = h("input", { type: "range", min: number.low, max: number.high, step: 0.01, "aria-label": name, "aria-describedby": line.id });
  const typed = h("input.number", { type: "text", autocomplete: "off", spellcheck: false, inputMode: "decimal", "aria-label": `${name}: number`, title: "Type a number" });
  const back = h("button.back", { text: "↺", title: "Back to normal (Delete)", "aria-label": `${name}: back to normal` });
  const diamond = h("button.diamond", { text: "◇" }), range = h("span.range", {}, input);
  const made = h("div.slide", {}, h("label", { text: number.label, title: number.label }), range, typed, back, diamond);
  const put = (value, done = true) => {
    setNow(number, Math.round(1000 * value) / 1000);
    commit("number", done);
  };
  const reset = () => put(number.scale.from(normal(number)));
  for (const begun of ["focusin", "pointerenter"]) made.addEventListener(begun, () => explain(number, line));
  input.addEventListener("input", () => put(number.scale.from(Number(input.value)), false));
  input.addEventListener("change", () => put(number.scale.from(Number(input.value))));
  input.addEventListener("dblclick", reset);
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Delete" && event.key !== "Backspace") return;
    event.preventDefault();
    reset();
  });
  back.addEventListener("click", () => (reset(), input.focus()));
  typed.addEventListener("focus", () => typed.select());
  typed.addEventListener("keydown", (event) => {
    if (event.key === "Escape") typed.value = shownNow(number);
    if (event.key === "Enter" || event.key === "Escape") typed.blur();
  });
  typed.addEventListener("change", () => {
    const [low, high] = [number.low, number.high].map(number.scale.from), given = number.scale.typed(parseFloat(typed.value.replace(",", ".")));
    if (Number.isNaN(given)) typed.value = shownNow(number);
    else put(Math.min(high, Math.max(low, given)));
  });
  diamond.addEventListener("click", () => (toggleKey(number), commit("keys")));
  shownSliders.set(number.id, { number, made, input, typed, back, diamond, range, line });
  refresh(shownSliders.get(number.id));
  return made;
}

function refresh({ number, input, typed, back, diamond, range, line }) {
  const curve = number.get(), here = hasKeyHere(number), place = number.scale.to(valueAt(curve, draft.at)), editable = isEditable(curve);
  if (document.activeElement !== input || Math.abs(Number(input.value) - place) > NEAR) input.value = place;
  for (const part of [input, typed, back, diamond]) part.disabled = !editable;
  const words = editable ? shownNow(number) : "sound";
  if (document.activeElement !== typed || !typed.matches(":focus")) typed.value = words;
  input.setAttribute("aria-valuetext", words);
  range.style.setProperty("--normal", (normal(number) - number.low) / (number.high - number.low));
  back.classList.toggle("none", Math.abs(place - normal(number)) < NEAR);
  if (line.number === number) explain(number, line);
  diamond.textContent = here ? "◆" : "◇";
  pressed(diamond, here);
  const action = here ? "Remove the key here" : "Set a key here";
  diamond.setAttribute("aria-label", `${number.label}: ${action.toLowerCase()}`);
  diamond.title = action;
  diamond.hidden = source()?.kind !== "clip" && !here;
}

export function sliders() {
  if (!$("sliders").children.length) $("sliders").append(...group(MAIN, "whole"));
  for (const [id, shown] of shownSliders) {
    if (!shown.made.isConnected) shownSliders.delete(id);
    else refresh(shown);
  }
}
