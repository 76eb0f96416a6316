// Tags: read from the run's folder, and a column to colour and filter by.

import {withFilter} from "./filters.js";
import {NO_VALUE} from "./numbers.js";

/** @typedef {import("./types.js").Tags} Tags */

export const TAGS = "tags"; // the column
const SEVERAL = "several tags";

/** What tags there are is read when the page comes back: another window may have changed them. @param {import("./store.js").Store} store */
export function keepTags(store) {
  if (!store.served) return;
  addEventListener("focus", () => readTags(store));
  store.on("tagged", () => keepFilter(store));
}

/** @type {WeakMap<import("./store.js").Store, Promise<unknown>>} */
const turns = new WeakMap();

/**
 * What asks for tags or changes them waits for what was sent before: a late answer would show the tags from before a change.
 * @template T @param {import("./store.js").Store} store @param {() => Promise<T>} send @returns {Promise<T>}
 */
export function inTurn(store, send) {
  const turn = (turns.get(store) ?? Promise.resolve()).then(send);
  turns.set(store, turn.catch(() => {}));
  return turn;
}

/** Read them from the run's folder. @param {import("./store.js").Store} store @returns {Promise<Tags|null>} null where that failed, or was overtaken */
export async function readTags(store) {
  const {served} = store;
  const now = served && (await store.newest("tags", () => inTurn(store, () => served.tags())));
  if (now && JSON.stringify(now) !== JSON.stringify(store.facts.tagged)) store.set({tagged: now});
  return now;
}

/** Select the images of a tag, as it is now. @param {import("./store.js").Store} store @param {string} tag */
export async function selectTagged(store, tag) {
  const now = await readTags(store);
  if (now && Object.hasOwn(now.rows, tag)) store.set({selected: now.rows[tag]});
  else if (now) store.say(`The tag ${tag} is gone: no image has it any more.`);
}

/** The column of the tags; null where there are none. @param {import("./store.js").Store} store @returns {import("./types.js").ColumnInfo|null} */
export function tagColumn(store) {
  const {tagged} = store.facts;
  const tags = Object.keys(tagged.rows).filter((tag) => pointsOf(store, tag).length);
  if (!tags.length) return null;
  const all = tags.flatMap((tag) => pointsOf(store, tag));
  const several = new Set(all).size < all.length;
  const names = Object.keys(tagged.tags);
  return {name: TAGS, title: "tag", kind: "class", unit: "", better: "", names: several ? [...tags, SEVERAL] : tags,
    colours: [...tags.map((tag) => tagged.colours[names.indexOf(tag)]), ...(several ? tagged.colours.slice(-1) : [])]};
}

/** The images of a tag that are on the map. @param {import("./store.js").Store} store @param {string} tag */
const pointsOf = (store, tag) => store.facts.tagged.rows[tag].map((row) => store.pointOf(row)).filter((point) => point >= 0);

/** The tag of each point by its number in the column. @param {import("./store.js").Store} store @returns {Uint16Array} */
export function tagValues(store) {
  const {tagged} = store.facts;
  const names = tagColumn(store)?.names ?? [];
  const values = new Uint16Array(store.count).fill(NO_VALUE);
  names.forEach((tag, code) => {
    for (const point of Object.hasOwn(tagged.rows, tag) ? pointsOf(store, tag) : []) values[point] = values[point] === NO_VALUE ? code : names.indexOf(SEVERAL);
  });
  return values;
}

/** @type {WeakMap<import("./store.js").Store, string[]>} */
const namesBefore = new WeakMap();

/** A filter by tags hides the same ones when others come or go. @param {import("./store.js").Store} store */
function keepFilter(store) {
  const [before, now] = [namesBefore.get(store) ?? [], tagColumn(store)?.names ?? []];
  namesBefore.set(store, now);
  const filter = store.facts.filters[TAGS];
  if (!filter || !("hidden" in filter) || !before.length || String(before) === String(now)) return;
  const hidden = filter.hidden.flatMap((code) => (code === before.length ? [now.length] : [now.indexOf(before[code])])).filter((code) => code >= 0);
  const quiet = store.quiet;
  store.quiet = true;
  store.set({filters: withFilter(store.facts.filters, TAGS, now.length ? {hidden} : null)});
  store.quiet = quiet;
}
