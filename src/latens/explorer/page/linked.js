// A second run beside the first. Its store follows the first one, which has the facts: each image by its id, each place by the frame
// that both maps have. What a pointer does on the second map changes facts of the first store.

import {el, fill} from "./dom.js";
import {maskOf} from "./filters.js";
import {hoverCard} from "./hover.js";
import {coloured} from "./legend.js";
import {drawnMap} from "./map-drawn.js";
import {wire} from "./map-input.js";
import {mapTitle} from "./map-bar.js";
import {MapView} from "./map.js";
import {NO_VALUE, readable} from "./numbers.js";
import {captioned, frame, paint} from "./pictures.js";
import {latest} from "./run-panel.js";
import {Store} from "./store.js";

const ARBITRARY = "cluster"; // its numbers mean nothing in another run

/** @typedef {import("./types.js").Link} Link */
/** The second run: its store, what links it, and the row of an image of either run in the other; null where that does not have it. @typedef {{store: Store, link: Link, there: (row: number) => number|null, back: (row: number) => number|null}} Linked */

/**
 * @param {Store} store of the first run @param {import("./types.js").Source} source of the second @param {HTMLElement} room of the maps
 */
export async function linkRuns(store, source, room) {
  const info = await source.run();
  const link = await store.source.link();
  const there = (/** @type {number} */ row) => rowIn(link.rows, row + link.first, link.none);
  const inverse = new Int32Array(link.other_first + info.count).fill(link.none);
  link.rows.forEach((row, i) => row !== link.none && (inverse[row + link.other_first] = i - link.first));
  const back = (/** @type {number} */ row) => rowIn(inverse, row + link.other_first, link.none);

  const host = el("div", {class: "map"});
  const name = el("p", {class: "map-name"});
  const box = el("div", {class: "map-box"}, name, host);
  room.querySelector(".map-box")?.append(el("p", {class: "map-name"}, store.info.name));
  room.append(box);
  const view = new MapView(host, {label: `Map of ${info.name}, ${info.count} images; keys as on the first map`});
  const other = new Store(source, info, view);
  Object.assign(other, {quiet: true, say: store.say, announce: store.announce});
  const map = drawnMap(other);
  const linked = {store: other, link, there, back};
  hoverCard(other, box);
  wire(store, view, (point) => back(other.rowOf(point)));
  followFacts(store, linked, map);
  followViews(store.view, view, () => isLaid(other));
  box.append(bothStrip(store, linked));
  other.on("points", () => fill(name, info.name, el("small", {}, ` ${mapTitle(other.facts.map)}${laidWords(other.facts.points?.laid)}`)));
  store.set({linked});
}

/** @param {Int32Array} rows @param {number} at @param {number} none */
const rowIn = (rows, at, none) => (rows[at] === undefined || rows[at] === none ? null : rows[at]);

/** Whether a place is the same on both maps. @param {Store} other */
const isLaid = (other) => Boolean(other.facts.points?.laid);

/** @param {import("./types.js").Laid|null|undefined} laid */
function laidWords(laid) {
  if (!laid) return " · not laid onto the first map: too few images are on both";
  const turn = Math.round(laid.angle) ? `turned by ${Math.round(laid.angle)}°` : "";
  return ` · ${[laid.mirrored ? "mirrored" : "", turn].filter(Boolean).join(" and ") || "not turned"}, scale ${readable(laid.scale, 2)}`;
}

