// Handles over the map for the stops of a path: dragged by mouse or finger, moved and removed by keys.

import {el, fill} from "./dom.js";
import {ARROWS, hasMoved} from "./map-hands.js";

/** @typedef {import("./map.js").Place} Place */
/**
 * What is done with handle i. move: it is being dragged; end: it was let go, at a place, or at none where that was not meant; step: an arrow key was
 * pressed, fine: with Shift; remove: Delete was pressed
 * @typedef {{move: (i: number, place: Place) => void, end: (i: number, place: Place|null) => void, step: (i: number, way: [number, number], fine: boolean) => void, remove: (i: number) => void}} Deeds
 */

/** @param {import("./map.js").MapView} view @param {Deeds} deeds */
export function pathHandles(view, deeds) {
  const layer = el("div", {class: "stops"});
  view.host.append(layer);
  /** @type {(Place & {letter: string, name: string})[]} */
  let stops = [];
  /** The one that is dragged, from where on the screen, and whether it has moved. @type {{i: number, start: PointerEvent, moved: boolean}|null} */
  let held = null;

  /** @param {number} i */
  function handle(i) {
    const end = (/** @type {PointerEvent|null} */ event) => {
      if (held?.i !== i) return;
      const {moved} = held;
      held = null;
      if (moved) deeds.end(i, event && view.placeAt(event));
    };
    const stopped = (/** @type {(event: any) => void} */ work) => (/** @type {Event} */ event) => {
      event.stopPropagation();
      work(event);
    };
    return el("button", {
      type: "button",
      class: "stop",
      onpointerdown: stopped((event) => {
        if (event.button || held) return;
        made()[i].setPointerCapture(event.pointerId);
        held = {i, start: event, moved: false};
      }),
      onpointermove: (/** @type {PointerEvent} */ event) => {
        if (held?.i !== i) return; // the map follows a pointer that only passes
        event.stopPropagation();
        if (!held.moved && hasMoved(held.start, event)) {
          held.moved = true;
          view.hands.leave(); // the card of an image would hide what the drag aims at
        }
        if (held.moved) deeds.move(i, view.placeAt(event));
      },
      onpointerup: stopped((event) => end(event)),
      onpointercancel: stopped(() => end(null)),
      ondblclick: stopped(() => {}),
      onkeydown(/** @type {KeyboardEvent} */ event) {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        if (event.key in ARROWS) deeds.step(i, ARROWS[event.key], event.shiftKey);
        else if (event.key === "Delete" || event.key === "Backspace") deeds.remove(i);
        else if (event.key === "Escape") end(null);
        else return;
        event.preventDefault();
        event.stopPropagation();
      },
    });
  }

  const made = () => /** @type {HTMLElement[]} */ ([...layer.children]);

  /** Put them where their places are seen. */
  function place() {
    made().forEach((one, i) => {
      const [left, top] = view.toScreen(stops[i].x, stops[i].y, view.drawn);
      one.style.transform = `translate(${left}px, ${top}px)`;
    });
  }
  view.on("frame", place);

  return {
    /** @param {typeof stops} wanted  letter: that is written beside it; name: what a screen reader says */
    show(wanted) {
      stops = wanted;
      const before = made();
      if (before.length !== wanted.length) { // those that stay keep the focus and the pointer
        for (const one of before.slice(wanted.length)) one.remove();
        for (let i = before.length; i < wanted.length; i++) layer.append(handle(i));
      }
      made().forEach((one, i) => {
        one.dataset.letter = wanted[i].letter;
        one.setAttribute("aria-label", wanted[i].name);
      });
      place();
    },
    clear() {
      stops = [];
      held = null;
      fill(layer);
    },
    /** Whether one is being dragged. */
    get held() {
      return held !== null && held.moved;
    },
  };
}
