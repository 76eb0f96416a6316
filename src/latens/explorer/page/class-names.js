// The names of the classes, each where most of its points lie.

const CELLS = 32; // across the map
const REACH = 3; // cells about one, whose points count for it
const MOST = 1000; // classes; more take too long to look for

/**
 * @param {import("./types.js").MapPoints} points @param {import("./types.js").ColumnInfo|undefined} column
 * @param {Uint16Array} codes the class of each point @param {Uint8Array|null} visible @returns {import("./types.js").Mark[]}
 */
export function classNames(points, column, codes, visible) {
  if (column?.kind !== "class" || column.names.length > MOST) return [];
  const counts = column.names.map(() => new Uint32Array(CELLS * CELLS));
  const cell = (/** @type {number} */ place) => Math.floor((place * CELLS) / 65536);
  for (let row = 0; row < codes.length; row++) {
    if (codes[row] < counts.length && visible?.[row] !== 0) counts[codes[row]][cell(points.y[row]) * CELLS + cell(points.x[row])]++;
  }
  const shown = counts.map((cells, k) => ({...middleOf(cells), text: column.names[k]})).filter(({num}) => num);
  return [{kind: "label", x: shown.map(({x}) => x), y: shown.map(({y}) => y), text: shown.map(({text}) => text), weights: shown.map(({num}) => num)}];
}

/** The mean of the points about the cell that has most about it, in 16-bit units. @param {Uint32Array} counts of all cells */
function middleOf(counts) {
  const filled = [...counts.keys()].filter((at) => counts[at]);
  let best = {x: 0, y: 0, num: 0};
  for (const at of filled) {
    const [column, row] = [at % CELLS, Math.floor(at / CELLS)];
    const sum = {x: 0, y: 0, num: 0};
    for (const other of filled) {
      const [u, v] = [other % CELLS, Math.floor(other / CELLS)];
      if (Math.abs(u - column) > REACH || Math.abs(v - row) > REACH) continue;
      sum.x += counts[other] * u;
      sum.y += counts[other] * v;
      sum.num += counts[other];
    }
    if (sum.num > best.num) best = sum;
  }
  const place = (/** @type {number} */ sum) => ((sum / best.num + 0.5) * 65536) / CELLS;
  return {x: place(best.x), y: place(best.y), num: best.num};
}
