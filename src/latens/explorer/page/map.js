// The map on the page: what hands do becomes a view, which the worker draws the points of; marks are drawn here, over them.

/** @typedef {import("./types.js").Mark} Mark */
/** @typedef {{x: number, y: number, scale: number}} View  the centre in 16-bit units (y up), and CSS pixels a unit */
/** @typedef {{clientX: number, clientY: number}} Spot */
/** @typedef {"pan"|"box"|"lasso"} Tool */
/** @typedef {{what: Tool|"pinch", moved: boolean, trail: Pair[], start: Spot}} Gesture  trail: in units */
/** @typedef {[number, number]} Pair */
/** @typedef {{paper: string, ink: string, accent: string}} Paper */

const MIDDLE = 32767.5;
const MOST_SCALE = 4; // CSS pixels a unit: places are rounded to units, nearer there is nothing to see
const PICK_RADIUS = 14; // CSS pixels
const HOVER_EVERY = 60; // ms
const STILL = 4; // CSS pixels that a press may wander
const FLIGHT = 600; // ms from one map to another
const GLIDE = 250; // ms of a change of the view by keys and double clicks
/** @type {Record<string, Pair>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const ownWorker = () => new Worker(new URL("./map-worker.js", import.meta.url), { type: "module" });

/** A map of points that can be moved, picked from and drawn on. What happens is told by events; `#tell` lists them. */
export class MapView extends EventTarget {
  /** @type {View} */ #view = { x: MIDDLE, y: MIDDLE, scale: 0.01 };
  /** @type {View} */ #drawn = this.#view; // of the latest picture: marks follow it, or would run ahead of the points
  /** @type {Tool} */ #tool = "pan";
  /** @type {Mark[]} */ #marks = [];
  /** @type {Map<number, Spot>} */ #pointers = new Map(); // those that are down
  /** @type {Spot|null} */ #pointer = null; // where it was last, over the map
  /** @type {Gesture|null} */ #gesture = null;
  /** @type {Map<number, (answer: any) => void>} */ #answers = new Map();
  /** @type {(page: number) => Promise<ImageBitmap>} */ #pageOf = () => Promise.reject(new Error("no thumbnails"));
  /** @type {{x: Uint16Array, y: Uint16Array}} */ #points = { x: new Uint16Array(0), y: new Uint16Array(0) };
  #size = { width: 0, height: 0, ratio: 1 };
  #blank = true; // nothing lies over the points
  #home = true; // nothing has moved the map yet: it keeps filling its place
  #asked = 0;
  #cursor = -1;
  #hovered = -1;
  #hoverAt = 0;
  #hoverTimer = 0;
  #moveDue = 0;
  #glide = 0;
  #sprites = 0; // counts changes of them: pages of older ones are dropped
  #paper = { paper: "#ffffff", ink: "#1f2328", accent: "#1a5f96" };
  #gone = new AbortController();
  #calm = matchMedia("(prefers-reduced-motion: reduce)");
  #sizes = new ResizeObserver(() => this.#resize());

