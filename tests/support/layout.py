"""What a script in the page finds wrong with its layout."""

from __future__ import annotations

#: What is wrong with a page's layout, a line each. A box that scrolls may hide what it holds.
FAULTS = """() => {
  const faults = [], texts = [];
  const clipped = (rect, element) => {
    const box = element.closest(".wide, #log")?.getBoundingClientRect();
    if (!box) return rect;
    const left = Math.max(rect.left, box.left), right = Math.min(rect.right, box.right);
    const top = Math.max(rect.top, box.top), bottom = Math.min(rect.bottom, box.bottom);
    return right > left && bottom > top ? {left, right, top, bottom} : null;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    if (!node.textContent.trim() || parent.closest("noscript, title, .skip, [hidden]")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const whole of range.getClientRects()) {
      const rect = clipped(whole, parent);
      if (!rect) continue;
      const name = `"${node.textContent.trim().slice(0, 40)}"`;
      if (rect.left < -0.5 || rect.right > innerWidth + 0.5) faults.push(`${name} leaves the page`);
      const frame = (parent.closest("g.node")?.querySelector("rect") || parent.closest(
        "#charts svg, button, label, .tiles div, td, th, p, h1, h2, h3, figcaption, li, a"))
        ?.getBoundingClientRect();
      if (frame && !parent.closest("li") && (whole.left < frame.left - 0.5
          || whole.right > frame.right + 0.5 || whole.top < frame.top - 2
          || whole.bottom > frame.bottom + 2)) faults.push(`${name} leaves its box`);
      const slack = (rect.bottom - rect.top) * 0.12;  // letters do not fill their line
      texts.push({name, node, left: rect.left + 0.5, right: rect.right - 0.5,
                  top: rect.top + slack, bottom: rect.bottom - slack});
    }
  }
  const over = (a, b) =>
    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  texts.forEach((a, place) => {
    for (const b of texts.slice(place + 1)) {
      if (a.node !== b.node && over(a, b)) faults.push(`${a.name} and ${b.name} overlap`);
    }
  });
  for (const svg of document.querySelectorAll(".map svg")) {
    const boxes = [...svg.querySelectorAll(".node rect")].map((rect) => rect.getBBox());
    const whole = svg.viewBox.baseVal;
    for (const line of svg.querySelectorAll(".line")) {
      const length = line.getTotalLength();
      for (let way = 0; way <= length; way += 2) {
        const {x, y} = line.getPointAtLength(way);
        if (x < 0 || x > whole.width || y < 0 || y > whole.height) {
          faults.push(`line ${line.dataset.line} leaves the map`);
          break;
        }
        if (boxes.some((box) => x > box.x + 1 && x < box.x + box.width - 1
            && y > box.y + 1 && y < box.y + box.height - 1)) {
          faults.push(`line ${line.dataset.line} is behind a box`);
          break;
        }
      }
    }
  }
  for (const box of document.querySelectorAll(".wide")) {
    const more = box.scrollWidth > box.clientWidth;
    if (box.previousElementSibling.hidden === more) faults.push(`${box.textContent.trim()
      .slice(0, 20)}: ${more ? "goes on unseen" : "is said to go on"}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) faults.push("the page scrolls sideways");
  return [...new Set(faults)];
}"""
