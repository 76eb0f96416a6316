// The one store of the page: the source, the run, the map, and the facts that change. A panel knows the store, and no other panel:
// it changes facts, and listens for those that it shows.

import {waitOn} from "./busy.js";
import {named} from "./dom.js";
import {copy} from "./files.js";
import {newestWins} from "./newest.js";
import {TAGS, tagColumn, tagValues} from "./tags.js";

/** @typedef {import("./types.js").Mark} Mark */

/**
 * Rows are the numbers of images: 0 and more are those that the map was made of; below 0 are others, such as those of the train
 * part, counted back from 0. Points are the numbers of what is on the map now: of the first ones, of those of the train part, which
 * are placed on it when they are asked for, or of both, see `rowOf` and `pointOf`. Columns and masks have one value a point.
 * @typedef {object} Facts
 * @property {string} map        the map that is shown, or that playback stands in for
 * @property {string} wanted     the map that was chosen, and of which part, while it is being fitted or loaded; "" for none
 * @property {import("./types.js").MapPoints|null} points  its points
 * @property {import("./types.js").Part} part  whose images these are
 * @property {import("./types.js").Snapshot|null} snapshot  the latents of an epoch, shown in place of the map; null while that is shown
 * @property {string} coloured   the column that points are coloured by
 * @property {Record<string, {low: number, high: number}>} scales  the ends of the colours of columns of numbers, where they were set
 * @property {Record<string, import("./filters.js").Filter>} filters  by column; a point is shown where all of them let it
 * @property {Uint8Array|null} filtered  0 for points that the filters hide; null where there are none. It follows from them (filters.js)
 * @property {number|null} current  the row of the image that all panels, keys and lists are about
 * @property {Float32Array|null} latent  one that was taken from the map and belongs to no image; there is no current image then
 * @property {import("./find.js").Found[]} given  images of the user's that are on the map, see find.js; `latent` is that of the one which is shown
 * @property {{x: number, y: number, found: import("./types.js").Decoded}|null} decoded  the place that the panel Decode shows, 16-bit units, and what it is decoded to
 * @property {import("./linked.js").Linked|null} linked  the run that is shown beside this one
 * @property {number[]} selected rows
 * @property {import("./map-hands.js").Tool} tool  of the pointer on the maps
 * @property {Joining} joining    how what is drawn around next joins the selection
 * @property {import("./types.js").Tags} tagged  the tags of the run's folder
 * @property {string} look       which channels of images are shown, in which colours and between which values, see looks.js; "" as the run shows them
 * @property {{stops: import("./types.js").Stop[], way: string}|null} path  where a path begins, leads through and ends, and its kind; null before there was one
 * @property {import("./types.js").KeptPath[]} paths  those that were named
 * @property {boolean} compass   whether the compass is shown where places are decoded
 * @property {string} listed     the list of images that the panel Lists shows
 * @property {string} tab        the open panel
 * @property {Series|null} series  the images that keys step through: the list or the selection that was open last
 */

/** A fact that may change; deeds: what can be undone has changed. @typedef {keyof Facts|"deeds"} FactName */

/** @typedef {{tab: string, name: string, rows: number[]}} Series  tab: the panel that shows it; name: in words, such as "the selection" */

/** @typedef {"replace"|"add"|"subtract"|"intersect"} Joining */

/** What Ctrl-Z takes back: changes of these facts, and what is put on the stack by `did`. */
const UNDOABLE = /** @type {const} */ (["selected", "filters", "scales", "path"]);
const WORDS = {selected: "the selection", filters: "the filters", scales: "the ends of the colours", path: "the path"};
const MOST_UNDONE = 100;
const STEP = 1000; // milliseconds within which changes of one kind, such as those of a slider, are one

/** Something that was done, how it is taken back and how it is done again. @typedef {{words: string, undo: () => unknown, redo: () => unknown, step?: string, at?: number}} Deed */

export class Store extends EventTarget {
  /** @type {Map<string, Mark[]>} */ #marks = new Map();
  /** @type {Map<string, {ask: ((work: () => Promise<any>) => Promise<any>) & {drop: () => void}, done: () => void}>} */ #kinds = new Map();

