// Save the map as a picture: what is asked for, and the file.

import {button, choice, el} from "./dom.js";
import {download, pngOf} from "./files.js";
import {mapFigure} from "./map-figure.js";

const WIDTH = {least: 200, most: 8000, usual: 2000};

/**
 * A button that opens a dialog.
 * @param {import("./store.js").Store} store @param {() => import("./map-figure.js").Shown|null} shown  what the map shows now
 */
export function saveMap(store, shown) {
  const format = choice("Format", [{value: "png", text: "PNG"}, {value: "svg", text: "SVG (vector)"}], "png", () => {});
  const width = /** @type {HTMLInputElement} */ (el("input", {id: "save-width", type: "number", min: WIDTH.least, max: WIDTH.most, value: WIDTH.usual, required: true}));
  const legend = /** @type {HTMLInputElement} */ (el("input", {id: "save-legend", type: "checkbox", checked: true}));
  const dialog = /** @type {HTMLDialogElement} */ (el("dialog", {"aria-labelledby": "save-title"},
    el("form", {method: "dialog", onsubmit: () => save()},
      el("h2", {id: "save-title"}, "Save the map"),
      el("p", {class: "quiet"}, "As it is seen: this part of the map, its colours, what is drawn over it."),
      format.element,
      el("div", {class: "field"}, el("label", {for: "save-width"}, "Width"), width, el("span", {}, "pixels")),
      el("div", {class: "field"}, el("label", {for: "save-legend"}, "Legend"), legend),
      el("p", {class: "row"}, el("button", {class: "main"}, "Save"), button("Cancel", () => dialog.close())))));

  async function save() {
    const now = shown();
    if (!now) return store.say("There is no map to save yet.");
    const kind = format.select.value;
    const name = `${store.info.name}-${store.facts.map}.${kind}`;
    const blob = await store.attempt((async () => {
      const made = mapFigure(now, {width: Number(width.value), legend: legend.checked, format: kind});
      return typeof made === "string" ? new Blob([made], {type: "image/svg+xml"}) : pngOf(made);
    })());
    download(blob, name);
  }

  document.body.append(dialog);
  return button("save…", () => dialog.showModal(), {title: "Save the map as a picture", "aria-haspopup": "dialog"});
}
