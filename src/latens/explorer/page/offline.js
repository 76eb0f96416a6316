// The source of a page that is one file: everything the server would answer, from what the file itself holds.
//
// Latents lie here as 16 bit between the lowest and the highest of each number; what Python says of the same run differs by less
// than 1e-3. There are 10,000 points at most, so that everything nearest is found by looking at all of them.

import {rowDots, runLayers} from "./layers.js";

/** @typedef {import("./types.js").Source} Source */
/** @typedef {import("./types.js").Decoded} Decoded */
/** @typedef {{rows: Float32Array, norms: Float64Array, dim: number}} Cloud  rows to look for neighbours in, and their squared lengths */
/** @typedef {{facts: any, plane: {mean: Float32Array, axes: Float32Array}|null, places: Float32Array, sites: Cloud, of: number[][]}} Made  a map; of: the points of each site */
/** @typedef {{facts: any, array: (name: string) => any, cloud: Cloud, count: number, dim: number, encoder: any[]|null, decoder: any[], map: (name: string) => Made}} Held */

const INVERSE = 10; // sites that a place is mixed of
const PLACING = 25; // points by which a latent is placed, and the perplexity of their weights
const PERPLEXITY = 5;
const JOINED = 10; // neighbours that a point is joined to on the graph
const NEIGHBOURS = 12; // of an image
const DRAWN = 400; // latents of a probe that are dots
const SHOWN = 10; // pictures of a probe without classes
const AROUND = 200; // neighbours whose directions are a point's own
const DIRECTIONS = 8;
const AT_ONCE = 16; // queries of one product
const NEARLY_OPPOSITE = 1e-6; // radians
const TINY = 2.3e-308;

/**
 * @param {{facts: string, arrays: string}} [texts] of the two elements that hold the file's data
 * @returns {Source}
 */
export function offlineSource(texts = embedded()) {
  const opening = open(texts);
  /** The newest of several requests of one kind is answered, the others are null. @template {any[]} A @template T @param {(held: Held, ...asked: A) => T} answer */
  const newest = (answer) => {
    let latest = 0;
    return async (/** @type {A} */ ...asked) => {
      const mine = ++latest;
      const held = await opening;
      await new Promise((resolve) => setTimeout(resolve));
      return mine === latest ? answer(held, ...asked) : null;
    };
  };
  return {
    run: async () => (await opening).facts.run,
    map: async (name) => mapPoints(await opening, name),
    column: async (name) => (await opening).array(`column ${name}`),
    thumbnails: async (page) => sprites(await opening, page),
    image: async (row) => imageOf(await opening, row),
    decodeAt: newest((held, map, x, y) => decoded(held, inverse(held, held.map(map), x, y))),
    decode: newest((held, latents, map) => decoded(held, latents, map)),
    probe: newest(probe),
    path: newest(path),
    directions: async (row) => directions(await opening, row),
  };
}

const embedded = () => ({facts: document.getElementById("latens-data")?.textContent ?? "", arrays: document.getElementById("latens-arrays")?.textContent ?? ""});

/** @param {{facts: string, arrays: string}} texts @returns {Promise<Held>} */
async function open(texts) {
  const facts = JSON.parse(texts.facts);
  const letters = atob(texts.arrays.trim());
  const packed = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) packed[i] = letters.charCodeAt(i);
  const buffer = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
  const array = /** @type {(name: string) => any} */ (once((name) => unpacked(facts.arrays[name], buffer, name)));
  const cloud = cloudOf(array("latents"), facts.run.latent_dim);
  const held = {facts, array, cloud, count: facts.run.count, dim: cloud.dim, encoder: facts.encoder && layersOf(facts.encoder, array), decoder: layersOf(facts.decoder, array)};
  return {...held, map: once((name) => mapOf(facts.maps[name], array, name))};
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

/** Layers with weights in place of the names of weights. @param {any[]} half @param {(name: string) => any} array */
export const layersOf = (half, array) =>
  half.map((layer) => Object.fromEntries(Object.entries(layer).map(([key, value]) => [key, /weight$|bias$/.test(key) ? array(value) : value])));

