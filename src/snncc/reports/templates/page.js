"use strict";
const tip = document.getElementById("tip");
function show(target, x, y) {
  tip.textContent = target.dataset.tip;
  tip.hidden = false;
  const right = document.documentElement.clientWidth + scrollX - tip.offsetWidth - 8;
  tip.style.left = Math.max(4 + scrollX, Math.min(x + 12, right)) + "px";
  tip.style.top = y + 14 + "px";
}
function hide() { tip.hidden = true; }
document.addEventListener("pointermove", (event) => {
  const target = event.target.closest("[data-tip]");
  if (target) { show(target, event.pageX, event.pageY); } else { hide(); }
});
document.addEventListener("focusin", (event) => {
  const target = event.target.closest("[data-tip]");
  if (!target) { hide(); return; }
  const box = target.getBoundingClientRect();
  show(target, box.right + scrollX, box.bottom + scrollY);
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") { hide(); } });
function value(cell) {
  const text = cell.dataset.value;
  return text === undefined ? cell.textContent : text === "" ? NaN : Number(text);
}
function compare(a, b) {
  if (typeof a === "string") { return a.localeCompare(b); }
  if (Number.isNaN(a) || Number.isNaN(b)) { return Number.isNaN(a) - Number.isNaN(b); }
  return a - b;
}
for (const header of document.querySelectorAll("table.sorts thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...header.childNodes);
  header.append(button);
  if (header.title) { button.dataset.tip = header.title; header.removeAttribute("title"); }
  button.addEventListener("click", () => {
    const down = header.getAttribute("aria-sort") === "descending" || !header.dataset.number;
    const turned = header.hasAttribute("aria-sort") ? !(header.getAttribute("aria-sort") === "ascending") : down;
    for (const other of header.parentNode.children) { other.removeAttribute("aria-sort"); }
    header.setAttribute("aria-sort", turned ? "ascending" : "descending");
    const body = header.closest("table").tBodies[0];
    const rows = [...body.rows].map((row) => [value(row.cells[header.cellIndex]), row]);
    const missing = rows.filter(([key]) => Number.isNaN(key));
    const known = rows.filter(([key]) => !Number.isNaN(key));
    known.sort(([a], [b]) => (turned ? compare(a, b) : compare(b, a)));
    for (const [, row] of [...known, ...missing]) { body.append(row); }
  });
}
addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details")) { part.open = true; } });
