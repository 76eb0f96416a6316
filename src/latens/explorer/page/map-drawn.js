// What the facts of a store say is put on its map: the points, their thumbnails and colours, what is hidden, faded, and the names of the classes.

import {classNames} from "./class-names.js";
import {afterwards} from "./dom.js";

/** A column and the looks of its values, see `coloured` of legend.js. @typedef {{column: import("./types.js").ColumnInfo, looks: {codes: Uint16Array, palette: string[]}}} Shown */

/**
 * @param {import("./store.js").Store} store
 * @returns {{paint: (shown?: Shown|null) => void, points: () => {x: Uint16Array, y: Uint16Array}|null}} paint: in other colours, where
 *   some are given; points: those that are on the map
 */
export function drawnMap(store) {
  const {info, source, view} = store;
  /** @type {Shown|null} */
  let shown = null;
  /** @type {{x: Uint16Array, y: Uint16Array}|null} */
  let drawn = null;
  let [played, shownPart] = [false, "test"]; // whether that was a snapshot, and of which part

  /** Whether a snapshot is of the same images as the map. @param {{x: Uint16Array}} snapshot */
  const ofPoints = (snapshot) => store.facts.part === "test" && snapshot.x.length === store.facts.points?.x.length;

  /** Put on the map what the facts say: the snapshot that is played, or else the map's own points. */
  function show() {
    const {points, snapshot} = store.facts;
    const wanted = snapshot ?? points;
    if (!wanted || wanted === drawn) return;
    const before = drawn;
    const part = snapshot ? "test" : store.facts.part;
    const same = before?.x.length === wanted.x.length && shownPart === part; // else they are of other images
    const playing = snapshot !== null || played;
    [played, shownPart, drawn] = [snapshot !== null, part, wanted];
    view.setPoints(wanted, {animate: same});
    if (info.thumbnails) view.showThumbnails(!snapshot || ofPoints(snapshot) ? store.thumbnails : null);
    paint();
    if (before && !same && playing) view.reset();
  }

  /** Give the points their colours. */
  function paint(other = shown) {
    shown = other;
    const {snapshot, filtered, selected} = store.facts;
    if (snapshot && !ofPoints(snapshot)) {
      return view.setColours(snapshot.labels ?? new Uint16Array(snapshot.x.length), info.colours);
    }
    if (!shown || shown.looks.codes.length !== drawn?.x.length) return; // they are of the points that come
    view.setColours(shown.looks.codes, shown.looks.palette);
    view.setVisible(filtered);
    const mask = selected.length ? new Uint8Array(store.count) : null;
    for (const row of selected) if (mask) mask[store.pointOf(row)] = 1; // -1 is none of them
    view.setSelection(mask);
    nameClasses();
  }

  // The probe writes the names of its own dots.
  function nameClasses() {
    const {points, filtered, tab, snapshot} = store.facts;
    if (!shown || !points || snapshot || tab === "probe") store.mark("names", []);
    else store.mark("names", classNames(points, shown.column, shown.looks.codes, filtered));
  }

  const thumbnails = () => store.thumbnails && view.setThumbnails(store.thumbnails, (page) => source.thumbnails(page, store.facts.part));
  thumbnails();
  store.on("look", afterwards(thumbnails)); // they are drawn again
  store.on("part", thumbnails);
  store.on(["points", "snapshot"], show);
  store.on(["filtered", "selected"], () => paint());
  store.on(["tab", "snapshot"], nameClasses);
  // The current image has a ring; one that is not on the map has none.
  store.on(["current", "part", "snapshot"], () => view.setCursor(store.plays ? -1 : store.pointOf(store.facts.current)));
  return {paint, points: () => drawn};
}
