// Both worlds on one axis: charts of the same scale, one moment in all of them, and its differences.
import { drawAxis, drawChart, drawCursor, moment, sentence } from "./chart.js";
import { clock, cores, number, size, time } from "./format.js";
import * as hours from "./hour.js";
import { isPaused, onPause } from "./pause.js";

const WORLDS = ["net", "docker"];
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
const WRITE = { rate: number, mean_ms: time, failed_per_s: number, cpus: cores, memory_bytes: size };
// An hour is drawn when a mean is new; five minutes every third second, as drawing costs most.
const DRAWN_S = { 300: 3, 900: 10, 3600: 10 };
const root = document.getElementById("compare");
const plots = document.getElementById("plots");
const slider = document.getElementById("moment");
const charts = root ? [...plots.querySelectorAll("svg[data-figure]")] : [];

let range = 300;
let drawnAt = -Infinity;
let pinned = null; // a moment that was chosen; null is now. Units: s of the server's clock.
let pointed = null; // the moment under the pointer
let frozen = null; // what a pause shows
let visible = true;
let view = { from: 0, to: 1, width: 300 };

const live = () => ({ at: hours.now(), hour: hours.hour });
export const state = () => ({ ...(frozen || live()), range, view });
const series = (from) =>
  Object.fromEntries(WORLDS.map((name) => [name, hours.shown(from.worlds[name], range)]));

function write(name, value) {
  if (name === "memory_bytes") return size(value).replace(".0 ", " ");
  return value >= 10000 ? compact.format(value) : value.toLocaleString("en");
}

export function draw() {
  if (!root || !hours.hour.since) return;
  const { at, hour } = frozen || live();
  drawnAt = hours.now();
  view = { from: at - range, to: at, width: Math.max(plots.clientWidth, 200) };
  const all = series(hour);
  for (const svg of charts) {
    const { figure, title } = svg.dataset;
    drawChart(svg, all, figure, title, view, heightOf(svg), (value) => write(figure, value));
  }
  drawAxis(plots.querySelector(".axis"), view, range, hour.events, clock);
  note(hour, at);
  choose();
}

const heightOf = (svg) => parseFloat(getComputedStyle(svg).getPropertyValue("--height")) || 72;

// What the picture holds, and why it does not hold more.
function note(hour, at) {
  const words = [range <= 300 ? "each sample" : "means of ten seconds"];
  if (hour.since > at - range) {
    const again = hour.restarted ? " again: what came before is gone" : "";
    words.push(`kept since ${clock(hour.since * 1000)}, when ${hour.why}${again}`);
  }
  if (hour.forgotten && hour.events[0].at > at - range) {
    words.push(`events since ${clock(hour.events[0].at * 1000)}`);
  }
  document.getElementById("kept").textContent = words.join("; ");
}

// Show the figures of one moment in the table, and the moment in every chart.
function choose() {
  const { at, hour } = frozen || live();
  // It has left the range, or the clock was set back.
  if (pinned !== null && (pinned < at - range || pinned > at + 1)) pinned = null;
  const chosen = pointed ?? pinned;
  const lost = document.documentElement.dataset.link === "lost";
  for (const svg of charts) drawCursor(svg, view, chosen, heightOf(svg));
  const figures = WORLDS.map((name) => {
    if (chosen !== null) return hours.figuresAt(hours.shown(hour.worlds[name], range), chosen);
    return lost && !frozen ? null : hours.figuresAt(hours.shown(hour.worlds[name], 300), at);
  });
  for (const row of root.querySelectorAll("[data-quantity]")) fillRow(row, ...figures);
  const words = chosen === null ? (frozen ? `At ${clock(at * 1000)}, when it was paused` : "Now")
    : `At ${clock(chosen * 1000)}` + (range > 300 ? ", mean of ten seconds" : "");
  put("read", words);
  const near = chosen === null ? [] : hour.events.filter((event) => Math.abs(event.at - chosen) <= range / 100);
  put("near", near.slice(-3).map((event) => sentence(event, clock)).join(". "));
  if (document.activeElement !== slider || pinned === null) slider.value = pinned === null ? 0 : pinned - at;
  slider.setAttribute("aria-valuetext", chosen === null ? "now" : clock(chosen * 1000));
}

function put(id, text) {
  const element = document.getElementById(id);
  if (element.textContent !== text) element.textContent = text;
}

function fillRow(row, net, docker) {
  const name = row.dataset.quantity;
  const values = [net?.[name], docker?.[name]];
  const { much, part } = hours.difference(...values);
  const sign = (value) => (value > 0 ? "+" : value < 0 ? "−" : "±");
  const texts = [
    ...values.map(WRITE[name]),
    much === null ? "–" : sign(much) + WRITE[name](Math.abs(much)),
    part === null ? "" : sign(part) + (Math.abs(part) < 9.995 ? (100 * Math.abs(part)).toFixed(1) : number(100 * Math.abs(part))) + " %",
  ];
  row.querySelectorAll("[data-cell]").forEach((cell, place) => {
    if (cell.textContent !== texts[place]) cell.textContent = texts[place];
  });
}

export function remember(history) {
  hours.remember(history);
  draw();
}

export function collect(sample) {
  hours.collect(sample);
  tick();
}

// Once a second, and with each sample: cheap, unless a drawing is due.
export function tick() {
  if (!root || !hours.hour.since || !visible || document.hidden) return;
  // The server's clock may have been set back since.
  if (!frozen && Math.abs(hours.now() - drawnAt) >= DRAWN_S[range] - 0.1) draw();
  else choose();
}

function point(event) {
  const box = plots.getBoundingClientRect();
  pointed = moment(view, event.clientX - box.left);
  choose();
}

if (root) {
  const kept = sessionStorage.getItem("range");
  for (const radio of document.querySelectorAll("[name=range]")) {
    if (radio.value === kept) radio.checked = true;
    if (radio.checked) range = Number(radio.value);
    radio.addEventListener("change", () => {
      range = Number(radio.value);
      sessionStorage.setItem("range", radio.value);
      slider.min = -range;
      draw();
    });
  }
  slider.min = -range;
  slider.addEventListener("input", () => {
    pointed = null;
    pinned = Number(slider.value) === 0 ? null : (frozen || live()).at + Number(slider.value);
    choose();
  });
  const drawing = document.getElementById("charts");
  drawing.addEventListener("pointermove", point);
  drawing.addEventListener("pointerleave", () => {
    pointed = null;
    choose();
  });
  drawing.addEventListener("click", (event) => {
    point(event);
    pinned = pointed;
    choose();
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented || (pinned === null && pointed === null)) return;
    pinned = pointed = null;
    choose();
  });
  onPause(() => {
    frozen = isPaused() ? structuredClone(live()) : null;
    draw();
  });
  new ResizeObserver(() => draw()).observe(plots);
  new IntersectionObserver(([entry]) => {
    visible = entry.isIntersecting;
    tick();
  }).observe(root);
}
