// A bar over the map for the selected images: tag them, save them, zoom to them.

import {button, choice, el, fill} from "./dom.js";
import {saveImages} from "./save-images.js";

/** @typedef {import("./types.js").Tags} Tags */

/** @param {number} count */
export const images = (count) => (count === 1 ? "1 image" : `${count.toLocaleString("en")} images`);

const JOININGS = {replace: "new", add: "add", subtract: "subtract", intersect: "intersect"};

/** @param {import("./store.js").Store} store @param {HTMLElement} box that holds the map */
export function selectionBar(store, box) {
  const {served, view} = store;
  const count = el("strong", {});
  const name = /** @type {HTMLInputElement} */ (el("input", {id: "tag-name", type: "text", maxLength: 60, placeholder: "tag, e.g. odd", "aria-label": "Tag"}));
  name.setAttribute("list", "known-tags");
  const known = el("datalist", {id: "known-tags"});
  const joinings = choice("Next", Object.entries(JOININGS).map(([value, text]) => ({value, text})), "replace", (joining) => store.set({joining: /** @type {import("./store.js").Joining} */ (joining)}));
  joinings.select.title = "How what is drawn around next joins the selection; with box or lasso, Shift adds, Alt subtracts, both intersect";
  store.on("joining", () => (joinings.select.value = store.facts.joining));
  const bar = el(
    "div",
    {class: "selection", role: "group", "aria-label": "Selection", hidden: true},
    count,
    button("Look at them", () => store.set({tab: "selection"})),
    joinings.element,
    ...(served ? [el("form", {class: "tagging", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), tag(true))},
      name, known, el("button", {}, "Tag"), button("Untag", () => tag(false)))] : []),
    ...saveImages(store, () => store.facts.selected, "selection"),
    button("Zoom to them", () => view.zoomTo(store.facts.selected.filter((row) => row >= 0))),
    button("Clear", () => store.set({selected: [], joining: "replace"})),
  );
  box.append(bar);

  /** @param {boolean} on */
  async function tag(on) {
    const word = name.value.trim();
    if (!served || !word) return void (store.say("A tag needs a name."), name.focus());
    const rows = store.facts.selected;
    const had = Object.hasOwn(store.facts.tagged.rows, word) ? store.facts.tagged.rows[word] : []; // a tag may be called "constructor"
    const ids = await store.attempt(served.ids(rows));
    const tags = ids && (await store.attempt(served.tag(word, ids, on)));
    if (!tags) return;
    const those = new Set(rows);
    const changed = on ? rows.length - had.filter((row) => those.has(row)).length : had.filter((row) => those.has(row)).length;
    store.set({tagged: tags});
    store.say(`${images(changed)} ${on ? "tagged" : "no longer tagged"} ${word}.`);
  }

  store.on("selected", () => {
    const num = store.facts.selected.length;
    if (served && num && bar.hidden) store.newest("tags", () => served.tags()).then((tags) => tags && store.set({tagged: tags}));
    count.textContent = `${images(num)} selected`;
    bar.hidden = !num;
  });
  store.on("tagged", () => fill(known, ...Object.keys(store.facts.tagged.tags).map((value) => el("option", {value}))));
}
