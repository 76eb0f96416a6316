// The source of a page that is one file: it computes all answers of the server from the data in the file.
//
// Latents are stored as 16 bit between the lowest and the highest value of each number; results differ from those of Python by less
// than 1e-3. There are at most 50,000 images, so neighbours are found by comparing all of them. Those of the train part, which have
// rows below 0, come first in all arrays: `first` is how many they are.

import {fitted} from "./fit.js";
import {runLayers} from "./layers.js";
import {composed, partsOf} from "./looks.js";
import {PLACING, between, cloudOf, inverse, nearest, place} from "./near.js";
import {principal} from "./principal.js";
import {WAYS, stepsOfLegs} from "./ways.js";

/** @typedef {import("./types.js").Source} Source */
/** @typedef {import("./types.js").Decoded} Decoded */
/** @typedef {{rows: Float32Array, norms: Float64Array, dim: number}} Cloud  rows to look for neighbours in, and their squared lengths */
/** @typedef {{facts: any, plane: {mean: Float32Array, axes: Float32Array}|null, all: Float32Array, places: Float32Array, sites: Cloud, of: number[][]}} Made  a map; all: where all images lie, places: its own points; of: the points of each site */
/** @typedef {import("./types.js").Part} Part */
/** @typedef {{facts: any, array: (name: string) => any, latents: Float32Array, cloud: Cloud, clouds: (part: Part) => Cloud, first: number, count: number, dim: number, encoder: any[]|null, decoder: any[], map: (name: string) => Made, look: string, among: Part}} Held  cloud: of the map's own points; look: how images are shown, see looks.js; among: whose images are neighbours */

const NEIGHBOURS = 12; // of an image
const DRAWN = 400; // latents of a probe that are dots
const SHOWN = 10; // pictures of a probe without classes
const AROUND = 200; // neighbours whose directions are a point's own

/** What is answered, by the file or by what stands between it and the page. @typedef {Omit<Source, "among"|"table"|"encode"|"paths"|"keepPath"> & {paths: () => Promise<{of: string, kept: import("./types.js").KeptPath[]}>, encode: (picture: import("./fit.js").Picture, name: string, map: string) => Promise<import("./types.js").Given>, among: (part: Part) => Promise<void>, table: (rows: number[], map: string, part?: Part) => Promise<Record<string, (string|number)[]>>}} Offline */
/** @template {(...asked: any) => any} F @typedef {(held: Held, ...asked: Parameters<F>) => ReturnType<F>|Awaited<ReturnType<F>>} From  a function of what the file holds, too */

/** @type {{[K in keyof Offline]: From<Offline[K]>}} */
const ANSWERS = {
  run: ({facts}) => facts.run,
  show: (held, look) => void (held.look = look),
  among: (held, part) => void (held.among = part),
  channels: ({facts}) => facts.channels,
  odd: ({facts}) => given(facts.odd, "list of odd images"),
  list: ({facts}, kind) => given(facts.lists[kind], `list ${kind}`),
  link: ({facts, array}) => ({...given(facts.link, "second run"), rows: array("link rows")}),
  search: searched,
  pictures: (held, rows) => Uint8Array.from(rows.flatMap((row) => Array.from(pictureOf(held, row)))),
  classes: (held, rows) => Int32Array.from(rows, (row) => labelOf(held, row)),
  find: rowOf,
  picture: pictureOf,
  map: mapPoints,
  column: (held, name, part) => ofPart(held, held.array(`column ${name}`), part),
  thumbnails: sprites,
  image: imageOf,
  decodeAt: (held, map, x, y) => decoded(held, inverse(held, held.map(map), x, y), map),
  compass,
  decode: (held, latents, map) => decoded(held, latents, map),
  probe,
  path,
  encode: encoded,
  nearest: nearestAmong,
  paths: ({facts}) => facts.paths,
  directions,
  history: ({array}) => JSON.parse(new TextDecoder().decode(array("history"))),
  snapshot,
  mean: (held, rows) => Float32Array.from(meanOf(held, rows)),
  table,
};

/**
 * @param {{facts: string, arrays: string}} texts of the two elements that hold the file's data
 * @param {boolean} [beside] of the second run in the file
 * @returns {Offline}
 */
