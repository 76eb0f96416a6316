// Draws points as pixels without a graphics card: pure functions over typed arrays that use nothing of the browser.
//
// Points are blended one over the other into opaque pixels: of an opacity a, n of them cover 1 - (1 - a)^n of it. The opacity
// comes from the density of the points drawn, so that dense places stay readable and sparse ones visible without a second pass.
// Where many points fall on one pixel all of that is full: they are piled up then, by their mean colour and how many they are,
// and laid onto the picture by the logarithm of that number, so that a million points show what is within their clusters.

/** Tiles on a side. Points are stored tile by tile, so that tiles out of view cost nothing and drawn points lie together in memory. */
export const TILES = 64;
const TILE_BITS = 10; // 2^16 / TILES units a tile
const STEPS = 8; // places of a point within a pixel, each way
const PILED = [1, 4]; // points on a pixel, usually: from the first on they are piled up the more, above the second altogether
const FAINT = 0.25; // points on a pixel, below which the logarithm is nearly straight
const FULL = 0.97; // opacity of the densest places
const LEVELS = 4096; // of a tone
const AVERAGED = 16; // points by which the mean colour of a pixel is renewed at least
const MARGIN = 24; // pixels about the picture, so that a disc across its edge needs no clipping

/** @typedef {{x: Uint16Array, y: Uint16Array, style: Uint16Array}} Points  style: index into the brush's colours */
/**
 * Points tile after tile. Within a tile their order is shuffled, so that the first part of a tile is a fair sample of it.
 * @typedef {Points & {rows: Uint32Array, starts: Uint32Array}} Layer  as many as rows; starts: of each tile, and the end
 */
/** @typedef {{x: number, y: number, scale: number}} View  the centre, in units (y up), and pixels a unit */
/** @typedef {{pixels: Int32Array, width: number, height: number, margin: number, piles: Int32Array, means: Int32Array}} Target  width and height with the margin; piles: of 256 for each point on a pixel; means: the colour of a pile */
/** @typedef {{size: number, weights: Uint16Array, colours: Int32Array, tone: Tone|null}} Brush  weights: of 256, for each place within a pixel; tone: of points that are piled up */
/** @typedef {{most: number, alphas: Uint16Array}} Tone  alphas: of 256, for LEVELS steps from no point on a pixel to the most */

/** @param {number} width @param {number} height @returns {Target} */
export function makeTarget(width, height) {
  const [w, h] = [width + 2 * MARGIN, height + 2 * MARGIN];
  return {pixels: new Int32Array(w * h), width: w, height: h, margin: MARGIN, piles: new Int32Array(w * h), means: new Int32Array(w * h)};
}

/** Nothing but paper. @param {Target} target @param {number} paper */
export function clearTarget({pixels, piles}, paper) {
  pixels.fill(paper);
  piles.fill(0); // a picture that was given up may have left some
}

// ---- the order of the points

/** @param {number} n @returns {Points} */
export function emptyPoints(n) {
  return {x: new Uint16Array(n), y: new Uint16Array(n), style: new Uint16Array(n)};
}

/** All points, tile after tile. @param {Uint16Array} x @param {Uint16Array} y @returns {Layer} */
export function orderPoints(x, y) {
  const n = x.length;
  const starts = new Uint32Array(TILES * TILES + 1);
  for (let i = 0; i < n; i++) starts[(y[i] >> TILE_BITS) * TILES + (x[i] >> TILE_BITS) + 1]++;
  for (let t = 0; t < TILES * TILES; t++) starts[t + 1] += starts[t];
  const next = starts.slice();
  const layer = {...emptyPoints(n), rows: new Uint32Array(n), starts};
  const stride = strideOf(n);
  // Rows are often sorted by class; visiting them by strides shuffles them within a tile.
  for (let k = 0, row = 0; k < n; k++, row = row + stride < n ? row + stride : row + stride - n) {
    const place = next[(y[row] >> TILE_BITS) * TILES + (x[row] >> TILE_BITS)]++;
    layer.rows[place] = row;
    layer.x[place] = x[row];
    layer.y[place] = y[row];
  }
  return layer;
}

