// The probe: the mean latent of each class plus noise, decoded; or draws of any other sampler of the run.

import {button, choice, el, fill, slider} from "./dom.js";
import {judge, judgeDistance} from "./gauge.js";
import {readable, steady} from "./numbers.js";
import {captioned, picture} from "./pictures.js";
import {progressWords, whileFitting} from "./waiting.js";

const LATE = 800; // milliseconds after which the last draw is taken away
const UNITS = /** @type {Record<string, string>} */ ({spread: "spread of the class", latent: "latent units"});

/** @param {import("./store.js").Store} store */
export function probePanel(store) {
  const {info, source} = store;
  const asked = {sampler: info.samplers[0] ?? "", noise: 1, unit: "spread", seed: 0};
  const grid = el("div", {class: "grid"});
  const scores = el("dl", {class: "scores"});
  const busy = el("p", {class: "quiet"});
  const noise = slider("Noise", {min: 0, max: 3, step: 0.05, value: 1}, (value) => draw({noise: value}), (v) => (asked.unit === "spread" ? `${v.toFixed(2)} × spread` : v.toFixed(2)));
  const unit = choice("Unit of the noise", Object.entries(UNITS).map(([value, text]) => ({value, text})), asked.unit, (value) => {
    asked.unit = value;
    noise.refresh();
    draw({});
  });
  const sizes = el("p", {class: "quiet"});
  const noiseBox = el("div", {}, noise.element, unit.element,
    el("p", {class: "quiet"}, "Normal noise, of this standard deviation in each number of the latent. The spread of a class is the root mean square of the standard deviations of its latents: at 1 a draw is as far from the mean as the images of its class are."), sizes);
  const samplers = choice("Sampler", info.samplers.map((name) => ({value: name, text: !info.class_names.length && name === "class-means" ? "cluster means" : name.replaceAll("-", " ")})), asked.sampler, (value) => {
    noiseBox.hidden = value !== "class-means";
    draw({sampler: value});
  });
  noiseBox.hidden = asked.sampler !== "class-means";
  const element = el(
    "div",
    {},
    el("p", {}, "Can new images be drawn? The sampler draws new latents, and the decoder decodes them."),
    samplers.element,
    noiseBox,
    el("p", {class: "row"}, button("Draw again", () => draw({seed: asked.seed + 2}), {class: "main"})),
    busy,
    grid,
    el("p", {class: "quiet"}, "On the map: dots are draws near the data; small rings are draws far from all data, put where the nearest data are."),
    scores,
  );

  /** What stands there is of another sampler or another noise. */
  function clear() {
    fill(grid);
    fill(scores);
    store.mark("probe", []);
  }

  /** @param {Partial<typeof asked>} changes */
  async function draw(changes) {
    Object.assign(asked, changes);
    busy.textContent = "";
    const now = {...asked, map: store.facts.map};
    const current = () => Object.entries(asked).every(([name, value]) => now[/** @type {"noise"} */ (name)] === value);
    const asFitted = whileFitting(store, `sampler ${now.sampler}`, (share, left) => {
      if (current()) busy.textContent = `Fitting ${now.sampler} to the latents (once): ${progressWords(share, left)}`;
    });
    const late = setTimeout(() => {
      if (!current()) return;
      busy.textContent ||= "Drawing…";
      clear();
    }, LATE);
    const drawn = await store.newest("probe", () => source.probe(now), {
      busy: grid,
      failed(words) {
        clear();
        busy.textContent = `Nothing was drawn: ${words}`;
      },
    });
    clearTimeout(late);
    asFitted();
    if (!drawn) return;
    busy.textContent = "";
    const [least, most] = [Math.min(...drawn.spreads), Math.max(...drawn.spreads)].map((spread) => readable(spread));
    sizes.textContent = drawn.spreads.length ? `Spread of ${least === most ? `each class: ${least}` : `the classes: ${least} to ${most}`} latent units.` : "";
    fill(grid, ...Array.from(drawn.ratio, (ratio, i) => {
      const name = drawn.labels.length ? (info.class_names[drawn.labels[i]] ?? `cluster ${drawn.labels[i] + 1}`) : "";
      const {words, kind} = judge(drawn, i);
      const card = captioned(picture(drawn.pixels, info.shape, `drawn ${name}: ${words}`, i), el("span", {class: "lines", title: name}, name), el("small", {title: words}, `${steady(ratio, 1)} ×`));
      card.dataset.kind = kind;
      return card;
    }));
    fill(scores, ...drawn.scores.flatMap(({name, value, unit, hint}) => [el("dt", {}, name), el("dd", {}, el("strong", {}, `${readable(value)}${unit ? ` ${unit}` : ""}`), el("small", {}, hint))]));
    if (store.facts.tab === "probe" && now.map === store.facts.map) mark(drawn);
  }

  /** @param {import("./types.js").Probe} drawn */
  function mark(drawn) {
    const names = Array.from(drawn.labels, (label) => info.class_names[label] ?? "");
    const shown = store.fromUnits(drawn.places);
    const cloud = (/** @type {boolean} */ far) =>
      store.fromUnits(drawn.cloud.filter((_, i) => (judgeDistance(drawn.cloud_ratio[i >> 1]).kind === "bad") === far));
    store.mark("probe", [
      {kind: "dots", ...cloud(true), radius: 3, ring: true, colour: "ink"},
      {kind: "dots", ...cloud(false), radius: 2.5, colour: "ink"},
      {kind: "dots", ...shown, radius: 6, ring: true, colour: "ink"},
      ...(names.length ? [/** @type {import("./types.js").Mark} */ ({kind: "label", ...shown, text: names})] : []),
    ]);
  }

  store.on("tab", () => store.facts.tab !== "probe" && store.mark("probe", []));
  store.on(["points", "look"], () => store.facts.tab === "probe" && draw({}));
  return {name: "probe", title: "Probe", element, shown: () => draw({})};
}
