// The layers of the networks in JavaScript: what `latens.networks` computes with torch, for one picture or latent at a time.
//
// A map (C, H, W) is a Float32Array, channel after channel and row after row; weights lie as torch keeps them. Every layer with
// weights comes down to `rowDots`, products of rows with rows: of the weights, and of what each place of a map sees.

/** @typedef {{values: Float32Array, shape: number[]}} Data  shape: (C, H, W), or (F) */
/**
 * A layer: its kind by the name of its class in Python, and what that kind needs.
 * @typedef {object} Layer
 * @property {string} kind
 * @property {Float32Array} [weight]
 * @property {Float32Array} [bias]
 * @property {number[]} [weight_shape]
 * @property {[number, number]} [stride]
 * @property {[number, number]} [padding]
 * @property {[number, number]} [output_padding]
 * @property {[number, number]} [size]      of the map that comes out
 * @property {number} [count]               numbers that are kept
 * @property {number} [levels]
 * @property {Float32Array} [norm_weight]  and so on: of the parts of a residual block
 * @property {Float32Array} [norm_bias]
 * @property {Float32Array} [first_weight]
 * @property {Float32Array} [first_bias]
 * @property {Float32Array} [second_weight]
 * @property {Float32Array} [second_bias]
 * @property {Float32Array} [spread]        of each number of a latent, beside a linear path
 * @property {Layer[]} [layers]             beside a linear path
 * @property {Float32Array} [further_centres]  and so on: of further components, predicted from a latent
 * @property {Float32Array} [further_scale]
 * @property {Float32Array} [further_amounts]
 * @property {Float32Array} [further_directions]
 */
/** @typedef {{size: [number, number], stride: [number, number], padding: [number, number]}} Window  size: of the kernel */

const EPSILON = 1e-5; // of torch's GroupNorm
const ONE = /** @type {Window} */ ({size: [1, 1], stride: [1, 1], padding: [0, 0]});
const THREE = /** @type {Window} */ ({size: [3, 3], stride: [1, 1], padding: [1, 1]});

/** @type {Record<string, (layer: any, x: Data) => Data>} */
const KINDS = {
  Conv2d: (layer, x) => convolve(x, layer.weight, layer.bias, windowOf(layer)),
  ConvTranspose2d: transposed,
  MapToVector: dense,
  VectorToMap: vectorToMap,
  Linear: dense,
  ReLU: (_, x) => each(x, (value) => (value > 0 ? value : 0)),
  SiLU: (_, x) => ({values: silu(x.values), shape: x.shape}),
  ResidualBlock: residual,
  SubPixel: subPixel,
  MapToGrid: mapToGrid,
  GridToMap: gridToMap,
  ToLinear: toLinear,
  FromLinear: fromLinear,
  // What a model does beside its networks.
  Flatten: (_, x) => ({values: x.values, shape: [x.values.length]}),
  Shape: (layer, x) => ({values: x.values, shape: layer.size}),
  Sigmoid: (_, x) => each(x, (value) => 1 / (1 + Math.exp(-value))),
  First: (layer, x) => ({values: x.values.slice(0, layer.count), shape: [layer.count]}),
  Levels: (layer, x) => each(x, (value) => quantised(value, layer.levels)),
};

/** Which kinds there are. */
export const LAYER_KINDS = Object.keys(KINDS);

/**
 * The output of one half of a network.
 * @param {Layer[]} layers @param {Float32Array} input of one picture or latent @param {number[]} shape of it: (C, H, W), or (F)
 * @returns {Float32Array}
 */
export function runLayers(layers, input, shape) {
  return runData(layers, {values: input, shape}).values;
}

/** @param {Layer[]} layers @param {Data} data @returns {Data} */
function runData(layers, data) {
  for (const layer of layers) {
    const compute = KINDS[layer.kind];
    if (!compute) throw new Error(`this page knows no layer ${layer.kind}; known: ${LAYER_KINDS.join(", ")}`);
    data = compute(layer, data);
  }
  return data;
}

