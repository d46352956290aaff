// A frame that the artist paints: saved, painted over elsewhere, given back.

import { upload, url } from "./api.js";
import { $, chooseFiles, clock, closing, h, openDialog, pressed, row, saveAs, say } from "./dom.js";
import { commit, draft, media } from "./state.js";
import { paintedPicture, source } from "./stage.js";

export const givenHere = () => draft.look.frame.find((frame) => Math.abs(frame.at - draft.at) < 1e-3);

const stem = () => (source()?.name ?? "frame").replace(/\.[^.]*$/, "");
const nameOf = (what) => `${stem()}-${(Math.floor(1000 * draft.at) / 1000).toFixed(3).padStart(8, "0")}s${what}.png`;

export function update() {
  const given = Boolean(givenHere());
  pressed($("by-hand"), given);
  $("by-hand").textContent = given ? "Painted by hand" : "Paint by hand";
}

async function saveSource() {
  const size = $("size").value || 1280;
  const response = await fetch(url(`media/${draft.source}/frame?at=${draft.at}&size=${size}&download`));
  if (response.ok) saveAs(nameOf(""), await response.blob());
}

const savePainted = (canvas) => canvas.toBlob((blob) => saveAs(nameOf("-painted"), blob), "image/png");

// The picture that is shown: what is painted, at the preview's size, or the clip's frame.
export function savePicture() {
  const canvas = paintedPicture();
  if (!canvas) return saveSource();
  savePainted(canvas);
  say(`Saved at ${Math.max(canvas.width, canvas.height)} pixels; Preview sets the size`);
}

export function paintByHand() {
  if (source()?.kind !== "clip") return;
  const there = givenHere(), canvas = paintedPicture();
  const takeBack = () => {
    draft.look.frame.splice(draft.look.frame.indexOf(there), 1);
    commit("frames");
  };
  openDialog(
    "Paint this frame yourself",
    h("ol", {},
      h("li", { text: "Save it." }, row(
        h("button", { text: "The clip’s frame", onclick: saveSource }),
        canvas && h("button", { text: "As it is painted now", onclick: () => savePainted(canvas) }),
      )),
      h("li", { text: "Paint over it in any program, and keep its shape." }),
      h("li", { text: "Give it back. The frames before and after it take its paint." }, row(
        h("button.primary", { text: there ? "Give another picture" : "Give the picture", onclick: closing(give) }),
        there && h("button", { text: "Take it away", onclick: closing(takeBack) }),
      )),
    ),
    row(h("button.quiet", { text: "Close", onclick: closing() })),
  );
}

function give() {
  const at = draft.at;
  chooseFiles("image/*", async ([file]) => {
    try {
      const entry = await upload(file, file.name, "painting");
      media.set(entry.id, entry);
      draft.look.frame = [...draft.look.frame.filter((frame) => Math.abs(frame.at - at) >= 1e-3), { at, picture: entry.id }];
      draft.look.frame.sort((a, b) => a.at - b.at);
      commit("frames");
      say(`${file.name} is the frame at ${clock(at)} now`);
    } catch (error) {
      say(error.message, { problem: true });
    }
  });
}