  /**
   * @param {import("./types.js").Source} source @param {import("./types.js").RunInfo} info
   * @param {import("./map.js").MapView} view
   */
  constructor(source, info, view) {
    super();
    this.source = source;
    this.info = info;
    this.view = view;
    /** @type {Facts} */
    this.facts = {
      map: info.maps[0] ?? "", wanted: "", points: null, part: "test", snapshot: null, coloured: "", scales: {}, filters: {}, filtered: null, current: null, latent: null, given: [], decoded: null, linked: null,
      selected: [], tool: "pan", joining: "replace", tagged: {tags: {}, points: {}, rows: {}, colours: []}, look: "", path: null, paths: [], compass: false, listed: "worst-rebuilt", tab: "decode", series: null,
    };
    /** The names of the panels. @type {string[]} */
    this.tabs = [];
    /** What can be undone and done again, the latest last. @type {{done: Deed[], undone: Deed[]}} */
    this.deeds = {done: [], undone: []};
    this.quiet = false; // changes are not put on the stack
    /** The class of each point. @type {Uint16Array|null} */
    this.labels = null;
    /** Show a message for a while. @type {(text: string) => void} */
    this.say = () => {};
    /** Tell screen readers something. @type {(text: string) => void} */
    this.announce = () => {};
    /** Colour the points by a column. @type {(name: string) => Promise<void>} */
    this.colour = async () => {};
  }

  /** What only a server can do; null in a file. */
  get served() {
    return "tags" in this.source ? /** @type {import("./types.js").ServedSource} */ (this.source) : null;
  }

  /** What points can be coloured and filtered by: the columns of the run, and the tags. @returns {import("./types.js").ColumnInfo[]} */
  get columns() {
    const tags = tagColumn(this);
    return tags ? [...this.info.columns, tags] : this.info.columns;
  }

  /** The values of a column, one a point. @param {string} name @returns {Promise<Uint16Array|Float32Array>} */
  async column(name) {
    return name === TAGS ? tagValues(this) : this.source.column(name, this.facts.part);
  }

  /** How many points the map has. */
  get count() {
    return this.info[this.facts.part === "train" ? "train" : "count"] + (this.facts.part === "both" ? this.info.train : 0);
  }

  /** The row of a point of the map; none for what is none. @param {number} point */
  rowOf(point) {
    const {info: {count, train}, facts: {part}} = this;
    return part === "train" ? point - train : point < count ? point : point - count - train;
  }

  /** The point that an image is on the map, or -1. @param {number|null} row */
  pointOf(row) {
    const {info: {count, train}, facts: {part}} = this;
    if (row === null || row < -train || (row < 0 ? part === "test" : part === "train")) return -1;
    return row >= 0 ? row : row + train + (part === "both" ? count : 0);
  }

  /** The layout of the thumbnails of the map's points. */
  get thumbnails() {
    const {thumbnails} = this.info;
    return thumbnails && {...thumbnails, pages: Math.ceil(this.count / thumbnails.per_page)};
  }

  /**
   * Change some facts, and tell those who listen for one of them.
   * @param {Partial<Facts>} changes
   * @param {{undoable?: boolean, step?: string}} [how] undoable: what nobody chose is not; step: changes of the same name that follow one another quickly are undone at once
   */
  set(changes, {undoable = true, step = ""} = {}) {
    const names = UNDOABLE.filter((name) => name in changes && JSON.stringify(changes[name]) !== JSON.stringify(this.facts[name]));
    if (names.length && undoable && !this.quiet) {
      const [before, after] = [this.facts, {...this.facts, ...changes}].map((facts) => Object.fromEntries(names.map((name) => [name, facts[name]])));
      const [last, at, redo] = [this.deeds.done.at(-1), performance.now(), () => this.set(after)];
      if (step && last?.step === step && at - (last.at ?? 0) < STEP) Object.assign(last, {redo, at});
      else this.did({words: names.map((name) => WORDS[name]).join(" and "), undo: () => this.set(before), redo, step, at});
    }
    if (changes.look !== undefined) this.source.show(changes.look);
    if (changes.part !== undefined && changes.part !== this.facts.part) this.source.among(changes.part);
    Object.assign(this.facts, changes);
    for (const name of Object.keys(changes)) this.dispatchEvent(new Event(name));
  }

  /** Put something on the stack, that was just done. @param {Deed} deed */
  did(deed) {
    this.deeds.done.push(deed);
    this.deeds.done.splice(0, this.deeds.done.length - MOST_UNDONE);
    this.deeds.undone = [];
    this.dispatchEvent(new Event("deeds"));
  }

  /** Take back the latest, or do again what was taken back last. @param {"undo"|"redo"} what @returns {Promise<string>} what that was, in words; "" for nothing, and for what went wrong, which is said */
  async back(what) {
    const {done, undone} = this.deeds;
    const deed = (what === "undo" ? done : undone).pop();
    if (!deed) {
      this.say(`There is nothing to ${what}.`);
      return "";
    }
    this.quiet = true;
    try {
      await deed[what]();
    } catch (error) {
      (what === "undo" ? done : undone).push(deed);
      this.say(wordsOf(error));
      return "";
    } finally {
      this.quiet = false;
    }
    (what === "undo" ? undone : done).push(deed);
    this.dispatchEvent(new Event("deeds"));
    return deed.words;
  }

