// A mark on what is being waited for: shown only where the wait is long enough to be noticed.

const LATE = 300; // milliseconds

/** How many waits there are for an element, and when the mark comes. @type {WeakMap<HTMLElement, {waits: number, timer: ReturnType<typeof setTimeout>|undefined}>} */
const marks = new WeakMap();

/**
 * Marks an element as busy while something that it will show is on its way.
 * @param {HTMLElement} element @returns {() => void} ends the wait
 */
export function waitOn(element) {
  const mark = marks.get(element) ?? {waits: 0, timer: undefined};
  marks.set(element, mark);
  const late = () => (mark.timer = setTimeout(() => element.setAttribute("aria-busy", "true"), LATE));
  if (!mark.waits++) late();
  let ended = false;
  return () => {
    if (ended) return;
    ended = true;
    clearTimeout(mark.timer);
    element.removeAttribute("aria-busy");
    if (--mark.waits) late();
  };
}
