// The worker of a page that is one file: networks run here, so that the map never waits for them.

import {offlineSource} from "./offline.js";

/** Of the run, and of the one beside it. @type {Record<string, (...asked: any[]) => Promise<any>>[]} */
let sources = [];

addEventListener("message", async ({data: {texts, id, which, method, asked}}) => {
  if (texts) {
    const opened = /** @type {any[]} */ ([offlineSource(texts)]);
    if (texts.beside) opened.push(offlineSource(texts, true));
    return void (sources = opened);
  }
  try {
    const answer = await sources[which][method](...asked);
    postMessage({id, answer}, {transfer: answer instanceof ImageBitmap ? [answer] : []});
  } catch (error) {
    postMessage({id, error: error instanceof Error ? error.message : String(error)});
  }
});
