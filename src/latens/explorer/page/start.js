// The entry of the page: opens its source and draws the map. The rest of the page, and the model and the images on the server, are
// loaded once the map is seen.

import {el, fill} from "./dom.js";
import {MapView} from "./map.js";
import {find, title} from "./room.js";
import {serverSource} from "./server.js";

/** @typedef {{source: import("./types.js").Source, second: import("./types.js").Source, port: MessagePort|null, view: MapView, box: HTMLElement, key: HTMLElement}} Opened */

async function start() {
  const file = document.getElementById("latens-data") !== null;
  const port = document.getElementById("latens-notebook") ? await (await import("./notebook.js")).wayToKernel() : null;
  const {first: source, second} = file ? (await import("./file-source.js")).fileSources() : {first: serverSource(), second: serverSource("/beside")};
  const host = el("div", {class: "map"});
  const view = new MapView(host);
  const key = el("div", {class: "legend", role: "group", "aria-label": "Legend"});
  const box = el("div", {class: "map-box"}, host, key);
  fill(find("maps"), box);
  view.setPaper(); // again, now that it is on the page
  if ("opening" in source) await firstPicture(/** @type {import("./types.js").ServedSource} */ (source), view);
  await (await import("./app.js")).openPage({source, second, port, view, box, key});
}

/** Show the map before the model and the images are there. @param {import("./types.js").ServedSource} source @param {MapView} view */
async function firstPicture(source, view) {
  const opening = await source.opening(new URLSearchParams(location.hash.slice(1)).get("map") ?? "");
  const {name, count, x, y, labels, colours, beside} = opening;
  document.title = `${name} · latens`;
  document.body.classList.toggle("two", beside !== "");
  if (!x || !y) return;
  fill(find("top"), ...title(name, `${count.toLocaleString("en")} images`));
  fill(find("panel"), el("p", {class: "quiet"}, "Opening the model and the images…"));
  view.setPoints({x, y});
  view.setColours(labels ?? new Uint16Array(count), colours);
}

start().catch((error) => {
  fill(find("room"), el("p", {class: "failed"}, error instanceof Error ? error.message : String(error)));
});
