// What all panels share: the source, the run, the map, and a few facts that change; who wants to know of a change listens.

/** @typedef {import("./types.js").Mark} Mark */

/**
 * @typedef {object} Facts
 * @property {string} map        which map is shown
 * @property {import("./types.js").MapPoints|null} points  its points
 * @property {string} colour     the column that points are coloured by
 * @property {number} row        the point looked at; -1 for none
 * @property {number} near       the point whose latent is nearest to what was decoded last; -1 for none
 * @property {number[]} selected points
 * @property {string} tab        the open panel
 */

export class Context extends EventTarget {
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
    this.facts = {map: info.maps[0] ?? "", points: null, colour: "", row: -1, near: -1, selected: [], tab: "decode"};
    /** @type {Map<string, Mark[]>} */
    this.marks = new Map();
    /** @type {Uint16Array|null} */
    this.labels = null;
    /** Those of the run's folder. @type {import("./types.js").Tags} */
    this.tags = {tags: {}, points: {}};
    /** @type {(text: string) => void} */
    this.say = () => {};
  }

  /** What only a server can do; null in a file. */
  get served() {
    return "history" in this.source ? /** @type {import("./types.js").ServedSource} */ (this.source) : null;
  }

  /** Change some facts, and tell who listens for one of them. @param {Partial<Facts>} changes */
  set(changes) {
    Object.assign(this.facts, changes);
    for (const name of Object.keys(changes)) this.dispatchEvent(new Event(name));
  }

  /** @param {import("./types.js").Tags} tags as the server knows them now */
  setTags(tags) {
    this.tags = tags;
    this.dispatchEvent(new Event("tags"));
  }

  /** @param {keyof Facts} name @param {() => void} listener */
  on(name, listener) {
    this.addEventListener(name, listener);
  }

  /** Draw over the map in place of what the same panel drew before. @param {string} panel @param {Mark[]} marks */
  mark(panel, marks) {
    this.marks.set(panel, marks);
    this.view.setMarks([...this.marks.values()].flat());
  }

  /** From 16-bit places to the map's own units. @param {number} x @param {number} y @returns {[number, number]} */
  toUnits(x, y) {
    const {left, bottom, size} = /** @type {import("./types.js").MapPoints} */ (this.facts.points);
    return [left + (x / 65535) * size, bottom + (y / 65535) * size];
  }

  /** Pairs of places in the map's own units as two lists in 16-bit units. @param {ArrayLike<number>} places */
  fromUnits(places) {
    const {left, bottom, size} = /** @type {import("./types.js").MapPoints} */ (this.facts.points);
    const x = [];
    const y = [];
    for (let i = 0; i < places.length; i += 2) {
      x.push(((places[i] - left) / size) * 65535);
      y.push(((places[i + 1] - bottom) / size) * 65535);
    }
    return {x, y};
  }

  /** The name of a point's class, or "". @param {number} row */
  className(row) {
    return this.labels && row >= 0 ? (this.info.class_names[this.labels[row]] ?? "") : "";
  }

  /** An image in a few words: its id, and its class where it has one. @param {number} row @returns {Promise<string>} */
  async nameOf(row) {
    const image = await this.attempt(this.source.image(row));
    const name = this.className(row);
    return `image ${image ? image.id : row}${name ? ` · ${name}` : ""}`;
  }

  /** Do something that may fail; what went wrong is said. @template T @param {Promise<T>} work @returns {Promise<T|null>} */
  async attempt(work) {
    try {
      return await work;
    } catch (error) {
      this.say(error instanceof Error ? error.message : String(error));
      return null;
    }
  }
}
