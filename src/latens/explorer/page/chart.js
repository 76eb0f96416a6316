// The loss curve, as SVG.

import {readable} from "./numbers.js";

const SPACE = "http://www.w3.org/2000/svg";

/** @param {string} tag @param {Record<string, string|number>} attributes @param {string} [text] */
function svg(tag, attributes, text) {
  const made = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  if (text) made.textContent = text;
  return made;
}

/**
 * Lines over epochs, the values on a logarithmic scale.
 * @param {{name: string, values: (number|null)[]}[]} series @param {number[]} epochs
 */
export function curve(series, epochs) {
  const [width, height, left, bottom] = [360, 190, 66, 26];
  const all = series.flatMap(({values}) => values.filter((v) => v !== null && v > 0)).map((v) => Math.log10(/** @type {number} */ (v)));
  if (!all.length) all.push(0); // no loss is a positive number
  const [least, most] = [Math.min(...all), Math.max(...all)];
  const span = Math.max(most - least, 0.02); // a flat curve lies in the middle
  const [low, high] = [(least + most - span) / 2, (least + most + span) / 2];
  const digits = span < 0.1 ? 3 : 2; // so that the values at the lines differ
  const x = (/** @type {number} */ i) => left + ((width - left - 12) * i) / Math.max(1, epochs.length - 1);
  const y = (/** @type {number} */ v) => 10 + ((height - bottom - 10) * (high - Math.log10(v))) / span;
  const last = series.map(({name, values}) => `${name} ${readable(values.at(-1))}`).join(", ");
  const chart = svg("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", class: "chart", "aria-label": `Loss over ${epochs.length} epochs: ${last}`});
  for (const value of [10 ** high, 10 ** ((high + low) / 2), 10 ** low]) {
    chart.append(svg("line", {x1: left, x2: width - 12, y1: y(value), y2: y(value), class: "grid-line"}));
    chart.append(svg("text", {x: left - 6, y: y(value) + 4, "text-anchor": "end"}, readable(value, digits)));
  }
  series.forEach(({name, values}, index) => {
    const points = values.flatMap((v, i) => (v !== null && v > 0 ? [`${x(i).toFixed(1)},${y(v).toFixed(1)}`] : []));
    if (points.length > 1) chart.append(svg("polyline", {points: points.join(" "), class: `line line-${index}`}));
    else if (points.length) chart.append(svg("circle", {cx: points[0].split(",")[0], cy: points[0].split(",")[1], r: 3, class: `dot-${index}`}));
    chart.append(svg("text", {x: width * (0.45 + 0.2 * index), y: height - 6, "text-anchor": "middle", class: `word-${index}`}, name)); // below the lines
  });
  chart.append(svg("text", {x: left, y: height - 6}, `epoch ${epochs[0] ?? ""}`));
  chart.append(svg("text", {x: width - 12, y: height - 6, "text-anchor": "end"}, String(epochs.at(-1) ?? "")));
  return chart;
}
