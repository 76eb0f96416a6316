// Paths: from one image to another, the strip of pictures on the way, and where it leaves the data.

import {button, choice, el, fill, slider} from "./dom.js";
import {gauge} from "./gauge.js";
import {captioned, frame, paint, picture} from "./pictures.js";

const STEPS = 13;
const NEAR = 12; // pixels from a point of the path
const WORDS = /** @type {Record<string, string>} */ ({linear: "straight line", spherical: "arc", graph: "from neighbour to neighbour"});

/** @typedef {{rows: number[], words: string}} End */

/** @param {import("./context.js").Context} context */
export function pathPanel(context) {
  const {info, source, view} = context;
  /** @type {{from: End, to: End}} */
  const ends = {from: {rows: [], words: ""}, to: {rows: [], words: ""}};
  let way = info.ways[0];
  let picking = /** @type {"from"|"to"|""} */ ("");
  /** @type {import("./types.js").Decoded|null} */
  let path = null;

  const large = frame(info.shape, "The picture at the handle");
  const honest = gauge();
  const strip = el("div", {class: "strip", role: "group", "aria-label": "Pictures along the path"});
  const note = el("p", {class: "quiet"});
  const slots = {from: slot("from", "From"), to: slot("to", "To")};
  const handle = slider("Along the path", {min: 0, max: STEPS - 1, step: 1, value: 0}, show, (value) => `${Math.round((100 * value) / (STEPS - 1))} %`);
  const element = el(
    "div",
    {},
    el("p", {}, "What lies between two images? Choose two ends; drag the handle, or follow the path on the map."),
    slots.from.element,
    slots.to.element,
    choice("Way", info.ways.map((name) => ({value: name, text: WORDS[name] ?? name})), way, (value) => {
      way = value;
      draw();
    }).element,
    handle.element,
    strip,
    el("div", {class: "pair even"}, captioned(large, "at the handle"), honest.element),
    note,
  );

  slots.to.element.append(button("Swap", () => {
    [ends.from, ends.to] = [ends.to, ends.from];
    draw();
  }));

  /** @param {"from"|"to"} which @param {string} title */
  function slot(which, title) {
    const words = el("span", {class: "chosen"});
    const pick = button("Pick on the map", () => {
      picking = which;
      context.say("Press an image on the map.");
      for (const [name, one] of Object.entries(slots)) one.pick.setAttribute("aria-pressed", String(name === which));
    }, {"aria-pressed": "false"});
    const options = info.class_names.map((name, label) => ({value: String(label), text: name}));
    const classes = choice(title, [{value: "", text: "an image"}, ...options], "", (value) => {
      if (value === "") return;
      ends[which] = ofClass(Number(value));
      draw();
    });
    const selection = button("Mean of the selection", () => {
      const rows = context.facts.selected;
      if (!rows.length) return context.say("Select some images first: the box or the lasso above the map.");
      ends[which] = {rows, words: `mean of ${rows.length} images`};
      draw();
    });
    return {element: el("div", {class: "slot"}, classes.element, words, pick, selection), words, pick, select: classes.select};
  }

  /** The image of a class that lies in the middle of it on the map. @param {number} label @returns {End} */
  function ofClass(label) {
    const points = context.facts.points;
    const labels = context.labels;
    if (!points || !labels) return {rows: [0], words: ""};
    /** @type {number[]} */
    const rows = [];
    for (let row = 0; row < labels.length; row++) if (labels[row] === label) rows.push(row);
    const middle = (/** @type {Uint16Array} */ places) => Float64Array.from(rows, (row) => places[row]).sort()[rows.length >> 1];
    const [x, y] = [middle(points.x), middle(points.y)];
    const far = (/** @type {number} */ row) => Math.hypot(points.x[row] - x, points.y[row] - y);
    const row = rows.reduce((best, one) => (far(one) < far(best) ? one : best), rows[0] ?? 0);
    return {rows: [row], words: ""};
  }

  async function draw() {
    for (const which of /** @type {const} */ (["from", "to"])) {
      const {rows, words} = ends[which];
      slots[which].words.textContent = words || (await context.nameOf(rows[0]));
      slots[which].select.value = ends[which].rows.length === 1 && context.labels ? String(context.labels[ends[which].rows[0]]) : "";
    }
    const found = await context.attempt(
      source.path({from: ends.from.rows, to: ends.to.rows, way, steps: STEPS, map: context.facts.map}),
    );
    if (!found) return;
    path = found;
    note.textContent = path.note;
    fill(strip, ...Array.from(path.ratio, (ratio, i) => {
      const card = el("button", {type: "button", class: "step", onclick: () => show(i), "data-far": String(ratio > 1.5),
        "aria-label": `step ${i}: ${ratio.toFixed(2)} usual distances from the data`});
      card.append(picture(/** @type {import("./types.js").Decoded} */ (path).pixels, info.shape, "", i));
      return card;
    }));
    show(Number(handle.input.value));
  }

  /** @param {number} step */
  function show(step) {
    if (!path) return;
    handle.input.value = String(step);
    handle.output.textContent = `${Math.round((100 * step) / (STEPS - 1))} %`;
    paint(large, path.pixels, info.shape, step);
    honest.show(path.ratio[step], path.round_trip[step]);
    for (const [i, one] of [...strip.children].entries()) one.setAttribute("aria-current", String(i === step));
    if (context.facts.tab === "path") mark(step);
  }

  /** @param {number} step */
  function mark(step) {
    if (!path) return;
    const {x, y} = context.fromUnits(path.places);
    const off = Array.from(path.ratio).slice(1).map((ratio, i) => Math.max(ratio, /** @type {any} */ (path).ratio[i]) > 1.5);
    context.mark("path", [
      {kind: "line", x, y, off},
      {kind: "dots", x: [x[0], x[x.length - 1]], y: [y[0], y[y.length - 1]], radius: 5, ring: true},
      {kind: "dots", x: [x[step]], y: [y[step]], radius: 7},
    ]);
  }

  // The handle follows a pointer that goes along the path on the map.
  view.addEventListener("move", (event) => {
    if (!path || context.facts.tab !== "path") return;
    const at = /** @type {CustomEvent} */ (event).detail;
    const {x, y} = context.fromUnits(path.places);
    const far = x.map((one, i) => Math.hypot(one - at.x, y[i] - at.y) * view.view.scale);
    const nearest = far.indexOf(Math.min(...far));
    if (far[nearest] < NEAR && String(nearest) !== handle.input.value) show(nearest);
  });
  view.addEventListener("press", (event) => {
    const {row} = /** @type {CustomEvent} */ (event).detail;
    if (context.facts.tab !== "path" || row < 0) return;
    ends[picking || "to"] = {rows: [row], words: ""};
    picking = "";
    for (const one of Object.values(slots)) one.pick.setAttribute("aria-pressed", "false");
    draw();
  });
  context.on("tab", () => context.facts.tab !== "path" && context.mark("path", []));
  context.on("points", () => context.facts.tab === "path" && draw());
  return {
    name: "path",
    title: "Path",
    element,
    shown() {
      if (!ends.from.rows.length) {
        const last = Math.min(info.class_names.length - 1, 7);
        ends.from = info.class_names.length ? ofClass(last) : {rows: [0], words: ""};
        ends.to = info.class_names.length > 1 ? ofClass(last === 1 ? 0 : 1) : {rows: [1], words: ""};
      }
      draw();
    },
  };
}