/** A stride near the golden section of n that meets every row. @param {number} n */
function strideOf(n) {
  for (let stride = Math.max(1, Math.round(n * 0.618034)); ; stride--) {
    let [a, b] = [stride, n];
    while (b) [a, b] = [b, a % b];
    if (a === 1) return stride; // they have no common divisor
  }
}

/** The points whose mask is set, or isn't. @param {Layer} layer @param {Uint8Array} mask @param {boolean} set @returns {Layer} */
export function takePoints(layer, mask, set) {
  const [n, starts] = [layer.rows.length, layer.starts.slice()];
  const [rows, {x, y, style}] = [new Uint32Array(n), emptyPoints(n)];
  let taken = 0;
  for (let t = 0; t + 1 < starts.length; t++) {
    for (let i = layer.starts[t]; i < layer.starts[t + 1]; i++) {
      if ((mask[layer.rows[i]] !== 0) !== set) continue;
      rows[taken] = layer.rows[i];
      x[taken] = layer.x[i];
      y[taken] = layer.y[i];
      style[taken++] = layer.style[i];
    }
    starts[t + 1] = taken;
  }
  return {rows: rows.subarray(0, taken), x, y, style, starts};
}

/** The share of the map that points fill: by the entropy of the tiles, which outliers hardly move. @param {Layer} layer */
export function filledShare({rows, starts}) {
  let entropy = 0;
  for (let t = 0; t < TILES * TILES; t++) {
    const share = (starts[t + 1] - starts[t]) / rows.length;
    if (share > 0) entropy -= share * Math.log(share);
  }
  return Math.exp(entropy) / (TILES * TILES);
}

/** Points in a dense tile: a twentieth of all points lie in tiles of as many or more. @param {Layer} layer */
export function densestTile({rows, starts}) {
  const counts = Array.from({length: TILES * TILES}, (_, t) => starts[t + 1] - starts[t]).sort((a, b) => b - a);
  let [left, t] = [rows.length / 20, 0];
  while (t + 1 < counts.length && (left -= counts[t]) > 0) t++;
  return counts[t];
}

// ---- brushes

/**
 * A soft disc, or a point of one pixel's worth shared by 2 x 2 of them; one picture for each place within a pixel.
 * @param {number} radius pixels; under 0.8, a point @param {number} opacity 0 to 1 @param {Int32Array} colours @param {Tone|null} [tone] @returns {Brush}
 */
export function makeBrush(radius, opacity, colours, tone = null) {
  const point = radius < 0.8;
  const size = point ? 2 : Math.ceil(2 * radius + 1);
  const weights = new Uint16Array(STEPS * STEPS * size * size);
  const area = Math.PI * radius * radius;
  const cover = new Float64Array(size * size);
  for (let place = 0; place < STEPS * STEPS; place++) {
    const cx = (size - 1) / 2 + ((place % STEPS) + 0.5) / STEPS;
    const cy = (size - 1) / 2 + (Math.floor(place / STEPS) + 0.5) / STEPS;
    for (let k = 0; k < cover.length; k++) {
      const [dx, dy] = [Math.abs((k % size) + 0.5 - cx), Math.abs(Math.floor(k / size) + 0.5 - cy)];
      const disc = Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(dx, dy)));
      cover[k] = point ? (1 - Math.min(1, dx)) * (1 - Math.min(1, dy)) : disc;
    }
    // The same amount of ink at each place, or small discs would shimmer while the map moves.
    const scale = point ? 1 : area / cover.reduce((sum, value) => sum + value, 0);
    cover.forEach((value, k) => (weights[place * cover.length + k] = Math.round(256 * opacity * Math.min(1, value * scale))));
  }
  return {size, weights, colours, tone};
}

/** The radius of a point. @param {number} spacing pixels, usually, to the next one @param {number} ratio pixels a CSS pixel */
export function radiusFor(spacing, ratio) {
  return ratio * Math.min(4.5, Math.max(0.56, 0.6 * (spacing / ratio) ** 0.75));
}