  /** @param {FactName|FactName[]} names @param {() => unknown} listener */
  on(names, listener) {
    for (const name of [names].flat()) this.addEventListener(name, listener);
  }

  /** Make an image the current one. @param {number} row @param {Partial<Facts>} [more] facts that change with it */
  choose(row, more = {}) {
    this.set({current: row, latent: null, ...more});
  }

  /** The image of the user's that is shown in place of one of the run; null where there is none. */
  get shownGiven() {
    const {current, latent, given} = this.facts;
    return current === null ? (given.find((one) => one.latents === latent) ?? null) : null;
  }

  /** Select rows; how they join those that are selected already. @param {number[]} rows @param {Joining} [how] */
  select(rows, how = this.facts.joining) {
    const before = this.facts.selected;
    const [had, given] = [new Set(before), new Set(rows)];
    const joined = {
      replace: () => rows,
      add: () => [...before, ...rows.filter((row) => !had.has(row))],
      subtract: () => before.filter((row) => !given.has(row)),
      intersect: () => before.filter((row) => given.has(row)),
    };
    this.set({selected: joined[how]()});
  }

  /** Whether latents of training are shown in place of the map. */
  get plays() {
    return this.facts.snapshot !== null;
  }

  /** Draw over the map in place of what the same owner drew before. @param {string} owner @param {Mark[]} marks */
  mark(owner, marks) {
    this.#marks.set(owner, marks);
    this.view.setMarks([...this.#marks.values()].flat());
  }

  /** From 16-bit places to the map's own units. @param {number} x @param {number} y @returns {[number, number]} */
  toUnits(x, y) {
    const {left, bottom, size} = /** @type {import("./types.js").MapPoints} */ (this.facts.points);
    return [left + (x / 65535) * size, bottom + (y / 65535) * size];
  }

  /** Pairs of places in the map's own units as two lists in 16-bit units. @param {ArrayLike<number>} places */
  fromUnits(places) {
    const {left, bottom, size} = /** @type {import("./types.js").MapPoints} */ (this.facts.points);
    const along = (/** @type {number} */ axis, /** @type {number} */ from) => Array.from({length: places.length / 2}, (_, i) => ((places[2 * i + axis] - from) / size) * 65535);
    return {x: along(0, left), y: along(1, bottom)};
  }

  /** The name of the class of an image that is on the map, or "". @param {number} row */
  className(row) {
    return this.info.class_names[this.labels?.[this.pointOf(row)] ?? -1] ?? "";
  }

  /** The points of a class. @param {number} label @returns {number[]} */
  pointsOfClass(label) {
    return Array.from(this.labels ?? [], (one, point) => (one === label ? point : -1)).filter((point) => point >= 0);
  }

  /** An image in a few words: its id, and its class where it has one. @param {number} row @returns {Promise<string>} */
  async nameOf(row) {
    const image = await this.attempt(this.source.image(row));
    const name = image && image.label >= 0 ? (this.info.class_names[image.label] ?? "") : "";
    return `image ${image ? named(image.id) : row}${name ? ` · ${named(name)}` : ""}`;
  }

  /** Do something that may fail; what went wrong is said. @template T @param {Promise<T>} work @returns {Promise<T|null>} */
  async attempt(work) {
    try {
      return await work;
    } catch (error) {
      this.say(wordsOf(error));
      return null;
    }
  }

  /** Put text on the clipboard; that it is there is said, and what went wrong. @param {string} text @param {string} what it is */
  async copy(text, what) {
    if (await this.attempt(copy(text).then(() => true))) this.say(`${what} on the clipboard.`);
  }

  /**
   * Do work of a kind, of which only the newest counts: null where newer work of that kind has begun, or where it failed.
   * @template T
   * @param {string} kind @param {() => Promise<T>} work
   * @param {{busy?: HTMLElement|null, failed?: (words: string) => void}} [how] busy: is marked while this takes long; failed: is called with the reason
   *   why, beside the message that all see
   * @returns {Promise<T|null>}
   */
  async newest(kind, work, {busy = null, failed = () => {}} = {}) {
    const before = this.#kinds.get(kind);
    before?.done(); // the older work is no longer awaited
    const ask = before?.ask ?? newestWins((/** @type {() => Promise<any>} */ one) => one(), {queue: false});
    const done = busy ? waitOn(busy) : () => {};
    this.#kinds.set(kind, {ask, done});
    try {
      return await ask(work);
    } catch (error) {
      failed(wordsOf(error));
      this.say(wordsOf(error));
      return null;
    } finally {
      done();
    }
  }

  /** What is under way of a kind is no longer wanted. @param {string} kind */
  drop(kind) {
    this.#kinds.get(kind)?.ask.drop();
    this.#kinds.get(kind)?.done();
  }
}

/** @param {unknown} error */
const wordsOf = (error) => (error instanceof Error ? error.message : String(error));
