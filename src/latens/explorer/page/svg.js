// As much of a canvas as the map's marks need, that writes SVG.

const PARTS = {fillStyle: "#000000", strokeStyle: "#000000", lineWidth: 1, lineCap: "butt", lineJoin: "miter", globalAlpha: 1, font: "14px system-ui, sans-serif", textAlign: "start", textBaseline: "alphabetic"};

/** @param {number} value */
const short = (value) => String(Math.round(10 * value) / 10);

/** @param {string} text */
const escaped = (text) => text.replace(/[&<>"]/g, (one) => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})[one] ?? one).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, "");

export class SvgContext {
  /** @type {string[]} */ #parts = [];
  /** @type {string[]} */ #path = [];
  /** @type {number[]} */ #dashes = [];
  #measure = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));

  /** @param {number} width @param {number} height */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.looks = {...PARTS};
    for (const name of Object.keys(PARTS)) {
      Object.defineProperty(this, name, {get: () => /** @type {any} */ (this.looks)[name], set: (value) => (/** @type {any} */ (this.looks)[name] = value)});
    }
  }

  beginPath = () => void (this.#path = []);
  closePath = () => void this.#path.push("Z");
  setLineDash = (/** @type {number[]} */ dashes) => void (this.#dashes = dashes);
  moveTo = (/** @type {number} */ x, /** @type {number} */ y) => void this.#path.push(`M${short(x)} ${short(y)}`);
  lineTo = (/** @type {number} */ x, /** @type {number} */ y) => void this.#path.push(`${this.#path.length ? "L" : "M"}${short(x)} ${short(y)}`);

  /** Whole circles only, from their right end, to which the path was moved. @param {number} _x @param {number} _y @param {number} radius */
  arc(_x, _y, radius) {
    const r = short(radius);
    const d = short(2 * Number(r));
    this.#path.push(`a${r} ${r} 0 1 0 -${d} 0a${r} ${r} 0 1 0 ${d} 0`);
  }

  fill = () => void this.#add("path", {d: this.#path.join(""), fill: this.looks.fillStyle, opacity: this.looks.globalAlpha});

  stroke() {
    this.#add("path", {d: this.#path.join(""), fill: "none", ...this.#line(), "stroke-dasharray": this.#dashes.join(" ") || null, opacity: this.looks.globalAlpha});
  }

  /** @param {number} x @param {number} y @param {number} width @param {number} height */
  fillRect(x, y, width, height) {
    this.#add("rect", {x: short(x), y: short(y), width: short(width), height: short(height), fill: this.looks.fillStyle});
  }

  /** @param {string} text @param {number} x @param {number} y */
  strokeText(text, x, y) {
    this.#text(text, x, y, {fill: "none", ...this.#line()});
  }

  /** @param {string} text @param {number} x @param {number} y */
  fillText(text, x, y) {
    this.#text(text, x, y, {fill: this.looks.fillStyle});
  }

  /** @param {string} text */
  measureText(text) {
    this.#measure.font = this.looks.font;
    return this.#measure.measureText(text);
  }

  /** The whole picture. @param {string} title what a screen reader says */
  text(title) {
    const {width, height} = this;
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img"><title>${escaped(title)}</title>\n${this.#parts.join("\n")}\n</svg>\n`;
  }

  #line() {
    const {strokeStyle, lineWidth, lineCap, lineJoin} = this.looks;
    return {stroke: strokeStyle, "stroke-width": short(lineWidth), "stroke-linecap": lineCap, "stroke-linejoin": lineJoin};
  }

  /** @param {string} text @param {number} x @param {number} y @param {Record<string, unknown>} looks */
  #text(text, x, y, looks) {
    const {font, textAlign, textBaseline} = this.looks;
    const anchor = {center: "middle", start: "start", left: "start", right: "end", end: "end"}[textAlign] ?? "start";
    this.#add("text", {x: short(x), y: short(y), style: `font:${font}`, "text-anchor": anchor, "dominant-baseline": textBaseline === "middle" ? "central" : null, ...looks}, text);
  }

  /** @param {string} tag @param {Record<string, unknown>} properties @param {string} [text] */
  #add(tag, properties, text = "") {
    const given = Object.entries(properties).filter(([name, value]) => value !== null && !(name === "opacity" && value === 1));
    this.#parts.push(`<${tag} ${given.map(([name, value]) => `${name}="${escaped(String(value))}"`).join(" ")}${text ? `>${escaped(text)}</${tag}>` : "/>"}`);
  }
}
