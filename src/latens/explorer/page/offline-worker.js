// The worker of a page that is one file: networks run here, so that the map never waits for them.

import {offlineSource} from "./offline.js";

/** @type {Record<string, (...asked: any[]) => Promise<any>>} */
let source;

addEventListener("message", async ({data: {texts, id, method, asked}}) => {
  if (texts) return void (source = /** @type {any} */ (offlineSource(texts)));
  try {
    const answer = await source[method](...asked);
    postMessage({id, answer}, {transfer: answer instanceof ImageBitmap ? [answer] : []});
  } catch (error) {
    postMessage({id, error: error instanceof Error ? error.message : String(error)});
  }
});
