// Paths: from one image to another, the strip of decoded pictures on the way, and where it leaves the data.

import {button, choice, el, fill, slider} from "./dom.js";
import {gauge, judge} from "./gauge.js";
import {percent, steady} from "./numbers.js";
import {copy, download, jsonOf, pngOf} from "./files.js";
import {captioned, frame, paint, picture} from "./pictures.js";
import {sheetOf} from "./sheet.js";
import {markOf} from "./store.js";

const STEPS = 13; // pictures of the strip
const FINE = 0.25; // steps of the handle; between two images of the strip a new one is decoded
const NEAR = 12; // pixels from a point of the path
const SAME = 0.5; // pixels; places less far apart count as one
const WORDS = /** @type {Record<string, string>} */ ({linear: "straight line", spherical: "arc", graph: "from neighbour to neighbour"});

/** @typedef {{rows: number[], words: string}} End */

/** @param {import("./store.js").Store} store */
export function pathPanel(store) {
  const {info, source, view} = store;
  /** @type {{from: End, to: End}} */
  const ends = {from: {rows: [], words: ""}, to: {rows: [], words: ""}};
  let way = info.ways[0];
  const ways = choice("Kind of path", info.ways.map((name) => ({value: name, text: WORDS[name] ?? name})), way, (value) => {
    way = value;
    draw();
  });
  let picking = /** @type {"from"|"to"|""} */ ("");
  /** @type {import("./types.js").Decoded|null} */
  let path = null;
  let pathMap = ""; // on which its places are

  const large = frame(info.shape, "The decoded image at the handle");
  const largeCard = captioned(large, "at the handle");
  const honest = gauge();
  const strip = el("div", {class: "strip", role: "group", "aria-label": "Images along the path"});
  const note = el("p", {class: "quiet"});
  const slots = {from: slot("from", "From"), to: slot("to", "To")};
  const handle = slider("Along the path", {min: 0, max: STEPS - 1, step: FINE, value: 0}, show, (value) => percent(value / (STEPS - 1)));
  const element = el(
    "div",
    {},
    el("p", {}, "What lies between two images? Choose two ends, then drag the handle in the panel or on the map."),
    slots.from.element,
    slots.to.element,
    ways.element,
    handle.element,
    strip,
    el("p", {class: "row"}, button("Save strip", save), button("Copy as JSON", copyPath)),
    el("div", {class: "pair even"}, largeCard, honest.element),
    note,
  );

  slots.to.element.append(button("Swap", () => {
    [ends.from, ends.to] = [ends.to, ends.from];
    draw();
  }));

  async function save() {
    if (!path) return store.say("There is no path yet.");
    const {pixels, ratio} = path;
    const words = Array.from(ratio, (value) => `${steady(value)} ×`);
    const cells = words.map((_, index) => ({pixels, index, words: words[index]}));
    const title = `${info.name} · ${WORDS[way] ?? way} · distance of each from the nearest image, in usual distances between neighbours`;
    download(await store.attempt((async () => pngOf(sheetOf(cells, info.shape, {across: STEPS, title})))()), `${info.name}-path.png`);
  }

  async function copyPath() {
    if (!path) return store.say("There is no path yet.");
    const {latents, ratio} = path;
    const rows = Array.from(ratio, (_, i) => latents.slice((i * latents.length) / STEPS, ((i + 1) * latents.length) / STEPS));
    if (await store.attempt(copy(jsonOf({run: info.name, way, distance: ratio, latents: rows})).then(() => true))) store.say("The latents of the path are on the clipboard.");
  }

  /** Judgement of a step. @param {import("./types.js").Decoded} of @param {number} step */
  const judged = (of, step) => judge(of.ratio[step], of.round_trip[step], of.moved[step]);

  /** @param {"from"|"to"} which @param {string} title */
  function slot(which, title) {
    const words = el("span", {class: "chosen"});
    const pick = button("Pick on the map", () => {
      picking = which;
      store.say("Press an image on the map.");
      for (const [name, one] of Object.entries(slots)) one.pick.setAttribute("aria-pressed", String(name === which));
    }, {"aria-pressed": "false"});
    const options = info.class_names.map((name, label) => ({value: String(label), text: name}));
    const classes = choice(title, [{value: "", text: "an image"}, ...options], "", (value) => {
      if (value === "") return;
      ends[which] = ofClass(Number(value));
      draw();
    });
    const current = button("Current image", () => {
      if (store.facts.current === null) return store.say("There is no current image: press one on the map, or open one from a list.");
      ends[which] = {rows: [store.facts.current], words: ""};
      draw();
    });
    const selection = button("Mean of the selection", () => {
      const rows = store.facts.selected;
      if (!rows.length) return store.say("Select some images first, with box or lasso above the map.");
      ends[which] = {rows, words: `mean of ${rows.length} images`};
      draw();
    });
    return {element: el("div", {class: "slot"}, classes.element, words, pick, current, selection), words, pick, select: classes.select};
  }

  /** The image of a class that lies in the middle of it on the map. @param {number} label @returns {End} */
  function ofClass(label) {
    const points = store.facts.points;
    const labels = store.labels;
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

  /** The path that an address names. @param {{from: number[], to: number[], way: string}} known */
  function adopt(known) {
    const end = (/** @type {number[]} */ rows) => ({rows, words: rows.length === 1 ? "" : `mean of ${rows.length} images`});
    [ends.from, ends.to, way] = [end(known.from), end(known.to), known.way];
    ways.select.value = way;
  }

  store.on("path", () => {
    const {path: known, tab} = store.facts;
    if (!known || (known.from === ends.from.rows && known.to === ends.to.rows && known.way === way)) return;
    adopt(known);
    if (tab === "path") draw();
  });

  /** There is no path: say why. @param {string} why */
  function clear(why) {
    path = null;
    fill(strip);
    note.textContent = why;
    paint(large, new Uint8Array(0), info.shape);
    honest.clear();
    store.mark("path", []);
  }

  async function draw() {
    if (path && pathMap !== store.facts.map) store.mark("path", []); // its places are another map's
    const [{rows: from}, {rows: to}] = [ends.from, ends.to];
    const map = store.facts.map;
    store.set({path: {from, to, way}});
    for (const which of /** @type {const} */ (["from", "to"])) {
      const rows = ends[which].rows;
      const known = rows.length === 1 && rows[0] >= 0 && store.labels;
      slots[which].select.value = known ? String(known[rows[0]]) : "";
      slots[which].words.textContent = ends[which].words;
      if (!ends[which].words) store.newest(`path ${which}`, () => store.nameOf(rows[0])).then((name) => name && (slots[which].words.textContent = name));
    }
    const found = await store.newest("path", () => source.path({from, to, way, steps: STEPS, map}), {
      busy: strip, failed: (words) => clear(`There is no such path: ${words}`),
    });
    if (!found) return;
    [path, pathMap] = [found, map];
    note.textContent = path.note;
    fill(strip, ...Array.from(path.ratio, (ratio, i) => {
      const {words, kind} = judged(found, i);
      const card = el("button", {type: "button", class: "step", onclick: () => show(i), "data-kind": kind,
        "aria-label": `step ${i}: ${words}, ${steady(ratio)} usual distances`});
      card.append(picture(found.pixels, info.shape, "", i));
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
    handle.refresh();
    for (const [i, one] of [...strip.children].entries()) one.setAttribute("aria-current", String(i === step));
    if (store.facts.tab === "path") mark(at);
    if (at === step) {
      paint(large, path.pixels, info.shape, step);
      return honest.show(path, step);
    }
    const done = markOf(largeCard).start();
    const found = await store.attempt(source.decode(between(path.latents, at), "", info.latent_dim).finally(done));
    if (!found || path !== shown || Number(handle.input.value) !== at) return;
    paint(large, found.pixels, info.shape);
    honest.show(found, 0);
  }

  /** Between two rows of a list of them. @param {ArrayLike<number>} rows @param {number} at */
  function between(rows, at) {
    const width = rows.length / STEPS;
    const [i, share] = [Math.min(STEPS - 2, Math.floor(at)), at - Math.min(STEPS - 2, Math.floor(at))];
    return Float32Array.from({length: width}, (_, j) => rows[i * width + j] * (1 - share) + rows[(i + 1) * width + j] * share);
  }

  /** @param {number} at */
  function mark(at) {
    if (!path || pathMap !== store.facts.map || store.plays) return;
    const [shown, {x, y}] = [path, store.fromUnits(path.places)];
    const near = Array.from(path.ratio, (_, i) => judged(shown, i).kind === "good");
    store.mark("path", [
      {kind: "line", x, y, off: near.slice(1).map((one, i) => !one || !near[i])},
      {kind: "dots", x: [x[0], x[x.length - 1]], y: [y[0], y[y.length - 1]], radius: 5, ring: true},
      {kind: "dots", ...store.fromUnits(between(path.places, at)), radius: 7},
    ]);
  }

  /**
   * The step of the path that is nearest to a place, and how far that is in pixels. Steps may lie at one place of the map: the
   * handle then goes on to the last of them, seen from where it is.
   * @param {{x: number, y: number}} place
   */
  function nearestStep(place) {
    if (!path || pathMap !== store.facts.map) return {at: 0, far: Infinity};
    const {x, y} = store.fromUnits(path.places);
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
  view.grabs = (place) => store.facts.tab === "path" && nearestStep(place).far < NEAR;
  view.addEventListener("drag", (event) => show(nearestStep(/** @type {CustomEvent} */ (event).detail).at));
  view.addEventListener("move", (event) => {
    if (!path || store.facts.tab !== "path" || view.hands.holds) return;
    const {at, far} = nearestStep(/** @type {CustomEvent} */ (event).detail);
    view.host.classList.toggle("grab", far < NEAR);
    if (far < NEAR && Math.abs(at - Number(handle.input.value)) > FINE / 2) show(at);
  });
  view.addEventListener("press", (event) => {
    const {row} = /** @type {CustomEvent} */ (event).detail;
    if (store.facts.tab !== "path" || row < 0 || store.plays) return;
    ends[picking || "to"] = {rows: [row], words: ""};
    picking = "";
    for (const one of Object.values(slots)) one.pick.setAttribute("aria-pressed", "false");
    draw();
  });
  store.on("tab", () => {
    if (store.facts.tab === "path") return;
    view.host.classList.remove("grab");
    store.mark("path", []);
  });
  for (const fact of /** @type {const} */ (["points", "look"])) store.on(fact, () => store.facts.tab === "path" && draw());
  return {
    name: "path",
    title: "Path",
    element,
    shown() {
      const {path: known} = store.facts;
      if (known && !ends.from.rows.length) adopt(known);
      if (!ends.from.rows.length) {
        const last = Math.min(info.class_names.length - 1, 7);
        ends.from = info.class_names.length ? ofClass(last) : {rows: [0], words: ""};
        ends.to = info.class_names.length > 1 ? ofClass(last === 1 ? 0 : 1) : {rows: [1], words: ""};
      }
      draw();
    },
  };
}
