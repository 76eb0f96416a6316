// Images worth a look, and what a person makes of them: tags, and a table to take away.

import {button, choice, el, fill} from "./dom.js";
import {captioned, frame, paint} from "./pictures.js";

const KINDS = /** @type {Record<string, [string, string]>} */ ({
  "worst-rebuilt": ["Worst rebuilt", "The model's largest errors."],
  "far-from-all": ["Far from all others", "Odd pictures: alone in latent space, badly rebuilt, unlike their neighbours."],
  "near-duplicate": ["Near-duplicates", "Pairs that are nearer to each other than images usually are."],
  "doubtful-label": ["Doubtful labels", "Images whose neighbours are of another class."],
});
const MORE = 24;
const images = (/** @type {number} */ count) => (count === 1 ? "1 image" : `${count} images`);

/** @param {import("./context.js").Context} context */
export function listsPanel(context) {
  const {info} = context;
  const served = /** @type {import("./types.js").ServedSource} */ (context.served);
  let kind = "worst-rebuilt";
  let shown = MORE;
  const about = el("p", {class: "quiet"});
  const grid = el("div", {class: "grid small"});
  const more = button("More", () => {
    shown += MORE;
    draw();
  });
  const tagName = /** @type {HTMLInputElement} */ (el("input", {id: "tag-name", type: "text", maxLength: 60, placeholder: "a word, such as wrong"}));
  const tags = el("ul", {class: "tags"});
  const selection = el("p", {class: "quiet"});
  const element = el(
    "div",
    {},
    choice("List", Object.entries(KINDS).filter(([value]) => info.class_names.length || value !== "doubtful-label").map(([value, [text]]) => ({value, text})), kind, (value) => {
      kind = value;
      shown = MORE;
      draw();
    }).element,
    about,
    grid,
    more,
    el("h2", {}, "Selection and tags"),
    selection,
    el("div", {class: "field"}, el("label", {for: "tag-name"}, "Tag"), tagName),
    el("p", {class: "row"}, button("Tag the selection", () => tag(true)), button("Take the tag away", () => tag(false)),
      button("Clear the selection", () => context.set({selected: []}))),
    tags,
    el("p", {class: "row"},
      button("Download tags (CSV)", async () => download(await context.attempt(served.tagsFile()), `${info.name}-tags.csv`)),
      button("Download selection (CSV)", downloadSelection)),
  );

  async function draw() {
    about.textContent = KINDS[kind][1];
    const found = await served.list(kind).catch((error) => void (about.textContent = error.message));
    more.hidden = !found || found.length <= shown;
    fill(grid, ...(found ?? []).slice(0, shown).map(card));
    if (found && !found.length) about.textContent += " There are none.";
  }

  /** @param {import("./types.js").Finding} one */
  function card(one) {
    const canvas = frame(info.shape);
    served.picture(one.id).then((pixels) => paint(canvas, pixels, info.shape), () => canvas.classList.add("gone"));
    const words = one.suggested ? `${one.label}, or ${one.suggested}?` : one.label;
    const shown = captioned(canvas, words, el("small", {}, one.other_id ? `${one.id} = ${one.other_id}` : one.id));
    const open = () => {
      if (one.point >= 0) context.set({row: one.point, tab: "image"});
      else {
        context.set({tab: "image"});
        context.dispatchEvent(new CustomEvent("by id", {detail: one.id}));
      }
    };
    return el("button", {type: "button", class: "bare", onclick: open}, shown);
  }

  /** @param {boolean} on */
  async function tag(on) {
    const rows = context.facts.selected;
    if (!rows.length) return context.say("Select some images first: the box or the lasso above the map.");
    if (!tagName.value.trim()) return context.say("A tag needs a name.");
    const ids = await context.attempt(served.ids(rows));
    const known = ids && (await context.attempt(served.tag(tagName.value, ids, on)));
    if (!known) return;
    showTags(known);
    context.say(`${images(rows.length)} ${on ? "tagged" : "no longer tagged"} ${tagName.value}.`);
  }

  /** @param {Record<string, string[]>} known */
  function showTags(known) {
    fill(tags, ...Object.entries(known).map(([name, ids]) => el("li", {}, el("strong", {}, name), ` ${images(ids.length)}`)));
  }

  async function downloadSelection() {
    const rows = context.facts.selected;
    if (!rows.length) return context.say("Nothing is selected: the box or the lasso above the map selects.");
    const ids = await context.attempt(served.ids(rows));
    const quoted = (/** @type {string} */ text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    if (ids) download(new Blob([["id", ...ids.map(quoted)].join("\n") + "\n"], {type: "text/csv"}), `${info.name}-selection.csv`);
  }

  context.on("selected", () => {
    selection.textContent = context.facts.selected.length ? `${images(context.facts.selected.length)} ${context.facts.selected.length === 1 ? "is" : "are"} selected.` : "Nothing is selected.";
  });
  return {
    name: "lists",
    title: "Lists",
    element,
    async shown() {
      context.set({selected: context.facts.selected});
      await draw();
      const known = await context.attempt(served.tags());
      if (known) showTags(known);
    },
  };
}

/** @param {Blob|null} blob @param {string} name */
function download(blob, name) {
  if (!blob) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
