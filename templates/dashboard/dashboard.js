// Keep the page up to date with the samples that the server sends. Text is set as text, never as markup.
import * as comparison from "./comparison.js";
import { SHAPES, SVG, cell, mark, of, put, rowHead } from "./dom.js";
import "./export.js";
import { clock, cores, number, part, size, time } from "./format.js";
import { KEPT_S, SILENT_MS, held, kept, known, span, take, uptime } from "./history.js";
import { extend, happened } from "./hour.js";
import * as panel from "./panel.js";
import { countNewer, isPaused, onPause } from "./pause.js";
import * as search from "./search.js";

// When each world's last sample came, and that of any world. Units: ms.
const heard = {};
const latest = {};
const loadedAt = Date.now();
let heardAt = loadedAt;
let triedAt = loadedAt;
let source = null;
const TITLE = document.title;

// Rows are replaced only when they changed.
function fill(body, rows, nothing) {
  const shown = JSON.stringify([rows, nothing]);
  if (!body || body.dataset.shown === shown) return;
  body.dataset.shown = shown;
  const made = rows.map((row) => {
    const line = document.createElement("tr");
    line.append(rowHead(row.name));
    if ("share" in row) {
      const share = cell("");
      const meter = document.createElement("meter");
      meter.max = 1;
      meter.value = row.share;
      meter.setAttribute("aria-label", "share of " + row.name);
      share.append(meter, " " + Math.round(row.share * 100) + " %");
      line.append(share);
    } else {
      line.append(cell(row.middle));
    }
    line.append(cell(row.last, "number"));
    return line;
  });
  if (!made.length) {
    const line = document.createElement("tr");
    const only = cell(nothing);
    only.colSpan = 3;
    line.append(only);
    made.push(line);
  }
  body.replaceChildren(...made);
}

// A strip that slides each second costs more to draw than all the rest: unchanged, every third.
function strip(svg, letters, at, slow) {
  const newest = letters.slice(-1);
  if (!svg || (!slow && svg.dataset.shown === newest)) return;
  svg.dataset.shown = newest;
  const made = [];
  const begin = KEPT_S - 1 - at[at.length - 1];
  for (let start = 0; start < letters.length; ) {
    let end = start;
    let seconds = 0;
    do seconds += held(at, end++);
    while (end < letters.length && letters[end] === letters[start] && held(at, end - 1));
    const bar = document.createElementNS(SVG, "rect");
    bar.setAttribute("class", letters[start] === "-" ? "a" : letters[start]);
    bar.setAttribute("x", begin + at[start]);
    // A second of being down must show on a narrow strip too.
    bar.setAttribute("width", letters[start] === "d" ? Math.max(seconds, 3) : seconds);
    bar.setAttribute("height", 12);
    made.push(bar);
    start = end;
  }
  made.sort((a, b) => (a.getAttribute("class") === "d") - (b.getAttribute("class") === "d"));
  svg.replaceChildren(...made);
}

// The rate and its curve are one: the tile is the curve's last point.
function rate(section, { at, rates }) {
  const last = at.length - 1;
  const highest = rates.some(known) ? Math.max(...rates.filter(known)) : null;
  let line = "";
  let area = "";
  for (let start = 0; start <= last; start++) {
    if (!known(rates[start])) continue; // unknown is a gap, and not zero
    const points = [];
    let end = start;
    do points.push(`${(KEPT_S - at[last] + at[end]).toFixed(2)} ${(39 - (37 * rates[end]) / (highest || 1)).toFixed(2)}`);
    while (held(at, end++) && end <= last && known(rates[end]));
    line += "M" + points.join("L");
    area += `M${points[0].split(" ")[0]} 40L${points.join("L")}L${points[points.length - 1].split(" ")[0]} 40Z`;
    start = end - 1;
  }
  mark(of(section, "curve"), "d", line);
  mark(of(section, "area"), "d", area);
  put(of(section, "rate"), number(rates[last]));
  put(of(section, "highest"), number(highest));
  put(of(section, "window"), "last " + span(Math.max(at[last] - at[0], 1)));
}

