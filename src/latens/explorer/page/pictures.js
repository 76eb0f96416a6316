// Raw 8-bit pictures (C, H, W), as the decoder gives them, on canvases.

import {el} from "./dom.js";

/** @typedef {[number, number, number]} Shape */

/**
 * @param {Uint8Array} pixels @param {Shape} shape @param {number} [start]  where the picture begins
 */
export function toImageData(pixels, shape, start = 0) {
  const [channels, height, width] = shape;
  const area = height * width;
  const data = new Uint8ClampedArray(4 * area);
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) data[4 * i + c] = pixels[start + i + (channels === 3 ? c * area : 0)];
    data[4 * i + 3] = 255;
  }
  return new ImageData(data, width, height);
}

/** Whether its pixels are large enough to be seen as such. @param {Shape} shape */
export const isCoarse = (shape) => Math.max(shape[1], shape[2]) <= 64;

/** A picture that can be drawn; one with more pixels than that a side is made smaller. @param {Uint8Array} pixels @param {Shape} shape @param {number} index of several pictures @param {number} most */
export function bitmapOf(pixels, shape, index, most) {
  const [channels, height, width] = shape;
  const share = most / Math.max(height, width);
  const [resizeHeight, resizeWidth] = [height, width].map((side) => Math.max(1, Math.round(side * share)));
  return createImageBitmap(toImageData(pixels, shape, index * channels * height * width), share < 1 ? {resizeHeight, resizeWidth, resizeQuality: "medium"} : {});
}

/** An empty picture. @param {Shape} shape @param {string} [label] what a screen reader says */
export function frame(shape, label = "") {
  const canvas = /** @type {HTMLCanvasElement} */ (el("canvas", {class: "picture", ...(label ? {role: "img", "aria-label": label} : {"aria-hidden": "true"})}));
  [, canvas.height, canvas.width] = shape;
  if (isCoarse(shape)) canvas.classList.add("coarse");
  return canvas;
}

/** @param {HTMLCanvasElement} canvas @param {Uint8Array} pixels @param {Shape} shape @param {number} [index] of several pictures */
export function paint(canvas, pixels, shape, index = 0) {
  const size = shape[0] * shape[1] * shape[2];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  if (pixels.length >= size * (index + 1)) context.putImageData(toImageData(pixels, shape, index * size), 0, 0);
  else context.clearRect(0, 0, canvas.width, canvas.height);
}

/** A picture. @param {Uint8Array} pixels @param {Shape} shape @param {string} label @param {number} [index] */
export function picture(pixels, shape, label, index = 0) {
  const canvas = frame(shape, label);
  paint(canvas, pixels, shape, index);
  return canvas;
}

/** Where two pictures differ: 128 where they are the same. @param {Uint8Array} a @param {Uint8Array} b */
export function difference(a, b) {
  return Uint8Array.from(a, (value, i) => Math.round(128 + (b[i] - value) / 2));
}

/** A picture with words below it. @param {HTMLElement} shown @param {...(string|Node)} words */
export function captioned(shown, ...words) {
  return el("figure", {class: "card"}, shown, el("figcaption", {}, ...words));
}
