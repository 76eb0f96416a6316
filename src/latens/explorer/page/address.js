// The address holds the state: what is shown and chosen stands behind its #, so that Back, Forward, reload and links work.

import {afterwards} from "./dom.js";
import {readTags} from "./tags.js";

/** @type {import("./store.js").FactName[]} */
const FACTS = ["map", "part", "coloured", "scales", "filters", "look", "tab", "current", "selected", "path", "compass", "tagged", "listed", "given", "latent"];
const PARTS = ["test", "train", "both"];
const STEP = 1000; // milliseconds within which steps from image to image, or changes of one range, are one step of Back
const MOST_ROWS = 200; // selected ones that the address names; more are named by their tag

/** @typedef {import("./store.js").Store} Store */
/** @typedef {{showMap: (name: string, how?: {said?: boolean, part?: import("./types.js").Part}) => Promise<void>, colour: (name: string) => Promise<void>}} Bar */

/**
 * @param {Store} store @param {Bar} bar that shows maps and colours
 * @returns {{start: () => Promise<void>}} start: show what the address says, once there is a map
 */
export function keepAddress(store, bar) {
  const {info, view, source} = store;
  let applying = true; // what the address says is being shown: that is no new step
  let last = ""; // what the address says
  let first = true;
  let stepped = {what: "", at: 0}; // when only the current image, or one range, had changed
  /** The ids of images that have been current ones. @type {Map<number, string>} */
  const ids = new Map();

  function written() {
    const {map, part, coloured, scales, filters, look, tab, current, selected, path, compass, listed} = store.facts;
    const said = new URLSearchParams();
    if (map !== info.maps[0]) said.set("map", map);
    if (part !== "test") said.set("part", part);
    if (coloured && coloured !== info.columns[0]?.name) said.set("colour", coloured);
    if (tab !== "decode") said.set("tab", tab);
    if (listed !== "worst-rebuilt") said.set("list", listed);
    if (current !== null) said.set("image", ids.get(current) ?? String(current));
    if (store.shownGiven) said.set("yours", store.shownGiven.id); // by its name alone: the page keeps no image of the user's
    for (const [name, filter] of Object.entries(filters)) {
      if ("hidden" in filter) said.set(`hide.${name}`, filter.hidden.join("."));
      else said.set(`range.${name}`, `${filter.low}..${filter.high}`);
    }
    for (const [name, {low, high}] of Object.entries(scales)) said.set(`ends.${name}`, `${low}..${high}`);
    if (look) said.set("look", look);
    if (selected.length) {
      const tag = Object.entries(store.facts.tagged.rows).find(([, rows]) => same(rows, selected))?.[0];
      if (tag !== undefined) said.set("tag", tag);
      else if (selected.length <= MOST_ROWS) said.set("select", selected.join("."));
    }
    if (compass) said.set("compass", "on");
    if (path) said.set("path", [...path.stops.map(stopText), path.way].join("_"));
    if (said.has("select") || said.has("path")) said.set("of", info.rows);
    const {x, y, scale} = view.view;
    if (!view.isHome) said.set("view", [Math.round(x), Math.round(y), (scale / view.homeScale).toPrecision(4)].join("_"));
    return String(said);
  }

  /** @param {boolean} step whether Back leads to what was before */
  function write(step) {
    if (applying || store.plays) return;
    const now = written();
    if (now === last) return;
    const [before, after] = [last, now].map((text) => new URLSearchParams(text));
    const changed = [...new Set([...before.keys(), ...after.keys()])].filter((key) => before.get(key) !== after.get(key));
    const what = changed.length === 1 && /^(image$|range\.)/.test(changed[0]) ? changed[0] : "";
    const at = performance.now();
    const walked = what !== "" && what === stepped.what && at - stepped.at < STEP;
    stepped = {what, at};
    last = now;
    history[step && !walked ? "pushState" : "replaceState"](null, "", now ? `#${now}` : location.pathname + location.search);
  }

  async function apply() {
    applying = store.quiet = true;
    const said = new URLSearchParams(location.hash.slice(1));
    const whole = String(said);
    /** @type {string[]} */
    const lost = [];
    if ((said.get("of") ?? info.rows) !== info.rows) { // of a run of other images, whose rows mean others here
      for (const name of ["select", "path"]) if (said.has(name)) lost.push(name === "path" ? "the images of the path" : "the selected images");
      for (const name of ["select", "path"]) said.delete(name);
    }
    let gone = ""; // an image of the user's
    try {
      if (/(^|&)(colour=tags|hide\.tags|tag=)/.test(String(said))) await readTags(store);
      const map = known(said.get("map"), info.maps, "the map", lost);
      const part = /** @type {import("./types.js").Part} */ (known(said.get("part"), info.train ? PARTS : PARTS.slice(0, 1), "the part", lost));
      if (map !== store.facts.map || part !== store.facts.part || !store.facts.points) await bar.showMap(map, {said: false, part});
      const colour = known(said.get("colour"), store.columns.map(({name}) => name), "the column", lost);
      if (colour !== store.facts.coloured) await bar.colour(colour);
      put({...rangesIn(said, lost), listed: said.get("list") ?? "worst-rebuilt", look: said.get("look") ?? "", compass: said.get("compass") === "on"});
      const told = (said.get("path") ?? "").split("_");
      const [stops, way] = [told.slice(0, -1).map(stopOf), told[told.length - 1]];
      put({path: stops.length > 1 && info.ways.includes(way) ? {stops, way} : null, selected: selectedIn(said, lost)});
      const id = said.get("image");
      const row = id === null ? null : await source.find(id).catch(() => (lost.push(`the image ${id}`), null));
      if (row !== store.facts.current) {
        if (row !== null && id !== null) ids.set(row, id);
        store.set(row === null ? {current: null} : {current: row, latent: null});
      }
      const yours = said.get("yours");
      const given = store.facts.given.find((one) => one.id === yours);
      if (given && given !== store.shownGiven) store.set({current: null, latent: given.latents});
      else if (yours !== null && !given) gone = yours;
      const tab = said.get("tab") ?? (first ? store.facts.tab : "decode"); // one may have been opened meanwhile
      first = false;
      store.set({tab: store.tabs.includes(tab) ? tab : store.facts.tab});
      const [x, y, scale] = (said.get("view") ?? "").split("_").map(Number);
      if (scale > 0) view.setView({x, y, scale: scale * view.homeScale});
      else if (!view.isHome) view.reset();
    } finally {
      last = whole;
      applying = store.quiet = false;
    }
    write(false);
    if (lost.length) store.say(`This address names what this run does not have: ${[...new Set(lost)].join(", ")}.`);
    else if (gone) store.say(`Your image ${gone} is gone, since the page keeps none: choose it, or drop it, again.`);
  }

  /** What the address names, or the first of those that there are. @param {string|null} name @param {string[]} all @param {string} what @param {string[]} lost */
  function known(name, all, what, lost) {
    if (name === null || all.includes(name)) return name ?? all[0];
    lost.push(`${what} ${name}`);
    return all[0];
  }

  /** Change those facts that are not so already. @param {Partial<import("./store.js").Facts>} facts */
  function put(facts) {
    const others = Object.entries(facts).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(store.facts[/** @type {keyof typeof facts} */ (name)]));
    store.set(Object.fromEntries(others));
  }

  /** What is said of columns: which values are shown, and the ends of the colours. @param {URLSearchParams} said @param {string[]} lost */
  function rangesIn(said, lost) {
    /** @type {Pick<import("./store.js").Facts, "filters"|"scales">} */
    const {filters, scales} = {filters: {}, scales: {}};
    for (const [key, value] of said) {
      const [kind, name] = [key.slice(0, key.indexOf(".")), key.slice(key.indexOf(".") + 1)];
      if (!["hide", "range", "ends"].includes(kind)) continue;
      const [low, high] = value.split("..").map(Number);
      if (!store.columns.some((one) => one.name === name)) lost.push(`the column ${name}`);
      else if (kind === "hide") filters[name] = {hidden: numbers(value)};
      else if (kind === "range") filters[name] = {low, high};
      else if (low < high) scales[name] = {low, high};
    }
    return {filters, scales};
  }

  /** @param {URLSearchParams} said @param {string[]} lost */
  function selectedIn(said, lost) {
    const [tag, {rows}] = [said.get("tag"), store.facts.tagged];
    if (tag !== null && Object.hasOwn(rows, tag)) return rows[tag];
    if (tag !== null) lost.push(`the tag ${tag}`);
    return numbers(said.get("select") ?? "");
  }

  // An image is named by its id: rows say nothing to a person.
  store.on("current", async () => {
    const {current} = store.facts;
    if (current === null || ids.has(current)) return;
    const image = await source.image(current).catch(() => null);
    if (image) ids.set(current, image.id);
    if (store.facts.current === current) write(false);
  });
  let due = false;
  store.on(FACTS, () => {
    if (due || applying) return;
    due = true;
    queueMicrotask(() => { // facts that change at once are one step
      due = false;
      write(true);
    });
  });
  view.on("frame", afterwards(() => write(false)));
  addEventListener("popstate", apply);
  return {start: apply};
}

/** A stop of a path: rows, or a place as x*y*map. @param {import("./types.js").Stop} stop */
const stopText = (stop) => (Array.isArray(stop) ? stop.join(".") : [stop.x.toPrecision(6), stop.y.toPrecision(6), encodeURIComponent(stop.map).replaceAll("_", "%5F")].join("*"));

/** @param {string} text @returns {import("./types.js").Stop} */
function stopOf(text) {
  const [x, y, map] = text.split("*");
  return map ? {map: decodeURIComponent(map), x: Number(x), y: Number(y)} : numbers(text);
}

/** @param {string} text "3.-4.17" @returns {number[]} */
const numbers = (text) => text.split(".").filter(Boolean).map(Number).filter(Number.isSafeInteger);

/** @param {number[]} a @param {number[]} b */
const same = (a, b) => a.length === b.length && a.every((row, i) => row === b[i]);
