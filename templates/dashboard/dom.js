// What every part of the page does with its elements. Text is set as text, never as markup.

export const SVG = "http://www.w3.org/2000/svg";
// Each state has a shape too: a disc, a triangle, a square, a ring.
export const SHAPES = {
  up: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0",
  degraded: "M0-6L6 5L-6 5Z",
  down: "M-5-5H5V5H-5Z",
  absent: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0M-3 0a3 3 0 1 1 6 0a3 3 0 1 1-6 0",
};

export function put(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}
export function mark(element, name, value) {
  if (element && element.getAttribute(name) !== value) element.setAttribute(name, value);
}
export function of(root, name) {
  return root.querySelector(`[data-of="${name}"]`);
}
export function make(tag, text, kind) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}
export const cell = (text, kind) => make("td", text, kind);
export function rowHead(text) {
  const made = make("th", text);
  made.scope = "row";
  return made;
}

// Tell whether a key is no shortcut of the page's: it is typed somewhere, or a dialog is over the page.
export const isTyped = (event) =>
  event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog:modal") ||
  event.target.closest?.("textarea, select, [contenteditable], input:not([type=radio], [type=range])");

// Bring a list's elements to these rows, in order. What is shown already stays the same element, so
// that a selection in it, the focus and the scroll position stay too. Equal rows are told apart by
// their number.
export function keep(list, rows, key, create, refresh = () => {}) {
  const shown = new Map([...list.children].map((element) => [element.dataset.key, element]));
  const times = {};
  const wanted = rows.map((row) => {
    const name = key(row);
    times[name] = (times[name] || 0) + 1;
    return [`${name} ${times[name]}`, row];
  });
  const names = new Set(wanted.map(([name]) => name));
  for (const [name, element] of shown) if (!names.has(name)) element.remove();
  let place = list.firstElementChild;
  for (const [name, row] of wanted) {
    let element = shown.get(name);
    if (!element) {
      element = create(row);
      element.dataset.key = name;
    }
    refresh(element, row);
    if (element === place) place = place.nextElementSibling;
    else list.insertBefore(element, place);
  }
}
