"use strict";
// A version's own view: its pictures by epoch, its curves, what it differs in from another, what to type next.

const sheet = document.getElementById("version");

function drawVersion() {
  const version = page.versions.find(({ id }) => id === view.open);
  if (!version) return sheet.open && sheet.close();
  const other = page.versions.find(({ id }) => id === view.against) ?? defaultOther(version);
  const at = page.versions.indexOf(version);
  const near = (by) => page.versions[at + by] && update({ open: page.versions[at + by].id });
  const options = page.versions.filter((each) => each !== version).map((each) => ({ value: each.id, label: `${each.lora} ${each.name}` }));
  const bar = document.createElement("div");
  bar.className = "controls";
  bar.append(...[
    at > 0 && button("← previous", () => near(-1)), at < page.versions.length - 1 && button("next →", () => near(1)),
    other && chooser("beside", options, other.id, (id) => update({ against: id })),
    button("close", () => sheet.close()),
  ].filter(Boolean));
  fill(sheet, [
    titled("h2", `${version.lora} ${version.name}: ${version.status}`), bar, ...about(version),
    titled("h3", "Pictures by epoch"), strip(version),
    titled("h3", "Curves"), legend(version, other), group("curves", curves(version, other)),
    ...(other ? [titled("h3", `Settings that differ from ${other.lora} ${other.name}`), difference(version, other)] : []),
    titled("h3", "Commands"), group("commands", version.commands.map(command)),
    titled("h3", "Facts"), pairs(version.facts),
  ]);
  if (!sheet.open) sheet.showModal();
}

/** Returns the version to stand beside at first: the best of those that can be compared with it. */
function defaultOther(version) {
  return page.versions.filter((each) => each !== version).toSorted((a, b) => (b.group === version.group) - (a.group === version.group) || byObjective(a, b))[0];
}

function about(version) {
  const lines = [version.observations, version.because, page.groups[version.group]];
  const words = lines.filter(Boolean).map((line) => titled("p", line));
  const diagnosis = version.diagnosis && titled("p", `${version.diagnosis.label}: ${version.diagnosis.words}`);
  return [diagnosis, ...words].filter(Boolean);
}

/** Returns rows of pictures, one for each prompt and seed: the base, then every epoch. */
function strip(version) {
  const { strength: at } = fixedPoint();
  const places = new Map();
  page.cells.version.forEach((owner, cell) => {
    if (owner === version.at) places.set(`${page.cells.prompt[cell]}|${page.cells.seed[cell]}`, [page.cells.prompt[cell], page.cells.seed[cell]]);
  });
  const box = d3.create("div").attr("class", "strip scroll").attr("tabindex", 0).attr("role", "region").attr("aria-label", "pictures by epoch");
  const table = box.append("table");
  const epochs = [BASE, ...sampled[version.at]];
  table.append("thead").append("tr").selectAll("th").data([null, ...epochs]).join("th").attr("scope", "col")
    .text((epoch) => (epoch === null ? "prompt" : epoch === BASE ? "base" : epoch === version.selected ? `${epoch} selected` : epoch));
  for (const [prompt, seed] of places.values()) {
    const row = table.append("tr");
    row.append("th").attr("scope", "row").text(`${shortened(page.prompts[prompt], 70)} (seed ${seed})`);
    for (const epoch of epochs) {
      const cell = epoch === BASE ? baseOf(prompt, seed, version.at) : byPlace.get(place(version.at, epoch, prompt, seed, at));
      const holder = row.append("td").attr("class", epoch === version.selected ? "selected" : null).node();
      if (cell !== undefined) show(holder.appendChild(picture()), cell);
    }
  }
  return box.node();
}

function legend(version, other) {
  const found = d3.create("p").attr("class", "legend");
  for (const [name, words] of [["own", version.name], ...(other ? [["other", `${other.lora} ${other.name}`]] : []), ["base", "base"], ["selected", "selected epoch"]]) {
    found.append("span").attr("class", name).text(words);
  }
  return found.node();
}

function difference(version, other) {
  const keys = Object.keys(page.config.differing).filter((key) => JSON.stringify(setting(version, key)) !== JSON.stringify(setting(other, key)));
  if (!keys.length) return titled("p", "None: both were trained in the same way.");
  const table = d3.create("table").attr("class", "difference");
  table.append("thead").append("tr").selectAll("th").data(["key", version.name, other.name]).join("th").attr("scope", "col").text((head) => head);
  const rows = table.append("tbody").selectAll("tr").data(keys).join("tr");
  rows.append("th").attr("scope", "row").text((key) => key);
  for (const each of [version, other]) rows.append("td").text((key) => text(setting(each, key)) || "none");
  return table.node();
}

function command([what, line]) {
  const found = document.createElement("div");
  const code = document.createElement("code");
  code.textContent = line;
  const copy = button("copy", async () => {
    try {
      await navigator.clipboard.writeText(line);
      copy.textContent = "copied";
    } catch { // a page that may not: select it for the user
      getSelection().selectAllChildren(code);
    }
  }, { ariaLabel: `copy the command: ${what}` });
  found.append(titled("h4", what), code, copy);
  return found;
}

sheet.addEventListener("close", () => { if (view.open) update({ open: "" }); });
sheet.addEventListener("click", (event) => { if (event.target === sheet) sheet.close(); });
onChange(["open", "against"], drawVersion);
