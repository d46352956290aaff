// Sizes and endings to choose from.

import { $, h } from "./dom.js";
import { source } from "./stage.js";
import { commit, draft } from "./state.js";

export function sizes() {
  const entry = source(), longest = Math.max(entry?.width ?? 1280, entry?.height ?? 720);
  const usual = [360, 480, 640, 720, 960, 1280, 1920].filter((size) => size < longest);
  const chosen = draft.media.size ?? "";
  const option = (value, text) => h("option", { value, text, selected: String(value) === String(chosen) });
  $("size").replaceChildren(option("", longest <= 1280 ? `${longest}` : "1280"), ...usual.map((s) => option(s, `${s}`)), ...(longest > 1280 ? [option(longest, `${longest}`)] : []));
  if (chosen && !usual.includes(chosen) && chosen !== longest) $("size").append(option(chosen, `${chosen}`));
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
