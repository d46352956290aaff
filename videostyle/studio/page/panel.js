// The panel of the look: the clip, the part, its paintings, sliders, and everything else from the settings themselves.

import { remove, upload, url } from "./api.js";
import { brush, clear, edit, fill, glimpse, isFollowing, isHere, timeOf } from "./brush.js";
import { $, chooseFiles, clock, closing, h, openDialog, row as buttonRow, say } from "./dom.js";
import { blendNumbers, regionNumber, setShare, stylesHere } from "./numbers.js";
import { group, plainSlider } from "./sliders.js";
import { commit, draft, form, keepKnown, media, sample, undo } from "./state.js";
import { frameIndex, source } from "./stage.js";

let choose = () => {}, seek = () => {};
export const onChoose = (chosen, sought) => ([choose, seek] = [chosen, sought]);

const picture = (entry) => (entry.kind === "clip" ? `media/${entry.id}/frame?at=0&size=200` : `media/${entry.id}/file`);
const spoken = (entry) => entry.name.replace(/\.[^.]*$/, "").replaceAll("_", " ");

function thing(entry, on, chosen, extra) {
  const image = h("img", { src: url(picture(entry)), alt: "", loading: "lazy" });
  image.addEventListener("load", () => button.classList.remove("loading"));
  image.addEventListener("error", () => entry.kind !== "clip" && (image.src = url(`media/${entry.id}/frame?at=0&size=200`)), { once: true });
  const button = h("button.loading", { "aria-label": spoken(entry), title: spoken(entry), "aria-pressed": String(on), onclick: chosen }, image);
  if (entry.sample) return h("div.thing", {}, button, extra);
  button.addEventListener("keydown", (event) => event.key === "Delete" && reallyDelete(entry));
  const words = `Delete ${spoken(entry)}`;
  const cross = h("button.cross", { text: "×", "aria-label": words, title: `${words} (Delete)`, tabIndex: -1, onclick: () => reallyDelete(entry) });
  return h("div.thing", {}, button, cross, extra);
}

function reallyDelete(entry) {
  openDialog(
    `Delete ${entry.name}?`,
    h("p", { text: "It goes from this studio’s folder; your own file stays where it is." }),
    buttonRow(
      h("button", { text: "Delete", onclick: closing(() => deleteUpload(entry)) }),
      h("button.quiet", { text: "Do not delete", autofocus: true, onclick: closing() }),
    ),
  );
}

async function deleteUpload(entry) {
  try {
    await remove(`media/${entry.id}`);
  } catch (error) {
    return say(error.message, { problem: true });
  }
  media.delete(entry.id);
  if (entry.id === draft.source) choose(sample("clip.mp4"));
  keepKnown();
  commit("all");
  say(`${entry.name} is deleted`);
}

// --- files

export async function addFiles(files, role = null) {
  for (const file of files) {
    if (file.name.toLowerCase().endsWith(".toml")) {
      document.dispatchEvent(new CustomEvent("look-file", { detail: file }));
      continue;
    }
    const moving = file.type.startsWith("video/") || /\.(mp4|mov|mkv|webm|avi|gif|m4v|mpg|ts)$/i.test(file.name);
    const wanted = role ?? (moving ? "clip" : "painting");
    say(`Taking in ${file.name}`, { stay: true });
    try {
      const entry = await upload(file, file.name, wanted);
      media.set(entry.id, entry);
      if (wanted === "clip") choose(entry.id);
      else toggleStyle(entry.id, false);
      say(`${file.name} is here`);
    } catch (error) {
      say(error.message, { problem: true });
    }
  }
}

const add = (name, accept, role) =>
  h("button.add", { text: "+", "aria-label": name, title: name, onclick: () => chooseFiles(accept, (files) => addFiles(files, role)) });

// --- clip, part, paintings

export function clips() {
  const all = [...media.values()].filter((e) => e.kind === "clip" || (e.kind === "picture" && !e.painting && (!e.sample || e.sample === "photo.jpg")));
  const things = all.map((entry) => thing(entry, entry.id === draft.source, () => choose(entry.id)));
  $("clips").replaceChildren(...things, add("Add a clip or a photograph", "video/*,image/*,.mkv", "clip"));
}

export function parts() {
  const chip = (words, index) =>
    h("button", { text: words, "aria-pressed": String(draft.part === index), onclick: () => setPart(index) });
  $("parts").replaceChildren(
    chip("Whole picture", -1),
    ...draft.look.region.map((_, i) => chip(`Part ${i + 1}`, i)),
    h("button.add", { text: "+ Mark a part", onclick: addPart }),
  );
  $("whole").hidden = draft.part >= 0;
  tools();
}

export function setPart(index) {
  draft.part = index;
  brush.on = true;
  commit("part");
  glimpse();
}

function addPart() {
  const other = [...media.values()].find((e) => e.painting && !draft.look.style.some((s) => s.picture === e.id));
  draft.look.region.push({ mask: "", style: other ? [{ picture: other.id }] : [] });
  setPart(draft.look.region.length - 1);
}

