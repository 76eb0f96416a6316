// Step the current image through the list or the selection that was open last, and ask for more images like it: by keys on every panel, and by buttons.

import {button, el, fill} from "./dom.js";
import {selectCurrent} from "./selection.js";

const FIRST = 50; // images like it; asked again, twice as many
const MOST = 10_000; // as decoding.py has it

/** Keys that work wherever no text is typed. @param {import("./store.js").Store} store */
export function stepKeys(store) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyped(event.target)) return;
    const deed = {j: () => step(store, 1), k: () => step(store, -1), m: () => moreLike(store)}[event.key];
    if (!deed) return;
    event.preventDefault();
    deed();
  });
  store.on("selected", () => { // the selection that is stepped through is always the present one
    if (store.facts.series?.tab === "selection") store.set({series: seriesOf("selection", "the selection", store.facts.selected)});
  });
}

/** @param {EventTarget|null} target */
const isTyped = (target) => target instanceof HTMLElement && target.matches("input:not([type=range]):not([type=checkbox]), textarea, select, dialog *");

/** @param {string} tab that it is shown on @param {string} name @param {number[]} rows @returns {import("./store.js").Series} */
export const seriesOf = (tab, name, rows) => ({tab, name, rows: [...new Set(rows)]}); // a pair of near-duplicates names an image twice

/** @param {import("./store.js").Store} store @param {number} by */
function step(store, by) {
  const {current, selected} = store.facts;
  const series = store.facts.series?.rows.length ? store.facts.series : seriesOf("selection", "the selection", selected);
  if (!series.rows.length) return store.say("There is nothing to step through: open Lists, or select images.");
  store.set({series});
  const at = current === null ? -1 : series.rows.indexOf(current);
  const next = at < 0 ? (by > 0 ? 0 : series.rows.length - 1) : at + by;
  if (next < 0 || next >= series.rows.length) return store.say(`This is the ${next < 0 ? "first" : "last"} of ${series.name}.`);
  store.choose(series.rows[next]);
}

/** Select the images nearest in latent space to what is shown, nearest first. @param {import("./store.js").Store} store */
async function moreLike(store) {
  const {current, selected} = store.facts;
  if (store.plays) return;
  const latent = store.facts.latent ?? (current === null ? null : (await store.attempt(store.source.image(current)))?.latents);
  if (!latent) return current === null ? store.say("There is no current image: press one on the map, or move there by the arrow keys.") : undefined;
  const ask = async (/** @type {number} */ count) => Array.from((await store.source.nearest(latent, count)).rows);
  const most = Math.min(MOST, store.count);
  const again = selected.length >= FIRST && selected.length < most; // the same is asked again where these are selected already
  const found = await store.newest("more like", async () => {
    const rows = await ask(Math.min(most, again ? 2 * selected.length : FIRST));
    return again && !selected.every((row, i) => row === rows[i]) ? rows.slice(0, FIRST) : rows;
  });
  if (!found) return;
  store.set({selected: found, tab: "selection"});
  store.say(`The ${found.length} images nearest to ${current === null ? "it" : "the current image"} in latent space, nearest first; once more for twice as many.`);
}

/** Buttons of what the keys do, for the page of an image. @param {import("./store.js").Store} store */
export function stepButtons(store) {
  const where = button("", () => store.facts.series && store.set({tab: store.facts.series.tab}), {class: "entry", title: "Back to it"});
  const [before, after] = [button("‹", () => step(store, -1), {title: "The one before (k)", "aria-label": "The one before"}), button("›", () => step(store, 1), {title: "The next one (j)", "aria-label": "The next one"})];
  const steps = el("span", {class: "steps"}, before, where, after);
  const chosen = button("Select", () => selectCurrent(store), {title: "Add this image to the selection, or take it out (s on the map)", "aria-pressed": "false"});
  const element = el("p", {class: "row"}, button("More like this", () => moreLike(store), {title: "Select its nearest images in latent space (m)"}), chosen, steps);
  const draw = () => {
    const {series, current, selected} = store.facts;
    const at = current === null || !series ? -1 : series.rows.indexOf(current);
    chosen.hidden = current === null;
    chosen.setAttribute("aria-pressed", String(current !== null && selected.includes(current)));
    steps.hidden = !series?.rows.length;
    if (!series) return;
    fill(where, at < 0 ? `step through ${series.name}` : `${(at + 1).toLocaleString("en")} of ${series.rows.length.toLocaleString("en")} · ${series.name}`);
    before.disabled = at === 0;
    after.disabled = at === series.rows.length - 1;
  };
  store.on(["series", "current", "selected"], draw);
  draw();
  return element;
}
