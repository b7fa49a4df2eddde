"use strict";
// What the plots share: scales and axes of columns, brushes that filter.

const BEYOND = 9; // pixels that a brush may begin beyond an axis' ends, so that what stands there is easily in it

/** Returns a scale from a column's positions (or wider ones) to pixels; words stand at whole numbers. */
function scaleOf(column, range, [low, high] = column.extent) {
  if (column.log) return d3.scaleLog([low, high], range).nice();
  const pad = column.numeric ? 0 : 0.5;
  const scale = d3.scaleLinear(low === high ? [low - 1, high + 1] : [low - pad, high + pad], range);
  return column.numeric && low !== high ? scale.nice() : scale;
}

/** Gives an axis the ticks of its column: few numbers, or its words. */
function ticks(axis, column, count) {
  if (!column.numeric) return axis.tickValues(d3.range(column.words.length)).tickFormat((place) => shortened(column.words[place], 14));
  if (column.log) return axis.ticks(count, (value) => (/^[125]/.test(value.toExponential()) ? number(value) : ""));
  return axis.ticks(count).tickFormat(number);
}

/** Returns an empty drawing with a name for those who do not see it. */
function drawing(width, height, name) {
  return d3.create("svg").attr("viewBox", [0, 0, width, height]).attr("width", width).attr("height", height)
    .attr("role", "img").attr("aria-label", name);
}

/** Filters by a range of a column; null lets all through again. */
function brushBy(ranges) {
  const brushes = { ...view.brushes };
  for (const [id, range] of Object.entries(ranges)) {
    if (range) brushes[id] = range;
    else delete brushes[id];
  }
  update({ brushes });
}

/** Lets a mark that stands for a version show its picture, and open it. */
function lively(marks) {
  marks.on("pointermove", (event, version) => tip(event, version))
    .on("pointerleave", (event) => tip(event, null))
    .on("click", (_, version) => { tip(null, null); update({ open: version.id }); });
}

/** Returns the colour of a version: the better its objective among those shown, the stronger. */
function strength(version) {
  const known = page.versions.filter((each) => each.group === version.group && each.metrics[each.objective]).toSorted(byObjective);
  const place = known.indexOf(version);
  return place < 0 ? 0 : 1 - place / Math.max(1, known.length - 1);
}
