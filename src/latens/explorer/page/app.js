// The page: puts the map and the panels together around one store.

import {keepAddress} from "./address.js";
import {classesPanel, hasClasses} from "./classes-panel.js";
import {comparePanel} from "./compare-panel.js";
import {decodePanel} from "./decode-panel.js";
import {button, el, fill} from "./dom.js";
import {filterChips} from "./filters.js";
import {givenImages} from "./find.js";
import {hoverCard} from "./hover.js";
import {imagePanel} from "./image-panel.js";
import {linkRuns} from "./linked.js";
import {listsPanel} from "./lists-panel.js";
import {mapBar} from "./map-bar.js";
import {wire} from "./map-input.js";
import {pathPanel} from "./path-panel.js";
import {tellPhase} from "./phase.js";
import {probePanel} from "./probe-panel.js";
import {announce, find, say, title} from "./room.js";
import {runPanel} from "./run-panel.js";
import {selectionBar} from "./selection.js";
import {selectionPanel} from "./selection-panel.js";
import {stepKeys} from "./stepping.js";
import {Store} from "./store.js";
import {keepTags} from "./tags.js";

/** @typedef {{name: string, title: string, element: HTMLElement, shown: () => unknown}} Panel */

/** Put the page together around the map that is there already. @param {import("./start.js").Opened} opened */
export async function openPage({source, second, port, view, box, key}) {
  const info = await source.run();
  document.body.classList.toggle("two", info.beside !== "");
  document.title = `${info.name} · latens`;
  view.host.ariaLabel = `Map of ${info.count} images; arrow keys move from image to image, s selects one, plus and minus zoom`;
  const store = new Store(source, info, view);
  Object.assign(store, {say, announce});
  const bar = mapBar(store, key);
  const words = `${info.model} · ${info.network} · latent dimension ${info.latent_dim}${info.count ? ` · ${info.count.toLocaleString("en")} images` : ""}`;
  fill(find("top"), ...title(info.name, words), bar.element);
  hoverCard(store, box);
  selectionBar(store, box);
  filterChips(store, box);
  tabs(store, allPanels(store));
  wire(store);
  givenImages(store, box);
  store.on("snapshot", () => document.body.classList.toggle("playing", store.plays));
  keepTags(store);
  stepKeys(store);
  if (store.served && info.status !== "done") tellPhase(store, box);
  if (info.missing) say(`The images of this run cannot be found (${info.missing}). The map and the decoder work without them.`);
  if (info.note) say(info.note);
  if (!info.count) { // a run that is still training has no map; its latents are shown epoch by epoch
    document.body.classList.add("young");
    fill(key, el("span", {}, "During training the map shows the test latents of the last epoch."));
    return store.set({tab: "run"});
  }
  if (window === window.top) {
    await keepAddress(store, bar).start();
    if (!store.facts.points) store.addEventListener("points", () => store.set({tab: store.facts.tab}), {once: true}); // it failed, and another one was chosen
  }
  else { // the address is that of another page, such as a notebook
    await bar.showMap(info.maps[0], {said: false});
    await bar.colour(info.columns[0].name);
    store.set({tab: store.facts.tab});
    if (port) (await import("./notebook.js")).shareFacts(store, port);
  }
  if (info.beside) await linkRuns(store, second, find("maps"));
}

/** @param {Store} store @returns {Panel[]} */
function allPanels(store) {
  const {info} = store;
  const panels = info.count ? [decodePanel(store)] : [];
  if (info.count && info.decodes && info.samplers.length) panels.push(probePanel(store));
  if (info.count && info.decodes) panels.push(pathPanel(store));
  if (info.count) panels.push(imagePanel(store), selectionPanel(store));
  if (info.count && hasClasses(store)) panels.push(classesPanel(store));
  if (info.count) panels.push(listsPanel(store));
  if (info.beside) panels.push(comparePanel(store));
  panels.push(runPanel(store));
  return panels;
}

/** @param {Store} store @param {Panel[]} panels */
function tabs(store, panels) {
  const list = find("tabs");
  store.tabs = panels.map(({name}) => name);
  const made = panels.map(({name, title}) =>
    button(title, () => store.set({tab: name}), {role: "tab", id: `tab-${name}`, "aria-selected": "false", "aria-controls": "panel"}));
  fill(list, ...made);
  list.addEventListener("keydown", (event) => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    const now = made.findIndex((tab) => tab === document.activeElement);
    if (!step || now < 0) return;
    const next = made[(now + step + made.length) % made.length];
    next.focus();
    next.click();
  });
  // Each panel has its place in the scrolled box; on a narrow page that is the page itself, where the panels begin below the map.
  const panel = find("panel");
  const scroller = () => (getComputedStyle(panel).overflowY === "visible" ? (document.scrollingElement ?? panel) : panel);
  /** @type {Map<Node|null, number>} */
  const places = new Map();
  store.on("tab", () => {
    panels.forEach(({name, element, shown}, i) => {
      const open = name === store.facts.tab;
      made[i].setAttribute("aria-selected", String(open));
      made[i].tabIndex = open ? 0 : -1;
      if (!open) return;
      panel.setAttribute("aria-labelledby", `tab-${name}`);
      const before = panel.firstChild;
      const [box, top] = [scroller(), scroller().scrollTop];
      if (before !== element) {
        places.set(before, top);
        fill(panel, element);
      }
      element.inert = !store.facts.points && name !== "run"; // all others need the map, which comes in a moment
      if (!element.inert) shown();
      if (before !== element) box.scrollTop = places.get(element) ?? (box === panel ? 0 : top);
    });
  });
}
