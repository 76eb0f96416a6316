// Paths from one latent to another, as in latens.interpolation: straight, along an arc, from neighbour to neighbour.

import {between} from "./near.js";

/** @typedef {import("./offline.js").Held} Held */

const JOINED = 10; // neighbours that a point is joined to on the graph
const NEARLY_OPPOSITE = 1e-6; // radians

/** The ways of `latens.interpolation`. @type {Record<string, (held: Held, start: number[], end: number[], steps: number) => {points: number[][], note: string}>} */
export const WAYS = {
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

/** How many steps each leg of a path takes, as `latens.interpolation.way_points`. @param {number[]} lengths @param {number} steps of the whole path */
export function stepsOfLegs(lengths, steps) {
  const spare = steps - 1 - lengths.length;
  if (spare < 0) throw new Error(`a path of ${steps} steps through ${lengths.length + 1} places; it needs a step for each place`);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const wanted = lengths.map((length) => (total > 0 ? (spare * length) / total : spare / lengths.length));
  const given = wanted.map(Math.floor);
  const order = wanted.map((_, i) => i).sort((a, b) => given[a] - wanted[a] - (given[b] - wanted[b]) || a - b);
  for (const i of order.slice(0, spare - given.reduce((sum, one) => sum + one, 0))) given[i]++;
  return given.map((one) => one + 1);
}

/** Points at equal lengths along a line through corners. @param {number[][]} corners @param {number} steps */
export function evenly(corners, steps) {
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
