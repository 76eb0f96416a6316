// The raw form of an answer: "LTN1", the length of a JSON header, the header, then plain arrays. See wire.py.

const KINDS = /** @type {Record<string, any>} */ ({uint8: Uint8Array, uint16: Uint16Array, int32: Int32Array, float32: Float32Array});

/**
 * The facts and arrays of an answer, as one object.
 * @param {ArrayBuffer} buffer
 * @returns {any}
 */
export function readColumns(buffer) {
  const bytes = new Uint8Array(buffer);
  if (String.fromCharCode(...bytes.subarray(0, 4)) !== "LTN1") throw new Error("the server's answer is not what this page expects");
  const length = new DataView(buffer).getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const start = Math.ceil((8 + length) / 8) * 8;
  const found = {...header.facts};
  for (const [name, {dtype, shape, offset}] of Object.entries(/** @type {Record<string, any>} */ (header.arrays))) {
    const count = shape.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1);
    found[name] = new KINDS[dtype](buffer, start + offset, count);
  }
  return found;
}
