// While the server fits something that takes long: what it is, and how far it is.

const LOOKS = 700; // milliseconds between them

/**
 * Tell again and again how far a fit of the server is, until it is called off.
 * @param {import("./store.js").Store} store @param {string} title of the work, such as "sampler flow"
 * @param {(share: number, left: number) => void} show the share that is done, and the seconds left; NaN until it is known
 * @returns {() => void} calls it off
 */
export function whileFitting({served}, title, show) {
  /** @type {{time: number, share: number}|null} */
  let first = null; // seen: it may have been under way before
  let off = false;
  const timer = setInterval(async () => {
    const work = await served?.work().catch(() => []);
    const mine = work?.find((one) => one.title === title);
    if (off || !mine?.total) return;
    const [time, share] = [performance.now(), mine.done / mine.total];
    if (!first || share < first.share) first = {time, share}; // the same is done for the run beside it after this one's
    show(share, ((1 - share) / (share - first.share)) * ((time - first.time) / 1000));
  }, LOOKS);
  return () => {
    off = true;
    clearInterval(timer);
  };
}

/** A share and the seconds left in words. @param {number} share @param {number} left */
export const progressWords = (share, left) => `${Math.round(100 * share)} %${Number.isFinite(left) ? `, about ${left < 90 ? `${Math.ceil(left)} s` : `${Math.ceil(left / 60)} min`} left` : ""}`;