/**
 * The products of each row of one matrix with each of another: out[o * P + p] = Σ a[o * K + k] b[p * K + k].
 *
 * Eight sums at a time stay in registers; sums are of double precision.
 * @param {Float32Array} a rows of K @param {Float64Array} b P rows of K, at least @param {number} num_b P @param {number} width K
 * @param {Float64Array} out room for all
 */
export function rowDots(a, b, num_b, width, out) {
  const num_a = a.length / width;
  let o = 0;
  for (; o + 4 <= num_a; o += 4) {
    const [a0, a1, a2, a3] = [o * width, (o + 1) * width, (o + 2) * width, (o + 3) * width];
    let p = 0;
    for (; p + 2 <= num_b; p += 2) {
      const b0 = p * width;
      const b1 = b0 + width;
      let s00 = 0, s10 = 0, s20 = 0, s30 = 0, s01 = 0, s11 = 0, s21 = 0, s31 = 0;
      for (let k = 0; k < width; k++) {
        const x = b[b0 + k], y = b[b1 + k];
        const w0 = a[a0 + k], w1 = a[a1 + k], w2 = a[a2 + k], w3 = a[a3 + k];
        s00 += w0 * x; s01 += w0 * y;
        s10 += w1 * x; s11 += w1 * y;
        s20 += w2 * x; s21 += w2 * y;
        s30 += w3 * x; s31 += w3 * y;
      }
      const at = o * num_b + p;
      out[at] = s00; out[at + 1] = s01;
      out[at + num_b] = s10; out[at + num_b + 1] = s11;
      out[at + 2 * num_b] = s20; out[at + 2 * num_b + 1] = s21;
      out[at + 3 * num_b] = s30; out[at + 3 * num_b + 1] = s31;
    }
    if (p < num_b) fewRows(a, b, out, o, o + 4, p, num_b, width);
  }
  if (o < num_a) for (let p = 0; p < num_b; p++) fewRows(a, b, out, o, num_a, p, num_b, width);
}

/** One column of the products, from one row to another. @type {(a: Float32Array, b: Float64Array, out: Float64Array, from: number, to: number, p: number, num_b: number, width: number) => void} */
function fewRows(a, b, out, from, to, p, num_b, width) {
  const at = p * width;
  for (let o = from; o < to; o++) {
    let sum = 0;
    for (let k = 0, i = o * width; k < width; k++, i++) sum += a[i] * b[at + k];
    out[o * num_b + p] = sum;
  }
}

/** Memory for intermediate results. @type {Map<string, Float64Array>} */
const rooms = new Map();

/** @param {string} name @param {number} count */
function room(name, count) {
  const kept = rooms.get(name);
  if (kept && kept.length >= count) return kept;
  const made = new Float64Array(count);
  rooms.set(name, made);
  return made;
}

/** @type {WeakMap<Float32Array, Float32Array>} */
const turnedOver = new WeakMap();

/** A matrix with its rows as columns. @param {Float32Array} matrix rows of a width @param {number} width */
function turn(matrix, width) {
  const rows = matrix.length / width;
  const made = new Float32Array(matrix.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < width; c++) made[c * rows + r] = matrix[r * width + c];
  return made;
}

/** The same of weights, which never change: made once. @param {Float32Array} matrix @param {number} width */
function turned(matrix, width) {
  const made = turnedOver.get(matrix) ?? turn(matrix, width);
  turnedOver.set(matrix, made);
  return made;
}

/** @param {Data} x @param {(value: number) => number} change @returns {Data} */
const each = (x, change) => ({values: x.values.map(change), shape: x.shape});

/** @param {Float32Array} x */
function silu(x) {
  const made = new Float32Array(x.length);
  for (let i = 0; i < x.length; i++) made[i] = x[i] / (1 + Math.exp(-x[i]));
  return made;
}

/** A number as one of so many levels in [-1, 1]; a half goes to the even one, as in torch. @param {number} value @param {number} levels */
function quantised(value, levels) {
  const soft = ((Math.tanh(value) + 1) / 2) * (levels - 1);
  const code = soft % 1 === 0.5 ? 2 * Math.round(soft / 2) : Math.round(soft);
  return code / ((levels - 1) / 2) - 1;
}