export function offlineSource(texts, beside = false) {
  const opening = open(texts, beside);
  const answers = Object.entries(ANSWERS).map(([name, answer]) => [name, async (/** @type {any[]} */ ...asked) => /** @type {any} */ (answer)(await opening, ...asked)]);
  return Object.fromEntries(answers);
}

const MOST_FOUND = 20;

/** As `find` of routes.py. @param {Held} held @param {string} words */
function searched({facts: {ids}, first}, words) {
  const wanted = words.toLowerCase();
  const rank = (/** @type {string} */ id) => (id === wanted ? 0 : id.startsWith(wanted) ? 1 : id.split("/").pop()?.startsWith(wanted) ? 2 : 3);
  const found = /** @type {string[]} */ (ids).flatMap((id, at) => (id.toLowerCase().includes(wanted) ? [{id, row: at - first, rank: rank(id.toLowerCase())}] : []));
  return found.sort((a, b) => a.rank - b.rank || a.row - b.row).slice(0, MOST_FOUND).map(({id, row}) => ({id, row}));
}

/** @param {Held} held @param {string} id */
function rowOf({facts: {ids}, first}, id) {
  const at = ids.indexOf(id);
  if (at < 0) throw new Error(`no image ${id} in this file`);
  return at - first;
}

/** The class of an image, or -1. @param {Held} held @param {number} row @returns {number} */
const labelOf = ({facts, array, first}, row) => (facts.labels ? array("column label")[row + first] : -1);

/**
 * What an array has of the images of a part, so many numbers each, in the order of the map: its own points, then the train part.
 * @template {Uint8Array|Uint16Array|Int32Array|Float32Array} A
 * @param {Held} held @param {A} array @param {Part} [part] @param {number} [each] @returns {A}
 */
function ofPart({first}, array, part = "test", each = 1) {
  const at = first * each;
  if (part !== "both") return /** @type {A} */ (part === "train" ? array.slice(0, at) : array.slice(at));
  const both = /** @type {A} */ (array.slice());
  both.set(array.subarray(at));
  both.set(array.subarray(0, at), array.length - at);
  return both;
}

/** The images nearest to a latent of those that are on the map, nearest first; in usual distances. @param {Held} held @param {Float32Array} latent @param {number} count */
function nearestAmong({clouds, among, first, facts}, latent, count) {
  const {distances, indices} = nearest(clouds(among), latent, count);
  const before = among === "test" ? 0 : first;
  return {rows: indices.map((at) => at - before), distances: Float32Array.from(distances, (d) => d / (facts.usual || NaN))};
}

/** @param {Held} held @param {number} row */
const latentOf = ({latents, first, dim}, row) => latents.slice((row + first) * dim, (row + first + 1) * dim);

/** @param {any} found @param {string} name */
function given(found, name) {
  if (!found) throw new Error(`this file holds no ${name}`);
  return found;
}

/** The arrays of a file, unpacked. @param {string} text @returns {Promise<ArrayBuffer>} */
function bodyOf(text) {
  const letters = atob(text.trim());
  const packed = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) packed[i] = letters.charCodeAt(i);
  return inflated(packed);
}

/** Of a file with two runs, which are opened one after the other. @type {Promise<ArrayBuffer>|null} */
let body = null;

/** @param {{facts: string, arrays: string}} texts @param {boolean} beside @returns {Promise<Held>} */
async function open(texts, beside) {
  const whole = JSON.parse(texts.facts);
  const facts = beside ? whole.beside : whole;
  if (!beside) body = bodyOf(texts.arrays);
  const buffer = await /** @type {Promise<ArrayBuffer>} */ (body);
  const array = /** @type {(name: string) => any} */ (once((name) => unpacked(facts.arrays[name], buffer, name)));
  const {count, train: first, latent_dim: dim} = facts.run;
  /** @type {Float32Array} */
  const latents = array("latents");
  const clouds = once((part) => cloudOf(latents.subarray(part === "test" ? first * dim : 0, part === "train" ? first * dim : latents.length), dim));
  const networks = {encoder: facts.encoder && layersOf(facts.encoder, array), decoder: layersOf(facts.decoder, array)};
  return {facts, array, latents, cloud: clouds("test"), clouds, first, count, dim, ...networks, map: once((name) => mapOf(facts.maps[name], array, name, first)), look: "", among: "test"};
}

