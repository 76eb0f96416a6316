// The newest choice wins: what a person no longer waits for is not shown, and where possible not asked for.

/**
 * Requests of one kind. The answer of one that a newer one has overtaken is null, and so is its failure.
 * @template A, T
 * @param {(asked: A, signal: AbortSignal) => Promise<T>} send  signal: tells that the answer is no longer wanted
 * @param {{queue?: boolean}} [how] queue: for what is asked many times a second: one request is on its way at most, of those that
 *   come meanwhile only the newest is sent, and answers are shown as they come. Without it each is sent at once, since one that
 *   takes minutes must not hold up the next, and only the answer of the newest is given.
 * @returns {((asked: A) => Promise<T|null>) & {drop: () => void}} drop: what is on its way is no longer wanted
 */
export function newestWins(send, {queue = true} = {}) {
  let newest = 0;
  let busy = false;
  let wanted = new AbortController(); // where several are on their way: the newest
  /** @type {{asked: A, resolve: (value: T|null) => void, reject: (error: unknown) => void}|null} */
  let waiting = null;
  /** @param {A} asked @returns {Promise<T|null>} */
  const run = async (asked) => {
    const number = newest;
    busy = true;
    try {
      const answer = await send(asked, wanted.signal);
      return number < newest ? null : answer;
    } catch (error) {
      if (number < newest) return null;
      throw error;
    } finally {
      busy = false;
      const next = waiting;
      waiting = null;
      if (next) run(next.asked).then(next.resolve, next.reject);
    }
  };
  const ask = (/** @type {A} */ asked) => {
    if (!queue) drop();
    if (!queue || !busy) return run(asked);
    waiting?.resolve(null);
    return new Promise((resolve, reject) => {
      waiting = {asked, resolve, reject};
    });
  };
  const drop = () => {
    newest++;
    wanted.abort();
    wanted = new AbortController();
    waiting?.resolve(null);
    waiting = null;
  };
  return Object.assign(/** @type {(asked: A) => Promise<T|null>} */ (ask), {drop});
}
