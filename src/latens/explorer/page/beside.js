// A second run beside the first: the same image marked in both maps, and its place decoded by both.

import {classNames} from "./class-names.js";
import {coloured} from "./legend.js";
import {el, fill} from "./dom.js";
import {MapView} from "./map.js";
import {captioned, frame, paint} from "./pictures.js";
import {serverSource} from "./server.js";

/**
 * @param {import("./context.js").Context} context @param {HTMLElement} room
 */
export async function besideMap(context, room) {
  const source = serverSource("/beside");
  const info = await source.run();
  if (!info.count) return context.say(`${info.name} has no map yet.`);
  const host = el("div", {class: "map"});
  const shown = {made: frame(info.shape, `decoded by ${info.name}`), own: frame(context.info.shape, `decoded by ${context.info.name}`)};
  const words = el("p", {class: "quiet"}, "Move over either map: the same image is marked in both.");
  const pair = el("div", {class: "beside-pair"}, captioned(shown.own, context.info.name), captioned(shown.made, info.name), words);
  room.querySelector(".map-box")?.append(el("p", {class: "map-name"}, context.info.name));
  room.append(el("div", {class: "map-box"}, el("p", {class: "map-name"}, info.name), host, pair));
  const view = new MapView(host, {label: `Map of ${info.name}`});
  const points = await source.map(info.maps.includes(context.facts.map) ? context.facts.map : info.maps[0]);
  view.setPoints(points);
  const column = info.columns[0];
  const colours = coloured(column, await source.column(column.name), info.colours);
  view.setColours(colours.codes, colours.palette);
  const names = classNames(points, column, colours.codes, null);
  view.setMarks(names);
  const [there, here] = await Promise.all([/** @type {any} */ (context.served).twins(), source.twins()]);

  let marked = 0; // of several on their way the newest counts
  /** @param {number} row of the first run @param {number} other of the second */
  async function mark(row, other) {
    const mine = ++marked;
    context.mark("beside", row < 0 ? [] : [dot(context.view, row)]);
    view.setMarks(other < 0 ? names : [...names, dot(view, other)]);
    if (row < 0 || other < 0) return void fill(words, "This image is in one run alone.");
    const name = await context.nameOf(row);
    if (mine !== marked) return;
    fill(words, `${name}, decoded by both`);
    const [own, made] = await Promise.all([context.source.image(row), source.image(other)]);
    if (mine !== marked) return;
    paint(shown.own, own.reconstruction, context.info.shape);
    paint(shown.made, made.reconstruction, info.shape);
  }

  let hovered = -1; // an image under the pointer goes before the one whose latent is nearest to the place
  context.view.addEventListener("hover", (event) => {
    hovered = /** @type {CustomEvent} */ (event).detail.row;
    if (hovered >= 0) mark(hovered, there[hovered]);
  });
  const near = () => hovered < 0 && context.facts.near >= 0 && mark(context.facts.near, there[context.facts.near]);
  context.on("near", near);
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
