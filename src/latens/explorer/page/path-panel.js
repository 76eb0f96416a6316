// Paths: from one image to another, by way points or straight; the strip of decoded pictures on the way, and where it leaves the data.

import {waitOn} from "./busy.js";
import {button, choice, el, fill, slider} from "./dom.js";
import {gauge, judge} from "./gauge.js";
import {keptPaths} from "./kept-paths.js";
import {mapTitle} from "./map-bar.js";
import {newestWins} from "./newest.js";
import {percent, steady} from "./numbers.js";
import {download, jsonOf, pngOf} from "./files.js";
import {pathHandles} from "./path-handles.js";
import {captioned, frame, paint, picture} from "./pictures.js";
import {sheetOf} from "./sheet.js";

const STEPS = 13; // pictures of the strip
const FINE = 0.25; // steps of the handle; between two images of the strip a new one is decoded
const NEAR = 12; // pixels from a point of the path
const SNAP = 10; // pixels from an image, which then is the stop
const PULL = 36; // pixels from the path, from which on a way point is pulled out of it
const NUDGE = 10; // pixels of a step by keys that need not lead to an image
const MOST_STOPS = 8;
const SAME = 0.5; // pixels; places less far apart count as one
const WORDS = /** @type {Record<string, string>} */ ({linear: "straight line", spherical: "arc", graph: "from neighbour to neighbour"});

/** @typedef {import("./types.js").Stop} Stop */
/** @typedef {import("./map.js").Place} Place */

