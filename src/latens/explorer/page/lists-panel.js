// Images to check, and the tags that the user gives them.

import {button, choice, el, fill, named} from "./dom.js";
import {csvOf, download} from "./files.js";
import {percent, readable} from "./numbers.js";
import {captioned, frame, paint} from "./pictures.js";
import {saveImages} from "./save-images.js";
import {images} from "./selection.js";
import {seriesOf} from "./stepping.js";
import {readTags, selectTagged} from "./tags.js";

const KINDS = /** @type {Record<string, [string, string]>} */ ({
  "worst-rebuilt": ["Largest errors", "The images with the largest reconstruction errors."],
  odd: ["Odd by the detector", ""],
  "far-from-all": ["Far from all others", "Odd images: far from all others in latent space, badly reconstructed, unlike their neighbours."],
  "near-duplicate": ["Near-duplicates", "Pairs that are nearer to each other than images usually are."],
  contradicted: ["Contradicted by their neighbours", "Images most of whose nearest images have another class, those of which all have one first."],
  "doubtful-label": ["Doubtful labels", "Images whose neighbours are of another class."],
  "other-neighbours": ["Other neighbours in the other run", "Images whose nearest images differ most between the two runs; below each how many of them both runs have."],
});
const MORE = 24;

/** @param {import("./store.js").Store} store */
export function listsPanel(store) {
  const {info, source, served} = store;
  const known = Object.keys(KINDS).filter((value) => (info.class_names.length || value !== "doubtful-label")
    && Object.entries({odd: "odd:score", contradicted: "contradicted"}).every(([list, column]) => value !== list || info.columns.some(({name}) => name === column))
    && (info.beside || value !== "other-neighbours"));
  let shown = MORE;
  let words = "";
  /** @type {import("./types.js").Finding[]} */
  let found = [];
  const about = el("p", {class: "quiet"});
  const grid = el("div", {class: "grid small", onkeydown: key});
  const more = button("More", () => {
    shown += MORE;
    draw();
  });
  const saving = [button("Save list (CSV)", saveList), ...saveImages(store, () => [...new Set(found.map(({point}) => point))], "list").slice(-1)];
  const tags = el("ul", {class: "tags"});
  const lists = choice("List", known.map((value) => ({value, text: KINDS[value][0]})), store.facts.listed, (listed) => store.set({listed}));
  store.on("listed", () => {
    lists.select.value = store.facts.listed;
    shown = MORE;
    found = [];
    if (store.facts.tab === "lists") read();
  });
  const element = el(
    "div",
    {},
    lists.element,
    about,
    grid,
    el("p", {class: "row"}, more, ...saving),
    ...(served ? [el("h2", {}, "Tags"),
      tags,
      el("p", {class: "quiet"}, "Select images with box or lasso above the map, or the current one by Select on Image (or s on the map); then give them a tag."),
      el("p", {class: "row"}, button("Download tags (CSV)", async () => download(await store.attempt(served.tagsFile()), `${info.name}-tags.csv`)))] : []),
  );

  async function read() {
    const kind = store.facts.listed;
    found = []; // of another kind
    words = KINDS[kind][1];
    if (kind === "odd") words = "The detector is compared with normal images that training did not see…";
    draw();
    const answer = await store.newest("list", async () => {
      if (kind !== "odd") return {words, found: await source.list(kind)};
      const odd = await source.odd();
      return {words: oddWords(odd), found: odd.found};
    }, {busy: grid, failed: (why) => (about.textContent = why)});
    if (!answer) return;
    ({words, found} = answer);
    draw();
    if (!found.length) about.textContent += " There are none.";
  }

  /** @param {import("./types.js").OddImages} odd */
  const oddWords = (odd) => `${images(odd.images)} that training did not see, the oddest first; ${odd.odd.toLocaleString("en")} called odd, at ${percent(odd.false_alarms, 1)} false alarms.`
    + ` p is the share of ${odd.calibration_images.toLocaleString("en")} normal images that are at least as odd.${odd.notes.map((note) => ` Note: ${note}.`).join("")}`;

  function draw() {
    about.textContent = words;
    more.hidden = found.length <= shown;
    for (const one of saving) one.disabled = !found.length; // none are known yet, or there are none
    fill(grid, ...found.slice(0, shown).map(card));
    showCurrent();
    if (store.facts.tab === "lists" && found.length) store.set({series: seriesOf("lists", KINDS[store.facts.listed][0], found.map(({point}) => point))});
  }

  /** Arrow keys go from card to card. @param {KeyboardEvent} event */
  function key(event) {
    const cards = /** @type {HTMLElement[]} */ ([...grid.children]);
    const at = cards.findIndex((one) => one === document.activeElement);
    const across = Math.max(1, cards.findIndex((one) => one.offsetTop > cards[0].offsetTop));
    const step = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across}[event.key];
    if (!step || at < 0) return;
    event.preventDefault();
    const next = cards[at + step];
    next?.focus();
    if (next) store.choose(found[at + step].point);
  }

  /** Keys have led to another image: its card is in sight. */
  function reveal() {
    if (store.facts.tab !== "lists") return;
    const at = found.findIndex(({point}) => point === store.facts.current);
    if (at >= shown) {
      shown = at + MORE;
      draw();
    }
    showCurrent();
    if (at >= 0) grid.children[at].scrollIntoView({block: "nearest"});
  }

  /** @param {import("./types.js").Finding} one */
  function card(one) {
    const canvas = frame(info.shape);
    source.picture(one.point, one.id).then((pixels) => paint(canvas, pixels, info.shape), () => canvas.classList.add("gone"));
    const label = one.suggested ? `${one.label}, or ${one.suggested}?` : one.label;
    const chance = one.p_value === undefined ? null : el("span", {class: "chance"}, `${label ? " · " : ""}p ${readable(one.p_value, 2)}${one.odd ? " · odd" : ""}`);
    const kept = store.facts.listed === "other-neighbours" ? el("span", {class: "chance"}, `${label ? " · " : ""}${percent(one.score)} shared`) : null;
    const card = captioned(canvas, el("span", {class: "lines", title: label}, label), ...(chance ?? kept ? [/** @type {Node} */ (chance ?? kept)] : []), el("small", {}, one.other_id ? `${one.id} = ${one.other_id}` : one.id));
    if (one.odd) card.classList.add("odd");
    return button(card, () => store.choose(one.point, {tab: "image"}), {class: "bare", "data-row": one.point});
  }

  function showCurrent() {
    for (const one of /** @type {Iterable<HTMLElement>} */ (grid.children)) one.setAttribute("aria-current", String(Number(one.dataset.row) === store.facts.current));
  }

  function saveList() {
    const kind = store.facts.listed;
    const column = (/** @type {"id"|"part"|"label"|"score"|"suggested"|"other_id"} */ name) => found.map((one) => one[name]);
    const table = {kind: found.map(() => kind), id: column("id"), part: column("part"), label: column("label"), score: column("score"), suggested: column("suggested"), other_id: column("other_id"),
      ...(kind === "odd" ? {p_value: found.map(({p_value}) => p_value ?? NaN), odd: found.map(({odd}) => (odd ? "yes" : "no"))} : {})};
    download(new Blob([csvOf(table)], {type: "text/csv"}), `${info.name}-${kind}.csv`);
  }

  store.on("current", reveal);
  store.on("tagged", () => fill(tags, ...Object.entries(store.facts.tagged.tags).map(([name, ids]) => el("li", {}, el("strong", {}, named(name)), ` ${images(ids.length)} `,
    button("Select", () => selectTagged(store, name), {"aria-label": `Select the images tagged ${name}`})))));
  return {
    name: "lists",
    title: "Lists",
    element,
    async shown() {
      await Promise.all([found.length ? draw() : read(), readTags(store)]);
    },
  };
}
