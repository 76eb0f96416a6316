// Decode: what the decoder makes of the place under the pointer, also where no image lies.

import {waitOn} from "./busy.js";
import {compass} from "./compass.js";
import {button, el, fill, named} from "./dom.js";
import {gauge} from "./gauge.js";
import {download, jsonOf, pngOf} from "./files.js";
import {captioned, frame, paint} from "./pictures.js";
import {sheetOf} from "./sheet.js";

const SAVED = 256; // pixels of a saved image, at least
const MIDDLE = 32768; // of the map, 16 bit
const SPACINGS = 2; // a place is empty from so many spacings on between it and its latent's own place, on a map filled evenly

/** @param {import("./store.js").Store} store */
export function decodePanel(store) {
  const {info, source, view} = store;
  const made = frame(info.shape, "The decoded image of the place under the pointer");
  const nearest = frame(info.shape, "The nearest real image");
  const honest = gauge();
  const place = el("p", {class: "quiet"}, "Move over the map, or tap it: that place is decoded.");
  const how = el("p", {class: "quiet"});
  const nearestWords = el("span", {}, "nearest real image");
  const shown = captioned(made, "decoded here");
  const latentButton = button("Take this latent", () => store.set({latent: held, current: null, tab: "image"}));
  const nearestButton = button("Go to the nearest image", () => store.choose(/** @type {number} */ (nearestRow), {tab: "image"}));
  const saveButton = button("Save image", save);
  const copyButton = button("Copy as JSON", copyPlace);
  const around = compass(store);
  const element = el(
    "div",
    {},
    el("div", {class: "pair"}, shown, captioned(nearest, nearestWords)),
    honest.element,
    place,
    how,
    el("p", {class: "row"}, nearestButton, latentButton, saveButton, copyButton, around.toggle),
    around.element,
    el("p", {class: "quiet"}, "Press on the map to hold a place; press again to release it, or tap another one. The arrow keys move from image to image, and s selects the current one."),
  );
  /** @type {number|null} */
  let nearestRow = null;
  let moved = false;
  let pinned = false;
  let over = true; // the pointer is on the map; before it was anywhere, the middle of the map is decoded
  /** @type {Float32Array|null} */
  let held = null;
  /** What was decoded last, and where. @type {{found: import("./types.js").Decoded, map: string, x: number, y: number}|null} */
  let last = null;

  /** A button waits until there is what it is for: what is pressed before would do nothing. */
  function enable() {
    nearestButton.disabled = nearestRow === null;
    latentButton.disabled = held === null;
    saveButton.disabled = copyButton.disabled = last === null;
  }
  enable();

  async function save() {
    const {pixels} = /** @type {NonNullable<typeof last>} */ (last).found;
    download(await store.attempt((async () => pngOf(sheetOf([{pixels}], info.shape, {least: SAVED, gap: 0})))()), `${info.name}-decoded.png`);
  }

  function copyPlace() {
    const {found, map, x, y} = /** @type {NonNullable<typeof last>} */ (last);
    const about = {run: info.name, map, x, y, distance: found.ratio[0], nearest: found.nearest[0], latent: found.latents};
    store.copy(jsonOf(about), "Place and latent are");
  }

  /** @param {number} x @param {number} y 16-bit units */
  async function look(x, y) {
    const {map, points} = store.facts;
    for (const one of [shown, latentButton, saveButton, copyButton]) one.hidden = points?.decodable === false;
    looked = shown.hidden ? null : [x, y];
    around.toggle.hidden = shown.hidden;
    if (shown.hidden) {
      around.at(null);
      return passOver(x, y);
    }
    around.at(x, y);
    const [unitsX, unitsY] = store.toUnits(x, y);
    const asked = performance.now();
    const done = waitOn(shown);
    const found = await source.decodeAt(map, unitsX, unitsY).catch((error) => (failed(error), null)).finally(done);
    if (!found || map !== store.facts.map) return; // its places are another map's
    paint(made, found.pixels, info.shape);
    made.dataset.ms = (performance.now() - asked).toFixed(1);
    held = found.latents;
    last = {found, map, x: unitsX, y: unitsY};
    enable();
    store.set({decoded: {x, y, found}});
    const own = store.fromUnits(found.places);
    const empty = Math.hypot(own.x[0] - x, own.y[0] - y) / 65535 > SPACINGS / Math.sqrt(info.count);
    honest.show(found, 0, empty);
    if (store.facts.tab === "decode" && (over || pinned)) {
      store.mark("decode", [...(empty ? belongs(x, y, own) : []), ...(pinned || !moved ? [cross(x, y)] : [])]);
    }
    place.textContent = pinned ? "Held here." : "";
    if (found.nearest[0] !== nearestRow) await showNearest(found.nearest[0]);
  }

  /** What was decoded before stands for another place: it goes. @param {Error} error */
  function failed(error) {
    held = nearestRow = last = null;
    enable();
    paint(made, new Uint8Array(0), info.shape);
    paint(nearest, new Uint8Array(0), info.shape);
    fill(nearestWords, "nearest real image");
    honest.clear(`This place cannot be decoded: ${error.message}`);
    store.mark("decode", []);
    store.say(error.message);
    store.set({decoded: null});
  }

  /** The place that was decoded last, 16-bit units. @type {[number, number]|null} */
  let looked = null;

  /** A place of features: the nearest image stands for it. @param {number} x @param {number} y */
  async function passOver(x, y) {
    held = null;
    enable();
    honest.clear("A place of this map cannot be decoded: it shows features, and the decoder takes latents.");
    if (store.facts.tab === "decode") store.mark("decode", pinned || !moved ? [cross(x, y)] : []);
    place.textContent = pinned ? "Held here." : "";
    const points = /** @type {import("./types.js").MapPoints} */ (store.facts.points);
    let [best, least] = [0, Infinity];
    for (let point = 0; point < points.x.length; point++) {
      const away = (points.x[point] - x) ** 2 + (points.y[point] - y) ** 2;
      if (away < least) [best, least] = [store.rowOf(point), away];
    }
    if (best !== nearestRow) await showNearest(best);
  }

  /** @param {number} row */
  async function showNearest(row) {
    nearestRow = row;
    enable();
    const image = await store.newest("nearest", () => source.image(row));
    if (!image || nearestRow !== row) return;
    paint(nearest, image.pixels.length ? image.pixels : image.reconstruction, info.shape);
    const name = store.className(row);
    fill(nearestWords, `nearest ${image.pixels.length ? "image" : "image, reconstructed"}${name ? ` · ${named(name)}` : ""}`);
  }

  const looks = () => store.facts.tab === "decode" && info.decodes && store.facts.points !== null && !store.plays;
  view.on("move", ({x, y}) => {
    over = moved = true;
    if (looks() && !pinned) look(x, y);
  });
  // A step of the keyboard is decoded at once, as a move of the pointer is.
  view.on("walk", ({x, y}) => {
    if (!looks()) return;
    pinned = false;
    over = moved = true;
    look(x, y);
  });
  view.on("press", ({x, y, touch}) => {
    if (!looks()) return;
    pinned = touch || !pinned; // a finger that is lifted points nowhere: there is nothing to release a place for
    if (!pinned) store.mark("decode", []);
    look(x, y);
  });
  store.on("look", () => {
    nearestRow = null; // it is shown in another look now
    if (looked && looks()) look(...looked);
    else if (looked) held = null; // it is decoded again when the panel is opened
    enable();
  });
  view.on("leave", () => {
    over = false;
    if (pinned) return;
    store.mark("decode", []);
    store.mark("compass", []);
  });
  store.on("tab", () => {
    if (store.facts.tab === "decode") return;
    pinned = false;
    store.mark("decode", []);
  });
  store.on("map", () => {
    how.textContent = store.facts.points?.decodable === false
      ? "Images close together on this map are alike to the encoder that was given. Choose another map to decode places."
      : store.facts.map === "pca"
      ? "Each place of this map is a point of the plane in which the latents vary most."
      : "Each place of this map stands for a mixture of the latents of the nearest images, so it is seldom far from the data.";
    pinned = moved = false;
    over = true;
    if (looks()) look(MIDDLE, MIDDLE); // what stands there is of the other map
  });
  return {
    name: "decode",
    title: "Decode",
    element: info.decodes ? element : el("p", {}, "The model of this run is not available, so nothing can be decoded. The map and the lists work without it."),
    /** Before the pointer has been anywhere: the middle of the map. */
    shown() {
      if (!held && info.decodes && store.facts.points) look(...(looked ?? [MIDDLE, MIDDLE]));
    },
  };
}

/** @param {number} x @param {number} y @returns {import("./types.js").Mark} */
const cross = (x, y) => ({kind: "cross", x: [x], y: [y]});

/** From an empty place to where its latent belongs. @param {number} x @param {number} y @param {{x: number[], y: number[]}} own @returns {import("./types.js").Mark[]} */
const belongs = (x, y, own) => [
  {kind: "line", x: [x, ...own.x], y: [y, ...own.y], off: [true], colour: "ink"},
  {kind: "dots", ...own, radius: 6, ring: true, colour: "ink"},
];
