// The parts of the page that index.html has, and what is written into its head and its line of messages.

import {el} from "./dom.js";

export const find = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** Show a message for a while. @param {string} text */
export function say(text) {
  const status = find("status");
  status.textContent = text.replace(/^[a-z](?=[a-z]* )/, (letter) => letter.toUpperCase()); // a file's name stays as it is
  status.classList.remove("said");
  requestAnimationFrame(() => status.classList.add("said"));
}

/** A message for screen readers only. @param {string} text */
export function announce(text) {
  find("status").classList.remove("said");
  find("status").textContent = text;
}

/** @param {string} name @param {string} words */
export const title = (name, words) => [el("h1", {}, el("span", {class: "brand"}, "latens"), " ", name), el("p", {class: "quiet", title: words}, words),
  el("p", {class: "lost-note", role: "alert"})];
