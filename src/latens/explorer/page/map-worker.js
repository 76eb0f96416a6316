// The worker of the map: it keeps the points, draws them, and finds them by their places. It draws the newest view, once a frame.
//
// It also runs from a Blob, behind splat.js and without the imports: so each of them is one line and renames nothing.

import {TILES, clearTarget, countIn, densestTile, drawLayer, drawPart, emptyPoints, filledShare, layPiles, makeTarget, orderPoints, takePoints} from "./splat.js";
import {coloursOf, coverOf, dimmedOn, eachIn, inside, makeBrush, opacityFor, packed, pick, radiusFor, toneFor, walk} from "./splat.js";

/** @typedef {import("./splat.js").Layer} Layer */
/** @typedef {import("./splat.js").View} View */
/** @typedef {import("./types.js").ThumbnailInfo} ThumbnailInfo */

const STILL_AFTER = 90; // ms without a change, after which what was thinned out is drawn whole and pages are asked for
const SLICE = 12; // ms of work at a time for it, so that a new view never waits for an old picture
const LONG_FRAME = 15; // ms: above it fewer points are drawn while the map moves
const MOST_FLYING = 700_000; // points drawn while they fly from one map to the other
const STANDS_OUT = 2.4; // CSS pixels, the most that the radius of few selected points grows to among many
const PAGES_BYTES = 256e6;
const PAGES_A_VIEW = 12; // asked for, at most
const PAGES_AT_ONCE = 4;

/** The picture and how it is shown. */
const shown = {
  context: /** @type {OffscreenCanvasRenderingContext2D|null} */ (null),
  target: makeTarget(1, 1),
  ratio: 1,
  view: /** @type {View} */ ({x: 32767.5, y: 32767.5, scale: 0.01}), // in CSS pixels
  paper: "#ffffff",
  muted: "#59616b",
};

/** The points as they were given, and what is computed from them. */
const points = {
  x: new Uint16Array(0),
  y: new Uint16Array(0),
  codes: /** @type {Uint8Array|Uint16Array|null} */ (null),
  palette: /** @type {string[]} */ ([]),
  visible: /** @type {Uint8Array|null} */ (null),
  selection: /** @type {Uint8Array|null} */ (null),
  all: orderPoints(new Uint16Array(0), new Uint16Array(0)),
  layers: /** @type {Layer[]} */ ([]), // the last one on top: without a selection one, with it the others and the selected
  filled: 1,
  crowds: /** @type {{count: number, filled: number, densest: number}[]} */ ([]), // of each layer: points, the share of the map that they fill, and those in a dense tile
  stale: true,
};

/** Where the points fly from, by row; lasts 0 while nothing flies. */
const flight = {x: points.x, y: points.y, began: 0, lasts: 0};

const sprites = {
  info: /** @type {ThumbnailInfo|null} */ (null),
  pages: /** @type {Map<number, ImageBitmap|null>} */ (new Map()), // null: it could not be loaded
  asked: /** @type {Set<number>} */ (new Set()), // and not here yet
  wanted: /** @type {Map<number, number>} */ (new Map()), // pages, and how many pictures of this view wait for each
  used: /** @type {Set<number>} */ (new Set()), // pages in this view
  left: 0, // that may still be asked for, for this view
  shown: /** @type {{row: number, x: number, y: number}[]} */ ([]), // the pictures of the latest view
  reach: 0, // half a side of them, in units
};

const work = {
  due: false,
  moved: true, // since the map stood still
  rest: /** @type {ReturnType<typeof setTimeout>|undefined} */ (undefined), // the timer of what is done when it stands still
  budget: 6e6, // pixels written in a frame that moves; follows the machine
};

// ---- frames

function redraw() {
  clearTimeout(work.rest);
  if (work.due || !shown.context) return;
  work.due = true;
  // A view comes when the thread's own frame begins, now before it, now after: by requestAnimationFrame one in six went undrawn.
  if (flight.lasts) requestAnimationFrame(frame);
  else setTimeout(frame);
}

function frame() {
  work.due = false;
  const began = performance.now();
  settle();
  clearTarget(shown.target, packed(shown.paper));
  const flying = flight.lasts > 0;
  const {drawn, share} = flying ? drawFlight(began) : drawPoints();
  present(drawn, began, false);
  const ms = performance.now() - began;
  // While something moves, half of the points in time are better than all of them late.
  if (drawn && (ms > LONG_FRAME || share < 1)) work.budget *= Math.min(1.1, Math.max(0.7, LONG_FRAME / ms));
  work.budget = Math.min(40e6, Math.max(1e6, work.budget));
  if (flying) redraw();
  else work.rest = setTimeout(stand, STILL_AFTER, share);
}

