// Files that the page gives out, and what it puts on the clipboard.

/** @param {Blob|null} blob @param {string} name */
export function download(blob, name) {
  if (!blob) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name.replace(/[\\/:*?"<>|\u0000-\u001f]+/g, "-");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** @param {HTMLCanvasElement} canvas @returns {Promise<Blob>} */
export function pngOf(canvas) {
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error(`an image of ${canvas.width} × ${canvas.height} pixels is too large for this browser`))), "image/png"));
}

/**
 * A table as CSV: a line of names, one line a row. NaN is an empty cell.
 * @param {Record<string, ArrayLike<string|number>>} columns
 */
export function csvOf(columns) {
  const cell = (/** @type {string|number} */ value) => {
    if (typeof value === "number") return Number.isNaN(value) ? "" : String(value);
    return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  };
  const all = Object.values(columns);
  const lines = Array.from({length: all[0]?.length ?? 0}, (_, row) => all.map((column) => cell(column[row])).join(","));
  return [Object.keys(columns).map(cell).join(","), ...lines, ""].join("\n");
}

/** Put text on the clipboard; also in a page opened from a disk, where some browsers have no other way than the old command. @param {string} text */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.body.appendChild(document.createElement("textarea"));
    area.value = text;
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("this browser does not let the page use the clipboard");
  }
}

/** JSON; numbers of single precision in the nine digits that they need, null for those that are not finite. @param {unknown} value */
export const jsonOf = (value) => JSON.stringify(value, (_, one) => {
  if (one instanceof Float32Array) return Array.from(one, (number) => Number(number.toPrecision(9)));
  return typeof one === "number" && !Number.isFinite(one) ? null : one;
});
