// How figures and moments are written; what is not known is a dash.
import { known } from "./history.js";

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
// However large, in the width of a tile on a phone; what is saved is exact.
export const number = (value) =>
  !known(value) ? "–" : value >= 1e6 ? compact.format(value)
    : value >= 10 ? Math.round(value).toLocaleString("en") : value.toFixed(1);
export const time = (value) =>
  !known(value) ? "–" : value >= 1e5 ? number(value / 1000) + " s"
    : value >= 1e4 ? (value / 1000).toFixed(1) + " s" : (value >= 100 ? value.toFixed(0) : value.toFixed(1)) + " ms";
export const cores = (value) => (!known(value) ? "–" : value >= 1000 ? number(value) : value.toFixed(2));
export const part = (value, limit) =>
  !known(value) ? "–" : limit ? Math.round((100 * value) / limit) + " %" : "no limit";
export function size(value) {
  if (!known(value)) return "–";
  for (const unit of ["B", "kB", "MB"]) {
    if (value < 1000) return (value >= 100 || unit === "B" ? value.toFixed(0) : value.toFixed(1)) + " " + unit;
    value /= 1000;
  }
  return value.toFixed(1) + " GB";
}

export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");
