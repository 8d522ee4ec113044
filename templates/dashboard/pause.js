// A pause freezes what is drawn. Samples go on being kept, and a server that ends is still marked.
import { isTyped } from "./dom.js";
import { clock } from "./format.js";

let since = null;
let newer = 0;
const listeners = [];
const button = document.getElementById("pause");
const bar = document.getElementById("bar");

export const isPaused = () => since !== null;
export const onPause = (listener) => listeners.push(listener);

export function countNewer() {
  newer += 1;
  write();
}

function write() {
  document.getElementById("paused").textContent =
    since === null ? "" : `paused since ${clock(since)}, ${newer.toLocaleString("en")} newer sample${newer === 1 ? "" : "s"}`;
}

function toggle() {
  since = since === null ? Date.now() : null;
  newer = 0;
  button.setAttribute("aria-pressed", String(isPaused()));
  bar.dataset.paused = isPaused() ? "yes" : "no";
  document.documentElement.dataset.paused = bar.dataset.paused;
  write();
  for (const listener of listeners) listener();
}

if (button) {
  button.addEventListener("click", toggle);
  addEventListener("keydown", (event) => {
    if (event.key !== "p" || event.repeat || isTyped(event)) return;
    event.preventDefault();
    toggle();
  });
}
