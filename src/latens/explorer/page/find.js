// Find an image by its id or file name, as one types.

import {el, fill} from "./dom.js";

/** @param {import("./store.js").Store} store */
export function findField(store) {
  const {source} = store;
  const known = el("datalist", {id: "found-images"});
  const field = /** @type {HTMLInputElement} */ (el("input", {id: "find-image", type: "text", placeholder: "id or file name", autocomplete: "off"}));
  field.setAttribute("list", "found-images");
  field.addEventListener("input", async () => {
    const words = field.value.trim();
    const found = words ? await store.newest("find", () => source.search(words)) : [];
    if (!found) return;
    fill(known, ...found.map(({id}) => el("option", {value: id})));
    const chosen = found.find(({id}) => id === words);
    if (chosen && found.length === 1) store.choose(chosen.row); // one of the list was pressed, or all of it was typed
  });
  return el("form", {class: "field", onsubmit: find}, el("label", {for: "find-image"}, "Find"), field, known);

  /** @param {Event} event */
  async function find(event) {
    event.preventDefault();
    const words = field.value.trim();
    if (!words) return;
    const found = await store.newest("find", () => source.search(words));
    if (!found) return;
    if (found.length) store.choose(found[0].row);
    else store.say(`No image has ${words} in its id.`);
  }
}
