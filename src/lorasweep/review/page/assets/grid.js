"use strict";
// The grid of pictures: any axis down, any axis across, the base fixed beside them.

let focus = [0, 0]; // row and column of the cell that the keyboard is at
let shownCells = []; // rows of what is at each point

/** Returns where the base stands: a column where each row has one, a row where each column has one. */
function baseSide() {
  const perRow = !["prompt", "seed"].includes(view.columns);
  const perColumn = !["prompt", "seed"].includes(view.rows);
  return perRow ? "column" : perColumn ? "row" : "none";
}

function drawGrid() {
  const [rows, across] = [axisValues(view.rows), axisValues(view.columns)];
  const fixed = fixedPoint();
  shownCells = rows.map((row) => across.map((column) => at({ ...fixed, [view.rows]: row.value, [view.columns]: column.value })));
  const scale = scoreScale(shownCells.flat().map(scoreOf));
  focus = [Math.min(focus[0], Math.max(0, rows.length - 1)), Math.min(focus[1], Math.max(0, across.length - 1))];
  const holder = document.getElementById("grid");
  const had = holder.contains(document.activeElement);
  const [left, top] = [holder.scrollLeft, holder.scrollTop];
  const side = baseSide();
  holder.style.setProperty("--size", `${view.size}px`);
  holder.dataset.base = side;
  if (!rows.length || !across.length) {
    fill(holder, [d3.create("p").attr("class", "empty").text("No pictures: no version that the filters leave has samples.").node()]);
    return;
  }
  const table = d3.create("table").attr("role", "grid").attr("aria-labelledby", "head-grid");
  const head = table.append("thead");
  const names = head.append("tr");
  names.append("td").attr("class", "corner").text(`${axisName(view.rows)} ↓  ${axisName(view.columns)} →`);
  if (side === "column") names.append("th").attr("scope", "col").attr("class", "base").text("base");
  names.selectAll("th.across").data(across).join("th").attr("class", "across").attr("scope", "col").each(heading);
  if (side === "row") {
    const line = head.append("tr").attr("class", "base");
    line.append("th").attr("scope", "row").text("base");
    line.selectAll("td").data(across).join("td").each(function (column) {
      baseCell(this, { ...fixed, [view.columns]: column.value });
    });
  }
  table.append("tbody").selectAll("tr").data(rows).join("tr").each(function (row, r) {
    const line = d3.select(this);
    line.append("th").attr("scope", "row").attr("class", "down").datum(row).each(heading);
    if (side === "column") line.append("td").attr("class", "base").each(function () { baseCell(this, { ...fixed, [view.rows]: row.value }); });
    line.selectAll("td.cell").data(shownCells[r]).join("td").attr("class", "cell").each(function (found, c) {
      pictureCell(this, found, scale, r, c);
    });
  });
  fill(holder, [table.node()]);
  [holder.scrollLeft, holder.scrollTop] = [left, top];
  if (had) moveTo(...focus);
}

function axisName(axis) {
  return axes().find(({ id }) => id === axis)?.label ?? axis;
}

/** Writes the head of a row or a column; that of a version opens it. */
function heading({ label, version }) {
  if (!version) return d3.select(this).attr("title", label).append("span").text(label);
  const marks = { best: " ★", same: " =" };
  d3.select(this).append(() => button(label + (marks[version.standing] ?? ""), () => update({ open: version.id }), {
    title: `${version.lora} ${version.name}: ${version.observations}`,
  }));
}

function baseCell(element, point) {
  const cell = baseOf(point.prompt, point.seed);
  if (cell === undefined) return;
  element.classList.add("base");
  show(element.appendChild(picture()), cell);
}

function picture() {
  const image = new Image();
  image.decoding = "async";
  image.loading = "lazy";
  return image;
}

function pictureCell(element, found, scale, row, column) {
  element.tabIndex = row === focus[0] && column === focus[1] ? 0 : -1;
  element.dataset.at = `${row},${column}`;
  if (found.cell === undefined) {
    element.classList.add("missing");
    element.textContent = found.version ? "no picture" : "no such version";
    return;
  }
  show(element.appendChild(picture()), found.cell);
  const score = scoreOf(found);
  mark(element, score, scale);
  const words = element.appendChild(document.createElement("span"));
  words.className = "under";
  words.textContent = note(found, score);
}

/** Returns what must be known of a cell and does not stand at its row or column. */
function note(found, score) {
  const used = [view.rows, view.columns];
  const parts = [];
  if (!used.includes("version")) parts.push(found.version.name + (found.among > 1 ? `, best of ${found.among}` : ""));
  if (!used.includes("epoch")) parts.push(`epoch ${found.epoch}`);
  if (isUnchanged(found.cell)) parts.push("same as the base");
  if (view.overlay !== "none" && score !== null) parts.push(number(score));
  return parts.join(" · ");
}

/** Moves the keyboard's place in the grid, and the focus with it. */
function moveTo(row, column) {
  const cell = (r, c) => document.querySelector(`#grid td[data-at="${r},${c}"]`);
  const next = cell(row, column);
  if (!next) return false;
  cell(...focus)?.setAttribute("tabindex", -1);
  focus = [row, column];
  next.setAttribute("tabindex", 0);
  next.focus();
  return true;
}

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function gridKey(event) {
  focus = event.target.dataset.at.split(",").map(Number);
  const step = STEPS[event.key];
  if (step) moveTo(focus[0] + step[0], focus[1] + step[1]);
  else if (event.key === "Home") moveTo(focus[0], 0);
  else if (event.key === "End") moveTo(focus[0], shownCells[0].length - 1);
  else if (event.key === "Enter") openPicture(...focus);
  else return;
  event.preventDefault();
}

document.getElementById("grid").addEventListener("keydown", (event) => { if (event.target.matches("td.cell")) gridKey(event); });
document.getElementById("grid").addEventListener("click", (event) => {
  const cell = event.target.closest("td.cell");
  if (!cell) return;
  moveTo(...cell.dataset.at.split(",").map(Number));
  openPicture(...focus);
});

/** Shows the base's pictures in all places, or each its own again. */
function flip(toBase) {
  for (const image of document.querySelectorAll("#grid td.cell img")) {
    const [row, column] = image.parentElement.dataset.at.split(",").map(Number);
    const found = shownCells[row][column];
    const base = baseOf(found.prompt, found.seed, found.version.at);
    show(image, toBase && base !== undefined ? base : found.cell);
  }
  document.getElementById("grid").classList.toggle("flipped", toBase);
}

const GRID = [...PICKING, "rows", "columns", "epoch", "version", "prompt", "seed", "strength", "settings", "size", "overlay", "metric", "picked"];
onChange(GRID, drawGrid);
