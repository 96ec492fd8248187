// Enhancements of the form and the letter's page. Everything works without them.
"use strict";

const KEPT = "letter";
const POSTING = "posting";
const DAY = 86400000; // milliseconds
const WRITTEN = ["recipient_email", "recipient_name", "subject", "body", "sender_name", "sender_email"];
const DRAFTED = [...WRITTEN, "timezone", "first_arrival", "first_date", "second_arrival", "second_date"];
const language = document.documentElement.lang;

// Storage may be disabled; then drafts are not kept.
function remember(store, key, value) {
  try {
    if (value === null) store.removeItem(key);
    else store.setItem(key, value);
  } catch {}
}

function recall(store, key) {
  try {
    return store.getItem(key);
  } catch {
    return null;
  }
}

function later(milliseconds, act) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, milliseconds);
  };
}

// Grapheme clusters: a family emoji is one, and so is 각 in three parts.
function countCharacters(text) {
  if (!Intl.Segmenter) return [...text].length;
  let count = 0;
  for (const _ of new Intl.Segmenter(language, { granularity: "grapheme" }).segment(text)) count += 1;
  return count;
}

// When the letter was written; now for a new one.
function writtenAt() {
  const { written } = document.getElementById("letter").dataset;
  return written ? Date.parse(written) : Date.now();
}

// The wall clock time in `zone` at a moment, as if it were UTC.
function wallAt(zone, moment) {
  const parts = new Intl.DateTimeFormat("en", {
    timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric",
    hour: "numeric", minute: "numeric", second: "numeric",
  }).formatToParts(moment);
  const read = (type) => Number(parts.find((part) => part.type === type).value);
  return Date.UTC(read("year"), read("month") - 1, read("day"), read("hour"), read("minute"), read("second"));
}

// The same hour `months` and `days` after writing, or exactly `seconds` later; clamped to the end of a shorter month.
function wallAfter(zone, { days, months, seconds }) {
  const wall = new Date(wallAt(zone, writtenAt() + seconds * 1000));
  const [year, month, day] = [wall.getUTCFullYear(), wall.getUTCMonth() + Number(months), wall.getUTCDate()];
  const last = new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
  return Date.UTC(year, month, Math.min(day, last) + Number(days)) + (wall % DAY);
}

// The hour of writing, on the day of a date field.
function wallOn(zone, day) {
  return Date.parse(`${day}T00:00Z`) + (wallAt(zone, writtenAt()) % DAY);
}

// An hour that `zone` skips is moved later by the gap, as on the server (PEP 495, fold 0).
function unskipped(zone, wall) {
  const [before, after] = [wall - DAY, wall + DAY].map((near) => wall - (wallAt(zone, near) - near));
  const exists = [before, after].some((moment) => wallAt(zone, moment) === wall);
  return exists ? wall : wallAt(zone, before);
}

function longDate(wall) {
  const format = (options) => new Intl.DateTimeFormat(language === "ko" ? "ko" : "en-GB", { timeZone: "UTC", ...options }).format(wall);
  const time = format({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const weekday = format({ weekday: "long" });
  const day = format({ year: "numeric", month: "long", day: "numeric" });
  if (language !== "ko") return `${weekday}, ${day}, ${time}`;
  return `${day} ${weekday} ${time}`;
}

// NaN while no day is chosen.
function wallOf(form, time) {
  const zone = form.timezone.value;
  const wall = time.dataset.day ? wallOn(zone, form.elements[time.dataset.day].value) : wallAfter(zone, time.dataset);
  return Number.isNaN(wall) ? wall : unskipped(zone, wall);
}

// The time of the chosen arrival; NaN without one.
function chosenWall(form, occasion) {
  const time = form.querySelector(`[name=${occasion}_arrival]:checked + label + :is(time, :has(time))`);
  return time ? wallOf(form, time.querySelector("time") || time) : NaN;
}

function keepDates(form) {
  const show = () => {
    for (const time of form.querySelectorAll(".choices time")) {
      const wall = wallOf(form, time);
      time.textContent = Number.isNaN(wall) ? "" : longDate(wall);
    }
    document.getElementById("order").hidden = !(chosenWall(form, "second") <= chosenWall(form, "first"));
  };
  form.addEventListener("change", show);
  form.addEventListener("input", later(300, show));
  setInterval(show, 30000);
  show();
}

function chooseZone(select, zone) {
  if (![...select.options].some((option) => option.value === zone)) select.add(new Option(zone.replaceAll("_", " "), zone), 0);
  select.value = zone;
}

function keepCount(form) {
  const place = document.getElementById("count");
  const show = () => {
    const count = countCharacters(form.elements.body.value);
    place.textContent = place.dataset.words.replace("{count}", new Intl.NumberFormat(language).format(count));
    place.hidden = false;
  };
  form.elements.body.addEventListener("input", later(150, show));
  show();
}

function keepDraft(form) {
  const read = () => Object.fromEntries(DRAFTED.map((name) => [name, form.elements[name].value]));
  const write = () => {
    const draft = read();
    const begun = WRITTEN.some((name) => draft[name]);
    remember(localStorage, KEPT, begun ? JSON.stringify(draft) : null);
    document.getElementById("saved").hidden = !begun || recall(localStorage, KEPT) === null;
  };
  const kept = JSON.parse(recall(localStorage, KEPT) || "null");
  if (kept && "fresh" in form.dataset) {
    for (const name of DRAFTED) {
      if (name === "timezone" && kept[name]) chooseZone(form.timezone, kept[name]);
      else form.elements[name].value = kept[name] || "";
    }
    document.getElementById("kept").hidden = false;
  }
  form.addEventListener("input", later(300, write));
  window.addEventListener("pagehide", write);
  document.getElementById("afresh").addEventListener("click", () => {
    const zone = form.timezone.value;
    form.reset();
    chooseZone(form.timezone, zone);
    write();
    document.getElementById("kept").hidden = true;
    form.elements.recipient_email.focus();
    form.dispatchEvent(new Event("input"));
    form.elements.body.dispatchEvent(new Event("input"));
  });
}

function postOnce(form) {
  const button = document.getElementById("post");
  form.addEventListener("submit", (event) => {
    if (event.submitter?.hasAttribute("formaction")) return;
    remember(sessionStorage, POSTING, "yes");
    button.disabled = true;
  });
  window.addEventListener("pageshow", () => {
    button.disabled = false;
  });
}

function write(form) {
  if ("unset" in form.timezone.dataset) {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (zone) chooseZone(form.timezone, zone);
  }
  if ("kept" in form.dataset) keepDraft(form);
  keepDates(form);
  keepCount(form);
  document.getElementById("summary")?.focus();
}

function offerPrint() {
  const button = document.getElementById("print");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

function begin() {
  offerPrint();
  const form = document.getElementById("letter");
  if (form) {
    remember(sessionStorage, POSTING, null);
    postOnce(form);
    if ("writing" in form.dataset) write(form);
  } else if (document.getElementById("posted") && recall(sessionStorage, POSTING)) {
    remember(localStorage, KEPT, null);
    remember(sessionStorage, POSTING, null);
  }
}

begin();
