"use strict";
// What is known of a version as a number or a word: columns of the table, axes of the plots.
//
// A column: id, label, title, value(version) -> number, text or null, written(version) -> text, shown: at first.

const SEEDS = [
  ["training.batch_size", "batch"],
  ["network.rank", "rank"],
  ["network.alpha", "alpha"],
  ["optimizer.lr", "LR U-Net"],
  ["optimizer.text_encoder_lr", "LR text encoder"],
];
let columns = [];
let columnById = new Map();

function makeColumns() {
  const own = (id, label, value, more = {}) => ({ id, label, value, written: (v) => text(value(v)), shown: true, ...more });
  const telling = tellingMetrics();
  const several = new Set(page.versions.map((v) => v.lora)).size > 1;
  columns = [
    ...(several ? [own("lora", "LoRA", (v) => v.lora)] : []),
    own("version", "version", (v) => Number(v.name.slice(1)), { written: (v) => v.name }),
    own("status", "status", (v) => v.status),
    own("epochs", "epochs", (v) => v.epochs.at(-1) ?? null),
    own("steps", "steps", (v) => v.steps.at(-1) ?? null),
    ...SEEDS.map(([key, label]) => own(key, label, (v) => setting(v, key), { title: key })),
    ...page.keys.filter(({ key }) => !SEEDS.some(([known]) => known === key))
      .map(({ key, name }) => own(key, name, (v) => setting(v, key), { title: key })),
    own("selected", "selected epoch", (v) => v.selected),
    ...page.metrics.map((metric) => own(metric.name, metric.label, (v) => v.metrics[metric.name]?.[0] ?? null, {
      metric, title: metric.meaning, written: (v) => measureText(v.metrics[metric.name]), shown: telling.has(metric.name),
    })),
    ...(page.versions.some((v) => v.diagnosis) ? [own("diagnosis", "diagnosis", (v) => v.diagnosis?.label ?? "", {})] : []),
    own("trial", "trial", (v) => v.trial?.[1] ?? null, { shown: false }),
    own("seconds", "time", (v) => v.seconds, { written: (v) => duration(v.seconds), shown: false }),
    own("observations", "observations", (v) => v.observations),
  ];
  for (const column of columns) describe(column);
  columnById = new Map(columns.map((column) => [column.id, column]));
}

/** Returns the metrics that have a column at first: the objectives, and the images' as evaluations measured them, if any did. */
function tellingMetrics() {
  const some = page.metrics.some((metric) => metric.evaluated);
  const images = page.metrics.filter(({ name, evaluated, direction }) => direction && name.includes("image/") && evaluated === some);
  return new Set([...page.versions.map((version) => version.objective), ...images.slice(0, 5).map(({ name }) => name)]);
}

/** Adds whether a column is of numbers, where its values lie, and whether they ask for a logarithmic scale. */
function describe(column) {
  const values = page.versions.map(column.value).filter((value) => value !== null && value !== "");
  column.numeric = values.length > 0 && values.every((value) => typeof value === "number");
  column.words = column.numeric ? [] : [...new Set(values.map(text))].sort(d3.ascending);
  column.extent = column.numeric ? d3.extent(values) : [0, column.words.length - 1];
  column.differs = new Set(values.map(text)).size > 1;
  column.log = column.numeric && column.extent[0] > 0 && column.extent[1] / column.extent[0] >= 20;
}

/** Returns where a version stands on a column as an axis: its number, or the place of its word; null without any. */
function position(column, version) {
  const value = column.value(version);
  if (value === null || value === "") return null;
  return column.numeric ? value : column.words.indexOf(text(value));
}

/** Returns the columns that can be an axis of a plot. */
function plottable() {
  return columns.filter((column) => column.differs && column.id !== "observations" && column.words.length <= 24);
}

function measureText(measured) {
  if (!measured) return "";
  const [value, low, high] = measured;
  return low === null || high === null ? number(value) : `${number(value)} (${number(low)} to ${number(high)})`;
}

makeColumns();
