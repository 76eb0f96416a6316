// A run that is still being made: what it is at, how far that is, and a button that ends its training early.

import {button, el, fill} from "./dom.js";

const EVERY = 1000; // milliseconds between looks

const WORDS = {
  training: "Training", latents: "Encoding all images", maps: "Fitting the maps", scores: "Fitting samplers and scoring", report: "Drawing figures and the report",
  done: "The run is complete.", diverged: "The training diverged", stopped: "The training was stopped", "broken off": "This run is not complete, and no process works on it",
};
const ENDS = ["done", "diverged", "stopped", "broken off"];

/** @param {string} name of a stage, such as "map tsne" */
const stageWords = (name) => name.replace("map tsne", "map t-SNE").replace("map pca", "map PCA");

/**
 * Tell what a run is at until it is complete; the page of a run that had no map is opened again once it has one.
 * @param {import("./store.js").Store} store @param {HTMLElement} box that holds the map
 */
export async function tellPhase(store, box) {
  const {info} = store;
  const served = /** @type {import("./types.js").ServedSource} */ (store.served);
  const words = el("span", {});
  const bar = el("progress", {max: 1, "aria-label": "How far this is"});
  const stop = button("Stop after this epoch", async () => {
    const now = await store.attempt(served.stop());
    if (now) show(now);
  }, {title: "The training ends after the epoch under way. The run is then mapped, scored and reported as it is, and can be trained on later."});
  const note = el("div", {class: "phase", role: "status"}, words, bar, stop);

  /** @param {import("./types.js").Phase} now */
  function show(now) {
    const stage = now.work.filter(({title}) => title !== "scores").at(-1) ?? now.work.at(-1);
    const share = stage?.total ? stage.done / stage.total : NaN;
    const trains = now.phase === "training";
    const epoch = trains ? `: epoch ${Math.min(now.epoch + 1, now.epochs)} of ${now.epochs}` : "";
    const inside = stage && !trains && !ENDS.includes(now.phase) ? `: ${stageWords(stage.title)}` : "";
    const ended = now.phase === "stopped" ? ` after epoch ${now.epoch} of ${now.epochs}; latens run --resume --out ${info.name} trains on.`
      : now.phase === "broken off" ? `: latens run --resume --out ${info.name} completes it.` : now.phase === "diverged" ? `: ${now.error}` : "";
    fill(words, el("strong", {}, WORDS[now.phase]), epoch, inside, Number.isFinite(share) ? `, ${Math.floor(100 * share)} %` : "", ended);
    bar.hidden = !Number.isFinite(share) || ENDS.includes(now.phase);
    if (!bar.hidden) bar.setAttribute("value", String(share));
    stop.hidden = !trains || now.epoch + 1 >= now.epochs;
    stop.textContent = now.stopping ? "Stops after this epoch…" : "Stop after this epoch";
    stop.disabled = now.stopping;
  }

  for (let first = true; ; first = false) {
    const now = await served.phase().catch(() => null); // a server that is gone is said by what asks it
    if (now && first && now.phase === "done") return;
    if (now) {
      box.append(note);
      show(now);
      if (now.mapped && !info.count) return location.reload();
      if (now.phase === "done") {
        note.remove();
        return store.say(WORDS.done);
      }
      if (now.phase === "diverged") return; // all others may be continued in another terminal
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY));
  }
}
