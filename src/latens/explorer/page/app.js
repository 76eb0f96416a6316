// The page: opens its source, puts the map and the panels together, and lets them hear of one another.

import {Context} from "./context.js";
import {decodePanel} from "./decode-panel.js";
import {button, choice, el, fill} from "./dom.js";
import {classNames} from "./class-names.js";
import {hoverCard} from "./hover.js";
import {imagePanel} from "./image-panel.js";
import {coloured, legend} from "./legend.js";
import {listsPanel} from "./lists-panel.js";
import {MapView} from "./map.js";
import {pathPanel} from "./path-panel.js";
import {probePanel} from "./probe-panel.js";
import {runPanel} from "./run-panel.js";
import {images, selectionBar} from "./selection.js";
import {serverSource} from "./server.js";
import {progressWords, whileFitting} from "./waiting.js";
import {besideMap} from "./beside.js";

/** @typedef {{name: string, title: string, element: HTMLElement, shown: () => unknown}} Panel */

const find = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const MAP_NAMES = /** @type {Record<string, string>} */ ({tsne: "t-SNE", pca: "PCA", umap: "UMAP", given: "given"});

const TOOLS = {
  pan: "Drag to move the map, turn the wheel to zoom",
  box: "Drag a box around images to select them (also shift and drag)",
  lasso: "Draw around images to select them",
};

/** @param {string} text */
function say(text) {
  const status = find("status");
  status.textContent = text.charAt(0).toUpperCase() + text.slice(1);
  status.classList.remove("said");
  requestAnimationFrame(() => status.classList.add("said"));
}

/** Only for those who hear the page. @param {string} text */
function announce(text) {
  find("status").classList.remove("said");
  find("status").textContent = text;
}

async function start() {
  const file = document.getElementById("latens-data") !== null;
  const source = file ? (await import("./file-source.js")).fileSource() : serverSource();
  const info = await source.run();
  document.body.classList.toggle("two", info.beside !== "");
  document.title = `${info.name} · latens`;
  const host = el("div", {class: "map"});
  const view = new MapView(host, {label: `Map of ${info.count} images; arrow keys walk from image to image, s selects one, plus and minus zoom`});
  const context = new Context(source, info, view);
  context.say = say;
  const bar = mapBar(context);
  const key = el("div", {class: "legend", role: "group", "aria-label": "Legend"});
  const box = el("div", {class: "map-box"}, host, key);
  fill(find("maps"), box);
  view.setPaper(); // of a page that it is on only now
  fill(find("top"), ...heading(context), bar.element);
  hoverCard(context, box);
  selectionBar(context, box);
  const panels = allPanels(context);
  tabs(context, panels);
  wire(context, bar);
  if (info.missing) say(`The images of this run cannot be found (${info.missing}). The map and the decoder work without them.`);
  if (info.note) say(info.note);
  if (!info.count) return noMapYet(context, key);
  if (info.thumbnails) view.setThumbnails(info.thumbnails, source.thumbnails);
  await showMap(context, info.maps[0], false);
  await bar.colour(info.columns[0].name);
  context.set({tab: context.facts.tab});
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => bar.colour(context.facts.colour));
  if (info.beside) await besideMap(context, find("maps"));
}

/** A run that still trains has no map; its latents are shown epoch by epoch. @param {Context} context @param {HTMLElement} key */
function noMapYet(context, key) {
  document.body.classList.add("young");
  fill(key, el("span", {}, "While it trains, the map shows the test latents of the last epoch."));
  context.set({tab: "run"});
}

/** @param {Context} context */
function heading({info}) {
  const words = `${info.model} · ${info.network} · ${info.latent_dim} numbers${info.count ? ` · ${info.count.toLocaleString("en")} images` : ""}`;
  return [el("h1", {}, el("span", {class: "brand"}, "latens"), " ", info.name), el("p", {class: "quiet"}, words),
    el("p", {class: "lost-note", role: "alert"}, "The explorer\u2019s server has stopped; what stands here is old. Start it again, and open the address that it prints.")];
}

