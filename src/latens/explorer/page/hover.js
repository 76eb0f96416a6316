// The card that shows the image under the pointer: the picture, its reconstruction, its class and error.

import {el, fill, named} from "./dom.js";
import {readable} from "./numbers.js";
import {picture} from "./pictures.js";

const DWELL = 110; // milliseconds, so that a pointer on its way elsewhere asks for nothing

/** @param {import("./store.js").Store} store @param {HTMLElement} box */
export function hoverCard(store, box) {
  const {info, source, view} = store;
  const card = el("div", {class: "hover", hidden: true});
  box.append(card);
  let timer = 0;
  const hide = () => {
    store.drop("hover");
    clearTimeout(timer);
    card.hidden = true;
  };
  view.on("hover", ({row, clientX, clientY}) => {
    hide();
    if (row >= 0 && !store.plays) timer = window.setTimeout(() => show(store.rowOf(row), clientX, clientY), DWELL);
  });
  for (const name of ["leave", "drag"]) view.on(name, hide);
  store.on("snapshot", hide);

  /** @param {number} row @param {number} x @param {number} y */
  async function show(row, x, y) {
    const image = await store.newest("hover", () => source.image(row));
    if (!image) return;
    const name = info.class_names[image.label] ?? "";
    fill(card,
      el("div", {class: "both"}, ...[image.pixels, image.reconstruction].filter((p) => p.length).map((p) => picture(p, info.shape, ""))),
      el("strong", {}, named(name || image.id)), name ? el("span", {}, named(image.id)) : null,
      el("small", {}, `mean squared error ${readable(image.error)}`));
    card.hidden = false;
    const around = box.getBoundingClientRect();
    card.style.left = `${Math.max(0, Math.min(x - around.left + 16, around.width - card.offsetWidth - 8))}px`;
    const above = y - around.top + 16 + card.offsetHeight > around.height;
    card.style.top = `${above ? y - around.top - card.offsetHeight - 16 : y - around.top + 16}px`;
  }
}
