// The little that a page does by itself. Everything works without it.
"use strict";

const KEPT = "letter";
const POSTING = "posting";
const DRAFTED = ["recipient_email", "recipient_name", "subject", "body", "sender_name", "sender_email", "timezone"];
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

// The time on a wall in `zone`, `days` days later at the same hour, as if it were in UTC.
function wallTime(zone, days, seconds) {
  const parts = new Intl.DateTimeFormat("en", {
    timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric",
    hour: "numeric", minute: "numeric", second: "numeric",
  }).formatToParts(Date.now() + seconds * 1000);
  const read = (type) => Number(parts.find((part) => part.type === type).value);
  return Date.UTC(read("year"), read("month") - 1, read("day") + days, read("hour"), read("minute"), read("second"));
}

function longDate(wall) {
  const format = (options) => new Intl.DateTimeFormat(language === "ko" ? "ko" : "en-GB", { timeZone: "UTC", ...options }).format(wall);
  const time = format({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const weekday = format({ weekday: "long" });
  const day = format({ year: "numeric", month: "long", day: "numeric" });
  if (language !== "ko") return `${weekday}, ${day}, ${time}`;
  return `${day} ${weekday} ${time}`;
}

function keepDates(form) {
  const show = () => {
    for (const time of form.querySelectorAll("time[data-days]")) {
      time.textContent = longDate(wallTime(form.timezone.value, Number(time.dataset.days), Number(time.dataset.seconds)));
    }
  };
  form.timezone.addEventListener("change", show);
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
    const begun = DRAFTED.some((name) => name !== "timezone" && draft[name]);
    remember(localStorage, KEPT, begun ? JSON.stringify(draft) : null);
    document.getElementById("saved").hidden = !begun || recall(localStorage, KEPT) === null;
  };
  const kept = JSON.parse(recall(localStorage, KEPT) || "null");
  if (kept && "fresh" in form.dataset) {
    for (const name of DRAFTED) {
      if (name !== "timezone") form.elements[name].value = kept[name] || "";
      else if (kept[name]) chooseZone(form.timezone, kept[name]);
    }
    document.getElementById("kept").hidden = false;
  }
  form.addEventListener("input", later(300, write));
  window.addEventListener("pagehide", write);
  document.getElementById("afresh").addEventListener("click", () => {
    for (const name of DRAFTED) if (name !== "timezone") form.elements[name].value = "";
    write();
    document.getElementById("kept").hidden = true;
    form.elements.recipient_email.focus();
    form.dispatchEvent(new Event("input"));
    form.elements.body.dispatchEvent(new Event("input"));
  });
}

function postOnce(form) {
  const button = document.getElementById("post");
  form.addEventListener("submit", () => {
    remember(sessionStorage, POSTING, "yes");
    button.disabled = true;
  });
  window.addEventListener("pageshow", () => {
    button.disabled = false;
  });
}

function begin() {
  const form = document.getElementById("letter");
  if (form) {
    remember(sessionStorage, POSTING, null);
    if ("unset" in form.timezone.dataset) {
      const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
      if (zone) chooseZone(form.timezone, zone);
    }
    keepDraft(form);
    keepDates(form);
    keepCount(form);
    postOnce(form);
    document.getElementById("summary")?.focus();
  } else if (document.getElementById("posted") && recall(sessionStorage, POSTING)) {
    remember(localStorage, KEPT, null);
    remember(sessionStorage, POSTING, null);
  }
}

begin();
