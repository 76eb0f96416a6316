// The current image: what its table says of it, its reconstruction, its latent to change, its neighbours, and the directions in which images like it vary.
// A latent that was taken from the map belongs to no image: it is shown alone.

import {waitOn} from "./busy.js";
import {channelControls} from "./channels.js";
import {afterwards, button, el, fill, named, slider} from "./dom.js";
import {jsonOf} from "./files.js";
import {findField} from "./find.js";
import {gauge} from "./gauge.js";
import {groupDirection} from "./group-direction.js";
import {percent, readable, steady} from "./numbers.js";
import {captioned, difference, frame, paint, picture} from "./pictures.js";
import {stepButtons} from "./stepping.js";

const SHOWN = 6; // directions

/** @param {import("./store.js").Store} store */
export function imagePanel(store) {
  const {info, source} = store;
  const facts = el("p", {class: "facts"});
  const pictures = el("div", {class: "pair three"});
  const table = el("dl", {class: "table"});
  const changed = frame(info.shape, "The decoded image of the latent below");
  const changedCard = captioned(changed, "decoded from the latent below");
  const honest = gauge();
  const bars = el("div", {class: "bars", role: "group", "aria-label": "The latent, one slider for each number"});
  const near = el("div", {class: "grid small"});
  const worst = el("div", {class: "grid small"});
  const sliders = el("div", {});
  const vary = el("h2", {});
  const between = groupDirection(store, along);
  const hint = el("p", {class: "quiet"});
  const back = button("", () => own && reset());
  const ofClass = el("div", {}, el("h2", {}, info.class_names.length ? "Largest errors of its class" : "Largest errors"), worst);
  const ofImage = el("div", {}, el("h2", {}, "Nearest in latent space"), near);
  const body = el(
    "div",
    {hidden: true},
    facts,
    stepButtons(store),
    pictures,
    channelControls(store),
    table,
    ofImage,
    el("h2", {}, "Latent"),
    ...(info.decodes ? [el("div", {class: "pair even"}, changedCard, honest.element), bars]
      : [el("p", {}, "The model of this run is not available, so this latent cannot be changed and decoded.")]),
    el("p", {class: "row"}, info.decodes ? back : null, button("Copy latent (JSON)", () => store.copy(jsonOf({run: info.name, latent}), "The latent is"))),
    ...(info.decodes ? [vary, sliders, between.element] : []),
    ofClass,
  );
  const element = el("div", {}, findField(store), hint, body);
  /** What the sliders start from: the image's latent, or the one that was taken. @type {Float32Array|null} */
  let own = null;
  /** @type {Float32Array|null} */
  let latent = null;
  /** @type {import("./types.js").Directions|null} */
  let directions = null;
  let amounts = new Float32Array(SHOWN);
  /** @type {ReturnType<typeof bar>[]} */
  let shownBars = [];
  let scale = 1;
  let [decodes, answered] = [0, 0]; // how many were asked for; which of them is shown
  let opened = /** @type {number|null} */ (null); // the row of the image that is shown; another may be on its way

  /** Nothing to show, and why. @param {string} why */
  function clear(why) {
    own = latent = directions = opened = null;
    hint.textContent = why;
    hint.hidden = false;
    body.hidden = true;
    store.mark("image", []);
  }

  /** What the facts say: the current image, a latent, or nothing. */
  async function open() {
    const {current, latent: taken} = store.facts;
    const given = store.shownGiven;
    if (given) return openImage(given);
    if (taken) return openLatent(taken);
    if (current === null) {
      store.drop("image");
      return clear("Press an image on the map, or move there by the arrow keys.");
    }
    const found = await store.newest("image", () => source.image(current), {
      busy: element, failed: (words) => clear(`This image cannot be shown: ${words}`),
    });
    if (found) await openImage(found);
  }

  /** @param {Float32Array} taken */
  async function openLatent(taken) {
    opened = null;
    fill(facts, el("strong", {}, "A latent from the map"), " · it belongs to no image");
    fill(pictures);
    fill(table);
    ofImage.hidden = ofClass.hidden = true;
    back.textContent = "Back to the latent as it was taken";
    vary.textContent = "Directions in which all images vary";
    store.drop("image");
    start(taken, null);
    await findDirections(null);
  }

  /** @param {import("./types.js").ImageInfo|import("./types.js").Given} found of the run, or the user's */
  async function openImage(found) {
    const own = "row" in found ? found : null;
    opened = own ? own.row : null;
    showFacts(found);
    showPictures(found);
    const columns = own ? own.columns : "note" in found && found.note ? [{title: "as it was read", value: found.note, unit: ""}] : [];
    fill(table, ...columns.flatMap(({title, value, unit}) => [el("dt", {}, title), el("dd", {}, typeof value === "string" ? value || "–" : `${readable(value)}${unit && value !== null ? ` ${unit}` : ""}`)]));
    ofImage.hidden = false;
    ofClass.hidden = !own;
    back.textContent = "Back to the latent of this image";
    vary.textContent = "Directions in which the images near it vary";
    fill(near, ...Array.from(found.neighbours, () => el("div", {class: "card", "aria-hidden": "true"}, frame(info.shape), el("small", {}, "\u00a0")))); // what is below stays where it is
    fill(worst);
    start(found.latents, found.reconstruction);
    await Promise.all([findDirections(own ? own.row : found.neighbours[0]), showOthers(found)]);
  }

  /** @param {import("./types.js").ImageInfo|import("./types.js").Given} found */
  function showFacts(found) {
    const own = "row" in found ? found : null;
    const name = own ? (info.class_names[own.label] ?? "") : "";
    const part = !own ? " · an image of yours, not of this run" : store.pointOf(own.row) < 0 ? " · not on the map" : own.row < 0 ? " · a train image, placed on the map" : "";
    fill(facts, el("strong", {}, named(found.id)), name ? ` · ${named(name)}` : "", ` · mean squared error ${readable(found.error)}${part}`);
    if (own && own.row < 0) tellTrust(own.row);
  }

  /** How far the place of an image can be trusted that the map was not made of. @param {number} row */
  async function tellTrust(row) {
    const {map} = store.facts;
    if (store.pointOf(row) < 0 || !store.columns.some(({name}) => name === `trust:${map}`)) return;
    const trust = await store.newest("trust", () => store.column(`trust:${map}`));
    if (trust && store.facts.current === row && store.facts.map === map) facts.append(` (trust of its place ${readable(trust[store.pointOf(row)], 2)})`);
  }

  /** @param {{id: string, pixels: Uint8Array, reconstruction: Uint8Array}} found */
  function showPictures(found) {
    const parts = [];
    if (found.pixels.length) parts.push(captioned(picture(found.pixels, info.shape, `the image ${found.id}`), "image"));
    if (found.reconstruction.length) parts.push(captioned(picture(found.reconstruction, info.shape, "its reconstruction"), "reconstruction"));
    if (parts.length === 2) {
      parts.push(captioned(picture(difference(found.pixels, found.reconstruction), info.shape, "the difference, grey where there is none"), "difference"));
    }
    fill(pictures, ...parts);
  }

  /**
   * The pictures stand before what is computed about them; all of it is of this image, or is not shown.
   * @param {import("./types.js").ImageInfo|import("./types.js").Given} found
   */
  async function showOthers(found) {
    await store.newest("image", async () => {
      const nearest = await thumbnails(Array.from(found.neighbours), (i) => `${steady(found.distances[i])} ×`);
      const badly = "row" in found ? await thumbnails(await worstOf(found.label), () => "") : [];
      return {nearest, badly};
    }, {busy: near}).then((rest) => {
      if (!rest) return;
      fill(near, ...rest.nearest);
      fill(worst, ...rest.badly);
    });
  }

  /** Begin with a latent and, where it is known already, its picture. @param {Float32Array} begun @param {Uint8Array|null} decoded */
  function start(begun, decoded) {
    hint.hidden = true;
    body.hidden = false;
    own = begun;
    directions = null;
    fill(sliders);
    paint(changed, decoded ?? new Uint8Array(0), info.shape);
    honest.clear();
    if (info.decodes) reset();
    else latent = begun;
  }

  function reset() {
    if (!own) return;
    latent = Float32Array.from(own);
    between.reset();
    scale = 1.5 * latent.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
    shownBars = Array.from(latent, (_, i) => bar(i));
    fill(bars, ...shownBars.map((one) => one.element));
    if (directions) showDirections(directions);
    decode();
  }

  /** Of what was just begun with; another look or part of the images changes nothing of them. @param {number|null} row of an image, or null for all of them */
  async function findDirections(row) {
    if (!info.decodes) return;
    const of = own;
    const found = await store.newest("directions", () => source.directions(row), {busy: sliders});
    if (!found || own !== of) return; // they are of another image
    directions = found;
    showDirections(found);
  }

  /** @param {import("./types.js").Directions} found */
  function showDirections(found) {
    amounts = new Float32Array(SHOWN);
    fill(sliders, ...Array.from({length: Math.min(SHOWN, found.shares.length)}, (_, i) => direction(i)));
    if (between.moved) along(); // before the walls were known
  }

  /** A number of the latent as a slider, also moved by the arrow keys, and in digits. @param {number} i */
  function bar(i) {
    const input = /** @type {HTMLInputElement} */ (el("input", {type: "range", min: -scale, max: scale, step: scale / 100, class: "bar-of", "aria-label": `latent ${i}`}));
    const digits = el("output", {"aria-hidden": "true"});
    const show = (/** @type {number} */ value) => {
      input.value = String(value);
      input.setAttribute("aria-valuetext", readable(value));
      digits.textContent = steady(value).replace("-", "−");
    };
    show(latent?.[i] ?? 0);
    input.addEventListener("input", () => {
      const value = Number(input.value);
      show(value);
      if (latent) latent[i] = value;
      decode();
    });
    return {element: el("div", {class: "bar-cell", title: `latent ${i}`}, el("small", {"aria-hidden": "true"}, String(i)), input, digits), show};
  }

  /** @param {number} i */
  function direction(i) {
    const found = /** @type {import("./types.js").Directions} */ (directions);
    const title = `${percent(found.shares[i])} of their variance`;
    return slider(title, {min: -3, max: 3, step: 0.1, value: 0}, (value) => {
      amounts[i] = value;
      along();
    }, (value) => `${steady(value, 1)} sd`).element;
  }

  /** The latent moved along the directions and between the groups, kept within what the encoder can give. */
  function along() {
    if (!own) return;
    const [about, dim] = [directions, own.length];
    latent = Float32Array.from(own, (value, j) => {
      let sum = value + between.shift(j);
      if (!about) return sum; // the directions and the walls are still on their way
      for (let i = 0; i < amounts.length && i < about.shares.length; i++) {
        sum += amounts[i] * about.deviations[i] * about.directions[i * dim + j];
      }
      return Math.min(about.highest[j], Math.max(about.lowest[j], sum));
    });
    latent.forEach((value, i) => shownBars[i].show(value));
    decode();
  }

  async function decode() {
    if (!latent || !info.decodes) return;
    const [asked, of, order] = [latent, own, ++decodes];
    const done = waitOn(changedCard);
    const found = await source.decode(asked, store.facts.map, asked.length).catch((error) => (own === of && order > answered && failed(error), null)).finally(done);
    if (!found || own !== of || order < answered) return; // it is of another image, or of a latent of before
    answered = order;
    paint(changed, found.pixels, info.shape);
    honest.show(found, 0);
    if (store.facts.tab === "image" && !store.plays) store.mark("image", [{kind: "cross", ...store.fromUnits(found.places)}]);
  }

  /** @param {Error} error */
  function failed(error) {
    paint(changed, new Uint8Array(0), info.shape);
    honest.clear(`This latent cannot be decoded: ${error.message}`);
    store.say(error.message);
  }

  /** @param {number} label */
  async function worstOf(label) {
    if (!info.columns.some((column) => column.name === "error")) return [];
    const errors = await store.column("error");
    const points = label < 0 ? Array.from(errors, (_, point) => point) : store.pointsOfClass(label);
    return points.sort((a, b) => errors[b] - errors[a]).slice(0, 6).map((point) => store.rowOf(point));
  }

  /** @param {number[]} rows @param {(i: number) => string} words */
  async function thumbnails(rows, words) {
    const found = await Promise.all(rows.map((row) => source.image(row)));
    return found.map((one, i) => {
      const name = one.label >= 0 ? info.class_names[one.label] : "";
      const shown = picture(one.pixels.length ? one.pixels : one.reconstruction, info.shape, "");
      const below = words(i) ? [el("small", {}, words(i))] : [];
      return button([shown, el("span", {class: "lines", title: name}, name), ...below], () => store.choose(one.row), {class: "card", title: `go to ${one.id}`});
    });
  }

  /** The same image in another look; the latent stays as it was changed. */
  async function look() {
    stale ||= store.facts.tab !== "image";
    if (latent && !stale) decode();
    const found = await again();
    if (found) showPictures(found);
    others();
  }

  /** The image that is shown, as it is now; null where none is, and where another one is on its way, which is then asked for anew. */
  async function again() {
    const {current, tab} = store.facts;
    if (current === null || tab !== "image" || stale) return null;
    if (current !== opened) return open().then(() => null);
    return store.newest("image", () => source.image(current));
  }

  const others = afterwards(async () => { // while the contrast is dragged, they wait
    const found = await again();
    if (!found) return;
    showFacts(found);
    showPictures(found);
    await showOthers(found);
  });
  store.on("look", look);
  store.on("part", others);
  let stale = true; // what is shown is not what the facts say
  const refresh = () => {
    if (!stale || store.facts.tab !== "image") return;
    stale = false;
    open();
  };
  store.on(["current", "latent"], () => {
    stale = true;
    queueMicrotask(refresh); // both facts change at once: it is opened once
  });
  store.on(["tab", "snapshot"], () => (store.facts.tab !== "image" || store.plays) && store.mark("image", []));
  store.on("points", () => store.facts.tab === "image" && decode()); // the cross lies elsewhere on another map
  return {
    name: "image",
    title: "Image",
    element,
    shown() {
      if (stale) refresh();
      else decode();
    },
  };
}