/** An array of the file; of 16 bit and a scale, where there is one. @param {any} layout @param {ArrayBuffer} buffer @param {string} name */
export function unpacked(layout, buffer, name) {
  if (!layout) throw new Error(`this file holds no ${name}`);
  const kind = {uint8: Uint8Array, uint16: Uint16Array, int32: Int32Array, float32: Float32Array}[/** @type {"uint8"} */ (layout.dtype)];
  const codes = new kind(buffer, layout.offset, layout.count);
  if (!layout.low) return codes;
  const {low, step} = layout;
  return Float32Array.from(codes, (code, i) => low[i % low.length] + code * step[i % low.length]);
}

/** @param {Float32Array} rows @param {number} dim @returns {Cloud} */
function cloudOf(rows, dim) {
  const norms = new Float64Array(rows.length / dim);
  for (let i = 0; i < rows.length; i++) norms[Math.floor(i / dim)] += rows[i] * rows[i];
  return {rows, norms, dim};
}

/** @param {any} facts @param {(name: string) => any} array @param {string} name @returns {Made} */
function mapOf(facts, array, name) {
  if (!facts) throw new Error(`this file holds no map ${name}`);
  const places = array(`map ${name}`);
  /** @type {Map<string, number[]>} */
  const found = new Map();
  for (let row = 0; row < places.length / 2; row++) {
    const key = `${places[2 * row]} ${places[2 * row + 1]}`;
    found.set(key, [...(found.get(key) ?? []), row]);
  }
  const of = [...found.values()];
  const sites = Float32Array.from({length: 2 * of.length}, (_, i) => places[2 * of[i >> 1][0] + (i & 1)]);
  const plane = facts.plane ? {mean: array(`mean ${name}`), axes: array(`axes ${name}`)} : null;
  return {facts, plane, places, sites: cloudOf(sites, 2), of};
}

/** @param {Held} held @param {string} name @returns {import("./types.js").MapPoints} */
function mapPoints(held, name) {
  const {facts, places} = held.map(name);
  const steps = (/** @type {number} */ axis, /** @type {number} */ from) =>
    Uint16Array.from({length: held.count}, (_, i) => Math.min(65535, Math.max(0, Math.round(((places[2 * i + axis] - from) / facts.size) * 65535))));
  return {name, note: facts.note, left: facts.left, bottom: facts.bottom, size: facts.size, x: steps(0, facts.left), y: steps(1, facts.bottom)};
}

/** One page of thumbnails, each in the middle of its square. @param {Held} held @param {number} page */
function sprites(held, page) {
  const {size, across, per_page} = held.facts.run.thumbnails;
  const [channels, height, width] = held.facts.cell;
  const cells = held.array("cells");
  const first = page * per_page;
  const num = Math.min(per_page, held.count - first);
  const image = new ImageData(across * size, Math.ceil(num / across) * size);
  image.data.fill(0);
  for (let i = 3; i < image.data.length; i += 4) image.data[i] = 255;
  for (let n = 0; n < num; n++) {
    const left = (n % across) * size + ((size - width) >> 1);
    const top = Math.floor(n / across) * size + ((size - height) >> 1);
    for (let c = 0; c < 3; c++) {
      let from = ((first + n) * channels + Math.min(c, channels - 1)) * height * width;
      for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) image.data[4 * ((top + y) * image.width + left + x) + c] = cells[from++];
    }
  }
  return createImageBitmap(image);
}

/** @param {Held} held @param {number} row @returns {import("./types.js").ImageInfo} */
function imageOf(held, row) {
  const {facts, cloud, dim} = held;
  if (!(row >= 0 && row < held.count)) throw new Error(`image ${row} is no point of the map; points run from 0 to ${held.count - 1}`);
  const latents = cloud.rows.slice(row * dim, (row + 1) * dim);
  const {distances, indices} = nearest(cloud, latents, NEIGHBOURS + 1);
  const others = [...indices.keys()].filter((i) => indices[i] !== row).slice(0, NEIGHBOURS);
  const numbers = facts.whole ? facts.run.shape.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1) : 0;
  return {
    row,
    id: facts.ids[row],
    label: facts.labels ? held.array("column label")[row] : -1,
    error: held.array("column error")[row],
    pixels: numbers ? held.array("cells").slice(row * numbers, (row + 1) * numbers) : new Uint8Array(0),
    reconstruction: as8bit(runLayers(held.decoder, latents, [dim])),
    latents,
    neighbours: Int32Array.from(others, (i) => indices[i]),
    distances: Float32Array.from(others, (i) => distances[i] / (facts.usual ?? NaN)),
  };
}

