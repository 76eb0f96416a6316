// The source of a page that is one file: a worker gets what the file holds, and answers.

import {csvOf} from "./files.js";
import {pictureIn} from "./image-file.js";
import {newestWins} from "./newest.js";

/** @typedef {import("./types.js").Source} Source */

/** @typedef {(which: number, method: string, asked: any[]) => Promise<any>} Ask */

/** What the worker answers as it is asked, and what is asked so often that only the newest counts. */
const ASKED = /** @type {const} */ (["run", "map", "column", "show", "among", "channels", "odd", "list", "link", "picture", "thumbnails", "image", "find", "search", "pictures", "classes", "nearest", "directions", "history", "snapshot", "mean"]);
const NEWEST = /** @type {const} */ (["decodeAt", "compass", "decode", "probe", "path"]);

/** The run of the file, and the one beside it, of which a file may have none. @returns {{first: Source, second: Source}} */
export function fileSources() {
  const worker = new Worker(new URL("./offline-worker.js", import.meta.url), {type: "module"});
  /** @type {Map<number, {resolve: (answer: any) => void, reject: (error: Error) => void}>} */
  const waiting = new Map();
  let last = 0;
  worker.addEventListener("message", ({data: {id, answer, error}}) => {
    const {resolve, reject} = /** @type {any} */ (waiting.get(id));
    waiting.delete(id);
    if (error === undefined) resolve(answer);
    else reject(new Error(error));
  });
  worker.addEventListener("error", ({message}) => {
    for (const {reject} of waiting.values()) reject(new Error(message || "this file's networks did not start"));
    waiting.clear();
  });
  const facts = textOf("latens-data");
  worker.postMessage({texts: {facts, arrays: textOf("latens-arrays"), beside: Boolean(JSON.parse(facts).beside)}});
  /** @type {Ask} */
  const send = (which, method, asked) => new Promise((resolve, reject) => {
    waiting.set(++last, {resolve, reject});
    worker.postMessage({id: last, which, method, asked});
  });
  return {first: sourceOf(send, 0), second: sourceOf(send, 1)};
}

/** @param {Ask} send @param {number} which @returns {Source} */
function sourceOf(send, which) {
  /** @param {string} method @returns {(...asked: any[]) => Promise<any>} */
  const ask = (method) => (...asked) => send(which, method, asked);
  /** Of requests that come while one is answered, only the newest is. @param {string} method @returns {(...asked: any[]) => Promise<any>} */
  const newest = (method) => {
    const send = newestWins((/** @type {any[]} */ asked) => ask(method)(...asked));
    return (...asked) => send(asked);
  };
  const paths = async () => allKept(await ask("paths")());
  const made = /** @type {Pick<Source, typeof ASKED[number] | typeof NEWEST[number]>} */ (
    Object.fromEntries([...ASKED.map((method) => [method, ask(method)]), ...NEWEST.map((method) => [method, newest(method)])]));
  return {
    ...made,
    paths,
    async keepPath(name, path) {
      const {of, kept} = await ask("paths")();
      const other = path && allKept({of, kept}).find((one) => one.name === name.trim());
      if (other && JSON.stringify([other.stops, other.way]) !== JSON.stringify([path.stops, path.way])) throw new Error(`there is another path named ${name.trim()}; choose another name, or remove that one first`);
      storage().setItem(`latens path ${of} ${name.trim()}`, JSON.stringify(path && {stops: path.stops, way: path.way}));
      return paths();
    },
    encode: async (file, map) => ask("encode")(await pictureIn(file), file.name || "image", map),
    table: async (rows, map, _, part) => new Blob([csvOf(await ask("table")(rows, map, part))], {type: "text/csv"}),
  };
}

/** @param {string} id */
const textOf = (id) => document.getElementById(id)?.textContent ?? "";

/** The browser's own storage for this page; each path is one entry, so two tabs lose nothing of each other's. */
function storage() {
  try {
    return localStorage;
  } catch {
    throw new Error("this browser keeps nothing for this page: copy or save the path as JSON instead");
  }
}

/** The paths that the file was made with and those that were named in this browser since. @param {{of: string, kept: import("./types.js").KeptPath[]}} file */
function allKept({of, kept}) {
  const all = new Map(kept.map((one) => [one.name, one]));
  try {
    const start = `latens path ${of} `;
    for (const key of Object.keys(localStorage).filter((one) => one.startsWith(start)).sort()) {
      const [name, path] = [key.slice(start.length), JSON.parse(localStorage.getItem(key) ?? "null")];
      if (path) all.set(name, {name, lost: 0, ...path});
      else all.delete(name);
    }
  } catch { /* no storage: those of the file are all that there are; to keep one says so */ }
  return [...all.values()];
}
