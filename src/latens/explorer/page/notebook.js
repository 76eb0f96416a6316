// The page below a cell of a notebook: its requests and the facts that Python shares go through the notebook (widget.js) to the kernel.

import {carryBy, lost} from "./server.js";

const SLOW = 10_000; // milliseconds without an answer, after which the kernel itself is asked for a sign
const SIGN = "/api/work";

/** @typedef {import("./store.js").Store} Store */

/** The way to the kernel, once the notebook has opened it; requests take it from then on. @returns {Promise<MessagePort>} */
export async function wayToKernel() {
  /** @type {MessagePort} */
  const port = await new Promise((resolve) => {
    addEventListener("message", ({source, ports}) => source === window.parent && ports.length && resolve(ports[0]));
  });
  /** @type {Map<number, (response: Response) => void>} */
  const waiting = new Map();
  let last = 0;
  port.addEventListener("message", ({data: {id, status, headers, body}}) => {
    waiting.get(id)?.(new Response(body, {status, headers}));
    waiting.delete(id);
  });
  port.start();
  /** @type {(path: string, options: RequestInit) => Promise<Response>} */
  const carry = async (path, {method = "GET", headers = {}, body = null}) => {
    const bytes = await new Response(body).arrayBuffer();
    return new Promise((resolve) => {
      const id = ++last;
      const late = setTimeout(() => {
        if (path === SIGN) lost("The kernel does not answer: it is busy, or has stopped.");
        else carry(SIGN, {});
      }, SLOW);
      waiting.set(id, (response) => {
        clearTimeout(late);
        document.body.classList.remove("lost");
        resolve(response);
      });
      port.postMessage({id, path, method, headers, body: bytes}, [bytes]);
    });
  };
  carryBy(carry);
  return port;
}

/** Share facts with Python, both ways. @param {Store} store @param {MessagePort} port */
export function shareFacts(store, port) {
  const {served} = store;
  let [selection, current] = ["", /** @type {number|null} */ (null)]; // as Python knows them
  const given = {
    /** @param {DataView} rows */
    selection({buffer, byteOffset, byteLength}) {
      const selected = Array.from(new Int32Array(buffer.slice(byteOffset, byteOffset + byteLength)));
      selection = selected.join();
      if (selection !== store.facts.selected.join()) store.set({selected});
    },
    /** @param {number|null} row */
    current(row) {
      current = row;
      if (row !== store.facts.current) store.set(row === null ? {current: row} : {current: row, latent: null});
    },
    async tagged() {
      const tagged = served && (await store.attempt(served.tags()));
      if (tagged) store.set({tagged});
    },
  };
  store.on("selected", () => {
    if (selection === store.facts.selected.join()) return;
    selection = store.facts.selected.join();
    port.postMessage({fact: "selection", value: new DataView(Int32Array.from(store.facts.selected).buffer)});
  });
  store.on("current", () => {
    if (current === store.facts.current) return;
    current = store.facts.current;
    port.postMessage({fact: "current", value: current});
  });
  port.addEventListener("message", ({data: {fact, value}}) => {
    if (fact) given[/** @type {keyof typeof given} */ (fact)](value);
  });
  port.postMessage({});
}
