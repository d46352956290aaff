// The server: /api/v1 below the page's own address, which holds the token.

const BASE = new URL("api/v1/", document.baseURI).href;

export const url = (path) => BASE + path;

async function answered(response) {
  if (response.ok) return response;
  let words = `the server answered ${response.status}`;
  try {
    words = (await response.json()).error ?? words;
  } catch {
    // not JSON: the status has to do
  }
  throw new Error(words);
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(BASE + path, options);
  } catch {
    throw new Error("the studio does not answer; start it again with videostyle studio");
  }
  return answered(response);
}

export const get = async (path) => (await ask(path)).json();
export const getFile = async (path) => (await ask(path)).blob();
export const post = async (path, values = {}) =>
  (await ask(path, { method: "POST", body: JSON.stringify(values) })).json();
export const postForText = async (path, values) =>
  (await ask(path, { method: "POST", body: JSON.stringify(values) })).text();
export const put = async (path, values, options) => ask(path, { method: "PUT", body: JSON.stringify(values), ...options });
export const remove = async (path) => ask(path, { method: "DELETE" });
export const send = async (path, body) => (await ask(path, { method: "POST", body })).json();
export const upload = (body, name, role) => send(`media?role=${role}&name=${encodeURIComponent(name)}`, body);

// Calls on[type](values) for every event; on.open() and on.lost() for the connection itself.
export function listen(on) {
  const stream = new EventSource(url("events"));
  stream.addEventListener("open", () => on.open());
  stream.addEventListener("error", () => {
    on.lost();
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => listen(on), 1500);
  });
  for (const type of ["preview", "progress", "job", "gone"]) {
    stream.addEventListener(type, (event) => on[type](JSON.parse(event.data)));
  }
}
