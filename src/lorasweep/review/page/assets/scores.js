"use strict";
// Scores on the grid's pictures: as an outline, a bar or a heat map, from the worst shown (0) to the best (1).

const OVERLAYS = ["none", "outline", "bars", "heat map"];

/** Returns the name of the metric that the scores are of. */
function scored() {
  return metricInfo(view.metric)?.name ?? page.metrics[0]?.name ?? "";
}

/** Returns a metric's value of what is at a point: the picture's own, else the version's after that epoch. */
function scoreOf(found) {
  if (found.cell === undefined) return null;
  return page.cells.scores[scored()]?.[found.cell] ?? valueAt(found.version, scored(), found.epoch);
}

/** Returns a function from a score to 0 (the worst of these) .. 1 (the best). */
function scoreScale(scores) {
  const [low, high] = d3.extent(scores.filter((score) => score !== null));
  const best = metricInfo(scored())?.direction === "minimize" ? [high, low] : [low, high];
  return low === high ? () => 0.5 : d3.scaleLinear(best, [0, 1]);
}

/** Marks an element with its score; the look of each overlay stands in the style sheet. */
function mark(element, score, scale) {
  element.dataset.overlay = score === null ? "none" : view.overlay;
  if (score !== null) element.style.setProperty("--score", scale(score).toFixed(3));
}
