// Nearest neighbours, and with them the way from a map to latents and back, as in maps/surface.py.

import {rowDots} from "./layers.js";

/** @typedef {import("./offline.js").Cloud} Cloud */
/** @typedef {import("./offline.js").Made} Made */
/** @typedef {import("./offline.js").Held} Held */

const INVERSE = 10; // sites that a place is mixed of
export const PLACING = 25; // points by which a latent is placed, and the perplexity of their weights
const PERPLEXITY = 5;
const AT_ONCE = 16; // queries of one product
const TINY = 2.3e-308;

/** @param {Float32Array} rows @param {number} dim @returns {Cloud} */
export function cloudOf(rows, dim) {
  const norms = new Float64Array(rows.length / dim);
  for (let i = 0; i < rows.length; i++) norms[Math.floor(i / dim)] += rows[i] * rows[i];
  return {rows, norms, dim};
}

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
export function between(a, at, b, bt, dim) {
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
