// Input of the map: pointer, wheel, two fingers and keys move it, press on points and draw around them.

/** @typedef {import("./map.js").Pair} Pair */
/** @typedef {import("./map.js").Place} Place */
/** @typedef {import("./map.js").Spot} Spot */
/** @typedef {"pan"|"box"|"lasso"} Tool */
/** @typedef {{what: Tool|"pinch"|"hold", moved: boolean, trail: Place[], start: Spot}} Gesture */

const PICK_RADIUS = 14; // CSS pixels
const PICK_RADIUS_TOUCH = 22; // a finger hides what it aims at
/** @type {Record<string, Pair>} */
export const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};
/** @type {Record<string, number>} */
const ZOOMS = {"+": 1.5, "=": 1.5, "-": 1 / 1.5, _: 1 / 1.5};

const isTouch = (/** @type {PointerEvent} */ event) => event.pointerType === "touch";

/** Whether a pointer that is down has left its place: a press may wander a little, that of a finger further. @param {Spot} start @param {PointerEvent} event */
export const hasMoved = (start, event) => Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) >= (isTouch(event) ? 10 : 4);

export class Hands {
  /** @type {Tool} */ tool = "pan";
  hovered = -1; // the point under the pointer
  /** @type {Map<number, Spot>} */ #pointers = new Map(); // those that are down
  /** @type {Spot|null} */ #pointer = null; // where it was last, over the map
  /** @type {Gesture|null} */ #gesture = null;
  #due = 0; // of telling where the pointer is, once a frame
  #steps = Promise.resolve(); // of the arrow keys: each goes on from where the one before has led

  /** @param {import("./map.js").MapView} map @param {AbortSignal} signal of its end */
  constructor(map, signal) {
    this.map = map;
    const heard = /** @type {Record<string, (event: any) => void>} */ ({
      pointerdown: (event) => this.#down(event),
      pointermove: (event) => this.#move(event),
      pointerup: (event) => this.#up(event, true),
      pointercancel: (event) => this.#up(event, false),
      pointerleave: () => this.leave(),
      wheel: (event) => this.#wheel(event),
      dblclick: (event) => map.zoom(2, event, true),
      keydown: (event) => this.#key(event),
    });
    for (const name in heard) map.host.addEventListener(name, heard[name], {signal, passive: false});
  }

  /** The corners of the outline that is being drawn; none while nothing is drawn. @returns {Place[]} */
  get outline() {
    if (!this.#gesture?.moved) return [];
    const {what, trail} = this.#gesture;
    const [begin, end] = [trail[0], trail[trail.length - 1]];
    return what === "lasso" ? trail : what === "box" ? [begin, {x: end.x, y: begin.y}, end, {x: begin.x, y: end.y}] : [];
  }

  // ---- the pointer

  /** Where the pointer is, from the host's corner; null where it isn't over the map. @returns {Pair|null} */
  get pointer() {
    if (!this.#pointer) return null;
    const {left, top} = this.map.host.getBoundingClientRect();
    return [this.#pointer.clientX - left, this.#pointer.clientY - top];
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.button > 1) return;
    if (event.button === 1) event.preventDefault(); // no scrolling by itself
    this.map.stop();
    this.map.host.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, event);
    const place = this.map.placeAt(event);
    const held = this.map.grabs(place) ? "hold" : this.tool;
    const what = this.#pointers.size > 1 ? "pinch" : event.button === 1 ? "pan" : event.shiftKey && this.tool === "pan" ? "box" : held;
    this.#gesture = {what, moved: what === "pinch", trail: [place], start: event};
  }

  /** @param {PointerEvent} event */
  #move(event) {
    this.#pointer = event;
    this.#due ||= requestAnimationFrame(() => this.#tell());
    const [before, gesture] = [this.#pointers.get(event.pointerId), this.#gesture];
    if (!before || !gesture) return;
    const {start, what} = gesture;
    gesture.moved ||= hasMoved(start, event);
    if (!gesture.moved) return;
    this.#pointers.set(event.pointerId, event);
    if (what === "pan") this.#pan(event.clientX - before.clientX, event.clientY - before.clientY);
    else if (what === "pinch") this.#pinch(event, before);
    else if (what === "hold") this.map.tell("drag", this.map.placeAt(event));
    else {
      gesture.trail.push(this.map.placeAt(event));
      this.map.drawOver();
    }
  }

  /** Whether something on the map is being dragged. */
  get holds() {
    return this.#gesture?.what === "hold";
  }

  /** @param {number} dx @param {number} dy CSS pixels */
  #pan(dx, dy) {
    const {x, y, scale} = this.map.view;
    this.map.setView({x: x - dx / scale, y: y + dy / scale, scale});
  }

