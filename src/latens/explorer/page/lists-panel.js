// Images worth a look, and what a person makes of them: tags, and a table to take away.

import {button, choice, el, fill} from "./dom.js";
import {captioned, frame, paint} from "./pictures.js";
import {download, images} from "./selection.js";

const KINDS = /** @type {Record<string, [string, string]>} */ ({
  "worst-rebuilt": ["Worst rebuilt", "The model's largest errors."],
  "far-from-all": ["Far from all others", "Odd pictures: alone in latent space, badly rebuilt, unlike their neighbours."],
  "near-duplicate": ["Near-duplicates", "Pairs that are nearer to each other than images usually are."],
  "doubtful-label": ["Doubtful labels", "Images whose neighbours are of another class."],
});
const MORE = 24;

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
  const tags = el("ul", {class: "tags"});
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
    el("h2", {}, "Tags"),
    tags,
    el("p", {class: "quiet"}, "Select images with the box or the lasso above the map, or with s at the one you are at; then give them a tag."),
    el("p", {class: "row"}, button("Download tags (CSV)", async () => download(await context.attempt(served.tagsFile()), `${info.name}-tags.csv`))),
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

  async function readTags() {
    const known = await context.attempt(served.tags());
    if (known) context.setTags(known);
  }

  context.addEventListener("tags", () => fill(tags, ...Object.entries(context.tags.tags).map(([name, ids]) => el("li", {}, el("strong", {}, name), ` ${images(ids.length)} `,
    button("Select", () => context.set({selected: context.tags.points[name]}), {"aria-label": `Select the images tagged ${name}`})))));
  addEventListener("focus", () => context.facts.tab === "lists" && readTags()); // another window may have changed them
  return {
    name: "lists",
    title: "Lists",
    element,
    async shown() {
      await Promise.all([draw(), readTags()]);
    },
  };
}
