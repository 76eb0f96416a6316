// The map on the page. It keeps the view; the worker draws the points, and the marks over them are drawn here.

import {Hands} from "./map-hands.js";
import {drawMarks, drawOutline} from "./map-marks.js";

/** @typedef {import("./types.js").Mark} Mark */
/** @typedef {{x: number, y: number, scale: number}} View  the centre in 16-bit units (y up), and CSS pixels a unit */
/** @typedef {{clientX: number, clientY: number}} Spot */
/** @typedef {[number, number]} Pair  on the screen */
/** @typedef {{x: number, y: number}} Place  in units */

const MIDDLE = 32767.5;
const MOST_SCALE = 4; // CSS pixels a unit: places are rounded to units, a larger scale shows no more
const FLIGHT = 600; // ms from one map to another
const GLIDE = 250; // ms of a change of the view by keys and double clicks
const ownWorker = () => new Worker(new URL("./map-worker.js", import.meta.url), {type: "module"});

/** A map of points that can be moved, zoomed, picked from and drawn on. It reports by events, which `tell` lists; others read its facts, and change them by its methods. */
export class MapView extends EventTarget {
  cursor = -1; // the point the keyboard stands on
  isHome = true; // nothing has moved the map yet: it keeps filling its place
  size = {width: 0, height: 0, ratio: 1}; // of its place, CSS pixels
  paper = {paper: "#ffffff", ink: "#1f2328", accent: "#1a5f96", rem: 16}; // the page's colours, and the size of its text
  /** Drawn over the points; neither the keyboard's point nor the pointer's. @type {Mark[]} */ marks = [];
  /** Of the latest picture: what lies over the points follows it, else it would be ahead of them. @type {View} */ drawn = {x: MIDDLE, y: MIDDLE, scale: 0.01};
  /** Whether there is something to drag at a place. @type {(place: Place) => boolean} */ grabs = () => false;
  /** @type {View} */ #view = {x: MIDDLE, y: MIDDLE, scale: 0.01};
  /** @type {View} */ #goal = this.#view; // where a glide leads to; what is asked for meanwhile goes on from there
  /** @type {Map<number, (answer: any) => void>} */ #answers = new Map();
  /** @type {(page: number) => Promise<ImageBitmap>} */ #pageOf = () => Promise.reject(new Error("no thumbnails"));
  /** @type {{x: Uint16Array, y: Uint16Array}} */ #points = {x: new Uint16Array(0), y: new Uint16Array(0)};
  #blank = true; // nothing lies over the points
  #crowded = false; // labels were left out for want of room: which of them are shown follows the pointer
  #asked = 0;
  #round = 0; // of thumbnails: a page that was asked for before they changed is no longer wanted
  #glide = 0;
  #gone = new AbortController();
  #calm = matchMedia("(prefers-reduced-motion: reduce)");
  #sizes = new ResizeObserver(() => this.#resize());

