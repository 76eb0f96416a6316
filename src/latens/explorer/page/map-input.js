// What a pointer and keys do on a map becomes facts of the store.

import {images, selectCurrent} from "./selection.js";

/**
 * @param {import("./store.js").Store} store @param {import("./map.js").MapView} [view] the store's own map, or another one
 * @param {(point: number) => number|null} [rowOf] the row of a point of that map; null where the store's run does not have the image
 */
export function wire(store, view = store.view, rowOf = (point) => store.rowOf(point)) {
  const {say} = store;
  const alone = () => say("This image is in one of the two runs only, so it can't be chosen here.");
  view.on("press", ({row: point}) => {
    if (point < 0 || store.plays) return;
    const row = rowOf(point);
    if (row === null) alone();
    else store.choose(row);
  });
  view.on("walk", async ({row: point}) => {
    const row = rowOf(point);
    if (store.plays) return;
    if (row === null) return alone();
    store.choose(row);
    const name = await store.newest("announce", () => store.nameOf(row));
    if (name) store.announce(name);
  });
  view.on("select", ({rows: points, how}) => {
    if (store.plays) return;
    const rows = [...points].flatMap((point) => rowOf(point) ?? []);
    store.select(rows, how);
    const left = points.length - rows.length;
    if (left) say(`${images(left)} of these ${left === 1 ? "is" : "are"} in one of the two runs only, and not selected.`);
    else store.announce(`${images(store.facts.selected.length)} selected`);
  });
  view.host.addEventListener("keydown", (event) => {
    if (event.key !== "s" || event.ctrlKey || event.metaKey || event.altKey || store.plays) return;
    selectCurrent(store);
  });
}
