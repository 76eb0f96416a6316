// Bringing an image to the shape that the networks take, as `latens.images` does: padded, cropped or stretched, then grey or in colour.
//
// It is resized as Pillow does, rows first. Pillow 13 begins with the columns of tall images: then bytes may differ by a rounding.

/** An image of bytes, channel after channel. @typedef {{values: Uint8Array, shape: number[]}} Picture  shape: (C, H, W) */

const BITS = 22; // of fixed-point weights, as Pillow has them
const SUPPORT = 2; // of the bicubic filter

/**
 * @param {Picture} picture of one channel or three @param {number[]} shape (C, H, W) to come @param {string} fit "pad", "crop" or "stretch"
 * @returns {Picture}
 */
export function fitted({values, shape: [found, height, width]}, [channels, ...size], fit) {
  if (height === size[0] && width === size[1]) return withChannels({values, shape: [found, height, width]}, channels);
  const scales = [size[0] / height, size[1] / width];
  const [scale, most] = [Math.min(...scales), Math.max(...scales)];
  const inner = fit === "pad" ? [height, width].map((side, i) => Math.max(1, Math.min(size[i], halfToEven(side * scale)))) : size;
  const box = fit === "crop" ? [height, width].map((side, i) => Math.min(size[i] / most, side)) : [height, width];
  const result = new Uint8Array(found * size[0] * size[1]);
  for (let c = 0; c < found; c++) {
    const one = resized(values.subarray(c * height * width, (c + 1) * height * width), [height, width], box, inner);
    result.set(inner === size ? one : padded(one, inner, size), c * size[0] * size[1]);
  }
  return withChannels({values: result, shape: [found, ...size]}, channels);
}

/** @param {Picture} picture @param {number} channels @returns {Picture} */
function withChannels({values, shape}, channels) {
  const [found, height, width] = shape;
  const places = height * width;
  if (found === channels) return {values, shape};
  if (found === 1) return {values: Uint8Array.from({length: channels * places}, (_, i) => values[i % places]), shape: [channels, height, width]};
  const grey = Uint8Array.from({length: places}, (_, i) => (19595 * values[i] + 38470 * values[i + places] + 7471 * values[i + 2 * places] + 0x8000) >> 16);
  return {values: grey, shape: [1, height, width]};
}

/** The middle of one channel, of a size, at another size. @param {Uint8Array} values @param {number[]} shape @param {number[]} box @param {number[]} size all (H, W) */
function resized(values, [height, width], box, size) {
  const weights = [height, width].map((side, i) => (size[i] === side && box[i] === side ? null : weightsOf(side, (side - box[i]) / 2, box[i], size[i])));
  let [rows, columns] = [height, width];
  if (weights[1]) {
    values = turned(along(values, [rows, columns], weights[1]), [rows, size[1]]); // columns first
    columns = size[1];
  } else values = turned(values, [rows, columns]);
  if (weights[0]) {
    values = along(values, [columns, rows], weights[0]);
    rows = size[0];
  }
  return turned(values, [columns, rows]);
}

/** For each place to come: where it begins to see, and how it weighs what it sees. @param {number} length @param {number} from @param {number} span @param {number} num */
function weightsOf(length, from, span, num) {
  [from, span] = [Math.fround(from), Math.fround(Math.fround(from + span) - Math.fround(from))]; // Pillow has boxes in 32 bits
  const scale = Math.max(span / num, 1);
  return Array.from({length: num}, (_, place) => {
    const centre = from + ((place + 0.5) * span) / num;
    const first = Math.max(0, Math.trunc(centre - SUPPORT * scale + 0.5));
    const last = Math.min(length, Math.trunc(centre + SUPPORT * scale + 0.5));
    const seen = Array.from({length: last - first}, (_, i) => bicubic((i + first - centre + 0.5) / scale));
    const sum = seen.reduce((a, b) => a + b, 0);
    return {first, seen: seen.map((weight) => Math.trunc((weight / sum) * 2 ** BITS + Math.sign(weight) * 0.5))};
  });
}

/** @param {number} x */
function bicubic(x) {
  const a = -0.5;
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/** Weigh each row. @param {Uint8Array} values @param {number[]} shape (rows, columns) @param {ReturnType<typeof weightsOf>} weights */
function along(values, [rows, columns], weights) {
  const made = new Uint8Array(rows * weights.length);
  for (let row = 0, at = 0; row < rows; row++) {
    for (const {first, seen} of weights) {
      let sum = 2 ** (BITS - 1);
      for (let i = 0, from = row * columns + first; i < seen.length; i++) sum += values[from + i] * seen[i];
      made[at++] = Math.min(255, Math.max(0, sum >> BITS));
    }
  }
  return made;
}

/** Rows as columns. @param {Uint8Array} values @param {number[]} shape (rows, columns) */
function turned(values, [rows, columns]) {
  const made = new Uint8Array(values.length);
  for (let row = 0, i = 0; row < rows; row++) for (let column = 0; column < columns; column++, i++) made[column * rows + row] = values[i];
  return made;
}

/** One channel in the middle of a larger one that has the median of its border. @param {Uint8Array} values @param {number[]} inner @param {number[]} size */
function padded(values, [height, width], [tall, wide]) {
  const border = [];
  for (let x = 0; x < width; x++) border.push(values[x], values[(height - 1) * width + x]);
  for (let y = 0; y < height; y++) border.push(values[y * width], values[(y + 1) * width - 1]);
  const made = new Uint8Array(tall * wide).fill(border.sort((a, b) => a - b)[border.length >> 1]);
  const [top, left] = [(tall - height) >> 1, (wide - width) >> 1];
  for (let y = 0; y < height; y++) made.set(values.subarray(y * width, (y + 1) * width), (top + y) * wide + left);
  return made;
}

/** As Python rounds. @param {number} value */
function halfToEven(value) {
  return value % 1 === 0.5 ? 2 * Math.round(value / 2) : Math.round(value);
}
