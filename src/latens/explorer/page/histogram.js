// The legend of a number: how often each colour is there, two handles that filter by a range, and the ends of the colours.

import {el, fill} from "./dom.js";
import {withFilter} from "./filters.js";
import {readable} from "./numbers.js";

const STEPS = 64; // of the range, by an arrow key
const HEIGHT = 22; // CSS pixels of the highest bar

/**
 * @param {import("./store.js").Store} store @param {HTMLElement} host @param {import("./types.js").ColumnInfo} column of numbers
 * @param {ArrayLike<number>} values one a point @param {{codes: Uint16Array, palette: string[], low: number, high: number}} looks the colours between two ends
 * @returns {() => void} shows again what is filtered
 */
export function numberLegend(store, host, column, values, looks) {
  const {low, high, codes, palette} = looks;
  const {name, unit, title} = column;
  const bins = palette.length - 1; // the last is that of points without a number
  const span = high - low || 1;
  let [least, most] = [Infinity, -Infinity];
  for (let row = 0; row < values.length; row++) {
    if (values[row] < least) least = values[row];
    if (values[row] > most) most = values[row];
  }
  const canvas = /** @type {HTMLCanvasElement} */ (el("canvas", {class: "histogram", width: 2 * bins, height: 2 * HEIGHT, "aria-hidden": "true"}));
  const all = counted(null);
  const handles = ["lowest", "highest"].map((which, side) => el("span", {role: "slider", tabIndex: 0, class: "handle", "aria-label": `Filter ${title}: ${which}`,
    "aria-valuemin": least, "aria-valuemax": most, onkeydown: (/** @type {KeyboardEvent} */ event) => key(event, side)}));
  const track = el("div", {class: "ramp", title: "Drag a handle to show a range of these numbers only"}, canvas, ...handles);
  // Set only once the focus has moved on: the legend is made anew then, and would take the field away below it.
  const ends = ["Lowest end", "Highest end"].map((label, side) => {
    const field = /** @type {HTMLInputElement} */ (el("input", {type: "text", inputMode: "decimal", class: "end", "aria-label": label, title: `${label} of the colours; empty for the usual one`, onchange: () => setTimeout(() => setEnd(side, field.value))}));
    field.value = typed([low, high][side]);
    return field;
  });
  if (least > most) return fill(host, el("span", {}, `No image has a number as its ${title}.`)), () => {};
  const focused = host.contains(document.activeElement) ? document.activeElement?.ariaLabel : null;
  fill(host, ends[0], track, ends[1], el("small", {}, unit));
  if (focused) /** @type {HTMLElement|undefined} */ ([...ends, ...handles].find((one) => one.ariaLabel === focused))?.focus(); // one end was set, and the next one is gone to

  /** The range that is shown: all of it without a filter. @returns {[number, number]} */
  const range = () => {
    const filter = store.facts.filters[name];
    return filter && "low" in filter ? [filter.low, filter.high] : [least, most];
  };
  /** Where a number lies, as a share of the way. @param {number} value */
  const shareOf = (value) => Math.min(1, Math.max(0, (value - low) / span));

  /** How many points have each colour. @param {Uint8Array|null} mask @returns {Uint32Array} */
  function counted(mask) {
    const counts = new Uint32Array(bins);
    for (let row = 0; row < codes.length; row++) if (codes[row] < bins && (!mask || mask[row])) counts[codes[row]]++;
    return counts;
  }

  function draw() {
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const seen = counted(store.facts.filtered);
    const highest = Math.max(1, ...all);
    const tall = (/** @type {number} */ count) => (count ? Math.max(2, Math.round(2 * HEIGHT * Math.sqrt(count / highest))) : 0); // roots: rare ones are seen, too
    context.clearRect(0, 0, canvas.width, canvas.height);
    for (let bin = 0; bin < bins; bin++) {
      for (const [count, colour, opacity] of /** @type {[number, string, number][]} */ ([[all[bin], palette[bins], 0.35], [seen[bin], palette[bin], 1]])) {
        Object.assign(context, {fillStyle: colour, globalAlpha: opacity});
        context.fillRect(2 * bin, 2 * HEIGHT - tall(count), 2, tall(count));
      }
    }
    range().forEach((value, side) => {
      const [handle, text] = [handles[side], `${readable(value)}${unit ? ` ${unit}` : ""}`];
      handle.style.left = `${100 * (side && value >= most ? 1 : !side && value <= least ? 0 : shareOf(value))}%`;
      handle.setAttribute("aria-valuenow", String(value));
      handle.setAttribute("aria-valuetext", text);
      handle.title = text;
    });
  }

  /** Move a handle; at the end of the colours it lets through all that lies beyond. @param {number} side @param {number} share */
  function move(side, share) {
    const at = share <= 0 ? Math.min(least, low) : share >= 1 ? Math.max(most, high) : low + share * span;
    const both = range();
    both[side] = side ? Math.max(at, both[0]) : Math.min(at, both[1]);
    const filter = both[0] <= least && both[1] >= most ? null : {low: both[0], high: both[1]};
    store.set({filters: withFilter(store.facts.filters, name, filter)}, {step: `range of ${name}`});
  }

  /** @param {KeyboardEvent} event @param {number} side */
  function key(event, side) {
    const by = {ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 8, PageDown: -8}[event.key];
    if (!by && event.key !== "Home" && event.key !== "End") return;
    event.preventDefault();
    const now = parseFloat(handles[side].style.left) / 100;
    move(side, by ? Math.min(1, Math.max(0, now + by / STEPS)) : event.key === "Home" ? 0 : 1);
  }

  /** The handle that is dragged. @type {number|null} */
  let held = null;
  const share = (/** @type {PointerEvent} */ event) => {
    const {left, width} = canvas.getBoundingClientRect();
    return (event.clientX - left) / width;
  };
  track.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    const at = share(event);
    const places = handles.map((handle) => parseFloat(handle.style.left) / 100);
    held = Math.abs(at - places[0]) < Math.abs(at - places[1]) || (places[0] === places[1] && at < places[0]) ? 0 : 1;
    handles[held].focus({preventScroll: true});
    track.setPointerCapture(event.pointerId);
    move(held, at);
  });
  track.addEventListener("pointermove", (event) => held !== null && move(held, share(event)));
  for (const ended of ["pointerup", "pointercancel"]) track.addEventListener(ended, () => (held = null));

  /** @param {number} side @param {string} text */
  function setEnd(side, text) {
    const {[name]: before, ...others} = store.facts.scales;
    const value = Number(text.replaceAll(",", "").replace("−", "-"));
    const both = [low, high];
    both[side] = value;
    if (!text.trim()) store.set({scales: others});
    else if (Number.isFinite(value) && both[0] < both[1]) store.set({scales: {...others, [name]: {low: both[0], high: both[1]}}});
    else {
      store.say(Number.isFinite(value) ? "The lowest end of the colours must be below the highest." : `${text} is no number.`);
      ends[side].value = typed([low, high][side]);
    }
  }

  draw();
  return draw;
}

/** A number as it can be typed, too. @param {number} value */
function typed(value) {
  const text = readable(value, 2);
  return text.includes("×") || text.length > 7 ? value.toExponential(1) : text;
}
