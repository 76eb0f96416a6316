// What the facts of a store say is put on its map: the points, their colours, what is hidden, faded, and the names of the classes.

import {classNames} from "./class-names.js";

/** A column and the looks of its values, see `coloured` of legend.js. @typedef {{column: import("./types.js").ColumnInfo, looks: {codes: Uint16Array, palette: string[]}}} Shown */

/**
 * @param {import("./store.js").Store} store
 * @returns {{paint: (shown?: Shown|null) => void, points: () => {x: Uint16Array, y: Uint16Array}|null}} paint: in other colours, where
 *   some are given; points: those that are on the map
 */
export function drawnMap(store) {
  const {info, view} = store;
  /** @type {Shown|null} */
  let shown = null;
  /** @type {{x: Uint16Array, y: Uint16Array}|null} */
  let drawn = null;

  /** Put on the map what the facts say: the snapshot that is played, or else the map's own points. */
  function show() {
    const {points, snapshot} = store.facts;
    const wanted = snapshot ?? points;
    if (!wanted || wanted === drawn) return;
    const before = drawn;
    const same = before?.x.length === wanted.x.length; // else the snapshots are of the test part, and the map is of all images
    drawn = wanted;
    view.setPoints(wanted, {animate: same});
    if (info.thumbnails) view.showThumbnails(wanted.x.length === points?.x.length ? info.thumbnails : null);
    paint();
    if (before && !same) view.reset();
  }

  /** Give the points their colours. */
  function paint(other = shown) {
    shown = other;
    const {points, snapshot, filtered, selected} = store.facts;
    if (snapshot && snapshot.x.length !== points?.x.length) {
      return view.setColours(snapshot.labels ?? new Uint16Array(snapshot.x.length), info.colours);
    }
    if (!shown) return;
    view.setColours(shown.looks.codes, shown.looks.palette);
    view.setVisible(filtered);
    const mask = selected.length ? new Uint8Array(info.count) : null;
    for (const row of selected) if (mask && row >= 0) mask[row] = 1;
    view.setSelection(mask);
    nameClasses();
  }

  // The probe writes the names of its own dots.
  function nameClasses() {
    const {points, filtered, tab, snapshot} = store.facts;
    if (!shown || !points || snapshot || tab === "probe") store.mark("names", []);
    else store.mark("names", classNames(points, shown.column, shown.looks.codes, filtered));
  }

  for (const fact of /** @type {const} */ (["points", "snapshot"])) store.on(fact, show);
  for (const fact of /** @type {const} */ (["filtered", "selected"])) store.on(fact, () => paint());
  for (const fact of /** @type {const} */ (["tab", "snapshot"])) store.on(fact, nameClasses);
  return {paint, points: () => drawn};
}