/** @param {Float32Array} picture */
const as8bit = (picture) => Uint8Array.from(picture, (value) => Math.round(Math.min(1, Math.max(0, value)) * 255));

/**
 * The k nearest rows of each query, nearest first.
 * @param {Cloud} cloud @param {Float32Array} queries rows of the same length @param {number} k
 * @returns {{distances: Float64Array, indices: Int32Array, k: number}}
 */
export function nearest({rows, norms, dim}, queries, k) {
  k = Math.min(k, norms.length);
  const num = queries.length / dim;
  const distances = new Float64Array(num * k).fill(Infinity);
  const indices = new Int32Array(num * k).fill(-1);
  for (let start = 0; start < num; start += AT_ONCE) {
    const some = Math.min(AT_ONCE, num - start);
    const dots = new Float64Array(norms.length * some);
    rowDots(rows, Float64Array.from(queries.subarray(start * dim, (start + some) * dim)), some, dim, dots);
    for (let q = 0; q < some; q++) {
      const at = (start + q) * k;
      for (let row = 0; row < norms.length; row++) {
        const score = norms[row] - 2 * dots[row * some + q]; // the squared distance, but for the query's own length
        if (score < distances[at + k - 1]) insert(distances, indices, at, k, score, row);
      }
      for (let i = at; i < at + k; i++) distances[i] = between(rows, indices[i] * dim, queries, (start + q) * dim, dim);
    }
  }
  return {distances, indices, k};
}

/** @type {(values: Float64Array, indices: Int32Array, at: number, k: number, value: number, index: number) => void} */
function insert(values, indices, at, k, value, index) {
  let i = at + k - 1;
  for (; i > at && values[i - 1] > value; i--) {
    values[i] = values[i - 1];
    indices[i] = indices[i - 1];
  }
  values[i] = value;
  indices[i] = index;
}

/** @type {(a: ArrayLike<number>, at: number, b: ArrayLike<number>, bt: number, dim: number) => number} */
function between(a, at, b, bt, dim) {
  let sum = 0;
  for (let j = 0; j < dim; j++) sum += (a[at + j] - b[bt + j]) ** 2;
  return Math.sqrt(sum);
}

/** The latent at a place: of the plane, or mixed of the nearest sites (`latens.maps.surface`). @type {(held: Held, map: Made, x: number, y: number) => Float32Array} */
export function inverse({cloud, dim}, {plane, sites, of}, x, y) {
  if (plane) return plane.mean.map((value, j) => value + x * plane.axes[2 * j] + y * plane.axes[2 * j + 1]);
  const {distances, indices, k} = nearest(sites, Float32Array.of(x, y), INVERSE + 1);
  const far = distances[k - 1];
  let weights = Array.from(distances, (d) => ((d > 0 ? distances[0] / d : 1) * (k > INVERSE && far > 0 ? 1 - d / far : 1)) ** 2);
  if (!weights.some((weight) => weight > 0)) weights = weights.map(() => 1);
  const total = weights.reduce((a, b) => a + b);
  const mixed = new Float64Array(dim);
  weights.forEach((weight, i) => {
    const rows = of[indices[i]];
    for (const row of rows) for (let j = 0; j < dim; j++) mixed[j] += (weight / total / rows.length) * cloud.rows[row * dim + j];
  });
  return Float32Array.from(mixed);
}

/** Where latents lie on a map, pairs (x, y). @type {(held: Held, map: Made, latents: Float32Array, near?: ReturnType<typeof nearest>|null) => Float32Array} */
export function place({cloud, dim}, {plane, places}, latents, near = plane ? null : nearest(cloud, latents, PLACING)) {
  const num = latents.length / dim;
  const placed = new Float32Array(2 * num);
  for (let n = 0; n < num; n++) {
    if (near) {
      const rows = near.indices.subarray(n * near.k, (n + 1) * near.k);
      placed.set(median(places, rows, perplexityWeights(near.distances.subarray(n * near.k, (n + 1) * near.k))), 2 * n);
    } else if (plane) {
      for (let j = 0; j < dim; j++) for (const axis of [0, 1]) placed[2 * n + axis] += (latents[n * dim + j] - plane.mean[j]) * plane.axes[2 * j + axis];
    }
  }
  return placed;
}

