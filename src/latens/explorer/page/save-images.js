// Save some images: a table of what is known of them, and a contact sheet.

import {button} from "./dom.js";
import {download, pngOf} from "./files.js";
import {sheetOf} from "./sheet.js";

const MOST = 400; // images of a sheet
const AT_ONCE = 8; // that are asked for

/** @typedef {import("./store.js").Store} Store */

/**
 * Buttons that save images.
 * @param {Store} store @param {() => number[]} rows the images when one is pressed @param {string} what for the files' names
 */
export function saveImages(store, rows, what) {
  const {info, source, served} = store;
  const name = () => `${info.name}-${what}`;
  const save = async (/** @type {"csv"|"parquet"} */ format) => {
    if (rows().length) download(await store.attempt(source.table(rows(), store.facts.map, format, store.facts.part)), `${name()}.${format}`);
  };
  const sheet = async () => {
    const all = rows();
    const canvas = all.length ? await store.newest(`sheet ${what}`, () => sheetOfRows(store, all, what)) : null;
    if (canvas) download(await store.attempt(pngOf(canvas)), `${name()}.png`);
  };
  return [
    button("Save CSV", () => save("csv"), {title: "Class, columns, place on the map and tags of these images"}),
    ...(served ? [button("Parquet", () => save("parquet"), {title: "The same table as a Parquet file", "aria-label": "Save Parquet"})] : []),
    button("Save sheet", sheet, {title: "These images as one picture (PNG)"}),
  ];
}

/** @param {Store} store @param {number[]} rows @param {string} what */
async function sheetOfRows(store, rows, what) {
  const {info, source} = store;
  const some = rows.slice(0, MOST);
  /** @type {import("./sheet.js").Cell[]} */
  const cells = [];
  for (let start = 0; start < some.length; start += AT_ONCE) {
    const found = await Promise.all(some.slice(start, start + AT_ONCE).map((row) => source.image(row)));
    for (const {pixels, reconstruction, label, id} of found) {
      cells.push({pixels: pixels.length ? pixels : reconstruction, words: label >= 0 ? (info.class_names[label] ?? id) : id});
    }
  }
  const left = rows.length > MOST ? `, the first ${MOST} of ${rows.length.toLocaleString("en")}` : "";
  return sheetOf(cells, info.shape, {title: `${info.name} · ${what}${left}`});
}
