// How far a latent is from what the model knows, honestly: its distance from the data and what the encoder makes of its picture.

import {el, fill} from "./dom.js";

const WORDS = /** @type {[number, string, string][]} */ ([
  [0.75, "among the data", "good"],
  [1.5, "as near as the data are to one another", "good"],
  [2.5, "at the edge of the data", "fair"],
  [Infinity, "far from all data", "bad"],
]);

/** @param {number} ratio @returns {[string, string]} words, and good, fair or bad */
export function distanceWords(ratio) {
  const [, words, kind] = /** @type {[number, string, string]} */ (WORDS.find(([limit]) => !(ratio > limit)));
  return Number.isNaN(ratio) ? ["distance not known", "fair"] : [words, kind];
}

export function gauge() {
  const needle = el("span", {class: "needle"});
  const words = el("p", {class: "verdict"});
  const trip = el("p", {class: "quiet"});
  const scale = el("div", {class: "gauge", "aria-hidden": "true"}, needle);
  const element = el("div", {class: "honest"}, scale, words, trip);
  return {
    element,
    /** @param {number} ratio @param {number} roundTrip @param {boolean} [empty] whether the latent stands for a place that has none */
    show(ratio, roundTrip, empty = false) {
      const [text, kind] = distanceWords(ratio);
      element.dataset.kind = empty && kind === "good" ? "fair" : kind;
      // The scale is of the logarithm: a quarter to eight usual distances.
      needle.style.left = `${100 * Math.min(1, Math.max(0, (Math.log2(Math.max(ratio, 1e-6)) + 2) / 5))}%`;
      const far = `${ratio.toFixed(2)} × the usual distance between neighbours`;
      if (empty) fill(words, el("strong", {}, "No image lies here"), ` — shown is a mixture of the nearest ones, which belongs where the line ends (${far})`);
      else fill(words, el("strong", {}, text), ` — ${far}`);
      trip.textContent = Number.isFinite(roundTrip)
        ? `Encoded again it comes back ${(100 * roundTrip).toFixed(0)} % away` + (roundTrip > 0.5 ? ": the picture does not hold what the latent says" : "")
        : "";
    },
  };
}
