// What the page knows of the last three minutes: the samples of each world, and for how long each held.

export const KEPT_S = 180;
// A sample comes each second. After this long without one, what was shown is no longer known.
export const SILENT_MS = 8000;
const LETTERS = { up: "u", degraded: "g", down: "d", absent: "a" };

export const known = (value) => value !== null && value !== undefined;
export const span = (seconds) =>
  seconds < 120 ? Math.round(seconds) + " s" : (seconds / 60).toFixed(1).replace(".0", "") + " min";

// Of each world the samples of the last KEPT_S as columns, oldest first: `at` in seconds, `rates`,
// and `states` by replica, a letter for each sample, "-" where it was not seen.
export const kept = {};

// Give whether the sample is a new one.
export function take(world) {
  const all = (kept[world.world] ||= { at: [], rates: [], states: {} });
  const last = all.at[all.at.length - 1];
  if (world.at === last) return false; // the history has it
  if (world.at < last) Object.assign(all, { at: [], rates: [], states: {} }); // the clock was set back
  const states = {};
  for (const one of world.replicas) {
    states[one.name] = (all.states[one.name] || "-".repeat(all.at.length)) + LETTERS[one.state];
  }
  for (const name in all.states) states[name] ||= all.states[name] + "-";
  all.at.push(world.at);
  all.rates.push(world.rate);
  const old = all.at.findIndex((at) => at >= world.at - KEPT_S);
  all.at.splice(0, old);
  all.rates.splice(0, old);
  for (const name in states) states[name] = states[name].slice(old);
  all.states = states;
  return true;
}

// A sample holds until the next one; when that is late, nothing is known of the time between.
export function held(at, place) {
  const seconds = place + 1 < at.length ? at[place + 1] - at[place] : 1;
  return seconds * 1000 <= SILENT_MS ? seconds : 0;
}

// How much of the time in which it was really watched a replica served.
export function uptime(letters, at) {
  let up = 0;
  let observed = 0;
  for (let place = 0; place + 1 < letters.length; place++) {
    if (letters[place] === "-") continue;
    observed += held(at, place);
    if ("ug".includes(letters[place])) up += held(at, place);
  }
  return observed < 1 ? "" : `${Math.floor((100 * up) / observed)} % of ${span(observed)}`;
}
