"use strict";
// Parallel coordinates: a line per version through its settings and measures; a drag along an axis filters.

const PARALLEL = { height: 300, top: 44, bottom: 16, gap: 124, left: 60, right: 64 };

function parallelColumns() {
  const objective = page.versions[0]?.objective;
  const chosen = shownColumns().filter((column) => column.differs && !["version", "observations", "trial", "lora"].includes(column.id) && column.words.length <= 24);
  return chosen.some(({ id }) => id === objective) || !columnById.get(objective)?.differs ? chosen : [...chosen, columnById.get(objective)];
}

function drawParallel() {
  const { height, top, bottom, gap, left, right } = PARALLEL;
  const holder = document.getElementById("parallel");
  const chosen = parallelColumns();
  if (chosen.length < 2) return holder.replaceChildren();
  const step = Math.max(gap, (holder.clientWidth - left - right) / Math.max(1, chosen.length - 1));
  const x = (index) => left + index * step;
  const scales = chosen.map((column) => scaleOf(column, [height - bottom, top]));
  const svg = drawing(x(chosen.length - 1) + right, height, `${page.versions.length} versions as lines through ${chosen.map(({ label }) => label).join(", ")}`);
  const kept = new Set(filtered());
  const line = d3.line().defined(([, y]) => y !== null);
  const points = (version) => chosen.map((column, index) => {
    const found = position(column, version);
    return [x(index), found === null ? null : scales[index](found)];
  });
  const lines = svg.append("g").attr("class", "lines").selectAll("path").data(page.versions.toSorted((a, b) => kept.has(a) - kept.has(b)))
    .join("path").attr("d", (version) => line(points(version)))
    .attr("class", (version) => (kept.has(version) ? version.standing || "kept" : "left"))
    .style("--score", (version) => strength(version).toFixed(2));
  lively(lines);
  const axis = svg.append("g").selectAll("g").data(chosen).join("g").attr("class", "axis").attr("transform", (_, index) => `translate(${x(index)},0)`);
  axis.each(function (column, index) { d3.select(this).call(ticks(d3.axisLeft(scales[index]), column, 5)); });
  axis.append("text").attr("class", "name").attr("y", (_, index) => (index % 2 ? 28 : 12)).attr("text-anchor", "middle").text((column) => shortened(column.label, 32))
    .append("title").text((column) => column.title ?? column.label);
  axis.each(function (column, index) { axisBrush(d3.select(this), column, scales[index]); });
  holder.replaceChildren(svg.node());
}

function axisBrush(axis, column, scale) {
  const { height, top, bottom } = PARALLEL;
  const brush = d3.brushY().extent([[-12, top - BEYOND], [12, height - bottom + BEYOND]]).on("end", (event) => {
    if (!event.sourceEvent) return;
    brushBy({ [column.id]: event.selection ? event.selection.map(scale.invert).sort(d3.ascending) : null });
  });
  const group = axis.append("g").attr("class", "brush").attr("data-column", column.id).call(brush);
  const range = view.brushes[column.id];
  if (range) group.call(brush.move, range.map(scale).sort(d3.ascending));
}

onChange([...PICKING, "toggled"], drawParallel);
