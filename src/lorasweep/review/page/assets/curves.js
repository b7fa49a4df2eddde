"use strict";
// A version's measures over its epochs, beside the base's and another version's.

const CURVE = { width: 340, height: 190, left: 52, right: 12, top: 28, bottom: 26 };

/** Returns a drawing for each metric that was measured after epochs. */
function curves(version, other) {
  const names = page.metrics.map(({ name }) => name).filter((name) => version.curves[name]?.some((value) => value !== null));
  return names.map((name) => curve(version, other, name));
}

function curve(version, other, name) {
  const { width, height, left, right, top, bottom } = CURVE;
  const points = (each) => (each?.curves[name] ?? []).map((value, at) => [each.epochs[at], value]).filter(([, value]) => value !== null);
  const [own, theirs, base] = [points(version), points(other), version.base[name] ?? null];
  const all = [...own, ...theirs];
  const x = d3.scaleLinear(d3.extent([0, ...all.map(([epoch]) => epoch)]), [left, width - right]);
  const y = d3.scaleLinear(d3.extent([...all.map(([, value]) => value), ...(base === null ? [] : [base])]), [height - bottom, top]).nice();
  const label = metricInfo(name).label;
  const svg = drawing(width, height, `${label} of ${version.name} by epoch`);
  svg.append("g").attr("class", "axis").attr("transform", `translate(0,${height - bottom})`).call(d3.axisBottom(x).ticks(5).tickFormat(number));
  svg.append("g").attr("class", "axis").attr("transform", `translate(${left},0)`).call(d3.axisLeft(y).ticks(4).tickFormat(number));
  svg.append("text").attr("class", "name").attr("x", 4).attr("y", 14).text(label + better({ metric: metricInfo(name) }));
  if (base !== null) svg.append("path").attr("class", "base").attr("d", `M${left},${y(base)}H${width - right}`).append("title").text(`base: ${number(base)}`);
  if (version.selected !== null) svg.append("path").attr("class", "selected").attr("d", `M${x(version.selected)},${top}V${height - bottom}`).append("title").text(`selected: epoch ${version.selected}`);
  const line = d3.line(([epoch]) => x(epoch), ([, value]) => y(value));
  if (theirs.length) svg.append("path").attr("class", "other").attr("d", line(theirs));
  svg.append("path").attr("class", "own").attr("d", line(own));
  svg.append("g").selectAll("circle").data(own).join("circle").attr("class", "own").attr("r", 3.5)
    .attr("cx", ([epoch]) => x(epoch)).attr("cy", ([, value]) => y(value))
    .append("title").text(([epoch, value]) => `epoch ${epoch}: ${number(value)}`);
  return svg.node();
}
