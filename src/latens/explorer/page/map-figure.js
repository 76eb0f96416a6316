// The map as it is seen, as a picture of any size: points, what is drawn over them, and a legend.

import {drawMarks} from "./map-marks.js";
import {readable} from "./numbers.js";
import {dimmedOn} from "./splat.js";
import {SvgContext} from "./svg.js";

const PAD = 16;
const SOLID = 0.85; // opacity of points
const FILLED = 0.4; // share of the picture in which most points lie

/** @typedef {CanvasRenderingContext2D} Context  or an SvgContext, which has as much of it as is used here */
/**
 * @typedef {object} Shown
 * @property {import("./map.js").MapView} view
 * @property {{x: Uint16Array, y: Uint16Array}} points
 * @property {{codes: Uint16Array, palette: string[], low: number, high: number}} looks
 * @property {import("./types.js").ColumnInfo} column
 * @property {Uint8Array|null} visible
 * @property {number[]} selected
 * @property {string} title
 */

/**
 * @param {Shown} shown @param {{width: number, legend: boolean, format: string}} how width: in pixels; format: "png" or "svg"
 * @returns {HTMLCanvasElement|string} the SVG as text
 */
export function mapFigure(shown, {width, legend, format}) {
  const {view} = shown;
  const scale = width / view.size.width; // from the page's pixels
  const place = Math.round(view.size.height);
  const entries = legend ? entriesOf(shown) : [];
  const measure = /** @type {Context} */ (/** @type {unknown} */ (new SvgContext(1, 1)));
  const lines = flowed(measure, entries, view.size.width, view.paper.rem);
  const height = place + (legend ? (lines.length + 1) * 1.5 * view.paper.rem + PAD : 0);
  if (format === "svg") {
    const context = new SvgContext(Math.round(view.size.width), Math.round(height));
    draw(/** @type {Context} */ (/** @type {unknown} */ (context)), shown, lines, {place, height, legend});
    return context.text(shown.title).replace(/width="\d+" height="\d+"/, `width="${width}" height="${Math.round(height * scale)}"`);
  }
  const canvas = document.createElement("canvas");
  Object.assign(canvas, {width, height: Math.round(height * scale)});
  const context = canvas.getContext("2d");
  if (!context) throw new Error(`a picture of ${canvas.width} × ${canvas.height} pixels is too large for this browser`);
  context.setTransform(scale, 0, 0, scale, 0, 0);
  draw(context, shown, lines, {place, height, legend});
  return canvas;
}

/** @param {Context} context @param {Shown} shown @param {Placed[][]} lines @param {{place: number, height: number, legend: boolean}} room */
function draw(context, shown, lines, {place, height, legend}) {
  const {view, title} = shown;
  const {paper, ink, rem} = view.paper;
  const {width} = view.size;
  context.fillStyle = paper;
  context.fillRect(0, 0, width, height);
  drawPoints(context, shown, place);
  drawMarks(context, view.marks, (x, y) => view.toScreen(x, y), {width, height: place}, null, view.paper);
  if (!legend) return;
  context.fillStyle = paper; // what lies below the map's edge
  context.fillRect(0, place, width, height - place);
  Object.assign(context, {font: `${0.875 * rem}px system-ui, sans-serif`, textAlign: "start", textBaseline: "middle", fillStyle: ink});
  context.fillText(title, PAD, place + 0.9 * rem);
  lines.forEach((line, i) => line.forEach(({words, colour, left, box}) => {
    const middle = place + (i + 1.6) * 1.5 * rem;
    context.fillStyle = colour || ink;
    if (colour) context.fillRect(left, middle - 0.35 * rem, box + (words ? 0 : 0.5), 0.7 * rem) // steps of a scale leave no gap;
    context.fillStyle = ink;
    if (words) context.fillText(words, left + (colour ? box + 0.4 * rem : 0), middle);
  }));
}

/** @param {Context} context @param {Shown} shown @param {number} height */
function drawPoints(context, {view, points, looks, visible, selected}, height) {
  const {codes, palette} = looks;
  const mask = selected.length ? new Uint8Array(codes.length) : null;
  for (const row of selected) if (mask && row >= 0) mask[row] = 1;
  /** Points of each colour; those that are not selected lie below the others. @type {[number, number][][][]} */
  const layers = [0, 1].map(() => palette.map(() => []));
  let seen = 0;
  for (let row = 0; row < codes.length; row++) {
    if (visible?.[row] === 0) continue;
    const at = view.toScreen(points.x[row], points.y[row]);
    if (at[0] < -5 || at[1] < -5 || at[0] > view.size.width + 5 || at[1] > height + 5) continue;
    seen++;
    layers[mask?.[row] === 0 ? 0 : 1][Math.min(codes[row], palette.length - 1)].push(at);
  }
  const spacing = Math.sqrt((FILLED * view.size.width * height) / Math.max(1, seen));
  const radius = Math.min(4.5, Math.max(0.56, 0.6 * spacing ** 0.75)); // as on the page, see splat.js
  layers.forEach((colours, layer) => colours.forEach((places, code) => {
    if (!places.length) return;
    Object.assign(context, {fillStyle: palette[code], globalAlpha: layer ? SOLID : Number((1 - dimmedOn(view.paper.paper)).toFixed(2))});
    context.beginPath();
    for (const [x, y] of places) {
      context.moveTo(x + radius, y);
      context.arc(x, y, radius, 0, 2 * Math.PI);
    }
    context.fill();
  }));
  context.globalAlpha = 1;
}

/** @typedef {{words: string, colour: string, box: number}} Entry */
/** @typedef {Entry & {left: number}} Placed */

/** @param {Shown} shown @returns {Entry[]} */
function entriesOf({column, looks, visible, view}) {
  const {codes, palette, low, high} = looks;
  const {rem} = view.paper;
  if (column.kind === "number") {
    const ramp = palette.slice(0, -1).map((colour) => ({words: "", colour, box: 0.15 * rem}));
    return [{words: readable(low, 2), colour: "", box: 0}, ...ramp, {words: "", colour: "", box: 0.4 * rem}, {words: `${readable(high, 2)} ${column.unit}`.trim(), colour: "", box: 0}];
  }
  const there = new Set();
  for (let row = 0; row < codes.length; row++) if (visible?.[row] !== 0) there.add(codes[row]);
  return [...column.names, "no value"].map((words, code) => ({words, colour: palette[code], box: 0.7 * rem, code})).filter(({code}) => there.has(code));
}

/** Entries in lines as wide as the picture. @param {Context} context @param {Entry[]} entries @param {number} width @param {number} rem @returns {Placed[][]} */
function flowed(context, entries, width, rem) {
  context.font = `${0.875 * rem}px system-ui, sans-serif`;
  /** @type {Placed[][]} */
  const lines = [];
  let left = PAD;
  for (const entry of entries) {
    const own = entry.box + (entry.words ? context.measureText(entry.words).width + (entry.colour ? 0.4 * rem : 0) : 0);
    if (!lines.length || (left + own > width - PAD && entry.words)) {
      lines.push([]);
      left = PAD;
    }
    lines[lines.length - 1].push({...entry, left});
    left += own + (entry.words ? 0.9 * rem : 0);
  }
  return lines;
}
