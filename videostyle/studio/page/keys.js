// What keys and the buttons of the picture do.

import { brush } from "./brush.js";
import { paintByHand } from "./byhand.js";
import { $, closing, h, openDialog } from "./dom.js";
import { MAIN, toggleKey } from "./numbers.js";
import { parts, setBrush } from "./panel.js";
import * as stage from "./stage.js";
import { commit, draft, redo, undo } from "./state.js";

const HELP = [
  ["space", "play, pause"], [", .  or arrows", "frame before, frame after"], ["1 2 3", "source, compare, painted"], ["f", "100 %"],
  ["k", "key of the strength, here"], ["p", "paint this frame by hand"], ["i o", "from here, up to here"], ["b e [ ]", "brush, erase, size"],
  ["v", "hide the brush"], ["z  Z", "undo, redo"], ["l q g", "look, queue, gallery"], ["m", "sound"], ["Delete", "delete an upload, or bring a slider back to normal"],
];

function help() {
  const rows = HELP.flatMap(([key, does]) => [h("dt", { text: key }), h("dd", { text: does })]);
  openDialog("Keys", h("dl", {}, ...rows), h("button", { text: "Close", autofocus: true, onclick: closing() }));
}

export function listenToKeys({ seek, mark, tab }) {
  const by = (step) => () => seek(stage.frameIndex() + step);
  const part = (work) => () => draft.part >= 0 && work();
  const resize = (factor) => part(() => ((brush.size = Math.min(0.5, Math.max(0.01, brush.size * factor))), parts()));
  const keys = {
    " ": stage.play, ",": by(-1), ".": by(1), ArrowLeft: by(-1), ArrowRight: by(1), Home: () => seek(0), End: () => seek(Infinity),
    1: () => stage.setView("source"), 2: () => stage.setView("wipe"), 3: () => stage.setView("painted"),
    f: stage.zoom, m: stage.sound, i: () => mark(false), o: () => mark(true), "?": help,
    z: undo, Z: redo, y: redo, k: () => (toggleKey(MAIN[0]), commit("keys")), p: paintByHand,
    b: part(() => setBrush(true, false)), e: part(() => setBrush(true, true)), v: part(() => setBrush(!brush.on, false)),
    "[": resize(1 / 1.2), "]": resize(1.2),
    l: () => tab("look"), q: () => tab("queue"), g: () => tab("gallery"),
  };
  const clicks = {
    play: stage.play, before: by(-1), after: by(1), sound: stage.sound, zoom: stage.zoom, help,
    "view-source": keys[1], "view-wipe": keys[2], "view-painted": keys[3],
  };
  for (const [id, work] of Object.entries(clicks)) $(id).addEventListener("click", () => work());
  addEventListener("keydown", (event) => pressedKey(event, keys));
}

function pressedKey(event, keys) {
  const at = event.target, text = at.matches("input:not([type=range], [type=checkbox]), select, textarea");
  if (event.ctrlKey || event.metaKey) {
    if (event.key.toLowerCase() === "z" && !text) {
      event.preventDefault();
      (event.shiftKey ? redo : undo)();
    }
    return;
  }
  if (event.altKey || text || $("dialog").open) return;
  const arrows = event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End";
  if (arrows && at.matches("input, [role=tab]")) return;
  if (event.key === " " && at.matches("button, summary, input[type=checkbox]")) return;
  const work = keys[event.key];
  if (!work) return;
  event.preventDefault();
  work();
}
