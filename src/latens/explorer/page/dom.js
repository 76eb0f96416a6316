// Makes elements. Text never becomes HTML, so that data can only be shown as text.

/**
 * @param {string} tag
 * @param {Record<string, unknown>} [properties]  "class", "on…" handlers, "aria-…" and "data-…" attributes, else properties
 * @param {...(Node|string|null)} children
 * @returns {HTMLElement}
 */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (name === "class" || name === "role" || name === "for" || name.includes("-")) made.setAttribute(name, String(value));
    else Object.assign(made, {[name]: value});
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** @param {string|Node|(string|Node)[]} content @param {() => void} press @param {Record<string, unknown>} [properties] */
export function button(content, press, properties = {}) {
  return /** @type {HTMLButtonElement} */ (el("button", {type: "button", onclick: press, ...properties}, ...[content].flat()));
}

let labelled = 0;

/**
 * A select with its label.
 * @param {string} text @param {{value: string, text: string}[]} options @param {string} value @param {(value: string) => void} change
 */
export function choice(text, options, value, change) {
  const id = `choice-${++labelled}`;
  const select = /** @type {HTMLSelectElement} */ (
    el("select", {id, onchange: () => change(select.value)}, ...options.map((o) => el("option", {value: o.value}, o.text)))
  );
  select.value = value;
  return {element: el("div", {class: "field"}, el("label", {for: id}, text), select), select};
}

/**
 * A slider with its label and its value in words.
 * @param {string} text @param {{min: number, max: number, step: number, value: number}} range
 * @param {(value: number) => void} change @param {(value: number) => string} [words]
 */
export function slider(text, range, change, words = (value) => String(value)) {
  const id = `slider-${++labelled}`;
  const output = el("output", {for: id});
  const input = /** @type {HTMLInputElement} */ (el("input", {id, type: "range", ...range}));
  /** Show the value again, where its words have changed. */
  const refresh = () => {
    output.textContent = words(Number(input.value));
    input.setAttribute("aria-valuetext", words(Number(input.value)));
  };
  input.addEventListener("input", () => {
    refresh();
    change(Number(input.value));
  });
  refresh();
  return {element: el("div", {class: "field"}, el("label", {for: id}, text), input, output), input, output, refresh};
}

/** Do something once nothing has asked for it for a while. @param {() => unknown} work @param {number} [pause] milliseconds */
export function afterwards(work, pause = 250) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = window.setTimeout(work, pause);
  };
}

/** A name of the data in a sentence: one that is written from right to left must not turn round what stands beside it. @param {string} name */
export const named = (name) => (/[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(name) ? `\u2068${name}\u2069` : name);

/** Give an element other children. @param {Element} element @param {...(Node|string|null)} children */
export function fill(element, ...children) {
  element.replaceChildren(...children.filter((child) => child !== null));
}
