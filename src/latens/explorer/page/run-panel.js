// The run: its loss curve, verdict, scores and settings; followed while it trains, and its latents played back afterwards.

import {button, el, fill, slider} from "./dom.js";
import {curve} from "./chart.js";
import {readable} from "./numbers.js";
import {picture} from "./pictures.js";

const EVERY = 1500; // milliseconds between looks at a run that trains
const STEP = 450; // of the playback

/** A sentence in which what stands between backticks is code. @param {string} text */
const coded = (text) => text.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));

/** @param {import("./store.js").Store} store */
export function runPanel(store) {
  const {info, source, served} = store;
  const state = el("p", {class: "facts"});
  const chart = el("div", {});
  const pictures = el("div", {class: "grid small"});
  const playback = el("div", {});
  const verdict = el("div", {});
  const scores = el("div", {});
  const settings = el("dl", {class: "table"});
  const element = el("div", {}, state, chart, pictures, playback, verdict, scores, el("h2", {}, "Settings"), settings);
  let epoch = -1;
  let following = false;
  /** Epochs whose latents this run keeps, and those with them that the run beside it does. @type {number[]} */
  let kept = [];
  /** @type {number[]} */
  let snapshots = [];
  let coming = 0; // snapshots on their way
  let stop = () => {};

  async function look() {
    const now = await store.attempt(source.history());
    if (!now) return "";
    const history = now.history;
    const best = history.at(-1);
    fill(state, el("strong", {}, now.status === "done" ? "Complete" : now.status), now.error ? `: ${now.error}` : "",
      best ? ` · epoch ${best.epoch} · test MSE ${readable(best.test_mse)} · ${readable(Math.round(best.elapsed))}\u00a0s` : now.status === "done" ? " · no losses of its training are kept" : " · no epoch has ended yet");
    if (best && best.epoch !== epoch) {
      epoch = best.epoch;
      const of = (/** @type {string} */ name) => history.map((/** @type {any} */ line) => line[name] ?? null);
      fill(chart, curve([{name: "train", values: of("train_mse")}, {name: "test MSE", values: of("test_mse")}], of("epoch")));
      if (now.status === "training" || now.status === "stopped") await rebuild();
    }
    kept = now.snapshots;
    offer(now.status === "training");
    if (now.status === "done" && !kept.length) fill(playback, el("p", {class: "quiet"}, "This run kept no latents of its training: there is no playback."));
    if (now.verdict) showVerdict(now.verdict);
    if (now.scores) showScores(now.scores);
    showSettings(now);
    return now.status;
  }

  async function rebuild() {
    const live = await served?.live().catch(() => null); // a checkpoint that is being written is looked at the next time
    if (!live) return;
    const count = live.pixels.length / (info.shape[0] * info.shape[1] * info.shape[2]);
    const one = (/** @type {number} */ i) => el("figure", {class: "card"}, picture(live.pixels, info.shape, `test image ${i}`, i),
      picture(live.reconstructions, info.shape, "its reconstruction", i));
    fill(pictures, ...Array.from({length: count}, (_, i) => one(i)));
  }

  /** Offer a playback of what both runs keep, where that has changed. @param {boolean} trains */
  function offer(trains) {
    const others = store.facts.linked?.link.other_epochs ?? [];
    const epochs = kept.length ? [...new Set([...kept, ...others])].sort((a, b) => a - b) : [];
    if (String(snapshots) !== String(epochs)) showPlayback(epochs, trains);
  }

  /** @param {number[]} epochs @param {boolean} trains */
  function showPlayback(epochs, trains) {
    snapshots = epochs;
    if (!epochs.length) return;
    stop();
    const last = epochs.length - 1;
    let timer = 0;
    const at = slider("Epoch", {min: 0, max: last, step: 1, value: last}, (index) => play(index), (index) => String(epochs[index]));
    stop = () => {
      clearInterval(timer);
      timer = 0;
      press.textContent = "Play";
    };
    const show = (/** @type {number} */ index) => {
      at.input.value = String(index);
      at.input.dispatchEvent(new Event("input"));
      if (index >= last) stop();
    };
    const press = button("Play", () => {
      if (timer) return stop();
      press.textContent = "Stop";
      timer = window.setInterval(() => coming || show(Number(at.input.value) + 1), STEP);
      if (Number(at.input.value) >= last) show(0);
    }, {class: "main"});
    const back = button("Back to the map", mapAgain);
    fill(playback, el("h2", {}, "The latents, epoch by epoch"),
      el("p", {class: "quiet"}, "The test latents on the plane in which they vary most; each epoch is turned and mirrored to match the last one.", playsTwo()),
      at.element, el("p", {class: "row"}, press, info.maps.length ? back : null));
    if (trains || !info.count) play(last);
  }

  /** What is said of the run beside this one. */
  function playsTwo() {
    const {linked} = store.facts;
    if (!linked) return "";
    const {name} = linked.store.info;
    const others = linked.link.other_epochs;
    return others.length ? ` ${name} is played with it; where one of the two kept nothing of an epoch, the one before is shown.` : ` ${name} kept no latents of its training.`;
  }

  /** Show an epoch in place of the map; the newest choice of an epoch or a map wins. @param {number} index */
  async function play(index) {
    coming++;
    const found = await store.newest("viewed", () => source.snapshot(latest(kept, snapshots[index])));
    coming--;
    if (found && store.facts.tab === "run") store.set({snapshot: {...found, at: snapshots[index]}});
  }

  /** Playback ends; a map that is on its way is still wanted. */
  function mapAgain() {
    stop();
    if (coming) store.drop("viewed");
    if (store.plays) store.set({snapshot: null});
  }

  /** @param {any} found */
  function showVerdict(found) {
    fill(verdict, el("h2", {}, "Can it generate?"), el("p", {class: "lead"}, found.headline), el("p", {}, found.fault),
      el("p", {class: "quiet"}, "Claims about plain autoencoders, and whether they hold for this run:"),
      ...found.claims.map((/** @type {any} */ c) => el("details", {}, el("summary", {}, `${c.claim.replace(/\.$/, "")}: `, el("strong", {}, c.answer)), el("p", {}, c.sentence))),
      found.suggestions.length ? el("h3", {}, "What would help") : null,
      ...found.suggestions.map((/** @type {any} */ s) => el("p", {}, ...coded(s.text), el("small", {class: "block"}, s.because))));
  }

  /** @param {any[]} rows */
  function showScores(rows) {
    fill(scores, el("h2", {}, "Scores"), ...grouped(rows).map(([group, some]) => el("details", {}, el("summary", {}, group),
      el("dl", {class: "table"}, ...some.filter(({value}) => value !== null).flatMap((row) => [
        el("dt", {}, row.name.replaceAll("_", " ")),
        el("dd", {}, `${readable(row.value, 4)} ${row.unit}`, row.baseline !== null ? el("small", {}, ` ${row.baseline_name}: ${readable(row.baseline, 4)}`) : null),
        el("dd", {class: "meaning"}, ...explained(row.meaning, [row.protocol])),
      ])))));
  }

  /** @param {any} now */
  function showSettings(now) {
    const {config, ...recipe} = now.recipe;
    const rows = {...recipe, ...config, images: `${now.data.name}: ${now.data.train} train, ${now.data.test} test`, ...now.facts, ...now.facts.versions};
    fill(settings, ...Object.entries(rows).filter(([, value]) => typeof value !== "object").flatMap(([name, value]) => [
      el("dt", {}, name.replaceAll("_", " ")), el("dd", {}, String(value))]));
  }

  async function follow() {
    if (following) return;
    following = true;
    let status = await look();
    while (served && store.facts.tab === "run" && status && status !== "done" && status !== "diverged" && status !== "stopped") {
      await new Promise((resolve) => setTimeout(resolve, EVERY));
      status = await look();
    }
    following = false;
  }

  store.on("linked", () => kept.length && offer(false));
  store.on("tab", () => store.facts.tab !== "run" && info.count && mapAgain());
  store.on("wanted", () => store.facts.wanted && stop()); // a map was chosen
  return {name: "run", title: "Run", element, shown: follow};
}

/** Scores by the headings of their groups. @template {{group: string, subject: string}} T @param {T[]} scores @returns {[string, T[]][]} */
export function grouped(scores) {
  /** @type {Map<string, T[]>} */
  const groups = new Map();
  for (const one of scores) {
    const heading = one.subject ? `${one.group}: ${one.subject}` : one.group;
    groups.set(heading, [...(groups.get(heading) ?? []), one]);
  }
  return [...groups];
}

/** What a score means and how it was measured, to be read without a pointer that hovers. @param {string} meaning @param {string[]} protocols */
export const explained = (meaning, protocols) => [meaning, ...[...new Set(protocols)].filter(Boolean).map((one) => el("small", {class: "block"}, one))];

/** The last of some epochs up to one, or the first. @param {number[]} epochs ascending @param {number} epoch */
export const latest = (epochs, epoch) => epochs.findLast((one) => one <= epoch) ?? epochs[0];
