// The newest request wins: what a person no longer waits for is not asked.

/** Somebody else's newer request made this one void. */
export class Overtaken extends Error {}

/**
 * One request on its way at most; of those that come meanwhile only the newest is sent, the others are answered null.
 * @template A, T
 * @param {(asked: A) => Promise<T>} send
 * @returns {(asked: A) => Promise<T|null>}
 */
export function newestWins(send) {
  let busy = false;
  /** @type {{asked: A, resolve: (value: T|null) => void, reject: (error: unknown) => void}|null} */
  let waiting = null;
  /** @param {A} asked @returns {Promise<T|null>} */
  const run = async (asked) => {
    busy = true;
    try {
      return await send(asked);
    } catch (error) {
      if (error instanceof Overtaken) return null;
      throw error;
    } finally {
      busy = false;
      const next = waiting;
      waiting = null;
      if (next) run(next.asked).then(next.resolve, next.reject);
    }
  };
  return (asked) => {
    if (!busy) return run(asked);
    waiting?.resolve(null);
    return new Promise((resolve, reject) => {
      waiting = {asked, resolve, reject};
    });
  };
}
