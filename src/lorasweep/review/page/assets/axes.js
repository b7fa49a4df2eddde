"use strict";
// The axes of the grid, and the picture at a point of them.

/** Returns the axes that there are: id, label. */
function axes() {
  const settings = page.keys.map(({ key, name }) => ({ id: key, label: name }));
  const own = ["version", "epoch", "prompt", "seed", "strength"].map((id) => ({ id, label: id }));
  return [...own, ...settings.filter(({ id }) => id !== "seed")];
}

function isSetting(axis) {
  return !["version", "epoch", "prompt", "seed", "strength"].includes(axis);
}

/** Returns the values of an axis in order, each with its label. */
function axisValues(axis) {
  const versions = matching(view.settings);
  if (axis === "version") return versions.map((version) => ({ value: version.id, label: version.name, version }));
  if (axis === "prompt") return cellValues("prompt").map((value) => ({ value, label: page.prompts[value] }));
  if (axis === "epoch") {
    const epochs = [...new Set(versions.flatMap((version) => sampled[version.at]))].sort(d3.ascending);
    return epochs.map((value) => ({ value, label: `epoch ${value}` }));
  }
  if (!isSetting(axis)) return cellValues(axis).map((value) => ({ value, label: `${axis} ${value}` }));
  return settingValues(axis, versions).map((value) => ({ value, label: `${nameOf(axis)} ${text(value) || "none"}` }));
}

/** Returns the values that versions have for a setting, numbers by size. */
function settingValues(key, versions) {
  const found = new Map(versions.map((version) => [JSON.stringify(setting(version, key)), setting(version, key)]));
  return [...found.values()].sort((a, b) => (typeof a === "number" && typeof b === "number" ? a - b : d3.ascending(text(a), text(b))));
}

function nameOf(key) {
  return page.keys.find((each) => each.key === key)?.name ?? key;
}

/** Returns what pictures of the grid's versions have for a coordinate, ascending. */
function cellValues(name) {
  return once(`cells ${name}`, () => {
    const shown = new Set(gridVersions().map((version) => version.at));
    const values = new Set();
    page.cells[name].forEach((value, cell) => { if (shown.has(page.cells.version[cell])) values.add(value); });
    return [...values].sort(d3.ascending);
  });
}

/** Returns the grid's versions that have all these settings. */
function matching(settings) {
  const wanted = Object.entries(settings);
  return gridVersions().filter((version) => wanted.every(([key, json]) => JSON.stringify(setting(version, key)) === json));
}

/** Returns what is fixed where it is no axis. */
function fixedPoint() {
  const first = (name) => cellValues(name)[0];
  const strengths = cellValues("strength");
  return {
    version: view.version,
    epoch: view.epoch,
    prompt: view.prompt in page.prompts ? view.prompt : 0,
    seed: view.seed ?? first("seed"),
    strength: view.strength ?? (strengths.includes(1) ? 1 : strengths[0]),
  };
}

/**
 * Returns what is at a point: the version, the epoch it is shown at, the cell (undefined without a picture), and
 * among how many versions it is the best.
 */
function at(point) {
  const settings = { ...view.settings };
  for (const axis of Object.keys(point).filter(isSetting)) settings[axis] = JSON.stringify(point[axis]);
  const among = matching(settings).filter((version) => !point.version || version.id === point.version);
  const version = among.toSorted(byObjective)[0];
  if (!version) return { among: 0 };
  const epoch = epochFor(version, point.epoch, point);
  const cell = byPlace.get(place(version.at, epoch, point.prompt, point.seed, point.strength));
  return { ...point, version, epoch, cell, among: among.length };
}
