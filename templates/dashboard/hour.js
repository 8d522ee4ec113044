// The last hour of both worlds as the server keeps it: samples of five minutes, means of ten seconds.
// Means are the server's alone, so that two pages, and a page that is loaded again, show the same.
import { SILENT_MS, known } from "./history.js";

export const FIGURES = ["rate", "mean_ms", "failed_per_s", "cpus", "memory_bytes"];
const HOUR_S = 3600;
const FINE_S = 300;
const MEAN_S = 10;
const MOST = { fine: 600, means: 361, events: 240 };

// Of each world two sets of columns, oldest first: `at` (of a mean: its beginning) and the figures.
export const hour = { since: null, why: "", restarted: false, worlds: {}, events: [], forgotten: false };
let ahead = 0; // the server's clock, before this page's own. Units: s.

export const now = () => performance.now() / 1000 + ahead;
const empty = () => Object.fromEntries(["at", ...FIGURES].map((name) => [name, []]));

export function remember({ now: there, hour: sent, events }) {
  ahead = there - performance.now() / 1000;
  if (hour.since !== null && hour.since !== sent.since) hour.restarted = true;
  Object.assign(hour, { since: sent.since, why: sent.why, worlds: sent.worlds, events: [] });
  happened(events);
  hour.forgotten = events.length > 0 && events[0].number > 1;
}

export function collect(sample) {
  ahead = sample.at - performance.now() / 1000;
  const world = (hour.worlds[sample.world] ||= { fine: empty(), means: empty() });
  if (sample.at < world.fine.at.at(-1)) {
    Object.assign(world, { fine: empty(), means: empty() });
    Object.assign(hour, { since: sample.at, why: "the clock was set back", restarted: false });
  }
  world.fine.at.push(sample.at);
  for (const name of FIGURES) world.fine[name].push(sample[name]);
  trim(world.fine, sample.at - FINE_S, MOST.fine);
}

export function extend(worlds) {
  for (const [name, { means }] of Object.entries(worlds)) {
    const kept = (hour.worlds[name] ||= { fine: empty(), means: empty() }).means;
    for (const column in kept) kept[column].push(...means[column]);
    trim(kept, kept.at.at(-1) - HOUR_S, MOST.means);
  }
}

export function happened(events) {
  hour.events.push(...events);
  const over = hour.events.length - MOST.events;
  if (over <= 0) return;
  hour.events.splice(0, over);
  hour.forgotten = true;
}

function trim(columns, from, most) {
  const old = Math.max(columns.at.findIndex((at) => at >= from), columns.at.length - most);
  for (const name in columns) columns[name].splice(0, old);
}

// What a range shows of a world, how long a point of it stands, and where in that time it is drawn.
export function shown(world, range) {
  const fine = range <= FINE_S;
  return {
    columns: (fine ? world?.fine : world?.means) || empty(),
    holds: fine ? SILENT_MS / 1000 : MEAN_S,
    middle: fine ? 0 : MEAN_S / 2,
  };
}

// The figures of the point that holds at a moment; null where nothing is known of it.
export function figuresAt({ columns, holds }, moment) {
  const place = columns.at.findLastIndex((at) => at <= moment);
  if (place < 0 || moment - columns.at[place] > holds) return null;
  return Object.fromEntries(FIGURES.map((name) => [name, columns[name][place]]));
}

// Docker's figure over the namespaces': how much, and which part; null where it cannot be told.
export function difference(net, docker) {
  if (!known(net) || !known(docker)) return { much: null, part: null };
  return { much: docker - net, part: net ? (docker - net) / net : null };
}
