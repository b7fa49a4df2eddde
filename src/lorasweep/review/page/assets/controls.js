"use strict";
// Small parts: controls, each with its label; heads, lists.

/** Returns a choice among options ({value, label}); the values are texts. */
function chooser(label, options, chosen, change) {
  const found = d3.create("label").text(`${label} `);
  const select = found.append("select").attr("aria-label", label).on("change", (event) => change(event.target.value));
  select.selectAll("option").data(options).join("option")
    .attr("value", (option) => option.value)
    .property("selected", (option) => String(option.value) === String(chosen))
    .text((option) => option.label);
  return found.node();
}

/** Returns a slider over a list of options ({value, label}), which shows the chosen one's label. */
function slider(label, options, chosen, change) {
  const place = Math.max(0, options.findIndex((option) => option.value === chosen));
  const found = d3.create("label").attr("class", "slider").text(`${label} `);
  const output = d3.create("output").text(options[place]?.label ?? "");
  found.append("input").attr("type", "range").attr("aria-label", label)
    .attr("min", 0).attr("max", options.length - 1).attr("step", 1).property("value", place)
    .attr("aria-valuetext", options[place]?.label ?? "")
    .on("input", (event) => {
      const option = options[event.target.value];
      output.text(option.label);
      event.target.setAttribute("aria-valuetext", option.label);
      change(option.value);
    });
  found.append(() => output.node());
  return found.node();
}

function button(label, press, more = {}) {
  const found = document.createElement("button");
  found.type = "button";
  found.textContent = label;
  found.addEventListener("click", press);
  return Object.assign(found, more);
}

function titled(tag, words) {
  return d3.create(tag).text(words).node();
}

function group(name, parts) {
  const found = document.createElement("div");
  found.className = name;
  found.append(...parts);
  return found;
}

/** Returns a list of names and values. */
function pairs(facts) {
  const list = d3.create("dl");
  for (const [name, value] of facts) {
    list.append("dt").text(name);
    list.append("dd").text(text(value));
  }
  return list.node();
}

let dragged = null; // the slider that a pointer holds; to replace it would let go of it

/** Puts parts into an element, in the place of what was in it; a control that has the focus keeps it. */
function fill(element, parts) {
  if (dragged && element.contains(dragged)) return;
  const focused = element.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
  element.replaceChildren(...parts.filter(Boolean));
  if (focused) element.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
}

document.addEventListener("pointerdown", (event) => { dragged = event.target.closest("input[type=range]"); });
for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => { dragged = null; });
