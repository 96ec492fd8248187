// Live updates: fetches the page again, and replaces its [data-live] parts.
"use strict";

let timer;

function isInUse(part) {
  return part.contains(document.activeElement) || part.querySelector("input:checked") !== null;
}

function update(fresh) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (!next) continue;
    Object.assign(part.dataset, { ...next.dataset });
    if (part.innerHTML !== next.innerHTML && !isInUse(part)) part.replaceChildren(...next.childNodes);
  }
}

async function refresh() {
  try {
    const response = await fetch(location.href);
    if (!response.ok || response.redirected) return; // signed out
    update(new DOMParser().parseFromString(await response.text(), "text/html"));
  } catch {
    // The server is unavailable: retry at the same interval.
  }
  schedule();
}

function schedule() {
  clearTimeout(timer);
  const seconds = Number(document.getElementById("moving")?.dataset.refresh);
  if (seconds && !document.hidden) timer = setTimeout(refresh, seconds * 1000);
}

document.addEventListener("visibilitychange", schedule);
schedule();
