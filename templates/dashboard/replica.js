// The parts of a replica's panel that are asked for: health, requests, log, links and policy.
import { SVG, cell, keep, make, mark, of, put, rowHead } from "./dom.js";
import { clock, number, size, time } from "./format.js";
import { known, span } from "./history.js";

const LETTERS = { up: "u", degraded: "g", down: "d", absent: "a" };
const CHANGES = 8;

export const panel = document.getElementById("panel");
export const list = (name) => panel.querySelector(`[data-list="${name}"]`);
export const count = (value) => value.toLocaleString("en");
const moment = (seconds) => (known(seconds) ? clock(seconds * 1000) : "–");
let before = null; // the links' counters of the answer before

// What stands in place of a part's rows, or beside them.
export function say(name, words) {
  const line = panel.querySelector(`[data-words="${name}"]`);
  put(line, words);
  line.hidden = !words;
}

export function draw(detail, health) {
  changes(health, detail.at);
  requests(detail);
  log(detail);
  links(detail);
  policy(detail);
}

// Rates are of two answers that follow each other.
export function restart() {
  before = null;
  for (const rate of list("links").querySelectorAll("[data-of=rate]")) put(rate, "–");
}

// ---- Health ----

function changes(runs, now) {
  const begin = runs.length ? Math.max(runs[0].begin, now - 3600) : now;
  const length = Math.max(now - begin, 1);
  const bars = runs.filter((run) => run.end >= begin).map((run) => {
    const bar = document.createElementNS(SVG, "rect");
    const x = (600 * (Math.max(run.begin, begin) - begin)) / length;
    const width = (600 * (Math.min(run.end, now) - begin)) / length - x;
    bar.setAttribute("class", LETTERS[run.state] || "a");
    bar.setAttribute("x", x.toFixed(1));
    bar.setAttribute("width", Math.max(width, run.state === "up" ? 0.5 : 3).toFixed(1));
    bar.setAttribute("height", 14);
    return bar;
  });
  // A second of being down must show: those that are up are below.
  bars.sort((a, b) => (b.getAttribute("class") === "u") - (a.getAttribute("class") === "u"));
  of(panel, "strip").replaceChildren(...bars);
  put(of(panel, "from"), moment(begin));
  put(of(panel, "to"), moment(now));
  const latest = runs.slice(-CHANGES).reverse();
  keep(list("health"), latest, (run) => `${run.begin}`, changeLine, (line, run) => {
    const last = run === latest[0] && now - run.end < 8;
    mark(line, "data-state", run.state);
    put(of(line, "word"), run.state);
    const long = `for ${span(run.end - run.begin)}${last ? ", now" : ""}`;
    put(of(line, "long"), ` ${long}${run.state === "up" || !run.detail ? "" : `: ${run.detail}`}`);
  });
  const more = runs.length > CHANGES ? `and ${count(runs.length - CHANGES)} more before` : "";
  say("health", runs.length ? more : "nothing is known of the last hour");
}

function changeLine(run) {
  const line = make("li", "");
  const when = make("time", moment(run.begin));
  when.dateTime = new Date(run.begin * 1000).toISOString();
  const word = make("span", "", "word");
  word.dataset.of = "word";
  const long = make("span", "");
  long.dataset.of = "long";
  line.append(when, " ", word, long);
  return line;
}

// ---- Requests and log ----

function requests({ log, troubles }) {
  const rows = [...(log?.requests || [])].reverse();
  const key = (one) => [one.time, one.method, one.path, one.status, one.ms, one.request].join(" ");
  keep(list("requests"), rows, key, (one) => {
    const row = document.createElement("tr");
    const status = cell(String(one.status), one.status >= 500 ? "number bad" : "number");
    const request = cell("", "id");
    request.append(make("code", one.request));
    row.append(cell(moment(one.time)), status, cell(time(one.ms), "number"),
      rowHead(`${one.method} ${one.path}`), request);
    return row;
  });
  const checks = log?.checks ? `left out: ${count(log.checks)} requests for its health or counts` : "";
  const none = log?.looked_at ? `the last ${count(log.looked_at)} lines of its log report no request` : "its log is empty";
  say("requests", !log ? `unknown: ${troubles.log}` : [rows.length ? "" : none, checks].filter(Boolean).join("; "));
}

function log({ log, troubles }) {
  const box = list("log").parentElement;
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 8;
  keep(list("log"), log?.lines || [], (line) => `${line.time} ${line.text}`, (line) => {
    const item = make("li", "");
    if (line.level) item.dataset.level = line.level;
    if (known(line.time)) item.append(make("time", moment(line.time)), " ");
    if (line.level) item.append(make("span", line.level, "level"), " ");
    item.append(line.text);
    return item;
  });
  if (atEnd) box.scrollTop = box.scrollHeight; // as a terminal: who has scrolled up stays there
  const nothing = log?.looked_at ? "nothing but requests in its last lines" : "its log is empty";
  say("log", !log ? `unknown: ${troubles.log}` : log.lines.length ? "" : nothing);
  box.hidden = !log?.lines.length;
}

// ---- Links ----

function links({ at, links, troubles }) {
  const earlier = before;
  before = links && { at, links };
  const rows = (links || []).flatMap((link) => ["received", "sent"].map((way) => {
    const old = earlier?.links.find((one) => one.name === link.name);
    const more = old && link[`${way}_packets`] - old[`${way}_packets`];
    const rate = old && at > earlier.at && more >= 0 ? more / (at - earlier.at) : null;
    return { link, way, rate };
  }));
  keep(list("links"), rows, ({ link, way }) => `${link.name} ${way}`, ({ link, way }) => {
    const row = document.createElement("tr");
    row.append(rowHead(`${link.name} ${way === "sent" ? "out" : "in"}`), ...Array.from({ length: 5 }, () => cell("", "number")));
    row.children[2].dataset.of = "rate";
    return row;
  }, (row, { link, way, rate }) => {
    const texts = [count(link[`${way}_packets`]), number(rate), size(link[`${way}_bytes`]),
      count(link[`${way}_dropped`]), count(link[`${way}_errors`])];
    texts.forEach((text, place) => put(row.children[place + 1], text));
  });
  say("links", !links ? `unknown: ${troubles.links}` : links.length ? "" : "it has no link but the loopback");
}

// ---- Policy ----

function policy({ world, policy, troubles }) {
  const rules = policy?.enforced ? policy.rules : [];
  keep(list("policy"), rules, (rule) => `${rule.way} ${rule.rule}`, (rule) => {
    const row = document.createElement("tr");
    const what = rowHead(rule.sentence);
    what.className = "text";
    what.append(document.createElement("br"), make("code", rule.rule));
    row.append(cell(rule.way), cell(""), what);
    return row;
  }, (row, rule) => {
    const missing = !known(rule.packets);
    put(row.children[1], missing ? "missing" : count(rule.packets));
    row.children[1].className = missing ? "number bad" : "number";
  });
  const more = policy?.left_out ? `There are ${count(policy.left_out)} more: invoke policy.show. ` : "";
  say("policy", !policy ? `unknown: ${troubles.policy}`
    : !policy.enforced ? "Policies are off: every service reaches every other."
      : `${more}Everything else is denied: ${count(policy.denied)} packets so far in the whole world ` +
        `(invoke policy.drops --world ${world}).`);
}
