// What a person does with the images that are selected: look at them, tag them, take their ids away. A bar over the map.

import {button, el, fill} from "./dom.js";

/** @typedef {import("./types.js").Tags} Tags */

/** @param {number} count */
export const images = (count) => (count === 1 ? "1 image" : `${count.toLocaleString("en")} images`);

/** @param {import("./context.js").Context} context @param {HTMLElement} box that holds the map */
export function selectionBar(context, box) {
  const {served, view} = context;
  const count = el("strong", {});
  const name = /** @type {HTMLInputElement} */ (el("input", {id: "tag-name", type: "text", maxLength: 60, placeholder: "tag, e.g. odd", "aria-label": "Tag"}));
  name.setAttribute("list", "known-tags");
  const known = el("datalist", {id: "known-tags"});
  const bar = el(
    "div",
    {class: "selection", role: "group", "aria-label": "Selection", hidden: true},
    count,
    ...(served ? [el("form", {class: "tagging", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), tag(true))},
      name, known, el("button", {}, "Tag"), button("Untag", () => tag(false))), button("Save ids (CSV)", save)] : []),
    button("Zoom to them", () => view.zoomTo(context.facts.selected)),
    button("Let go", () => context.set({selected: []})),
  );
  box.append(bar);

  /** @param {boolean} on */
  async function tag(on) {
    const word = name.value.trim();
    if (!served || !word) return void (context.say("A tag needs a name."), name.focus());
    const rows = context.facts.selected;
    const had = Object.hasOwn(context.tags.points, word) ? context.tags.points[word] : []; // a tag may be called "constructor"
    const ids = await context.attempt(served.ids(rows));
    const tags = ids && (await context.attempt(served.tag(word, ids, on)));
    if (!tags) return;
    const those = new Set(rows);
    const changed = on ? rows.length - had.filter((row) => those.has(row)).length : had.filter((row) => those.has(row)).length;
    context.setTags(tags);
    context.say(`${images(changed)} ${on ? "tagged" : "no longer tagged"} ${word}.`);
  }

  async function save() {
    const ids = served && (await context.attempt(served.ids(context.facts.selected)));
    const quoted = (/** @type {string} */ text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    if (ids) download(new Blob([["id", ...ids.map(quoted)].join("\n") + "\n"], {type: "text/csv"}), `${context.info.name}-selection.csv`);
  }

  context.on("selected", () => {
    const num = context.facts.selected.length;
    if (served && num && bar.hidden) context.attempt(served.tags()).then((tags) => tags && context.setTags(tags));
    count.textContent = `${images(num)} selected`;
    bar.hidden = !num;
  });
  context.addEventListener("tags", () => fill(known, ...Object.keys(context.tags.tags).map((value) => el("option", {value}))));
}

/** @param {Blob|null} blob @param {string} name */
export function download(blob, name) {
  if (!blob) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
