// One figure of both worlds over time: the same time and the same scale for both. Units: pixels.
import { known } from "./history.js";

const SVG = "http://www.w3.org/2000/svg";
export const LEFT = 50;
const RIGHT = 8;
const TOP = 18;
const BOTTOM = 5;
const LANE = 14;
const TICKS_S = { 300: 60, 900: 180, 3600: 600 };

export function made(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// The top of an axis: a round number that no value exceeds.
export function reach(values) {
  const highest = values.filter(known).reduce((one, other) => Math.max(one, other), 0);
  if (!highest) return 1;
  const power = 10 ** Math.floor(Math.log10(highest));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= highest * (1 - 1e-9));
}

export const place = ({ from, to, width }, moment) =>
  LEFT + ((moment - from) / (to - from)) * (width - LEFT - RIGHT);
export const moment = ({ from, to, width }, x) =>
  from + (Math.min(Math.max(x - LEFT, 0), width - LEFT - RIGHT) / (width - LEFT - RIGHT)) * (to - from);

// Points are joined where one holds until the next; else there is a gap, and a lone one is a dot.
export function path({ columns, holds, middle }, name, view, top, height) {
  let line = "";
  let last = null;
  columns.at.forEach((at, index) => {
    const value = columns[name][index];
    const there = at + middle;
    if (!known(value) || there < view.from || there > view.to) return;
    const joined = last === index - 1 && at - columns.at[last] <= holds + 0.001;
    const y = height - BOTTOM - ((height - TOP - BOTTOM) * value) / top;
    line += `${joined ? "L" : "M"}${place(view, there).toFixed(1)} ${y.toFixed(1)}${joined ? "" : "h0"}`;
    last = index;
  });
  return line;
}

// `series` by world; `write` writes a value of the axis.
export function drawChart(svg, series, name, title, view, height, write) {
  svg.setAttribute("viewBox", `0 0 ${view.width} ${height}`);
  svg.setAttribute("height", height);
  const seen = Object.values(series).flatMap(({ columns, middle }) =>
    columns[name].filter((_, index) => columns.at[index] + middle >= view.from));
  const top = reach(seen);
  const right = view.width - RIGHT;
  const lines = [TOP, (TOP + height - BOTTOM) / 2, height - BOTTOM].map((y) =>
    made("path", { class: "grid", d: `M${LEFT} ${y}H${right}` }));
  const paths = Object.entries(series).map(([world, one]) =>
    made("path", { class: "series", "data-world": world, d: path(one, name, view, top, height) }));
  svg.replaceChildren(
    ...lines,
    made("text", { class: "title", x: LEFT, y: 12 }, title),
    made("text", { class: "scale", x: LEFT - 5, y: TOP + 4 }, write(top)),
    made("text", { class: "scale", x: LEFT - 5, y: height - BOTTOM + 2 }, "0"),
    ...paths,
    made("path", { class: "cursor", d: "" }),
  );
}

export function drawCursor(svg, view, at, height) {
  const line = svg.querySelector(".cursor");
  if (line) line.setAttribute("d", at === null ? "" : `M${place(view, at).toFixed(1)} ${TOP}V${height}`);
}

// The time below the charts, and above it a mark for each event; those that would overlap are one.
export function drawAxis(svg, view, range, events, clock) {
  const height = LANE + 18;
  svg.setAttribute("viewBox", `0 0 ${view.width} ${height}`);
  svg.setAttribute("height", height);
  const drawn = [];
  const step = TICKS_S[range];
  for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
    const x = place(view, at);
    drawn.push(made("path", { class: "tick", d: `M${x.toFixed(1)} ${LANE}v4` }));
    const label = clock(at * 1000).slice(0, 5);
    // Every other one where the next is too near; by the time, so that none comes and goes.
    const near = (place(view, at + step) - x) < 44 && (at / step) % 2;
    if (!near && x > 18 && x < view.width - 18) drawn.push(made("text", { class: "time", x: x.toFixed(1), y: height - 3 }, label));
  }
  const marks = new Map();
  for (const event of events) {
    if (event.at < view.from || event.at > view.to) continue;
    const slot = Math.round(place(view, event.at) / 9);
    marks.set(slot, [...(marks.get(slot) || []), event]);
  }
  for (const [slot, these] of marks) {
    const good = these.every((event) => event.good);
    const mark = made("path", {
      class: "mark",
      "data-good": good ? "yes" : "no",
      d: `M${slot * 9} ${LANE / 2}` + (good ? "m0-4l4 8h-8z" : "m0 4l4-8h-8z"),
    });
    mark.append(made("title", {}, these.slice(0, 6).map((event) => sentence(event, clock)).join("\n")));
    drawn.push(mark);
  }
  svg.replaceChildren(made("path", { class: "grid", d: `M${LEFT} ${LANE}H${view.width - RIGHT}` }), ...drawn);
}

export const sentence = (event, clock) =>
  `${clock(event.at * 1000)} ${event.world} ${event.kind}${event.replica ? ` ${event.replica}` : ""}: ${event.text}`;
