"use strict";
// The table of versions: sorted, filtered, its columns chosen.

function shownColumns() {
  return columns.filter((column) => column.shown !== view.toggled.includes(column.id));
}

function drawTable() {
  const holder = document.getElementById("versions");
  const at = document.activeElement.closest("#versions tbody tr")?.dataset.id;
  if (document.activeElement.matches("#versions thead input")) return drawRows(holder, at);
  const table = d3.create("table").attr("aria-labelledby", "head-versions");
  const head = table.append("thead");
  const names = head.append("tr");
  names.append("th").attr("scope", "col").text("grid");
  names.append("th").attr("scope", "col").text("picture");
  names.selectAll("th.own").data(shownColumns()).join("th").attr("class", (column) => `own ${classOf(column)}`).attr("scope", "col")
    .attr("aria-sort", (column) => (column.id !== view.sort ? null : view.down ? "descending" : "ascending"))
    .append((column) => button(column.label, () => sortBy(column), { title: column.title ?? "", ariaLabel: `sort by ${column.label}` }));
  const filters = head.append("tr").attr("class", "narrow");
  filters.append("td");
  filters.append("td");
  filters.selectAll("td.own").data(shownColumns()).join("td").attr("class", (column) => `own ${classOf(column)}`).append("input")
    .attr("aria-label", (column) => `filter ${column.label}`).attr("size", 5)
    .property("value", (column) => view.filters[column.id] ?? "")
    .on("input", (event, column) => filterBy(column, event.target.value));
  table.append("tbody");
  fill(holder, [table.node()]);
  drawRows(holder, at);
}

/**
 * Writes the rows below heads that stay as they are: somebody may be typing into one of them.
 *
 * The row of the version `at` gets the focus, if there is one.
 */
function drawRows(holder, at) {
  const body = d3.select(holder).select("tbody");
  const versions = filtered();
  body.selectAll("tr").remove();
  const point = fixedPoint();
  const rows = body.selectAll("tr").data(versions).join("tr")
    .attr("data-id", (version) => version.id).attr("tabindex", (_, index) => (index ? -1 : 0))
    .attr("class", (version) => [version.standing, version.status].join(" "));
  rows.append("td").append("input").attr("type", "checkbox").attr("tabindex", -1)
    .attr("aria-label", (version) => `${version.name} in the grid`)
    .property("checked", (version) => view.picked.includes(version.id)).on("change", (_, version) => pick(version));
  rows.append("td").each(function (version) { smallPicture(this, version, point); });
  for (const column of shownColumns()) rows.append("td").attr("class", classOf(column)).each(function (version) { writeCell(this, column, version); });
  const again = at && holder.querySelector(`tr[data-id="${CSS.escape(at)}"]`);
  if (again) toRow(again);
}

function classOf({ id, numeric }) {
  if (id === "observations") return "long";
  if (id === "version") return "word name";
  return numeric ? "number" : "word";
}

function writeCell(element, column, version) {
  if (column.id === "version") {
    element.append(button(version.name, () => update({ open: version.id }), { tabIndex: -1 }));
    if (version.standing) element.append(d3.create("span").attr("class", "mark").text(version.standing === "best" ? " ★ best" : " = as good").node());
    return;
  }
  if (!column.metric) {
    element.textContent = column.written(version);
    if (column.id === "diagnosis") element.title = version.diagnosis?.words ?? "";
    return;
  }
  const measured = version.metrics[column.id];
  if (!measured) return;
  const [value, low, high, delta, deltaLow, deltaHigh] = measured;
  const add = (name, words, from, to) => {
    const line = d3.create("span").attr("class", name).text(words);
    if (from !== null && to !== null) line.append("span").attr("class", "interval").text(` ${number(from)} to ${number(to)}`);
    element.append(line.node());
  };
  if (delta !== null) add("delta", signed(delta), deltaLow, deltaHigh);
  add("value", number(value), low, high);
}

function smallPicture(element, version, point) {
  const epoch = epochFor(version, "selected", point);
  const cell = byPlace.get(place(version.at, epoch, point.prompt, point.seed, point.strength));
  if (cell !== undefined) show(element.appendChild(picture()), cell);
}

function sortBy(column) {
  if (view.sort === column.id) update(view.down ? { sort: "", down: false } : { down: true });
  else update({ sort: column.id, down: false });
}

function filterBy(column, typed) {
  const filters = { ...view.filters, [column.id]: typed };
  if (!typed.trim()) delete filters[column.id];
  update({ filters });
}

/** Puts a version among those that the grid shows, or takes it out. */
function pick(version) {
  const without = view.picked.filter((id) => id !== version.id);
  update({ picked: without.length < view.picked.length ? without : [...without, version.id] });
}

function toRow(row) {
  for (const other of row.parentElement.children) other.tabIndex = -1;
  row.tabIndex = 0;
  row.focus();
}

document.getElementById("versions").addEventListener("keydown", (event) => {
  const row = event.target.closest("tbody tr");
  if (!row || event.target.matches("input, button")) return;
  const version = page.versions.find((each) => each.id === row.dataset.id);
  const next = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling, Home: row.parentElement.firstElementChild, End: row.parentElement.lastElementChild }[event.key];
  if (next) toRow(next);
  else if (event.key === " ") pick(version);
  else if (event.key === "Enter") update({ open: version.id });
  else return;
  event.preventDefault();
});

/** Writes which columns there are, and how much the filters leave. */
function drawChoices() {
  const box = d3.select("#columns .choices");
  box.selectAll("label").data(columns, (column) => column.id).join((enter) => {
    const label = enter.append("label");
    label.append("input").attr("type", "checkbox").on("change", (_, column) => toggle(column));
    label.append("span").text((column) => column.label);
    return label;
  }).select("input").property("checked", (column) => shownColumns().includes(column));
}

function toggle(column) {
  const { toggled } = view;
  update({ toggled: toggled.includes(column.id) ? toggled.filter((id) => id !== column.id) : [...toggled, column.id] });
}

function drawFilters() {
  const kept = filtered().length;
  document.getElementById("count").textContent = `${kept} of ${counted(page.versions.length, "version")}`;
  const search = document.getElementById("search");
  if (search !== document.activeElement) search.value = view.search;
  const chips = [
    ...Object.entries(view.filters).map(([id, typed]) => ["filters", id, typed]),
    ...Object.entries(view.brushes).map(([id, range]) => ["brushes", id, rangeText(columnById.get(id), range)]),
  ];
  fill(document.getElementById("chips"), chips.map(([kind, id, words]) => button(`${columnById.get(id)?.label ?? id}: ${words} ×`, () => {
    const left = { ...view[kind] };
    delete left[id];
    update({ [kind]: left });
  }, { className: "chip", ariaLabel: `remove the filter on ${columnById.get(id)?.label ?? id}` })));
  document.getElementById("clear").hidden = !chips.length && !view.search;
  document.getElementById("unpick").hidden = !view.picked.length;
}

function rangeText(column, [from, to]) {
  if (!column) return "";
  if (column.numeric) return `${number(from)} to ${number(to)}`;
  return column.words.filter((_, place) => from <= place && place <= to).join(", ") || "none";
}

document.getElementById("search").addEventListener("input", (event) => update({ search: event.target.value }));
document.getElementById("clear").addEventListener("click", () => update({ search: "", filters: {}, brushes: {} }));
document.getElementById("unpick").addEventListener("click", () => update({ picked: [] }));
onChange([...PICKING, "toggled", "picked"], drawTable);
onChange(["toggled"], drawChoices);
onChange([...PICKING, "picked"], drawFilters);
