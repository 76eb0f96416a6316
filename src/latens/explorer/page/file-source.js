// The source of a page that is one file: a worker gets what the file holds, and answers.

import {csvOf} from "./files.js";
import {newestWins} from "./newest.js";

/** @typedef {import("./types.js").Source} Source */

/** @returns {Source} */
export function fileSource() {
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
  worker.postMessage({texts: {facts: textOf("latens-data"), arrays: textOf("latens-arrays")}});

  /** @param {string} method @returns {(...asked: any[]) => Promise<any>} */
  const ask = (method) => (...asked) => new Promise((resolve, reject) => {
    waiting.set(++last, {resolve, reject});
    worker.postMessage({id: last, method, asked});
  });
  /** Of requests that come while one is answered, only the newest is. @param {string} method @returns {(...asked: any[]) => Promise<any>} */
  const newest = (method) => {
    const send = newestWins((/** @type {any[]} */ asked) => ask(method)(...asked));
    return (...asked) => send(asked);
  };
  return {
    run: ask("run"),
    map: ask("map"),
    column: ask("column"),
    show: (look) => void ask("show")(look),
    channels: ask("channels"),
    odd: ask("odd"),
    list: ask("list"),
    link: ask("link"),
    picture: ask("picture"),
    thumbnails: ask("thumbnails"),
    image: ask("image"),
    find: ask("find"),
    search: ask("search"),
    pictures: ask("pictures"),
    classes: ask("classes"),
    decodeAt: newest("decodeAt"),
    decode: newest("decode"),
    probe: newest("probe"),
    path: newest("path"),
    encode: async () => {
      throw new Error("This file cannot encode images: open the run by latens explore.");
    },
    nearest: ask("nearest"),
    directions: ask("directions"),
    mean: ask("mean"),
    table: async (...asked) => new Blob([csvOf(await ask("table")(...asked))], {type: "text/csv"}),
  };
}

/** @param {string} id */
const textOf = (id) => document.getElementById(id)?.textContent ?? "";