  /** @param {PointerEvent} now @param {Spot} before */
  #pinch(now, before) {
    const other = [...this.#pointers].find(([id]) => id !== now.pointerId)?.[1] || now;
    const apart = (/** @type {Spot} */ one) => Math.max(10, Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY));
    this.#pan((now.clientX - before.clientX) / 2, (now.clientY - before.clientY) / 2);
    const middle = {clientX: (now.clientX + other.clientX) / 2, clientY: (now.clientY + other.clientY) / 2};
    this.map.zoom(apart(now) / apart(before), middle, false);
  }

  /** @param {PointerEvent} event @param {boolean} meant */
  async #up(event, meant) {
    const [gesture, outline] = [this.#gesture, this.outline];
    if (!this.#pointers.delete(event.pointerId) || !gesture) return;
    // After a pinch one finger may stay down: that continues as a pan, and is not a press.
    this.#gesture = this.#pointers.size ? {...gesture, what: "pan", moved: true} : null;
    this.map.drawOver();
    this.#due ||= requestAnimationFrame(() => this.#tell());
    const touch = isTouch(event);
    if (meant && !gesture.moved) this.map.tell("press", {...(await this.#pick(event, touch ? PICK_RADIUS_TOUCH : PICK_RADIUS)), touch});
    if (gesture.what === "hold" && gesture.moved) this.map.tell("drop", {...this.map.placeAt(event), meant});
    if (!meant || !outline.length) return;
    const {shiftKey, altKey} = event;
    const how = this.tool === "pan" ? undefined : shiftKey && altKey ? "intersect" : shiftKey ? "add" : altKey ? "subtract" : undefined;
    this.map.tell("select", {rows: await this.map.ask({type: "inside", corners: Float64Array.from(outline.flatMap(({x, y}) => [x, y]))}), how});
  }

  /** @param {Spot} spot @param {number} [radius] CSS pixels @returns {Promise<{row: number, x: number, y: number}>} */
  async #pick(spot, radius = PICK_RADIUS) {
    const place = this.map.placeAt(spot);
    return {row: await this.map.ask({type: "pick", ...place, radius: radius / this.map.view.scale}), ...place};
  }

  /** Tell where the pointer is, and what lies under it. */
  async #tell() {
    const spot = this.#pointer;
    this.#due = 0;
    if (!spot) return;
    this.map.tell("move", this.map.placeAt(spot));
    this.map.followPointer();
    const row = this.#gesture?.moved ? -1 : (await this.#pick(spot)).row;
    if (this.#pointer) this.#hover(this.#gesture?.moved ? -1 : row, spot); // a card would hide what a drag aims at
  }

  /** @param {number} row @param {Spot|null} spot */
  #hover(row, spot) {
    if (row === this.hovered) return;
    this.hovered = row;
    this.map.drawOver();
    this.map.tell("hover", {row, clientX: spot?.clientX, clientY: spot?.clientY});
  }

  /** The pointer is no longer over the points. */
  leave() {
    this.#pointer = null;
    this.#hover(-1, null);
    this.map.tell("leave");
    this.map.followPointer();
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    const pixels = Math.max(-240, Math.min(240, event.deltaY * [1, 16, 400][event.deltaMode]));
    this.map.zoom(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.002)), event, false); // ctrl: a pinch on a touchpad
  }

  // ---- the keys

  /** @param {KeyboardEvent} event */
  #key(event) {
    const {map} = this;
    const {key} = event;
    if (event.target !== map.host || event.ctrlKey || event.metaKey || event.altKey) return;
    if (key in ARROWS) this.#steps = this.#steps.then(() => this.#walk(...ARROWS[key]));
    else if (key in ZOOMS) map.zoom(ZOOMS[key], null, true);
    else if (key === "0") map.reset();
    else if (key === "Escape") this.#escape();
    else if ((key === "Enter" || key === " ") && map.cursor >= 0) map.tell("press", {row: map.cursor, ...map.placeOf(map.cursor)});
    else return;
    event.preventDefault();
  }

  /** From the cursor to the nearest point in a direction; without one, to the middle. @param {number} dx @param {number} dy */
  async #walk(dx, dy) {
    const {map} = this;
    if (!map.count) return;
    const {x, y} = map.cursor < 0 ? map.view : map.placeOf(map.cursor);
    const row = await map.ask(map.cursor < 0 ? {type: "pick", x, y, radius: 65536} : {type: "walk", x, y, dx, dy});
    if (row < 0) return;
    map.setCursor(row);
    map.keepInSight(map.placeOf(row));
    map.tell("walk", {row, ...map.placeOf(row)});
  }

  /** Cancel the outline that is being drawn; else clear the selection. */
  #escape() {
    if (!this.#gesture) this.map.tell("select", {rows: new Uint32Array(0), how: "replace"});
    this.#gesture = null;
    this.map.drawOver();
  }
}