/** @param {Context} context @returns {Panel[]} */
function allPanels(context) {
  const {info} = context;
  const panels = info.count ? [decodePanel(context)] : [];
  if (info.count && info.decodes && info.samplers.length) panels.push(probePanel(context));
  if (info.count && info.decodes) panels.push(pathPanel(context));
  if (info.count) panels.push(imagePanel(context));
  if (info.count && context.served) panels.push(listsPanel(context));
  if (context.served) panels.push(runPanel(context));
  return panels;
}

/** @param {Context} context @param {Panel[]} panels */
function tabs(context, panels) {
  const list = find("tabs");
  const made = panels.map(({name, title}) =>
    button(title, () => context.set({tab: name}), {role: "tab", id: `tab-${name}`, "aria-selected": "false", "aria-controls": "panel"}));
  fill(list, ...made);
  list.addEventListener("keydown", (event) => {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    const now = made.findIndex((tab) => tab === document.activeElement);
    if (!step || now < 0) return;
    const next = made[(now + step + made.length) % made.length];
    next.focus();
    next.click();
  });
  context.on("tab", () => {
    panels.forEach(({name, element, shown}, i) => {
      const open = name === context.facts.tab;
      made[i].setAttribute("aria-selected", String(open));
      made[i].tabIndex = open ? 0 : -1;
      if (!open) return;
      find("panel").setAttribute("aria-labelledby", `tab-${name}`);
      if (find("panel").firstChild !== element) {
        fill(find("panel"), element);
        find("panel").scrollTop = 0;
      }
      if (context.facts.points || name === "run") shown(); // all others need the map, which comes in a moment
    });
  });
}

/** What stands above the map: which map, which colour, which tool. @param {Context} context */
function mapBar(context) {
  const {info, view} = context;
  const maps = choice("Map", info.maps.map((name) => ({value: name, text: MAP_NAMES[name] ?? name})), info.maps[0] ?? "", async (name) => {
    say("");
    await showMap(context, name, true);
    await colour(context.facts.colour.startsWith("trust:") ? `trust:${name}` : context.facts.colour);
  });
  const columns = () => info.columns.filter(({name}) => !name.startsWith("trust:") || name === `trust:${context.facts.map}`);
  const colours = choice("Colour", columns().map(({name, title}) => ({value: name, text: title})), "", (name) => colour(name));
  const key = () => /** @type {HTMLElement} */ (document.querySelector(".legend"));

  /** The classes of each column that are hidden. @type {Map<string, Set<number>>} */
  const hidden = new Map();
  /** @type {() => import("./types.js").Mark[]} */
  let names = () => [];
  // The probe writes the names of its own dots.
  const nameClasses = () => context.mark("names", context.facts.tab === "probe" || document.body.classList.contains("playing") ? [] : names());
  for (const fact of /** @type {const} */ (["tab", "points"])) context.on(fact, nameClasses);

  /** @param {string} name */
  async function colour(name) {
    const column = info.columns.find((one) => one.name === name);
    const values = column && (await context.attempt(context.source.column(name)));
    if (!column || !values) return;
    fill(colours.select, ...columns().map((one) => el("option", {value: one.name}, one.title)));
    colours.select.value = name;
    const shown = coloured(column, values, info.colours);
    if (name === "label") context.labels = /** @type {Uint16Array} */ (values);
    view.setColours(shown.codes, shown.palette);
    const filter = (/** @type {Uint8Array|null} */ mask) => {
      view.setVisible(mask);
      names = () => classNames(/** @type {any} */ (context.facts.points), column, shown.codes, mask);
      nameClasses();
    };
    filter(null);
    if (!hidden.has(name)) hidden.set(name, new Set());
    legend(key(), column, shown, /** @type {Set<number>} */ (hidden.get(name)), filter);
    context.set({colour: name});
  }

  const tools = Object.entries(TOOLS).map(([tool, title]) => button(tool, () => choose(tool), {title, "aria-pressed": String(tool === "pan")}));
  const choose = (/** @type {string} */ tool) => {
    view.setTool(/** @type {"pan"|"box"|"lasso"} */ (tool));
    for (const one of tools) one.setAttribute("aria-pressed", String(one.textContent === tool));
    if (tool !== "pan") say("Draw around some images to select them; Escape lets them go.");
  };
  const whole = button("whole map", () => view.reset(), {title: "Show all of the map again (0)"});
  const element = el("div", {class: "bar"}, maps.element, colours.element, el("div", {class: "tools", role: "group", "aria-label": "Tool"}, ...tools), whole);
  element.hidden = !info.count;
  return {element, colour};
}

