// Sizes and endings to choose from.

import { $, h } from "./dom.js";
import { source } from "./stage.js";
import { commit, draft } from "./state.js";

const SIZES = [360, 480, 640, 720, 960, 1280, 1920], USUAL = 1280;

export function sizes() {
  const entry = source(), own = Math.max(entry?.width ?? USUAL, entry?.height ?? 720), chosen = draft.media.size ?? "";
  const all = new Set([...SIZES.filter((size) => size < own), own, ...(chosen ? [chosen] : [])]);
  const options = [...all].sort((a, b) => a - b).map((size) => {
    const value = size === Math.min(own, USUAL) ? "" : size; // what is painted where nothing is said
    const selected = chosen ? size === chosen : value === "";
    return h("option", { value, text: size === own ? `${size}, the clip’s own` : `${size}`, selected });
  });
  $("size").replaceChildren(...options);
}

export function endings() {
  const kinds = source()?.kind === "clip" ? ["mp4", "mov", "mkv", "webm", "gif"] : ["png"];
  const chosen = draft.ending.slice(1);
  $("ending").replaceChildren(...kinds.map((kind) => h("option", { value: `.${kind}`, text: kind, selected: kind === chosen })));
}

$("size").addEventListener("change", () => {
  if ($("size").value) draft.media.size = Number($("size").value);
  else delete draft.media.size;
  commit("setting");
});
const SHARP = [256, 384, 512, 768, 1024];
export function sharp() {
  const option = (size) => h("option", { value: size, text: `${size}`, selected: size === draft.preview });
  $("sharp").replaceChildren(...SHARP.map(option));
}
$("sharp").addEventListener("change", () => {
  draft.preview = Number($("sharp").value);
  commit("setting");
});
$("ending").addEventListener("change", () => {
  draft.ending = $("ending").value;
  commit("setting");
});