/** Gaussian weights of a perplexity of 5; the width by halving. @param {Float64Array} distances @returns {Float64Array} */
function perplexityWeights(distances) {
  const k = distances.length;
  const entropy = Math.log(Math.min(PERPLEXITY, Math.max(1, k / 3)));
  const raised = distances.map((d) => d * d - distances[0] ** 2);
  const mean = Math.max(TINY, raised.reduce((a, b) => a + b) / k);
  let [low, high] = [-20, 20];
  let weights = raised;
  for (let i = 0; i < 40; i++) {
    const precision = Math.exp((low + high) / 2);
    weights = raised.map((square) => Math.exp((-precision * square) / mean));
    const total = weights.reduce((a, b) => a + b);
    weights = weights.map((weight) => weight / total);
    const excess = Math.log(total) + (precision * weights.reduce((sum, weight, j) => sum + weight * raised[j], 0)) / mean - entropy;
    [low, high] = excess > 0 ? [(low + high) / 2, high] : [low, (low + high) / 2];
  }
  return weights;
}

/** The place with the least weighted sum of distances. @type {(places: Float32Array, rows: Int32Array, weights: Float64Array) => [number, number]} */
function median(places, rows, weights) {
  const xs = Float64Array.from(rows, (row) => places[2 * row]);
  const ys = Float64Array.from(rows, (row) => places[2 * row + 1]);
  const floor = 1e-4 * Math.hypot(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys)) + TINY;
  let [x, y, pulls] = [0, 0, weights];
  for (let i = 0; i <= 32; i++) {
    const total = pulls.reduce((a, b) => a + b);
    [x, y] = [xs, ys].map((at) => at.reduce((sum, value, j) => sum + value * pulls[j], 0) / total);
    pulls = weights.map((weight, j) => weight / Math.max(floor, Math.hypot(xs[j] - x, ys[j] - y)));
  }
  return [x, y];
}