/** The map stands still. @param {number} share of the points that is drawn */
function stand(share) {
  if (work.moved) sprites.left = PAGES_A_VIEW;
  work.moved = false;
  askPages();
  if (share < 1) refine();
}

/** Update the layers after a change of the points or their looks. */
function settle() {
  if (!points.stale) return;
  points.stale = false;
  const {all, visible, selection, codes, palette} = points;
  all.rows.forEach((row, i) => (all.style[i] = codes ? Math.min(codes[row], palette.length) : palette.length));
  const seen = visible ? takePoints(all, visible, true) : all;
  points.layers = selection ? [takePoints(seen, selection, false), takePoints(seen, selection, true)] : [seen];
  points.filled = filledShare(seen);
  points.crowds = points.layers.map((layer) => ({count: layer.rows.length, filled: filledShare(layer), densest: densestTile(layer)}));
}

/** How many points aren't hidden. */
const countShown = () => points.layers.reduce((sum, {rows}) => sum + rows.length, 0);

/** The view in the target's pixels. */
const deviceView = () => ({...shown.view, scale: shown.view.scale * shown.ratio});

/** The usual distance from a point to the next one, in pixels. @param {{count: number, filled: number}} [crowd] all of them, or others */
function spacing({count, filled} = {count: countShown(), filled: points.filled}) {
  return 65536 * shown.view.scale * shown.ratio * Math.sqrt(filled / Math.max(1, count));
}

/** A brush for each layer. @param {number} share of the points that are drawn */
function brushes(share) {
  const usual = radiusFor(spacing(), shown.ratio);
  const tile = ((65536 / TILES) * shown.view.scale * shown.ratio) ** 2; // pixels
  const dims = points.layers.length > 1 ? [dimmedOn(shown.paper), 0] : [0];
  return dims.map((dim, k) => {
    const {count, filled, densest} = points.crowds[k];
    const radius = k ? Math.max(usual, Math.min(STANDS_OUT * shown.ratio, radiusFor(spacing({count, filled}), shown.ratio))) : usual;
    const opacity = opacityFor(radius, spacing({count: count * share, filled}));
    const tone = toneFor(coverOf(radius, spacing({count, filled})), densest * coverOf(radius, Math.sqrt(tile)), opacity);
    return makeBrush(radius, tone ? 1 : opacity, coloursOf(points.palette, shown.muted, shown.paper, dim), tone);
  });
}

/** Draw the points, thinned out where they would take too long. */
function drawPoints() {
  const [{target}, view, [{size}]] = [shown, deviceView(), brushes(1)];
  const there = points.layers.reduce((sum, layer) => sum + countIn(layer, view, target.width, target.height), 0);
  const share = Math.min(1, work.budget / (there * size * size));
  let drawn = 0;
  brushes(share).forEach((brush, k) => {
    drawn += drawLayer(target, view, points.layers[k], brush, share);
    if (brush.tone) layPiles(target, brush.tone, share);
  });
  return {drawn, share};
}

/** Draw all points, a slice at a time, and show them when they are there. */
function refine() {
  const [view, made, began] = [deviceView(), brushes(1), performance.now()];
  let [strip, drawn] = [0, 0];
  clearTarget(shown.target, packed(shown.paper));
  const slice = () => {
    for (const until = performance.now() + SLICE; strip < made.length * TILES && performance.now() < until; strip++) {
      const [layer, row] = [Math.floor(strip / TILES), strip % TILES];
      drawn += drawLayer(shown.target, view, points.layers[layer], made[layer], 1, row, row);
      const {tone} = made[layer];
      if (tone && row === TILES - 1) layPiles(shown.target, tone, 1);
    }
    if (strip < made.length * TILES) work.rest = setTimeout(slice);
    else present(drawn, began, true);
  };
  slice();
}

/** Show the target. @param {number} drawn points on it @param {number} began when @param {boolean} whole  not thinned out */
function present(drawn, began, whole) {
  const {target, view} = shown;
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (shown.context);
  const bytes = new Uint8ClampedArray(/** @type {ArrayBuffer} */ (target.pixels.buffer));
  context.putImageData(new ImageData(bytes, target.width, target.height), -target.margin, -target.margin);
  if (!flight.lasts) drawThumbnails(context);
  postMessage({type: "frame", ms: performance.now() - began, points: drawn, view, whole});
}

