"use strict";
// Which versions are shown, and in which order: search, filters below the heads, brushes, sorting.

let remembered = new Map(); // what was worked out since the view last changed

/** Returns what a function works out, once for each view. */
function once(name, work) {
  if (!remembered.has(name)) remembered.set(name, work());
  return remembered.get(name);
}

function forget() {
  remembered = new Map();
}

/** Returns the versions that all filters leave, sorted. */
function filtered() {
  return once("filtered", filterAndSort);
}

function filterAndSort() {
  const words = view.search.toLowerCase().split(/\s+/).filter(Boolean);
  const kept = page.versions.filter((version) => matches(version, words));
  const column = columnById.get(view.sort);
  if (!column) return kept;
  const sign = view.down ? -1 : 1;
  return kept.toSorted((one, other) => {
    const [a, b] = [position(column, one), position(column, other)];
    if (a === null || b === null) return (a === null) - (b === null); // what lacks the value comes last
    return sign * (a - b) || one.at - other.at;
  });
}

/** Returns the versions that the grid is about. */
function gridVersions() {
  return once("grid", () => {
    const kept = filtered();
    const picked = kept.filter((version) => view.picked.includes(version.id));
    return (picked.length ? picked : kept).filter((version) => sampled[version.at].length);
  });
}

function matches(version, words) {
  const all = words.length ? columns.map((column) => column.written(version)).join(" ").toLowerCase() : "";
  return words.every((word) => all.includes(word))
    && Object.entries(view.filters).every(([id, typed]) => !columnById.has(id) || fits(columnById.get(id), version, typed))
    && Object.entries(view.brushes).every(([id, range]) => !columnById.has(id) || lies(columnById.get(id), version, range));
}

function lies(column, version, [from, to]) {
  const found = position(column, version);
  return found !== null && from <= found && found <= to;
}

/** Returns whether a version fits what was typed below a head: >8, <=1e-4, 4..16, or a part of the text. */
function fits(column, version, typed) {
  const value = column.value(version);
  const range = typed.match(/^\s*(-?[\d.]+(?:e[-+]?\d+)?)\s*\.\.\s*(-?[\d.]+(?:e[-+]?\d+)?)\s*$/i);
  const limit = typed.match(/^\s*([<>]=?|=)\s*(\S+)\s*$/);
  if (range && column.numeric) return value !== null && Number(range[1]) <= value && value <= Number(range[2]);
  if (limit && column.numeric) {
    const bound = Number(limit[2]);
    const holds = { "<": (v) => v < bound, "<=": (v) => v <= bound, ">": (v) => v > bound, ">=": (v) => v >= bound, "=": (v) => v === bound };
    return Number.isNaN(bound) || (value !== null && holds[limit[1]](value));
  }
  return column.written(version).toLowerCase().includes(typed.trim().toLowerCase());
}

const PICKING = ["search", "filters", "brushes", "sort", "down"];
