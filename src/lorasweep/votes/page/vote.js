"use strict";
const $ = (id) => document.getElementById(id);
let shown = null; // number of the question on the page
let busy = false; // a vote is on its way: a second press must not answer the next question

async function ask(path, value) {
  const send = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) };
  const response = await fetch(path, value === undefined ? {} : send);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.refused);
  return answer;
}

function load(image, url) {
  return new Promise((resolve) => {
    image.onload = image.onerror = () => {
      image.classList.toggle("large", image.naturalWidth > 256);
      resolve();
    };
    image.src = url;
  });
}

async function show(state) {
  const [agreed, twice] = state.agreement;
  const again = twice ? `; of the pairs that you saw twice you judged ${agreed} of ${twice} alike` : "";
  $("name").textContent = `${state.name}: which picture is better?`;
  $("count").textContent = `${state.votes} votes${again}`;
  const over = state.prompt === null;
  $("ask").hidden = over;
  $("done").hidden = !over;
  if (over) {
    shown = null;
    return results();
  }
  // Both pictures first: one that comes sooner would be looked at longer.
  await Promise.all(["left", "right"].map((side) => load($(side).querySelector("img"), `picture/${state.number}/${side}`)));
  $("prompt").textContent = state.prompt;
  shown = state.number;
  const row = $("references").querySelector("div");
  if (state.references !== row.childElementCount) {
    row.replaceChildren(...Array.from({ length: state.references }, (_, index) => {
      const image = document.createElement("img");
      image.src = `reference/${index}`;
      image.alt = `training image ${index + 1}`;
      return image;
    }));
  }
  $("references").hidden = !state.references;
}

async function act(path, value) {
  if (busy) return;
  busy = true;
  try {
    await show(await ask(path, value));
    $("trouble").hidden = true;
    if (!$("results").hidden) await results();
  } catch (error) {
    $("trouble").textContent = `${error.message}; reload the page, or look at the terminal`;
    $("trouble").hidden = false;
  } finally {
    busy = false;
  }
}

function cell(text) {
  const made = document.createElement("td");
  made.textContent = text;
  return made;
}

async function results() {
  const found = await ask("results");
  $("results").querySelector("tbody").replaceChildren(...found.strengths.map((row) => {
    const line = document.createElement("tr");
    const numbers = [row.strength.toFixed(2), `${row.low.toFixed(2)} to ${row.high.toFixed(2)}`, row.won, row.tied, row.votes];
    line.append(...[row.label, ...numbers, row.as_good ? "best, or as good" : ""].map(cell));
    return line;
  }));
  const said = found.metrics.map((one) => `${one.label}: prefers the same in ${one.agrees} of ${one.decided} votes`);
  $("results").querySelector("ul").replaceChildren(...said.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
  $("results").hidden = false;
  $("show").hidden = true;
}

const vote = (choice) => shown !== null && act("vote", { number: shown, choice });
const keys = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie", t: "tie", s: "skip" };
for (const choice of ["left", "right", "tie", "skip"]) $(choice).addEventListener("click", () => vote(choice));
$("undo").addEventListener("click", () => act("undo", {}));
$("show").addEventListener("click", results);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.key === "u") act("undo", {});
  else if (event.key in keys) vote(keys[event.key]);
  else return;
  event.preventDefault();
});
act("question");