/**
 * The opacity at which a place of usual density is covered well, while denser places still look denser.
 * @param {number} radius pixels @param {number} spacing between the points that are drawn
 */
export function opacityFor(radius, spacing) {
  return Math.min(0.85, Math.max(0.16, 1 - 0.12 ** (1 / coverOf(radius, spacing))));
}

/** How many points lie on a pixel. @param {number} radius pixels @param {number} spacing */
export const coverOf = (radius, spacing) => (radius < 0.8 ? 1 : Math.PI * radius * radius) / (spacing * spacing);

/**
 * How points are laid onto the picture that are piled up; null where too few lie on a pixel for that.
 * @param {number} usual points on a pixel in places of usual density @param {number} most in the densest @param {number} opacity of a point where they are not piled up
 * @returns {Tone|null}
 */
export function toneFor(usual, most, opacity) {
  const share = Math.min(1, Math.log(usual / PILED[0]) / Math.log(PILED[1] / PILED[0]));
  if (!(share > 0)) return null;
  const alphas = Uint16Array.from({length: LEVELS}, (_, i) => {
    const num = (i / (LEVELS - 1)) * most;
    const piled = (FULL * Math.log1p(num / FAINT)) / Math.log1p(most / FAINT);
    return Math.round(256 * (share * piled + (1 - share) * (1 - (1 - opacity) ** num)));
  });
  return {most, alphas};
}

// ---- drawing

/** Columns and rows of tiles in view, both ends in it. @param {View} view @param {number} width pixels @param {number} height */
function tilesIn(view, width, height) {
  const tile = (/** @type {number} */ units) => Math.min(TILES - 1, Math.max(0, Math.floor(units / (1 << TILE_BITS))));
  const [dx, dy] = [width / 2 / view.scale, height / 2 / view.scale];
  return [tile(view.x - dx), tile(view.x + dx), tile(view.y - dy), tile(view.y + dy)];
}

/** About how many points a view shows. @param {Layer} layer @param {View} view @param {number} width @param {number} height */
export function countIn(layer, view, width, height) {
  const [left, right, bottom, top] = tilesIn(view, width, height);
  let n = 0;
  for (let row = bottom; row <= top; row++) n += layer.starts[row * TILES + right + 1] - layer.starts[row * TILES + left];
  return n;
}

/**
 * Draw a share of each tile that the view shows, from one row of tiles to another; how many points these are.
 * @param {Target} target @param {View} view @param {Layer} layer @param {Brush} brush
 * @param {number} share @param {number} from  first row of tiles @param {number} to  last
 */
export function drawLayer(target, view, layer, brush, share, from = 0, to = TILES - 1) {
  const [left, right, bottom, top] = tilesIn(view, target.width, target.height);
  let drawn = 0;
  for (let row = Math.max(from, bottom); row <= Math.min(to, top); row++) {
    for (let t = row * TILES + left; t <= row * TILES + right; t++) {
      const begin = layer.starts[t];
      drawn += drawPart(target, view, layer, brush, begin, begin + Math.ceil((layer.starts[t + 1] - begin) * share));
    }
  }
  return drawn;
}

/**
 * a of 256 of a colour over a pixel: red and blue go together, which their gap of eight bits allows.
 * @param {number} under @param {number} redBlue @param {number} green @param {number} a
 */
function blend(under, redBlue, green, a) {
  const rest = 256 - a;
  const rb = ((Math.imul(redBlue, a) + Math.imul(under & 0xff00ff, rest)) >>> 8) & 0xff00ff;
  const g = ((Math.imul(green, a) + Math.imul(under & 0xff00, rest)) >>> 8) & 0xff00;
  return rb | g | 0xff000000;
}

/**
 * Draw the points from begin to end.
 * @param {Target} target @param {View} view @param {Points} points @param {Brush} brush @param {number} begin @param {number} end
 */
