// The map's own thread: it keeps the points, draws them, and answers where they are. One picture a frame, of the newest view.
//
// It also runs from a Blob, behind splat.js and without the imports: so each of them is one line and renames nothing.

import { TILES, countIn, drawLayer, filledShare, makeTarget, orderPoints, splat, takePoints } from "./splat.js";
import { coloursOf, makeBrush, opacityFor, radiusFor } from "./splat.js";
import { eachIn, inside, pick, walk } from "./splat.js";

/** @typedef {import("./splat.js").Layer} Layer */
/** @typedef {import("./splat.js").View} View */
/** @typedef {import("./types.js").ThumbnailInfo} ThumbnailInfo */
/** @typedef {{x: Uint16Array, y: Uint16Array, style: Uint16Array, from: Uint16Array[], to: Uint16Array[]}} Flight */
/** @typedef {{row: number, x: number, y: number, code: number, dim: boolean, rank: number}} Candidate */

const STILL_AFTER = 90; // ms without a change, after which a picture that was thinned out is drawn whole
const SLICE = 12; // ms of work at a time for it, so that a new view never waits for an old picture
const LONG_FRAME = 15; // ms: above it fewer points are drawn while the map moves
const MOST_FLYING = 700_000; // points drawn while they fly from one map to the other
const DIMMED = 0.78; // of the way to the paper, for what isn't selected
const PAGES_BYTES = 256e6;
const PAGES_ASKED = 4; // at a time

/** The picture and how it is shown. */
const shown = {
  canvas: /** @type {OffscreenCanvas|null} */ (null),
  context: /** @type {OffscreenCanvasRenderingContext2D|null} */ (null),
  target: makeTarget(1, 1),
  ratio: 1,
  view: /** @type {View} */ ({ x: 32767.5, y: 32767.5, scale: 0.01 }), // in CSS pixels
  paper: "#ffffff",
  muted: "#59616b",
};

/** The points: what was given, and what is made of it. */
const points = {
  x: /** @type {Uint16Array} */ (new Uint16Array(0)),
  y: /** @type {Uint16Array} */ (new Uint16Array(0)),
  codes: /** @type {Uint8Array|Uint16Array|null} */ (null),
  palette: /** @type {string[]} */ ([]),
  visible: /** @type {Uint8Array|null} */ (null),
  selection: /** @type {Uint8Array|null} */ (null),
  all: orderPoints(new Uint16Array(0), new Uint16Array(0)),
  layers: /** @type {Layer[]} */ ([]), // the last one on top: without a selection one, with it the others and the selected
  filled: 1,
  stale: true,
};

const flight = { layers: /** @type {Flight[]} */ ([]), began: 0, lasts: 0 };

const sprites = {
  info: /** @type {ThumbnailInfo|null} */ (null),
  pages: /** @type {Map<number, ImageBitmap>} */ (new Map()), // the one used last at the end
  asked: /** @type {Set<number>} */ (new Set()),
  failed: /** @type {Set<number>} */ (new Set()),
};

const work = {
  due: false,
  thin: /** @type {ReturnType<typeof setTimeout>|undefined} */ (undefined), // the timer of the whole picture
  budget: 6e6, // pixels written in a frame that moves; follows the machine
  moved: 0,
};

// ---- frames

function redraw() {
  clearTimeout(work.thin);
  if (work.due || !shown.canvas) return;
  work.due = true;
  requestAnimationFrame(frame);
}

function frame() {
  work.due = false;
  const { canvas, target, view } = shown;
  if (!canvas || !canvas.width || !canvas.height) return;
  const began = performance.now();
  settle();
  target.pixels.fill(coloursOf([], shown.paper, shown.paper, 0)[0]);
  const flying = flight.layers.length > 0;
  const { drawn, share } = flying ? drawFlight(began) : drawPoints();
  present();
  const ms = performance.now() - began;
  // Half the points a frame late are worth more than all of them two frames late; they are few only while something moves.
  if (drawn && (ms > LONG_FRAME || share < 1)) work.budget *= Math.min(1.1, Math.max(0.7, LONG_FRAME / ms));
  work.budget = Math.min(40e6, Math.max(1e6, work.budget));
  postMessage({ type: "frame", ms, points: drawn, view, flying });
  if (flight.layers.length || flying) redraw();
  else if (share < 1) work.thin = setTimeout(refine, STILL_AFTER);
}

