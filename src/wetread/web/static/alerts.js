// A notification of the browser when an alert appears that this page has not shown before.
"use strict";

// Nothing of the patient: it stands on a lock screen too.
const TITLE = "Wetread: a critical result waits";
const rows = document.getElementById("live-content");
const notifyButton = document.getElementById("notify");

const alertsNow = () => new Set([...rows.querySelectorAll("[data-alert]")].map((row) => row.dataset.alert));
let known = alertsNow();

function offer() {
  const can = "Notification" in window && Notification.permission === "default";
  notifyButton.hidden = !can;
}

function notifyOfNew() {
  const now = alertsNow();
  const isNew = [...now].some((id) => !known.has(id));
  known = now;
  if (!isNew || !("Notification" in window) || Notification.permission !== "granted") return;
  const told = new Notification(TITLE, { body: "Nobody has acknowledged it yet.", tag: "wetread-alert" });
  told.addEventListener("click", () => window.focus());
}

notifyButton.addEventListener("click", async () => {
  await Notification.requestPermission();
  offer();
});
new MutationObserver(notifyOfNew).observe(rows, { childList: true });
offer();
