// Elements by their ids and new ones in one line.

export const $ = (id) => document.getElementById(id);

// h("button.quiet", {text: "Add", onclick: f}, ...children)
export function h(kind, properties = {}, ...children) {
  const [tag, ...classes] = kind.split(".");
  const made = document.createElement(tag);
  if (classes.length) made.className = classes.join(" ");
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") made.textContent = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && !name.startsWith("aria")) made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child || child === 0));
  return made;
}

export function pressed(button, on) {
  button.setAttribute("aria-pressed", String(on));
}

export function openDialog(title, ...content) {
  $("dialog").replaceChildren(h("h2", { text: title }), ...content);
  $("dialog").showModal();
}
export const closing = (work) => () => ($("dialog").close(), work?.());
export const row = (...buttons) => h("div.row", {}, ...buttons);

export function saveAs(name, blob) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export function chooseFiles(accept, take) {
  const chooser = $("chooser");
  Object.assign(chooser, { accept, multiple: false, value: "" });
  chooser.onchange = () => take([...chooser.files]);
  chooser.click();
}

let saying = 0;

// One line below the picture; it goes after a while unless it stays.
export function say(words, { problem = false, stay = false } = {}) {
  const line = $("said");
  line.textContent = line.title = words;
  line.classList.toggle("problem", problem);
  clearTimeout(saying);
  if (words && !stay) saying = setTimeout(() => (line.textContent = ""), problem ? 12000 : 5000);
}

// One line with a button in the place of that line; it goes once it is used, or after a while.
let offering = 0;
export function offer(words, label, work) {
  const line = $("offer"), close = () => ((line.hidden = true), clearTimeout(offering));
  clearTimeout(offering);
  line.replaceChildren(h("span", { text: words }), h("button.quiet", { text: label, onclick: () => (close(), work()) }));
  line.hidden = false;
  offering = setTimeout(close, 20000);
}

export const later = (work, milliseconds) => {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), milliseconds);
  };
};

export function clock(seconds) {
  const whole = Math.max(0, seconds), minutes = Math.floor(whole / 60);
  return `${minutes}:${(whole - 60 * minutes).toFixed(3).padStart(6, "0")}`;
}

export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