/** Bring the layers up to date with what was given since. */
function settle() {
  if (!points.stale) return;
  points.stale = false;
  const { all, visible, selection, codes, palette } = points;
  points.layers = (selection ? [false, true] : [false]).map((selected) => takePoints(all, visible, selection, selected));
  for (const { rows, style } of points.layers) {
    if (codes) for (let i = 0; i < rows.length; i++) style[i] = Math.min(codes[rows[i]], palette.length);
    else style.fill(palette.length);
  }
  points.filled = filledShare(visible && selection ? takePoints(all, visible, null, false) : visible ? points.layers[0] : all);
}

/** The view in the target's pixels. @returns {View} */
function deviceView() {
  return { ...shown.view, scale: shown.view.scale * shown.ratio };
}

/** The usual distance from a point to the next one, in pixels, were there only `share` of them. @param {number} share */
function spacing(share) {
  const visible = points.layers.reduce((sum, layer) => sum + layer.rows.length, 0);
  return 65536 * shown.view.scale * shown.ratio * Math.sqrt(points.filled / Math.max(1, visible * share));
}

/** A brush for each layer. @param {number} share of the points that are drawn */
function brushes(share) {
  const radius = radiusFor(spacing(1), shown.ratio);
  const dims = points.layers.length > 1 ? [DIMMED, 0] : [0];
  const opacity = opacityFor(radius, spacing(share));
  return dims.map((dim) => makeBrush(radius, opacity, coloursOf(points.palette, shown.muted, shown.paper, dim)));
}

/** Draw the points, thinned out where they would take too long. */
function drawPoints() {
  const [{ size }] = brushes(1);
  const { target } = shown;
  const view = deviceView();
  const there = points.layers.reduce((sum, layer) => sum + countIn(layer, view, target.width, target.height), 0);
  const share = Math.min(1, work.budget / (there * size * size));
  const drawn = brushes(share).reduce((sum, brush, k) => sum + drawLayer(target, view, points.layers[k], brush, share), 0);
  return { drawn, share };
}

/** Draw all points, a slice at a time, and show them when they are there. */
function refine() {
  if (work.due) return;
  const { target } = shown;
  target.pixels.fill(coloursOf([], shown.paper, shown.paper, 0)[0]);
  const [view, made] = [deviceView(), brushes(1)];
  let [row, layer, drawn] = [0, 0, 0];
  const slice = () => {
    const until = performance.now() + SLICE;
    while (layer < made.length && performance.now() < until) {
      drawn += drawLayer(target, view, points.layers[layer], made[layer], 1, row, row);
      row = (row + 1) % TILES;
      if (row === 0) layer++;
    }
    if (layer < made.length) work.thin = setTimeout(slice, 0);
    else requestAnimationFrame(() => {
      if (work.due) return; // something newer is on its way
      present();
      postMessage({ type: "frame", ms: 0, points: drawn, view: shown.view, flying: false, whole: true });
    });
  };
  slice();
}

function present() {
  const { context, target } = shown;
  if (!context) return;
  const bytes = new Uint8ClampedArray(/** @type {ArrayBuffer} */ (target.pixels.buffer));
  context.putImageData(new ImageData(bytes, target.width, target.height), -target.margin, -target.margin);
  if (!flight.layers.length) drawThumbnails(context);
}

// ---- from one map to another

/** @param {Uint16Array} x @param {Uint16Array} y @param {number} lasts ms */
function changePoints(x, y, lasts) {
  const flies = lasts > 0 && x.length === points.x.length && x.length > 0;
  if (flies) {
    settle();
    flight.layers = points.layers.map((layer) => takeOff(layer, x, y));
    flight.began = performance.now();
    flight.lasts = lasts;
  } else {
    flight.layers = [];
  }
  if (x.length !== points.x.length) points.visible = points.selection = points.codes = null;
  points.x = x;
  points.y = y;
  points.all = orderPoints(x, y);
  points.stale = true;
}

