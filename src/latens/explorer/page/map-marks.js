// What is drawn over the points: marks, labels, and the outline of a selection.

/** @typedef {import("./types.js").Mark} Mark */
/** @typedef {import("./map.js").Pair} Pair */
/** @typedef {{paper: string, ink: string, accent: string, rem: number}} Paper  rem: the page's text, CSS pixels */

/**
 * Draw marks, and the labels among them above all others.
 * @param {CanvasRenderingContext2D} context @param {Mark[]} marks @param {(x: number, y: number) => Pair} toScreen where a place is seen
 * @param {{width: number, height: number}} size of the map @param {Pair|null} pointer on the screen @param {Paper} paper
 * @returns {boolean} whether labels were left out
 */
export function drawMarks(context, marks, toScreen, size, pointer, paper) {
  const places = marks.map((mark) => mark.x.map((x, k) => toScreen(x, mark.y[k])));
  marks.forEach((mark, k) => mark.kind === "label" || drawMark(context, mark, places[k], paper));
  return drawLabels(context, labelsOf(marks, places), size, pointer, paper);
}

/** @param {CanvasRenderingContext2D} context @param {Mark} mark @param {Pair[]} places on the screen @param {Paper} paper */
function drawMark(context, mark, places, {paper, ink, accent, rem}) {
  const colour = mark.colour === "ink" ? ink : mark.colour || accent;
  Object.assign(context, {lineCap: "round", lineJoin: "round", fillStyle: colour});
  for (const dashed of mark.kind === "line" ? [false, true] : [false]) {
    context.setLineDash(dashed ? [1, 6] : []);
    tracePath(context, mark, places, dashed, rem / 16);
    // With an edge in the colour of the paper, so that it is seen among points of its own colour.
    for (const [width, style] of /** @type {[number, string][]} */ ([[4.5, paper], [2, colour]])) {
      Object.assign(context, {lineWidth: width, strokeStyle: style});
      context.stroke();
    }
    if (mark.kind === "diamond" || (mark.kind === "dots" && !mark.ring)) context.fill();
  }
  context.setLineDash([]);
}

/** The labels among marks, one by one. @param {Mark[]} marks @param {Pair[][]} places of each mark, on the screen */
function labelsOf(marks, places) {
  return marks.flatMap((mark, k) => (mark.kind === "label"
    ? places[k].map(([x, y], i) => ({text: mark.text[i], at: /** @type {Pair} */ ([x, y + (mark.below ?? 0)]), weight: mark.weights?.[i] ?? 0, colour: mark.colour})) : []));
}

const FEW_LABELS = 12; // that are always written where there is room
const LONGEST = 12; // rem of a label; of longer names the beginning is written
const COVERED = 0.08; // of the map, by more of them: points are what it shows

/**
 * Write labels where no other one stands: the one nearest to the pointer first, then those of the largest weight. Of many only so
 * many are written that the points stay visible.
 * @param {CanvasRenderingContext2D} context
 * @param {{text: string, at: Pair, weight: number, colour?: string}[]} labels at: on the screen
 * @param {{width: number, height: number}} size of the map @param {Pair|null} pointer on the screen @param {Paper} paper
 * @returns {boolean} whether some were left out
 */
export function drawLabels(context, labels, {width, height}, pointer, {paper, ink, rem}) {
  const size = 0.875 * rem;
  Object.assign(context, {font: `600 ${size}px system-ui, sans-serif`, textAlign: "center", textBaseline: "middle"});
  Object.assign(context, {lineWidth: 4, lineJoin: "round", strokeStyle: paper});
  const seen = labels.filter(({at: [x, y]}) => x > 0 && y > 0 && x < width && y < height);
  const far = (/** @type {Pair} */ [x, y]) => (pointer ? Math.hypot(x - pointer[0], y - pointer[1]) : 0);
  const order = [...seen].sort((a, b) => b.weight - a.weight);
  if (pointer && seen.length) {
    const nearest = seen.reduce((best, one) => (far(one.at) < far(best.at) ? one : best));
    order.unshift(...order.splice(order.indexOf(nearest), 1));
  }
  /** @type {{left: number, right: number, top: number, bottom: number}[]} */
  const taken = [];
  let area = 0;
  for (const {text: whole, at, colour = "ink"} of order) {
    if (taken.length >= FEW_LABELS && area > COVERED * width * height) break;
    const text = shortened(context, whole, Math.min(0.4 * width, LONGEST * rem));
    const reach = context.measureText(text).width / 2 + 4;
    const [x, y] = [Math.max(reach, Math.min(width - reach, at[0])), at[1]]; // none is cut off at an edge
    const box = {left: x - reach, right: x + reach, top: y - 0.6 * size, bottom: y + 0.6 * size};
    if (taken.some((one) => box.left < one.right && one.left < box.right && box.top < one.bottom && one.top < box.bottom)) continue;
    taken.push(box);
    area += 2 * reach * size;
    context.strokeText(text, x, y);
    context.fillStyle = colour === "ink" ? ink : colour;
    context.fillText(text, x, y);
  }
  return taken.length < seen.length;
}

