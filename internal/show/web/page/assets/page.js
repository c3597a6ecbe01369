// The page as served is complete; this keeps it up to date. The server sends
// each section that has changed as HTML, and morph puts it in place piece by
// piece, so that focus, selection, opened details and animations stay.
"use strict";

const live = document.getElementById("live");
const liveText = document.getElementById("live-text");
let lastSeen = Date.now();

function same(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");
}

function attributes(from, to) {
  for (const { name } of [...from.attributes]) {
    if (name === "open" && from.nodeName === "DETAILS") continue; // the reader's choice
    if (!to.hasAttribute(name)) from.removeAttribute(name);
  }
  for (const { name, value } of to.attributes) {
    if (name === "open" && from.nodeName === "DETAILS") continue;
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
}

function morph(from, to) {
  if (from.nodeType === Node.TEXT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  if (from.nodeType !== Node.ELEMENT_NODE) return;
  attributes(from, to);
  children(from, to);
}

function children(from, to) {
  let at = from.firstChild;
  for (const next of [...to.childNodes]) {
    let found = at;
    if (next.id) { // moved: take it along
      while (found && !same(found, next)) found = found.nextSibling;
    }
    if (found && same(found, next)) {
      while (at !== found) { const gone = at; at = at.nextSibling; gone.remove(); }
      morph(at, next);
      at = at.nextSibling;
    } else if (at && !next.id && !at.id) {
      const old = at; at = at.nextSibling;
      old.replaceWith(next);
    } else {
      from.insertBefore(next, at);
    }
  }
  while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });

// The server prints UTC; the reader sees local times.
function localTimes(root) {
  for (const t of root.querySelectorAll("time")) {
    const at = new Date(t.dateTime);
    if (isNaN(at) || at.getFullYear() < 2000) continue;
    t.textContent = ("clock" in t.dataset ? clock : day).format(at);
    t.title = at.toLocaleString();
  }
}

function show(sections) {
  const parser = document.createElement("template");
  for (const [id, html] of Object.entries(sections)) {
    const section = document.getElementById(id);
    if (!section) continue;
    parser.innerHTML = html;
    localTimes(parser.content);
    children(section, parser.content);
  }
}

function say(state, text) {
  if (live.dataset.state !== state) live.dataset.state = state;
  if (liveText.textContent !== text) liveText.textContent = text;
}

function age() {
  const s = Math.round((Date.now() - lastSeen) / 1000);
  if (live.dataset.state === "lost") say("lost", `no connection for ${s} s: this page is out of date`);
  else if (s > 20) say("lost", `no update for ${s} s: this page is out of date`);
}

let stream = null;

function follow() {
  if (stream) stream.close();
  stream = new EventSource("/events");
  stream.onopen = () => { lastSeen = Date.now(); say("live", "live"); };
  stream.addEventListener("view", e => { lastSeen = Date.now(); say("live", "live"); show(JSON.parse(e.data)); });
  stream.addEventListener("beat", () => { lastSeen = Date.now(); say("live", "live"); });
  stream.onerror = () => {
    say("lost", "connection lost: this page is out of date");
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  };
}

if (live) {
  localTimes(document);
  follow();
  setInterval(age, 1000);
  // A page that is left closes its connection; one that is returned to opens it again.
  addEventListener("pagehide", () => stream.close());
  addEventListener("pageshow", e => { if (e.persisted) follow(); });
} else {
  localTimes(document);
}
