// Which points are shown: the filters of the store, each of one column, all of them together; and a chip for each, to take it away.

import {button, el, fill} from "./dom.js";
import {NO_VALUE, readable} from "./numbers.js";

const FEW = 3; // names in a chip

/** What a filter of a column leaves: not these classes (a class behind the last one has no value), or the numbers of a range. @typedef {{hidden: number[]}|{low: number, high: number}} Filter */

/** The filters with another one of a column, or without. @param {Record<string, Filter>} filters @param {string} name @param {Filter|null} filter */
export function withFilter(filters, name, filter) {
  const {[name]: _, ...others} = filters;
  return filter && !("hidden" in filter && !filter.hidden.length) ? {...others, [name]: filter} : others;
}

/** The classes of a column that are hidden. @param {Record<string, Filter>} filters @param {string} name @returns {Set<number>} */
export function hiddenOf(filters, name) {
  const filter = filters[name];
  return new Set(filter && "hidden" in filter ? filter.hidden : []);
}

/** The points that filters let through: 1, and 0 for all others. @param {import("./store.js").Store} store @param {Record<string, Filter>} filters of columns that it has */
export async function maskOf(store, filters) {
  const given = Object.entries(filters);
  const values = await Promise.all(given.map(([name]) => store.column(name)));
  const mask = new Uint8Array(store.count).fill(1);
  given.forEach(([name, filter], which) => {
    const column = values[which];
    const noValue = store.columns.find((one) => one.name === name)?.names.length;
    const hidden = "hidden" in filter ? new Set(filter.hidden) : null;
    for (let row = 0; row < mask.length; row++) {
      const value = column[row];
      if (hidden ? hidden.has(value === NO_VALUE ? noValue ?? NO_VALUE : value) : !("low" in filter && value >= filter.low && value <= filter.high)) mask[row] = 0;
    }
  });
  return mask;
}

/** Keeps the fact `filtered` up with the fact `filters`, and shows a chip for each. @param {import("./store.js").Store} store @param {HTMLElement} box that holds the map */
export function filterChips(store, box) {
  const chips = el("div", {class: "chips", role: "group", "aria-label": "Filters", hidden: true});
  box.append(chips);

  async function apply() {
    const filters = Object.entries(store.facts.filters).filter(([name]) => store.columns.some((one) => one.name === name));
    drawChips();
    if (!filters.length) {
      store.drop("filtered");
      return store.set({filtered: null});
    }
    const mask = await store.newest("filtered", () => maskOf(store, Object.fromEntries(filters)));
    if (mask) store.set({filtered: mask});
  }

  const columnOf = (/** @type {string} */ name) => /** @type {import("./types.js").ColumnInfo} */ (store.columns.find((one) => one.name === name));

  /** @param {string} name @param {Filter} filter */
  function wordsOf(name, filter) {
    const {title, names, unit} = columnOf(name);
    if (!("hidden" in filter)) return `${title}: ${readable(filter.low)} to ${readable(filter.high)}${unit && unit.length < 8 ? ` ${unit}` : ""}`;
    const hidden = new Set(filter.hidden);
    const left = names.filter((_, code) => !hidden.has(code));
    if (left.length <= FEW) return `${title}: ${left.join(", ") || "none"}`;
    const gone = names.filter((_, code) => hidden.has(code));
    return gone.length <= FEW ? `${title}: not ${gone.join(", ") || "without a value"}` : `${title}: ${left.length} of ${names.length}`;
  }

  function drawChips() {
    const {filters} = store.facts;
    const known = Object.entries(filters).filter(([name]) => store.columns.some((one) => one.name === name));
    chips.hidden = !known.length;
    fill(chips, ...known.map(([name, filter]) => {
      const words = wordsOf(name, filter);
      return button([el("span", {}, words), " ×"], () => store.set({filters: withFilter(store.facts.filters, name, null)}),
        {class: "chip", title: `Take this filter away: ${words}`, "aria-label": `Take away the filter ${words}`});
    }));
  }

  store.on(["filters", "part"], apply);
  store.on("tagged", () => "tags" in store.facts.filters && apply());
}