function verdict(section, world) {
  const line = of(section, "verdict");
  const unhealthy = world.replicas.filter((one) => one.state !== "up");
  const down = unhealthy.some((one) => one.state !== "degraded");
  const names = unhealthy.map((one) => `${one.name} is ${one.state}` + (one.detail ? ` (${one.detail})` : ""));
  put(line, unhealthy.length ? names.join("; ") : `all ${world.replicas.length} are up`);
  mark(line, "data-state", down ? "down" : unhealthy.length ? "degraded" : "up");
}

function replicas(section, world, slow) {
  // Requests to a replica from all its clients: rates are added up, means weighed by them.
  const into = Object.create(null); // a destination may have any name that a gateway says
  for (const edge of world.edges) {
    if (!known(edge.rate)) continue;
    const all = (into[edge.destination] ||= { rate: 0, mean_ms: null, timed: 0, busy: 0 });
    all.rate += edge.rate;
    if (!known(edge.mean_ms) || !edge.rate) continue;
    all.timed += edge.rate;
    all.busy += edge.rate * edge.mean_ms;
    all.mean_ms = all.busy / all.timed;
  }
  const { at, states } = kept[world.world];
  for (const one of world.replicas) {
    const edge = into[one.name] || { rate: null, mean_ms: null };
    const node = section.querySelector(`[data-node="${one.name}"]`);
    if (node) {
      mark(node, "data-state", one.state);
      mark(node.parentElement, "aria-label", `${one.name}, ${one.state}`);
      mark(node.querySelector(".sign"), "d", SHAPES[one.state]);
      put(node.querySelector(".word"), one.state);
      put(of(node, "flow-rate"), known(edge.rate) ? number(edge.rate) + "/s" : "");
      put(of(node, "flow-mean"), known(edge.mean_ms) ? time(edge.mean_ms) : "");
    }
    const row = section.querySelector(`[data-row="${one.name}"]`);
    if (!row) continue;
    mark(row, "data-state", one.state);
    mark(row.querySelector("svg.sign path"), "d", SHAPES[one.state]);
    put(of(row, "state"), one.state);
    put(of(row, "rate"), number(edge.rate));
    put(of(row, "mean"), time(edge.mean_ms));
    put(of(row, "cpus"), cores(one.cpus));
    put(of(row, "cpu-part"), part(one.cpus, one.cpu_limit));
    put(of(row, "throttled"), part(one.throttled, 1));
    put(of(row, "memory"), size(one.memory_bytes));
    put(of(row, "memory-part"), part(one.memory_bytes, one.memory_limit));
    put(of(row, "in"), size(one.in_bytes_per_s) + "/s");
    put(of(row, "out"), size(one.out_bytes_per_s) + "/s");
    const letters = states[one.name];
    strip(row.querySelector(".strip"), letters, at, slow);
    put(of(row, "uptime"), uptime(letters, at));
  }
  const bad = new Set(world.replicas.filter((one) => one.state === "down").map((one) => one.name));
  const busy = new Set(world.edges.filter((one) => one.rate > 0.5).map((one) => `${one.source} ${one.destination}`));
  for (const line of section.querySelectorAll("[data-line]")) {
    const target = line.dataset.line.split(" ")[1];
    mark(line, "data-cut", bad.has(target) ? "yes" : "no");
    mark(line, "data-busy", busy.has(line.dataset.line) ? "yes" : "no");
  }
}

