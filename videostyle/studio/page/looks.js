// Looks as files, and a look that takes the place of the present one.

import { getFile, postForText, send } from "./api.js";
import { offer, saveAs, say } from "./dom.js";
import { source } from "./stage.js";
import { commit, draft, keepKnown, lookForServer, lookFromServer, media } from "./state.js";

// The look file names the masks, which are saved beside it.
async function save(name, text, regions) {
  saveAs(name, new Blob([text], { type: "application/toml" }));
  const masks = new Set(regions.filter((region) => region.mask).map((region) => region.mask.split("@")[0]));
  for (const id of masks) saveAs(media.get(id)?.name ?? `${id}.png`, await getFile(`media/${id}/file`));
}

export const saveLook = async () => save("look.toml", await postForText("looks/file", { look: lookForServer() }), draft.look.region);

export async function saveJobLook(job) {
  try {
    const text = await (await getFile(`jobs/${job.id}/look`)).text();
    await save(`${job.name.replace(/\.[^.]*$/, "")}.toml`, text, job.look.region ?? []);
  } catch (error) {
    say(error.message, { problem: true });
  }
}

export async function readLook(file) {
  const { look } = await send("looks", await file.text());
  replaceLook({ look: lookFromServer(look, source()?.seconds ?? 1) }, file.name);
}

// With a way back to what was there.
export function replaceLook(values, name) {
  const before = JSON.parse(JSON.stringify(draft));
  Object.assign(draft, values, { part: -1 });
  commit("all");
  offer(`The look is that of ${name} now`, "Undo", () => {
    Object.assign(draft, before);
    keepKnown();
    commit("all");
  });
}
