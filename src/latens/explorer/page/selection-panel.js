// The selection as a set that one sees: its classes, each with a bar that narrows it, and a grid of its images, as long as it may be.

import {button, el, fill} from "./dom.js";
import {bitmapOf, isCoarse} from "./pictures.js";
import {saveImages} from "./save-images.js";
import {images} from "./selection.js";
import {seriesOf} from "./stepping.js";

const CELL = 4.125; // from one cell of the grid to the next, in rem as in page.css
const PICTURE = 3.75 / CELL; // the share of it that a picture may have
const GAP = 3; // CSS pixels before it
const FINE = 160; // pixels a side, the most that a kept picture has
const AROUND = 3; // rows of cells that are there above and below what is seen
const KEPT = 3000; // images whose pictures are kept
const AT_ONCE = 200; // that are asked for at once
const MOST_BARS = 40;

/** @param {import("./store.js").Store} store */
export function selectionPanel(store) {
  const {info, source} = store;
  const facts = el("p", {class: "facts"});
  const bars = el("div", {class: "class-bars", role: "group", "aria-label": "Classes of the selection"});
  const marking = el("p", {class: "row"});
  const marks = button("Mark", () => setMarks(!marksNow), {"aria-pressed": "false", title: "A press marks an image, to take it out or keep it, as with Ctrl"});
  let marksNow = false; // a press marks
  const saving = el("p", {class: "row"}, ...saveImages(store, () => store.facts.selected, "selection"));
  // All pictures are on one canvas: each canvas is a layer of its own, which the browser hands over anew for each frame.
  const sheet = /** @type {HTMLCanvasElement} */ (el("canvas", {class: "pictures", "aria-hidden": "true"}));
  const space = el("div", {class: "cells"}, sheet);
  const grid = el("div", {class: "many", role: "listbox", tabIndex: 0, "aria-label": "Images of the selection", "aria-multiselectable": "true"}, space);
  const hint = el("p", {class: "quiet"});
  const element = el("div", {}, facts, bars, saving, marking, grid, hint);
  /** Pictures of images, those that came last at the end. @type {Map<number, ImageBitmap>} */
  const kept = new Map();
  /** Images that are marked in the grid. @type {Set<number>} */
  const marked = new Set();
  /** @type {Map<number, HTMLElement>} */
  const cells = new Map(); // by their place in the selection
  let anchor = -1; // the place that shift-press marks from
  let across = 1;
  let side = 66; // CSS pixels of CELL
  let [first, last] = [0, 0]; // the cells that are there
  let due = false;
  let loading = false;
  /** What the pictures were drawn of. @type {unknown[]} */
  let drawn = [];
  let top = 0; // where it is scrolled to, which a grid that is taken off the page forgets
  let returned = false;

  const isOpen = () => store.facts.tab === "selection";

  function draw() {
    if (!isOpen()) return;
    const {selected} = store.facts;
    fill(facts, el("strong", {}, `${images(selected.length)} selected`));
    grid.hidden = saving.hidden = !selected.length;
    hint.textContent = selected.length
      ? "Press an image to make it the current one; arrow keys step, Enter opens it, Delete takes it out. With Mark, Ctrl or Shift a press marks images."
      : "Nothing is selected. Draw around images with box or lasso, press Select on Image (or s on the map) for the current image, or select those of a tag on Lists. While a box or lasso is drawn, Shift adds, Alt takes away, and both keep what is in both; so does the list “Next” over the map.";
    store.set({series: seriesOf("selection", "the selection", selected)});
    cells.clear();
    fill(space, sheet);
    drawMarking();
    drawBars();
    place();
  }

  // ---- the classes

  async function drawBars() {
    const {selected} = store.facts;
    if (!info.class_names.length || !selected.length) return fill(bars);
    const classes = await store.newest("classes", () => source.classes(selected));
    if (!classes || selected !== store.facts.selected) return;
    const counts = new Map();
    for (const one of classes) counts.set(one, (counts.get(one) ?? 0) + 1);
    const most = Math.max(...counts.values());
    const order = [...counts].sort((a, b) => b[1] - a[1]);
    const only = (/** @type {number} */ label, /** @type {boolean} */ keep) => store.set({selected: selected.filter((_, i) => (classes[i] === label) === keep)});
    fill(bars, ...order.slice(0, MOST_BARS).map(([label, count]) => {
      const name = info.class_names[label] ?? "no class";
      const bar = el("span", {class: "class-bar", style: `width: ${(100 * count) / most}%; background: ${info.colours[label] ?? ""}`});
      return el("div", {class: "class-row"},
        button(el("span", {class: "name"}, name), () => only(label, true), {class: "entry", title: `Keep only the images of the class ${name}`, "aria-label": `Keep only ${name}: ${images(count)}`}),
        el("span", {class: "class-track", "aria-hidden": "true"}, bar), el("span", {class: "count"}, count.toLocaleString("en")),
        button("−", () => only(label, false), {class: "entry", title: `Take out the images of the class ${name}`, "aria-label": `Take out ${name}`}));
    }), order.length > MOST_BARS ? el("small", {}, `and ${order.length - MOST_BARS} more classes`) : null);
  }

  // ---- marks

  function drawMarking() {
    const {selected} = store.facts;
    const many = marked.size;
    marking.hidden = !selected.length;
    fill(marking, marks, ...(many ? [
      button(`Take out ${images(many)}`, () => store.set({selected: selected.filter((row) => !marked.has(row))})),
      button(`Keep only ${images(many)}`, () => store.set({selected: selected.filter((row) => marked.has(row))})),
      button("Unmark", () => (marked.clear(), drawMarking(), showState())),
    ] : []));
  }

  /** @param {boolean} on */
  function setMarks(on) {
    marksNow = on;
    marks.setAttribute("aria-pressed", String(on));
  }

  /** @param {number} at @param {MouseEvent} event */
  function press(at, event) {
    const {selected} = store.facts;
    if (event.shiftKey && anchor >= 0) {
      for (let i = Math.min(at, anchor); i <= Math.max(at, anchor); i++) marked.add(selected[i]);
    } else if (event.ctrlKey || event.metaKey || marksNow) {
      if (!marked.delete(selected[at])) marked.add(selected[at]);
      anchor = at;
    } else {
      anchor = at;
      store.choose(selected[at]);
    }
    drawMarking();
    showState();
  }

  // ---- the grid: only what is seen is there

  function place() {
    due = false;
    const {selected} = store.facts;
    if (!isOpen() || !selected.length) return;
    side = CELL * store.view.paper.rem;
    across = Math.max(1, Math.floor(grid.clientWidth / side));
    space.style.height = `${Math.ceil(selected.length / across) * side}px`;
    if (returned) grid.scrollTop = top;
    returned = false;
    top = grid.scrollTop;
    first = Math.max(0, Math.floor(top / side) - AROUND) * across;
    last = Math.min(selected.length, (Math.ceil((top + grid.clientHeight) / side) + AROUND) * across);
    for (const [at, cell] of cells) {
      if (at >= first && at < last) continue;
      cell.remove();
      cells.delete(at);
    }
    for (let at = first; at < last; at++) {
      const cell = cells.get(at) ?? made(at);
      cell.style.transform = `translate(${(at % across) * side}px, ${Math.floor(at / across) * side}px)`;
    }
    paint();
    showState();
    load();
  }

  /** @param {number} at */
  function made(at) {
    const row = store.facts.selected[at];
    const cell = el("div", {class: "cell", role: "option", id: `cell-${at}`, title: store.className(row), "aria-label": `image ${at + 1}`, "aria-posinset": at + 1, "aria-setsize": store.facts.selected.length,
      onclick: (/** @type {MouseEvent} */ event) => press(at, event), ondblclick: () => store.choose(row, {tab: "image"})});
    cells.set(at, cell);
    space.append(cell);
    return cell;
  }

  /** Draw the pictures that are here of the cells that are there, where that has changed. */
  function paint() {
    const {selected} = store.facts;
    const here = Array.from({length: last - first}, (_, i) => kept.get(selected[first + i]));
    const [width, height, ratio] = [across * side, Math.ceil(here.length / across) * side, Math.min(2, devicePixelRatio || 1)];
    const now = [first, width, height, ratio, ...here];
    if (now.length === drawn.length && now.every((one, i) => one === drawn[i])) return;
    drawn = now;
    Object.assign(sheet, {width: Math.round(width * ratio), height: Math.round(height * ratio)}); // it is empty then
    Object.assign(sheet.style, {width: `${width}px`, height: `${height}px`, top: `${(first / across) * side}px`});
    const context = /** @type {CanvasRenderingContext2D} */ (sheet.getContext("2d"));
    context.scale(ratio, ratio);
    context.imageSmoothingEnabled = !isCoarse(info.shape);
    const [most, edge] = [side * PICTURE, Math.max(info.shape[1], info.shape[2])];
    const [tall, wide] = [info.shape[1], info.shape[2]].map((length) => (most * length) / edge);
    here.forEach((one, i) => one && context.drawImage(one, (i % across) * side + GAP + (most - wide) / 2, Math.floor(i / across) * side + GAP + (most - tall) / 2, wide, tall));
  }

  /** Ask for the pixels that are missing of what is seen: one request at a time, whose answer counts though the grid has moved on. */
  async function load() {
    if (loading) return;
    const {selected, look} = store.facts;
    const wanted = [...cells.keys()].filter((at) => !kept.has(selected[at])).slice(0, AT_ONCE);
    if (!wanted.length) return;
    const rows = wanted.map((at) => selected[at]);
    loading = true;
    const found = await store.attempt(source.pictures(rows).then((pixels) => Promise.all(rows.map((_, i) => bitmapOf(pixels, info.shape, i, FINE)))));
    loading = false;
    if (!found) return;
    if (look !== store.facts.look) return void load(); // they look otherwise now
    rows.forEach((row, i) => kept.set(row, found[i]));
    for (const row of kept.keys()) {
      if (kept.size <= KEPT) break;
      kept.delete(row);
    }
    paint();
    load();
  }

  function showState() {
    const {current, selected} = store.facts;
    for (const [at, cell] of cells) {
      cell.setAttribute("aria-selected", String(marked.has(selected[at])));
      cell.toggleAttribute("data-current", selected[at] === current);
      if (selected[at] === current) grid.setAttribute("aria-activedescendant", cell.id);
    }
  }

  /** The current image is in sight, where keys have led to it. */
  function reveal() {
    const {current, selected} = store.facts;
    const at = isOpen() && current !== null ? selected.indexOf(current) : -1;
    if (at < 0) return;
    const above = Math.floor(at / across) * side;
    if (above < grid.scrollTop) grid.scrollTop = above;
    else if (above + side > grid.scrollTop + grid.clientHeight) grid.scrollTop = above + side - grid.clientHeight;
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    const {selected, current} = store.facts;
    const at = current === null ? -1 : selected.indexOf(current);
    const step = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across}[event.key];
    if (step) {
      const next = Math.min(selected.length - 1, Math.max(0, at < 0 ? 0 : at + step));
      store.choose(selected[next]);
    } else if (event.key === "Enter" && at >= 0) store.set({tab: "image"});
    else if (event.key === "Delete" && at >= 0) {
      store.set({selected: selected.filter((_, i) => i !== at)});
      if (selected.length > 1) store.choose(selected[at + 1] ?? selected[at - 1]);
    } else return;
    event.preventDefault();
  }

  const later = () => {
    if (!due) requestAnimationFrame(place);
    due = true;
  };
  grid.addEventListener("scroll", later, {passive: true});
  grid.addEventListener("keydown", key);
  new ResizeObserver(later).observe(grid);
  /** @type {number[]} */
  let before = [];
  store.on("selected", () => {
    const {selected} = store.facts;
    const had = new Set(before);
    if (!selected.every((row) => had.has(row))) top = 0; // another selection, not one that was narrowed
    before = selected;
    marked.clear();
    anchor = -1;
    returned = true;
    draw();
  });
  store.on("current", () => {
    showState();
    reveal();
  });
  store.on("look", () => {
    kept.clear();
    if (isOpen()) load();
  });
  return {name: "selection", title: "Selection", element, shown: () => (returned = true, draw())};
}
