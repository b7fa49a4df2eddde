"use strict";
// Any two columns against each other; a drag over the dots filters by both.

const SCATTER = { width: 640, height: 380, left: 64, right: 20, top: 16, bottom: 46 };
const FIRST = ["evaluated ", ""].flatMap((from) => [ // the pairs that say most
  [`${from}image/drift`, `${from}image/fidelity`], [`${from}image/adherence`, `${from}image/fidelity`],
]);

function scatterColumns() {
  const there = plottable();
  const find = (id) => there.find((column) => column.id === id);
  const measures = there.filter((column) => column.metric);
  const [x, y] = FIRST.find((pair) => pair.every(find)) ?? [measures[1]?.id ?? there[0]?.id, measures[0]?.id ?? there.at(-1)?.id];
  return [find(view.x) ?? find(x), find(view.y) ?? find(y)];
}

function drawScatter() {
  const [across, up] = scatterColumns();
  const holder = document.getElementById("scatter");
  if (!across || !up) return holder.replaceChildren();
  const options = plottable().map(({ id, label }) => ({ value: id, label }));
  fill(document.getElementById("scatter-controls"), [
    chooser("across", options, across.id, (x) => update({ x })), chooser("up", options, up.id, (y) => update({ y })),
  ]);
  const { height, left, right, top, bottom } = SCATTER;
  const width = Math.max(300, Math.min(SCATTER.width, holder.clientWidth));
  const [x, y] = [scaleOf(across, [left, width - right], withIntervals(across)), scaleOf(up, [height - bottom, top], withIntervals(up))];
  const svg = drawing(width, height, `${up.label} against ${across.label}, a dot for each version`);
  svg.append("g").attr("class", "axis").attr("transform", `translate(0,${height - bottom})`).call(ticks(d3.axisBottom(x), across, width / 90));
  svg.append("g").attr("class", "axis").attr("transform", `translate(${left},0)`).call(ticks(d3.axisLeft(y), up, 6));
  svg.append("text").attr("class", "name").attr("x", (left + width - right) / 2).attr("y", height - 8).attr("text-anchor", "middle").text(across.label + better(across));
  svg.append("text").attr("class", "name").attr("transform", `translate(13,${(top + height - bottom) / 2}) rotate(-90)`).attr("text-anchor", "middle").text(up.label + better(up));
  scatterBrush(svg.append("g").attr("class", "brush").attr("data-columns", `${across.id} ${up.id}`), [across, x], [up, y], width);
  const kept = new Set(filtered());
  const there = page.versions.filter((version) => position(across, version) !== null && position(up, version) !== null)
    .toSorted((a, b) => kept.has(a) - kept.has(b));
  const [px, py] = [(version) => x(position(across, version)), (version) => y(position(up, version))];
  const intervals = svg.append("g").attr("class", "intervals");
  for (const [column, scale, path] of [[across, x, (v, a, b) => `M${a},${py(v)}H${b}`], [up, y, (v, a, b) => `M${px(v)},${a}V${b}`]]) {
    if (!column.metric) continue;
    intervals.append("g").selectAll("path").data(there.filter((v) => kept.has(v) && (v.metrics[column.id]?.[1] ?? null) !== null)).join("path")
      .attr("d", (v) => path(v, scale(v.metrics[column.id][1]), scale(v.metrics[column.id][2])));
  }
  lively(svg.append("g").attr("class", "dots").selectAll("circle").data(there).join("circle")
    .attr("cx", px).attr("cy", py).attr("r", 6).attr("class", (version) => (kept.has(version) ? version.standing || "kept" : "left"))
    .style("--score", (version) => strength(version).toFixed(2)));
  if (there.length <= 30) {
    svg.append("g").attr("class", "names").selectAll("text").data(there.filter((version) => kept.has(version))).join("text")
      .attr("x", (version) => px(version) + 9).attr("y", (version) => py(version) + 4).text((version) => version.name);
  }
  holder.replaceChildren(svg.node());
}

/** Returns from where to where a column's values and their intervals reach. */
function withIntervals(column) {
  if (!column.metric) return column.extent;
  const ends = page.versions.flatMap((version) => version.metrics[column.id]?.slice(1, 3) ?? []);
  return d3.extent([...column.extent, ...ends.filter((end) => end !== null)]);
}

function better({ metric }) {
  return metric?.direction === "maximize" ? " (higher is better)" : metric?.direction === "minimize" ? " (lower is better)" : "";
}

function scatterBrush(group, [across, x], [up, y], width) {
  const { height, left, right, top, bottom } = SCATTER;
  const brush = d3.brush().extent([[left - BEYOND, top - BEYOND], [width - right + BEYOND, height - bottom + BEYOND]]).on("end", (event) => {
    if (!event.sourceEvent) return;
    const [from, to] = event.selection ?? [];
    const range = (scale, at) => (from ? [scale.invert(from[at]), scale.invert(to[at])].sort(d3.ascending) : null);
    brushBy({ [across.id]: range(x, 0), [up.id]: range(y, 1) });
  });
  group.call(brush);
  const [bx, by] = [view.brushes[across.id], view.brushes[up.id]];
  if (bx && by && across !== up) group.call(brush.move, [[x(bx[0]), y(by[1])], [x(bx[1]), y(by[0])]]);
}

onChange([...PICKING, "x", "y"], drawScatter);
