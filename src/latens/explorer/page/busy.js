// A mark on what is being waited for: shown only where the wait is long enough to be noticed.

const LATE = 300; // milliseconds

/**
 * Marks an element as busy while something that it will show is on its way.
 * @param {HTMLElement} element
 * @returns {{start: () => () => void}} start a wait; what it gives ends that wait
 */
export function busyMark(element) {
  let waits = 0;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let timer;
  const show = () => element.setAttribute("aria-busy", "true");
  return {
    start() {
      let ended = false;
      if (!waits++) timer = setTimeout(show, LATE);
      return () => {
        if (ended) return;
        ended = true;
        clearTimeout(timer);
        element.removeAttribute("aria-busy");
        if (--waits) timer = setTimeout(show, LATE);
      };
    },
  };
}