/** As much of a text as there is room for. @param {CanvasRenderingContext2D} context @param {string} text @param {number} room pixels */
function shortened(context, text, room) {
  const width = context.measureText(text).width;
  if (width <= room) return text;
  const letters = [...text];
  let num = Math.floor((letters.length * room) / width);
  while (num > 1 && context.measureText(`${letters.slice(0, num).join("")}…`).width > room) num--;
  return `${letters.slice(0, num).join("").trimEnd()}…`;
}

const HEAD = 9; // pixels of an arrow's head

/** The head of an arrow along a line; null where the line has no length. @param {Pair[]} places on the screen @returns {Pair[]|null} */
function headOf(places) {
  const [x, y] = places[places.length - 1];
  const from = places.findLast((place) => Math.hypot(place[0] - x, place[1] - y) > 2);
  if (!from) return null;
  const along = Math.atan2(y - from[1], x - from[0]);
  const side = (/** @type {number} */ turn) => /** @type {Pair} */ ([x - HEAD * Math.cos(along + turn), y - HEAD * Math.sin(along + turn)]);
  return [side(0.5), [x, y], side(-0.5)];
}

/** @param {CanvasRenderingContext2D} context @param {Mark} mark @param {Pair[]} places @param {boolean} dashed  stretches @param {number} size of dots */
function tracePath(context, mark, places, dashed, size) {
  context.beginPath();
  const arrow = mark.kind === "line" && mark.arrow && !dashed ? headOf(places) : null;
  if (arrow) arrow.forEach(([x, y], k) => (k ? context.lineTo(x, y) : context.moveTo(x, y)));
  places.forEach(([x, y], k) => {
    if (mark.kind === "dots") {
      const radius = size * (mark.radius || (mark.ring ? 6 : 4)) - (mark.ring ? 0 : 1); // a full one's stroke adds to it
      context.moveTo(x + radius, y);
      context.arc(x, y, radius, 0, 2 * Math.PI);
    }
    const strokes = mark.kind === "cross" ? [[x - 9, y, x + 9, y], [x, y - 9, x, y + 9]] : [];
    if (mark.kind === "line" && k && Boolean(mark.off?.[k - 1]) === dashed) strokes.push([...places[k - 1], x, y]);
    if (mark.kind === "diamond") {
      const reach = 10 * size;
      context.moveTo(x, y - reach);
      for (const [dx, dy] of [[reach, 0], [0, reach], [-reach, 0]]) context.lineTo(x + dx, y + dy);
      context.closePath();
    }
    for (const [x0, y0, x1, y1] of strokes) {
      context.moveTo(x0, y0);
      context.lineTo(x1, y1);
    }
  });
}

/** @param {CanvasRenderingContext2D} context @param {Pair[]} corners on the screen @param {string} colour */
export function drawOutline(context, corners, colour) {
  context.beginPath();
  for (const corner of corners) context.lineTo(...corner);
  context.closePath();
  Object.assign(context, {fillStyle: colour, strokeStyle: colour, lineWidth: 1.5, globalAlpha: 0.12});
  context.fill("evenodd");
  context.globalAlpha = 1;
  context.setLineDash([5, 4]);
  context.stroke();
  context.setLineDash([]);
}
