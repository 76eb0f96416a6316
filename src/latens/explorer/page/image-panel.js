// One image: how well it is rebuilt, its latent to pull at, its neighbours, and the directions in which images like it vary.

import {button, el, fill, slider} from "./dom.js";
import {gauge} from "./gauge.js";
import {captioned, difference, frame, paint, picture} from "./pictures.js";

const SHOWN = 6; // directions

/** @param {import("./context.js").Context} context */
export function imagePanel(context) {
  const {info, source} = context;
  const facts = el("p", {class: "facts"});
  const pictures = el("div", {class: "pair three"});
  const changed = frame(info.shape, "What the changed latent decodes to");
  const honest = gauge();
  const bars = el("div", {class: "bars", role: "group", "aria-label": "The latent, one bar a number"});
  const near = el("div", {class: "grid small"});
  const worst = el("div", {class: "grid small"});
  const sliders = el("div", {});
  const hint = el("p", {class: "quiet"}, "Press an image on the map, or walk with the arrow keys.");
  const body = el(
    "div",
    {hidden: true},
    facts,
    pictures,
    el("h2", {}, "Its latent"),
    el("div", {class: "pair even"}, captioned(changed, "of the latent below"), honest.element),
    bars,
    el("p", {class: "row"}, button("Back to the image's own", () => latent && image && reset())),
    el("h2", {}, "Directions in which images near it vary"),
    sliders,
    el("h2", {}, "Nearest in latent space"),
    near,
    el("h2", {}, "Worst rebuilt of its class"),
    worst,
  );
  const element = el("div", {}, hint, body);
  /** @type {import("./types.js").ImageInfo|null} */
  let image = null;
  /** @type {Float32Array|null} */
  let latent = null;
  /** @type {import("./types.js").Directions|null} */
  let directions = null;
  let amounts = new Float32Array(SHOWN);
  let scale = 1;
  let newest = 0;

  /** @param {Promise<import("./types.js").ImageInfo>} asked */
  async function open(asked) {
    const number = ++newest; // what comes for an older image than the newest is not shown
    const found = await context.attempt(asked);
    if (!found || number !== newest) return;
    image = found;
    hint.hidden = true;
    body.hidden = false;
    const name = found.label >= 0 ? info.class_names[found.label] : "";
    fill(facts, el("strong", {}, found.id), name ? ` · ${name}` : "", ` · squared error ${found.error.toPrecision(3)}`);
    const parts = [];
    if (found.pixels.length) parts.push(captioned(picture(found.pixels, info.shape, `the image ${found.id}`), "image"));
    if (found.reconstruction.length) parts.push(captioned(picture(found.reconstruction, info.shape, "its reconstruction"), "rebuilt"));
    if (parts.length === 2) {
      parts.push(captioned(picture(difference(found.pixels, found.reconstruction), info.shape, "the difference, grey where there is none"), "difference"));
    }
    fill(pictures, ...parts);
    const nearest = await thumbnails(Array.from(found.neighbours), (i) => `${found.distances[i].toFixed(2)} ×`);
    const badly = await thumbnails(await worstOf(found.label), () => "");
    const ways = info.decodes ? await context.attempt(source.directions(found.row >= 0 ? found.row : null)) : null;
    if (number !== newest) return;
    fill(near, ...nearest);
    fill(worst, ...badly);
    directions = ways;
    if (info.decodes) reset();
  }

  function reset() {
    latent = Float32Array.from(/** @type {import("./types.js").ImageInfo} */ (image).latents);
    scale = 1.5 * latent.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
    amounts = new Float32Array(SHOWN);
    fill(bars, ...Array.from(latent, (_, i) => bar(i)));
    fill(sliders, ...Array.from({length: Math.min(SHOWN, directions?.shares.length ?? 0)}, (_, i) => direction(i)));
    decode();
  }

  /** A number of the latent as a bar to drag, or to move by the arrow keys. @param {number} i */
  function bar(i) {
    const input = /** @type {HTMLInputElement} */ (el("input", {type: "range", class: "bar-of", "aria-label": `latent ${i}`}));
    Object.assign(input, {min: String(-scale), max: String(scale), step: String(scale / 100)});
    input.value = String(latent?.[i] ?? 0);
    const speak = () => input.setAttribute("aria-valuetext", Number(input.value).toFixed(2));
    speak();
    input.addEventListener("input", () => {
      speak();
      if (latent) latent[i] = Number(input.value);
      decode();
    });
    return input;
  }

  /** @param {number} i */
  function direction(i) {
    const found = /** @type {import("./types.js").Directions} */ (directions);
    const title = `${(100 * found.shares[i]).toFixed(0)} % of their variance`;
    return slider(title, {min: -3, max: 3, step: 0.1, value: 0}, (value) => {
      amounts[i] = value;
      along();
    }, (value) => `${value.toFixed(1)} sd`).element;
  }

  /** The image's latent, moved along the directions, held where the encoder has walls. */
  function along() {
    if (!image || !directions) return;
    const dim = image.latents.length;
    latent = Float32Array.from(image.latents, (value, j) => {
      let sum = value;
      for (let i = 0; i < amounts.length && directions && i < directions.shares.length; i++) {
        sum += amounts[i] * directions.deviations[i] * directions.directions[i * dim + j];
      }
      return directions ? Math.min(directions.highest[j], Math.max(directions.lowest[j], sum)) : sum;
    });
    for (const [i, input] of [...bars.children].entries()) /** @type {HTMLInputElement} */ (input).value = String(latent[i]);
    decode();
  }

  async function decode() {
    if (!latent) return;
    const found = await context.attempt(source.decode(latent, context.facts.map, latent.length));
    if (!found) return;
    paint(changed, found.pixels, info.shape);
    honest.show(found.ratio[0], found.round_trip[0]);
    if (context.facts.tab === "image") context.mark("image", [{kind: "cross", ...context.fromUnits(found.places)}]);
  }

  /** @param {number} label */
  async function worstOf(label) {
    const errors = await context.attempt(source.column("error"));
    if (!errors) return [];
    const rows = [];
    for (let row = 0; row < errors.length; row++) if (label < 0 || context.labels?.[row] === label) rows.push(row);
    return rows.sort((a, b) => errors[b] - errors[a]).slice(0, 6);
  }

  /** @param {number[]} rows @param {(i: number) => string} words */
  async function thumbnails(rows, words) {
    const found = await Promise.all(rows.map((row) => context.attempt(source.image(row))));
    return found.flatMap((one, i) => (one ? [thumbnail(one, words(i))] : []));
  }

  /** @param {import("./types.js").ImageInfo} one @param {string} words */
  function thumbnail(one, words) {
    const name = one.label >= 0 ? info.class_names[one.label] : "";
    const shown = picture(one.pixels.length ? one.pixels : one.reconstruction, info.shape, "");
    return el("button", {type: "button", class: "card", title: `go to ${one.id}`, onclick: () => context.set({row: one.row})},
      shown, el("span", {}, name), " ", words ? el("small", {}, words) : null);
  }

  context.on("row", () => context.facts.row >= 0 && context.facts.tab === "image" && open(source.image(context.facts.row)));
  context.addEventListener("latent", (event) => {
    const detail = /** @type {CustomEvent} */ (event).detail;
    taken = detail;
    context.set({tab: "image"});
  });
  /** @type {Float32Array|null} */
  let taken = null;
  context.addEventListener("by id", (event) => context.served && open(context.served.imageOf(/** @type {CustomEvent} */ (event).detail)));
  context.on("tab", () => context.facts.tab !== "image" && context.mark("image", []));
  return {
    name: "image",
    title: "Image",
    element,
    async shown() {
      if (context.facts.row >= 0) await open(source.image(context.facts.row));
      if (taken && !image) await open(source.image(0));
      if (taken) {
        latent = taken;
        taken = null;
        scale = latent.reduce((most, value) => Math.max(most, 1.2 * Math.abs(value)), scale);
        fill(bars, ...Array.from(latent, (_, i) => bar(i)));
        decode();
      }
    },
  };
}
