// Which channels of an image are shown, in which colours, and between which values: what is chosen here is the look of all images.

import {choice, button, el, fill} from "./dom.js";
import {lookOf, partsOf} from "./looks.js";
import {readable} from "./numbers.js";

/** @typedef {import("./looks.js").Part} Part */

const STEPS = 1000; // of a slider of the contrast
const LEAST = 1; // step between the two ends
const THREE = ["red", "green", "blue"];

/** @param {import("./store.js").Store} store */
export function channelControls(store) {
  const {info, source} = store;
  const ranges = el("div", {});
  const chosen = el("div", {class: "row"});
  const element = el("details", {class: "channels", hidden: info.plain}, el("summary", {}, info.network_shape[0] > 1 ? "Channels and contrast" : "Contrast"));
  /** @type {import("./types.js").ChannelInfo[]} */
  let channels = [];
  /** The sliders of the contrast that are there, by the channels and colours they are for. */
  let made = "";
  let choosing = false; // red, green and blue, though they are what the run shows

  const parts = () => partsOf(store.facts.look || info.show);
  /** @param {Part[]} wanted */
  const show = (wanted) => {
    const look = lookOf(wanted);
    store.set({look: look === info.show ? "" : look});
  };
  /** How a channel is shown in the look as it is, or all of it. @param {string} colour @param {number} channel @returns {Part} */
  const partFor = (colour, channel) => ({low: 0, high: 1, ...parts().find((one) => one.channel === channel), colour, channel});

  function fillControls() {
    const mode = choice("Show", [
      {value: "", text: "as the run shows them"},
      ...channels.map(({name}, channel) => ({value: String(channel), text: `only ${name}, in grey`})),
      {value: "three", text: "channels as red, green and blue"},
    ], "", (value) => {
      choosing = value === "three";
      if (value === "") store.set({look: ""});
      else if (value === "three") show(channels.slice(0, 3).map((_, channel) => partFor(THREE[channel], channel)));
      else show([partFor("grey", Number(value))]);
    });
    const several = info.network_shape[0] > 1;
    fill(element, /** @type {Node} */ (element.firstChild), ...(several ? [mode.element, chosen] : []), ranges, el("p", {class: "row"},
      button("Auto contrast", () => show(parts().map((part) => ({...part, low: channels[part.channel].auto[0], high: channels[part.channel].auto[1]})))),
      button("Whole range", () => show(parts().map((part) => ({...part, low: 0, high: 1}))))));
    const draw = () => {
      const now = parts();
      const single = now.length === 1 && now[0].colour === "grey";
      const asRun = now.map(({colour, channel}) => `${colour}=${channel + 1}`).join(",") === info.show;
      mode.select.value = asRun && !choosing ? "" : single ? String(now[0].channel) : "three";
      drawChosen(mode.select.value === "three" ? now : []);
      drawRanges(now);
    };
    store.on("look", draw);
    draw();
  }

  /** Which channel is red, green and blue. @param {Part[]} now none: that is not chosen */
  function drawChosen(now) {
    const focused = chosen.contains(document.activeElement) ? document.activeElement?.getAttribute("aria-label") : "";
    fill(chosen, ...(now.length ? THREE : []).map((colour) => {
      const of = now.find((one) => one.colour === colour);
      const one = choice(colour, [{value: "", text: "none"}, ...channels.map(({name}, channel) => ({value: String(channel), text: name}))], of ? String(of.channel) : "", (value) => {
        const wanted = THREE.flatMap((name) => {
          const channel = name === colour ? value : String(parts().find((other) => other.colour === name)?.channel ?? "");
          return channel === "" ? [] : [partFor(name, Number(channel))];
        });
        if (wanted.length) show(wanted);
        else one.select.value = of ? String(of.channel) : ""; // nothing at all would be black
      });
      one.select.setAttribute("aria-label", `channel shown in ${colour}`);
      return one.element;
    }));
    if (focused) /** @type {HTMLElement|null} */ (chosen.querySelector(`[aria-label="${focused}"]`))?.focus();
  }

  /** Two sliders for each channel that is shown. @param {Part[]} now */
  function drawRanges(now) {
    const wanted = now.map(({colour, channel}) => `${colour} ${channel}`).join(",");
    if (wanted !== made) fill(ranges, ...now.map(({colour, channel}, at) => range(colour, channel, at)));
    made = wanted;
    now.forEach(({low, high, channel}, at) => {
      const box = ranges.children[at];
      const words = [low, high].map((share) => readable(valueOf(channel, share)));
      box.querySelectorAll("input").forEach((input, end) => {
        input.value = String(Math.round((end ? high : low) * STEPS));
        input.setAttribute("aria-valuetext", words[end]);
      });
      fill(/** @type {Element} */ (box.querySelector("output")), `${words[0]} to ${words[1]}`);
    });
  }

  /** A share of a channel's range as a stored number. @param {number} channel @param {number} share */
  const valueOf = (channel, share) => channels[channel].low + share * (channels[channel].high - channels[channel].low);

  /** @param {string} colour @param {number} channel @param {number} at place among those that are shown */
  function range(colour, channel, at) {
    const title = info.network_shape[0] > 1 ? `${channels[channel].name} · ${colour}` : "shown";
    const end = (/** @type {number} */ which) => {
      const input = /** @type {HTMLInputElement} */ (el("input", {type: "range", min: 0, max: STEPS, "aria-label": `${title}: ${which ? "full colour" : "black"} at`}));
      input.addEventListener("input", () => {
        const now = parts();
        const value = Number(input.value);
        const [low, high] = [Math.round(now[at].low * STEPS), Math.round(now[at].high * STEPS)];
        if (which) now[at].high = Math.max(value, low + LEAST) / STEPS;
        else now[at].low = Math.min(value, high - LEAST) / STEPS;
        show(now);
      });
      return input;
    };
    return el("div", {class: "contrast", role: "group", "aria-label": `Contrast of ${title}`}, el("span", {}, title), el("output", {}), end(0), end(1));
  }

  element.addEventListener("toggle", async () => {
    if (channels.length || !(/** @type {HTMLDetailsElement} */ (element).open)) return;
    const found = await store.newest("channels", () => source.channels(), {busy: element});
    if (!found) return;
    channels = found;
    fillControls();
  });
  return element;
}
