// Whether a decoded picture can be trusted: how far its latent is from the data, and how well the encoder finds that latent again.

import {el, fill} from "./dom.js";
import {percent, steady} from "./numbers.js";

/** @typedef {"good"|"fair"|"bad"} Kind */
/** @typedef {{words: string, kind: Kind, off: number}} Judgement  off: 1 is usual, from 1.5 on fair, from 2.5 on bad */

const FAIR = 1.5; // usual distances between neighbours
const BAD = 2.5;
const TRIP = 6; // a round trip that ends a quarter of the latent's length away (0.25 * 6 = 1.5) is fair
const AMONG = 0.75;

/** @param {number} off @returns {Kind} */
const kindOf = (off) => (off > BAD ? "bad" : off > FAIR ? "fair" : "good");

/** @param {number} ratio distance to the nearest real latent, in usual distances @returns {Judgement} */
export function judgeDistance(ratio) {
  if (Number.isNaN(ratio)) return {words: "distance not known", kind: "fair", off: (FAIR + BAD) / 2};
  const kind = kindOf(ratio);
  const near = ratio > AMONG ? "as near as the data are to one another" : "among the data";
  return {words: {good: near, fair: "at the edge of the data", bad: "far from all data"}[kind], kind, off: ratio};
}

/**
 * Both at once; the worse of the two decides. A round trip is judged as a share of the latent's length and in usual distances: of a
 * poor model all latents lie close together, and a small share is then many usual distances.
 * @param {Pick<import("./types.js").Decoded, "ratio"|"round_trip"|"moved">} found @param {number} index of several @returns {Judgement}
 */
export function judge(found, index) {
  const [distance, back, moved] = [judgeDistance(found.ratio[index]), found.round_trip[index], found.moved[index]];
  const off = Math.max(Number.isFinite(back) ? TRIP * back : 0, Number.isNaN(moved) ? 0 : moved);
  const kind = kindOf(off);
  if (kind === "good" || off <= distance.off) return {...distance, off: Math.max(off, distance.off)};
  const near = distance.kind === "good" ? "near the data, but " : `${distance.words}, and `;
  return {words: near + (kind === "bad" ? "the image does not hold this latent" : "the image holds this latent only roughly"), kind, off};
}

export function gauge() {
  const needle = el("span", {class: "needle"});
  const words = el("p", {class: "verdict"});
  const trip = el("p", {class: "quiet"});
  const scale = el("div", {class: "gauge", "aria-hidden": "true"}, needle);
  const element = el("div", {class: "honest"}, scale, words, trip);
  return {
    element,
    /** Nothing is decoded: say why. @param {string} [why] */
    clear(why = "") {
      delete element.dataset.kind;
      needle.hidden = true;
      fill(words, why);
      fill(trip);
    },
    /**
     * @param {import("./types.js").Decoded} found @param {number} index of several
     * @param {boolean} [empty] whether the latent stands for a place that has none
     */
    show(found, index, empty = false) {
      const [far, back, away] = [found.ratio[index], found.round_trip[index], found.moved[index]];
      const {words: text, kind, off} = judge(found, index);
      element.dataset.kind = empty && kind === "good" ? "fair" : kind;
      needle.hidden = false;
      // The scale is logarithmic, from a quarter to eight.
      needle.style.left = `${100 * Math.min(1, Math.max(0, (Math.log2(Math.max(off, 1e-6)) + 2) / 5))}%`;
      const distance = `${steady(far)} × the usual distance between neighbours`;
      if (empty) fill(words, el("strong", {}, "No image lies here"), `: shown is a mixture of the nearest images; it belongs where the line ends (${distance})`);
      else fill(words, el("strong", {}, text), `: ${distance} from the nearest image`);
      trip.textContent = Number.isFinite(back)
        ? `Encoded again, it comes back ${percent(back)} away${Number.isFinite(away) ? ` (${steady(away)} × the usual distance)` : ""}.`
        : "How well the encoder finds this latent again is not known here.";
    },
  };
}
