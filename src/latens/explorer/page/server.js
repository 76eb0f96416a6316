// The source of a page that a server gave out: asks that server, with the token of the page's own address in a header.

import {newestWins} from "./newest.js";
import {readColumns} from "./wire.js";

/** @typedef {import("./types.js").Source} Source */

const token = location.pathname.split("/")[1] ?? "";
const tab = Math.random().toString(36).slice(2);

/** What carries a request to the server, as fetch does. @type {(path: string, options: RequestInit) => Promise<Response>} */
let carry = (path, options) => fetch(path, options);

/** Let something else carry requests: a notebook has a way of its own. @param {typeof carry} other */
export function carryBy(other) {
  carry = other;
}

let server = ""; // the one that this page is of; a server that is started again is another

/** The page is no longer connected: what it shows is old, and must not look live. @param {string} why */
export function lost(why) {
  document.body.classList.add("lost");
  const note = document.querySelector(".lost-note");
  if (note) note.textContent = `${why} What is shown here is old.`;
}

/**
 * @param {string} path @param {RequestInit} [options] @param {string} [accept]
 * @returns {Promise<Response>}
 */
async function ask(path, options = {}, accept = "application/octet-stream") {
  const headers = {"x-latens-token": token, "x-latens-tab": tab, accept, ...options.headers};
  let response;
  try {
    response = await carry(path, {...options, headers});
  } catch (error) {
    if (options.signal?.aborted) throw error; // a newer request has taken its place
    lost("The server of the explorer has stopped: start it again, and open the address that it prints.");
    throw new Error("the server of the explorer does not answer; has it been stopped?");
  }
  const answering = response.headers.get("x-latens-server") ?? "";
  if (server && answering !== server) {
    lost("The server of the explorer was started again, and this page is of the earlier one: open the address that it printed.");
    throw new Error("the connection is gone: another server answers at this address");
  }
  server = answering;
  document.body.classList.remove("lost");
  if (!response.ok) throw new Error((await response.json().catch(() => ({error: response.statusText}))).error);
  return response;
}

// Who comes back to the page sees whether it is still connected, before anything is asked of it.
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && server) ask("/api/work", {}, "application/json").catch(() => {});
});

/** @param {any} given texts and numbers by name; null is left out */
const query = (given) => `?${new URLSearchParams(Object.entries(given).flatMap(([k, v]) => (v === null ? [] : [[k, String(v)]])))}`;

/** A part as a param: the map's own points are what is meant without. @param {import("./types.js").Part} part */
const of = (part) => (part === "test" ? {} : {part});

/** @param {object} given */
const post = (given) => ({method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(given)});

/** @param {string} path @param {RequestInit} [options] */
const columns = async (path, options) => readColumns(await (await ask(path, options)).arrayBuffer());

/** @param {string} path @param {RequestInit} [options] */
const json = async (path, options) => (await ask(path, options, "application/json")).json();

/**
 * @param {string} [prefix]  "/beside" for the second run
 * @returns {import("./types.js").ServedSource}
 */