/**
 * Unpack zlib data. No Blob stands between: WebKit refuses to read one in a worker of a page opened from the disk.
 * @param {Uint8Array<ArrayBuffer>} packed
 */
async function inflated(packed) {
  const {writable, readable} = new DecompressionStream("deflate");
  const writer = writable.getWriter();
  const written = Promise.all([writer.write(packed), writer.close()]);
  const [buffer] = await Promise.all([new Response(readable).arrayBuffer(), written]);
  return buffer;
}

/** @template T @param {(name: string) => T} make @returns {(name: string) => T} */
function once(make) {
  /** @type {Map<string, T>} */
  const kept = new Map();
  return (name) => {
    if (!kept.has(name)) kept.set(name, make(name));
    return /** @type {T} */ (kept.get(name));
  };
}

/**
 * Layers with weights in place of the names of weights, those beside a linear path too.
 * @param {any[]} half @param {(name: string) => any} array @returns {any[]}
 */
export function layersOf(half, array) {
  /** @param {string} key @param {any} value @returns {any} */
  const given = (key, value) => {
    if (key === "layers") return layersOf(value, array);
    return /weight$|bias$|^spread$|^further_/.test(key) ? array(value) : value;
  };
  return half.map((layer) => Object.fromEntries(Object.entries(layer).map(([key, value]) => [key, given(key, value)])));
}

/** An array of the file; of 16 bit and a scale, where there is one. @param {any} layout @param {ArrayBuffer} buffer @param {string} name */
export function unpacked(layout, buffer, name) {
  given(layout, name);
  const kind = {uint8: Uint8Array, uint16: Uint16Array, int32: Int32Array, float32: Float32Array}[/** @type {"uint8"} */ (layout.dtype)];
  const codes = new kind(buffer, layout.offset, layout.count);
  if (!layout.low) return codes;
  const {low, step} = layout;
  return Float32Array.from(codes, (code, i) => low[i % low.length] + code * step[i % low.length]);
}

/** @param {any} facts @param {(name: string) => any} array @param {string} name @param {number} first @returns {Made} */
function mapOf(facts, array, name, first) {
  if (!facts) throw new Error(`this file holds no map ${name}`);
  const all = array(`map ${name}`);
  const places = all.subarray(2 * first);
  /** @type {Map<string, number[]>} */
  const found = new Map();
  for (let row = 0; row < places.length / 2; row++) {
    const key = `${places[2 * row]} ${places[2 * row + 1]}`;
    found.set(key, [...(found.get(key) ?? []), row]);
  }
  const of = [...found.values()];
  const sites = Float32Array.from({length: 2 * of.length}, (_, i) => places[2 * of[i >> 1][0] + (i & 1)]);
  const plane = facts.plane ? {mean: array(`mean ${name}`), axes: array(`axes ${name}`)} : null;
  return {facts, plane, all, places, sites: cloudOf(sites, 2), of};
}

/** @param {Held} held @param {string} name @param {Part} [part] @returns {import("./types.js").MapPoints} */
function mapPoints(held, name, part) {
  const {facts, all} = held.map(name);
  const {laid} = facts;
  const places = ofPart(held, all, part, 2);
  const shown = (/** @type {number} */ i, /** @type {number} */ axis) => {
    if (!laid) return places[2 * i + axis];
    const [dx, dy] = [0, 1].map((from) => places[2 * i + from] - laid.origin[from]);
    return (dx * laid.rotation[0][axis] + dy * laid.rotation[1][axis]) * laid.scale + laid.target[axis];
  };
  const steps = (/** @type {number} */ axis, /** @type {number} */ from) =>
    Uint16Array.from({length: places.length / 2}, (_, i) => Math.min(65535, Math.max(0, Math.round(((shown(i, axis) - from) / facts.size) * 65535))));
  return {name, note: facts.note, left: facts.left, bottom: facts.bottom, size: facts.size, decodable: facts.decodable, laid: facts.laid, x: steps(0, facts.left), y: steps(1, facts.bottom)};
}

