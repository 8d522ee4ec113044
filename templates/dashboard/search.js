// One box that finds replicas and events: by name, service, tier, state, address, world. Each word
// must be found. Rows that do not match are hidden; the map only dims, since it shows how all hangs
// together.
import { isTyped, mark, put } from "./dom.js";

const box = document.getElementById("find");

export function filter() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (text) => words.every((word) => text.toLowerCase().includes(word));
  let found = 0;
  let all = 0;
  for (const world of document.querySelectorAll(".world")) {
    const matching = new Set();
    for (const row of world.querySelectorAll("[data-row]")) {
      const state = row.querySelector("[data-of=state]").textContent;
      const match = fits(`${row.dataset.row} ${row.dataset.where} ${state} ${world.id}`);
      if (match) matching.add(row.dataset.row);
      row.hidden = !match;
      all += 1;
    }
    found += matching.size;
    for (const node of world.querySelectorAll("[data-node]:not([data-state=client])")) {
      mark(node, "data-match", matching.has(node.dataset.node) ? "yes" : "no");
    }
    for (const line of world.querySelectorAll("[data-line]")) {
      const ends = line.dataset.line.split(" ");
      mark(line, "data-match", !words.length || ends.some((end) => matching.has(end)) ? "yes" : "no");
    }
  }
  let events = 0;
  for (const event of document.querySelectorAll("#events li")) {
    event.hidden = !fits(event.textContent);
    if (!event.hidden) events += 1;
  }
  const many = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;
  put(document.getElementById("found"), !words.length ? ""
    : found || events ? `${found} of ${many(all, "replica")}, ${many(events, "event")}` : "nothing matches");
}

box.addEventListener("input", filter);
box.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    event.preventDefault(); // it closes no panel too
    if (box.value) box.value = "";
    else box.blur();
    filter();
  }
  const first = document.querySelector("[data-row]:not([hidden]) a");
  if (event.key === "Enter" && box.value.trim() && first) location.hash = first.hash;
});
addEventListener("keydown", (event) => {
  if (event.key !== "/" || isTyped(event)) return;
  event.preventDefault();
  box.focus();
  box.select();
});
filter();
