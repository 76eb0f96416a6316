// Principal directions, by Jacobi's eigenvalue method.

const DIRECTIONS = 8; // at most

/** Where rows vary most. @param {Float32Array[]} rows */
export function principal(rows) {
  const dim = rows[0].length;
  const mean = Array.from({length: dim}, (_, j) => rows.reduce((sum, row) => sum + row[j], 0) / rows.length);
  const centred = rows.map((row) => Float64Array.from(row, (value, j) => value - mean[j]));
  // Of the two matrices of products, over numbers or over rows, the smaller one has all there is.
  const few = dim <= rows.length ? mean.map((_, j) => Float64Array.from(centred, (row) => row[j])) : centred;
  const {values, vectors} = eigen(few.map((a) => Float64Array.from(few, (b) => a.reduce((sum, value, i) => sum + value * b[i], 0))));
  const order = values.map((_, i) => i).sort((a, b) => values[b] - values[a]).slice(0, DIRECTIONS);
  const real = order.filter((i) => values[i] > values[order[0]] * Math.max(dim, rows.length) * Number.EPSILON);
  if (!real.length) throw new Error("the latents do not vary there, so they have no directions");
  const whole = values.reduce((sum, value) => sum + Math.max(0, value), 0);
  const axes = real.map((i) => {
    const axis = few === centred ? mean.map((_, j) => centred.reduce((sum, row, n) => sum + row[j] * vectors[i][n], 0)) : Array.from(vectors[i]);
    const largest = axis.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
    const scale = Math.sign(largest) / Math.hypot(...axis);
    return axis.map((value) => value * scale);
  });
  return {
    mean: Float32Array.from(mean),
    directions: Float32Array.from(axes.flat()),
    deviations: Float32Array.from(real, (i) => Math.sqrt(values[i] / (rows.length - 1))),
    shares: Float32Array.from(real, (i) => values[i] / whole),
  };
}

/** The eigenvalues and eigenvectors, as rows, of a symmetric matrix, which is spent: Jacobi's rotations. @param {Float64Array[]} a */
function eigen(a) {
  const n = a.length;
  const vectors = a.map((_, i) => new Float64Array(n).fill(1, i, i + 1));
  const size = Math.sqrt(a.reduce((sum, row) => sum + row.reduce((s, value) => s + value * value, 0), 0));
  for (let sweep = 0, most = Infinity; sweep < 30 && most > 1e-12 * size; sweep++) {
    most = 0;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        most = Math.max(most, Math.abs(a[p][q]));
        if (Math.abs(a[p][q]) <= 1e-14 * size) continue;
        const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const c = 1 / Math.sqrt(t * t + 1);
        turnPair(a[p], a[q], c, t * c);
        turnPair(vectors[p], vectors[q], c, t * c);
        for (const row of a) [row[p], row[q]] = [c * row[p] - t * c * row[q], t * c * row[p] + c * row[q]];
      }
    }
  }
  return {values: a.map((row, i) => row[i]), vectors};
}

/** @type {(p: Float64Array, q: Float64Array, c: number, s: number) => void} */
function turnPair(p, q, c, s) {
  for (let i = 0; i < p.length; i++) {
    const kept = p[i];
    p[i] = c * kept - s * q[i];
    q[i] = s * kept + c * q[i];
  }
}
