"use strict";
// The start, and what belongs to the whole page.

const THEMES = ["system", "light", "dark"];

function drawHead() {
  document.getElementById("title").textContent = page.title;
  const pictures = page.cells.version.length;
  document.getElementById("summary").textContent = [
    counted(page.versions.length, "version"), counted(pictures, "picture"), ...(page.groups.length === 1 ? page.groups : [`${page.groups.length} groups that compare`]),
  ].join(" · ");
}

function drawStudies() {
  const section = document.getElementById("section-studies");
  section.hidden = document.getElementById("to-studies").hidden = !page.plots.length;
  const figures = page.plots.map(({ study, title, address }) => {
    const figure = document.createElement("figure");
    const image = Object.assign(new Image(), { src: address, alt: `${title} of study ${study}`, loading: "lazy" });
    figure.append(image, d3.create("figcaption").text(`${study}: ${title}`).node());
    return figure;
  });
  document.getElementById("studies").replaceChildren(...figures);
}

/** Draws everything: at the start, and when a server had news. */
function drawPage() {
  drawHead();
  drawStudies();
  drawAll(Object.keys(view));
}

document.getElementById("theme").addEventListener("click", (event) => {
  const root = document.documentElement;
  const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "system") + 1) % THEMES.length];
  root.dataset.theme = next;
  event.target.textContent = `theme: ${next}`;
});
for (const link of document.querySelectorAll("[data-to]")) {
  link.addEventListener("click", (event) => { // the address behind # is the view's
    event.preventDefault();
    document.getElementById(`section-${link.dataset.to}`).scrollIntoView();
  });
}
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "[") stepEpoch(-1);
  else if (event.key === "]") stepEpoch(1);
  else if (event.key === "b" && !event.repeat) flip(true);
});
document.addEventListener("keyup", (event) => { if (event.key === "b") flip(false); });
window.addEventListener("resize", () => { drawParallel(); drawScatter(); });
drawPage();