/** @param {Context} context @param {string} name @param {boolean} animate */
async function showMap(context, name, animate) {
  const title = `Fitting the map ${MAP_NAMES[name] ?? name}, once`;
  const slow = setTimeout(() => say(`${title}…`), 400);
  const asFitted = whileFitting(context, `map ${name}`, (share, left) => say(`${title}: ${progressWords(share, left)}`));
  const points = await context.attempt(context.source.map(name));
  clearTimeout(slow);
  asFitted();
  if (!points) return;
  if (animate) say(points.note ? `${MAP_NAMES[name] ?? name}: ${points.note}` : "");
  context.view.setPoints(points, {animate});
  context.set({map: name, points});
}

/** What the map tells, and what it is told. @param {Context} context @param {{colour: (name: string) => Promise<void>}} bar */
function wire(context, bar) {
  const {view} = context;
  const playing = () => document.body.classList.contains("playing");
  const select = (/** @type {number[]} */ rows) => {
    context.set({selected: rows});
    announce(`${images(rows.length)} selected`);
  };
  view.addEventListener("press", (event) => {
    const {row} = /** @type {CustomEvent} */ (event).detail;
    if (row >= 0 && !playing()) context.set({row});
  });
  view.addEventListener("walk", async (event) => {
    const {row} = /** @type {CustomEvent} */ (event).detail;
    if (playing()) return;
    context.set({row});
    announce(await context.nameOf(row));
  });
  view.addEventListener("select", (event) => {
    if (playing()) return;
    const rows = /** @type {CustomEvent} */ (event).detail.rows;
    select(Array.from(rows));
  });
  view.host.addEventListener("keydown", (event) => {
    const {row, selected} = context.facts;
    if (event.key !== "s" || row < 0 || playing()) return;
    select(selected.includes(row) ? selected.filter((one) => one !== row) : [...selected, row]);
  });
  context.on("row", () => view.setCursor(context.facts.row));
  context.on("selected", () => {
    const mask = context.facts.selected.length ? new Uint8Array(context.info.count) : null;
    for (const row of context.facts.selected) if (mask) mask[row] = 1;
    view.setSelection(mask);
  });
  context.addEventListener("snapshot", (event) => snapshot(context, /** @type {CustomEvent} */ (event).detail));
  context.addEventListener("map again", () => {
    const points = context.facts.points;
    if (!points || !playing()) return;
    document.body.classList.remove("playing");
    view.setPoints(points, {animate: true});
    bar.colour(context.facts.colour);
    context.set({selected: context.facts.selected});
  });
}

/** The latents of one epoch in place of the map. @param {Context} context @param {any} found */
function snapshot(context, found) {
  const {view, info} = context;
  const again = document.body.classList.contains("playing");
  const same = found.x.length === info.count; // where the map shows all images, the snapshots have the test part of them
  document.body.classList.add("playing");
  context.mark("names", []);
  view.setPoints(found, {animate: again || same});
  if (again || same) return;
  view.setColours(found.labels ?? new Uint16Array(found.x.length), info.colours);
  view.reset();
}

start().catch((error) => {
  fill(find("room"), el("p", {class: "failed"}, error instanceof Error ? error.message : String(error)));
});
