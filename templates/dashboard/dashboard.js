// Keep the page up to date with the samples that the server sends. Text is set as text, never as markup.
"use strict";

const KEPT = 180;
const SVG = "http://www.w3.org/2000/svg";
// Each state has a shape too: a disc, a triangle, a square, a ring.
const SHAPES = {
  up: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0",
  degraded: "M0-6L6 5L-6 5Z",
  down: "M-5-5H5V5H-5Z",
  absent: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0M-3 0a3 3 0 1 1 6 0a3 3 0 1 1-6 0",
};
const LETTERS = { up: "u", degraded: "g", down: "d", absent: "a" };

const rates = {};
const states = {};
let receivedAt = 0;

const known = (value) => value !== null && value !== undefined;
const number = (value) =>
  !known(value) ? "–" : value >= 10 ? Math.round(value).toLocaleString("en") : value.toFixed(1);
const time = (value) =>
  !known(value) ? "–" : (value >= 100 ? value.toFixed(0) : value.toFixed(1)) + " ms";
const part = (value, limit) =>
  !known(value) ? "–" : limit ? Math.round((100 * value) / limit) + " %" : "no limit";
function size(value) {
  if (!known(value)) return "–";
  for (const unit of ["B", "kB", "MB"]) {
    if (value < 1000) return (value >= 100 || unit === "B" ? value.toFixed(0) : value.toFixed(1)) + " " + unit;
    value /= 1000;
  }
  return value.toFixed(1) + " GB";
}