/** @param {Store} store @param {Linked} linked @param {ReturnType<typeof drawnMap>} map */
function followFacts(store, {store: other, there, back, link}, map) {
  const {info, source, view} = other;

  // The same part of its images as of the first run's.
  async function showMap() {
    const {points, map: name, part} = store.facts;
    if (!points) return;
    const labelled = info.columns.some((one) => one.name === "label");
    const found = await other.newest("viewed", () => Promise.all([source.map(name, part), labelled ? source.column("label", part) : null]), {busy: view.host});
    if (!found) return;
    const [theirs, labels] = found;
    other.labels = /** @type {Uint16Array|null} */ (labels);
    other.set({map: theirs.name, points: theirs, part, snapshot: null, ...(part === other.facts.part ? {} : {filtered: null})});
    await Promise.all([colour(), filter()]);
  }

  /** Whether both maps show the same part, so that values of points of one can be given to the other. */
  const together = () => other.facts.points !== null && other.facts.part === store.facts.part;

  // Both runs' own values where both have the column, on the scale of the first; else those that the first run has of an image.
  async function colour() {
    const column = store.columns.find(({name}) => name === store.facts.coloured);
    if (!column || !together()) return;
    const {part} = other.facts;
    const own = columnLike(info, column, other.facts.map);
    const values = await other.newest("coloured", () => Promise.all([store.column(column.name), own && source.column(own.name, part)]));
    if (!values || !together() || part !== other.facts.part) return;
    const [mine, theirs] = values;
    const looks = coloured(column, theirs ?? ofImages(mine, column), column.kind === "number" ? coloured(column, mine, store.facts.scales[column.name]) : undefined);
    map.paint({column, looks});
  }

  /** The point of the first map that shows the same image as one of the second's, or -1. @param {number} point */
  const twin = (point) => store.pointOf(back(other.rowOf(point)));

  /** Values of the first run's points as those of the second's. @param {Uint16Array|Float32Array} mine @param {import("./types.js").ColumnInfo} column */
  const ofImages = (mine, column) => Float32Array.from({length: other.count}, (_, point) => mine[twin(point)] ?? (column.kind === "class" ? NO_VALUE : NaN));

  // A filter is about what the first run says of an image; images that are not on its map are judged by what the second says.
  async function filter() {
    const {filtered, filters} = store.facts;
    if (!filtered) {
      other.drop("filtered");
      return other.set({filtered: null});
    }
    if (!together() || filtered.length !== store.count) return; // it comes with what is on its way
    const own = Object.keys(filters).every((name) => store.info.columns.some((one) => one.name === name && columnLike(info, one, name.slice(6))));
    const mask = own ? await other.newest("filtered", () => maskOf(other, filters)) : new Uint8Array(other.count);
    if (!mask || !together() || mask.length !== other.count || filtered !== store.facts.filtered) return;
    for (let point = 0; point < mask.length; point++) mask[point] = filtered[twin(point)] ?? mask[point];
    other.set({filtered: mask});
  }

  async function play() {
    const {snapshot} = store.facts;
    if (!snapshot || !link.other_epochs.length) return void (other.plays && other.set({snapshot: null}));
    const found = await other.newest("played", () => source.snapshot(latest(link.other_epochs, snapshot.at)));
    if (found && store.facts.snapshot === snapshot) other.set({snapshot: {...found, at: snapshot.at}});
  }

  const follow = {
    points: showMap,
    coloured: colour,
    scales: colour,
    filtered: filter,
    snapshot: play,
    selected: () => other.set({selected: store.facts.selected.flatMap((row) => there(row) ?? [])}),
    current: () => other.set({current: store.facts.current === null ? null : there(store.facts.current)}),
    look: () => other.set({look: store.facts.look}),
    tool: () => view.setTool(store.facts.tool),
  };
  for (const [fact, act] of Object.entries(follow)) {
    store.on(/** @type {keyof typeof follow} */ (fact), act);
    act();
  }
}

/**
 * The column of another run that says the same; undefined without one.
 * @param {import("./types.js").RunInfo} info @param {import("./types.js").ColumnInfo} column @param {string} map of the other run
 */
export function columnLike(info, column, map) {
  const name = column.name.startsWith("trust:") ? `trust:${map}` : column.name;
  return info.columns.find((one) => one.name === name && one.name !== ARBITRARY && one.kind === column.kind && String(one.names) === String(column.names));
}

/** Both maps show the same places. @param {MapView} first @param {MapView} second @param {() => boolean} laid */
function followViews(first, second, laid) {
  let following = false;
  for (const [view, other] of [[first, second], [second, first]]) {
    view.on("view", () => {
      if (following || !laid()) return;
      following = true;
      other.follow(view);
      following = false;
    });
  }
}

