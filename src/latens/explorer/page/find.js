// Find an image by its id or file name, as one types; or by an image of the user's, which is encoded and placed on the map.

import {afterwards, button, el, fill} from "./dom.js";

/** An image of the user's and the file that it is in. @typedef {import("./types.js").Given & {file: File}} Found */

const MOST_FILE = 64 * 2 ** 20; // bytes, as decoding.py has it
const MOST_GIVEN = 12; // images of the user's on the map; of more the newest stay
const NAMED = 24; // letters of a name on the map
const REACH = 12; // pixels about a mark that are pressed for it

/** @param {import("./store.js").Store} store */
export function findField(store) {
  const {info, source} = store;
  const known = el("datalist", {id: "found-images"});
  const field = /** @type {HTMLInputElement} */ (el("input", {id: "find-image", type: "text", placeholder: "id or file name", autocomplete: "off"}));
  field.setAttribute("list", "found-images");
  const search = async () => {
    const words = field.value.trim();
    return {words, found: words ? await store.newest("find", () => source.search(words)) : []};
  };
  field.addEventListener("input", async () => {
    const {words, found} = await search();
    if (!found) return;
    fill(known, ...found.map(({id}) => el("option", {value: id})));
    const chosen = found.find(({id}) => id === words);
    if (chosen && found.length === 1) store.choose(chosen.row); // one of the list was pressed, or all of it was typed
  });
  const files = /** @type {HTMLInputElement} */ (el("input", {type: "file", accept: "image/*,.tif,.tiff,.dcm,.fits", multiple: true, hidden: true, "aria-label": "Image file"}));
  files.addEventListener("change", () => {
    place(store, [...(files.files ?? [])]);
    files.value = ""; // the same file may be chosen again
  });
  const own = el("p", {class: "row given"});
  const drawOwn = () => fill(own, ...store.facts.given.map((one) => el("span", {class: "given-one"},
    button(one.id, () => store.set({current: null, latent: one.latents}), {"aria-pressed": String(one === store.shownGiven), title: `Show ${one.id}, an image of yours`}),
    button("×", () => remove(store, one), {"aria-label": `Take ${one.id} off the map`, title: "Take it off the map"}))));
  store.on(["given", "latent"], drawOwn);
  return el("div", {}, el("form", {class: "field", onsubmit: find}, el("label", {for: "find-image"}, "Find"), field, known,
    info.encodes ? button("By image…", () => files.click(), {title: "Choose an image of yours; you can also drop it on the page, or paste it"}) : null, files), own);

  /** @param {Event} event */
  async function find(event) {
    event.preventDefault();
    const {words, found} = await search();
    if (found?.length) store.choose(found[0].row);
    else if (found && words) store.say(`No image has ${words} in its id.`);
  }
}

/**
 * Take the images that are dropped on the page or pasted, and mark on the map where they lie.
 * @param {import("./store.js").Store} store @param {HTMLElement} box that holds the map
 */
export function givenImages(store, box) {
  const {view} = store;
  const hint = el("div", {class: "drop-hint", hidden: true}, el("p", {}, "Drop an image: it is encoded, and placed on the map"));
  box.append(hint);
  const holdsFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault(); // else the browser opens the file in place of the page
    hint.hidden = false;
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && (hint.hidden = true));
  addEventListener("drop", (event) => {
    hint.hidden = true;
    if (!holdsFiles(event)) return;
    event.preventDefault();
    place(store, [.../** @type {DataTransfer} */ (event.dataTransfer).files]);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) event.preventDefault();
    if (files.length) place(store, files);
  });
  view.on("press", ({x, y}) => { // after the press of the point below it
    const found = store.plays ? undefined : store.facts.given.find((one) => {
      const at = store.fromUnits(one.places);
      return at.x.length && Math.hypot(at.x[0] - x, at.y[0] - y) * view.view.scale < REACH;
    });
    if (found) store.set({current: null, latent: found.latents, tab: "image"});
  });
  const mark = () => store.mark("given", store.plays ? [] : store.facts.given.flatMap((one) => {
    const at = store.fromUnits(one.places);
    const text = [one.id.length > NAMED ? `${one.id.slice(0, NAMED - 1)}…` : one.id];
    return [{kind: "diamond", ...at, colour: "ink"}, {kind: "label", x: at.x, y: at.y, text, weights: [1e9], below: 20}];
  }));
  store.on(["given", "snapshot"], mark);
  // In another look they look otherwise, on another map they lie elsewhere, and among other images they have other neighbours.
  const again = afterwards(async () => {
    const {given, map} = store.facts;
    if (!given.length) return;
    const found = await store.newest("given", () => Promise.all(given.map((one) => encoded(store, one.file))));
    if (!found || given !== store.facts.given || map !== store.facts.map) return;
    const shown = given.findIndex((one) => one === store.shownGiven);
    store.set({given: found, ...(shown < 0 ? {} : {latent: found[shown].latents})});
  }, 100);
  store.on(["look", "map", "part"], again);
  store.on("map", () => store.mark("given", [])); // until it is known where they lie on this one
}

/** @param {import("./store.js").Store} store @param {File} file @returns {Promise<Found>} */
async function encoded(store, file) {
  if (file.size > MOST_FILE) throw new Error(`${file.name}: has ${Math.round(file.size / 2 ** 20)} MB; at most ${MOST_FILE / 2 ** 20} MB are read`);
  return {...(await store.source.encode(file, store.facts.map)), file};
}

/** Encode files, put them on the map, and show the first. @param {import("./store.js").Store} store @param {File[]} files */
async function place(store, files) {
  const {info, view} = store;
  if (!info.encodes) return store.say(store.served ? "The model of this run is not available, so no image can be encoded." : "This file cannot encode images: open the run by latens explore.");
  if (!files.length) return store.say("What was dropped holds no file.");
  const found = [];
  for (const file of files.slice(0, MOST_GIVEN)) {
    store.say(`Reading ${file.name}…`);
    const one = await store.attempt(encoded(store, file));
    if (one) found.push(one);
  }
  if (!found.length) return;
  store.set({given: [...store.facts.given, ...found].slice(-MOST_GIVEN), current: null, latent: found[0].latents, tab: "image"});
  const {x, y} = store.fromUnits(found[0].places);
  if (!store.plays && x.length) view.keepInSight({x: x[0], y: y[0]});
  if (found.length === files.length) store.say(found[0].note && `${found[0].id}: ${found[0].note}.`);
}

/** @param {import("./store.js").Store} store @param {Found} one */
function remove(store, one) {
  const shown = one === store.shownGiven;
  store.set({given: store.facts.given.filter((other) => other !== one), ...(shown ? {latent: null} : {})});
}
