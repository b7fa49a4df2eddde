"use strict";
// What is looked at: kept in the address behind #, so that a reload or a copied link shows the same.

const view = {
  rows: "prompt", // axes of the grid
  columns: "version",
  epoch: "selected", // or a number
  version: "", // of a grid without the axis; "": the best of those that match the settings
  prompt: 0,
  seed: null, // null: the first that there is
  strength: null,
  settings: {}, // key -> value as JSON; only versions with it are in the grid
  size: 128, // of a picture, CSS pixels
  overlay: "none",
  metric: "", // of the scores; "": the first that there is
  search: "",
  filters: {}, // column -> what was typed below its head
  brushes: {}, // column -> [from, to] as `position` counts
  sort: "",
  down: false,
  toggled: [], // columns that are not as they are at first
  picked: [], // ids of the versions that the grid shows; none: all that the filters leave
  x: "", // axes of the scatter
  y: "",
  open: "", // id of the version whose own view is open
  against: "", // id of the version that it is compared with
};
const initial = structuredClone(view);
const listeners = [];

/** Calls a function after each change of one of these. */
function onChange(names, draw) {
  listeners.push({ names, draw });
}

/** Changes the view, and draws what depends on it. */
function update(changes) {
  Object.assign(view, changes);
  history.replaceState(null, "", `#${written(view)}`);
  drawAll(Object.keys(changes));
}

function drawAll(names) {
  forget();
  for (const { names: wanted, draw } of listeners) if (wanted.some((name) => names.includes(name))) draw();
}

function written(state) {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (JSON.stringify(value) === JSON.stringify(initial[name])) continue;
    parts.set(name, typeof value === "string" ? value : JSON.stringify(value));
  }
  return parts.toString();
}

/** Returns what the address says; what it gets wrong is left as it is at first. */
function fromAddress() {
  const state = structuredClone(initial);
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
    if (!(name in initial)) continue;
    const like = initial[name];
    try {
      const parsed = typeof like === "string" && !/^\d+$/.test(value) ? value : JSON.parse(value);
      const kind = (each) => (Array.isArray(each) ? "list" : typeof each);
      if (like === null || name === "epoch" || kind(parsed) === kind(like)) state[name] = parsed;
    } catch { /* a link that was cut */ }
  }
  return state;
}

window.addEventListener("hashchange", () => {
  Object.assign(view, fromAddress());
  drawAll(Object.keys(view));
});
Object.assign(view, fromAddress());
