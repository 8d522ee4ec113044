// Save what is shown: figures as CSV or JSON in full precision, the charts or a map as SVG.
import { made } from "./chart.js";
import { draw, state } from "./comparison.js";
import { FIGURES, shown } from "./hour.js";

const UNITS = { rate: "requests/s", mean_ms: "ms", failed_per_s: "1/s", cpus: "cores", memory_bytes: "bytes" };
const NAMES = { rate: "requests", mean_ms: "mean latency", failed_per_s: "5xx", cpus: "CPU", memory_bytes: "memory" };
// What a picture needs of the page's style to open by itself.
const STYLE = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin",
  "font-family", "font-size", "font-weight", "text-anchor"];
const SVG_TYPE = "image/svg+xml";

const iso = (seconds) => new Date(seconds * 1000).toISOString();

// The points that the range shows, as rows: world, moment, figures.
function rows({ at, hour, range }) {
  return Object.entries(hour.worlds).flatMap(([world, kept]) => {
    const { columns, middle } = shown(kept, range);
    return columns.at
      .map((begin, place) => ({ world, at: begin, ...Object.fromEntries(FIGURES.map((name) => [name, columns[name][place]])) }))
      .filter((row) => row.at + middle >= at - range && row.at + middle <= at);
  });
}

export function csv(now) {
  const head = ["world", "time (UTC)", "time (s since 1970)", ...FIGURES.map((name) => `${NAMES[name]} (${UNITS[name]})`)];
  const lines = rows(now).map((row) => [row.world, iso(row.at), row.at, ...FIGURES.map((name) => row[name] ?? "")]);
  return [head, ...lines].map((line) => line.join(",")).join("\r\n") + "\r\n";
}

export function json(now) {
  const events = now.hour.events.filter((event) => event.at >= now.at - now.range && event.at <= now.at);
  const document = {
    from: iso(now.at - now.range),
    to: iso(now.at),
    points: now.range <= 300 ? "each sample" : "means of ten seconds, each at its beginning",
    note: "live figures of unlike loads are no comparison",
    units: { at: "s since 1970", ...UNITS },
    rows: rows(now),
    events,
  };
  return JSON.stringify(document, null, 1);
}

// A copy that carries its style in attributes: it needs no page, and no reader that knows variables.
function standing(svg) {
  const copy = svg.cloneNode(true);
  const copies = [copy, ...copy.querySelectorAll("*")];
  [svg, ...svg.querySelectorAll("*")].forEach((element, place) => {
    const style = getComputedStyle(element);
    for (const name of STYLE) copies[place].setAttribute(name, style.getPropertyValue(name));
    for (const name of ["class", "aria-hidden", "aria-labelledby", "focusable", "role", "href"]) copies[place].removeAttribute(name);
  });
  return copy;
}

function sheet(width, height, title) {
  const style = getComputedStyle(document.body);
  const svg = made("svg", { xmlns: "http://www.w3.org/2000/svg", width, height, viewBox: `0 0 ${width} ${height}` });
  svg.append(made("title", {}, title), made("rect", { width, height, fill: style.backgroundColor }));
  const text = (x, y, words, fill = style.color) =>
    svg.append(made("text", { x, y, fill, "font-family": "system-ui, sans-serif", "font-size": 12 }, words));
  return { svg, text };
}

function chartsSheet(now) {
  const drawn = [...document.querySelectorAll("#charts svg")];
  const width = now.view.width;
  const heights = drawn.map((svg) => Number(svg.getAttribute("height")));
  const height = heights.reduce((one, other) => one + other, 0) + 92;
  const title = `twinstack, ${iso(now.at - now.range).slice(0, 19)}Z to ${iso(now.at).slice(11, 19)}Z`;
  const { svg, text } = sheet(width, height, title);
  text(8, 18, title);
  let x = 8;
  for (const key of document.querySelectorAll("#legend > [data-world]")) {
    const sample = standing(key.querySelector("svg"));
    for (const [name, value] of Object.entries({ x, y: 28, width: 24, height: 10 })) sample.setAttribute(name, value);
    svg.append(sample);
    text(x + 30, 38, key.textContent.trim());
    x += 130;
  }
  let y = 46;
  drawn.forEach((chart, place) => {
    const copy = standing(chart);
    copy.querySelectorAll("[d='']").forEach((nothing) => nothing.remove());
    copy.setAttribute("y", y);
    copy.setAttribute("width", width);
    svg.append(copy);
    y += heights[place];
  });
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  text(8, y + 18, `${now.range <= 300 ? "Each sample" : "Means of ten seconds"}; times at the axis: ${zone}.`);
  text(8, y + 34, "Live figures of unlike loads are no comparison.");
  return svg;
}

function mapSheet(world, at) {
  const map = document.querySelector(`#${world} .map svg`);
  const { width, height } = map.viewBox.baseVal;
  const title = `${document.getElementById(`${world}-title`).textContent.trim()}, ${iso(at).slice(0, 19)}Z`;
  const { svg, text } = sheet(width, height + 24, title);
  text(8, 16, title);
  const copy = standing(map);
  for (const [name, value] of Object.entries({ y: 24, width, height })) copy.setAttribute(name, value);
  svg.append(copy);
  return svg;
}

function save(text, type, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const written = (svg) => new XMLSerializer().serializeToString(svg);

function saveAs(kind) {
  const now = state();
  const name = `twinstack-${iso(now.at).slice(0, 19).replaceAll(":", "")}Z`;
  const span = `${now.range / 60}min`;
  if (kind === "csv") return save(csv(now), "text/csv", `${name}-${span}.csv`);
  if (kind === "json") return save(json(now), "application/json", `${name}-${span}.json`);
  if (kind === "charts") {
    draw();
    return save(written(chartsSheet(state())), SVG_TYPE, `${name}-${span}.svg`);
  }
  return save(written(mapSheet(kind, now.at)), SVG_TYPE, `${name}-map-${kind}.svg`);
}

for (const button of document.querySelectorAll("[data-save]")) {
  button.addEventListener("click", () => saveAs(button.dataset.save));
}
