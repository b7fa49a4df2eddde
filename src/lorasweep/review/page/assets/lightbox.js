"use strict";
// One picture large, beside what is known of it; before/after against the base or another version.

const lightbox = document.getElementById("lightbox");
let against = "base"; // what the slider compares with: "base", "" for nothing, or a version's id

/** Opens the picture of a cell of the grid. */
function openPicture(row, column) {
  const found = shownCells[row]?.[column];
  if (!found || found.cell === undefined) return;
  drawPicture(found);
  if (!lightbox.open) lightbox.showModal();
}

function drawPicture(found) {
  const other = against === "base" ? baseOf(found.prompt, found.seed, found.version.at) : cellOf(against, found);
  const head = d3.create("h2").text(`${found.version.lora} ${found.version.name}, epoch ${found.epoch}`).node();
  const figure = document.createElement("figure");
  figure.append(other === undefined || other === found.cell ? enlarged(found.cell) : compared(other, found.cell));
  figure.append(d3.create("figcaption").text(page.prompts[found.prompt]).node());
  const choices = [{ value: "", label: "nothing" }, { value: "base", label: "the base" },
    ...gridVersions().filter((version) => version !== found.version).map((version) => ({ value: version.id, label: `${version.lora} ${version.name}` }))];
  const bar = document.createElement("div");
  bar.className = "controls";
  bar.append(
    button("←", () => beside(0, -1), { ariaLabel: "left in the grid" }), button("→", () => beside(0, 1), { ariaLabel: "right in the grid" }),
    button("↑", () => beside(-1, 0), { ariaLabel: "up in the grid" }), button("↓", () => beside(1, 0), { ariaLabel: "down in the grid" }),
    chooser("compare with", choices, against, (value) => { against = value; drawPicture(found); }),
    button("its own view", () => { lightbox.close(); update({ open: found.version.id }); }),
    button("close", () => lightbox.close()),
  );
  fill(lightbox, [head, bar, group("beside", [figure, known(found)])]);
}

/** Returns the cell of another version at the same place. */
function cellOf(id, found) {
  const version = page.versions.find((each) => each.id === id);
  if (!version) return undefined;
  const epoch = epochFor(version, view.epoch === "selected" ? "selected" : found.epoch, found);
  return byPlace.get(place(version.at, epoch, found.prompt, found.seed, found.strength));
}

function enlarged(cell) {
  const image = new Image();
  image.alt = caption(cell);
  image.src = fullPicture(cell);
  return image;
}

/** Returns a slider between two pictures, the one that is compared with on the left. */
function compared(before, after) {
  const both = document.createElement("div");
  const sides = document.createElement("p");
  sides.className = "sides";
  sides.append(...[before, after].map((cell) => d3.create("span").text(caption(cell).split(",").slice(0, 2).join(",")).node()));
  const slide = document.createElement("img-comparison-slider");
  slide.setAttribute("aria-label", `before and after: ${caption(before)}; ${caption(after)}`);
  slide.append(Object.assign(enlarged(before), { slot: "first" }), Object.assign(enlarged(after), { slot: "second" }));
  both.append(sides, slide);
  return both;
}

/** Returns what is known of a picture, scores first. */
function known(found) {
  const cell = found.cell;
  const cells = page.cells;
  const facts = page.metrics.map(({ name, label }) => [label, cells.scores[name]?.[cell] ?? valueAt(found.version, name, found.epoch)]);
  const { files, epochs } = found.version;
  const change = isUnchanged(cell) ? "none: the same picture; were the weights applied?" : cells.changed[cell];
  facts.push(["seed", found.seed], ["strength", found.strength], ["weights", cells.weights[cell]],
    ["weights file", files[epochs.indexOf(found.epoch)]], ["change against the base", change],
    ...page.keys.map(({ key, name }) => [name, setting(found.version, key)]), ["picture", cells.file[cell]]);
  return pairs(facts.filter(([, value]) => value !== null && value !== undefined && value !== ""));
}

/** Goes to a neighbour in the grid. */
function beside(down, right) {
  const [row, column] = [focus[0] + down, focus[1] + right];
  if (shownCells[row]?.[column]?.cell === undefined) return;
  focus = [row, column];
  openPicture(row, column);
}

lightbox.addEventListener("keydown", (event) => {
  const step = STEPS[event.key];
  if (!step || event.target.matches("img-comparison-slider, select, input")) return;
  event.preventDefault();
  beside(...step);
});
lightbox.addEventListener("click", (event) => { if (event.target === lightbox) lightbox.close(); });
lightbox.addEventListener("close", () => moveTo(...focus));
