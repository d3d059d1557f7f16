// Times in the reader's zone, lengths of time that go on, and whether the page is up to date.
// All of it is a comfort: without it the page shows the same in UTC, as of when it was asked for.
"use strict";
(() => {
  const dayOf = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "2-digit", day: "2-digit" });
  const timeOf = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

  function local(element) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime())) return;
    const day = dayOf.format(moment);
    const fine = "fine" in element.dataset ? `.${String(moment.getMilliseconds()).padStart(3, "0")}` : "";
    const text = day === dayOf.format(new Date()) ? `${timeOf.format(moment)}${fine}` : `${day} ${timeOf.format(moment)}${fine}`;
    if (element.textContent !== text) element.textContent = text;
    if (!element.dataset.zone) {
      element.dataset.zone = zone;
      element.title = `${element.dateTime} (UTC)`;
    }
  }

  function length(seconds) {
    const two = (number) => String(Math.floor(number)).padStart(2, "0");
    if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
    if (seconds < 60) return `${seconds.toFixed(1)} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${two((seconds % 3600) / 60)} min`;
    return `${Math.floor(seconds / 86400)} d ${two((seconds % 86400) / 3600)} h`;
  }

  // The server's clock and the reader's may disagree: what counts is how far the server's has gone.
  let ahead = 0;

  function goOn(element) {
    const since = Date.parse(element.dataset.since);
    if (Number.isNaN(since)) return;
    const seconds = Math.max(0, (Date.now() + ahead - since) / 1000);
    const text = length(seconds < 60 ? Math.floor(seconds) : seconds).replace(".0 s", " s").replace("0 ms", "0 s");
    if (element.textContent !== text) element.textContent = text;
  }

  function all(root) {
    root.querySelectorAll("time[datetime]").forEach(local);
    root.querySelectorAll("[data-since]").forEach(goOn);
  }

  const shown = document.querySelector(".live-state time");
  if (shown) ahead = Math.max(0, Date.parse(shown.dateTime) - Date.now());
  all(document);
  // Before the browser draws what has come; what this changes itself is as it should be the next time.
  new MutationObserver(() => {
    all(document);
    trim();
  }).observe(document.body, { childList: true, characterData: true, subtree: true });
  setInterval(() => document.querySelectorAll("[data-since]").forEach(goOn), 1000);

  // A log that goes on for hours does not fill the memory of the browser.
  function trim() {
    const logs = document.getElementById("logs");
    while (logs && logs.childElementCount > 2000) logs.firstElementChild.remove();
  }

  const state = document.getElementById("live-state");
  const say = (word, kind) => {
    if (state.dataset.kind === kind) return;
    state.dataset.kind = kind;
    state.textContent = word;
  };
  // A browser has six connections to a server (but by HTTP/2), and a stream keeps one: whoever opens many pages is
  // to be able to open another one. So some pages are live at a time, of those that somebody looks at.
  const LIVE_AT_A_TIME = 4;
  const stream = document.getElementById("stream");
  let turn = null;
  let letGo = null;

  function connect() {
    if (!stream.dataset.connected) {
      stream.dataset.connected = "yes";
      stream.dispatchEvent(new Event("look"));
    }
  }

  function takeTurn() {
    if (document.hidden || turn) return;
    const [visit] = performance.getEntriesByType("navigation");
    if (!navigator.locks || /^h[23]/.test(visit?.nextHopProtocol ?? "")) {
      connect();
      return;
    }
    const mine = (turn = new AbortController());
    let hasOne = false;
    const begin = () => {
      if (hasOne || turn !== mine) return undefined;
      hasOne = true;
      mine.abort();
      connect();
      return new Promise((resolve) => (letGo = resolve));
    };
    for (let number = 0; number < LIVE_AT_A_TIME; number += 1) {
      navigator.locks.request(`ailf page ${number}`, { signal: mine.signal }, begin).catch(() => {});
    }
    setTimeout(() => {
      if (turn === mine && !stream.dataset.connected) say(`not live: ${LIVE_AT_A_TIME} other tabs of this browser are`, "away");
    }, 1000);
  }

  function leaveTurn() {
    turn?.abort();
    letGo?.();
    turn = letGo = null;
  }

  if (stream) {
    // Not before htmx listens.
    addEventListener("load", takeTurn);
    document.addEventListener("visibilitychange", () => (document.hidden ? leaveTurn() : takeTurn()));
  }

  document.addEventListener("htmx:sse:after:connection", () => say("live", "live"));
  document.addEventListener("htmx:sse:error", () => say("not live: trying again", "away"));
  document.addEventListener("htmx:sse:close", () => say("not live: reload to see what is new", "away"));
})();
