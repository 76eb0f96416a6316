// The card that shows the image under the pointer: the picture, its reconstruction, its label and error.

import {el, fill} from "./dom.js";
import {picture} from "./pictures.js";

const DWELL = 110; // milliseconds, so that a pointer on its way elsewhere asks for nothing

/** @param {import("./context.js").Context} context @param {HTMLElement} box */
export function hoverCard(context, box) {
  const {info, source, view} = context;
  const card = el("div", {class: "hover", hidden: true});
  box.append(card);
  let wanted = -1;
  let timer = 0;
  view.addEventListener("hover", (event) => {
    const {row, clientX, clientY} = /** @type {CustomEvent} */ (event).detail;
    wanted = row;
    clearTimeout(timer);
    card.hidden = true;
    if (row >= 0 && !document.body.classList.contains("playing")) timer = window.setTimeout(() => show(row, clientX, clientY), DWELL);
  });
  for (const name of ["leave", "drag"]) view.addEventListener(name, () => {
    wanted = -1;
    clearTimeout(timer);
    card.hidden = true;
  });

  /** @param {number} row @param {number} x @param {number} y */
  async function show(row, x, y) {
    const image = await context.attempt(source.image(row));
    if (!image || wanted !== row) return;
    const name = context.className(row);
    fill(card,
      el("div", {class: "both"}, ...[image.pixels, image.reconstruction].filter((p) => p.length).map((p) => picture(p, info.shape, ""))),
      el("strong", {}, name ? name : image.id), name ? el("span", {}, ` ${image.id}`) : null,
      el("small", {}, `squared error ${image.error.toPrecision(3)}`));
    card.hidden = false;
    const around = box.getBoundingClientRect();
    card.style.left = `${Math.max(0, Math.min(x - around.left + 16, around.width - card.offsetWidth - 8))}px`;
    const above = y - around.top + 16 + card.offsetHeight > around.height;
    card.style.top = `${above ? y - around.top - card.offsetHeight - 16 : y - around.top + 16}px`;
  }
}
