// The little that a page does by itself. Everything works without it.
"use strict";

const KEPT = "letter";
const POSTING = "posting";
const WRITTEN = ["recipient_email", "recipient_name", "subject", "body", "sender_name", "sender_email"];
const DRAFTED = [...WRITTEN, "timezone", "first_arrival", "first_date", "second_arrival", "second_date"];
const language = document.documentElement.lang;

// Storage may be switched off; then nothing is kept, and nothing breaks.
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

// Characters as people count them: a family of four is one, and so is 각 in three parts.
function countCharacters(text) {
  if (!Intl.Segmenter) return [...text].length;
  let count = 0;
  for (const _ of new Intl.Segmenter(language, { granularity: "grapheme" }).segment(text)) count += 1;
  return count;
}

// When the letter was written: a new one is being written now.
function writtenAt() {
  const { written } = document.getElementById("letter").dataset;
  return written ? Date.parse(written) : Date.now();
}

// The time on a wall in `zone`, `seconds` after the letter was written, in numbers.
function wallAt(zone, seconds) {
  const parts = new Intl.DateTimeFormat("en", {
    timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric",
    hour: "numeric", minute: "numeric", second: "numeric",
  }).formatToParts(writtenAt() + seconds * 1000);
  const read = (type) => Number(parts.find((part) => part.type === type).value);
  return { year: read("year"), month: read("month") - 1, day: read("day"), time: [read("hour"), read("minute"), read("second")] };
}

// The same hour `months` and `days` later, as if the wall were in UTC; a shorter month ends sooner.
function wallAfter(zone, { days, months, seconds }) {
  const { year, month, day, time } = wallAt(zone, Number(seconds));
  const last = new Date(Date.UTC(year, month + Number(months) + 1, 0)).getUTCDate();
  return Date.UTC(year, month + Number(months), Math.min(day, last) + Number(days), ...time);
}

// The hour of writing on a day of a date field, or NaN where none is chosen.
function wallOn(zone, day) {
  return new Date(`${day}T00:00Z`).getTime() + wallAt(zone, 0).time.reduce((sum, part) => sum * 60 + part) * 1000;
}

function longDate(wall) {
  const format = (options) => new Intl.DateTimeFormat(language === "ko" ? "ko" : "en-GB", { timeZone: "UTC", ...options }).format(wall);
  const time = format({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const weekday = format({ weekday: "long" });
  const day = format({ year: "numeric", month: "long", day: "numeric" });
  if (language !== "ko") return `${weekday}, ${day}, ${time}`;
  return `${day} ${weekday} ${time}`;
}

function wallOf(form, time) {
  const zone = form.timezone.value;
  return time.dataset.day ? wallOn(zone, form.elements[time.dataset.day].value) : wallAfter(zone, time.dataset);
}

// When the chosen arrival is; NaN where there is none.
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
