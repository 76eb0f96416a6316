// A PNG or JPEG file of the user's as bytes, where no server reads it. The browser decodes it, without its own colour management.

/** @typedef {import("./fit.js").Picture} Picture */

const PNG = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const PNG_KINDS = /** @type {Record<number, {grey: boolean}>} */ ({0: {grey: true}, 2: {grey: false}, 3: {grey: false}, 4: {grey: true}, 6: {grey: false}});

/** What a file holds, the right way up and laid on white. @param {File} file @returns {Promise<Picture>} */
export async function pictureIn(file) {
  if (!file.size) throw new Error(`${file.name}: is empty`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  const grey = isGrey(bytes, file.name);
  /** @type {ImageBitmap} */
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, {colorSpaceConversion: "none"});
  } catch {
    throw new Error(`${file.name}: can't be read; it is damaged, or too large for this browser`);
  }
  const {width, height} = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d", {willReadFrequently: true}));
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  const {data} = context.getImageData(0, 0, width, height);
  const channels = grey ? 1 : 3;
  const values = new Uint8Array(channels * width * height);
  for (let c = 0, at = 0; c < channels; c++) for (let i = c; i < data.length; i += 4) values[at++] = data[i];
  return {values, shape: [channels, height, width]};
}

/** Whether the file says that it is grey. @param {Uint8Array} bytes @param {string} name */
function isGrey(bytes, name) {
  const refused = (/** @type {string} */ why) => new Error(`${name}: ${why}; this file reads PNG and JPEG images of 8 bits, grey or RGB, and latens explore reads others`);
  if (PNG.every((byte, i) => bytes[i] === byte)) {
    const [bits, kind] = [bytes[24], PNG_KINDS[bytes[25]]];
    if (!kind) throw refused("is damaged");
    if (bits > 8) throw refused(`has ${bits} bits a channel`);
    return kind.grey;
  }
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) throw refused("is no PNG or JPEG");
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff; at += 2 + bytes[at + 2] * 256 + bytes[at + 3]) {
    const marker = bytes[at + 1];
    if (marker < 0xc0 || marker > 0xcf || [0xc4, 0xc8, 0xcc].includes(marker)) continue; // no start of a frame
    const [bits, channels] = [bytes[at + 4], bytes[at + 9]];
    if (bits !== 8) throw refused(`has ${bits} bits a channel`);
    if (channels !== 1 && channels !== 3) throw refused(`has ${channels} channels`);
    return channels === 1;
  }
  throw refused("is damaged");
}
