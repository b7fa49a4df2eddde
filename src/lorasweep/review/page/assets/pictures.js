"use strict";
// Pictures of cells: thumbnails that lie in the page, full ones beside it.

const SHARP = 1.4; // times its own size that a thumbnail may be shown at before the full picture is asked for

function thumbnail(cell) {
  return thumbnails[cell] ? `data:image/webp;base64,${thumbnails[cell]}` : page.cells.file[cell];
}

/** Returns the best picture of a cell that this page can reach. */
function fullPicture(cell) {
  return page.cells.file[cell] || thumbnail(cell);
}

/** Returns what a picture shows, for those who do not see it, and below it in the lightbox. */
function caption(cell) {
  const cells = page.cells;
  const version = page.versions[cells.version[cell]];
  const epoch = cells.epoch[cell];
  const parts = [
    epoch === BASE ? "base" : `${version.lora} ${version.name}, epoch ${epoch}`,
    page.prompts[cells.prompt[cell]],
    `seed ${cells.seed[cell]}`,
  ];
  if (cells.strength[cell] !== 1 && epoch !== BASE) parts.push(`strength ${cells.strength[cell]}`);
  return parts.join(", ");
}

/** Returns whether a picture is the base's own: then its weights changed nothing, or were not applied. */
function isUnchanged(cell) {
  const { changed, version, epoch, prompt, seed } = page.cells;
  if (epoch[cell] === BASE) return false;
  if (changed[cell] !== undefined) return changed[cell] === 0;
  const base = baseOf(prompt[cell], seed[cell], version[cell]);
  return Boolean(thumbnails[cell]) && thumbnails[cell] === thumbnails[base];
}

/** Shows a cell in an <img>. */
function show(image, cell) {
  image.src = thumbnail(cell);
  image.alt = caption(cell);
  image.dataset.cell = cell;
  sharpener.unobserve(image);
  if (thumbnails[cell] && page.cells.file[cell]) sharpener.observe(image);
}

// Full pictures are asked for only where they are seen, and larger than what is there.
const sharpener = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    sharpener.unobserve(target);
    const sharpen = () => {
      const enough = target.naturalWidth * SHARP >= target.clientWidth * devicePixelRatio;
      if (!enough) load(target, Number(target.dataset.cell));
    };
    if (target.complete) sharpen();
    else target.addEventListener("load", sharpen, { once: true });
  }
});

function load(image, cell) {
  const full = new Image();
  full.onload = () => { if (Number(image.dataset.cell) === cell) image.src = full.src; };
  full.src = fullPicture(cell);
}

/** Shows a version's picture and values at the pointer; without a version nothing. */
function tip(event, version) {
  const box = document.getElementById("tip");
  box.hidden = !version;
  if (!version) return;
  const point = fixedPoint();
  const epoch = epochFor(version, point.epoch, point);
  const cell = byPlace.get(place(version.at, epoch, point.prompt, point.seed, point.strength));
  box.replaceChildren();
  if (cell !== undefined) show(box.appendChild(new Image()), cell);
  const words = box.appendChild(document.createElement("p"));
  words.textContent = [`${version.lora} ${version.name}`, ...columns
    .filter((column) => column.differs && column.shown && !["version", "observations", "lora"].includes(column.id))
    .map((column) => `${column.label} ${column.written(version)}`)].join("\n");
  const { clientX: x, clientY: y } = event;
  box.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - box.offsetWidth - 8))}px`;
  box.style.top = `${Math.max(4, Math.min(y + 14, innerHeight - box.offsetHeight - 8))}px`;
}
