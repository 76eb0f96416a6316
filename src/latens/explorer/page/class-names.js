// The names of the classes, each where most of its points lie.

const CELLS = 32; // across the map
const REACH = 3; // cells about one, whose points count for it
const MOST = 40; // classes; more would only hide the map

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
  const middles = counts.map(middleOf);
  const shown = column.names.map((text, k) => ({text, middle: middles[k]})).filter(({middle}) => middle.num);
  return [{kind: "label", x: shown.map(({middle}) => middle.x), y: shown.map(({middle}) => middle.y), text: shown.map(({text}) => text)}];
}

/** The mean of the points about the cell that has most about it, in 16-bit units. @param {Uint32Array} counts of all cells */
function middleOf(counts) {
  let best = {x: 0, y: 0, num: 0};
  for (let at = 0; at < counts.length; at++) {
    const [column, row] = [at % CELLS, Math.floor(at / CELLS)];
    const sum = {x: 0, y: 0, num: 0};
    for (let v = Math.max(0, row - REACH); v <= Math.min(CELLS - 1, row + REACH); v++) {
      for (let u = Math.max(0, column - REACH); u <= Math.min(CELLS - 1, column + REACH); u++) {
        const num = counts[v * CELLS + u];
        sum.x += num * u;
        sum.y += num * v;
        sum.num += num;
      }
    }
    if (sum.num > best.num) best = sum;
  }
  const place = (/** @type {number} */ sum) => ((sum / best.num + 0.5) * 65536) / CELLS;
  return {x: place(best.x), y: place(best.y), num: best.num};
}
