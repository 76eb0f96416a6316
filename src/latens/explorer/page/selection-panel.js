// The selection as a set that one sees: its classes, each with a bar that narrows it, and a grid of its images, as long as it may be.

import {button, el, fill} from "./dom.js";
import {frame, paint} from "./pictures.js";
import {images} from "./selection.js";
import {seriesOf} from "./stepping.js";

const CELL = 66; // pixels from one cell of the grid to the next
const AROUND = 3; // rows of cells that are there above and below what is seen
const KEPT = 3000; // images whose pixels are kept
const AT_ONCE = 200; // that are asked for at once
const MOST_BARS = 40;

/** @param {import("./store.js").Store} store */
export function selectionPanel(store) {
  const {info, source} = store;
  const facts = el("p", {class: "facts"});
  const bars = el("div", {class: "class-bars", role: "group", "aria-label": "Classes of the selection"});
  const marking = el("p", {class: "row"});
  const space = el("div", {class: "cells"});
  const grid = el("div", {class: "many", role: "listbox", tabIndex: 0, "aria-label": "Images of the selection", "aria-multiselectable": "true"}, space);
  const hint = el("p", {class: "quiet"});
  const element = el("div", {}, facts, bars, marking, grid, hint);
  /** Pixels of images, those that were used last at the end. @type {Map<number, Uint8Array>} */
  const kept = new Map();
  /** Images that are marked in the grid. @type {Set<number>} */
  const marked = new Set();
  /** @type {Map<number, HTMLElement>} */
  const cells = new Map(); // by their place in the selection
  let anchor = -1; // the place that shift-press marks from
  let across = 1;
  let due = false;
  let top = 0; // where it is scrolled to, which a grid that is taken off the page forgets
  let returned = false;

  const isOpen = () => store.facts.tab === "selection";

  function draw() {
    if (!isOpen()) return;
    const {selected} = store.facts;
    fill(facts, el("strong", {}, `${images(selected.length)} selected`));
    grid.hidden = !selected.length;
    hint.textContent = selected.length
      ? "Press an image to make it the current one; arrow keys step, Enter opens it, Delete takes it out. Ctrl or Shift and a press mark images."
      : "Nothing is selected. Draw around images with box or lasso, press s on the map for the current image, or select those of a tag on Lists. While a box or lasso is drawn, Shift adds, Alt takes away, and both keep what is in both.";
    store.set({series: seriesOf("selection", "the selection", selected)});
    cells.clear();
    fill(space);
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
      const bar = el("span", {class: "class-bar"});
      bar.style.width = `${(100 * count) / most}%`;
      if (info.colours[label]) bar.style.background = info.colours[label];
      return el("div", {class: "class-row"},
        button(name, () => only(label, true), {class: "entry", title: `Keep only the images of the class ${name}`, "aria-label": `Keep only ${name}: ${images(count)}`}),
        el("span", {class: "class-track", "aria-hidden": "true"}, bar), el("span", {class: "count"}, count.toLocaleString("en")),
        button("−", () => only(label, false), {class: "entry", title: `Take out the images of the class ${name}`, "aria-label": `Take out ${name}`}));
    }), order.length > MOST_BARS ? el("small", {}, `and ${order.length - MOST_BARS} more classes`) : null);
  }

  // ---- marks

  function drawMarking() {
    const {selected} = store.facts;
    const many = marked.size;
    fill(marking, ...(many ? [
      button(`Take out ${images(many)}`, () => store.set({selected: selected.filter((row) => !marked.has(row))})),
      button(`Keep only ${images(many)}`, () => store.set({selected: selected.filter((row) => marked.has(row))})),
      button("Unmark", () => (marked.clear(), drawMarking(), showState())),
    ] : []));
  }

  /** @param {number} at @param {MouseEvent} event */
  function press(at, event) {
    const {selected} = store.facts;
    if (event.shiftKey && anchor >= 0) {
      for (let i = Math.min(at, anchor); i <= Math.max(at, anchor); i++) marked.add(selected[i]);
    } else if (event.ctrlKey || event.metaKey) {
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
    across = Math.max(1, Math.floor(grid.clientWidth / CELL));
    space.style.height = `${Math.ceil(selected.length / across) * CELL}px`;
    if (returned) grid.scrollTop = top;
    returned = false;
    top = grid.scrollTop;
    const first = Math.max(0, Math.floor(grid.scrollTop / CELL) - AROUND) * across;
    const last = Math.min(selected.length, (Math.ceil((grid.scrollTop + grid.clientHeight) / CELL) + AROUND) * across);
    for (const [at, cell] of cells) {
      if (at >= first && at < last) continue;
      cell.remove();
      cells.delete(at);
    }
    for (let at = first; at < last; at++) {
      const cell = cells.get(at) ?? made(at);
      cell.style.transform = `translate(${(at % across) * CELL}px, ${Math.floor(at / across) * CELL}px)`;
    }
    showState();
    load();
  }

  /** @param {number} at */
  function made(at) {
    const row = store.facts.selected[at];
    const canvas = frame(info.shape);
    const cell = el("div", {class: "cell", role: "option", id: `cell-${at}`, "aria-label": `image ${at + 1}`, "aria-posinset": at + 1, "aria-setsize": store.facts.selected.length,
      onclick: (/** @type {MouseEvent} */ event) => press(at, event), ondblclick: () => store.choose(row, {tab: "image"})}, canvas);
    cells.set(at, cell);
    space.append(cell);
    show(at);
    return cell;
  }

  /** Paint a cell whose pixels are here. @param {number} at */
  function show(at) {
    const pixels = kept.get(store.facts.selected[at]);
    const canvas = cells.get(at)?.querySelector("canvas");
    if (!pixels || !canvas) return;
    paint(canvas, pixels, info.shape);
    const label = store.className(store.facts.selected[at]);
    if (label) cells.get(at)?.setAttribute("title", label);
  }

  async function load() {
    const {selected} = store.facts;
    const wanted = [...cells.keys()].filter((at) => !kept.has(selected[at])).slice(0, AT_ONCE);
    if (!wanted.length) return;
    const rows = wanted.map((at) => selected[at]);
    const pixels = await store.newest("grid", () => source.pictures(rows));
    if (!pixels) return;
    const size = pixels.length / rows.length;
    rows.forEach((row, i) => kept.set(row, pixels.subarray(i * size, (i + 1) * size)));
    for (const row of kept.keys()) {
      if (kept.size <= KEPT) break;
      kept.delete(row);
    }
    if (selected === store.facts.selected) for (const at of cells.keys()) show(at);
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
    const above = Math.floor(at / across) * CELL;
    if (above < grid.scrollTop) grid.scrollTop = above;
    else if (above + CELL > grid.scrollTop + grid.clientHeight) grid.scrollTop = above + CELL - grid.clientHeight;
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

  function shown() {
    returned = true;
    draw();
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
  return {name: "selection", title: "Selection", element, shown};
}
