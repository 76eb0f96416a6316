// The controls above the map: which map, which colour, which tool. What is shown on the map is decided here, by the facts.

import {button, choice, el, fill} from "./dom.js";
import {hiddenOf, withFilter} from "./filters.js";
import {numberLegend} from "./histogram.js";
import {coloured, legend} from "./legend.js";
import {drawnMap} from "./map-drawn.js";
import {saveMap} from "./save-map.js";
import {TAGS} from "./tags.js";
import {progressWords, whileFitting} from "./waiting.js";

const MAP_NAMES = /** @type {Record<string, string>} */ ({tsne: "t-SNE", pca: "PCA", umap: "UMAP", given: "given", features: "features"});
const SLOW = 400; // milliseconds after which it is said that a map is being fitted
const TOOLS = {
  pan: "Drag to move the map, turn the wheel to zoom",
  box: "Drag a box around images to select them (also shift and drag)",
  lasso: "Draw around images to select them",
};

/** @param {string} name of a map */
export const mapTitle = (name) => MAP_NAMES[name] ?? name;

/** @param {import("./store.js").Store} store @param {HTMLElement} key of the legend */
export function mapBar(store, key) {
  const {info, view, source} = store;
  const maps = choice("Map", info.maps.map((name) => ({value: name, text: mapTitle(name)})), info.maps[0] ?? "", (name) => showMap(name));
  const columns = () => store.columns.filter(({name}) => !name.startsWith("trust:") || name === `trust:${store.facts.map}`);
  const colours = choice("Colour", columns().map(({name, title}) => ({value: name, text: title})), "", (name) => colour(name));

  const map = drawnMap(store);
  let pressed = () => {}; // shows in the legend which classes are hidden
  /** @type {{column: import("./types.js").ColumnInfo, looks: ReturnType<typeof coloured>}|null} */
  let shown = null;

  /**
   * Show a map: the newest choice of a map, or of an epoch of the playback, wins.
   * @param {string} name @param {boolean} [said] whether the note about this map was shown
   */
  async function showMap(name, said = true) {
    store.set({wanted: name});
    const title = info.kept.includes(name) ? `Loading the map ${mapTitle(name)}` : `Fitting the map ${mapTitle(name)} (once)`;
    const tell = (/** @type {string} */ text) => store.facts.wanted === name && store.say(text);
    if (said) tell("");
    const slow = setTimeout(tell, SLOW, `${title}…`);
    const asFitted = whileFitting(store, `map ${name}`, (share, left) => tell(`${title}: ${progressWords(share, left)}`));
    const points = await store.newest("viewed", () => source.map(name), {busy: maps.element});
    clearTimeout(slow);
    asFitted();
    const still = store.facts.wanted === name;
    if (still) store.set({wanted: ""});
    if (!points) {
      if (still) maps.select.value = store.facts.map; // it failed: what is shown is the map from before
      return;
    }
    if (said) store.say(points.note ? `${mapTitle(name)}: ${points.note}` : "");
    maps.select.value = name;
    store.set({map: name, points, snapshot: null});
    fillColours();
    if (store.facts.coloured.startsWith("trust:")) await colour(`trust:${name}`);
  }

  function fillColours() {
    fill(colours.select, ...columns().map((one) => el("option", {value: one.name}, one.title)));
    colours.select.value = store.facts.coloured;
  }

  /** @param {string} name of a column */
  async function colour(name) {
    const column = store.columns.find((one) => one.name === name);
    if (!column) return;
    const values = await store.newest("coloured", () => store.column(name), {busy: colours.element});
    if (!values) return void (colours.select.value === name && (colours.select.value = store.facts.coloured));
    if (name.startsWith("trust:") && name !== `trust:${store.facts.map}`) return colour(`trust:${store.facts.map}`);
    if (name === "label") store.labels = /** @type {Uint16Array} */ (values);
    shown = {column, looks: coloured(column, values, store.facts.scales[name])};
    store.set({coloured: name});
    fillColours();
    map.paint(shown);
    pressed = column.kind === "number" ? numberLegend(store, key, column, values, shown.looks) : legend(key, column, shown.looks, () => hiddenOf(store.facts.filters, name),
      (hidden) => store.set({filters: withFilter(store.facts.filters, name, {hidden: [...hidden].sort((a, b) => a - b)})}));
  }

  store.colour = colour;

  store.on("tagged", () => {
    fillColours();
    if (store.facts.coloured === TAGS) colour(colours.select.value ? TAGS : info.columns[0].name); // the last tag may be gone
  });
  for (const fact of /** @type {const} */ (["filters", "filtered"])) store.on(fact, () => pressed());
  store.on("scales", () => colour(store.facts.coloured));
  store.on("snapshot", () => {
    if (!store.facts.snapshot) return;
    store.set({wanted: ""});
    maps.select.value = store.facts.map;
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => store.facts.coloured && colour(store.facts.coloured));

  const tools = Object.entries(TOOLS).map(([tool, title]) => button(tool, () => choose(tool), {title, "aria-pressed": String(tool === "pan")}));
  const choose = (/** @type {string} */ tool) => {
    view.setTool(/** @type {"pan"|"box"|"lasso"} */ (tool));
    for (const one of tools) one.setAttribute("aria-pressed", String(one.textContent === tool));
    if (tool !== "pan") store.say("Draw around some images to select them; Escape ends the selection.");
  };
  const back = (/** @type {"undo"|"redo"} */ what) => store.back(what).then((words) => words && store.say(`${what === "undo" ? "Undone" : "Done again"}: ${words}.`));
  const undo = button("↶", () => back("undo"), {title: "Undo (Ctrl-Z)", "aria-label": "Undo", disabled: true});
  const redo = button("↷", () => back("redo"), {title: "Redo (Ctrl-Shift-Z)", "aria-label": "Redo", disabled: true});
  store.on("deeds", () => {
    undo.disabled = !store.deeds.done.length;
    redo.disabled = !store.deeds.undone.length;
  });
  addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement && event.target.type === "text";
    if (typing || !(event.ctrlKey || event.metaKey) || event.altKey || !/^[zy]$/i.test(event.key)) return;
    event.preventDefault();
    back(event.shiftKey || event.key.toLowerCase() === "y" ? "redo" : "undo");
  });
  const whole = button("whole map", () => view.reset(), {title: "Show all of the map again (0)"});
  const saving = saveMap(store, () => {
    const {selected, filtered} = store.facts;
    const drawn = map.points();
    if (!shown || !drawn || shown.looks.codes.length !== drawn.x.length) return null;
    const part = info.part === "test" ? "test images" : "images";
    const title = `${info.name} · ${store.plays ? `latents after epoch ${store.facts.snapshot?.epoch}` : mapTitle(store.facts.map)} of ${info.count.toLocaleString("en")} ${part} · colour: ${shown.column.title}`;
    return {view, points: drawn, looks: shown.looks, column: shown.column, visible: filtered, selected, title};
  });
  const element = el("div", {class: "bar"}, maps.element, colours.element, el("div", {class: "tools", role: "group", "aria-label": "Tool"}, ...tools), el("div", {class: "tools", role: "group", "aria-label": "Changes"}, undo, redo), whole, saving);
  element.hidden = !info.count;
  return {
    element,
    showMap,
    colour,
  };
}
