// Classes: what the neighbours of each image say of its class. The cells of the table select the images that are in them.

import {button, el, fill, named} from "./dom.js";
import {readable} from "./numbers.js";
import {images} from "./selection.js";

const MOST = 24; // classes of a table; with more, the most frequent confusions are listed
const LISTED = 40;
const PREDICTED = "predicted"; // the column

/** Whether there is something to show. @param {import("./store.js").Store} store */
export const hasClasses = ({info}) => info.columns.some(({name}) => name === PREDICTED);

/** @param {import("./store.js").Store} store */
export function classesPanel(store) {
  const {info} = store;
  const names = info.class_names;
  const about = el("p", {});
  const found = el("div", {class: "scrolled"});
  const contradicted = button("Select what the neighbours contradict", () => select(wrong), {disabled: true});
  const element = el("div", {}, about, found,
    el("p", {class: "row"}, contradicted, button("Colour by the neighbours' class", () => store.colour(PREDICTED))),
    el("p", {class: "quiet"}, "The class of an image's neighbours is that which most of the five nearest images in latent space have."));
  /** @type {number[]} */
  let wrong = [];

  /** @param {number[]} rows @param {string} [which] */
  const select = (rows, which = "") => {
    store.set({selected: rows});
    store.say(`${images(rows.length)}${which} selected.`);
  };

  async function draw() {
    contradicted.disabled = true; // until it is known which these are
    const both = await store.newest("classes", () => Promise.all([store.column("label"), store.column(PREDICTED)]), {busy: found});
    if (!both) return;
    const [labels, predicted] = both;
    /** The images of each class by the class of their neighbours. @type {number[][][]} */
    const cells = names.map(() => names.map(() => []));
    wrong = [];
    for (let point = 0; point < labels.length; point++) {
      const row = store.rowOf(point);
      cells[labels[point]]?.[predicted[point]]?.push(row);
      if (labels[point] !== predicted[point] && predicted[point] < names.length) wrong.push(row);
    }
    contradicted.disabled = false;
    const right = labels.length - wrong.length;
    fill(about, `The neighbours give ${right.toLocaleString("en")} of ${images(labels.length)} (`, el("strong", {}, `${readable((100 * right) / labels.length)} %`), ") their own class.");
    fill(found, names.length <= MOST ? table(cells) : list(cells));
  }

  /** @param {number[][][]} cells */
  function table(cells) {
    const most = Math.max(1, ...cells.flatMap((row, label) => row.map(({length}, other) => (label === other ? 0 : length))));
    const head = el("tr", {}, el("td", {}), ...names.map((name) => el("th", {scope: "col", title: name}, el("span", {}, name))));
    const rows = cells.map((row, label) => {
      const all = row.reduce((sum, {length}) => sum + length, 0);
      return el("tr", {}, el("th", {scope: "row", title: names[label]}, names[label]), ...row.map((rowsOf, other) => {
        if (!rowsOf.length) return el("td", {});
        const [own, said] = [other === label, words(label, other, rowsOf.length)];
        return el("td", {style: `--share: ${Math.round(100 * Math.sqrt(rowsOf.length / (own ? all : most)))}`},
          button(String(rowsOf.length), () => select(rowsOf, of(label, other)), {class: own ? "confusion own" : "confusion", title: said, "aria-label": said}));
      }));
    });
    return el("table", {class: "confusions"}, el("caption", {}, "Rows: the class of an image. Columns: that of its neighbours. Press a number to select its images."), el("thead", {}, head), el("tbody", {}, ...rows));
  }

  /** @param {number[][][]} cells */
  function list(cells) {
    const pairs = cells.flatMap((row, label) => row.map((rowsOf, other) => ({label, other, rowsOf}))).filter(({label, other, rowsOf}) => label !== other && rowsOf.length);
    pairs.sort((a, b) => b.rowsOf.length - a.rowsOf.length);
    const name = (/** @type {number} */ one) => el("span", {class: "name", title: names[one]}, names[one]);
    return el("div", {}, el("p", {class: "quiet"}, "The class of images, and that of their neighbours:"), el("ul", {class: "pairs"}, ...pairs.slice(0, LISTED).map(({label, other, rowsOf}) =>
      el("li", {}, name(label), name(other), button(images(rowsOf.length), () => select(rowsOf, of(label, other)), {"aria-label": words(label, other, rowsOf.length)})))));
  }

  /** @param {number} label @param {number} other */
  const of = (label, other) => ` of class ${named(names[label])} with neighbours of class ${named(names[other])}`;

  /** @param {number} label @param {number} other @param {number} count */
  const words = (label, other, count) => `Select ${images(count)}${of(label, other)}`;

  store.on("part", () => store.facts.tab === "classes" && draw());
  return {name: "classes", title: "Classes", element, shown: draw};
}