// ---- from one map to another

/** @param {Uint16Array} x @param {Uint16Array} y @param {number} lasts ms */
function changePoints(x, y, lasts) {
  const same = x.length === points.x.length;
  if (!same) points.visible = points.selection = points.codes = null;
  Object.assign(flight, {x: points.x, y: points.y, lasts: same ? lasts : 0});
  Object.assign(points, {x, y, all: orderPoints(x, y), stale: true});
  sprites.shown = []; // they lie elsewhere now
  flight.began = performance.now();
}

/** Draw the points, or a sample, on their way: they are those that are visible now, in the colours of now. @param {number} now */
function drawFlight(now) {
  const time = Math.min(1, (now - flight.began) / flight.lasts);
  const eased = time < 0.5 ? 4 * time ** 3 : 1 - (2 - 2 * time) ** 3 / 2;
  const total = countShown();
  const step = Math.max(1, Math.ceil(total / MOST_FLYING));
  const made = brushes(1 / step);
  points.layers.forEach(({rows, x, y, style}, k) => {
    const n = Math.ceil(rows.length / step);
    const flying = emptyPoints(n);
    for (let j = 0, i = 0; j < n; j++, i += step) {
      const row = rows[i];
      flying.x[j] = flight.x[row] + (x[i] - flight.x[row]) * eased;
      flying.y[j] = flight.y[row] + (y[i] - flight.y[row]) * eased;
      flying.style[j] = style[i];
    }
    drawPart(shown.target, deviceView(), flying, made[k], 0, n);
    const {tone} = made[k];
    if (tone) layPiles(shown.target, tone, n / rows.length);
  });
  if (time === 1) flight.lasts = 0;
  return {drawn: Math.ceil(total / step), share: 1};
}

// ---- thumbnails: of very many points, those of a view lie on more pages than there is room for. So a view asks for twelve at
// most, once the map stands still; what comes is kept for the next views, and points whose page is here go before others.

/** @param {OffscreenCanvasRenderingContext2D} context */
function drawThumbnails(context) {
  const {info, pages} = sprites;
  const {view, ratio} = shown;
  const [width, height, room] = [context.canvas.width / ratio, context.canvas.height / ratio, spacing() / ratio];
  Object.assign(sprites, {wanted: new Map(), used: new Set(), shown: []});
  if (!info || room < 17) return;
  const side = Math.round(Math.min(Math.max(24, 0.9 * room), Math.max(56, info.size)) * ratio);
  const frame = Math.round(2 * ratio); // a ring in the colour of the point
  sprites.reach = (side / 2 + frame) / ratio / view.scale;
  const colours = [...points.palette, shown.muted];
  context.imageSmoothingEnabled = side < 3 * info.size;
  for (const {row, x, y, code, dim} of spread(info, side / ratio / view.scale, width, height)) {
    const number = Math.floor(row / info.per_page);
    const page = pages.get(number);
    if (!page) {
      sprites.wanted.set(number, (sprites.wanted.get(number) || 0) + 1);
      continue;
    }
    sprites.used.add(number);
    sprites.shown.push({row, x, y});
    const left = Math.round((width / 2 + (x - view.x) * view.scale) * ratio - side / 2);
    const top = Math.round((height / 2 - (y - view.y) * view.scale) * ratio - side / 2);
    const cell = row % info.per_page;
    context.globalAlpha = dim ? 0.3 : 1;
    context.fillStyle = colours[code];
    context.fillRect(left - frame, top - frame, side + 2 * frame, side + 2 * frame);
    const [sx, sy] = [(cell % info.across) * info.size, Math.floor(cell / info.across) * info.size];
    context.drawImage(page, sx, sy, info.size, info.size, left, top, side, side);
  }
}

/**
 * The points that get a picture: one a cell of a grid that lies on the map, not on the screen, with cells of powers of the root
 * of two, so that nothing flickers while the map moves; and none that would overlap a picture of a higher rank.
 * @param {ThumbnailInfo} info
 * @param {number} side of a picture, in units @param {number} width of the view, CSS pixels @param {number} height
 */
