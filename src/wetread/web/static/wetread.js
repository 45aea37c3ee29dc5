// Live updates, search and keys. Everything works without it, only less quickly.
"use strict";

const page = document.body.dataset;
const content = document.getElementById("live-content");
const REFRESH_MS = 30000; // waiting times grow without anything having happened
const GATHER_MS = 250; // several changes at once are one update

// ---- live -------------------------------------------------------------------------------------

const htmlOf = new WeakMap(); // element -> how the server wrote it, before we touched it

function remember(parent) {
  for (const child of parent.children) {
    if ("nest" in child.dataset) remember(child);
    else htmlOf.set(child, child.outerHTML);
  }
}

// Make parent's children equal to fresh's, keyed, keeping every element that did not change.
function patch(parent, fresh) {
  const held = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const wanted = [...fresh.children];
  wanted.forEach((child, index) => {
    const old = held.get(child.dataset.key);
    held.delete(child.dataset.key);
    let node = old;
    if (old && "nest" in child.dataset) patch(old, child);
    else if (!old || htmlOf.get(old) !== child.outerHTML) node = replace(parent, old, child);
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] || null);
  });
  held.forEach((child) => child.remove());
}

// Somebody writes in it: what they wrote is worth more than what is new. Saving says what changed.
function isWrittenIn(node) {
  const fields = [...node.querySelectorAll("input:not([type=hidden]), textarea")];
  const options = [...node.querySelectorAll("option")];
  return (
    fields.some((field) => field.value !== field.defaultValue) ||
    options.some((one) => one.selected !== one.defaultSelected)
  );
}

function replace(parent, old, child) {
  if (old && isWrittenIn(old)) return old;
  htmlOf.set(child, child.outerHTML);
  if (!old || old.dataset.mark !== child.dataset.mark) child.classList.add("changed");
  for (const details of child.querySelectorAll("details[id]")) {
    const before = document.getElementById(details.id);
    if (before) details.open = before.open;
  }
  if (old) old.replaceWith(child);
  return child;
}

function update(html) {
  const focused = document.activeElement;
  const id = focused && content.contains(focused) ? focused.id : "";
  const place = id ? links().indexOf(focused) : -1;
  const template = document.createElement("template");
  // A table's rows parse as such only inside a template.
  template.innerHTML = html;
  patch(content, template.content);
  if (page.page === "list") showTally();
  if (id) focusAgain(id, place);
  document.dispatchEvent(new Event("wetread:update"));
}

function focusAgain(id, place) {
  const again = document.getElementById(id) || links()[Math.min(place, links().length - 1)];
  if (again && again !== document.activeElement) again.focus({ preventScroll: true });
}

let etag = "";
let isFetching = false;
let isWanted = false;

// Whether somebody is there: what a page asks for by itself keeps nobody signed in.
let wasActive = false;
for (const sign of ["keydown", "pointerdown", "wheel", "touchstart"]) {
  addEventListener(sign, () => (wasActive = true), { passive: true });
}

function askWith() {
  const headers = etag ? { "If-None-Match": etag } : {};
  if (wasActive) headers["X-Wetread-Active"] = "1";
  wasActive = false;
  return headers;
}

async function refresh() {
  isWanted = true;
  // Who wants to be notified is not looking.
  const isWatching = page.page === "list" && window.Notification?.permission === "granted";
  if (isFetching || (document.hidden && !isWatching)) return;
  isFetching = true;
  while (isWanted) {
    isWanted = false;
    try {
      const answer = await fetch(page.fragment, { headers: askWith(), ...asked() });
      if (answer.status === 401) return location.reload(); // signed out meanwhile
      if (answer.ok) {
        etag = answer.headers.get("ETag") || "";
        update(await answer.text());
      } else if (answer.status !== 304) showLive("lost");
    } catch {
      showLive("lost"); // the event stream finds the service again, and then we ask again
    }
    await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
  }
  isFetching = false;
}

const LIVE_WORDS = { live: "live", lost: "not live", connecting: "connecting" };

function showLive(state) {
  const sign = document.getElementById("live");
  if (sign.dataset.live === state) return;
  sign.dataset.live = state;
  document.getElementById("live-words").textContent = LIVE_WORDS[state];
}

function listen() {
  let seen = page.pulse;
  const events = new EventSource("/events");
  events.addEventListener("pulse", (event) => {
    const isBack = document.getElementById("live").dataset.live === "lost";
    showLive("live");
    if (event.data !== seen || isBack) refresh();
    seen = event.data;
  });
  events.addEventListener("error", () => showLive("lost"));
  addEventListener("pagehide", () => events.close());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  setInterval(refresh, REFRESH_MS);
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
}

// ---- search and filter: in a body and not in the address, which must not name a patient --------

const form = document.getElementById("find");
const TYPING_MS = 200;
let pageNumber = page.pageNumber || "1";
let typing = 0;

// What the list is asked with; other pages have nothing to say.
function asked() {
  if (!form) return {};
  const body = new URLSearchParams(new FormData(form));
  body.set("page", pageNumber);
  return { method: "POST", body };
}

function find(number = 1) {
  pageNumber = String(number);
  clearTimeout(typing);
  refresh();
}

function findSoon() {
  clearTimeout(typing);
  typing = setTimeout(find, TYPING_MS);
}