// A world that does not answer is unknown: old green would be a lie.
function forget(section, why) {
  panel.forget(section.id, why);
  put(of(section, "verdict"), why);
  mark(of(section, "verdict"), "data-state", "absent");
  for (const node of section.querySelectorAll("[data-node]:not([data-state=client]), [data-row]")) {
    mark(node, "data-state", "absent");
    mark(node.querySelector(".sign path, path.sign"), "d", SHAPES.absent);
    put(node.querySelector(".word") || of(node, "state"), "unknown");
    if (node.dataset.node) mark(node.parentElement, "aria-label", `${node.dataset.node}, unknown`);
  }
  const figures = ".tiles dd, td.number, [data-of=highest], [data-of=ejected]";
  for (const figure of section.querySelectorAll(figures)) put(figure, "–");
  for (const text of section.querySelectorAll(".flow, [data-of=uptime]")) put(text, "");
  put(of(section, "window"), "last three minutes");
  for (const path of section.querySelectorAll(".curve path")) mark(path, "d", "");
  for (const line of section.querySelectorAll("[data-line]")) {
    mark(line, "data-busy", "no");
    mark(line, "data-cut", "no");
  }
  for (const svg of section.querySelectorAll(".strip")) {
    svg.replaceChildren();
    delete svg.dataset.shown;
  }
  for (const rows of section.querySelectorAll("tbody[data-of]")) fill(rows, [], "unknown");
  section.dataset.drawn = 0; // the next sample is drawn whole
  search.filter();
}

function show(world) {
  const section = document.getElementById(world.world);
  if (!section) return;
  if ((world.up ? world.key : "") !== section.dataset.key && !world.trouble) {
    reload(); // another topology runs than the one that is drawn
    return;
  }
  delete section.dataset.lacks;
  if (!world.up) {
    forget(section, world.trouble ? "unknown: " + world.trouble : `not up: invoke ${world.world}.up`);
    return;
  }
  verdict(section, world);
  rate(section, kept[world.world]);
  put(of(section, "mean"), time(world.mean_ms));
  put(of(section, "failed"), number(world.failed_per_s));
  put(of(section, "cpus"), cores(world.cpus));
  put(of(section, "memory"), size(world.memory_bytes));
  put(of(section, "conntrack"), number(world.conntrack));
  const drawn = Number(section.dataset.drawn || 0);
  section.dataset.drawn = drawn + 1;
  const slow = drawn % 3 === 0;
  replicas(section, world, slow);
  panel.follow(world);
  search.filter();
  put(of(section, "ejected"), world.ejected.join(", ") || "none");
  if (!slow) return;
  fill(of(section, "balance"), world.balance.map((one) =>
    ({ name: one.instance, share: Math.round(one.part * 100) / 100, last: number(one.rate) })), "nothing yet");
  fill(of(section, "registry"), (world.registry || []).map((one) =>
    ({ name: one.instance, middle: `${one.address}:${one.port}`, last: Math.ceil(one.expires_in_s) + " s" })),
    world.registry ? "no instance is registered" : "the registry does not answer");
}

// A page that does not fit what runs is reloaded, but never in a tight loop.
function reload() {
  const last = Number(sessionStorage.getItem("reloaded") || 0);
  if (Date.now() - last > 3000) {
    sessionStorage.setItem("reloaded", Date.now());
    location.reload();
  }
}

function addEvents(events) {
  const list = document.getElementById("events");
  for (const one of events) {
    const item = document.createElement("li");
    const when = document.createElement("time");
    const moment = new Date(one.at * 1000);
    when.dateTime = moment.toISOString();
    when.textContent = moment.toLocaleTimeString("en-GB");
    const kind = document.createElement("span");
    kind.className = one.good ? "good" : "bad";
    kind.textContent = one.kind;
    item.append(when, ` ${one.world} `, kind, ` ${one.replica ? `${one.replica}: ` : ""}${one.text}`);
    list.prepend(item);
  }
  while (list.children.length > 60) list.lastChild.remove();
  document.getElementById("no-events").hidden = list.children.length > 0;
  search.filter();
}

const silent = (since) => Date.now() - since > SILENT_MS;

