// The notebook's experiment, live: the mean latent of a class plus noise, decoded; or any sampler of the run in its place.

import {button, choice, el, fill, slider} from "./dom.js";
import {distanceWords} from "./gauge.js";
import {captioned, picture} from "./pictures.js";
import {progressWords, whileFitting} from "./waiting.js";

const LATE = 800; // milliseconds after which the last draw is taken away

/** @param {import("./context.js").Context} context */
export function probePanel(context) {
  const {info, source} = context;
  const asked = {sampler: info.samplers[0] ?? "", noise: 1, seed: 0};
  const grid = el("div", {class: "grid"});
  const scores = el("dl", {class: "scores"});
  const busy = el("p", {class: "quiet"});
  let wanted = 0; // the last draw that was asked for; one that comes after a later one was asked for is not shown
  const noise = slider("Noise", {min: 0, max: 3, step: 0.05, value: 1}, (value) => draw({noise: value}), (v) => v.toFixed(2));
  const samplers = choice("Sampler", info.samplers.map((name) => ({value: name, text: !info.class_names.length && name === "class-means" ? "cluster means" : name.replace("-", " ")})), asked.sampler, (value) => {
    noise.element.hidden = value !== "class-means";
    draw({sampler: value});
  });
  const element = el(
    "div",
    {},
    el("p", {}, "Is the space between the images filled? Draw new latents, decode them, and see where they lie."),
    samplers.element,
    noise.element,
    el("p", {class: "row"}, button("Draw again", () => draw({seed: asked.seed + 2}), {class: "main"})),
    busy,
    grid,
    el("p", {class: "quiet"}, "On the map: dots for draws near the data; small rings for those far from all data, put where the nearest data are."),
    scores,
  );

  /** @param {Partial<typeof asked>} changes */
  async function draw(changes) {
    Object.assign(asked, changes);
    busy.textContent = "";
    const mine = ++wanted;
    const {sampler} = asked;
    const asFitted = whileFitting(context, `sampler ${sampler}`, (share, left) => {
      if (mine === wanted) busy.textContent = `Fitting ${sampler} to the latents, once: ${progressWords(share, left)}`;
    });
    const late = setTimeout(() => {
      if (mine !== wanted) return;
      busy.textContent ||= "Drawing…";
      fill(grid); // what stands there is of another sampler or another noise
      fill(scores);
      context.mark("probe", []);
    }, LATE);
    const drawn = await context.attempt(source.probe({...asked, map: context.facts.map}));
    clearTimeout(late);
    asFitted();
    if (mine !== wanted) return;
    busy.textContent = "";
    if (!drawn) return;
    fill(grid, ...Array.from(drawn.ratio, (ratio, i) => {
      const name = drawn.labels.length ? (info.class_names[drawn.labels[i]] ?? `cluster ${drawn.labels[i] + 1}`) : "";
      const [words, kind] = distanceWords(ratio);
      const card = captioned(picture(drawn.pixels, info.shape, `drawn ${name}: ${words}`, i), name, el("small", {title: words}, `${ratio.toFixed(1)} ×`));
      card.dataset.kind = kind;
      return card;
    }));
    fill(scores, ...drawn.scores.flatMap(({name, value, hint}) => [el("dt", {}, name), el("dd", {}, el("strong", {}, value), el("small", {}, hint))]));
    if (context.facts.tab === "probe") mark(drawn);
  }

  /** @param {import("./types.js").Probe} drawn */
  function mark(drawn) {
    const names = Array.from(drawn.labels, (label) => info.class_names[label] ?? "");
    const shown = context.fromUnits(drawn.places);
    const cloud = (/** @type {boolean} */ far) =>
      context.fromUnits(drawn.cloud.filter((_, i) => (distanceWords(drawn.cloud_ratio[i >> 1])[1] === "bad") === far));
    context.mark("probe", [
      {kind: "dots", ...cloud(true), radius: 3, ring: true, colour: "ink"},
      {kind: "dots", ...cloud(false), radius: 2.5, colour: "ink"},
      {kind: "dots", ...shown, radius: 6, ring: true, colour: "ink"},
      ...(names.length ? [/** @type {import("./types.js").Mark} */ ({kind: "label", ...shown, text: names})] : []),
    ]);
  }

  context.on("tab", () => context.facts.tab !== "probe" && context.mark("probe", []));
  context.on("points", () => context.facts.tab === "probe" && draw({}));
  return {name: "probe", title: "Probe", element, shown: () => draw({})};
}