/** A layer's points, or a sample, with old and new places. @param {Layer} layer @param {Uint16Array} x @param {Uint16Array} y */
function takeOff(layer, x, y) {
  const step = Math.ceil(layer.rows.length / MOST_FLYING) || 1;
  const n = Math.floor(layer.rows.length / step);
  const [from, to] = [[new Uint16Array(n), new Uint16Array(n)], [new Uint16Array(n), new Uint16Array(n)]];
  const flying = { x: new Uint16Array(n), y: new Uint16Array(n), style: new Uint16Array(n), from, to };
  for (let k = 0; k < n; k++) {
    const i = k * step;
    [from[0][k], from[1][k], flying.style[k]] = [layer.x[i], layer.y[i], layer.style[i]];
    [to[0][k], to[1][k]] = [x[layer.rows[i]], y[layer.rows[i]]];
  }
  return flying;
}

/** @param {number} now */
function drawFlight(now) {
  const time = Math.min(1, (now - flight.began) / flight.lasts);
  const eased = time < 0.5 ? 4 * time ** 3 : 1 - (2 - 2 * time) ** 3 / 2;
  const total = flight.layers.reduce((sum, layer) => sum + layer.x.length, 0);
  const made = brushes(Math.min(1, total / Math.max(1, points.all.rows.length)));
  flight.layers.forEach((layer, k) => {
    for (let i = 0; i < layer.x.length; i++) {
      layer.x[i] = layer.from[0][i] + (layer.to[0][i] - layer.from[0][i]) * eased;
      layer.y[i] = layer.from[1][i] + (layer.to[1][i] - layer.from[1][i]) * eased;
    }
    splat(shown.target, deviceView(), layer, made[Math.min(k, made.length - 1)], 0, layer.x.length);
  });
  if (time === 1) flight.layers = [];
  return { drawn: total, share: 1 };
}

// ---- thumbnails

/** @param {OffscreenCanvasRenderingContext2D} context */
function drawThumbnails(context) {
  const { info } = sprites;
  const { view, ratio, canvas } = shown;
  const room = spacing(1) / ratio;
  if (!info || room < 17 || !canvas) return;
  const side = Math.round(Math.min(Math.max(24, 0.9 * room), Math.max(56, info.size)) * ratio);
  const ranked = spread(side / ratio / view.scale, canvas.width / ratio, canvas.height / ratio);
  const frame = Math.max(1, Math.round(1.5 * ratio));
  const colours = [...points.palette, shown.muted];
  const wanted = new Map();
  context.imageSmoothingQuality = "high";
  context.imageSmoothingEnabled = side < 3 * info.size;
  for (const { row, x, y, code, dim } of ranked) {
    const number = Math.floor(row / info.per_page);
    const page = pageFor(number);
    if (!page) {
      wanted.set(number, (wanted.get(number) || 0) + 1);
      continue;
    }
    const left = Math.round(canvas.width / 2 + (x - view.x) * view.scale * ratio - side / 2);
    const top = Math.round(canvas.height / 2 - (y - view.y) * view.scale * ratio - side / 2);
    const cell = row % info.per_page;
    context.globalAlpha = dim ? 0.3 : 1;
    context.fillStyle = colours[code];
    context.fillRect(left - frame, top - frame, side + 2 * frame, side + 2 * frame);
    const [sx, sy] = [(cell % info.across) * info.size, Math.floor(cell / info.across) * info.size];
    context.drawImage(page, sx, sy, info.size, info.size, left, top, side, side);
  }
  context.globalAlpha = 1;
  askPages(wanted);
}

/**
 * The points that get a picture: one a cell of a grid that lies on the map, not on the screen, with cells of powers of the root
 * of two, so that nothing flickers while the map moves; and none that would overlap a picture of a higher rank.
 * @param {number} side of a picture, in units @param {number} width of the view, CSS pixels @param {number} height
 */