  /** @param {HTMLElement} host @param {{makeWorker?: () => Worker, label?: string}} [options] */
  constructor(host, {makeWorker = ownWorker, label = "Map of the points"} = {}) {
    super();
    this.host = host;
    if (getComputedStyle(host).position === "static") host.style.position = "relative";
    Object.assign(host.style, {touchAction: "none", overflow: "hidden", userSelect: "none"});
    Object.assign(host, {tabIndex: 0, role: "application", ariaLabel: label});
    this.canvases = [0, 1].map(() => host.appendChild(document.createElement("canvas")));
    for (const canvas of this.canvases) {
      canvas.ariaHidden = "true";
      Object.assign(canvas.style, {position: "absolute", inset: "0", width: "100%", height: "100%", pointerEvents: "none"});
    }
    this.context = /** @type {CanvasRenderingContext2D} */ (this.canvases[1].getContext("2d"));
    this.worker = makeWorker();
    this.worker.addEventListener("message", ({data}) => this.#hear(data));
    this.worker.addEventListener("error", ({message}) => this.tell("error", {message: message || "the map did not start"}));
    const canvas = this.canvases[0].transferControlToOffscreen();
    this.worker.postMessage({type: "start", canvas}, [canvas]);
    this.hands = new Hands(this, this.#gone.signal);
    this.#sizes.observe(host);
    this.#resize();
    this.setPaper();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.setPaper(), {signal: this.#gone.signal});
  }

  /** Take the map off the page. */
  destroy() {
    this.stop();
    this.#gone.abort();
    this.#sizes.disconnect();
    this.worker.terminate();
    for (const canvas of this.canvases) canvas.remove();
  }

  // ---- what is shown

  /** @param {{x: Uint16Array, y: Uint16Array}} points @param {{animate?: boolean}} [how] animate: as many as before fly there */
  setPoints({x, y}, {animate = false} = {}) {
    if (x.length !== this.#points.x.length) this.cursor = -1;
    this.#points = {x, y};
    this.hands.hovered = -1;
    this.#post({type: "points", x, y, lasts: animate && !this.#calm.matches ? FLIGHT : 0});
    this.drawOver();
  }

  /** @param {Uint8Array|Uint16Array} codes one a point; beyond the palette it is grey @param {string[]} palette "#rrggbb" */
  setColours = (codes, palette) => this.#post({type: "looks", looks: {codes, palette}});

  /** @param {Uint8Array|null} mask points of 0 aren't drawn and can't be picked */
  setVisible = (mask) => this.#post({type: "looks", looks: {visible: mask}});

  /** @param {Uint8Array|null} mask points of 0 fade */
  setSelection = (mask) => this.#post({type: "looks", looks: {selection: mask}});

  /** Also when the pages have changed: those that are here are asked for again. @param {import("./types.js").ThumbnailInfo} info @param {(page: number) => Promise<ImageBitmap>} pageOf  given away */
  setThumbnails(info, pageOf) {
    this.#pageOf = pageOf;
    this.#round++;
    this.#post({type: "thumbnails", info, fresh: true});
  }

  /** Thumbnails are those of the map's own points. @param {import("./types.js").ThumbnailInfo|null} info null shows none */
  showThumbnails = (info) => this.#post({type: "thumbnails", info});

  /** @param {Mark[]} marks */
  setMarks(marks) {
    this.marks = marks;
    this.drawOver();
  }

  /** @param {import("./map-hands.js").Tool} tool of the pointer; shift and drag is always a box */
  setTool(tool) {
    this.hands.tool = tool;
    this.host.style.cursor = tool === "pan" ? "" : "crosshair";
  }

  /** @param {number} row of the point the keyboard stands on, or -1 */
  setCursor(row) {
    this.cursor = row;
    this.drawOver();
  }

  /** Read the page's colours again; a change of the system's theme is noticed without. */
  setPaper() {
    const style = getComputedStyle(this.host);
    const read = (/** @type {string} */ name, /** @type {string} */ fallback) => {
      this.context.fillStyle = fallback;
      this.context.fillStyle = style.getPropertyValue(name).trim() || fallback;
      return String(this.context.fillStyle); // "#rrggbb" for any CSS colour
    };
    this.paper = {paper: read("--paper", "#ffffff"), ink: read("--ink", "#1f2328"), accent: read("--accent", "#1a5f96"), rem: parseFloat(getComputedStyle(document.documentElement).fontSize)};
    this.#post({type: "paper", paper: this.paper.paper, muted: read("--muted", "#59616b")});
    this.drawOver();
  }

  /** How many points there are. */
  get count() {
    return this.#points.x.length;
  }

  // ---- the view

  /** @returns {View} */
  get view() {
    return {...this.#view};
  }

  /** @param {View} view @param {{animate?: boolean}} [how] */
  setView(view, {animate = false} = {}) {
    this.stop();
    this.isHome = false;
    if (!animate || this.#calm.matches) return this.#move(view);
    const [from, to, began] = [this.#view, this.#within(view), performance.now()];
    this.#goal = to;
    const step = () => {
      const time = Math.min(1, (performance.now() - began) / GLIDE);
      this.#move(between(from, to, 1 - (1 - time) ** 3), to);
      if (time < 1) this.#glide = requestAnimationFrame(step);
    };
    step();
  }

  /** Show the same places as another map. @param {MapView} other */
  follow(other) {
    const {x, y, scale} = other.view;
    this.setView({x, y, scale: (scale / other.homeScale) * this.homeScale});
    this.isHome = other.isHome;
  }

  /** @param {View} view @param {View} [goal] of a glide */
  #move(view, goal) {
    this.#show(view, goal);
    this.tell("view");
  }

  /** Stop a view that is gliding to another. */
  stop() {
    cancelAnimationFrame(this.#glide);
    this.#goal = this.#view;
  }

  /** Show these points, with room about them. @param {ArrayLike<number>} rows */
  zoomTo(rows) {
    if (!rows.length) return;
    let [left, right, bottom, top] = [Infinity, -Infinity, Infinity, -Infinity];
    for (let k = 0; k < rows.length; k++) {
      const {x, y} = this.placeOf(rows[k]);
      [left, right, bottom, top] = [Math.min(left, x), Math.max(right, x), Math.min(bottom, y), Math.max(top, y)];
    }
    const scale = 0.8 * Math.min(this.size.width / Math.max(400, right - left), this.size.height / Math.max(400, top - bottom));
    this.setView({x: (left + right) / 2, y: (bottom + top) / 2, scale}, {animate: true});
  }

  /** Show the whole map. */
  reset() {
    this.setView({x: MIDDLE, y: MIDDLE, scale: this.homeScale}, {animate: true});
    this.isHome = true;
  }

  /** Zoom about a spot, or the middle. @param {number} factor @param {Spot|null} spot @param {boolean} animate */
  zoom(factor, spot, animate) {
    const from = animate ? this.#goal : this.#view; // six quick presses are six steps, though each takes a while to be shown
    const {scale} = this.#within({...from, scale: from.scale * factor});
    const {x, y} = spot ? this.placeAt(spot, from) : from;
    const share = from.scale / scale;
    this.setView({x: x + (from.x - x) * share, y: y + (from.y - y) * share, scale}, {animate});
  }

  /** Bring a place that lies at the edge, or beyond, to the middle. @param {Place} place */
  keepInSight({x, y}) {
    const [left, top] = this.toScreen(x, y, this.#goal);
    const {width, height} = this.size;
    if (Math.min(left, top, width - left, height - top) < 40) this.setView({x, y, scale: this.#goal.scale}, {animate: true});
  }

  /** @param {number} row @returns {Place} */
  placeOf = (row) => ({x: this.#points.x[row], y: this.#points.y[row]});

  /** @param {number} x @param {number} y in units @returns {Pair} CSS pixels from the host's corner */
  toScreen(x, y, {x: cx, y: cy, scale} = this.#view) {
    return [this.size.width / 2 + (x - cx) * scale, this.size.height / 2 - (y - cy) * scale];
  }

  /** @param {Spot} spot @returns {Place} */
  placeAt({clientX, clientY}, {x, y, scale} = this.#view) {
    const {left, top} = this.canvases[1].getBoundingClientRect();
    return {x: x + (clientX - left - this.size.width / 2) / scale, y: y - (clientY - top - this.size.height / 2) / scale};
  }

  /** Of the whole map, CSS pixels a unit. */
  get homeScale() {
    return Math.max(1e-4, (0.94 * Math.min(this.size.width, this.size.height)) / 65536);
  }

  /** @param {View} view @returns {View} */
  #within({x, y, scale}) {
    const [cx, cy] = [x, y].map((value) => Math.min(65535, Math.max(0, value)));
    return {x: cx, y: cy, scale: Math.min(MOST_SCALE, Math.max(this.homeScale / 3, scale))};
  }

  /** @param {View} view @param {View} [goal] of a glide */
  #show(view, goal) {
    this.#view = this.#within(view);
    this.#goal = goal ?? this.#view;
    this.#post({type: "view", view: this.#view});
  }

  #resize() {
    const {clientWidth: width, clientHeight: height} = this.host;
    if (!width || !height) return;
    const ratio = Math.min(2, devicePixelRatio || 1); // a finer one is not visible, and the cost grows with its square
    this.size = {width, height, ratio};
    Object.assign(this.canvases[1], {width: Math.round(width * ratio), height: Math.round(height * ratio)});
    this.#post({type: "size", width, height, ratio});
    this.#show(this.isHome ? {x: MIDDLE, y: MIDDLE, scale: this.homeScale} : this.#view);
    this.drawOver();
  }

  // ---- the worker, and the events

  /** @param {Record<string, any>} message */
  #post = (message) => this.worker.postMessage(message);

  /** @param {Record<string, any>} question @returns {Promise<any>} the worker's answer */
  ask(question) {
    this.#post({...question, id: ++this.#asked});
    return new Promise((resolve) => this.#answers.set(this.#asked, resolve));
  }

  /** @param {any} data */
  #hear({type, id, answer, page, view, ...frame}) {
    if (type === "answer") {
      this.#answers.get(id)?.(answer);
      this.#answers.delete(id);
    } else if (type === "wanted") {
      const round = this.#round;
      const send = (/** @type {ImageBitmap|null} */ bitmap) => round === this.#round &&
        this.worker.postMessage({type: "page", page, bitmap}, bitmap ? [bitmap] : []);
      this.#pageOf(page).then(send, () => send(null));
    } else {
      this.drawn = view;
      this.drawOver();
      this.tell("frame", frame);
    }
  }

  /**
   * hover {row, clientX, clientY}, move {x, y}, drag {x, y} of what `grabs`, drop {x, y, meant} of it, leave, press {row, x, y, touch} (touch: by a finger), select {rows, how} (how they join: by the keys held, else undefined), walk {row, x, y}, view (it was moved), frame {ms, points, whole},
   * error {message}. Places are in units; rows are -1 where there is no point.
   * @param {string} name @param {any} [detail]
   */
  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, {detail}));
  }

  /** Hear such an event. @param {string} name @param {(detail: any) => void} listener */
  on(name, listener) {
    this.addEventListener(name, (event) => listener(/** @type {CustomEvent} */ (event).detail));
  }

  /** The pointer has moved: near it other labels may be shown than before. */
  followPointer() {
    if (this.#crowded) this.drawOver();
  }

  /** Draw what lies over the points. */
  drawOver() {
    const {context} = this;
    const {outline, hovered} = this.hands;
    const {ink, accent} = this.paper;
    const marks = [...this.marks];
    const {x, y} = this.#points;
    if (hovered >= 0) marks.push({kind: "dots", x: [x[hovered]], y: [y[hovered]], ring: true, radius: 7, colour: ink});
    if (this.cursor >= 0) marks.push({kind: "dots", x: [x[this.cursor]], y: [y[this.cursor]], ring: true, radius: 10});
    const blank = marks.length + outline.length === 0;
    if (blank && this.#blank) return; // clearing an empty canvas would make the browser compose it again
    this.#blank = blank;
    const {width, height, ratio} = this.size;
    const place = (/** @type {number} */ x, /** @type {number} */ y) => this.toScreen(x, y, this.drawn);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    this.#crowded = drawMarks(context, marks, place, {width, height}, this.hands.pointer, this.paper);
    if (outline.length) drawOutline(context, outline.map(({x, y}) => place(x, y)), accent);
  }
}

/** Part of the way between two views, zooming evenly about one place. @param {View} a @param {View} b @param {number} share */
function between(a, b, share) {
  const scale = a.scale * (b.scale / a.scale) ** share;
  const along = Math.abs(b.scale / a.scale - 1) < 1e-6 ? share : (1 / a.scale - 1 / scale) / (1 / a.scale - 1 / b.scale);
  return {x: a.x + (b.x - a.x) * along, y: a.y + (b.y - a.y) * along, scale};
}