/** @param {Held} held @param {Float32Array} latents @param {string} [map] @param {Uint16Array} [labels] @param {string} [note] @returns {Decoded} */
function decoded(held, latents, map = "", labels = new Uint16Array(0), note = "") {
  const {facts, cloud, dim, encoder, decoder} = held;
  const num = latents.length / dim;
  const {distances, indices} = nearest(cloud, latents, 1);
  const [channels, height, width] = facts.run.shape;
  const pixels = new Uint8Array(num * channels * height * width);
  const trips = new Float32Array(num).fill(NaN);
  for (let n = 0; n < num; n++) {
    const latent = latents.subarray(n * dim, (n + 1) * dim);
    const picture = runLayers(decoder, latent, [dim]);
    pixels.set(as8bit(picture), n * picture.length);
    const length = Math.sqrt(latent.reduce((sum, value) => sum + value * value, 0));
    if (!encoder || !length) continue;
    const again = runLayers(encoder, picture.map((value) => Math.min(1, Math.max(0, value))), facts.run.shape);
    trips[n] = between(again, 0, latent, 0, dim) / length;
  }
  const places = map ? place(held, held.map(map), latents) : new Float32Array(0);
  return {pixels, latents, ratio: Float32Array.from(distances, (d) => d / (facts.usual ?? NaN)), round_trip: trips, nearest: indices, places, labels, note};
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

/** Latents by a sampler: means of classes and noise, or out of those that were drawn for the file. @type {(held: Held, asked: {sampler: string, noise: number, seed: number}, num: number) => {latents: Float32Array, labels: Uint16Array}} */
function drawn({array, dim, facts}, {sampler, noise, seed}, num) {
  const {classes, bank} = facts.samplers[sampler];
  const rows = array(`sampler ${sampler}`);
  const turn = classes.length || 1;
  const normal = normals(seed);
  const latents = new Float32Array(num * dim);
  for (let n = 0; n < num; n++) {
    const rounds = Math.floor(bank / turn);
    const row = bank ? (n % turn) + turn * ((Math.floor(n / turn) + seed * 7) % rounds) : n % turn;
    for (let j = 0; j < dim; j++) latents[n * dim + j] = rows[row * dim + j] + (bank ? 0 : noise * normal());
  }
  return {latents, labels: Uint16Array.from({length: classes.length ? num : 0}, (_, n) => classes[n % turn])};
}

/** @param {Held} held @param {{sampler: string, noise: number, seed: number, map: string}} asked @returns {import("./types.js").Probe} */
function probe(held, asked) {
  const some = drawn(held, asked, held.facts.samplers[asked.sampler].classes.length || SHOWN);
  const many = drawn(held, {...asked, seed: asked.seed + 1}, DRAWN);
  const map = held.map(asked.map);
  const near = nearest(held.cloud, many.latents, map.plane ? 1 : PLACING);
  const far = near.distances.filter((_, i) => i % near.k === 0).map((d) => d / (held.facts.usual ?? NaN)).sort();
  const distance = {
    name: "distance from the data",
    value: `${((far[DRAWN / 2 - 1] + far[DRAWN / 2]) / 2).toFixed(1)} ×`,
    hint: `median of ${DRAWN} draws, in usual distances between neighbours; 1 is as near as the data themselves`,
  };
  return {
    ...decoded(held, some.latents, asked.map, some.labels),
    cloud: place(held, map, many.latents, map.plane ? null : near),
    cloud_labels: many.labels,
    scores: [distance, ...held.facts.samplers[asked.sampler].scores],
  };
}

/** @param {Held} held @param {{from: number[], to: number[], way: string, steps: number, map: string}} asked @returns {Decoded} */
function path(held, {from, to, way, steps, map}) {
  const [start, end] = [meanOf(held, from), meanOf(held, to)];
  if (start.every((value, j) => value === end[j])) throw new Error("a path from a place to itself; choose two different ends");
  const {points, note} = WAYS[way](held, start, end, steps);
  const latents = Float32Array.from(points.flat());
  latents.set(start);
  latents.set(end, latents.length - held.dim);
  return decoded(held, latents, map, undefined, note);
}

/** @param {Held} held @param {number[]} rows */
function meanOf({cloud: {rows: latents}, dim}, rows) {
  const mean = new Array(dim).fill(0);
  for (const row of rows) for (let j = 0; j < dim; j++) mean[j] += latents[row * dim + j] / rows.length;
  return mean;
}

/** The ways of `latens.paths`. @type {Record<string, (held: Held, start: number[], end: number[], steps: number) => {points: number[][], note: string}>} */
const WAYS = {
  linear: (_, start, end, steps) => ({points: straight(start, end, steps), note: ""}),
  spherical,
  graph: (held, start, end, steps) => ({points: evenly(alongGraph(held, start, end), steps), note: ""}),
};

/** @type {(start: number[], end: number[], steps: number) => number[][]} */
const straight = (start, end, steps) => shares(steps).map((t) => start.map((value, j) => value + t * (end[j] - value)));

/** @param {number} steps */
const shares = (steps) => Array.from({length: steps}, (_, i) => i / (steps - 1));

/** @type {(held: Held, start: number[], end: number[], steps: number) => {points: number[][], note: string}} */
function spherical(_, start, end, steps) {
  const lengths = [Math.hypot(...start), Math.hypot(...end)];
  if (!lengths[0] || !lengths[1]) return {points: straight(start, end, steps), note: "one end is the origin, from which there is no arc: a straight line"};
  const [a, b] = [start.map((value) => value / lengths[0]), end.map((value) => value / lengths[1])];
  const angle = 2 * Math.atan2(Math.hypot(...a.map((value, j) => value - b[j])), Math.hypot(...a.map((value, j) => value + b[j])));
  const opposite = "the ends lie on opposite sides of the origin, with no one arc between them: a straight line";
  if (angle > Math.PI - NEARLY_OPPOSITE) return {points: straight(start, end, steps), note: opposite};
  const points = shares(steps).map((t) => {
    const [p, q] = angle ? [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)] : [1, 0];
    return a.map((value, j) => (p * value + q * b[j]) * (lengths[0] + t * (lengths[1] - lengths[0])));
  });
  return {points, note: ""};
}

