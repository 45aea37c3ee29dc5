// The stack of images beside the findings. Without it, links and buttons do the same, page by page.
"use strict";

(() => {
  const viewer = document.getElementById("viewer");
  if (!viewer) return;
  const at = (id) => document.getElementById(id);
  const stage = at("stage");
  const plane = at("plane");
  const slider = at("slice");
  const outlines = at("outlines");
  const base = `/studies/${viewer.dataset.key}/stacks`;
  const AHEAD = 8; // slices that are fetched before they are asked for
  const KEPT = 96; // pictures in memory
  const AT_ONCE = 4; // requests for what nobody has asked for yet
  const WHEEL_PX = 40; // of a finger on a pad; a notch of a wheel is more
  const ZOOM = 2.5;

  let stacks = [];
  let listed = ""; // as it came
  let marked = ""; // whose findings are drawn
  let seat = null; // { stack, number, window }
  let onward = 1; // where the reader scrolls to

  // ---- pictures -------------------------------------------------------------------------------

  const pictures = new Map(); // address -> promise of an element, the latest last

  function have(address) {
    const known = pictures.get(address);
    pictures.delete(address);
    const image = known || load(address);
    pictures.set(address, image);
    while (pictures.size > KEPT) pictures.delete(pictures.keys().next().value);
    return image;
  }

  async function load(address) {
    const image = new Image();
    image.src = address;
    try {
      await image.decode();
      return image;
    } catch {
      pictures.delete(address); // asked again the next time
      return null;
    }
  }

  const imageOf = (one) => `${base}/${one.stack.key}/${one.number}/image?window=${one.window}`;
  const marksOf = (one) => `${base}/${one.stack.key}/${one.number}/marks?v=${marked}`;
  const nameOf = (one) => `${one.stack.key}/${one.number}/${one.window}`;

  async function show(wanted) {
    seat = wanted;
    tell();
    const [image, marks] = await Promise.all([have(imageOf(wanted)), have(marksOf(wanted))]);
    if (seat !== wanted) return; // scrolled on meanwhile
    stage.dataset.failed = image ? "no" : "yes";
    put("slice", image, `Slice ${wanted.number} of ${wanted.stack.places.length}`);
    put("outline", marks, "");
    stage.dataset.shown = nameOf(wanted);
    drawScale();
    fetchAhead(wanted);
  }

  function put(kind, image, words) {
    const fresh = image || new Image();
    fresh.className = kind;
    fresh.alt = image ? words : kind === "slice" ? "This slice cannot be shown." : "";
    const held = plane.querySelector(`.${kind}`);
    if (!held) plane.append(fresh);
    else if (held !== fresh) held.replaceWith(fresh);
  }

  let queue = [];
  let running = 0;

  function fetchAhead(one) {
    const numbers = [];
    for (let step = 1; step <= AHEAD; step += 1) numbers.push(one.number + onward * step);
    for (let step = 1; step <= 2; step += 1) numbers.push(one.number - onward * step);
    const seats = numbers
      .filter((number) => number >= 1 && number <= one.stack.places.length)
      .map((number) => ({ ...one, number }));
    queue = [...seats.flatMap((next) => [imageOf(next), marksOf(next)]), ...queue.splice(0, 2 * KEPT)];
    pump();
  }

  // What is not in memory yet, a few at a time: what a reader asks for comes first.
  function pump() {
    while (running < AT_ONCE && queue.length) {
      const address = queue.shift();
      if (pictures.has(address)) continue;
      running += 1;
      have(address).finally(() => {
        running -= 1;
        pump();
      });
    }
    stage.dataset.ahead = queue.length + running;
  }

  function fetchFindings() {
    const seats = [...document.querySelectorAll("[data-go]")].slice(0, 24).map(seatOf).filter(Boolean);
    queue.push(...seats.flatMap((one) => [imageOf(one), marksOf(one)]));
    pump();
  }

  // ---- words ----------------------------------------------------------------------------------

  function tell() {
    const { stack, number, window } = seat;
    const place = stack.places[number - 1];
    at("where").textContent = `Slice ${number} of ${stack.places.length}${place ? ` · ${place}` : ""}`;
    slider.max = stack.places.length;
    slider.value = number;
    at("stack").value = stack.key;
    ["left", "right", "top", "bottom"].forEach((side, index) => {
      stage.querySelector(`.letter.${side}`).textContent = stack.letters[index];
    });
    for (const button of viewer.querySelectorAll("button[name=window]")) {
      button.hidden = !stack.windows.includes(button.value);
      button.setAttribute("aria-pressed", String(button.value === window));
    }
    for (const card of document.querySelectorAll("[data-go]")) {
      const isHere = card.dataset.stack === stack.key && Number(card.dataset.slice) === number;
      card.closest(".card").classList.toggle("here", isHere);
    }
  }

  function drawScale() {
    const image = plane.querySelector(".slice");
    const scale = at("scale");
    scale.hidden = !(seat.stack.pixel_mm > 0 && image.naturalWidth);
    if (scale.hidden) return;
    const shown = Math.min(plane.clientWidth / image.naturalWidth, plane.clientHeight / image.naturalHeight);
    const perMm = (shown * zoom.factor) / seat.stack.pixel_mm;
    const length = [100, 50, 20, 10, 5].find((one) => one * perMm < plane.clientWidth / 3) || 2;
    scale.firstElementChild.textContent = length >= 10 ? `${length / 10} cm` : `${length} mm`;
    scale.style.width = `${length * perMm}px`;
  }

  // ---- moving ---------------------------------------------------------------------------------

  function move(by) {
    if (!seat) return;
    const number = Math.max(1, Math.min(seat.number + by, seat.stack.places.length));
    if (number === seat.number) return;
    onward = Math.sign(by);
    show({ ...seat, number });
  }

  function chooseWindow(name) {
    if (seat && seat.stack.windows.includes(name)) show({ ...seat, window: name });
  }

  function chooseStack(key) {
    const stack = stacks.find((one) => one.key === key);
    if (!stack) return;
    const window = seat && stack.windows.includes(seat.window) ? seat.window : stack.first_window;
    setZoom(1);
    show({ stack, number: Math.ceil(stack.places.length / 2), window });
  }

  function seatOf(card) {
    const stack = stacks.find((one) => one.key === card.dataset.stack);
    return stack && { stack, number: Number(card.dataset.slice), window: card.dataset.window };
  }

  function goTo(card) {
    const wanted = seatOf(card);
    if (!wanted) return false;
    if (!seat || seat.stack !== wanted.stack) setZoom(1);
    const keeps = seat && seat.stack === wanted.stack; // the reader's own window, then
    show(keeps ? { ...wanted, window: seat.window } : wanted);
    if (viewer.dataset.shows === "ohif") return true;
    stage.focus({ preventScroll: true });
    if (getComputedStyle(viewer).position !== "sticky") viewer.scrollIntoView({ block: "nearest" });
    return true;
  }

  // ---- larger ---------------------------------------------------------------------------------

  const zoom = { factor: 1, x: 0, y: 0 };

  // Around a point of the stage, which stays where it is.
  function setZoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
    const ratio = factor / zoom.factor;
    zoom.x = factor === 1 ? 0 : x - (x - zoom.x) * ratio;
    zoom.y = factor === 1 ? 0 : y - (y - zoom.y) * ratio;
    zoom.factor = factor;
    plane.style.transform = `translate(${zoom.x}px, ${zoom.y}px) scale(${factor})`;
    stage.classList.toggle("large", factor > 1);
    if (seat) drawScale();
  }

  const placeIn = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  let drag = null;
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    stage.focus({ preventScroll: true });
    drag = { x: event.clientX, y: event.clientY };
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!drag) return;
    if (zoom.factor > 1) {
      zoom.x += event.clientX - drag.x;
      zoom.y += event.clientY - drag.y;
      plane.style.transform = `translate(${zoom.x}px, ${zoom.y}px) scale(${zoom.factor})`;
      drag = { x: event.clientX, y: event.clientY };
    } else if (Math.abs(event.clientY - drag.y) > 8) {
      move(Math.sign(event.clientY - drag.y));
      drag.y = event.clientY;
    }
  });
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => (drag = null));
  stage.addEventListener("dblclick", (event) => setZoom(zoom.factor > 1 ? 1 : ZOOM, ...placeIn(event)));
  addEventListener("resize", () => seat && drawScale());

  let wheeled = 0;
  stage.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      if (event.ctrlKey) {
        const factor = Math.max(1, Math.min(8, zoom.factor * Math.exp(-event.deltaY / 300)));
        setZoom(factor < 1.05 ? 1 : factor, ...placeIn(event));
        return;
      }
      const pixels = event.deltaMode === 0 ? event.deltaY : event.deltaY * WHEEL_PX;
      if (Math.sign(pixels) !== Math.sign(wheeled)) wheeled = 0;
      wheeled += pixels;
      const steps = Math.trunc(wheeled / WHEEL_PX);
      // A notch is one slice, however far the system takes it to be.
      if (steps) move(Math.abs(event.deltaY) >= 100 ? Math.sign(steps) : steps);
      if (steps) wheeled = 0;
    },
    { passive: false },
  );

  // ---- keys and buttons -----------------------------------------------------------------------

  const ON_STAGE = {
    ArrowUp: () => move(-1),
    ArrowDown: () => move(1),
    PageUp: () => move(-10),
    PageDown: () => move(10),
    Home: () => move(-Infinity),
    End: () => move(Infinity),
  };
  const ANYWHERE = {
    1: () => chooseWindow("lung"),
    2: () => chooseWindow("soft"),
    3: () => chooseWindow("bone"),
    4: () => chooseWindow("stored"),
    o: () => outlines.click(),
    z: () => setZoom(zoom.factor > 1 ? 1 : ZOOM),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.matches("input:not([type=checkbox], [type=range]), textarea, select")) return;
    const isOnStage = stage.contains(document.activeElement) || stage.matches(":hover");
    const action = ANYWHERE[event.key] || (isOnStage && ON_STAGE[event.key]);
    if (!action || viewer.hidden || (viewer.dataset.shows === "ohif" && event.key !== "o")) return;
    event.preventDefault();
    action();
  });

  document.addEventListener("click", (event) => {
    const card = event.target.closest("[data-go]");
    const isPlain = !(event.ctrlKey || event.metaKey || event.shiftKey || event.button);
    if (!card || !isPlain || viewer.hidden) return;
    // OHIF hears of it too, and is what is seen then (ohif.js).
    if (goTo(card) || viewer.dataset.shows === "ohif") event.preventDefault();
  });

  at("viewer-tools").addEventListener("submit", (event) => {
    event.preventDefault();
    chooseWindow(event.submitter?.value);
  });
  at("stack").addEventListener("change", (event) => chooseStack(event.target.value));
  slider.addEventListener("input", () => move(Number(slider.value) - seat.number));
  for (const [id, by] of [["slice-before", -1], ["slice-after", 1]]) {
    at(id).addEventListener("click", (event) => {
      event.preventDefault();
      move(by);
    });
  }

  // ---- start, and what is new -----------------------------------------------------------------

  async function list() {
    const answer = await fetch(base).catch(() => null);
    if (!answer?.ok) return;
    const fresh = await answer.text();
    if (fresh === listed) return;
    listed = fresh;
    ({ stacks, marks: marked } = JSON.parse(fresh));
    viewer.hidden = stacks.length === 0;
    const options = stacks.map((one) => new Option(one.title, one.key));
    const wanted = seat ? seat.stack.key : at("stack").value;
    at("stack").replaceChildren(...options);
    // More slices of a series make another stack of it: the reader stays in the series, where they were.
    const alike = seat && stacks.find((one) => one.series === seat.stack.series);
    const stack = stacks.find((one) => one.key === wanted) || alike || stacks[0];
    if (!stack) return;
    const place = seat ? stack.places.indexOf(seat.stack.places[seat.number - 1]) + 1 : 0;
    const number = place || Math.min(seat ? seat.number : Number(slider.value), stack.places.length);
    const pressed = viewer.querySelector("button[name=window][aria-pressed=true]")?.value;
    const window = stack.windows.includes(pressed) ? pressed : stack.first_window;
    slider.hidden = false;
    await show({ stack, number, window });
    fetchFindings();
  }

  list();
  document.addEventListener("wetread:update", () => {
    list().then(() => seat && tell()); // new cards: which of them is shown
  });
})();