/** @param {Held} held @param {number} epoch @returns {import("./types.js").Snapshot} */
function snapshot({facts, array}, epoch) {
  const places = array(`snapshot ${epoch}`);
  const [x, y] = [0, 1].map((axis) => Uint16Array.from({length: places.length / 2}, (_, i) => places[2 * i + axis]));
  const labels = facts.arrays["snapshot labels"] ? array("snapshot labels").slice() : undefined;
  return {epoch, at: epoch, x, y, labels};
}

/** One page of thumbnails, each in the middle of its square. @param {Held} held @param {number} page @param {Part} [part] */
function sprites(held, page, part = "test") {
  const {size, across, per_page} = held.facts.run.thumbnails;
  const [channels, height, width] = held.facts.cell;
  const {first, count} = held;
  const start = page * per_page;
  const num = Math.min(per_page, (part === "train" ? first : part === "test" ? count : count + first) - start);
  const image = new ImageData(across * size, Math.ceil(num / across) * size);
  image.data.fill(0);
  for (let i = 3; i < image.data.length; i += 4) image.data[i] = 255;
  const [tall, wide] = [height, width].map((side) => Math.max(1, Math.round(side * Math.min(1, size / Math.max(height, width)))));
  for (let n = 0; n < num; n++) {
    const left = (n % across) * size + ((size - wide) >> 1);
    const top = Math.floor(n / across) * size + ((size - tall) >> 1);
    const point = start + n;
    const cell = cellOf(held, part === "train" ? point - first : point < count ? point : point - count - first);
    for (let c = 0; c < 3; c++) {
      const from = Math.min(c, channels - 1) * height * width;
      for (let y = 0; y < tall; y++) for (let x = 0; x < wide; x++) image.data[4 * ((top + y) * image.width + left + x) + c] = meanOfBox(cell, from, [height, width], [tall, wide], y, x);
    }
  }
  return createImageBitmap(image);
}

/** What a channel has where a place of a smaller picture lies. @type {(cell: Uint8Array, from: number, size: number[], small: number[], y: number, x: number) => number} */
function meanOfBox(cell, from, [height, width], [tall, wide], y, x) {
  const [top, bottom, left, right] = [(y * height) / tall, ((y + 1) * height) / tall, (x * width) / wide, ((x + 1) * width) / wide].map(Math.floor);
  let sum = 0;
  for (let row = top; row < bottom; row++) for (let column = left; column < right; column++) sum += cell[from + row * width + column];
  return sum / ((bottom - top) * (right - left));
}

/** An image as the file holds it, in the look; without all channels in the file in that of the run. @param {Held} held @param {number} row @returns {Uint8Array} */
function cellOf({facts, array, first, look}, row) {
  const {channels, coding} = facts.layers ?? {channels: 0, coding: ""};
  const [shown, height, width] = facts.cell;
  const [from, places] = [look && channels ? channels : shown, height * width];
  const codes = array(look && channels ? "layers" : "cells").slice((row + first) * from * places, (row + first + 1) * from * places);
  if (!look || !channels) return codes;
  return as8bit(composed(partsOf(look), Float32Array.from(codes, (code) => (code / 255) ** (coding === "root" ? 2 : 1)), places, shown));
}

/** @param {Held} held @param {number} row @returns {Uint8Array} */
function pictureOf(held, row) {
  if (held.facts.whole) return cellOf(held, row);
  return as8bit(shown(held, runLayers(held.decoder, latentOf(held, row), [held.dim])));
}

/** @param {Held} held @param {number} row @returns {import("./types.js").ImageInfo} */
function imageOf(held, row) {
  const {facts, first, dim} = held;
  if (!(row >= -first && row < held.count)) throw new Error(`image ${row} is no point of the map; points run from ${-first} to ${held.count - 1}`);
  const latents = latentOf(held, row);
  const {distances, rows} = nearestAmong(held, latents, NEIGHBOURS + 1);
  const others = [...rows.keys()].filter((i) => rows[i] !== row).slice(0, NEIGHBOURS);
  return {
    row,
    id: facts.ids[row + first],
    label: labelOf(held, row),
    error: held.array("column error")[row + first],
    columns: facts.table.map((/** @type {any} */ {title, unit, values}) => ({title, unit, value: values[row + first]})),
    pixels: facts.whole ? cellOf(held, row) : new Uint8Array(0),
    reconstruction: as8bit(shown(held, runLayers(held.decoder, latents, [dim]))),
    latents,
    neighbours: Int32Array.from(others, (i) => rows[i]),
    distances: Float32Array.from(others, (i) => distances[i]),
  };
}

