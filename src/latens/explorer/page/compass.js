// The compass: where the directions lead in which the images near a place of the map vary most, as arrows and as pictures of small steps.

import {afterwards, button, el, fill} from "./dom.js";
import {judge} from "./gauge.js";
import {percent} from "./numbers.js";
import {picture} from "./pictures.js";

const SIGNS = "①②③"; // of the directions; plain digits might be names of classes
const REST = 120; // milliseconds that the pointer stands still

/** @param {import("./store.js").Store} store */
export function compass(store) {
  const {info, source} = store;
  const rows = el("div", {});
  const words = el("p", {class: "quiet"});
  const element = el("section", {"aria-label": "Compass", hidden: true}, words, rows);
  const toggle = button("Compass", () => store.set({compass: !store.facts.compass}), {"aria-pressed": "false", title: "Where the directions lead in which the images near this place vary most"});
  /** The place that is asked about, 16-bit units. @type {[number, number]|null} */
  let place = null;

  function clear() {
    store.drop("compass");
    store.mark("compass", []);
  }

  const ask = afterwards(async () => {
    const {map, tab} = store.facts;
    if (!place || !store.facts.compass || tab !== "decode" || store.plays) return;
    const [asked, [x, y]] = [place, store.toUnits(...place)];
    const found = await store.newest("compass", () => source.compass(map, x, y), {busy: rows, failed: (why) => void (fill(rows), (words.textContent = `There is no compass here: ${why}`))});
    if (!found || place !== asked || map !== store.facts.map) return;
    show(found);
  }, REST);

  /** @param {import("./types.js").Compass} found */
  function show(found) {
    const [{steps, shares, around}, dim] = [found, info.latent_dim];
    words.textContent = `Where the ${around.toLocaleString("en")} nearest images vary most: each arrow leads to where, on average, those of them lie that are two standard deviations (sd) ahead, and the pictures are steps along it.`;
    const order = [...steps.map((at, k) => ({at, k: k + 1})), {at: 0, k: 0}].sort((a, b) => a.at - b.at);
    const [left, top] = found.places;
    store.mark("compass", shares.flatMap((_, i) => {
      const [dx, dy] = found.arrows.slice(2 * i, 2 * i + 2);
      const {x, y} = store.fromUnits([left, top, left + dx, top + dy]);
      return /** @type {import("./types.js").Mark[]} */ ([
        {kind: "line", x, y, arrow: true, colour: "ink"}, {kind: "label", x: x.slice(-1), y: y.slice(-1), text: [SIGNS[i]], weights: [Infinity], colour: "ink"},
      ]);
    }));
    fill(rows, ...shares.flatMap((share, i) => [
      el("p", {class: "compass-words"}, el("strong", {}, SIGNS[i]), ` ${percent(share)} of their variance`),
      el("div", {class: "compass-row"}, ...order.map(({at, k}) => {
        const index = k ? i * steps.length + k : 0; // the place's own latent stands first
        const {words: judged, kind} = judge(found, index);
        const name = at === 0 ? "here" : `${at > 0 ? "+" : "−"}${Math.abs(at)} sd`;
        return button([picture(found.pixels, info.shape, "", index), el("small", {}, name)], () => store.set({latent: found.latents.slice(index * dim, (index + 1) * dim), current: null, tab: "image"}),
          {class: "step", "data-kind": kind, title: "Take this latent", "aria-label": `direction ${i + 1}, ${name}: ${judged}`});
      })),
    ]));
  }

  store.on("compass", () => {
    const on = store.facts.compass;
    toggle.setAttribute("aria-pressed", String(on));
    element.hidden = !on;
    if (on) ask();
    else clear();
  });
  store.on("look", ask);
  store.on("tab", () => store.facts.tab !== "decode" && clear());
  store.on("snapshot", clear);
  return {
    element,
    toggle,
    /** Another place is looked at; null for none. @param {number|null} x @param {number} [y] 16-bit units */
    at(x, y = 0) {
      if (place && place[0] === x && place[1] === y) return;
      place = x === null ? null : [x, y];
      if (!store.facts.compass) return;
      store.mark("compass", []); // it is of another place
      ask();
    },
  };
}
