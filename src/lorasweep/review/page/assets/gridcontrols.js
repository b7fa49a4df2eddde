"use strict";
// What stands above the grid: its axes, the epoch, what is fixed, sliders of the settings, scores.

function drawGridControls() {
  const options = axes().map(({ id, label }) => ({ value: id, label }));
  fill(document.getElementById("grid-controls"), [
    chooser("rows", options, view.rows, (axis) => setAxis("rows", axis)),
    button("⇄", () => update({ rows: view.columns, columns: view.rows }), { title: "swap rows and columns", ariaLabel: "swap rows and columns" }),
    chooser("columns", options, view.columns, (axis) => setAxis("columns", axis)),
    ...fixedControls(),
    chooser("scores", OVERLAYS.map((value) => ({ value, label: value })), view.overlay, (overlay) => update({ overlay })),
    view.overlay !== "none" && chooser("of", page.metrics.map(({ name, label }) => ({ value: name, label })), scored(), (metric) => update({ metric })),
    slider("size", [48, 64, 96, 128, 160, 192, 256, 384, 512].map((value) => ({ value, label: `${value} px` })), view.size, (size) => update({ size })),
  ]);
  fill(document.getElementById("grid-sliders"), [epochSlider(), ...settingSliders()]);
}

/** Makes an axis one of the grid's; the other one gives way where it was the same. */
function setAxis(side, axis) {
  const other = side === "rows" ? "columns" : "rows";
  update(view[other] === axis ? { [side]: axis, [other]: view[side] } : { [side]: axis });
}

/** Returns a control for each coordinate that is no axis and has several values. */
function fixedControls() {
  const free = (axis) => view.rows !== axis && view.columns !== axis;
  const point = fixedPoint();
  const several = (axis) => free(axis) && axisValues(axis).length > 1;
  const byVersion = [{ value: "", label: "the best that fits" }, ...axisValues("version")];
  const prompts = axisValues("prompt").map(({ value, label }) => ({ value, label: shortened(label) }));
  return [
    several("version") && chooser("version", byVersion, view.version, (version) => update({ version })),
    several("prompt") && chooser("prompt", prompts, point.prompt, (prompt) => update({ prompt: Number(prompt) })),
    several("seed") && slider("seed", axisValues("seed").map(({ value }) => ({ value, label: String(value) })), point.seed, (seed) => update({ seed })),
    several("strength") && slider("strength", axisValues("strength").map(({ value }) => ({ value, label: String(value) })), point.strength, (strength) => update({ strength })),
  ];
}

/** Returns the one slider that moves every picture, each to the last epoch of its version that is not beyond. */
function epochSlider() {
  if (view.rows === "epoch" || view.columns === "epoch") return null;
  return slider("epoch", epochOptions(), view.epoch, (epoch) => update({ epoch }));
}

function epochOptions() {
  const epochs = axisValues("epoch").map(({ value }) => ({ value, label: `epoch ${value}` }));
  return [{ value: "selected", label: "each version's selected" }, ...epochs];
}

/** Moves the epoch by some places of its slider. */
function stepEpoch(by) {
  const options = epochOptions();
  const now = options.findIndex(({ value }) => value === view.epoch);
  const next = options[Math.max(0, Math.min(options.length - 1, now + by))];
  update({ epoch: next.value });
}

/** Returns a slider for each setting that differs: the grid shows the versions that have its value. */
function settingSliders() {
  const versions = gridVersions();
  return page.keys.filter(({ key }) => key !== view.rows && key !== view.columns).map(({ key, name }) => {
    const values = settingValues(key, versions).map((value) => ({ value: JSON.stringify(value), label: text(value) || "none" }));
    if (values.length < 2) return null;
    return slider(name, [{ value: undefined, label: "any" }, ...values], view.settings[key], (value) => {
      const settings = { ...view.settings, [key]: value };
      if (value === undefined) delete settings[key];
      update({ settings });
    });
  });
}

onChange([...PICKING, "rows", "columns", "epoch", "version", "prompt", "seed", "strength", "settings", "overlay", "metric", "picked", "size"], drawGridControls);
