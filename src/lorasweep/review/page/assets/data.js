"use strict";
// What the page was given, and how its parts are found. The scripts share their top-level names; each file defines
// what those behind it use. Texts reach the page as text nodes and attributes only, never as HTML.

const page = {};
const BASE = 0; // the epoch of pictures without the adapter
const thumbnails = document.getElementById("thumbnails").textContent.split("\n");
let byPlace; // "version|epoch|prompt|seed|strength" -> number of the cell
let basePictures; // "prompt|seed" -> number of a cell of the bare base
let sampled; // for each version its epochs that have pictures, ascending, without the base
let epochsAt; // "version|prompt|seed|strength" -> those of one place

/** Takes data as the page's server or file has it, in the place of any earlier. */
function take(data) {
  Object.assign(page, data);
  page.versions.forEach((version, at) => { version.at = at; });
  byPlace = new Map();
  basePictures = new Map();
  epochsAt = new Map();
  const epochs = page.versions.map(() => new Set());
  const cells = page.cells;
  for (let cell = 0; cell < cells.version.length; cell++) {
    const of = (name) => cells[name][cell];
    byPlace.set(place(of("version"), of("epoch"), of("prompt"), of("seed"), of("strength")), cell);
    if (of("epoch") === BASE) basePictures.set(`${of("prompt")}|${of("seed")}`, cell);
    else {
      const line = `${of("version")}|${of("prompt")}|${of("seed")}|${of("strength")}`;
      epochsAt.set(line, [...epochsAt.get(line) ?? [], of("epoch")]);
      epochs[of("version")].add(of("epoch"));
    }
  }
  for (const found of epochsAt.values()) found.sort(d3.ascending);
  sampled = epochs.map((found) => [...found].sort(d3.ascending));
}

function place(version, epoch, prompt, seed, strength) {
  return `${version}|${epoch}|${prompt}|${seed}|${strength}`;
}

/** Returns a setting of a version by its dotted key. */
function setting(version, key) {
  const { common, differing } = page.config;
  return key in differing ? differing[key][version.at] : common[key] ?? null;
}

/** Returns the picture of the base that a cell is compared with, or undefined. */
function baseOf(prompt, seed, version) {
  const own = version === undefined ? undefined : byPlace.get(place(version, BASE, prompt, seed, 1));
  return own ?? basePictures.get(`${prompt}|${seed}`);
}

/**
 * Returns the last epoch up to the wanted one that has a picture at a place; undefined where none has. Where the
 * selected one is meant, a later one will do.
 */
function epochFor(version, wanted, { prompt, seed, strength }) {
  const there = epochsAt.get(`${version.at}|${prompt}|${seed}|${strength}`) ?? [];
  if (wanted !== "selected") return there.findLast((epoch) => epoch <= wanted);
  return there.findLast((epoch) => epoch <= (version.selected ?? Infinity)) ?? there[0];
}

/** Returns a metric's value of a version after an epoch. */
function valueAt(version, metric, epoch) {
  if (epoch === BASE) return version.base[metric] ?? null;
  return version.curves[metric]?.[version.epochs.indexOf(epoch)] ?? null;
}

function metricInfo(name) {
  return page.metrics.find((metric) => metric.name === name);
}

/** Returns a negative number where a version is better than another by what it was trained for. */
function byObjective(one, other) {
  const sign = one.direction === "maximize" ? -1 : 1;
  const value = (version) => version.metrics[version.objective]?.[0] ?? sign * Infinity;
  return sign * (value(one) - value(other)) || other.at - one.at;
}

take(JSON.parse(document.getElementById("data").textContent));