function showTally() {
  const tally = content.querySelector("[data-key=tally]").dataset;
  const counts = JSON.parse(tally.counts);
  for (const count of document.querySelectorAll("[data-count]")) {
    count.textContent = counts[count.dataset.count];
  }
  const [here, last] = [Number(tally.page), Number(tally.pages)];
  pageNumber = tally.page;
  document.getElementById("turn").hidden = last === 1;
  document.getElementById("page-before").disabled = here <= 1;
  document.getElementById("page-after").disabled = here >= last;
  const told = document.getElementById("shown");
  const words = `${tally.total} ${tally.total === "1" ? "study" : "studies"}`;
  const text = last > 1 ? `${words}, page ${here} of ${last}` : words;
  if (told.textContent !== text) told.textContent = text;
  document.title = document.title.replace(/^(\(\d+\) )?/, counts.stat ? `(${counts.stat}) ` : "");
}

function setFilter(name) {
  form.elements.kind.value = name;
  for (const button of document.querySelectorAll("[data-filter]")) {
    button.setAttribute("aria-pressed", String(button.dataset.filter === name));
  }
  keepForView();
  find();
}

// What is saved as a view is what is shown.
function keepForView() {
  const view = document.getElementById("view-form");
  view.elements.kind.value = form.elements.kind.value;
  view.elements.modality.value = form.elements.modality.value;
}

function turn(by) {
  const tally = content.querySelector("[data-key=tally]").dataset;
  const number = Number(tally.page) + by;
  if (number < 1 || number > Number(tally.pages)) return;
  scrollTo(0, 0);
  find(number);
}

function clearSearch() {
  const box = document.getElementById("search");
  box.value = "";
  box.blur(); // so that the next letter is a key again
  form.elements.modality.value = "";
  setFilter("all");
}

// ---- keys -------------------------------------------------------------------------------------

function links() {
  const found = page.page === "list" ? ".row th a" : "[data-part]";
  return [...content.querySelectorAll(found)];
}

function step(by) {
  const all = links();
  const here = all.findIndex((one) => one === document.activeElement || one.contains(document.activeElement));
  const next = here < 0 ? (by > 0 ? 0 : all.length - 1) : here + by;
  goTo(all[Math.max(0, Math.min(next, all.length - 1))]);
}

function goTo(target) {
  if (!target) return;
  target.focus({ preventScroll: true });
  const box = page.page === "list" ? target.closest("tr") : target;
  box.scrollIntoView({ block: page.page === "list" ? "nearest" : "start" });
}

const click = (id) => () => document.getElementById(id)?.click();
const COMMON_KEYS = { j: () => step(1), k: () => step(-1), "?": () => openHelp() };
const PAGE_KEYS = {
  list: {
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    Home: () => goTo(links()[0]),
    End: () => goTo(links().at(-1)),
    "/": () => document.getElementById("search").select(),
    Escape: clearSearch,
    "[": () => turn(-1),
    "]": () => turn(1),
  },
  study: {
    u: () => location.assign("/"),
    n: click("next"),
    p: click("previous"),
    c: click("claim"),
    w: () => (document.getElementById("section-impression") || document.getElementById("addendum"))?.focus(),
    a: () => content.querySelector("[id^=accept-]")?.click(),
  },
  deliveries: { u: () => location.assign("/") },
};

function openHelp() {
  document.getElementById("help").showModal();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.getElementById("help").open) return;
  const isTyping = event.target.matches("input, textarea, select");
  if (isTyping && !["Escape", "ArrowDown"].includes(event.key)) {
    if (event.key === "Enter" && content.rows) step(1);
    return;
  }
  const action = PAGE_KEYS[page.page][event.key] || COMMON_KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

// ---- the report saves itself, so that a lost session or window loses nothing --------------------

const SAVE_MS = 1500;
let saving = 0;

function saveSoon(event) {
  const form = event.target.closest("#report-form");
  if (!form || form.dataset.signed === "yes" || event.target.tagName !== "TEXTAREA") return;
  clearTimeout(saving);
  saving = setTimeout(() => saveDraft(form), SAVE_MS);
}

async function saveDraft(form) {
  const told = form.querySelector("#saved");
  const body = new FormData(form);
  body.delete("password");
  body.delete("code");
  try {
    const headers = { Accept: "application/json", "X-Wetread-Active": "1" };
    const answer = await fetch(form.action, { method: "POST", body, headers });
    if (answer.status === 401) told.textContent = "Not saved: you were signed out. Sign in in another tab, then go on.";
    else if (!answer.ok) told.textContent = `Not saved. ${(await answer.json()).message}`;
    else {
      form.elements.seen.value = (await answer.json()).seen;
      told.textContent = "Draft saved.";
    }
  } catch {
    told.textContent = "Not saved: the service does not answer. Your text stays here.";
  }
}

// ---- start ------------------------------------------------------------------------------------

if (content) {
  remember(content);
  document.addEventListener("keydown", onKey);
  document.getElementById("help-button").addEventListener("click", openHelp);
  listen();
}

if (page.page === "study") content.addEventListener("input", saveSoon);

if (page.page === "list") {
  document.getElementById("search").addEventListener("input", findSoon);
  document.getElementById("modality").addEventListener("change", () => (keepForView(), find()));
  for (const button of document.querySelectorAll("[data-filter]")) {
    button.addEventListener("click", (event) => (event.preventDefault(), setFilter(button.dataset.filter)));
  }
  form.addEventListener("submit", (event) => (event.preventDefault(), find()));
  for (const [id, by] of [["page-before", -1], ["page-after", 1]]) {
    document.getElementById(id).addEventListener("click", (event) => (event.preventDefault(), turn(by)));
  }
  content.addEventListener("click", (event) => event.target.id === "clear" && clearSearch());
  content.addEventListener("click", (event) => {
    const isText = String(getSelection()).length > 0;
    const row = event.target.closest("tr.row");
    if (row && !isText && !event.target.closest("a, button")) row.querySelector("th a").click();
  });
  keepForView();
  showTally();
  find(pageNumber); // a reload may have kept what was typed
}
