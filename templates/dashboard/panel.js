// One replica, looked at closely. A click on its node or its row opens it; the address's #WORLD/NAME
// names it, so that a reload, a link and the browser's "back" keep it.
// What comes with each sample is live; the rest is asked for every two seconds while it is open.
import { SHAPES, cell, keep, make, mark, of, put, rowHead } from "./dom.js";
import { clock, number, part, size, time } from "./format.js";
import { known } from "./history.js";
import { isPaused } from "./pause.js";
import { count, draw, list, panel, restart, say } from "./replica.js";

const ASK_MS = 2000;
const WAIT_MS = 5000;

// A phone has no room beside it: there it is a sheet over the page, and the page behind it is inert.
const sheet = matchMedia("(max-width: 640px)");
let shown = null; // { world, name }
let opener = null;
let timer = 0;
let turn = 0; // the number of the last question: an answer to an earlier one comes too late
let readAt = 0; // when the details came that are shown, by the server's clock; ms
const latest = {}; // the last sample of each world, while it counts
const silent = {}; // else why there is none

const rowOf = ({ world, name }) => document.querySelector(`#${world} [data-row="${CSS.escape(name)}"]`);

// What the address names: null where it is no replica of a world of this page.
function named() {
  const [world, ...rest] = location.hash.slice(1).split("/");
  if (!rest.length || !document.getElementById(world)?.classList.contains("world")) return null;
  let name = rest.join("/");
  try {
    name = decodeURIComponent(name);
  } catch {
    // a % that encodes nothing: the name is as it stands
  }
  return { world, name };
}

function raise() {
  if (panel.open) panel.close();
  if (sheet.matches) panel.showModal();
  else panel.show();
  document.getElementById("panel-title").focus({ preventScroll: true });
}

function visit() {
  const next = named();
  if (next && shown && next.world === shown.world && next.name === shown.name) return;
  clearTimeout(timer);
  turn += 1;
  for (const link of document.querySelectorAll("[aria-current=true]")) link.removeAttribute("aria-current");
  if (!next) {
    shown = null;
    document.documentElement.removeAttribute("data-panel");
    if (panel.open) panel.close();
    return;
  }
  if (!shown) opener = document.activeElement;
  shown = next;
  clear();
  document.documentElement.setAttribute("data-panel", "open");
  raise();
  panel.scrollTop = 0;
  const row = rowOf(shown);
  mark(panel, "data-gone", row ? "no" : "yes");
  if (!row) {
    const title = document.querySelector(`#${shown.world} h2`).firstChild.textContent.trim();
    const up = document.querySelector(`#${shown.world} .services`);
    verdict("unknown", up
      ? `${shown.name} is not in the world ${title}: it may have been scaled away, or never was there.`
      : `The world ${title} is not up: invoke ${shown.world}.up`);
    return;
  }
  for (const link of document.querySelectorAll(`a[href="#${shown.world}/${CSS.escape(shown.name)}"]`)) {
    if (!panel.contains(link)) mark(link, "aria-current", "true");
  }
  put(of(panel, "where"), row.dataset.where);
  verdict("unknown", silent[shown.world] || "waiting for the first sample");
  if (latest[shown.world]) follow(latest[shown.world]);
  ask();
}

function shut() {
  if (!shown) return;
  const row = rowOf(shown);
  history.pushState(null, "", location.pathname + location.search);
  visit();
  const back = opener?.isConnected && opener !== document.body ? opener : row?.querySelector("a");
  back?.focus();
}

function verdict(state, words) {
  const known = state in SHAPES ? state : "absent";
  mark(panel.querySelector(".panel-head"), "data-state", known);
  mark(panel.querySelector(".sign path"), "d", SHAPES[known]);
  put(of(panel, "state"), state);
  put(of(panel, "verdict"), words);
}

function note(words) {
  const line = of(panel, "note");
  put(line, words);
  line.hidden = !words;
}

