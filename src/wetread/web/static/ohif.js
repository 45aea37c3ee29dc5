// OHIF in a frame beside the findings: the one place that knows what OHIF 3.13.2 calls its parts. They are no
// stable interface: tests/web/test_ohif.py asks each of them of the version that is set up.
"use strict";

(() => {
  const viewer = document.getElementById("viewer");
  const home = document.getElementById("ohif");
  const button = document.getElementById("ohif-switch");
  const plain = document.getElementById("plain-switch");
  const LOOK_MS = 100;
  const PATIENCE_MS = 120000;
  const CHOSEN = "wetread-viewer"; // what this browser's reader works with

  let frame = null;
  let wanted = null; // the newest click

  const cards = () => [...document.querySelectorAll("[data-go][data-image]")];
  const pause = () => new Promise((resolve) => setTimeout(resolve, LOOK_MS));

  // ---- OHIF's parts -----------------------------------------------------------------------------

  function partsOf(window) {
    const services = window.services;
    const id = services.viewportGridService.getActiveViewportId();
    return { services, id, port: services.cornerstoneViewportService.getCornerstoneViewport(id) };
  }

  const isReady = (window) => {
    try {
      return partsOf(window).port.getImageIds().length > 0;
    } catch {
      return false;
    }
  };

  // The image's address names it: .../instances/UID/frames/1.
  const indexOf = (port, uid) => port.getImageIds().findIndex((one) => one.includes(`/instances/${uid}/`));

  async function showSeries(window, uid, series) {
    const { services, id } = partsOf(window);
    const sets = services.displaySetService.getActiveDisplaySets();
    const found = sets.find((one) => one.SeriesInstanceUID === series && one.Modality !== "SEG");
    if (!found) return;
    services.viewportGridService.setDisplaySetsForViewport({
      viewportId: id,
      displaySetInstanceUIDs: [found.displaySetInstanceUID],
    });
    await until(() => indexOf(partsOf(window).port, uid) >= 0);
  }

  async function jump(window, card) {
    if (indexOf(partsOf(window).port, card.dataset.image) < 0) {
      await showSeries(window, card.dataset.image, card.dataset.series);
    }
    const { port } = partsOf(window);
    const index = indexOf(port, card.dataset.image);
    if (index < 0) throw new Error("the slice is not in the viewport");
    await port.setImageIdIndex(index);
    port.render();
  }

  const TYPE = "Labelmap";
  const drawn = new Set(); // viewport and segmentation

  // The Segmentation of the card's Reading: loaded once, then drawn with the series.
  async function drawSegmentation(window, card) {
    const { services, id } = partsOf(window);
    const sets = services.displaySetService.getActiveDisplaySets();
    const set = sets.find((one) => one.Modality === "SEG" && one.SeriesInstanceUID === card.dataset.marks);
    if (!set || drawn.has(`${id} ${set.displaySetInstanceUID}`)) return;
    const segmentationId = set.displaySetInstanceUID;
    await set.load({ headers: {} });
    const { segmentationService } = services;
    await segmentationService.addSegmentationRepresentation(id, { segmentationId, type: TYPE });
    // What is within an outline is what a reader must see; lungs and organs are there to be switched on.
    segmentationService.setStyle({ segmentationId, type: TYPE }, { renderFill: false, renderFillInactive: false });
    const ours = cards().filter((one) => one.dataset.marks === card.dataset.marks);
    const findings = new Set(ours.map((one) => Number(one.dataset.segment)));
    for (const number of Object.keys(segmentationService.getSegmentation(segmentationId).segments)) {
      const isSeen = findings.has(Number(number));
      segmentationService.setSegmentVisibility(id, segmentationId, Number(number), isSeen, TYPE);
    }
    drawn.add(`${id} ${segmentationId}`);
  }

  const WINDOWS = { lung: [1500, -600], soft: [400, 40], bone: [2500, 480] };
  let isSettled = false;

  // Once: room for the images, and the window that the findings are seen in. Then both are the reader's.
  async function settle(window, card) {
    if (isSettled) return;
    isSettled = true;
    const { services, id, port } = partsOf(window);
    const { panelService } = services;
    const change = { position: "left", options: { leftPanelClosed: true } };
    panelService._broadcastEvent(panelService.EVENTS.PANELS_CHANGED, change);
    const [width, center] = WINDOWS[card.dataset.window] || [];
    const asked = { viewportId: id, windowWidth: width, windowCenter: center };
    if (width) window.commandsManager.runCommand("setViewportWindowLevel", asked);
    await isWide(port.element);
    port.resetCamera();
    port.render();
  }

  // The panel goes in steps: the image is fitted into what it leaves when it has gone.
  async function isWide(element) {
    let before = -1;
    for (let look = 0; look < 20 && element.clientWidth !== before; look += 1) {
      before = element.clientWidth;
      await pause();
      await pause();
    }
  }

  // ---- the frame --------------------------------------------------------------------------------

  async function until(isSo) {
    const end = performance.now() + PATIENCE_MS;
    while (!isSo()) {
      if (performance.now() > end) throw new Error("OHIF does not answer");
      await pause();
    }
  }

  function tell(words, again = false) {
    const told = home.querySelector("p");
    told.textContent = words;
    told.hidden = !words;
    if (!again) return;
    const button = document.createElement("button");
    button.type = "button";
    button.id = "ohif-again";
    button.textContent = "Open it again";
    button.addEventListener("click", () => {
      wanted = cards()[0] || null;
      open();
      if (wanted) follow();
    });
    told.append(" ", button);
  }

  // Which Segmentations the findings of the page are in.
  const marksOf = () => [...new Set(cards().map((one) => one.dataset.marks))].sort().join();
  let opened = "";

  // It may hold what a reader has drawn and not stored: nothing is taken from under their hands.
  function isOutdated() {
    if (!frame || marksOf() === opened) return false;
    tell("The study was read again: these outlines are of before. What is not stored will be lost.", true);
    return true;
  }

  function open() {
    home.replaceChildren();
    drawn.clear();
    isSettled = false;
    opened = marksOf();
    // OHIF's tour would lie over the images; this is the note that it makes when somebody has seen it.
    localStorage.setItem("shownTours", JSON.stringify(["basicViewerTour"]));
    const first = wanted || cards()[0];
    const asked = new URLSearchParams({ StudyInstanceUIDs: viewer.dataset.study });
    if (first) {
      asked.set("initialSeriesInstanceUID", first.dataset.series);
      asked.set("initialSopInstanceUID", first.dataset.image);
    }
    const told = document.createElement("p");
    told.setAttribute("role", "status");
    frame = document.createElement("iframe");
    frame.title = "OHIF: the study's images";
    frame.src = `/ohif/viewer?${asked}`;
    frame.addEventListener("load", () => {
      // Who works in the frame is there: what the page asks for by itself then keeps them signed in.
      for (const sign of ["keydown", "pointerdown", "wheel", "touchstart"]) {
        const pass = () => dispatchEvent(new Event("pointerdown"));
        frame.contentWindow.addEventListener(sign, pass, { passive: true, capture: true });
      }
    });
    home.append(frame, told);
  }

  let isMoving = false;

  async function follow() {
    if (isMoving) return;
    isMoving = true;
    while (wanted) {
      const card = wanted;
      home.dataset.at = "";
      try {
        tell("OHIF is loading ...");
        await until(() => isReady(frame.contentWindow));
        await jump(frame.contentWindow, card);
        await drawSegmentation(frame.contentWindow, card);
        await settle(frame.contentWindow, card);
        // What was loaded may have moved it.
        await jump(frame.contentWindow, card);
        if (!isOutdated()) tell("");
      } catch (error) {
        tell("OHIF did not follow. The slice stands in the plain viewer.");
        console.warn(error);
      }
      if (wanted === card) wanted = null;
      home.dataset.at = card.dataset.go;
    }
    isMoving = false;
  }

  function choose(isOhif) {
    viewer.dataset.shows = isOhif ? "ohif" : "stack";
    home.hidden = !isOhif;
    button.setAttribute("aria-pressed", String(isOhif));
    plain.setAttribute("aria-pressed", String(!isOhif));
    localStorage.setItem(CHOSEN, isOhif ? "ohif" : "stack");
    if (!isOhif) return;
    wanted ||= cards().find((one) => one.closest(".card").classList.contains("here")) || cards()[0] || null;
    if (!frame) open();
    if (wanted) follow();
  }

  document.getElementById("viewers").hidden = false;
  button.addEventListener("click", () => choose(true));
  plain.addEventListener("click", () => choose(false));
  document.addEventListener("click", (event) => {
    const card = event.target.closest("[data-go][data-image]");
    if (!card || viewer.dataset.shows !== "ohif") return;
    wanted = card;
    follow();
  });
  document.addEventListener("wetread:update", isOutdated);
  if (localStorage.getItem(CHOSEN) === "ohif" && !viewer.hidden) choose(true);
})();