/** The latents on the shortest path over the graph of neighbours, to which the ends are joined. @type {(held: Held, start: number[], end: number[]) => number[][]} */
function alongGraph(held, start, end) {
  const {array, cloud: {rows}, dim, count} = held;
  const [same, stored, bridges] = [array("same"), array("joined"), array("bridges")];
  const room = new Int32Array((count + 2) * JOINED).fill(-1);
  room.set(stored);
  const all = new Float32Array((count + 2) * dim);
  all.set(rows);
  const far = Float64Array.from(room, (other, i) => (other < 0 ? Infinity : between(all, Math.floor(i / JOINED) * dim, all, other * dim, dim)));
  const nodes = [...new Set(/** @type {Int32Array} */ (same))];
  const [source, target] = [start, end].map((latent, i) => {
    all.set(latent, (count + i) * dim);
    const reach = nodes.map((node) => between(all, node * dim, all, (count + i) * dim, dim));
    const twin = reach.indexOf(0);
    if (twin >= 0) return nodes[twin];
    nodes.forEach((node, n) => {
      join(room, far, node, count + i, reach[n]);
      join(room, far, count + i, node, reach[n]);
    });
    nodes.push(count + i);
    return count + i;
  });
  /** @type {number[][]} */
  const edges = Array.from({length: count + 2}, () => []);
  const add = (/** @type {number} */ a, /** @type {number} */ b) => edges[a].push(b) && edges[b].push(a);
  for (let i = 0; i < room.length; i++) if (room[i] >= 0) add(Math.floor(i / JOINED), room[i]);
  for (let i = 0; i < bridges.length; i += 2) add(bridges[i], bridges[i + 1]);
  const chain = shortest(edges, (a, b) => between(all, a * dim, all, b * dim, dim), source, target);
  return chain.map((node) => Array.from(all.subarray(node * dim, (node + 1) * dim)));
}

/** A neighbour in place of the farthest, where it is nearer. @type {(room: Int32Array, far: Float64Array, node: number, other: number, distance: number) => void} */
function join(room, far, node, other, distance) {
  let worst = node * JOINED;
  for (let i = worst; i < (node + 1) * JOINED; i++) if (far[i] > far[worst]) worst = i;
  if (distance < far[worst]) [room[worst], far[worst]] = [other, distance];
}

/** Dijkstra's way from source to target, with a heap of places to look at. @type {(edges: number[][], length: (a: number, b: number) => number, source: number, target: number) => number[]} */
function shortest(edges, length, source, target) {
  const reach = new Float64Array(edges.length).fill(Infinity);
  const before = new Int32Array(edges.length).fill(-1);
  reach[source] = 0;
  /** @type {[number, number][]} */
  const heap = [[0, source]];
  while (heap.length) {
    const [far, node] = heap[0];
    sink(heap, /** @type {[number, number]} */ (heap.pop()));
    if (node === target) break;
    if (far > reach[node]) continue;
    for (const other of edges[node]) {
      const there = far + length(node, other);
      if (there >= reach[other]) continue;
      reach[other] = there;
      before[other] = node;
      rise(heap, [there, other]);
    }
  }
  const chain = [target];
  while (chain[0] !== source) chain.unshift(before[chain[0]]);
  return chain;
}

/** @param {[number, number][]} heap @param {[number, number]} entry */
function rise(heap, entry) {
  let i = heap.push(entry) - 1;
  for (; i && heap[(i - 1) >> 1][0] > entry[0]; i = (i - 1) >> 1) heap[i] = heap[(i - 1) >> 1];
  heap[i] = entry;
}

/** Put an entry at the top, and down to where it belongs. @param {[number, number][]} heap @param {[number, number]} entry */
function sink(heap, entry) {
  if (!heap.length) return;
  let i = 0;
  for (let child = 1; child < heap.length; child = 2 * i + 1) {
    if (child + 1 < heap.length && heap[child + 1][0] < heap[child][0]) child++;
    if (heap[child][0] >= entry[0]) break;
    heap[i] = heap[child];
    i = child;
  }
  heap[i] = entry;
}

