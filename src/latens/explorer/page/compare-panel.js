// Compare: what tells the run from the one beside it, for the selection, for the current image, and by the scores.

import {button, el, fill} from "./dom.js";
import {columnLike} from "./linked.js";
import {percent, readable} from "./numbers.js";
import {frame, paint} from "./pictures.js";
import {explained, grouped} from "./run-panel.js";
import {images} from "./selection.js";

const SHARED = "shared"; // the column of neighbours that are the same in both runs
const DIFFERING = "other-neighbours"; // the list of images that have others
const SHOWN = 10; // nearest images

/** @param {import("./store.js").Store} store */
export function comparePanel(store) {
  const {info, source} = store;
  const facts = el("p", {class: "facts"});
  const notes = el("div", {});
  const chosen = el("div", {});
  const near = el("div", {});
  const scores = el("div", {});
  const element = el("div", {}, facts, chosen,
    el("p", {class: "row"}, button("List the images whose neighbours differ most", () => store.set({listed: DIFFERING, tab: "lists"})),
      button("Colour by shared neighbours", () => store.colour(SHARED))),
    near, scores, notes);

  const isOpen = () => store.facts.tab === "compare" && store.facts.linked !== null;

  function showFacts() {
    const {linked} = store.facts;
    if (!linked) return;
    const {link, store: other} = linked;
    const laid = other.facts.points?.laid;
    fill(facts, el("strong", {}, `${info.name} and ${other.info.name}`), ` share ${images(link.shared)}; ${link.mapped === link.shared ? "all" : link.mapped.toLocaleString("en")} are on both maps. `,
      laid ? `The second map is shown ${laid.mirrored ? "mirrored, " : ""}turned by ${readable(Math.round(laid.angle))}° and at ${readable(laid.scale, 2)} times its own scale, so that shared images lie as near to each other as they can. `
        + `How much the maps then differ (Procrustes): ${readable(laid.disparity, 2)}, from 0, the same, to 1, nothing in common.` : "");
    fill(notes, ...link.notes.map((note) => el("p", {class: "quiet"}, note)));
  }

  /** The two numbers of a row, the better one marked. @param {string|HTMLElement} title @param {string[]} values @param {""|"first"|"second"} better */
  function compared(title, values, better) {
    const cell = (/** @type {string} */ value, /** @type {boolean} */ best) => el("td", {class: best ? "best" : ""}, value, ...(best ? [el("span", {class: "mark", title: "better"}, " ✓"), el("span", {class: "unseen"}, " (better)")] : []));
    return el("tr", {}, el("th", {scope: "row"}, title), cell(values[0], better === "first"), cell(values[1], better === "second"));
  }

  /** @param {HTMLElement[]} rows @param {string} caption */
  function table(rows, caption) {
    const other = store.facts.linked?.store.info.name ?? "";
    return el("div", {class: "scrolled"}, el("table", {class: "compared"}, el("caption", {}, caption),
      el("thead", {}, el("tr", {}, el("td", {}), el("th", {scope: "col"}, info.name), el("th", {scope: "col"}, other))), el("tbody", {}, ...rows)));
  }

  /** What both runs say of the selected images, or of all that are on both maps. */
  async function showChosen() {
    const {linked, selected, points} = store.facts;
    if (!isOpen() || !linked || !points) return;
    const {store: other, there} = linked;
    const rows = selected.length ? selected : Array.from({length: store.count}, (_, point) => store.rowOf(point));
    const pairs = rows.map((row) => [store.pointOf(row), other.pointOf(there(row))]).filter(([point, twin]) => point >= 0 && twin >= 0);
    const about = selected.length ? `${images(selected.length)} selected${pairs.length < selected.length ? `, ${pairs.length.toLocaleString("en")} on both maps` : ""}` : `all ${images(pairs.length)} on both maps`;
    const heading = el("h2", {}, selected.length ? "The selection" : "All images");
    if (!pairs.length) return fill(chosen, heading, el("p", {class: "quiet"}, `${about}: there is nothing to compare.`));
    const wanted = info.columns.flatMap((column) => {
      const twin = columnLike(other.info, column, other.facts.map);
      const judged = column.name === "predicted" || (column.better && (!column.name.startsWith("trust:") || column.name === `trust:${store.facts.map}`));
      return twin && judged ? [{column, twin}] : [];
    });
    const found = await store.newest("compared", async () => ({
      labels: await Promise.all(wanted.some(({column}) => column.name === "predicted") ? [store, other].map((one) => one.column("label")) : []),
      shared: await store.column(SHARED),
      values: await Promise.all(wanted.map(({column, twin}) => Promise.all([store.column(column.name), other.column(twin.name)]))),
    }), {busy: chosen});
    if (!found || selected !== store.facts.selected || points !== store.facts.points) return;
    const made = wanted.map(({column}, which) => {
      const means = [0, 1].map((side) => mean(pairs.map((pair) => {
        const value = found.values[which][side][pair[side]];
        return column.name === "predicted" ? Number(value === found.labels[side][pair[side]]) : value;
      })));
      const right = column.name === "predicted";
      const sign = (right || column.better === "higher" ? 1 : -1) * (means[0] - means[1]);
      const words = means.map((value) => (right ? percent(value, 1) : readable(value, 4)));
      return compared(right ? "class of the neighbours is right" : `mean ${column.title}`, words, sign > 0 ? "first" : sign < 0 ? "second" : "");
    });
    const shares = mean(pairs.map(([point]) => found.shared[point]));
    const most = linked.link.nearest;
    fill(chosen, heading, table(made, about),
      el("p", {}, `Of the ${most} nearest images in one run, `, el("strong", {}, `${readable(shares * most, 2)} on average`), ` are among the ${most} nearest in the other, too`,
        el("small", {}, ` (by chance: ${readable((most * most) / Math.max(1, linked.link.mapped - 1), 2)})`), "."));
  }

  /** The nearest images of the current one in both runs; those that both have have a frame. */
  async function showNear() {
    const {linked, current} = store.facts;
    if (!isOpen() || !linked) return;
    const {store: other, there, back} = linked;
    const twin = current === null ? null : there(current);
    if (current === null || twin === null) return fill(near, el("h2", {}, "Nearest images"), el("p", {class: "quiet"}, current === null ? "Choose an image, on either map or from a list, to see its nearest in both runs." : `The current image is in ${info.name} only.`));
    const found = await store.newest("near", () => Promise.all([source.image(current), other.source.image(twin)]), {busy: near});
    if (!found || current !== store.facts.current) return;
    const rows = found.map(({neighbours}) => Array.from(neighbours.slice(0, SHOWN)));
    const inOther = [rows[0].map((row) => rows[1].includes(there(row) ?? NaN)), rows[1].map((row) => rows[0].includes(back(row) ?? NaN))];
    const strip = (/** @type {0|1} */ side) => {
      const one = [store, other][side];
      return el("div", {}, el("p", {class: "quiet"}, one.info.name), el("div", {class: "nearest"}, ...rows[side].map((row, i) => {
        const canvas = frame(one.info.shape);
        one.source.pictures([row]).then((pixels) => paint(canvas, pixels, one.info.shape), () => canvas.classList.add("gone"));
        const mine = side ? back(row) : row;
        const words = inOther[side][i] ? "near in both runs" : `near in ${one.info.name} only`;
        return button(canvas, () => mine !== null && store.choose(mine), {class: `bare${inOther[side][i] ? " both" : ""}`, title: words, "aria-label": `${i + 1}: ${words}`, disabled: mine === null});
      })));
    };
    const both = inOther[0].filter(Boolean).length;
    fill(near, el("h2", {}, `Nearest images of ${found[0].id}`), el("p", {}, `${both} of ${rows[0].length} are near in both runs; they have a frame.`), strip(0), strip(1));
  }

  function showScores() {
    const {linked} = store.facts;
    if (!linked) return;
    const all = linked.link.scores;
    const won = (/** @type {typeof all} */ some, /** @type {string} */ side) => some.filter(({better}) => better === side).length;
    const of = (/** @type {import("./types.js").ComparedScore} */ one) => {
      const values = one.values.map((value) => (value === null ? "–" : readable(value, 4)));
      const more = one.values.includes(null) ? "" : !one.alike ? "measured otherwise" : one.better && one.intervals.every(Boolean) && !one.sure ? "within the intervals" : "";
      const title = el("summary", {}, one.name.replaceAll("_", " "), el("small", {}, ` ${[one.unit, more].filter(Boolean).join(" · ")}`));
      return compared(el("details", {}, title, el("div", {class: "meaning"}, ...explained(one.meaning, one.protocols))), values, one.better);
    };
    fill(scores, el("h2", {}, "Scores"), all.length ? el("p", {class: "quiet"}, `✓ marks the better one. ${info.name} is better in ${won(all, "first")}, ${linked.store.info.name} in ${won(all, "second")}.`) : el("p", {class: "quiet"}, "Neither run was scored."),
      ...grouped(all).map(([group, some], i) => el("details", {open: i === 0},
        el("summary", {}, group, el("small", {}, ` ${won(some, "first")} : ${won(some, "second")}`)), table(some.map(of), ""))));
  }

  function show() {
    if (!isOpen()) return;
    showFacts();
    showChosen();
    showNear();
  }

  store.on("linked", () => {
    store.facts.linked?.store.on("points", () => isOpen() && (showFacts(), showChosen()));
    store.facts.linked?.store.on("part", showNear); // neighbours are of other images now
    showScores();
    show();
  });
  store.on("selected", showChosen);
  store.on("current", showNear);
  store.on("look", showNear);
  return {name: "compare", title: "Compare", element, shown: show};
}

/** Of those that are numbers. @param {number[]} values */
function mean(values) {
  const known = values.filter(Number.isFinite);
  return known.reduce((sum, value) => sum + value, 0) / known.length;
}