// Nothing of another replica may be left.
function clear() {
  readAt = 0;
  restart();
  put(of(panel, "name"), shown.name);
  put(of(panel, "where"), "");
  put(of(panel, "read"), "");
  note("");
  for (const list of panel.querySelectorAll("[data-list]")) list.replaceChildren();
  for (const words of panel.querySelectorAll("[data-words]")) say(words.dataset.words, "waiting for the answer");
  for (const shape of panel.querySelectorAll("[data-of=strip]")) shape.replaceChildren();
  for (const code of panel.querySelectorAll("[data-command]")) {
    const command = code.dataset.command.replaceAll("WORLD", shown.world).replaceAll("NAME", shown.name);
    // A line ends between words, never after a hyphen.
    code.replaceChildren(...command.split(" ").flatMap((word) => [make("span", word), " "]));
  }
  use = {};
  cgroup = null;
  declared = undefined;
  unread = "";
  amounts();
}

// ---- With each sample ----

export function follow(world) {
  latest[world.world] = world;
  if (shown?.world !== world.world) return;
  const replica = world.replicas.find((one) => one.name === shown.name);
  if (!replica) return;
  const took = known(replica.took_ms) ? `; its health check took ${time(replica.took_ms)}` : "";
  const pid = known(replica.pid) ? `process ${replica.pid}` : "no process";
  verdict(replica.state, (replica.detail ? `${replica.detail}; ` : "") + pid + took);
  use.cpus = replica.cpus;
  use.memory_bytes = replica.memory_bytes;
  use.throttled = replica.throttled;
  amounts();
  const peers = world.edges
    .filter((edge) => edge.source === shown.name || edge.destination === shown.name)
    .map((edge) => ({ edge, asks: edge.source === shown.name }))
    .map(({ edge, asks }) => ({ edge, asks, peer: asks ? edge.destination : edge.source }));
  keep(list("peers"), peers, ({ asks, peer }) => `${asks} ${peer}`, peerRow, (row, { edge }) => {
    const figures = [number(edge.rate), time(edge.mean_ms), number(edge.failures_per_s)];
    figures.forEach((text, place) => put(row.children[place + 1], text));
  });
  say("peers", peers.length ? "" : "no flow of its is counted");
}

// Nothing more is known of a world: what was live is not, and what was read says when it was.
export function forget(world, why) {
  delete latest[world];
  silent[world] = why;
  if (world !== shown?.world || panel.dataset.gone === "yes") return;
  verdict("unknown", why);
  use = {};
  amounts();
  for (const figure of list("peers").querySelectorAll(".number")) put(figure, "–");
  restart();
}

function peerRow({ asks, peer }) {
  const row = document.createElement("tr");
  const head = rowHead(asks ? "asks " : "asked by ");
  const there = rowOf({ world: shown.world, name: peer });
  const link = make(there ? "a" : "span", there ? peer : "clients");
  if (there) link.href = `#${shown.world}/${peer}`;
  head.append(link);
  row.append(head, cell("–", "number"), cell("–", "number"), cell("–", "number"));
  return row;
}

// ---- Use and limits ----

let use = {}; // by the last sample
let cgroup = null; // by the last answer
let declared;
let unread = ""; // why the cgroup is not known