/** Points at equal lengths along a line through corners. @param {number[][]} corners @param {number} steps */
function evenly(corners, steps) {
  const along = [0];
  for (let i = 1; i < corners.length; i++) along.push(along[i - 1] + between(corners[i], 0, corners[i - 1], 0, corners[i].length));
  let i = 1;
  return shares(steps).map((share) => {
    const at = share * along[along.length - 1];
    while (i < corners.length - 1 && along[i] < at) i++;
    const t = corners.length > 1 ? (at - along[i - 1]) / (along[i] - along[i - 1]) : 0;
    return corners[Math.max(0, i - 1)].map((value, j) => value + t * ((corners[i] ?? corners[0])[j] - value));
  });
}

/** @param {Held} held @param {number|null} row @returns {import("./types.js").Directions} */
function directions({array, cloud, dim}, row) {
  const about = row === null
    ? {mean: array("mean"), directions: array("directions"), deviations: array("deviations"), shares: array("shares")}
    : principal(Array.from(nearest(cloud, cloud.rows.slice(row * dim, (row + 1) * dim), AROUND).indices, (near) => cloud.rows.subarray(near * dim, (near + 1) * dim)));
  return {...about, lowest: array("lowest"), highest: array("highest")};
}

/** Where rows vary most. @param {Float32Array[]} rows */
export function principal(rows) {
  const dim = rows[0].length;
  const mean = Array.from({length: dim}, (_, j) => rows.reduce((sum, row) => sum + row[j], 0) / rows.length);
  const centred = rows.map((row) => Float64Array.from(row, (value, j) => value - mean[j]));
  // Of the two matrices of products, over numbers or over rows, the smaller one has all there is.
  const few = dim <= rows.length ? mean.map((_, j) => Float64Array.from(centred, (row) => row[j])) : centred;
  const {values, vectors} = eigen(few.map((a) => Float64Array.from(few, (b) => a.reduce((sum, value, i) => sum + value * b[i], 0))));
  const order = values.map((_, i) => i).sort((a, b) => values[b] - values[a]).slice(0, DIRECTIONS);
  const real = order.filter((i) => values[i] > values[order[0]] * Math.max(dim, rows.length) * Number.EPSILON);
  if (!real.length) throw new Error("the latents do not vary there, so they have no directions");
  const whole = values.reduce((sum, value) => sum + Math.max(0, value), 0);
  const axes = real.map((i) => {
    const axis = few === centred ? mean.map((_, j) => centred.reduce((sum, row, n) => sum + row[j] * vectors[i][n], 0)) : Array.from(vectors[i]);
    const largest = axis.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
    const scale = Math.sign(largest) / Math.hypot(...axis);
    return axis.map((value) => value * scale);
  });
  return {
    mean: Float32Array.from(mean),
    directions: Float32Array.from(axes.flat()),
    deviations: Float32Array.from(real, (i) => Math.sqrt(values[i] / (rows.length - 1))),
    shares: Float32Array.from(real, (i) => values[i] / whole),
  };
}

/** The eigenvalues and eigenvectors, as rows, of a symmetric matrix, which is spent: Jacobi's rotations. @param {Float64Array[]} a */
function eigen(a) {
  const n = a.length;
  const vectors = a.map((_, i) => new Float64Array(n).fill(1, i, i + 1));
  const size = Math.sqrt(a.reduce((sum, row) => sum + row.reduce((s, value) => s + value * value, 0), 0));
  for (let sweep = 0, most = Infinity; sweep < 30 && most > 1e-12 * size; sweep++) {
    most = 0;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        most = Math.max(most, Math.abs(a[p][q]));
        if (Math.abs(a[p][q]) <= 1e-14 * size) continue;
        const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const c = 1 / Math.sqrt(t * t + 1);
        turnPair(a[p], a[q], c, t * c);
        turnPair(vectors[p], vectors[q], c, t * c);
        for (const row of a) [row[p], row[q]] = [c * row[p] - t * c * row[q], t * c * row[p] + c * row[q]];
      }
    }
  }
  return {values: a.map((row, i) => row[i]), vectors};
}

/** @type {(p: Float64Array, q: Float64Array, c: number, s: number) => void} */
function turnPair(p, q, c, s) {
  for (let i = 0; i < p.length; i++) {
    const kept = p[i];
    p[i] = c * kept - s * q[i];
    q[i] = s * kept + c * q[i];
  }
}
