// How images are shown: which channels, in which colours, and between which values; as looks.py. It runs in workers, too.

/** @typedef {{colour: string, channel: number, low: number, high: number}} Part  channel from 0; low and high: shares of its range */

/** What a colour adds to red, green and blue. @type {Record<string, number[]>} */
const COLOURS = {
  red: [1, 0, 0], green: [0, 1, 0], blue: [0, 0, 1], cyan: [0, 1, 1], magenta: [1, 0, 1], yellow: [1, 1, 0], grey: [1, 1, 1],
};

/** @param {string} look such as "red=3@0.1:0.6,green=2" @returns {Part[]} */
export function partsOf(look) {
  return look.split(",").map((text) => {
    const [, colour, channel, low = "0", high = "1"] = /** @type {string[]} */ (/^(\w+)=(\d+)(?:@([\d.]+):([\d.]+))?$/.exec(text));
    return {colour, channel: Number(channel) - 1, low: Number(low), high: Number(high)};
  });
}

/** @param {Part[]} parts */
export function lookOf(parts) {
  const share = (/** @type {number} */ value) => String(Number(value.toFixed(5)));
  return parts.map(({colour, channel, low, high}) => `${colour}=${channel + 1}${low === 0 && high === 1 ? "" : `@${share(low)}:${share(high)}`}`).join(",");
}

/**
 * An image in a look, floats in [0, 1].
 * @param {Part[]} parts @param {ArrayLike<number>} image (C, H, W) about [0, 1] @param {number} places of a channel, H times W @param {number} shown channels of the result
 * @returns {Float32Array}
 */
export function composed(parts, image, places, shown) {
  const result = new Float32Array(shown * places);
  for (const {colour, channel, low, high} of parts) {
    for (let to = 0; to < shown; to++) {
      if (shown > 1 && !COLOURS[colour][to]) continue;
      for (let i = 0; i < places; i++) result[to * places + i] += Math.min(1, Math.max(0, (image[channel * places + i] - low) / (high - low)));
    }
  }
  return result;
}
