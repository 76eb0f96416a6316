// A second run beside the first: the same image is marked in both maps, and decoded by both.

import {classNames} from "./class-names.js";
import {coloured} from "./legend.js";
import {el, fill} from "./dom.js";
import {MapView} from "./map.js";
import {captioned, frame, paint} from "./pictures.js";
import {serverSource} from "./server.js";

/**
 * @param {import("./store.js").Store} store @param {HTMLElement} room
 */
export async function besideMap(store, room) {
  const source = serverSource("/beside");
  const info = await source.run();
  if (!info.count) return store.say(`${info.name} has no map yet.`);
  const host = el("div", {class: "map"});
  const shown = {made: frame(info.shape, `decoded by ${info.name}`), own: frame(store.info.shape, `decoded by ${store.info.name}`)};
  const words = el("p", {class: "quiet"}, "Move over either map: the same image is marked in both.");
  const pair = el("div", {class: "beside-pair"}, captioned(shown.own, store.info.name), captioned(shown.made, info.name), words);
  room.querySelector(".map-box")?.append(el("p", {class: "map-name"}, store.info.name));
  room.append(el("div", {class: "map-box"}, el("p", {class: "map-name"}, info.name), host, pair));
  const view = new MapView(host, {label: `Map of ${info.name}`});
  const points = await source.map(info.maps.includes(store.facts.map) ? store.facts.map : info.maps[0]);
  view.setPoints(points);
  const column = info.columns[0];
  const colours = coloured(column, await source.column(column.name));
  view.setColours(colours.codes, colours.palette);
  const names = classNames(points, column, colours.codes, null);
  view.setMarks(names);
  const [there, here] = await Promise.all([/** @type {any} */ (store.served).twins(), source.twins()]);

  /** @param {number} row of the first run @param {number} other of the second */
  async function mark(row, other) {
    store.mark("beside", row < 0 || store.plays ? [] : [dot(store.view, row)]);
    view.setMarks(other < 0 ? names : [...names, dot(view, other)]);
    if (row < 0 || other < 0) {
      store.drop("beside");
      return void fill(words, "This image is in one run only.");
    }
    const found = await store.newest("beside", () => Promise.all([store.nameOf(row), store.source.image(row), source.image(other)]));
    if (!found) return;
    const [name, own, made] = found;
    fill(words, `${name}, decoded by both`);
    paint(shown.own, own.reconstruction, store.info.shape);
    paint(shown.made, made.reconstruction, info.shape);
  }

  let hovered = -1; // an image under the pointer goes before the one whose latent is nearest to the place
  store.view.addEventListener("hover", (event) => {
    if (store.plays) return;
    hovered = /** @type {CustomEvent} */ (event).detail.row;
    if (hovered >= 0) mark(hovered, there[hovered]);
  });
  const near = () => hovered < 0 && store.facts.near !== null && mark(store.facts.near, there[store.facts.near]);
  store.on("near", near);
  for (const fact of /** @type {const} */ (["points", "snapshot"])) store.on(fact, () => store.mark("beside", [])); // it lies elsewhere now
  near();
  view.addEventListener("hover", (event) => {
    const {row} = /** @type {CustomEvent} */ (event).detail;
    hovered = row;
    if (row >= 0) mark(here[row], row);
  });
}

/** @param {MapView} view @param {number} row @returns {import("./types.js").Mark} */
function dot(view, row) {
  const [x, y] = view.placeOf(row);
  return {kind: "dots", x: [x], y: [y], radius: 7, ring: true};
}
