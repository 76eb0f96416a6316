// A direction in latent space from one group of images to another, such as from a class to another or between two tags.

import {button, choice, el, fill, slider} from "./dom.js";
import {jsonOf} from "./files.js";
import {steady} from "./numbers.js";
import {images} from "./selection.js";
import {readTags} from "./tags.js";

const MOST = 2; // whole differences between the groups' means, to either side

/**
 * @param {import("./store.js").Store} store @param {() => void} changed  the shift is another
 */
export function groupDirection(store, changed) {
  const {info, source} = store;
  const ends = [choice("From", [], "", choose), choice("To", [], "", choose)];
  /** @type {Float32Array|null} */
  let difference = null;
  let of = "[[],[]]"; // the groups' images
  const amount = slider("Amount", {min: -MOST, max: MOST, step: 0.05, value: 0}, changed, (value) => `${steady(value)} ×`);
  const note = el("p", {class: "quiet"});
  const copied = button("Copy direction (JSON)", () => {
    const [from, to] = ends.map(({select}) => select.selectedOptions[0].textContent);
    store.copy(jsonOf({run: info.name, from, to, direction: difference}), "The direction is");
  }, {title: "The mean of one group less that of the other, in latent units"});
  const element = el("section", {"aria-label": "Direction between two groups"}, el("h2", {}, "Direction between two groups"),
    el("div", {class: "slot"}, ...ends.map(({element: one}) => one)), amount.element, note, el("p", {class: "row"}, copied));
  amount.input.disabled = copied.disabled = true;

  /** The groups that there are: classes, tags, the selection. @returns {{value: string, text: string}[]} */
  const groups = () => [
    {value: "", text: "choose…"},
    ...info.class_names.map((name, label) => ({value: `class ${label}`, text: name})),
    ...Object.keys(store.facts.tagged.rows).map((name) => ({value: `tag ${name}`, text: `tag: ${name}`})),
    ...(store.facts.selected.length ? [{value: "selection", text: "the selection"}] : []),
  ];

  /** Offer what there is now; what was chosen stays, if it is still there. */
  function offer() {
    for (const {select} of ends) {
      const before = select.value;
      fill(select, ...groups().map(({value, text}) => el("option", {value}, text)));
      select.value = before;
      if (select.selectedIndex < 0) select.value = "";
    }
  }

  /** @param {string} value of a group @returns {number[]} its images */
  function rowsOf(value) {
    if (!value) return [];
    if (value === "selection") return store.facts.selected;
    if (value.startsWith("tag ")) return store.facts.tagged.rows[value.slice(4)] ?? [];
    return store.pointsOfClass(Number(value.slice(6))).map((point) => store.rowOf(point));
  }

  /** Another pair of groups: the shift begins at nothing. */
  async function choose() {
    const groups = ends.map(({select}) => rowsOf(select.value));
    of = JSON.stringify(groups);
    const moved = reset();
    difference = null;
    amount.input.disabled = copied.disabled = true;
    if (moved) changed();
    if (!ends.every(({select}) => select.value)) return void (note.textContent = "");
    if (groups.some((rows) => !rows.length)) return void (note.textContent = "One of the groups has no images.");
    const means = await store.newest("group direction", () => Promise.all(groups.map((rows) => source.mean(rows))), {busy: element});
    if (!means) return;
    const [from, to] = means;
    difference = to.map((value, j) => value - from[j]);
    amount.input.disabled = copied.disabled = !difference.some((value) => value !== 0);
    note.textContent = amount.input.disabled ? "Both groups have the same mean." : `1 × is the whole way from the mean of one group (${images(groups[0].length)}) to that of the other (${images(groups[1].length)}).`;
  }

  /** Back to no shift. @returns {boolean} whether there was one */
  function reset() {
    const moved = Number(amount.input.value) !== 0;
    amount.input.value = "0";
    amount.refresh();
    return moved;
  }

  store.on("tagged", () => {
    offer();
    if (JSON.stringify(ends.map(({select}) => rowsOf(select.value))) !== of) choose();
  });
  store.on("tab", () => store.facts.tab === "image" && readTags(store));
  store.on("selected", () => {
    offer();
    if (ends.some(({select}) => select.value === "selection")) choose();
  });
  offer();
  return {
    element,
    reset,
    /** Whether there is a shift. */
    get moved() {
      return Boolean(difference) && Number(amount.input.value) !== 0;
    },
    /** What is added to number j of a latent. @param {number} j */
    shift: (j) => (difference ? Number(amount.input.value) * difference[j] : 0),
  };
}