function amounts() {
  const limits = cgroup?.limits || declared || {};
  const rows = [
    ["CPU", use.cpus, limits.cpus, declared?.cpus, (value) => (known(value) ? value.toFixed(2) + " cores" : "–")],
    ["memory", use.memory_bytes, limits.memory_bytes, declared?.memory_bytes, size],
    ["pids", cgroup?.pids, limits.pids, declared?.pids, (value) => (known(value) ? count(value) : "–")],
  ].map(([name, now, limit, wanted, write]) => ({ name, now, limit, wanted, write }));
  keep(list("use"), rows, ({ name }) => name, useRow, (row, { name, now, limit, wanted, write }) => {
    put(of(row, "now"), write(now));
    const meter = row.querySelector("meter");
    meter.hidden = !known(limit) || !known(now);
    meter.value = meter.hidden ? 0 : now / limit;
    put(of(row, "part"), known(limit) && known(now) ? part(now, limit) : "–");
    put(of(row, "limit"), known(limit) ? write(limit) : declared === undefined ? "–" : "no limit");
  });
  const remarks = rows.filter(({ limit, wanted }) => cgroup && known(wanted) && limit !== wanted)
    .map(({ name, wanted, write }) => `declared for ${name}: ${write(wanted)}`);
  if (use.throttled > 0.005) remarks.push(`its CPU limit kept it waiting ${part(use.throttled, 1)} of the time`);
  if (declared === null) remarks.push("the world was brought up without limits");
  if (unread) remarks.push(`pids and limits are unknown: ${unread}`);
  say("use", remarks.join("; "));
}

function useRow({ name }) {
  const row = document.createElement("tr");
  const meter = document.createElement("meter");
  Object.assign(meter, { max: 1, low: 0.75, high: 0.9, optimum: 0 });
  meter.setAttribute("aria-label", `${name}: part of the limit`);
  const used = cell("");
  const percent = make("span", "");
  percent.dataset.of = "part";
  used.append(meter, " ", percent);
  row.append(rowHead(name), cell("", "number"), cell("", "number"), used);
  row.children[1].dataset.of = "now";
  row.children[2].dataset.of = "limit";
  return row;
}

// ---- What is asked for ----

// A pause keeps what was read; what is opened meanwhile is read once.
const stands = () => isPaused() && readAt > 0;

async function ask() {
  clearTimeout(timer);
  const mine = ++turn;
  const asked = shown;
  timer = setTimeout(ask, ASK_MS);
  // A hidden page asks nothing, and one that has lost the server says so already.
  if (!asked || document.hidden || document.documentElement.dataset.link === "lost" || stands()) return;
  clearTimeout(timer);
  const end = new AbortController();
  const bound = setTimeout(() => end.abort(), WAIT_MS);
  try {
    const query = new URLSearchParams({ world: asked.world, name: asked.name });
    const answer = await fetch(`/replica.json?${query}`, { signal: end.signal });
    const body = answer.ok ? await answer.json() : (await answer.text()).trim();
    if (mine === turn && !stands()) answer.ok ? take(body) : lack(body);
  } catch {
    if (mine === turn && !stands()) {
      lack(end.signal.aborted ? `no answer within ${WAIT_MS / 1000} s` : "the dashboard does not answer");
    }
  } finally {
    clearTimeout(bound);
  }
  if (mine === turn) timer = setTimeout(ask, ASK_MS);
}

function lack(why) {
  if (readAt) {
    note(`What is below was read at ${clock(readAt)}. Since then: ${why}`);
    return;
  }
  note(why);
  for (const words of panel.querySelectorAll("[data-asked]")) say(words.dataset.words, "unknown");
}

function take({ detail, health }) {
  note("");
  readAt = detail.at * 1000;
  put(of(panel, "read"), `Read at ${clock(readAt)}`);
  cgroup = detail.cgroup;
  declared = detail.declared;
  unread = detail.troubles.cgroup || "";
  amounts();
  draw(detail, health);
}

// ---- Events ----

addEventListener("hashchange", visit);
addEventListener("popstate", visit);
document.getElementById("panel-close").addEventListener("click", shut);
panel.addEventListener("close", () => sheet.matches && shown && !panel.open && shut()); // Escape, in a sheet
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.defaultPrevented && panel.open && !sheet.matches) shut();
});
sheet.addEventListener("change", () => shown && raise());
document.addEventListener("visibilitychange", () => shown && panel.dataset.gone === "no" && ask());
// The name in a row is a link, for the keyboard; the rest of the row is for the mouse.
document.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-row]");
  if (row && !event.target.closest("a") && getSelection().isCollapsed) location.hash = row.querySelector("a").hash;
});
visit();
