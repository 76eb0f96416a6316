// A bar over the map for the selected images: look at them, tag them, zoom to them.

import {button, choice, el, fill} from "./dom.js";
import {inTurn, readTags} from "./tags.js";

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
    button("Zoom to them", () => view.zoomTo(store.facts.selected.map((row) => store.pointOf(row)).filter((point) => point >= 0))),
    button("Clear", () => store.set({selected: [], joining: "replace"})),
  );
  box.append(bar);

  /** @param {boolean} on */
  async function tag(on) {
    const word = name.value.trim();
    if (!served || !word) return void (store.say("A tag needs a name."), name.focus());
    await tagImages(store, word, store.facts.selected, on);
  }

  store.on("selected", () => {
    const num = store.facts.selected.length;
    if (served && num && bar.hidden) readTags(store);
    count.textContent = `${images(num)} selected`;
    bar.hidden = !num;
  });
  store.on("tagged", () => fill(known, ...Object.keys(store.facts.tagged.tags).map((value) => el("option", {value}))));
}

/** The current image joins the selection, or leaves it. @param {import("./store.js").Store} store */
export function selectCurrent(store) {
  const {current, selected} = store.facts;
  if (current === null) return store.say("There is no current image: press one on the map, or move there by the arrow keys.");
  store.select([current], selected.includes(current) ? "subtract" : "add");
  store.announce(`${images(store.facts.selected.length)} selected`);
}

/**
 * Give a tag to images, or take it away; it can be undone, and what other windows do to the same tag stays.
 * @param {import("./store.js").Store} store @param {string} tag @param {number[]} rows @param {boolean} on
 */
async function tagImages(store, tag, rows, on) {
  const {served} = store;
  if (!served) return;
  const had = new Set(Object.hasOwn(store.facts.tagged.rows, tag) ? store.facts.tagged.rows[tag] : []); // a tag may be called "constructor"
  const ids = await store.attempt(served.ids(rows));
  const tagged = ids && (await store.attempt(inTurn(store, () => served.tag(tag, ids, on))));
  if (!tagged) return;
  store.set({tagged});
  const words = `${images(rows.filter((row) => had.has(row) !== on).length)} ${on ? "tagged" : "no longer tagged"} ${tag}`;
  const change = async (/** @type {boolean} */ undone) => store.set({tagged: await inTurn(store, () => served.undoTag(tagged.change, undone))});
  store.did({words, undo: () => change(true), redo: () => change(false)});
  store.say(`${words}.`);
}