function put(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}
function mark(element, name, value) {
  if (element && element.getAttribute(name) !== value) element.setAttribute(name, value);
}
function of(root, name) {
  return root.querySelector(`[data-of="${name}"]`);
}
function cell(text, kind) {
  const made = document.createElement("td");
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}
function rowHead(text) {
  const made = document.createElement("th");
  made.scope = "row";
  made.textContent = text;
  return made;
}
// Rows are replaced only when they changed.
function fill(body, rows, nothing) {
  const shown = JSON.stringify(rows);
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
function strip(svg, letters, slow) {
  if (!svg || svg.dataset.shown === letters) return;
  if (!slow && (svg.dataset.shown || "").slice(-1) === letters.slice(-1)) return;
  svg.dataset.shown = letters;
  const made = [];
  const begin = KEPT - letters.length;
  for (let start = 0; start < letters.length; ) {
    let end = start;
    while (end < letters.length && letters[end] === letters[start]) end++;
    const bar = document.createElementNS(SVG, "rect");
    bar.setAttribute("class", letters[start]);
    bar.setAttribute("x", begin + start);
    // A second of being down must show on a narrow strip too.
    bar.setAttribute("width", letters[start] === "d" ? Math.max(end - start, 3) : end - start);
    bar.setAttribute("height", 12);
    made.push(bar);
    start = end;
  }
  made.sort((a, b) => (a.getAttribute("class") === "d") - (b.getAttribute("class") === "d"));
  svg.replaceChildren(...made);
}

function curve(section, name) {
  const values = (rates[name] || []).map((one) => one[1] || 0);
  const highest = Math.max(1, ...values);
  const begin = KEPT - values.length;
  const points = values.map((value, place) => `${begin + place} ${(39 - (37 * value) / highest).toFixed(1)}`);
  const last = begin + values.length - 1;
  mark(of(section, "curve"), "d", values.length > 1 ? `M${begin} 40L${points.join("L")}L${last} 40Z` : "");
  put(of(section, "highest"), number(values.length ? Math.max(...values) : null));
}

function verdict(section, world) {
  const line = of(section, "verdict");
  if (!world.up) {
    put(line, world.trouble ? "unknown: " + world.trouble : `not up: invoke ${world.world}.up`);
    mark(line, "data-state", "absent");
    return;
  }
  const unhealthy = world.replicas.filter((one) => one.state !== "up");
  const down = unhealthy.some((one) => one.state !== "degraded");
  const names = unhealthy.map((one) => `${one.name} is ${one.state}` + (one.detail ? ` (${one.detail})` : ""));
  put(line, unhealthy.length ? names.join("; ") : `all ${world.replicas.length} are up`);
  mark(line, "data-state", down ? "down" : unhealthy.length ? "degraded" : "up");
}

function replicas(section, world, slow) {
  // Requests to a replica from all its clients: rates are added up, means weighed by them.
  const into = {};
  for (const edge of world.edges) {
    if (!known(edge.rate)) continue;
    const all = (into[edge.destination] ||= { rate: 0, mean_ms: null, timed: 0, busy: 0 });
    all.rate += edge.rate;
    if (!known(edge.mean_ms) || !edge.rate) continue;
    all.timed += edge.rate;
    all.busy += edge.rate * edge.mean_ms;
    all.mean_ms = all.busy / all.timed;
  }
  const seen = states[world.world];
  for (const one of world.replicas) {
    const edge = into[one.name] || { rate: null, mean_ms: null };
    const node = section.querySelector(`[data-node="${one.name}"]`);
    if (node) {
      mark(node, "data-state", one.state);
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
    put(of(row, "cpus"), known(one.cpus) ? one.cpus.toFixed(2) : "–");
    put(of(row, "cpu-part"), part(one.cpus, one.cpu_limit));
    put(of(row, "throttled"), part(one.throttled, 1));
    put(of(row, "memory"), size(one.memory_bytes));
    put(of(row, "memory-part"), part(one.memory_bytes, one.memory_limit));
    put(of(row, "in"), size(one.in_bytes_per_s) + "/s");
    put(of(row, "out"), size(one.out_bytes_per_s) + "/s");
    const letters = seen[one.name] || "";
    strip(row.querySelector(".strip"), letters, slow);
    const up = [...letters].filter((letter) => letter === "u" || letter === "g").length;
    const seconds = letters.length < KEPT ? `${letters.length} s` : "3 min";
    put(of(row, "uptime"), letters ? `${Math.floor((100 * up) / letters.length)} % of ${seconds}` : "");
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
function forget(section) {
  for (const node of section.querySelectorAll("[data-node]:not([data-state=client]), [data-row]")) {
    mark(node, "data-state", "absent");
    mark(node.querySelector(".sign path, path.sign"), "d", SHAPES.absent);
    put(node.querySelector(".word") || of(node, "state"), "unknown");
  }
  for (const figure of section.querySelectorAll(".tiles dd, td.number, .flow")) put(figure, "–");
  for (const line of section.querySelectorAll("[data-line]")) mark(line, "data-busy", "no");
  for (const rows of section.querySelectorAll("[data-shown]")) delete rows.dataset.shown; // to be filled again
}

function show(world) {
  const section = document.getElementById(world.world);
  if (!section) return;
  if ((world.up ? world.key : "") !== section.dataset.key && !world.trouble) {
    reload(); // another topology runs than the one that is drawn
    return;
  }
  verdict(section, world);
  if (!section.dataset.key) return;
  if (!world.up) {
    forget(section);
    return;
  }
  put(of(section, "rate"), number(world.rate));
  put(of(section, "mean"), time(world.mean_ms));
  put(of(section, "failed"), number(world.failed_per_s));
  put(of(section, "cpus"), known(world.cpus) ? world.cpus.toFixed(2) : "–");
  put(of(section, "memory"), size(world.memory_bytes));
  put(of(section, "conntrack"), known(world.conntrack) ? number(world.conntrack) : "–");
  const drawn = Number(section.dataset.drawn || 0);
  section.dataset.drawn = drawn + 1;
  const slow = drawn % 3 === 0;
  replicas(section, world, slow);
  put(of(section, "ejected"), world.ejected.join(", ") || "none");
  if (!slow) return;
  curve(section, world.world);
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
}

function take(world) {
  const seen = (states[world.world] ||= {});
  const rate = (rates[world.world] ||= []);
  rate.push([world.at, world.rate, world.mean_ms]);
  if (rate.length > KEPT) rate.shift();
  for (const one of world.replicas) {
    seen[one.name] = ((seen[one.name] || "") + LETTERS[one.state]).slice(-KEPT);
  }
}

function connection(text, state) {
  const link = document.getElementById("link");
  put(link, text);
  mark(link, "data-state", state);
}

// Without samples nothing is known of any world, and every part of the page says so.
function lose(text) {
  connection(text, "lost");
  for (const section of document.querySelectorAll("section[data-key]")) {
    if (!section.dataset.key) continue;
    put(of(section, "verdict"), "unknown: the dashboard has no samples");
    mark(of(section, "verdict"), "data-state", "absent");
    forget(section);
  }
}

function connect() {
  const source = new EventSource("/events");
  let newest = {};
  source.addEventListener("history", (event) => {
    const history = JSON.parse(event.data);
    newest = {};
    for (const [name, found] of Object.entries(history.rates)) {
      rates[name] = found;
      newest[name] = found.length ? found[found.length - 1][0] : 0;
    }
    Object.assign(states, history.states);
    // Earlier events can be read, and are not read out.
    const log = document.getElementById("log");
    log.setAttribute("aria-live", "off");
    document.getElementById("events").replaceChildren();
    addEvents(history.events);
    setTimeout(() => log.setAttribute("aria-live", "polite"), 500);
  });
  source.addEventListener("sample", (event) => {
    const world = JSON.parse(event.data);
    receivedAt = Date.now();
    connection("live", "live");
    if (world.at > (newest[world.world] || 0)) take(world);
    show(world);
  });
  // Apart from samples, of which a slow page misses some.
  source.addEventListener("happened", (event) => addEvents(JSON.parse(event.data).events));
  source.addEventListener("error", () => {
    lose("the connection to the dashboard is lost; trying again");
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
  });
}

// An open connection without samples is as bad as none.
setInterval(() => {
  if (receivedAt && Date.now() - receivedAt > 8000) lose("the dashboard has sent no samples for a while");
}, 2000);
connect();