function connection(text, state) {
  const link = document.getElementById("link");
  put(link, text);
  mark(link, "data-state", state);
  mark(document.documentElement, "data-link", state);
}

// Without samples nothing is known of any world, and every part of the page says so.
function lose() {
  const since = clock(heardAt);
  connection(
    `Nothing has come from the dashboard since ${since}, so all states and figures are unknown. ` +
      "If it ended, start “invoke dashboard” again on the same port (and the ssh tunnel, if you use one). " +
      "This page reconnects by itself.",
    "lost",
  );
  document.title = "no data: twinstack";
  for (const section of document.querySelectorAll("section[data-key]")) {
    lack(section, `unknown: nothing has come since ${since}`);
  }
  comparison.tick();
}

function lack(section, why) {
  forget(section, why);
  section.dataset.lacks = "samples";
}

// A pause keeps what was drawn; of a world that was lost meanwhile nothing is drawn any more.
function hold(section) {
  countNewer();
  document.title = "paused: " + TITLE;
  if (section?.dataset.lacks) put(of(section, "verdict"), "unknown: lost while the page was paused; resume to see it");
}

onPause(() => {
  if (isPaused()) return;
  for (const [name, world] of Object.entries(latest)) if (!silent(heard[name])) show(world);
  if (document.documentElement.dataset.link === "live") document.title = TITLE;
});

function connect() {
  triedAt = Date.now();
  source?.close();
  source = new EventSource("/events");
  source.addEventListener("history", (event) => {
    const history = JSON.parse(event.data);
    comparison.remember(history);
    Object.assign(kept, history.worlds);
    // The server may itself have heard nothing for long: what counts is how old a sample is there.
    for (const [name, { at }] of Object.entries(kept)) {
      if (at.length) heard[name] = Date.now() - Math.max(history.now - at[at.length - 1], 0) * 1000;
    }
    const moments = Object.values(heard);
    if (moments.length) heardAt = Math.max(...moments);
    // Earlier events can be read, and are not read out.
    const log = document.getElementById("log");
    log.setAttribute("aria-live", "off");
    document.getElementById("events").replaceChildren();
    addEvents(history.events);
    setTimeout(() => log.setAttribute("aria-live", "polite"), 500);
  });
  source.addEventListener("sample", (event) => {
    const world = JSON.parse(event.data);
    const newer = take(world);
    if (newer) {
      heardAt = heard[world.world] = Date.now();
      latest[world.world] = world;
      comparison.collect(world);
    }
    if (silent(heard[world.world])) return;
    connection("live", "live");
    if (isPaused()) {
      if (newer) hold(document.getElementById(world.world));
      return;
    }
    document.title = TITLE;
    show(world);
  });
  // Apart from samples, of which a slow page misses some.
  source.addEventListener("happened", (event) => {
    const { events } = JSON.parse(event.data);
    happened(events);
    addEvents(events);
  });
  source.addEventListener("means", (event) => extend(JSON.parse(event.data)));
  source.addEventListener("error", lose);
}

// An open connection without samples is as bad as none: it may be dead, without an error, so another
// is tried. One world's watcher may be silent alone.
function watchSilence() {
  if (silent(heardAt)) {
    lose();
    if (silent(triedAt)) connect();
    return;
  }
  for (const section of document.querySelectorAll("section[data-key]")) {
    const since = heard[section.id] ?? loadedAt;
    if (silent(since)) lack(section, `unknown: nothing has come of it since ${clock(since)}`);
  }
  comparison.tick();
}

// A table that does not fit says so, above it.
const fitting = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const box = target.closest(".wide");
    box.previousElementSibling.hidden = box.scrollWidth <= box.clientWidth;
  }
});
for (const box of document.querySelectorAll(".wide")) {
  fitting.observe(box);
  fitting.observe(box.firstElementChild);
}

connect();
setInterval(watchSilence, 1000);