function spread(info, side, width, height) {
  const cell = 2 ** (Math.ceil(2 * Math.log2(side)) / 2);
  const best = new Map();
  const key = (/** @type {number} */ x, /** @type {number} */ y) => (y + 2) * 1e6 + x;
  const margin = 5 * cell * shown.view.scale; // pictures out of view decide which ones near the edge are shown
  const many = info.pages > PAGES_A_VIEW;
  points.layers.forEach((layer, k) => {
    const dim = k + 1 < points.layers.length;
    eachIn(layer, shown.view, width + margin, height + margin, (i) => {
      const [x, y, row] = [layer.x[i], layer.y[i], layer.rows[i]];
      const missing = many && !sprites.pages.get(Math.floor(row / info.per_page));
      const rank = (Math.imul(row + 1, 0x9e3779b1) >>> 1) + (missing ? 2 ** 31 : 0) + (dim ? 2 ** 32 : 0);
      const at = key(Math.floor(x / cell), Math.floor(y / cell));
      if (!(best.get(at)?.rank <= rank)) best.set(at, {row, x, y, code: layer.style[i], dim, rank});
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

/** How many pages there is room for. @param {ThumbnailInfo} info */
const mostPages = ({per_page, size}) => Math.max(PAGES_A_VIEW, Math.floor(PAGES_BYTES / (4 * per_page * size * size)));

/** Ask for the pages that most pictures wait for, unless the map moves. Pages of this view are never dropped for them. */
function askPages() {
  const {info, pages, asked, wanted, used} = sprites;
  if (!info || work.moved) return;
  const room = Math.min(PAGES_AT_ONCE, mostPages(info) - used.size) - asked.size;
  const missing = [...wanted].filter(([page]) => !asked.has(page) && !pages.has(page)).sort((a, b) => b[1] - a[1]);
  for (const [page] of missing.slice(0, Math.max(0, Math.min(room, sprites.left)))) {
    asked.add(page);
    sprites.left--;
    postMessage({type: "wanted", page});
  }
}

/** @param {number} number @param {ImageBitmap|null} bitmap */
function keepPage(number, bitmap) {
  const {info, pages, asked, used} = sprites;
  asked.delete(number);
  for (const [old, page] of pages) {
    if (!info || pages.size < mostPages(info)) break;
    if (used.has(old)) continue;
    page?.close();
    pages.delete(old);
  }
  pages.set(number, bitmap);
  askPages();
}

// ---- messages

/** @type {Record<string, (message: any) => void>} */
const changes = {
  // Read often: the picture then lies in plain memory, where putImageData is a copy.
  start: ({canvas}) => (shown.context = canvas.getContext("2d", {alpha: false, willReadFrequently: true})),
  size({width, height, ratio}) {
    const size = {width: Math.round(width * ratio), height: Math.round(height * ratio)};
    Object.assign(/** @type {any} */ (shown.context).canvas, size);
    Object.assign(shown, {target: makeTarget(size.width, size.height), ratio});
  },
  view({view}) {
    shown.view = view;
    work.moved = true;
  },
  points: ({x, y, lasts}) => changePoints(x, y, lasts),
  looks({looks}) { // codes and palette, visible, or selection
    Object.assign(points, looks, {stale: true});
    sprites.shown = []; // some may be hidden
  },
  paper: ({paper, muted}) => Object.assign(shown, {paper, muted}),
  thumbnails({info, fresh}) {
    sprites.info = info;
    if (!fresh) return;
    for (const page of sprites.pages.values()) page?.close();
    sprites.pages.clear();
    sprites.asked.clear();
    work.moved = true; // they may all be asked for again
  },
  page: ({page, bitmap}) => keepPage(page, bitmap),
};

/** The image whose picture lies at a place: all of a picture is its image. @param {number} x @param {number} y */
function pictureAt(x, y) {
  const found = sprites.shown.filter((one) => Math.max(Math.abs(one.x - x), Math.abs(one.y - y)) <= sprites.reach);
  return found.sort((a, b) => Math.hypot(a.x - x, a.y - y) - Math.hypot(b.x - x, b.y - y))[0]?.row;
}

/** @type {Record<string, (message: any) => any>} */
const answers = {
  pick: ({x, y, radius}) => pictureAt(x, y) ?? pick(points.layers, x, y, radius),
  walk: ({x, y, dx, dy}) => walk(points.layers, x, y, dx, dy),
  inside: ({corners}) => inside(points.layers, corners),
};

self.addEventListener("message", (/** @type {any} */ {data}) => {
  if (data.type in answers) {
    settle();
    return postMessage({type: "answer", id: data.id, answer: answers[data.type](data)});
  }
  changes[data.type](data);
  redraw();
});
