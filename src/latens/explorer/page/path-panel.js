// Paths: from one image to another, the strip of pictures on the way, and where it leaves the data.

import {button, choice, el, fill, slider} from "./dom.js";
import {distanceWords, gauge} from "./gauge.js";
import {captioned, frame, paint, picture} from "./pictures.js";

const STEPS = 13; // pictures of the strip
const FINE = 0.25; // steps of the handle; between those of the strip it is decoded anew
const NEAR = 12; // pixels from a point of the path
const SAME = 0.5; // pixels, under which two places are one
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
  const handle = slider("Along the path", {min: 0, max: STEPS - 1, step: FINE, value: 0}, show, (value) => `${Math.round((100 * value) / (STEPS - 1))} %`);
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
      const card = el("button", {type: "button", class: "step", onclick: () => show(i), "data-kind": distanceWords(ratio)[1],
        "aria-label": `step ${i}: ${distanceWords(ratio)[0]}, ${ratio.toFixed(2)} usual distances`});
      card.append(picture(/** @type {import("./types.js").Decoded} */ (path).pixels, info.shape, "", i));
      return card;
    }));
    show(Number(handle.input.value));
  }

  /** What lies at a step, or between two. @param {number} at */
  async function show(at) {
    if (!path) return;
    const shown = path;
    const step = Math.round(at);
    handle.input.value = String(at);
    handle.output.textContent = `${Math.round((100 * at) / (STEPS - 1))} %`;
    for (const [i, one] of [...strip.children].entries()) one.setAttribute("aria-current", String(i === step));
    if (context.facts.tab === "path") mark(at);
    if (at === step) {
      paint(large, path.pixels, info.shape, step);
      return honest.show(path.ratio[step], path.round_trip[step]);
    }
    const found = await context.attempt(source.decode(between(path.latents, at), "", info.latent_dim));
    if (!found || path !== shown || Number(handle.input.value) !== at) return;
    paint(large, found.pixels, info.shape);
    honest.show(found.ratio[0], found.round_trip[0]);
  }

  /** Between two rows of a list of them. @param {ArrayLike<number>} rows @param {number} at */
  function between(rows, at) {
    const width = rows.length / STEPS;
    const [i, share] = [Math.min(STEPS - 2, Math.floor(at)), at - Math.min(STEPS - 2, Math.floor(at))];
    return Float32Array.from({length: width}, (_, j) => rows[i * width + j] * (1 - share) + rows[(i + 1) * width + j] * share);
  }

  /** @param {number} at */
  function mark(at) {
    if (!path) return;
    const {x, y} = context.fromUnits(path.places);
    const near = Array.from(path.ratio, (ratio) => distanceWords(ratio)[1] === "good");
    context.mark("path", [
      {kind: "line", x, y, off: near.slice(1).map((one, i) => !one || !near[i])},
      {kind: "dots", x: [x[0], x[x.length - 1]], y: [y[0], y[y.length - 1]], radius: 5, ring: true},
      {kind: "dots", ...context.fromUnits(between(path.places, at)), radius: 7},
    ]);
  }

  /**
   * The step of the path that is nearest to a place, and how far that is in pixels. Steps may lie at one place of the map: the
   * handle then goes on to the last of them, seen from where it is.
   * @param {{x: number, y: number}} place
   */
  function nearestStep(place) {
    if (!path) return {at: 0, far: Infinity};
    const {x, y} = context.fromUnits(path.places);
    /** @type {[number, number][]} */
    const found = [];
    for (let i = 0; i + 1 < x.length; i++) {
      const [dx, dy] = [x[i + 1] - x[i], y[i + 1] - y[i]];
      const share = Math.min(1, Math.max(0, ((place.x - x[i]) * dx + (place.y - y[i]) * dy) / (dx * dx + dy * dy || 1)));
      const distance = Math.hypot(x[i] + share * dx - place.x, y[i] + share * dy - place.y) * view.view.scale;
      found.push([i + share, distance]);
      if (!dx && !dy) found.push([i + 1, distance]);
    }
    const far = Math.min(...found.map(([, distance]) => distance));
    const same = found.filter(([, distance]) => distance < far + SAME).map(([at]) => Math.round(at / FINE) * FINE);
    const [first, last, now] = [Math.min(...same), Math.max(...same), Number(handle.input.value)];
    return {at: now < first ? last : now > last ? first : now, far};
  }

  // The handle can be dragged along the path on the map, and follows a pointer that goes along it.
  view.grabs = (place) => context.facts.tab === "path" && nearestStep(place).far < NEAR;
  view.addEventListener("drag", (event) => show(nearestStep(/** @type {CustomEvent} */ (event).detail).at));
  view.addEventListener("move", (event) => {
    if (!path || context.facts.tab !== "path" || view.hands.holds) return;
    const {at, far} = nearestStep(/** @type {CustomEvent} */ (event).detail);
    view.host.classList.toggle("grab", far < NEAR);
    if (far < NEAR && Math.abs(at - Number(handle.input.value)) > FINE / 2) show(at);
  });
  view.addEventListener("press", (event) => {
    const {row} = /** @type {CustomEvent} */ (event).detail;
    if (context.facts.tab !== "path" || row < 0) return;
    ends[picking || "to"] = {rows: [row], words: ""};
    picking = "";
    for (const one of Object.values(slots)) one.pick.setAttribute("aria-pressed", "false");
    draw();
  });
  context.on("tab", () => {
    if (context.facts.tab === "path") return;
    view.host.classList.remove("grab");
    context.mark("path", []);
  });
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
