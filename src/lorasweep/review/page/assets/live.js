"use strict";
// A served page: the server tells when a version has gone on, and the page draws what is new.

const news = new EventSource("events");
const told = document.getElementById("live");
news.addEventListener("change", async () => {
  const answer = await fetch("data.json");
  if (!answer.ok) return;
  take(await answer.json());
  makeColumns();
  drawPage();
});
news.onopen = () => { told.textContent = "live"; };
news.onerror = () => { told.textContent = "the server has stopped; what you see stays"; };