export function splat({pixels, width, height}, view, {x, y, style}, {size, weights, colours}, begin, end) {
  const [right, bottom, step] = [width - size, height - size, view.scale * STEPS];
  // Where unit 0 lies, in steps; half of the brush to the left of it and above.
  const left = (width / 2 - (size - 1) / 2) * STEPS - view.x * step;
  const top = (height / 2 - (size - 1) / 2) * STEPS + view.y * step;
  for (let i = begin; i < end; i++) {
    const px = Math.floor(x[i] * step + left);
    const py = Math.floor(top - y[i] * step);
    const [column, row] = [px >> 3, py >> 3];
    if (column < 0 || row < 0 || column > right || row > bottom) continue;
    const colour = colours[style[i]];
    const [rb, g] = [colour & 0xff00ff, colour & 0xff00];
    let w = (((py & 7) << 3) | (px & 7)) * size * size;
    for (let line = row * width + column, last = line + size * width; line < last; line += width) {
      for (let at = line; at < line + size; at++) {
        const a = weights[w++];
        if (a) pixels[at] = blend(pixels[at], rb, g, a);
      }
    }
  }
  return end - begin;
}

/** Draw the points from begin to end by a brush. @type {typeof splat} */
export const drawPart = (target, view, points, brush, begin, end) => (brush.tone ? pile : splat)(target, view, points, brush, begin, end);

/** Pile up the points from begin to end. @type {typeof splat} */
function pile({piles, means, width, height}, view, {x, y, style}, {size, weights, colours}, begin, end) {
  const [right, bottom, step] = [width - size, height - size, view.scale * STEPS];
  const left = (width / 2 - (size - 1) / 2) * STEPS - view.x * step;
  const top = (height / 2 - (size - 1) / 2) * STEPS + view.y * step;
  for (let i = begin; i < end; i++) {
    const px = Math.floor(x[i] * step + left);
    const py = Math.floor(top - y[i] * step);
    const [column, row] = [px >> 3, py >> 3];
    if (column < 0 || row < 0 || column > right || row > bottom) continue;
    const colour = colours[style[i]];
    const [rb, g] = [colour & 0xff00ff, colour & 0xff00];
    let w = (((py & 7) << 3) | (px & 7)) * size * size;
    for (let line = row * width + column, last = line + size * width; line < last; line += width) {
      for (let at = line; at < line + size; at++) {
        const weight = weights[w++];
        if (!weight) continue;
        const all = (piles[at] += weight);
        const mean = means[at];
        if (all === weight) means[at] = colour;
        else if (mean !== colour) {
          const a = all < 256 * AVERAGED ? ((weight << 8) / all) | 0 : weight >> 4;
          const rest = 256 - a; // halves are rounded up: many small steps would darken it else
          const redBlue = ((Math.imul(rb, a) + Math.imul(mean & 0xff00ff, rest) + 0x800080) >>> 8) & 0xff00ff;
          means[at] = redBlue | (((Math.imul(g, a) + Math.imul(mean & 0xff00, rest) + 0x8000) >>> 8) & 0xff00) | 0xff000000;
        }
      }
    }
  }
  return end - begin;
}

/** Lay a layer that was piled up onto the picture. @param {Target} target @param {Tone} tone @param {number} share of its points that is there */
export function layPiles({pixels, piles, means}, {most, alphas}, share) {
  const level = (LEVELS - 1) / (256 * most * share);
  for (let at = 0; at < piles.length; at++) {
    const num = piles[at];
    if (!num) continue;
    const mean = means[at];
    pixels[at] = blend(pixels[at], mean & 0xff00ff, mean & 0xff00, alphas[Math.min(LEVELS - 1, (num * level) | 0)]);
    piles[at] = 0;
  }
}

// ---- where points are

/**
 * Visit the points that a view shows.
 * @param {Layer} layer @param {View} view @param {number} width @param {number} height @param {(place: number) => void} visit
 */
export function eachIn(layer, view, width, height, visit) {
  const [left, right, bottom, top] = tilesIn(view, width, height);
  const [dx, dy] = [width / 2 / view.scale, height / 2 / view.scale];
  for (let row = bottom; row <= top; row++) {
    const end = layer.starts[row * TILES + right + 1];
    for (let i = layer.starts[row * TILES + left]; i < end; i++) {
      if (Math.abs(layer.x[i] - view.x) <= dx && Math.abs(layer.y[i] - view.y) <= dy) visit(i);
    }
  }
}