/** What both runs make of the image under the pointer or the current one, or of the place that is decoded. @param {Store} store @param {Linked} linked */
function bothStrip(store, {store: other, there, back}) {
  const image = frame(store.info.shape, "The image");
  const [own, made] = [store, other].map(({info}) => frame(info.shape, `decoded by ${info.name}`));
  const words = el("p", {class: "quiet"}, "Move over either map: the same image is marked in both, and the same place is decoded by both.");
  const real = captioned(image, "image");
  const element = el("div", {class: "beside-pair"}, real, captioned(own, store.info.name), captioned(made, other.info.name), words);
  /** The image under the pointer, as rows of the first and the second run. @type {[number|null, number|null]|null} */
  let hovered = null;
  let pointing = false; // the pointer is on the second map
  /** The image that a finger has pressed, as rows: it stands for one under the pointer. @type {[number|null, number|null]|null} */
  let pressed = null;

  async function showImage([row, twin] = hovered ?? pressed ?? [store.facts.current, other.facts.current]) {
    if (!hovered) other.mark("beside", []);
    if (row === null && twin === null) return;
    const found = await store.newest("beside", () => Promise.all([row === null ? null : store.source.image(row), twin === null ? null : other.source.image(twin)]));
    if (!found) return;
    const [mine, theirs] = found;
    const known = /** @type {import("./types.js").ImageInfo} */ (mine ?? theirs);
    real.hidden = !known.pixels.length;
    paint(image, known.pixels, (mine ? store : other).info.shape);
    const none = new Uint8Array(0);
    paint(own, mine?.reconstruction ?? none, store.info.shape);
    paint(made, theirs?.reconstruction ?? none, other.info.shape);
    const names = (mine ? store : other).info.class_names;
    const alone = mine ? store.info.name : other.info.name;
    fill(words, el("strong", {}, `image ${known.id}${known.label >= 0 ? ` · ${names[known.label]}` : ""}`), el("br"),
      mine && theirs ? `error ${readable(mine.error)} and ${readable(theirs.error)}` : `It is in ${alone} only.`);
  }

  async function showPlace() {
    const {decoded} = store.facts;
    const {points} = other.facts;
    if (!decoded || hovered || pressed || !points) return;
    real.hidden = true;
    paint(own, decoded.found.pixels, store.info.shape);
    const {laid} = points;
    if (!laid || !points.decodable || !other.info.decodes) {
      store.drop("beside");
      paint(made, new Uint8Array(0), other.info.shape);
      return void fill(words, laid ? `${other.info.name} cannot decode this place.` : "The maps are not laid onto each other: no place is the same on both.");
    }
    const [x, y] = unlaid(laid, store.toUnits(decoded.x, decoded.y));
    const found = await store.newest("beside", () => other.source.decodeAt(points.name, x, y));
    if (!found || hovered || pressed || store.facts.decoded !== decoded) return;
    paint(made, found.pixels, other.info.shape);
    fill(words, el("strong", {}, "The same place, decoded by both"), el("br"),
      `${readable(decoded.found.ratio[0], 2)} and ${readable(found.ratio[0], 2)} × the usual distance from the nearest image`);
    other.mark("beside", [{kind: "cross", x: [decoded.x], y: [decoded.y]}]);
  }

  /** @param {Store} on @param {number|null} row */
  const ring = (on, row) => on.mark("beside", on.pointOf(row) < 0 || on.plays ? [] : [dot(on.view, on.pointOf(row))]);
  /** @param {[number|null, number|null]|null} rows */
  const hover = (rows) => {
    hovered = rows;
    ring(other, rows && !pointing ? rows[1] : null);
    ring(store, rows && pointing ? rows[0] : null);
    if (rows) showImage();
    else if (store.facts.tab === "decode") showPlace();
    else showImage();
  };
  /** A point of one of the maps in both runs. @param {Store} on @param {number} point @returns {[number|null, number|null]|null} */
  const rowsAt = (on, point) => {
    const row = on.rowOf(point);
    return point < 0 ? null : on === store ? [row, there(row)] : [back(row), row];
  };
  for (const on of [store, other]) {
    on.view.on("hover", ({row: point}) => {
      pointing = on === other && point >= 0;
      if (!store.plays) hover(rowsAt(on, point));
    });
  }
  // The panels listen to the first map: a place of the second is the same place there.
  for (const name of ["move", "press", "leave"]) {
    other.view.on(name, (told) => isLaid(other) && !store.plays && store.view.tell(name, told && {...told, row: -1}));
  }
  for (const on of [store, other]) { // after that: what is told of the second map there is a place, and no image
    on.view.on("press", ({row: point, touch}) => {
      if (store.plays || !touch) return;
      pressed = rowsAt(on, point);
      if (pressed) showImage();
    });
  }
  showImage(); // one may be named by the address
  store.on("decoded", showPlace);
  store.on("current", () => {
    pressed = null;
    if (!hovered) showImage();
  });
  store.on(["points", "snapshot"], () => [store, other].forEach((one) => one.mark("beside", [])));
  return element;
}

/** A place in the units of the first's map in those of the second's own. @param {import("./types.js").Laid} laid @param {[number, number]} place @returns {[number, number]} */
function unlaid({rotation, scale, origin, target}, place) {
  const [dx, dy] = [0, 1].map((axis) => (place[axis] - target[axis]) / scale);
  return [origin[0] + dx * rotation[0][0] + dy * rotation[0][1], origin[1] + dx * rotation[1][0] + dy * rotation[1][1]];
}

/** @param {MapView} view @param {number} point @returns {import("./types.js").Mark} */
function dot(view, point) {
  const {x, y} = view.placeOf(point);
  return {kind: "dots", x: [x], y: [y], radius: 7, ring: true};
}
