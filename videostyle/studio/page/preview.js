// The live preview: one at a time, the newest wins, its pictures are drawn as they come.

import { post } from "./api.js";
import { say } from "./dom.js";
import { draft, lookForServer, named } from "./state.js";
import { hasPainted, isPlaying, showPainted, stage, wait } from "./stage.js";

let current = 0, sending = false, again = false, early = [], drawing = false, next = null, began = 0, shown = "", of = {};
export const timing = { first: 0, quick: 0, finished: 0, pictures: 0 };

export async function request() {
  if (stage.mode !== "edit" || isPlaying() || !draft.source || !draft.look.style.length) return;
  if (sending) {
    again = true;
    return;
  }
  const asked = { source: draft.source, at: draft.at, size: draft.preview, look: lookForServer() };
  if (JSON.stringify(asked) === shown && hasPainted()) return;
  shown = JSON.stringify(asked);
  of = asked;
  wait(true);
  [sending, again] = [true, false];
  began = performance.now();
  Object.assign(timing, { first: 0, quick: 0, finished: 0, pictures: 0 });
  try {
    current = (await post("previews", asked)).preview;
  } catch (error) {
    forget();
    wait(false);
    say(error.message, { problem: true, stay: true });
  }
  sending = false;
  for (const event of early.splice(0)) take(event);
  if (again) request();
}

// What is shown is not what is wanted any more, or may not be.
export const forget = () => (shown = "");
const isOfWhatIsShown = () => stage.mode === "edit" && !isPlaying() && of.at === draft.at && of.source === draft.source;

// An event may be here before the answer that says which preview it is of.
export function take(event) {
  if (sending) return early.push(event);
  if (event.preview !== current || stage.mode !== "edit") return;
  const since = Math.round(performance.now() - began);
  if (event.stage === "failed") {
    forget();
    wait(false);
    return say(named(event.problem), { problem: true, stay: true });
  }
  if (event.stage === "superseded") return forget();
  if (event.picture) {
    timing.first ||= since;
    timing.pictures += 1;
    next = event.preview;
    draw();
  }
  if (event.stage === "mask") say(`Looking where the part is, frame ${event.frame}`, { stay: true });
  if (event.stage === "emerging") say(timing.quick ? "Refining" : "Painting", { stay: true });
  if (event.stage === "quick") timing.quick = since;
  if (event.stage === "finished" || event.stage === "ended") {
    timing.finished = since;
    say(`Preview at ${draft.preview} pixels`, { stay: true });
  }
}

async function draw() {
  if (drawing) return;
  drawing = true;
  while (next !== null) {
    const number = next;
    next = null;
    const wanted = () => number === current && isOfWhatIsShown();
    if (wanted()) {
      try {
        await showPainted(`previews/${number}`, wanted);
      } catch {
        // the server is gone: its events say so
      }
    }
  }
  drawing = false;
}
