// Shows how things move: asks for the page again, and takes over what is new in its living parts.
"use strict";

let timer;

function isInUse(part) {
  return part.contains(document.activeElement) || part.querySelector("input:checked") !== null;
}

function takeOver(fresh) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (!next) continue;
    Object.assign(part.dataset, { ...next.dataset });
    if (part.innerHTML !== next.innerHTML && !isInUse(part)) part.replaceChildren(...next.childNodes);
  }
}

async function refresh() {
  try {
    const answer = await fetch(location.href);
    if (!answer.ok || answer.redirected) return; // signed out meanwhile: nothing more to see
    takeOver(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // The server is away for a moment: ask again at the same pace.
  }
  plan();
}

function plan() {
  clearTimeout(timer);
  const seconds = Number(document.getElementById("moving")?.dataset.refresh);
  if (seconds && !document.hidden) timer = setTimeout(refresh, seconds * 1000);
}

document.addEventListener("visibilitychange", plan);
plan();
