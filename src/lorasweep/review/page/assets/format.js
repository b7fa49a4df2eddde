"use strict";
// Values as text.

/** Returns a number as people write it: 8, 0.6149, 3.1e-4. */
function number(value) {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return String(value);
  if (size >= 1e-3 && size < 1e5) return String(Number(value.toPrecision(4)));
  return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
}

function text(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return number(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}

function signed(value) {
  return (value > 0 ? "+" : value < 0 ? "−" : "±") + number(Math.abs(value));
}

function duration(seconds) {
  if (seconds === null) return "";
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Number(seconds.toPrecision(2))} s`;
}

/** Returns a text that is shortened in its middle, where prompts differ least. */
function shortened(full, length = 60) {
  return full.length <= length ? full : `${full.slice(0, length / 2 - 1)} … ${full.slice(-length / 2 + 2)}`;
}

function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