/** @param {import("./store.js").Store} store */
export function pathPanel(store) {
  const {info, source, view} = store;
  const ways = choice("Kind of path", info.ways.map((name) => ({value: name, text: WORDS[name] ?? name})), info.ways[0], (way) => change(stops(), way));
  /** The stop that the next press on the map chooses. @type {number|null} */
  let picking = null;
  /** The stops while one is being dragged. @type {Stop[]|null} */
  let draft = null;
  /** What is shown, and what it is of; map: on which its places are. @type {import("./types.js").Path & {of: {stops: Stop[], way: string, map: string}}|null} */
  let path = null;
  let drawing = Promise.resolve(); // what is saved is what was chosen last
  const quick = newestWins((/** @type {Parameters<typeof source.path>[0]} */ asked) => source.path(asked)); // many times a second, while a stop is dragged

  const large = frame(info.shape, "The decoded image at the handle");
  const largeCard = captioned(large, "at the handle");
  const honest = gauge();
  const strip = el("div", {class: "strip", role: "group", "aria-label": "Images along the path"});
  const note = el("p", {class: "quiet"});
  const slotBox = el("div", {});
  /** @type {ReturnType<typeof slot>[]} */
  const slots = [];
  const more = button("Add a way point", () => addStop(Number(handle.input.value)), {title: "At the handle; it can be dragged on the map"});
  const handle = slider("Along the path", {min: 0, max: STEPS - 1, step: FINE, value: 0}, show, (value) => percent(value / (STEPS - 1)));
  const kept = keptPaths(store, (one) => `${one.stops.length === 2 ? "" : `${one.stops.length} stops, `}${WORDS[one.way] ?? one.way}`);
  const element = el(
    "div",
    {},
    el("p", {}, "What lies between two images? Choose two ends, then drag the handle in the panel or on the map."),
    slotBox,
    el("p", {class: "row"}, more, button("Swap", () => change([...stops()].reverse()), {title: "The other way round"})),
    ways.element,
    handle.element,
    strip,
    el("p", {class: "row"}, button("Save strip", save), button("Copy as JSON", copyPath), button("Save as JSON", savePath)),
    el("div", {class: "pair even"}, largeCard, honest.element),
    note,
    el("p", {class: "quiet"}, "On the map the ends and way points can be dragged: onto an image, or to any place. Pull the line aside for a new way point. By keys: arrows move an end from image to image, with Shift by 10 pixels; Delete removes a way point."),
    kept.element,
  );

  /** @returns {Stop[]} */
  const stops = () => draft ?? store.facts.path?.stops ?? [];
  const way = () => store.facts.path?.way ?? info.ways[0];

  /** Another path, which can be taken back. @param {Stop[]} to @param {string} [by] */
  const change = (to, by = way()) => store.set({path: {stops: to, way: by}});

  /** @param {number} i @param {Stop} stop */
  const withStop = (i, stop) => stops().map((one, j) => (j === i ? stop : one));

  /** A way point between two steps of the path, where the path is. @param {number} at */
  async function addStop(at) {
    const [shown, chosen] = [await chosenPath(), store.facts.path];
    if (!shown || !chosen) return;
    if (shown.of.map !== store.facts.map || store.facts.points?.decodable === false) return store.say("Way points are places of a map that can be decoded.");
    if (chosen.stops.length >= MOST_STOPS) return store.say(`A path has at most ${MOST_STOPS} stops.`);
    const step = shown.stops.some((stop) => Math.abs(stop - at) < 1) ? middleOf(shown.stops) : at; // where there is a stop already, another place
    const [x, y] = between(shown.places, step);
    change(chosen.stops.toSpliced(legOf(shown.stops, step) + 1, 0, {map: shown.of.map, x, y}));
  }

  /** The stop before a step. @param {number[]} found the steps of the stops @param {number} at */
  const legOf = (found, at) => Math.max(0, Math.min(found.length - 2, found.findLastIndex((step) => step <= at)));

  /** The middle of the longest leg. @param {number[]} found the steps of the stops */
  function middleOf(found) {
    const longest = found.slice(1).reduce((best, step, i) => (step - found[i] > found[best + 1] - found[best] ? i : best), 0);
    return (found[longest] + found[longest + 1]) / 2;
  }

  /** The path that was chosen last; null where there is none, which is said. */
  async function chosenPath() {
    await drawing;
    if (!path) store.say("There is no path yet.");
    return path;
  }

  async function save() {
    const shown = await chosenPath();
    if (!shown) return;
    const {pixels, ratio, of} = shown;
    const words = Array.from(ratio, (value) => `${steady(value)} ×`);
    const cells = words.map((_, index) => ({pixels, index, words: words[index]}));
    const title = `${info.name} · ${kept.name ? `${kept.name} · ` : ""}${WORDS[of.way] ?? of.way} · distance of each from the nearest image, in usual distances between neighbours`;
    download(await store.attempt((async () => pngOf(sheetOf(cells, info.shape, {across: STEPS, title})))()), `${info.name}-${kept.name || "path"}.png`);
  }

  /** What the path is, for programs: its stops, and the latents of its steps. @returns {Promise<string|null>} */
  async function asJson() {
    const shown = await chosenPath();
    if (!shown) return null;
    const {latents, ratio, stops: found, of} = shown;
    const rows = Array.from(ratio, (_, i) => latents.slice((i * latents.length) / STEPS, ((i + 1) * latents.length) / STEPS));
    const ids = await store.attempt(Promise.all(of.stops.map(async (stop) => (Array.isArray(stop) ? {ids: await Promise.all(stop.map(async (row) => (await source.image(row)).id))} : stop))));
    return ids && jsonOf({run: info.name, ...(kept.name ? {name: kept.name} : {}), way: of.way, stops: ids.map((stop, i) => ({...stop, step: found[i]})), distance: ratio, latents: rows});
  }

  async function copyPath() {
    const text = await asJson();
    if (text) store.copy(text, "The path with its latents is");
  }

  async function savePath() {
    const text = await asJson();
    if (text) download(new Blob([text], {type: "application/json"}), `${info.name}-${kept.name || "path"}.json`);
  }

  /** The letter of a stop. @param {number} i @param {number} num of them */
  const letterOf = (i, num) => (i === 0 ? "A" : i === num - 1 ? "B" : String(i));
  /** @param {number} i @param {number} num of them */
  const titleOf = (i, num) => (i === 0 ? "From" : i === num - 1 ? "To" : `Way point ${i}`);

  /** The controls of a stop. @param {number} i */
  function slot(i) {
    const words = el("span", {class: "chosen"});
    const pick = button("Pick", () => {
      picking = picking === i ? null : i;
      if (picking !== null) store.say("Press an image or a place on the map.");
      showPicking();
    }, {"aria-pressed": "false", "aria-label": "Pick on the map", title: "Press an image or a place on the map"});
    const options = info.class_names.map((name, label) => ({value: String(label), text: name}));
    const classes = choice("", [{value: "", text: "an image"}, ...options], "", (value) => value !== "" && change(withStop(i, ofClass(Number(value)))));
    const current = button("Current", () => {
      if (store.facts.current === null) return store.say("There is no current image: press one on the map, or open one from a list.");
      change(withStop(i, [store.facts.current]));
    }, {"aria-label": "Current image", title: "The current image"});
    const selection = button("Selection", () => {
      const rows = store.facts.selected;
      if (!rows.length) return store.say("Select some images first, with box or lasso above the map.");
      change(withStop(i, rows));
    }, {"aria-label": "Mean of the selection", title: "The mean of the selected images"});
    const remove = button("Remove", () => removeStop(i));
    const label = /** @type {HTMLElement} */ (classes.element.querySelector("label"));
    return {element: el("div", {class: "slot"}, classes.element, words, el("div", {class: "row"}, pick, current, selection, remove)), words, pick, select: classes.select, label, remove, name: ""};
  }

  /** @param {number} i */
  function removeStop(i) {
    if (stops().length > 2) change(stops().toSpliced(i, 1));
    else store.say("A path has two ends.");
  }

  function showPicking() {
    slots.forEach(({pick}, i) => pick.setAttribute("aria-pressed", String(i === picking)));
  }

  /** What the stops are, in the panel and on the map. @param {Stop[]} all */
  function showStops(all) {
    const num = all.length;
    while (slots.length > num) slots.pop()?.element.remove();
    while (slots.length < num) slots.push(slot(slots.length));
    slotBox.append(...slots.map((one) => one.element).filter((one) => !one.isConnected));
    more.disabled = num >= MOST_STOPS;
    all.forEach((stop, i) => {
      const {words, select, label, remove} = slots[i];
      const title = titleOf(i, num);
      label.textContent = i && i < num - 1 ? `Via ${i}` : title;
      remove.hidden = num < 3;
      remove.setAttribute("aria-label", `Remove ${title}`);
      const known = Array.isArray(stop) && stop.length === 1 && stop[0] >= 0 && store.labels;
      select.value = known ? String(known[stop[0]]) : "";
      const name = !Array.isArray(stop) ? `a place of the map ${mapTitle(stop.map)}` : stop.length === 1 ? "" : `mean of ${stop.length} images`;
      /** @param {string} found */
      const called = (found) => {
        words.textContent = words.title = slots[i].name = found;
        showHandles();
      };
      if (name) {
        store.drop(`path ${i}`);
        called(name);
      } else if (Array.isArray(stop)) store.newest(`path ${i}`, () => store.nameOf(stop[0])).then((found) => found && slots[i] && called(found));
    });
  }

  /** The class's image that lies in its middle on the map. @param {number} label @returns {Stop} */
  function ofClass(label) {
    const {points} = store.facts;
    if (!points) return [0];
    const own = store.pointsOfClass(label);
    const middle = (/** @type {Uint16Array} */ places) => Float64Array.from(own, (point) => places[point]).sort()[own.length >> 1];
    const [x, y] = [middle(points.x), middle(points.y)];
    const far = (/** @type {number} */ point) => Math.hypot(points.x[point] - x, points.y[point] - y);
    return [store.rowOf(own.reduce((best, one) => (far(one) < far(best) ? one : best), own[0] ?? 0))];
  }

  /** There is no path: say why. @param {string} why */
  function clear(why) {
    path = null;
    fill(strip);
    note.textContent = why;
    paint(large, new Uint8Array(0), info.shape);
    honest.clear();
    store.mark("path", []);
    showHandles();
  }

  /** Show the path that the store has, or the one that is being dragged. */
  const draw = () => (drawing = drawNow());

  async function drawNow() {
    const {path: known, map} = store.facts;
    if (!known) return;
    if (path && path.of.map !== map) store.mark("path", []); // its places are another map's
    const all = stops();
    if (ways.select.value !== known.way) ways.select.value = known.way;
    if (!draft) showStops(all);
    showHandles();
    if (draft && known.way === "graph") return mark(Number(handle.input.value)); // it is looked for when the stop is let go
    const asked = {stops: all, way: known.way, steps: STEPS, map};
    const found = await store.newest("path", () => (known.way === "graph" ? source.path(asked) : quick(asked)), {
      busy: draft ? null : strip, failed: (words) => clear(`There is no such path: ${words}`),
    });
    if (!found) return;
    path = {...found, of: {stops: all, way: known.way, map}};
    note.textContent = path.note;
    fill(strip, ...Array.from(path.ratio, (ratio, i) => {
      const {words, kind} = judge(found, i);
      const stop = found.stops.indexOf(i);
      return button(picture(found.pixels, info.shape, "", i), () => show(i),
        {class: "step", "data-kind": kind, "data-letter": stop < 0 ? null : letterOf(stop, all.length), "aria-label": `step ${i}: ${words}, ${steady(ratio)} usual distances`});
    }));
    showHandles();
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
    const done = waitOn(largeCard);
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

  /** A place of the map's own units in 16-bit units. @param {ArrayLike<number>} place @returns {Place} */
  function inUnits(place) {
    const {x: [x], y: [y]} = store.fromUnits(place);
    return {x, y};
  }

  /** Where a stop is on the map that is shown, in 16-bit units; null where that is not known yet. @param {Stop} stop @param {number} i @returns {Place|null} */
  function placeOf(stop, i) {
    const point = Array.isArray(stop) && stop.length === 1 ? store.pointOf(stop[0]) : -1;
    if (point >= 0 && point < view.count) return view.placeOf(point);
    if (!Array.isArray(stop) && stop.map === store.facts.map) return inUnits([stop.x, stop.y]);
    const step = path?.stops[i];
    return path && step !== undefined && path.of.map === store.facts.map ? inUnits(path.places.subarray(2 * step, 2 * step + 2)) : null;
  }

  const seen = () => store.facts.tab === "path" && !store.plays && store.facts.points !== null;

  function showHandles() {
    const all = stops();
    const places = seen() ? all.map(placeOf) : [];
    if (!places.length || places.includes(null)) return handles.clear();
    handles.show(places.map((place, i) => ({
      .../** @type {Place} */ (place), letter: letterOf(i, all.length), name: `${titleOf(i, all.length)} of the path${slots[i]?.name ? `: ${slots[i].name}` : ""}`,
    })));
  }

  /** @param {number} at */
  function mark(at) {
    if (!path || !seen() || path.of.map !== store.facts.map) return;
    const [shown, {x, y}] = [path, store.fromUnits(path.places)];
    const near = Array.from(path.ratio, (_, i) => judge(shown, i).kind === "good");
    const places = stops().map(placeOf).filter((place) => place !== null);
    /** From a stop to where its latent belongs, if that is elsewhere, or if the path to it is not known yet. @type {import("./types.js").Mark[]} */
    const apart = [];
    const joined = draft && store.facts.path?.way === "graph";
    if (joined) apart.push({kind: "line", x: places.map((one) => one.x), y: places.map((one) => one.y), off: places.slice(1).map(() => true), colour: "ink"});
    else places.forEach((one, i) => {
      const step = shown.stops[i];
      if (step === undefined || Math.hypot(one.x - x[step], one.y - y[step]) * view.view.scale < NEAR) return;
      apart.push({kind: "line", x: [one.x, x[step]], y: [one.y, y[step]], off: [true], colour: "ink"});
    });
    store.mark("path", [
      {kind: "line", x, y, off: near.slice(1).map((one, i) => !one || !near[i])},
      ...apart,
      {kind: "dots", x: places.map((one) => one.x), y: places.map((one) => one.y), radius: 6, ring: true},
      {kind: "dots", ...store.fromUnits(between(path.places, at)), radius: 7},
    ]);
  }

  /**
   * The step of a line that is nearest to a place, and how far that is in pixels. Steps may lie at one place of the map: the handle then goes on to
   * the last of them, seen from where it is.
   * @param {Place} place @param {{x: number[], y: number[]}} [line] of the path, by default
   */
  function nearestStep(place, line = path && path.of.map === store.facts.map ? store.fromUnits(path.places) : {x: [], y: []}) {
    const {x, y} = line;
    if (!x.length) return {at: 0, far: Infinity};
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

  // ---- dragging

  /** The stop that a place of the map stands for: the image that lies there, or else the place itself. @param {Place} place @param {number} [snap] pixels @returns {Promise<Stop|null>} */
  async function stopAt({x, y}, snap = SNAP) {
    const {map, points} = store.facts;
    const point = await view.ask({type: "pick", x, y, radius: points?.decodable === false ? 65536 : snap / view.view.scale});
    if (point >= 0) return [store.rowOf(point)];
    if (points?.decodable === false) return null;
    const [unitsX, unitsY] = store.toUnits(x, y);
    return {map, x: unitsX, y: unitsY};
  }

  let dragged = 0; // counts what was begun, so that an answer of an earlier drag changes nothing

  /** Something is being dragged: show the path that it would be. @param {Place} place @param {(stop: Stop) => Stop[]} made @param {boolean} [ends] it was let go there */
  async function drag(place, made, ends = false) {
    const round = ends ? ++dragged : dragged;
    const stop = await stopAt(place);
    if (round !== dragged) return;
    const all = stop ? made(stop) : null;
    draft = ends ? null : all;
    if (ends && all) change(all);
    else draw();
  }

  /** Nothing is dragged any more: the path is what it was before. */
  function letGo() {
    dragged++;
    draft = null;
    draw();
  }

  const handles = pathHandles(view, {
    move: (i, place) => drag(place, (stop) => withStop(i, stop)),
    end(i, place) {
      if (place) drag(place, (stop) => withStop(i, stop), true);
      else letGo();
    },
    async step(i, [dx, dy], fine) {
      const place = placeOf(stops()[i], i);
      if (!place) return;
      const stop = fine ? await stopAt({x: place.x + (dx * NUDGE) / view.view.scale, y: place.y + (dy * NUDGE) / view.view.scale}, 0)
        : await view.ask({type: "walk", ...place, dx, dy}).then((point) => (point < 0 ? null : [store.rowOf(point)]));
      if (stop) change(withStop(i, stop));
    },
    remove: removeStop,
  });

  /** The line when it was taken hold of, and where a way point is being pulled out of it. @type {{line: {x: number[], y: number[]}, stops: number[], at: number, pulls: boolean}|null} */
  let pulled = null;

  // The handle can be dragged along the path on the map, and follows a pointer that goes along it.
  view.grabs = (place) => store.facts.tab === "path" && nearestStep(place).far < NEAR;
  view.on("drag", (place) => {
    const known = store.facts.path;
    if (!path || !known) return;
    pulled ??= {line: store.fromUnits(path.places), stops: path.stops, at: nearestStep(place).at, pulls: false};
    const {at, far} = nearestStep(place, pulled.line);
    const pulls = far > PULL && known.stops.length < MOST_STOPS;
    if (pulls) {
      pulled.pulls = true;
      const leg = legOf(pulled.stops, pulled.at);
      return drag(place, (stop) => known.stops.toSpliced(leg + 1, 0, stop));
    }
    pulled.at = at;
    if (pulled.pulls) letGo();
    pulled.pulls = false;
    show(at);
  });
  view.on("drop", ({x, y, meant}) => {
    const [before, known] = [pulled, store.facts.path];
    pulled = null;
    if (!before?.pulls || !known) return;
    if (meant) drag({x, y}, (stop) => known.stops.toSpliced(legOf(before.stops, before.at) + 1, 0, stop), true);
    else letGo();
  });
  view.on("move", (place) => {
    if (!path || store.facts.tab !== "path" || view.hands.holds || handles.held) return;
    const {at, far} = nearestStep(place);
    view.host.classList.toggle("grab", far < NEAR);
    if (far < NEAR && Math.abs(at - Number(handle.input.value)) > FINE / 2) show(at);
  });
  view.on("press", async ({row, x, y}) => {
    if (store.facts.tab !== "path" || store.plays) return;
    const i = picking ?? (row >= 0 ? stops().length - 1 : -1);
    if (i < 0) return;
    picking = null;
    showPicking();
    const stop = row >= 0 ? [store.rowOf(row)] : await stopAt({x, y});
    if (stop) change(withStop(i, stop));
  });
  store.on(["tab", "snapshot"], () => {
    if (seen()) return;
    view.host.classList.remove("grab");
    store.mark("path", []);
    handles.clear();
  });
  store.on(["path", "points", "look"], () => store.facts.tab === "path" && draw());
  return {
    name: "path",
    title: "Path",
    element,
    shown() {
      kept.read();
      if (store.facts.path) return draw();
      const last = Math.min(info.class_names.length - 1, 7);
      const [from, to] = last > 0 ? [ofClass(last), ofClass(last === 1 ? 0 : 1)] : [[0], [1]];
      store.set({path: {stops: [from, to], way: info.ways[0]}}, {undoable: false});
    },
  };
}