  /** @param {HTMLElement} host @param {{makeWorker?: () => Worker, label?: string}} [options] */
  constructor(host, { makeWorker = ownWorker, label = "Map of the points" } = {}) {
    super();
    this.host = host;
    if (getComputedStyle(host).position === "static") host.style.position = "relative";
    Object.assign(host.style, { touchAction: "none", overflow: "hidden", userSelect: "none" });
    host.tabIndex = 0;
    for (const [name, value] of [["role", "application"], ["aria-label", label]]) host.setAttribute(name, value);
    this.canvases = [0, 1].map(() => host.appendChild(document.createElement("canvas")));
    for (const canvas of this.canvases) {
      canvas.setAttribute("aria-hidden", "true");
      Object.assign(canvas.style, { position: "absolute", inset: "0", width: "100%", height: "100%", pointerEvents: "none" });
    }
    this.context = /** @type {CanvasRenderingContext2D} */ (this.canvases[1].getContext("2d"));
    this.worker = makeWorker();
    this.worker.addEventListener("message", ({ data }) => this.#hear(data));
    this.worker.addEventListener("error", ({ message }) => this.#tell("error", { message: message || "the map did not start" }));
    const offscreen = this.canvases[0].transferControlToOffscreen();
    this.worker.postMessage({ type: "start", canvas: offscreen }, [offscreen]);
    this.#sizes.observe(host);
    this.#resize();
    this.setPaper();
    this.#listen();
  }

  /** Take the map off the page. */
  destroy() {
    this.#gone.abort();
    this.#sizes.disconnect();
    this.worker.terminate();
    clearTimeout(this.#hoverTimer);
    for (const due of [this.#glide, this.#moveDue]) cancelAnimationFrame(due);
    for (const canvas of this.canvases) canvas.remove();
  }

  // ---- what is shown

  /** @param {{x: Uint16Array, y: Uint16Array}} points @param {{animate?: boolean}} [how] animate: as many as before fly there */
  setPoints({ x, y }, { animate = false } = {}) {
    if (x.length !== this.#points.x.length) this.#cursor = -1;
    this.#points = { x, y };
    this.#hovered = -1;
    this.#post({ type: "points", x, y, lasts: animate && !this.#calm.matches ? FLIGHT : 0 });
    this.#drawOver();
  }

  /** @param {Uint8Array|Uint16Array} codes one a point; beyond the palette it is grey @param {string[]} palette "#rrggbb" */
  setColours = (codes, palette) => this.#post({ type: "colours", codes, palette });

  /** @param {Uint8Array|null} mask points of 0 aren't drawn and can't be picked */
  setVisible = (mask) => this.#post({ type: "visible", mask });

  /** @param {Uint8Array|null} mask points of 0 fade */
  setSelection = (mask) => this.#post({ type: "selection", mask });

  /** @param {import("./types.js").ThumbnailInfo|null} info @param {(page: number) => Promise<ImageBitmap>} [pageOf] given away */
  setThumbnails(info, pageOf = this.#pageOf) {
    this.#sprites++;
    this.#pageOf = pageOf;
    this.#post({ type: "thumbnails", info });
  }

  /** @param {Mark[]} marks */
  setMarks(marks) {
    this.#marks = marks;
    this.#drawOver();
  }

  /** @param {Tool} tool of the pointer; shift and drag is always a box */
  setTool(tool) {
    this.#tool = tool;
    this.host.style.cursor = tool === "pan" ? "" : "crosshair";
  }

  /** @param {number} row of the point the keyboard stands on, or -1 */
  setCursor(row) {
    this.#cursor = row;
    this.#drawOver();
  }

  /** Read the page's colours again; a change of the system's theme is noticed without. */
  setPaper() {
    const style = getComputedStyle(this.host);
    const read = (/** @type {string} */ name, /** @type {string} */ fallback) => {
      this.context.fillStyle = fallback;
      this.context.fillStyle = style.getPropertyValue(name).trim() || fallback;
      return String(this.context.fillStyle); // "#rrggbb", whatever CSS called it
    };
    this.#paper = { paper: read("--paper", "#ffffff"), ink: read("--ink", "#1f2328"), accent: read("--accent", "#1a5f96") };
    this.#post({ type: "paper", paper: this.#paper.paper, muted: read("--muted", "#59616b") });
    this.#drawOver();
  }

  // ---- the view

  /** @returns {View} */
  get view() {
    return { ...this.#view };
  }

  /** @param {View} view @param {{animate?: boolean}} [how] */
  setView(view, { animate = false } = {}) {
    cancelAnimationFrame(this.#glide);
    this.#home = false;
    if (!animate || this.#calm.matches) return this.#show(view);
    const [from, to, began] = [this.#view, this.#within(view), performance.now()];
    const step = () => {
      const time = Math.min(1, (performance.now() - began) / GLIDE);
      this.#show(between(from, to, 1 - (1 - time) ** 3));
      if (time < 1) this.#glide = requestAnimationFrame(step);
    };
    step();
  }

  /** Show these points, with room about them. @param {ArrayLike<number>} rows */
  zoomTo(rows) {
    if (!rows.length) return;
    let [left, right, bottom, top] = [Infinity, -Infinity, Infinity, -Infinity];
    for (let k = 0; k < rows.length; k++) {
      const [x, y] = this.placeOf(rows[k]);
      [left, right, bottom, top] = [Math.min(left, x), Math.max(right, x), Math.min(bottom, y), Math.max(top, y)];
    }
    const scale = 0.8 * Math.min(this.#size.width / Math.max(400, right - left), this.#size.height / Math.max(400, top - bottom));
    this.setView({ x: (left + right) / 2, y: (bottom + top) / 2, scale }, { animate: true });
  }

  /** Show the whole map. */
  reset() {
    this.setView({ x: MIDDLE, y: MIDDLE, scale: this.#homeScale() }, { animate: true });
    this.#home = true;
  }

  /** @param {number} row @returns {Pair} its place, in units */
  placeOf = (row) => [this.#points.x[row], this.#points.y[row]];

  /** @param {number} x @param {number} y in units @returns {Pair} CSS pixels from the host's corner */
  toScreen(x, y, { x: cx, y: cy, scale } = this.#view) {
    return [this.#size.width / 2 + (x - cx) * scale, this.#size.height / 2 - (y - cy) * scale];
  }

  /** @param {Spot} spot @returns {Pair} its place, in units */
  #placeAt({ clientX, clientY }) {
    const { left, top } = this.canvases[1].getBoundingClientRect();
    const { x, y, scale } = this.#view;
    return [x + (clientX - left - this.#size.width / 2) / scale, y - (clientY - top - this.#size.height / 2) / scale];
  }

  #homeScale() {
    return Math.max(1e-4, (0.94 * Math.min(this.#size.width, this.#size.height)) / 65536);
  }

  /** @param {View} view @returns {View} */
  #within({ x, y, scale }) {
    const [cx, cy] = [x, y].map((value) => Math.min(65535, Math.max(0, value)));
    return { x: cx, y: cy, scale: Math.min(MOST_SCALE, Math.max(this.#homeScale() / 3, scale)) };
  }

  /** @param {View} view */
  #show(view) {
    this.#view = this.#within(view);
    this.#post({ type: "view", view: this.#view });
    this.#tell("view", this.#view);
  }

  /** Zoom about a spot, or the middle. @param {number} factor @param {Spot|null} spot @param {boolean} animate */
  #zoom(factor, spot, animate) {
    const { scale } = this.#within({ ...this.#view, scale: this.#view.scale * factor });
    const [x, y] = spot ? this.#placeAt(spot) : [this.#view.x, this.#view.y];
    const share = this.#view.scale / scale;
    this.setView({ x: x + (this.#view.x - x) * share, y: y + (this.#view.y - y) * share, scale }, { animate });
  }

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.host;
    if (!width || !height) return;
    const ratio = Math.min(2, devicePixelRatio || 1); // finer than that nobody sees, and it costs its square
    this.#size = { width, height, ratio };
    Object.assign(this.canvases[1], { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    this.#post({ type: "size", width, height, ratio });
    this.#show(this.#home ? { x: MIDDLE, y: MIDDLE, scale: this.#homeScale() } : this.#view);
    this.#drawOver();
  }

  // ---- the worker, and who listens

  /** @param {Record<string, any>} message */
  #post(message) {
    this.worker.postMessage(message);
  }

  /** @param {Record<string, any>} question @returns {Promise<any>} */
  #ask(question) {
    this.#post({ ...question, id: ++this.#asked });
    return new Promise((resolve) => this.#answers.set(this.#asked, resolve));
  }

  /** @param {any} data */
  #hear(data) {
    if (data.type === "answer") {
      this.#answers.get(data.id)?.(data.answer);
      this.#answers.delete(data.id);
    } else if (data.type === "wanted") {
      const sprites = this.#sprites;
      const send = (/** @type {ImageBitmap|null} */ bitmap) => {
        if (sprites !== this.#sprites) bitmap?.close();
        else this.worker.postMessage({ type: "page", page: data.page, bitmap }, bitmap ? [bitmap] : []);
      };
      this.#pageOf(data.page).then(send, () => send(null));
    } else {
      this.#drawn = data.view;
      this.#drawOver();
      this.#tell("frame", { ms: data.ms, points: data.points, whole: data.whole });
    }
  }

  /**
   * hover {row, x, y, clientX, clientY}, move {x, y, clientX, clientY, inside}, leave, press {row, x, y}, select {rows},
   * walk {row}, view {x, y, scale}, frame {ms, points, whole}, error {message}. Rows are -1 where there is no point.
   * @param {string} name @param {any} [detail]
   */
  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  // ---- hands

  #listen() {
    const heard = /** @type {Record<string, (event: any) => void>} */ ({
      pointerdown: (event) => this.#down(event),
      pointermove: (event) => this.#move(event),
      pointerup: (event) => this.#up(event, true),
      pointercancel: (event) => this.#up(event, false),
      pointerleave: () => this.#leave(),
      wheel: (event) => this.#wheel(event),
      dblclick: (event) => this.#zoom(2, event, true),
      keydown: (event) => this.#key(event),
    });
    const { signal } = this.#gone;
    for (const name in heard) this.host.addEventListener(name, heard[name], { signal, passive: false });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.setPaper(), { signal });
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.button > 1) return;
    if (event.button === 1) event.preventDefault(); // no scrolling by itself
    cancelAnimationFrame(this.#glide);
    this.host.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, event);
    const what = this.#pointers.size > 1 ? "pinch" : event.button === 1 ? "pan" : event.shiftKey ? "box" : this.#tool;
    this.#gesture = { what, moved: what === "pinch", trail: [this.#placeAt(event)], start: event };
  }

  /** @param {PointerEvent} event */
  #move(event) {
    this.#pointer = event;
    this.#moveDue ||= requestAnimationFrame(() => this.#tellMove());
    const [before, gesture] = [this.#pointers.get(event.pointerId), this.#gesture];
    if (!before || !gesture) return this.#hoverSoon();
    const { start } = gesture;
    gesture.moved ||= Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) >= STILL;
    if (!gesture.moved) return;
    this.#pointers.set(event.pointerId, event);
    if (gesture.what === "pan") this.#pan(event.clientX - before.clientX, event.clientY - before.clientY);
    else if (gesture.what === "pinch") this.#pinch(event, before);
    else gesture.trail.push(this.#placeAt(event));
    this.#drawOver();
  }

  /** @param {number} dx @param {number} dy CSS pixels */
  #pan(dx, dy) {
    const { x, y, scale } = this.#view;
    this.setView({ x: x - dx / scale, y: y + dy / scale, scale });
  }

  /** @param {PointerEvent} now @param {Spot} before */
  #pinch(now, before) {
    const other = [...this.#pointers].find(([id]) => id !== now.pointerId)?.[1] || now;
    const apart = (/** @type {Spot} */ one) => Math.max(10, Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY));
    this.#pan((now.clientX - before.clientX) / 2, (now.clientY - before.clientY) / 2);
    const middle = { clientX: (now.clientX + other.clientX) / 2, clientY: (now.clientY + other.clientY) / 2 };
    this.#zoom(apart(now) / apart(before), middle, false);
  }

  /** @param {PointerEvent} event @param {boolean} meant */
  #up(event, meant) {
    const gesture = this.#gesture;
    if (!this.#pointers.delete(event.pointerId) || !gesture) return;
    // A finger of a pinch may stay down: it goes on as a pan, and is no press.
    this.#gesture = this.#pointers.size ? { ...gesture, what: "pan", moved: true } : null;
    if (meant && !gesture.moved) this.#press(event);
    else if (meant) this.#selectIn(outline(gesture));
    this.#drawOver();
  }

  /** @param {Spot} spot @returns {Promise<{row: number, x: number, y: number}>} */
  async #pick(spot) {
    const [x, y] = this.#placeAt(spot);
    return { row: await this.#ask({ type: "pick", x, y, radius: PICK_RADIUS / this.#view.scale }), x, y };
  }

  /** @param {Spot} spot */
  async #press(spot) {
    this.#tell("press", await this.#pick(spot));
  }

  /** @param {Pair[]} corners */
  async #selectIn(corners) {
    if (!corners.length) return;
    this.#tell("select", { rows: await this.#ask({ type: "inside", corners: Float64Array.from(corners.flat()) }) });
  }

  #tellMove() {
    this.#moveDue = 0;
    if (!this.#pointer) return;
    const { clientX, clientY } = this.#pointer;
    const [x, y] = this.#placeAt(this.#pointer);
    this.#tell("move", { x, y, clientX, clientY, inside: Math.min(x, y) >= 0 && Math.max(x, y) <= 65535 });
  }

  #hoverSoon() {
    this.#hoverTimer ||= setTimeout(async () => {
      this.#hoverTimer = 0;
      this.#hoverAt = performance.now();
      const spot = this.#pointer;
      const found = spot && (await this.#pick(spot));
      if (found && this.#pointer) this.#hover({ ...found, clientX: spot.clientX, clientY: spot.clientY });
    }, Math.max(0, this.#hoverAt + HOVER_EVERY - performance.now()));
  }

  /** @param {{row: number, x: number, y: number, clientX?: number, clientY?: number}} detail */
  #hover(detail) {
    if (detail.row === this.#hovered) return;
    this.#hovered = detail.row;
    this.#drawOver();
    this.#tell("hover", detail);
  }

  #leave() {
    const spot = this.#pointer;
    this.#pointer = null;
    const [x, y] = spot ? this.#placeAt(spot) : [0, 0];
    this.#hover({ row: -1, x, y, clientX: spot?.clientX, clientY: spot?.clientY });
    this.#tell("leave");
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    const pixels = Math.max(-240, Math.min(240, event.deltaY * [1, 16, 400][event.deltaMode]));
    this.#zoom(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.002)), event, false); // ctrl: a pinch on a touchpad
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { key } = event;
    if (event.target !== this.host || event.ctrlKey || event.metaKey || event.altKey) return;
    if (key in ARROWS) this.#walk(...ARROWS[key]);
    else if (key === "+" || key === "=") this.#zoom(1.5, null, true);
    else if (key === "-" || key === "_") this.#zoom(1 / 1.5, null, true);
    else if (key === "0") this.reset();
    else if (key === "Escape") this.#escape();
    else if ((key === "Enter" || key === " ") && this.#cursor >= 0) {
      const [x, y] = this.placeOf(this.#cursor);
      this.#tell("press", { row: this.#cursor, x, y });
    } else return;
    event.preventDefault();
  }

  /** From the cursor to the nearest point in a direction; without one, to the middle. @param {number} dx @param {number} dy */
  async #walk(dx, dy) {
    const [x, y] = this.#cursor < 0 ? [this.#view.x, this.#view.y] : this.placeOf(this.#cursor);
    const row = await this.#ask(this.#cursor < 0 ? { type: "pick", x, y, radius: 65536 } : { type: "walk", x, y, dx, dy });
    if (row < 0) return;
    this.setCursor(row);
    const place = this.placeOf(row);
    const [left, top] = this.toScreen(...place);
    const nearEdge = Math.min(left, top, this.#size.width - left, this.#size.height - top) < 40;
    if (nearEdge) this.setView({ x: place[0], y: place[1], scale: this.#view.scale }, { animate: true });
    this.#tell("walk", { row });
  }

  /** What is being drawn is given up; or else the selection. */
  #escape() {
    if (!this.#gesture) {
      this.setSelection(null);
      this.#tell("select", { rows: new Uint32Array(0) });
    }
    this.#gesture = null;
    this.#drawOver();
  }

  // ---- what lies over the points

  #drawOver() {
    const { context } = this;
    const drawn = this.#marks.length > 0 || this.#hovered >= 0 || this.#cursor >= 0 || this.#gesture?.moved === true;
    if (!drawn && this.#blank) return; // clearing what is clear would have the browser put it together anew
    this.#blank = !drawn;
    const { width, height, ratio } = this.#size;
    const places = (/** @type {Pair[]} */ units) => units.map(([x, y]) => this.toScreen(x, y, this.#drawn));
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    for (const mark of this.#marks) drawMark(context, mark, places(mark.x.map((x, k) => [x, mark.y[k]])), this.#paper);
    const { ink, accent } = this.#paper;
    const ring = (/** @type {number} */ row, /** @type {number} */ radius, /** @type {string} */ colour) => {
      if (row < 0) return;
      drawMark(context, { kind: "dots", x: [], y: [], ring: true, radius, colour }, places([this.placeOf(row)]), this.#paper);
    };
    ring(this.#hovered, 7, ink);
    ring(this.#cursor, 10, accent);
    if (this.#gesture?.moved) drawOutline(context, places(outline(this.#gesture)), this.#paper.accent);
  }
}

/** Part of the way between two views, zooming evenly about one place. @param {View} a @param {View} b @param {number} share */
function between(a, b, share) {
  const scale = a.scale * (b.scale / a.scale) ** share;
  const along = Math.abs(b.scale / a.scale - 1) < 1e-6 ? share : (1 / a.scale - 1 / scale) / (1 / a.scale - 1 / b.scale);
  return { x: a.x + (b.x - a.x) * along, y: a.y + (b.y - a.y) * along, scale };
}

/** The corners of what a gesture draws; none where it draws nothing. @param {Gesture} gesture @returns {Pair[]} */
function outline({ what, trail }) {
  const [[left, top], [right, bottom]] = [trail[0], trail[trail.length - 1]];
  return what === "lasso" ? trail : what === "box" ? [[left, top], [right, top], [right, bottom], [left, bottom]] : [];
}

/** @param {CanvasRenderingContext2D} context @param {Mark} mark @param {Pair[]} places on the screen @param {Paper} paper */
function drawMark(context, mark, places, { paper, ink, accent }) {
  const colour = mark.colour || (mark.kind === "label" ? ink : accent);
  Object.assign(context, { lineCap: "round", lineJoin: "round", fillStyle: colour });
  if (mark.kind === "label") {
    Object.assign(context, { font: "600 13px system-ui, sans-serif", textAlign: "center", textBaseline: "middle" });
    Object.assign(context, { lineWidth: 4, strokeStyle: paper });
    places.forEach(([x, y], k) => (context.strokeText(mark.text[k], x, y), context.fillText(mark.text[k], x, y)));
    return;
  }
  for (const dashed of mark.kind === "line" ? [false, true] : [false]) {
    context.setLineDash(dashed ? [1, 6] : []);
    tracePath(context, mark, places, dashed);
    // On a halo of paper, or it would be lost among points of its colour.
    for (const [width, style] of /** @type {[number, string][]} */ ([[4.5, paper], [2, colour]])) {
      Object.assign(context, { lineWidth: width, strokeStyle: style });
      context.stroke();
    }
    if (mark.kind === "dots" && !mark.ring) context.fill();
  }
  context.setLineDash([]);
}

/** @param {CanvasRenderingContext2D} context @param {Mark} mark @param {Pair[]} places @param {boolean} dashed  stretches */
function tracePath(context, mark, places, dashed) {
  context.beginPath();
  places.forEach(([x, y], k) => {
    if (mark.kind === "dots") {
      const radius = (mark.radius || (mark.ring ? 6 : 4)) - (mark.ring ? 0 : 1); // a full one's stroke adds to it
      context.moveTo(x + radius, y);
      context.arc(x, y, radius, 0, 2 * Math.PI);
    }
    const strokes = mark.kind === "cross" ? [[x - 9, y, x + 9, y], [x, y - 9, x, y + 9]] : [];
    if (mark.kind === "line" && k && Boolean(mark.off?.[k - 1]) === dashed) strokes.push([...places[k - 1], x, y]);
    for (const [x0, y0, x1, y1] of strokes) {
      context.moveTo(x0, y0);
      context.lineTo(x1, y1);
    }
  });
}

/** @param {CanvasRenderingContext2D} context @param {Pair[]} corners @param {string} colour */
function drawOutline(context, corners, colour) {
  context.beginPath();
  for (const corner of corners) context.lineTo(...corner);
  context.closePath();
  Object.assign(context, { fillStyle: colour, strokeStyle: colour, lineWidth: 1.5, globalAlpha: 0.12 });
  context.fill("evenodd");
  context.globalAlpha = 1;
  context.setLineDash([5, 4]);
  context.stroke();
  context.setLineDash([]);
}
