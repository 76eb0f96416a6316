// The paths that were named: kept with the run by the server, or by the browser for a page that is one file.

import {button, el, fill} from "./dom.js";

const LONGEST = 60; // characters of a name

/** @typedef {import("./types.js").KeptPath} KeptPath */

/** @param {import("./store.js").Store} store @param {(path: KeptPath) => string} words of a path */
export function keptPaths(store, words) {
  const {source} = store;
  const name = /** @type {HTMLInputElement} */ (el("input", {type: "text", maxLength: LONGEST, placeholder: "name, e.g. open to closed", "aria-label": "Name of the path"}));
  const list = el("ul", {class: "kept"});
  const element = el("section", {"aria-label": "Kept paths"}, el("h2", {}, "Kept paths"),
    el("form", {class: "tagging", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), keep())}, name, el("button", {}, "Keep this path")), list);

  /** @param {string} called @param {{stops: import("./types.js").Stop[], way: string}|null} path */
  async function put(called, path) {
    const paths = await store.newest("kept paths", () => source.keepPath(called, path), {busy: list});
    if (paths) store.set({paths});
    return paths !== null;
  }

  /** What is kept and removed can be taken back. @param {string} called @param {{stops: import("./types.js").Stop[], way: string}|null} before @param {{stops: import("./types.js").Stop[], way: string}|null} after */
  async function change(called, before, after) {
    if (!(await put(called, after))) return;
    store.did({words: `the kept path ${called}`, undo: () => put(called, before), redo: () => put(called, after)});
    store.say(`The path ${called} is ${after ? "kept" : "removed"}.`);
  }

  async function keep() {
    const [called, {path}] = [name.value.trim(), store.facts];
    if (!path) return store.say("There is no path yet.");
    if (!called) return void (store.say("A path that is kept needs a name."), name.focus());
    if (store.facts.paths.some((one) => one.name === called && same(one, path))) return store.say(`This path is kept as ${called} already.`);
    await change(called, null, path);
  }

  /** @param {KeptPath} one */
  function open(one) {
    if (one.lost) return store.say(`${one.lost === 1 ? "An image" : `${one.lost} images`} of the path ${one.name} ${one.lost === 1 ? "is" : "are"} not in this run.`);
    const map = one.stops.flatMap((stop) => (Array.isArray(stop) ? [] : [stop.map])).find((named) => !store.info.maps.includes(named));
    if (map) return store.say(`The path ${one.name} begins on the map ${map}, which this run does not have.`);
    store.set({path: {stops: one.stops, way: one.way}});
  }

  function draw() {
    const {paths, path} = store.facts;
    fill(list, ...paths.map((one) => el("li", {},
      button(one.name, () => open(one), {class: "bare", "aria-label": `Open the path ${one.name}`, "aria-current": String(path !== null && same(one, path))}),
      el("small", {}, words(one)),
      button("Remove", () => change(one.name, {stops: one.stops, way: one.way}, null), {"aria-label": `Remove the path ${one.name}`}))));
  }

  async function read() {
    const paths = await store.newest("kept paths", () => source.paths());
    if (paths) store.set({paths});
  }

  store.on(["paths", "path"], draw);
  for (const event of ["focus", "storage"]) addEventListener(event, () => store.facts.tab === "path" && read()); // another window may have changed them
  return {
    element,
    read,
    /** The name of the path that is shown, or "". */
    get name() {
      const {paths, path} = store.facts;
      return (path && paths.find((one) => same(one, path))?.name) ?? "";
    },
  };
}

/** @param {{stops: import("./types.js").Stop[], way: string}} a @param {{stops: import("./types.js").Stop[], way: string}} b */
const same = (a, b) => a.way === b.way && JSON.stringify(a.stops) === JSON.stringify(b.stops);
