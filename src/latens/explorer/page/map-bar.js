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
const PARTS = /** @type {Record<import("./types.js").Part, string>} */ ({test: "test images", train: "train images", both: "both"});
const WORK_OF = /** @type {Record<string, string>} */ ({contradicted: "predicted"}); // columns of one search
const SLOW = 400; // milliseconds after which it is said that a map is being fitted
const TOOLS = {
  pan: "Drag to move the map, turn the wheel to zoom",
  box: "Drag a box around images to select them (also shift and drag)",
  lasso: "Draw around images to select them",
};

/** @param {string} name of a map */
export const mapTitle = (name) => MAP_NAMES[name] ?? name;

/** @typedef {import("./types.js").Part} Part */

/** @param {import("./store.js").Store} store @param {HTMLElement} key of the legend */
export function mapBar(store, key) {
  const {info, view, source} = store;
  const maps = choice("Map", info.maps.map((name) => ({value: name, text: mapTitle(name)})), info.maps[0] ?? "", () => chosen());
  const columns = () => store.columns.filter(({name}) => !name.startsWith("trust:") || name === `trust:${store.facts.map}`);
  const colours = choice("Colour", columns().map(({name, title}) => ({value: name, text: title})), "", (name) => colour(name));

  const someOf = info.train < info.train_of ? ` (${info.train.toLocaleString("en")} of ${info.train_of.toLocaleString("en")})` : "";
  const parts = choice("Part", Object.entries(PARTS).map(([value, text]) => ({value, text: value === "train" ? `${text}${someOf}` : text})), "test", () => chosen());
  const chosen = () => showMap(maps.select.value, {part: /** @type {Part} */ (parts.select.value)});
  parts.select.title = "Images of the train part are placed on the map by the images that it was made of";
  parts.element.hidden = !info.train;

  const map = drawnMap(store);
  let pressed = () => {}; // shows in the legend which classes are hidden
  /** @type {{column: import("./types.js").ColumnInfo, looks: ReturnType<typeof coloured>}|null} */
  let shown = null;

  /**
   * Show a map, or other images on it: the newest choice of these, or of an epoch of the playback, wins.
   * @param {string} name @param {{said?: boolean, part?: Part}} [how] said: whether the note about this map is shown
   */
  async function showMap(name, {said = true, part = store.facts.part} = {}) {
    const wanted = `${name} ${part}`;
    store.set({wanted});
    const title = info.kept.includes(name) ? `Loading the map ${mapTitle(name)}` : `Fitting the map ${mapTitle(name)} (once)`;
    const placing = `Placing ${info.train.toLocaleString("en")} train images on the map ${mapTitle(name)} (once)`;
    const tell = (/** @type {string} */ text) => store.facts.wanted === wanted && store.say(text);
    if (said) tell("");
    const slow = setTimeout(tell, SLOW, `${part === "test" ? title : placing}…`);
    const told = [whileFitting(store, `map ${name}`, (share, left) => tell(`${title}: ${progressWords(share, left)}`)),
      ...(part === "test" ? [] : [whileFitting(store, `places ${name}`, (share, left) => tell(`${placing}: ${progressWords(share, left)}`))])];
    const found = await store.newest("viewed", () => of(name, part), {busy: part === store.facts.part ? maps.element : parts.element});
    clearTimeout(slow);
    for (const end of told) end();
    const still = store.facts.wanted === wanted;
    if (still) store.set({wanted: ""});
    if (!found) {
      if (still) [maps.select.value, parts.select.value] = [store.facts.map, store.facts.part]; // it failed: what is shown is what was before
      return;
    }
    const {points, labels, values} = found;
    if (said) store.say(points.note ? `${mapTitle(name)}: ${points.note}` : "");
    [maps.select.value, parts.select.value] = [name, part];
    store.labels = labels;
    const column = store.columns.find((one) => one.name === store.facts.coloured);
    if (values && column) map.paint({column, looks: coloured(column, values, store.facts.scales[column.name])}); // with the points, not after them
    store.set({map: name, points, snapshot: null, part});
    fillColours();
    if (store.facts.coloured.startsWith("trust:")) await colour(`trust:${name}`);
    else if (values) await colour(store.facts.coloured);
  }

  /** Say how far the server is with the values of a column. @param {string} name @returns {() => void} calls it off */
  function tellColumn(name) {
    let told = false;
    const title = store.columns.find((one) => one.name === name)?.title;
    const end = whileFitting(store, `column ${WORK_OF[name] ?? name}`, (share, left) => {
      told = true;
      store.say(`Computing the colour “${title}” (once): ${progressWords(share, left)}`);
    });
    return () => {
      end();
      if (told) store.say("");
    };
  }

  /** A map with images of a part, and their classes; for other images than those that are shown, the values by which they are coloured and filtered, too. @param {string} name @param {Part} part */
  async function of(name, part) {
    const points = await source.map(name, part);
    const labels = info.columns.some((one) => one.name === "label") ? /** @type {Uint16Array} */ (await source.column("label", part)) : null;
    const {coloured, filters} = store.facts;
    if (part === store.facts.part || !coloured) return {points, labels, values: null};
    const needed = [coloured, ...Object.keys(filters)].filter((one) => one !== TAGS).map((one) => source.column(one, part));
    const end = tellColumn(coloured);
    const [values] = await Promise.all(needed).finally(end);
    return {points, labels, values: coloured === TAGS ? null : values};
  }

  function fillColours() {
    fill(colours.select, ...columns().map((one) => el("option", {value: one.name}, one.title)));
    colours.select.value = store.facts.coloured;
  }

  /** @param {string} name of a column */
  async function colour(name) {
    const column = store.columns.find((one) => one.name === name);
    if (!column) return;
    const end = tellColumn(name);
    const values = await store.newest("coloured", () => store.column(name), {busy: colours.element});
    end();
    if (!values) return void (colours.select.value === name && (colours.select.value = store.facts.coloured));
    if (name.startsWith("trust:") && name !== `trust:${store.facts.map}`) return colour(`trust:${store.facts.map}`);
    if (values.length !== store.count) return colour(name); // other images came onto the map meanwhile
    shown = {column, looks: coloured(column, values, store.facts.scales[name])};
    store.set({coloured: name});
    fillColours();
    map.paint(shown);
    pressed = column.kind === "number" ? numberLegend(store, key, column, values, shown.looks) : legend(key, column, shown.looks, () => hiddenOf(store.facts.filters, name),
      (hidden, words) => {
        store.set({filters: withFilter(store.facts.filters, name, {hidden: [...hidden].sort((a, b) => a - b)})});
        store.say(words);
      });
  }

  store.colour = colour;

  store.on("tagged", () => {
    fillColours();
    if (store.facts.coloured === TAGS) colour(colours.select.value ? TAGS : info.columns[0].name); // the last tag may be gone
  });
  store.on(["filters", "filtered"], () => pressed());
  store.on("scales", () => colour(store.facts.coloured));
  store.on("snapshot", () => {
    if (!store.facts.snapshot) return;
    store.set({wanted: ""});
    maps.select.value = store.facts.map;
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => store.facts.coloured && colour(store.facts.coloured));

  const tools = Object.entries(TOOLS).map(([tool, title]) => button(tool, () => choose(tool), {title, "aria-pressed": String(tool === "pan")}));
  store.on("tool", () => view.setTool(store.facts.tool));
  const choose = (/** @type {string} */ tool) => {
    store.set({tool: /** @type {import("./map-hands.js").Tool} */ (tool)});
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
    const {filtered} = store.facts;
    const selected = store.facts.selected.map((row) => store.pointOf(row));
    const drawn = map.points();
    if (!shown || !drawn || shown.looks.codes.length !== drawn.x.length) return null;
    const part = info.part === "all" ? "images" : PARTS[store.facts.part].replace("both", "test and train images");
    const title = `${info.name} · ${store.plays ? `latents after epoch ${store.facts.snapshot?.epoch}` : mapTitle(store.facts.map)} of ${store.count.toLocaleString("en")} ${part} · colour: ${shown.column.title}`;
    return {view, points: drawn, looks: shown.looks, column: shown.column, visible: filtered, selected, title};
  });
  const element = el("div", {class: "bar"}, maps.element, parts.element, colours.element, el("div", {class: "tools", role: "group", "aria-label": "Tool"}, ...tools), el("div", {class: "tools", role: "group", "aria-label": "Changes"}, undo, redo), whole, saving);
  element.hidden = !info.count;
  return {element, showMap, colour};
}
