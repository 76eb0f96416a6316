// Decode anywhere: what the decoder makes of the place under the pointer, also where no image lies.

import {button, el, fill} from "./dom.js";
import {gauge} from "./gauge.js";
import {captioned, frame, paint} from "./pictures.js";

const MIDDLE = 32768; // of the map, 16 bit
const SPACINGS = 2; // between a place and its latent's own, of a map filled evenly, from which on the place is empty

/** @param {import("./context.js").Context} context */
export function decodePanel(context) {
  const {info, source, view} = context;
  const made = frame(info.shape, "What the decoder makes of the place under the pointer");
  const nearest = frame(info.shape, "The nearest real image");
  const honest = gauge();
  const place = el("p", {class: "quiet"}, "Move over the map: every place has a latent, and here is what the decoder makes of it.");
  const how = el("p", {class: "quiet"});
  const nearestWords = el("span", {}, "nearest real image");
  const latentButton = button("Take this latent", () => held && context.dispatchEvent(new CustomEvent("latent", {detail: held})));
  const nearestButton = button("Go to the nearest image", () => nearestRow >= 0 && context.set({row: nearestRow, tab: "image"}));
  const element = el(
    "div",
    {},
    el("div", {class: "pair"}, captioned(made, "decoded here"), captioned(nearest, nearestWords)),
    honest.element,
    place,
    how,
    el("p", {class: "row"}, nearestButton, latentButton),
    el("p", {class: "quiet"}, "Press on the map to hold the place; press again to let go. On the map, arrow keys walk from image to image, and s selects the one you are at."),
  );
  let nearestRow = -1;
  let moved = false;
  let pinned = false;
  let over = true; // the pointer is on the map; or it was nowhere yet, and the middle stands for it
  /** @type {Float32Array|null} */
  let held = null;

  /** @param {number} x @param {number} y 16-bit units */
  async function look(x, y) {
    const {map} = context.facts;
    const [unitsX, unitsY] = context.toUnits(x, y);
    const asked = performance.now();
    const found = await context.attempt(source.decodeAt(map, unitsX, unitsY));
    if (!found || map !== context.facts.map) return; // its places are another map's
    paint(made, found.pixels, info.shape);
    made.dataset.ms = (performance.now() - asked).toFixed(1);
    held = found.latents;
    const own = context.fromUnits(found.places);
    const empty = Math.hypot(own.x[0] - x, own.y[0] - y) / 65535 > SPACINGS / Math.sqrt(info.count);
    honest.show(found.ratio[0], found.round_trip[0], empty);
    if (context.facts.tab === "decode" && (over || pinned)) {
      context.mark("decode", [...(empty ? belongs(x, y, own) : []), ...(pinned || !moved ? [cross(x, y)] : [])]);
    }
    place.textContent = pinned ? "Held here. Press the map to let go." : "";
    if (found.nearest[0] !== nearestRow) await showNearest(found.nearest[0]);
  }

  /** @param {number} row */
  async function showNearest(row) {
    nearestRow = row;
    const image = await context.attempt(source.image(row));
    if (!image || nearestRow !== row) return;
    paint(nearest, image.pixels.length ? image.pixels : image.reconstruction, info.shape);
    const name = context.className(row);
    fill(nearestWords, `nearest ${image.pixels.length ? "image" : "image, rebuilt"}${name ? ` · ${name}` : ""}`);
    context.set({near: row});
  }

  view.addEventListener("move", (event) => {
    const {x, y} = /** @type {CustomEvent} */ (event).detail;
    over = moved = true;
    if (context.facts.tab === "decode" && !pinned && info.decodes && context.facts.points) look(x, y);
  });
  view.addEventListener("press", (event) => {
    if (context.facts.tab !== "decode" || !info.decodes) return;
    const {x, y} = /** @type {CustomEvent} */ (event).detail;
    pinned = !pinned;
    if (!pinned) context.mark("decode", []);
    look(x, y);
  });
  view.addEventListener("leave", () => {
    over = false;
    if (!pinned) context.mark("decode", []);
  });
  context.on("tab", () => {
    if (context.facts.tab === "decode") return;
    pinned = false;
    context.mark("decode", []);
  });
  context.on("map", () => {
    how.textContent = context.facts.map === "pca"
      ? "A place of this map is a point of the plane in which the latents vary most."
      : "A place of this map stands for a mixture of the latents of the images nearest to it, so it is seldom far from all data.";
    pinned = moved = false;
    over = true;
    if (context.facts.tab === "decode" && info.decodes) look(MIDDLE, MIDDLE); // what stands there is of the other map
  });
  return {
    name: "decode",
    title: "Decode",
    element: info.decodes ? element : el("p", {}, "The model of this run is not at hand, so nothing can be decoded; the map and the lists work all the same."),
    /** Before the pointer has been anywhere: the middle of the map. */
    shown() {
      if (!held && info.decodes && context.facts.points) look(MIDDLE, MIDDLE);
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