export function serverSource(prefix = "") {
  const api = `${prefix}/api`;
  /** @type {Map<string, Promise<any>>} */
  const kept = new Map();
  let look = ""; // how images are shown
  let among = /** @type {import("./types.js").Part} */ ("test"); // whose images are neighbours
  /** What never changes is asked for once. @template T @param {string} key @param {() => Promise<T>} get @returns {Promise<T>} */
  const once = (key, get) => {
    if (!kept.has(key)) kept.set(key, get().catch((error) => {
      kept.delete(key);
      throw error;
    }));
    return /** @type {Promise<T>} */ (kept.get(key));
  };
  /** @param {object} given */
  const looking = (given) => (look ? {...given, look} : given);
  const decodeAt = newestWins((/** @type {object} */ asked) => columns(`${api}/decode${query(asked)}`));
  const compass = newestWins((/** @type {object} */ asked) => columns(`${api}/compass${query(asked)}`));
  const decode = newestWins((/** @type {object} */ asked) => columns(`${api}/decode`, post(asked)));
  // Sent at once: a sampler or a graph may have to be fitted for minutes, which must not hold up another. The server drops what is
  // overtaken before its turn comes; its refusal (409) is not waited for, since browsers log it as an error.
  const probe = newestWins((/** @type {object} */ asked, signal) => columns(`${api}/probe${query(asked)}`, {signal}), {queue: false});
  const path = newestWins((/** @type {object} */ asked, signal) => columns(`${api}/path`, {...post(asked), signal}), {queue: false});
  return {
    run: () => json(`${api}/run`),
    async opening(map) {
      const found = await columns(`${api}/opening${query({map})}`);
      if (found.map) kept.set(`map ${found.map} test`, Promise.resolve({...found, name: found.map}));
      if (found.labels) kept.set("column label test", Promise.resolve(found.labels));
      return found;
    },
    map: (name, part = "test") => once(`map ${name} ${part}`, () => columns(`${api}/map${query({name, ...of(part)})}`)),
    column: (name, part = "test") => once(`column ${name} ${part}`, async () => (await columns(`${api}/column${query({name, ...of(part)})}`)).values),
    show(wanted) {
      look = wanted;
      for (const key of kept.keys()) if (/^(image|picture) /.test(key)) kept.delete(key); // they look otherwise now
    },
    among(part) {
      among = part;
      for (const key of kept.keys()) if (key.startsWith("image ")) kept.delete(key); // they have other neighbours now
    },
    channels: () => once("channels", async () => (await json(`${api}/channels`)).channels),
    odd: () => once("odd", () => json(`${api}/odd`)),
    thumbnails: async (page, part = "test") => createImageBitmap(await (await ask(`${api}/thumbnails${query(looking({page, ...of(part)}))}`, {}, "image/png")).blob()),
    image: (row) => once(`image ${row}`, () => columns(`${api}/image${query(looking({row, ...of(among)}))}`)),
    search: async (words) => (await json(`${api}/find${query({words})}`)).found,
    pictures: async (points) => (await columns(`${api}/pictures`, post(looking({points})))).pixels,
    classes: async (points) => (await columns(`${api}/classes`, post({points}))).classes,
    find: async (id) => (await json(`${api}/image${query({id})}`)).row,
    picture: (_, id) => once(`picture ${id}`, async () => (await columns(`${api}/picture${query(looking({id}))}`)).pixels),
    decodeAt: (map, x, y) => decodeAt(looking({map, x, y})),
    compass: (map, x, y) => compass(looking({map, x, y})),
    decode: (latents, map, dim) => decode(looking({latents: rowsOf(latents, dim), map})),
    probe: (asked) => probe(looking(asked)),
    encode: (file, map) => columns(`${api}/encode${query(looking({name: file.name || "image", map, ...of(among)}))}`,
      {method: "POST", headers: {"content-type": "application/octet-stream"}, body: file}),
    nearest: (latents, count) => columns(`${api}/nearest`, post({latents: Array.from(latents), count, ...of(among)})),
    path: (asked) => path(looking(asked)),
    paths: async () => (await json(`${api}/paths`)).paths,
    keepPath: async (name, kept) => (await json(`${api}/paths`, post(kept ? {name, ...kept} : {name, stops: []}))).paths,
    directions: (point) => columns(`${api}/directions${query({point})}`),
    mean: async (points) => (await columns(`${api}/mean`, post({points}))).mean,
    table: async (points, map, format, part = "test") => (await ask(`${api}/table`, post({points, map, kind: format, part}), "*/*")).blob(),
    link: () => once("link", () => columns(`${api}/link`)),
    list: async (kind) => (await json(`${api}/list${query({kind})}`)).found,
    tags: () => json(`${api}/tags`),
    tag: (tag, ids, on) => json(`${api}/tags`, post({tag, ids, on})),
    undoTag: (change, undone) => json(`${api}/tags/undo`, post({change, undone})),
    work: async () => (await json(`${api}/work`)).work,
    tagsFile: async () => (await ask(`${api}/tags.csv`, {}, "text/csv")).blob(),
    ids: async (points) => (await json(`${api}/ids`, post({points}))).ids,
    history: () => json(`${api}/history`),
    phase: () => json(`${api}/phase`),
    stop: () => json(`${api}/stop`, post({})),
    live: () => columns(`${api}/live${query(looking({}))}`),
    snapshot: (epoch) => once(`snapshot ${epoch}`, () => columns(`${api}/snapshot${query({epoch})}`)),
  };
}

/** @param {Float32Array} latents @param {number} dim */
function rowsOf(latents, dim) {
  const rows = [];
  for (let start = 0; start < latents.length; start += dim) rows.push(Array.from(latents.subarray(start, start + dim)));
  return rows;
}
