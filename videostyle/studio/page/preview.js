// The live preview: one at a time, the newest wins, its pictures are drawn as they come.

import { post } from "./api.js";
import { say } from "./dom.js";
import { draft, lookForServer } from "./state.js";
import { isPlaying, showPainted, stage } from "./stage.js";

let current = 0, sending = false, again = false, held = [], drawing = false, next = null, began = 0;
export const timing = { first: 0, quick: 0, finished: 0, pictures: 0 };

export async function request() {
  if (stage.mode !== "edit" || isPlaying() || !draft.source || !draft.look.style.length) return;
  if (sending) {
    again = true;
    return;
  }
  [sending, again, held] = [true, false, []];
  began = performance.now();
  Object.assign(timing, { first: 0, quick: 0, finished: 0, pictures: 0 });
  const look = lookForServer();
  const regions = (look.region ?? []).filter((region) => region.mask);
  if (regions.length) look.region = regions;
  else delete look.region;
  try {
    const asked = { source: draft.source, at: draft.at, size: draft.preview, look };
    current = (await post("previews", asked)).preview;
    for (const event of held) take(event);
  } catch (error) {
    say(error.message, { problem: true, stay: true });
  }
  sending = false;
  if (again) request();
}

export function take(event) {
  if (sending) held.push(event);
  if (event.preview !== current || stage.mode !== "edit") return;
  const since = Math.round(performance.now() - began);
  if (event.stage === "failed") return say(event.problem, { problem: true, stay: true });
  if (event.stage === "superseded") return;
  if (event.picture) {
    timing.first ||= since;
    timing.pictures += 1;
    next = event.preview;
    draw();
  }
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
    if (number === current && stage.mode === "edit" && !isPlaying()) {
      try {
        await showPainted(`previews/${number}`, () => number === current && stage.mode === "edit" && !isPlaying());
      } catch {
        // the server is gone: its events say so
      }
    }
  }
  drawing = false;
}
