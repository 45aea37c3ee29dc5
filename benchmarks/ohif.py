"""OHIF's first image through our DICOMweb, and through Orthanc's plugin: the same viewer, browser and series.

In: the package of OHIF from npm (``make viewer`` fetches it); a CT of 400 images of 512 x 512 is made and
sent to Orthanc and `wetread serve` on loopback.  Needs chromium, node, Orthanc with its DICOMweb plugin.
Out: for both the median time from the navigation, and from OHIF's first question, to the first image that the
canvas shows; the ratio of every round.

    python benchmarks/ohif.py --rounds 9 [--package ohif-app-3.13.2.tgz]

The files of OHIF come from a server of their own (``ohif_front.js``), which hands /dicom-web on to one or the
other: nothing differs but who answers. The browser's cache is emptied before each turn.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.chest_reader import describe_machine
from benchmarks.dicomweb import CONFIG, COUNT, STUDY, _has_all, make_series, send, uids_of
from tests.orthanc import running_orthanc
from tests.path.service import Service, await_true
from tests.ports import free_port
from tests.web.browser import Browser
from tests.web.ohif import have_package

from wetread.web.ohif.prepare import VERSION, install

#: Longest wait for an image, in s.
PATIENCE_S = 180.0
#: Looks at each frame of the browser whether the viewport shows something, and notes when it first did.
LOOK = """(() => {
  if (window.top !== window || window.__look) return;
  window.__look = true;
  performance.setResourceTimingBufferSize(5000);
  const look = () => {
    try {
      const s = window.services;
      const active = s.viewportGridService.getActiveViewportId();
      const port = s.cornerstoneViewportService.getCornerstoneViewport(active);
      const canvas = port.getCanvas(), id = port.getCurrentImageId();
      const w = Math.min(64, canvas.width), x = (canvas.width - w) / 2, y = (canvas.height - w) / 2;
      const data = canvas.getContext('2d').getImageData(x, y, w, w).data;
      let low = 255, high = 0;
      for (let i = 0; i < data.length; i += 4) {
        low = Math.min(low, data[i]);
        high = Math.max(high, data[i]);
      }
      if (id && high - low > 20) { window.__first = { at: performance.now(), id }; return; }
    } catch { /* not there yet */ }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})()"""
ASKED = """(() => {
  const all = performance.getEntriesByType('resource');
  const asked = all.filter((one) => one.name.includes('/dicom-web/'));
  const before = asked.filter((one) => one.startTime < window.__first.at);
  const begun = Math.min(...asked.map((one) => one.startTime));
  return { ...window.__first, begun, questions: before.length };
})()"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One first image; times in s."""

    from_navigation_s: float
    from_question_s: float
    questions: int
    image: str


@contextlib.contextmanager
def front(viewer: Path, dicomweb_port: int) -> Iterator[str]:
    """Serve OHIF with the DICOMweb of a port; yields the address."""
    node = shutil.which("node")
    assert node, "node is not installed: apt install nodejs."
    port = free_port()
    script = Path(__file__).with_name("ohif_front.js")
    process = subprocess.Popen([node, str(script), str(viewer), str(dicomweb_port), str(port)])
    try:
        await_true(lambda: _answers(port), 20, "the server of OHIF's files")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def look_once(browser: Browser, base: str) -> Turn:
    browser.open("about:blank")
    browser.send("Network.clearBrowserCache")
    browser.send("Page.navigate", url=f"{base}/ohif/viewer?StudyInstanceUIDs={STUDY}")
    browser.wait("window.__first", PATIENCE_S)
    found: dict[str, Any] = browser.ask(ASKED)
    return Turn(
        from_navigation_s=found["at"] / 1000,
        from_question_s=(found["at"] - found["begun"]) / 1000,
        questions=found["questions"],
        image=found["id"].partition("/instances/")[2].partition("/")[0],
    )


def compare(ours: str, theirs: str, rounds: int) -> list[tuple[Turn, Turn]]:
    """Return the turns of each round, ours first; the first round warms both up and does not count."""
    browser, pairs = Browser(), []
    try:
        browser.send("Network.enable")
        browser.send("Page.addScriptToEvaluateOnNewDocument", source=LOOK)
        for number in range(rounds + 1):
            order = [ours, theirs] if number % 2 else [theirs, ours]
            turns = {base: look_once(browser, base) for base in order}
            mine, other = turns[ours], turns[theirs]
            assert mine.image == other.image, "another image came first"
            print(
                f"round {number}: {mine.from_navigation_s:.2f} {other.from_navigation_s:.2f}", file=sys.stderr
            )
            if number:
                pairs.append((mine, other))
    finally:
        browser.close()
    return pairs


def tell(pairs: list[tuple[Turn, Turn]]) -> None:
    print(f"{'to the first image':28}{'Wetread s':>11}{'Orthanc s':>11}{'ratio':>8}   all rounds")
    for name in ("from_navigation_s", "from_question_s"):
        values = [(getattr(mine, name), getattr(other, name)) for mine, other in pairs]
        mine, other = (statistics.median(column) for column in zip(*values, strict=True))
        ratios = sorted(b / a for a, b in values)
        spread = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        told = name.removesuffix("_s").replace("_", " ")
        print(f"{told:28}{mine:11.2f}{other:11.2f}{statistics.median(ratios):8.2f}   {spread}")
    for side, who in enumerate(("Wetread", "Orthanc")):
        times = sorted(pair[side].from_navigation_s for pair in pairs)
        counts = sorted({pair[side].questions for pair in pairs})
        print(f"{who}: {times[0]:.2f} to {times[-1]:.2f} s; questions before the first image: {counts}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--package", type=Path, help="of OHIF; left out: got from npm")
    asked = parser.parse_args()
    print(describe_machine() | {"ohif": VERSION, "load": round(os.getloadavg()[0], 1)})
    with (
        tempfile.TemporaryDirectory() as name,
        running_orthanc(Path(name) / "orthanc") as orthanc,
        contextlib.ExitStack() as stack,
    ):
        folder, images = Path(name) / "service", Path(name) / "images"
        folder.mkdir()
        images.mkdir()
        make_series(images)
        viewer = install(asked.package or have_package(), Path(name) / "viewer")
        # OHIF as we configure it, for both.
        configured = Path(__file__).parents[1] / "src/wetread/web/ohif/app-config.js"
        shutil.copy(configured, viewer / "app-config.js")
        service = Service(folder=folder, dicom_port=free_port(), http_port=free_port(), config=CONFIG)
        service.start()
        stack.callback(service.stop)
        send(images, "WETREAD", service.dicom_port)
        send(images, orthanc.aet, orthanc.dicom_port)
        await_true(lambda: _has_all(orthanc), 60, "Orthanc's index")
        ours = stack.enter_context(front(viewer, service.http_port))
        theirs = stack.enter_context(front(viewer, orthanc.http_port))
        assert sorted(uids_of(f"{ours}/dicom-web")) == sorted(uids_of(f"{theirs}/dicom-web"))
        system, plugin = orthanc.get("/system"), orthanc.get("/plugins/dicom-web")
        print(f"Orthanc {system['Version']}, DICOMweb plugin {plugin['Version']}, {COUNT} images")
        tell(compare(ours, theirs, asked.rounds))
        print("load at the end:", round(os.getloadavg()[0], 1))


if __name__ == "__main__":
    main()