/** @param {Float32Array} weight rows of as many as x @param {Float32Array|null} bias @param {Float32Array} x */
function linear(weight, bias, x) {
  const num = weight.length / x.length;
  const given = room("seen", x.length);
  given.set(x);
  const sums = room("sums", num);
  rowDots(weight, given, 1, x.length, sums);
  return Float32Array.from({length: num}, (_, i) => sums[i] + (bias ? bias[i] : 0));
}

/** @param {Required<Layer>} layer @param {Data} x @returns {Data} */
function dense({weight, bias}, x) {
  return {values: linear(weight, bias, x.values), shape: [bias.length]};
}

/** @param {Required<Layer>} layer @returns {Window} */
const windowOf = ({weight_shape, stride, padding}) => ({size: [weight_shape[2], weight_shape[3]], stride, padding});

/** @param {Data} x @param {Float32Array} weight (O, I, h, w) @param {Float32Array} bias @param {Window} window @returns {Data} */
function convolve(x, weight, bias, window) {
  const [height, width] = [0, 1].map((axis) =>
    Math.floor((x.shape[1 + axis] + 2 * window.padding[axis] - window.size[axis]) / window.stride[axis]) + 1);
  const places = height * width;
  const count = x.shape[0] * window.size[0] * window.size[1];
  const patches = room("seen", places * count);
  see(x, window, [height, width], patches);
  const sums = room("sums", bias.length * places);
  rowDots(weight, patches, places, count, sums);
  const values = new Float32Array(bias.length * places);
  for (let o = 0, i = 0; o < bias.length; o++) for (let p = 0; p < places; p++, i++) values[i] = sums[i] + bias[o];
  return {values, shape: [bias.length, height, width]};
}

/** What each place sees of a map, a row of (C, h, w) each. @param {Data} x @param {Window} window @param {number[]} places @param {Float64Array} patches */
function see({values, shape}, {size, stride, padding}, places, patches) {
  const [channels, height, width] = shape;
  let i = 0;
  for (let y = 0; y < places[0]; y++) {
    for (let left = 0; left < places[1]; left++) {
      const x0 = left * stride[1] - padding[1];
      for (let c = 0; c < channels; c++) {
        for (let ky = 0; ky < size[0]; ky++) {
          const row = y * stride[0] - padding[0] + ky;
          const start = (c * height + row) * width + x0;
          const inside = row >= 0 && row < height;
          for (let kx = 0; kx < size[1]; kx++, i++) {
            const column = x0 + kx;
            patches[i] = inside && column >= 0 && column < width ? values[start + kx] : 0;
          }
        }
      }
    }
  }
}

/** @param {Required<Layer>} layer @param {Data} x @returns {Data} */
function transposed(layer, x) {
  const {weight, bias, stride, padding, output_padding, weight_shape: [inner, outer, kh, kw]} = layer;
  const [, height, width] = x.shape;
  const tall = (height - 1) * stride[0] - 2 * padding[0] + kh + output_padding[0];
  const wide = (width - 1) * stride[1] - 2 * padding[1] + kw + output_padding[1];
  const places = height * width;
  const seen = room("seen", places * inner);
  see(x, ONE, [height, width], seen);
  const sums = room("sums", outer * kh * kw * places);
  rowDots(turned(weight, outer * kh * kw), seen, places, inner, sums);
  const values = new Float32Array(outer * tall * wide);
  for (let o = 0, at = 0; o < outer; o++) {
    values.fill(bias[o], o * tall * wide, (o + 1) * tall * wide);
    for (let ky = 0; ky < kh; ky++) {
      for (let kx = 0; kx < kw; kx++) {
        for (let y = 0; y < height; y++) {
          const row = y * stride[0] - padding[0] + ky;
          const inside = row >= 0 && row < tall;
          for (let left = 0; left < width; left++, at++) {
            const column = left * stride[1] - padding[1] + kx;
            if (inside && column >= 0 && column < wide) values[(o * tall + row) * wide + column] += sums[at];
          }
        }
      }
    }
  }
  return {values, shape: [outer, tall, wide]};
}

