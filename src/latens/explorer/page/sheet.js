// Several images as one picture: contact sheets and strips.

import {toImageData} from "./pictures.js";

const GAP = 4;
const WORDS = 16; // pixels of a line of text
const LEAST = 64; // pixels of an image's longer side; smaller ones are enlarged by whole pixels

/** @typedef {{pixels: Uint8Array, index?: number, words?: string}} Cell  index: of several images in pixels */

/**
 * Images in rows, each with words below it where it has some.
 * @param {Cell[]} cells @param {import("./pictures.js").Shape} shape of each
 * @param {{across?: number, title?: string, least?: number, gap?: number}} [how] across: in a row, by default about as many as rows
 */
export function sheetOf(cells, shape, {across = Math.max(1, Math.round(Math.sqrt(1.4 * cells.length))), title = "", least = LEAST, gap = GAP} = {}) {
  const factor = Math.max(1, Math.ceil(least / Math.max(shape[1], shape[2])));
  const [width, height] = [shape[2] * factor, shape[1] * factor];
  const below = (cells.some(({words}) => words) ? WORDS : 0);
  const top = title ? WORDS + 2 * gap : gap;
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(across * (width + gap) + gap, title ? 240 : 0);
  canvas.height = top + Math.ceil(cells.length / across) * (height + below + gap);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  if (!context) throw new Error(`a picture of ${canvas.width} × ${canvas.height} pixels is too large for this browser`);
  Object.assign(context, {fillStyle: "#ffffff", imageSmoothingEnabled: false, textBaseline: "top", font: `${WORDS - 4}px system-ui, sans-serif`});
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = "#1f2328";
  if (title) context.fillText(title, gap, gap, canvas.width - 2 * gap);
  const one = new OffscreenCanvas(shape[2], shape[1]);
  const inner = /** @type {OffscreenCanvasRenderingContext2D} */ (one.getContext("2d"));
  cells.forEach(({pixels, index = 0, words = ""}, k) => {
    const [left, above] = [gap + (k % across) * (width + gap), top + Math.floor(k / across) * (height + below + gap)];
    inner.putImageData(toImageData(pixels, shape, index * shape[0] * shape[1] * shape[2]), 0, 0);
    context.drawImage(one, left, above, width, height);
    if (words) context.fillText(words, left, above + height + 2, width);
  });
  return canvas;
}