/** The nearest point, or -1. @param {Layer[]} layers @param {number} x @param {number} y @param {number} radius in units */
export function pick(layers, x, y, radius) {
  let [row, nearest] = [-1, radius * radius];
  for (const layer of layers.toReversed()) {
    eachIn(layer, {x, y, scale: 1}, 2 * radius, 2 * radius, (i) => {
      const distance = (layer.x[i] - x) ** 2 + (layer.y[i] - y) ** 2;
      if (distance < nearest || (distance === nearest && row < 0)) [row, nearest] = [layer.rows[i], distance];
    });
  }
  return row;
}

/**
 * The nearest point in a direction, within 45 degrees of it; points aside count as farther. -1 where none is.
 * @param {Layer[]} layers @param {number} x @param {number} y @param {number} dx @param {number} dy  of length 1
 */
export function walk(layers, x, y, dx, dy) {
  let [row, nearest] = [-1, Infinity];
  for (const layer of layers) {
    for (let i = 0; i < layer.rows.length; i++) {
      const [right, up] = [layer.x[i] - x, layer.y[i] - y];
      const [along, aside] = [right * dx + up * dy, Math.abs(right * dy - up * dx)];
      const cost = along * along + 4 * aside * aside;
      if (along > 0 && aside <= along && cost < nearest) [row, nearest] = [layer.rows[i], cost];
    }
  }
  return row;
}

/**
 * The rows of the points in a polygon, by the even-odd rule. Places are whole numbers, so each row of them is crossed once: many
 * points and a drawn lasso of hundreds of corners take no longer than the points alone.
 * @param {Layer[]} layers @param {Float64Array} corners  x, y, x, y, …
 */
export function inside(layers, corners) {
  const crossings = new Map();
  const rows = [];
  for (const layer of layers) {
    for (let i = 0; i < layer.rows.length; i++) {
      const [x, y] = [layer.x[i], layer.y[i]];
      let crossed = crossings.get(y);
      if (!crossed) crossings.set(y, (crossed = crossingsAt(corners, y)));
      let odd = false;
      for (let k = 0; k < crossed.length; k++) if (x < crossed[k]) odd = !odd;
      if (odd) rows.push(layer.rows[i]);
    }
  }
  return Uint32Array.from(rows).sort();
}

/** @param {Float64Array} corners @param {number} y @returns {number[]} */
function crossingsAt(corners, y) {
  const found = [];
  for (let i = 0, j = corners.length - 2; i < corners.length; j = i, i += 2) {
    const [xi, yi, xj, yj] = [corners[i], corners[i + 1], corners[j], corners[j + 1]];
    if (yi > y !== yj > y) found.push(((xj - xi) * (y - yi)) / (yj - yi) + xi);
  }
  return found;
}

// ---- colours

/** "#rrggbb" as a pixel, opaque: red in the lowest byte. @param {string} hex */
export function packed(hex) {
  const value = parseInt(hex.slice(1), 16);
  return (0xff << 24) | ((value & 0xff) << 16) | (value & 0xff00) | (value >> 16);
}

/** How far of the way to the paper the colours go of what isn't selected: dark ones would be gone on a dark paper. @param {string} paper "#rrggbb" */
export const dimmedOn = (paper) => (parseInt(paper.slice(3, 5), 16) < 128 ? 0.62 : 0.78);

/**
 * The palette as pixels, `share` of the way to the paper; last, for codes without a colour, the muted one.
 * @param {string[]} palette @param {string} muted @param {string} paper @param {number} share
 */
export function coloursOf(palette, muted, paper, share) {
  const under = packed(paper);
  const a = Math.round(256 * (1 - share));
  return Int32Array.from([...palette, muted], (hex) => blend(under, packed(hex) & 0xff00ff, packed(hex) & 0xff00, a));
}