/** The channels of an image as they are shown: those that add to one colour added up. @param {Held} held @param {Float32Array} image @returns {Float32Array} */
function shown({facts, look}, image) {
  const {mix, shape, network_shape} = facts.run;
  const places = shape[1] * shape[2];
  if (look) return composed(partsOf(look), image, places, shape[0]);
  if (!mix) return image;
  const result = new Float32Array(mix.length * places);
  mix.forEach((/** @type {number[]} */ channels, /** @type {number} */ to) => {
    for (const from of channels.filter((/** @type {number} */ one) => one < network_shape[0])) {
      for (let i = 0; i < places; i++) result[to * places + i] += Math.min(1, Math.max(0, image[from * places + i]));
    }
  });
  return result;
}

/** @param {Float32Array} picture */
const as8bit = (picture) => Uint8Array.from(picture, (value) => Math.round(Math.min(1, Math.max(0, value)) * 255));

/** @param {Held} held @param {Float32Array} latents @param {string} [map] @param {Uint16Array} [labels] @param {string} [note] @returns {Decoded} */
function decoded(held, latents, map = "", labels = new Uint16Array(0), note = "") {
  const {facts, cloud, dim, encoder, decoder} = held;
  const num = latents.length / dim;
  const {distances, indices} = nearest(cloud, latents, 1);
  const [channels, height, width] = facts.run.shape;
  const pixels = new Uint8Array(num * channels * height * width);
  const trips = new Float32Array(num).fill(NaN);
  const moved = new Float32Array(num).fill(NaN);
  for (let n = 0; n < num; n++) {
    const latent = latents.subarray(n * dim, (n + 1) * dim);
    const picture = runLayers(decoder, latent, [dim]);
    pixels.set(as8bit(shown(held, picture)), n * channels * height * width);
    const length = Math.sqrt(latent.reduce((sum, value) => sum + value * value, 0));
    if (!encoder) continue;
    const again = runLayers(encoder, picture.map((value) => Math.min(1, Math.max(0, value))), facts.run.network_shape);
    const away = between(again, 0, latent, 0, dim);
    trips[n] = length ? away / length : NaN;
    moved[n] = away / (facts.usual || NaN);
  }
  const places = map ? place(held, held.map(map), latents) : new Float32Array(0);
  return {pixels, latents, ratio: Float32Array.from(distances, (d) => d / (facts.usual || NaN)), round_trip: trips, moved, nearest: indices, places, labels, note};
}

/** An image of the user's, see `encode` of decoding.py. @param {Held} held @param {import("./fit.js").Picture} picture @param {string} id @param {string} map @returns {import("./types.js").Given} */
function encoded(held, picture, id, map) {
  const {facts, dim, encoder, decoder} = held;
  const shape = facts.run.network_shape;
  const image = Float32Array.from(fitted(picture, shape, facts.fit).values, (value) => Math.fround(value / 255));
  const latents = runLayers(given(encoder, "encoder"), image, shape);
  const {rows, distances} = nearestAmong(held, latents, NEIGHBOURS);
  const rebuilt = runLayers(decoder, latents, [dim]);
  const [had, takes] = [picture.shape[0], shape[0]].map((channels) => (channels === 1 ? "grey" : "colour"));
  return {
    ...decoded(held, latents, map),
    id,
    error: rebuilt.reduce((sum, value, i) => sum + (value - image[i]) ** 2, 0) / rebuilt.length,
    note: had === takes ? "" : `${had} images were turned into ${takes}, as the model takes them`,
    pixels: as8bit(shown(held, image)),
    reconstruction: as8bit(shown(held, rebuilt)),
    neighbours: rows,
    distances,
  };
}