/** @param {Required<Layer>} layer @param {Data} x @returns {Data} */
function vectorToMap({weight, bias, weight_shape: [, channels, height, width]}, x) {
  const places = height * width;
  const values = linear(turned(weight, channels * places), null, x.values);
  for (let i = 0; i < values.length; i++) values[i] += bias[Math.floor(i / places)];
  return {values, shape: [channels, height, width]};
}

/** @param {Required<Layer>} layer @param {Data} x @returns {Data} */
function residual(layer, x) {
  const calm = {values: silu(normed(x, layer.norm_weight, layer.norm_bias)), shape: x.shape};
  const first = convolve(calm, layer.first_weight, layer.first_bias, THREE);
  const second = convolve({values: silu(first.values), shape: x.shape}, layer.second_weight, layer.second_bias, ONE);
  for (let i = 0; i < x.values.length; i++) second.values[i] += x.values[i];
  return second;
}

/** Mean 0 and variance 1 over all of a map, then each channel's own. @param {Data} x @param {Float32Array} weight @param {Float32Array} bias */
function normed({values, shape: [channels]}, weight, bias) {
  const places = values.length / channels;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const scale = 1 / Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length + EPSILON);
  return values.map((value, i) => (value - mean) * scale * weight[Math.floor(i / places)] + bias[Math.floor(i / places)]);
}

/** @param {Required<Layer>} layer @param {Data} x @returns {Data} */
function subPixel({weight, bias, size: [tall, wide]}, x) {
  const {values: made, shape: [four, height, width]} = convolve(x, weight, bias, THREE);
  const values = new Float32Array((four / 4) * tall * wide);
  for (let c = 0, i = 0; c < four / 4; c++) {
    for (let y = 0; y < tall; y++) {
      const channel = 4 * c + 2 * (y % 2);
      for (let left = 0; left < wide; left++, i++) {
        values[i] = made[((channel + (left % 2)) * height + (y >> 1)) * width + (left >> 1)];
      }
    }
  }
  return {values, shape: [four / 4, tall, wide]};
}

/** @param {Required<Layer>} layer @param {Data} x @returns {Data} */
function mapToGrid({weight, bias}, x) {
  const {values, shape: [numbers, height, width]} = convolve(x, weight, bias, ONE);
  return {values: turn(values, height * width), shape: [numbers * height * width]};
}

/** @param {Required<Layer>} layer @param {Data} x @returns {Data} */
function gridToMap({weight, bias, size: [height, width]}, x) {
  const numbers = x.values.length / (height * width);
  return convolve({values: turn(x.values, numbers), shape: [numbers, height, width]}, weight, bias, ONE);
}

/** Layers beside a linear path, which gives latents. @param {Required<Layer>} layer @param {Data} x @returns {Data} */
function toLinear({weight, bias, spread, layers}, x) {
  const found = runLayers(layers, x.values, x.shape);
  const values = linear(weight, bias, x.values);
  for (let i = 0; i < values.length; i++) values[i] += found[i] * spread[i];
  return {values, shape: [values.length]};
}

/** Layers beside a linear path, which takes latents. @param {Required<Layer>} layer @param {Data} x @returns {Data} */
function fromLinear(layer, x) {
  const {weight, bias, spread, layers} = layer;
  const made = runData(layers, {values: x.values.map((value, i) => value / spread[i]), shape: x.shape});
  const values = linear(weight, bias, x.values);
  const more = layer.further_centres ? further(layer, x.values) : null;
  for (let i = 0; i < values.length; i++) values[i] += made.values[i] + (more ? more[i] : 0);
  return {values, shape: made.shape};
}

/** Further components, in amounts predicted from a latent. @param {Required<Layer>} layer @param {Float32Array} z */
function further({further_centres: centres, further_scale: scale, further_amounts: amounts, further_directions: directions}, z) {
  const near = new Float32Array(centres.length / z.length);
  for (let k = 0, i = 0; k < near.length; k++) {
    let distance = 0;
    for (let d = 0; d < z.length; d++, i++) distance += (z[d] / scale[d] - centres[i]) ** 2;
    near[k] = Math.exp(-distance);
  }
  return linear(directions, null, linear(amounts, null, near));
}