function spread(side, width, height) {
  const cell = 2 ** (Math.ceil(2 * Math.log2(side)) / 2);
  const best = new Map();
  const key = (/** @type {number} */ x, /** @type {number} */ y) => (y + 2) * 1e6 + x;
  const margin = 5 * cell * shown.view.scale; // what is out of view has its say in what is near the edge
  points.layers.forEach((layer, k) => {
    const dim = k + 1 < points.layers.length;
    eachIn(layer, shown.view, width + margin, height + margin, (i) => {
      const [x, y, row] = [layer.x[i], layer.y[i], layer.rows[i]];
      const rank = (Math.imul(row + 1, 0x9e3779b1) >>> 1) + (dim ? 2 ** 31 : 0);
      const at = key(Math.floor(x / cell), Math.floor(y / cell));
      const held = best.get(at);
      if (!held || rank < held.rank) best.set(at, { row, x, y, code: layer.style[i], dim, rank });
    });
  });
  return [...best.values()].filter((one) => {
    const [cx, cy] = [Math.floor(one.x / cell), Math.floor(one.y / cell)];
    for (let n = 0; n < 9; n++) {
      const other = best.get(key(cx + (n % 3) - 1, cy + Math.floor(n / 3) - 1));
      if (!other || other.rank >= one.rank) continue;
      if (Math.max(Math.abs(other.x - one.x), Math.abs(other.y - one.y)) < side * 1.08) return false;
    }
    return true;
  });
}

/** @param {number} number */
function pageFor(number) {
  const page = sprites.pages.get(number);
  if (page) {
    sprites.pages.delete(number);
    sprites.pages.set(number, page);
  }
  return page;
}

/** Ask for the pages that most pictures wait for. @param {Map<number, number>} wanted */
function askPages(wanted) {
  for (const [page] of [...wanted].sort((a, b) => b[1] - a[1])) {
    if (sprites.asked.size >= PAGES_ASKED) return;
    if (sprites.asked.has(page) || sprites.failed.has(page)) continue;
    sprites.asked.add(page);
    postMessage({ type: "wanted", page });
  }
}

/** @param {number} number @param {ImageBitmap|null} bitmap */
function keepPage(number, bitmap) {
  sprites.asked.delete(number);
  if (!bitmap) return void sprites.failed.add(number);
  sprites.pages.set(number, bitmap);
  const most = Math.max(4, Math.floor(PAGES_BYTES / (4 * bitmap.width * bitmap.height)));
  for (const [old, page] of sprites.pages) {
    if (sprites.pages.size <= most) break;
    page.close();
    sprites.pages.delete(old);
  }
}

/** @param {ThumbnailInfo|null} info */
function changeSprites(info) {
  for (const page of sprites.pages.values()) page.close();
  Object.assign(sprites, { info, pages: new Map(), asked: new Set(), failed: new Set() });
}

// ---- messages

/** @param {number} width CSS pixels @param {number} height @param {number} ratio */
function resize(width, height, ratio) {
  if (!shown.canvas) return;
  shown.canvas.width = Math.round(width * ratio);
  shown.canvas.height = Math.round(height * ratio);
  shown.target = makeTarget(shown.canvas.width, shown.canvas.height);
  shown.ratio = ratio;
}

/** @type {Record<string, (message: any) => void>} */
const changes = {
  start({ canvas }) {
    shown.canvas = canvas;
    // Read often: the picture then lies in plain memory, where putImageData is a copy.
    shown.context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  },
  size: ({ width, height, ratio }) => resize(width, height, ratio),
  view: ({ view }) => void (shown.view = view),
  points: ({ x, y, lasts }) => changePoints(x, y, lasts),
  colours: ({ codes, palette }) => Object.assign(points, { codes, palette, stale: true }),
  visible: ({ mask }) => Object.assign(points, { visible: mask, stale: true }),
  selection: ({ mask }) => Object.assign(points, { selection: mask, stale: true }),
  paper: ({ paper, muted }) => Object.assign(shown, { paper, muted }),
  thumbnails: ({ info }) => changeSprites(info),
  page: ({ page, bitmap }) => keepPage(page, bitmap),
};

/** @type {Record<string, (message: any) => any>} */
const questions = {
  pick: ({ x, y, radius }) => pick(points.layers, x, y, radius),
  walk: ({ x, y, dx, dy }) => walk(points.layers, x, y, dx, dy),
  inside: ({ corners }) => inside(points.layers, corners),
};

self.addEventListener("message", (/** @type {any} */ { data }) => {
  if (data.type in questions) {
    settle();
    postMessage({ type: "answer", id: data.id, answer: questions[data.type](data) });
    return;
  }
  changes[data.type](data);
  redraw();
});