/** Normal numbers, the same for a seed: mulberry32, and Box and Muller's method. @param {number} seed @returns {() => number} */
function normals(seed) {
  let state = (seed + 1) * 0x9e3779b9;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** Latents by a sampler: means of classes and noise, or out of those that were drawn for the file. @type {(held: Held, asked: {sampler: string, noise: number, unit: string, seed: number}, num: number) => {latents: Float32Array, labels: Uint16Array}} */
function drawn({array, dim, facts}, {sampler, noise, unit, seed}, num) {
  const {classes, bank, spreads} = facts.samplers[sampler];
  const rows = array(`sampler ${sampler}`);
  const turn = classes.length || 1;
  const normal = normals(seed);
  const latents = new Float32Array(num * dim);
  for (let n = 0; n < num; n++) {
    const rounds = Math.floor(bank / turn);
    const row = bank ? (n % turn) + turn * ((Math.floor(n / turn) + seed * 7) % rounds) : n % turn;
    const deviation = bank ? 0 : noise * (unit === "spread" ? spreads[row] : 1);
    for (let j = 0; j < dim; j++) latents[n * dim + j] = rows[row * dim + j] + (deviation ? deviation * normal() : 0);
  }
  return {latents, labels: Uint16Array.from({length: classes.length ? num : 0}, (_, n) => classes[n % turn])};
}

/** @param {Held} held @param {{sampler: string, noise: number, unit: string, seed: number, map: string}} asked @returns {import("./types.js").Probe} */
function probe(held, asked) {
  const some = drawn(held, asked, held.facts.samplers[asked.sampler].classes.length || SHOWN);
  const many = drawn(held, {...asked, seed: asked.seed + 1}, DRAWN);
  const map = held.map(asked.map);
  const near = nearest(held.cloud, many.latents, map.plane ? 1 : PLACING);
  const ratios = Float32Array.from(near.distances.filter((_, i) => i % near.k === 0), (d) => d / (held.facts.usual || NaN));
  const far = ratios.slice().sort();
  const distance = {
    name: "distance from the data",
    value: (far[DRAWN / 2 - 1] + far[DRAWN / 2]) / 2,
    unit: "×",
    hint: `median of ${DRAWN} draws, in usual distances between neighbours; 1 is as near as the data are to one another`,
  };
  return {
    ...decoded(held, some.latents, asked.map, some.labels),
    cloud: place(held, map, many.latents, map.plane ? null : near),
    cloud_labels: many.labels,
    cloud_ratio: ratios,
    spreads: held.facts.samplers[asked.sampler].spreads,
    scores: [distance, ...held.facts.samplers[asked.sampler].scores],
  };
}

/** @param {Held} held @param {{stops: import("./types.js").Stop[], way: string, steps: number, map: string}} asked @returns {import("./types.js").Path} */
function path(held, {stops, way, steps, map}) {
  const places = stops.map((stop) => (Array.isArray(stop) ? meanOf(held, stop) : Array.from(inverse(held, held.map(stop.map), stop.x, stop.y))));
  const pairs = places.slice(1).map((end, i) => [places[i], end]);
  if (pairs.some(([start, end]) => start.every((value, j) => value === end[j]))) throw new Error("a path from a place to itself; choose two different ends");
  const legs = stepsOfLegs(pairs.map(([start, end]) => between(start, 0, end, 0, held.dim)), steps);
  const found = pairs.map(([start, end], i) => WAYS[way](held, start, end, legs[i] + 1));
  const latents = Float32Array.from(found.flatMap(({points}, i) => points.slice(i ? 1 : 0)).flat());
  const at = legs.reduce((before, taken) => [...before, before[before.length - 1] + taken], [0]);
  places.forEach((place, i) => latents.set(place, at[i] * held.dim));
  const note = [...new Set(found.map((one) => one.note).filter(Boolean))].join("; ");
  return {...decoded(held, latents, map, undefined, note), stops: at};
}

/**
 * What is known of images, by the names that the server's table has too.
 * @param {Held} held @param {number[]} rows @param {string} map @param {Part} [part] whose images are on it @returns {Record<string, (string|number)[]>}
 */
function table({facts, array, first, map: mapNamed}, rows, map, part = "test") {
  const at = rows.map((row) => row + first);
  const shown = rows.map((row) => row >= 0 || part !== "test");
  /** @type {Record<string, (string|number)[]>} */
  const found = {id: at.map((i) => facts.ids[i]), ...(first ? {part: rows.map((row) => (row < 0 ? "train" : "test"))} : {})};
  const put = (/** @type {string} */ name, /** @type {(string|number)[]} */ values) => {
    while (Object.hasOwn(found, name)) name += "_";
    found[name] = values;
  };
  for (const {name, title, kind, names} of facts.run.columns) {
    if (name.startsWith("trust:") && name !== `trust:${map}`) continue;
    const values = array(`column ${name}`);
    const text = (/** @type {number} */ i) => (kind === "class" ? (names[values[i]] ?? "") : Number(values[i].toPrecision(9)));
    const none = kind === "class" ? "" : NaN;
    put(name.startsWith("table:") ? name.slice(6) : title, at.map((i, k) => (shown[k] || name === "label" || name === "error" ? text(i) : none)));
  }
  const {all} = mapNamed(map);
  ["x", "y"].forEach((name, axis) => put(name, at.map((i, k) => (shown[k] ? Number(all[2 * i + axis].toPrecision(9)) : NaN))));
  return found;
}

/** @param {Held} held @param {number[]} rows */
function meanOf({latents, first, dim}, rows) {
  const mean = new Array(dim).fill(0);
  for (const row of rows) for (let j = 0; j < dim; j++) mean[j] += latents[(row + first) * dim + j] / rows.length;
  return mean;
}

const COMPASS = 3; // directions of a compass
const STEPS = [-2, -1, 1, 2]; // of each, in standard deviations along it

/** As `compass` of decoding.py. @param {Held} held @param {string} map @param {number} x @param {number} y @returns {import("./types.js").Compass} */
function compass(held, map, x, y) {
  const {array, cloud, dim} = held;
  const made = held.map(map);
  const centre = inverse(held, made, x, y);
  const near = around(cloud, centre);
  const {mean, directions, deviations, shares} = principal(near.map((row) => rowOfCloud(cloud, row)));
  const [lowest, highest, num] = [array("lowest"), array("highest"), Math.min(COMPASS, shares.length)];
  const latents = new Float32Array((1 + num * STEPS.length) * dim);
  latents.set(centre);
  for (let i = 0; i < num; i++) {
    STEPS.forEach((step, k) => {
      for (let j = 0; j < dim; j++) {
        const value = centre[j] + step * deviations[i] * directions[i * dim + j];
        latents[(1 + i * STEPS.length + k) * dim + j] = Math.min(highest[j], Math.max(lowest[j], value));
      }
    });
  }
  const middle = [0, 1].map((axis) => near.reduce((sum, row) => sum + made.places[2 * row + axis], 0) / near.length);
  const arrows = Array.from({length: 2 * num}, (_, k) => { // the slope of the places over the scores
    const [i, axis] = [k >> 1, k & 1];
    let [sum, squares] = [0, 0];
    for (const row of near) {
      let score = 0;
      for (let j = 0; j < dim; j++) score += (cloud.rows[row * dim + j] - mean[j]) * directions[i * dim + j];
      sum += score * (made.places[2 * row + axis] - middle[axis]);
      squares += score * score;
    }
    return (sum / squares) * STEPS[STEPS.length - 1] * deviations[i];
  });
  return {...decoded(held, latents, map), around: near.length, steps: STEPS, shares: Array.from(shares.subarray(0, num)), arrows};
}

/** The rows nearest to a latent. @param {Cloud} cloud @param {Float32Array} latent */
const around = (cloud, latent) => Array.from(nearest(cloud, latent, AROUND).indices);

/** @param {Cloud} cloud @param {number} row */
const rowOfCloud = ({rows, dim}, row) => rows.subarray(row * dim, (row + 1) * dim);

/** @param {Held} held @param {number|null} row @returns {import("./types.js").Directions} */
function directions(held, row) {
  const {array, cloud} = held;
  const about = row === null
    ? {mean: array("mean"), directions: array("directions"), deviations: array("deviations"), shares: array("shares")}
    : principal(around(cloud, latentOf(held, row)).map((near) => rowOfCloud(cloud, near)));
  return {...about, lowest: array("lowest"), highest: array("highest")};
}