function tools() {
  const region = draft.look.region[draft.part], box = $("tools");
  box.hidden = !region;
  edit(region ?? null);
  if (!region) return;
  const tool = (words, on, key, work) => h("button.quiet", { text: words, "aria-pressed": String(on), title: key, onclick: work });
  const at = timeOf(region);
  box.replaceChildren(
    h("p.hint", { text: "Paint on the picture where this part is." }),
    h("div.row", {},
      tool("Brush", brush.on && !brush.erase, "b", () => setBrush(true, false)),
      tool("Erase", brush.on && brush.erase, "e", () => setBrush(true, true)),
      tool("Hide", !brush.on, "v", () => setBrush(false, false)),
      h("button.quiet", { text: "Undo", title: "z", onclick: undo }),
    ),
    plainSlider("Size", brush.size, 0.01, 0.5, (value) => (brush.size = value)),
    plainSlider("Soft edge", brush.soft, 0, 1, (value) => (brush.soft = value)),
    plainSlider("Opacity", brush.opacity, 0.05, 1, (value) => (brush.opacity = value)),
    ...group([regionNumber(region, draft.part)], "part"),
    h("div.row", {},
      source()?.kind === "clip" &&
        h("button.quiet", {
          text: isFollowing(region) ? "Follows what it covers" : "Stays in place", "aria-pressed": String(isFollowing(region)),
          onclick: () => follow(region),
        }),
      at !== null && !isHere(region) && h("button.quiet", { text: `Marked at ${clock(at)}`, onclick: () => seek(frameIndex(at)) }),
    ),
    h("div.row", {},
      h("button.quiet", { text: "All", title: "The whole picture is in this part", onclick: fill }),
      h("button.quiet", { text: "None", title: "Nothing is in this part", onclick: clear }),
      h("button.quiet", { text: "Remove part", onclick: removePart }),
    ),
  );
}

function follow(region) {
  const id = region.mask.split("@")[0], follows = !isFollowing(region);
  if (id) region.mask = follows ? `${id}@${draft.at}` : id;
  else region.follows = follows;
  commit("region");
}

export function setBrush(on, erase) {
  Object.assign(brush, { on, erase });
  tools();
  glimpse();
}

function removePart() {
  draft.look.region.splice(draft.part, 1);
  draft.part = -1;
  commit("part");
}

function toggleStyle(id, blend) {
  const styles = stylesHere(), there = styles.findIndex((style) => style.picture === id);
  if (!blend) styles.splice(0, styles.length, { picture: id });
  else if (there < 0) {
    styles.push({ picture: id });
    setShare(styles, styles.at(-1), 1 / styles.length);
  } else if (styles.length > 1) {
    setShare(styles, styles[there], 0);
    styles.splice(there, 1);
    if (styles.length === 1) delete styles[0].weight;
  }
  commit("style");
}

export function paintings() {
  const styles = stylesHere(), chosen = new Set(styles.map((style) => style.picture));
  $("paintings-title").textContent = draft.part < 0 ? "Painting" : `Painting of part ${draft.part + 1}`;
  const things = [...media.values()].filter((entry) => entry.painting).map((entry) => {
    const on = chosen.has(entry.id), words = on ? `Take ${spoken(entry)} out of the blend` : `Blend ${spoken(entry)} in`;
    const plus = (!on || chosen.size > 1) && styles.length
      ? h("button.plus", { text: on ? "−" : "+", "aria-label": words, title: words, onclick: () => toggleStyle(entry.id, true) })
      : null;
    return thing(entry, on, () => toggleStyle(entry.id, false), plus);
  });
  const none = draft.part < 0 ? null : h("button.add.words", {
    text: "As filmed", title: "This part stays as filmed", "aria-pressed": String(!styles.length),
    onclick: () => (styles.splice(0), commit("style")),
  });
  $("paintings").replaceChildren(...things, ...(none ? [none] : []), add("Add a painting", "image/*", "painting"));
  $("blend").replaceChildren(...group(blendNumbers(), "blend"));
}

// --- everything else, from the settings' own metadata

const ELSEWHERE = new Set(["strength", "style_scale", "coherence", "size", "start_seconds", "duration_seconds"]);

export function fields() {
  const rows = form.filter((field) => !ELSEWHERE.has(field.name)).sort((a, b) => Number(a.rare) - Number(b.rare));
  $("form").replaceChildren(...rows.map(row));
}

function row(field) {
  const values = () => (field.group === "look" ? draft.look : draft.media);
  const value = values()[field.name] ?? field.default, id = `setting-${field.name}`;
  const words = field.name.replaceAll("_", " ").replace(" seconds", "");
  let input;
  if (field.kind === "switch") input = h("input", { type: "checkbox", checked: value === true });
  else if (field.choices) {
    const choices = field.default === null ? ["", ...field.choices] : field.choices;
    input = h("select", {}, ...choices.map((choice) => h("option", { value: choice, text: choice || "—", selected: choice === (value ?? "") })));
  } else {
    const numeric = field.kind === "number" || field.kind === "whole";
    input = h("input", { type: numeric ? "number" : "text", step: field.kind === "whole" ? 1 : "any", min: field.minimum ?? field.above, max: field.maximum });
    input.value = Array.isArray(value) ? value.join(", ") : value ?? "";
    input.placeholder = field.default === null ? "automatic" : "";
  }
  input.id = id;
  const made = h("div.field", {}, h("label", { text: words, htmlFor: id }), input, h("small", { text: field.help }));
  const mark = () => made.classList.toggle("given", field.name in values());
  input.addEventListener("change", () => {
    const given = read(field, input);
    if (given === undefined || JSON.stringify(given) === JSON.stringify(field.default)) delete values()[field.name];
    else values()[field.name] = given;
    mark();
    commit("setting");
  });
  mark();
  return made;
}

function read(field, input) {
  if (field.kind === "switch") return input.checked;
  const text = input.value.trim();
  if (!text) return undefined;
  if (field.kind === "number" || field.kind === "whole") return Number(text);
  const words = text.split(",").map((part) => part.trim()).filter(Boolean);
  return field.kind === "names" ? words : field.kind === "numbers" ? words.map(Number) : text;
}
