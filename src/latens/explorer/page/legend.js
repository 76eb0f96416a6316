// The colours of the points, and the legend of classes, which filter when they are pressed; that of numbers is in histogram.js.

import {button, el, fill, named} from "./dom.js";
import {NO_VALUE} from "./numbers.js";
import {images} from "./selection.js";

const RAMP = ["#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725"]; // viridis (Smith and van der Walt 2015)
const LEVELS = 64;
const NOTHING = "#9aa0a6";

/** @param {string[]} stops */
function ramp(stops) {
  const colours = stops.map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  return Array.from({length: LEVELS}, (_, level) => {
    const at = (level / (LEVELS - 1)) * (stops.length - 1);
    const i = Math.min(stops.length - 2, Math.floor(at));
    const mixed = colours[i].map((value, c) => Math.round(value + (colours[i + 1][c] - value) * (at - i)));
    return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
  });
}

/**
 * @param {import("./types.js").ColumnInfo} column @param {Uint16Array|Float32Array} values
 * @param {{low: number, high: number}} [ends] of the scale, in place of those of the values
 * @returns {{codes: Uint16Array, palette: string[], low: number, high: number}}
 */
export function coloured(column, values, ends) {
  if (column.kind === "class") {
    const palette = [...column.colours, NOTHING];
    return {codes: Uint16Array.from(values, (v) => (v === NO_VALUE ? palette.length - 1 : v)), palette, low: 0, high: 0};
  }
  const finite = Float32Array.from(values).filter(Number.isFinite).sort();
  // The lowest and the highest hundredth share the ends of the scale, so that single outliers do not hide all differences.
  const {low, high} = ends ?? {low: finite[Math.floor(0.01 * finite.length)] ?? 0, high: finite[Math.ceil(0.99 * (finite.length - 1))] ?? 1};
  const span = high - low || 1;
  const code = (/** @type {number} */ v) => (Number.isFinite(v) ? Math.min(LEVELS - 1, Math.max(0, Math.floor(((v - low) / span) * LEVELS))) : LEVELS);
  return {codes: Uint16Array.from(values, code), palette: [...ramp(RAMP), NOTHING], low, high};
}

/**
 * @param {HTMLElement} host @param {import("./types.js").ColumnInfo} column @param {ReturnType<typeof coloured>} shown
 * @param {() => Set<number>} hiddenNow the classes that are hidden @param {(hidden: Set<number>, words: string) => void} hide these instead; words: what that is
 * @returns {() => void} shows again which are hidden
 */
export function legend(host, column, shown, hiddenNow, hide) {
  const counts = new Uint32Array(shown.palette.length);
  for (const code of shown.codes) counts[code]++;
  const counted = (/** @type {number} */ code) => `${named(column.names[code] ?? "no value")}: ${images(counts[code])}`;
  const entry = (/** @type {string} */ name, /** @type {number} */ code) => {
    const dot = el("span", {class: "dot", style: `background: ${shown.palette[code]}`});
    return button([dot, el("span", {class: "name"}, name)], () => toggle(code), {class: "entry", "data-code": code, "aria-pressed": "true",
      title: `${counted(code)}; press to hide or show, double-click for it alone, or for all again`, ondblclick: () => alone(code)});
  };
  const press = () => {
    const hidden = hiddenNow();
    for (const one of /** @type {NodeListOf<HTMLElement>} */ (host.querySelectorAll(".entry"))) one.setAttribute("aria-pressed", String(!hidden.has(Number(one.dataset.code))));
  };
  const toggle = (/** @type {number} */ code) => {
    const hidden = hiddenNow();
    if (!hidden.delete(code)) hidden.add(code);
    hide(hidden, `${counted(code)} ${counts[code] === 1 ? "is" : "are"} ${hidden.has(code) ? "hidden" : "shown"}.`);
  };
  const alone = (/** @type {number} */ code) => {
    const hidden = hiddenNow();
    const was = !hidden.has(code) && hidden.size === shown.palette.length - 1;
    hidden.clear();
    for (let other = 0; !was && other < shown.palette.length; other++) if (other !== code) hidden.add(other);
    hide(hidden, was ? "All classes are shown." : `Shown alone: ${counted(code)}.`);
  };
  fill(host, ...column.names.map(entry), counts[column.names.length] ? entry("no value", column.names.length) : null);
  press();
  return press;
}
