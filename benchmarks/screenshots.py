"""Pictures for README and docs: the demo's reading list and study page in Chromium.

In: nothing.  Out: docs/images/*.png.  Needs chromium.

    python benchmarks/screenshots.py
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import threading
import urllib.request
from pathlib import Path

from rich.console import Console

from wetread.demo import DemoOptions, free_port, run_demo

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def take(url: str, path: Path, height: int) -> None:
    with tempfile.TemporaryDirectory() as profile:
        command = ["chromium", *FLAGS, f"--user-data-dir={profile}", f"--window-size=1440,{height}"]
        subprocess.run([*command, f"--screenshot={path}", url], check=True, capture_output=True, timeout=120)


def main() -> None:
    port, stop = free_port(), threading.Event()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="coarser images, faster")
    options = DemoOptions(http_port=port, small=parser.parse_args().small)
    done = threading.Event()

    class Show(Console):
        """Tells when the demo has nothing more to do."""

        def print(self, *objects: object, **options: object) -> None:
            super().print(*objects, **options)
            if objects and "Ctrl-C" in str(objects[0]):
                done.set()

    thread = threading.Thread(target=run_demo, args=(options, Show(stderr=True), stop))
    thread.start()
    done.wait(900)
    url = f"http://127.0.0.1:{port}"
    try:
        take(f"{url}/", IMAGES / "reading-list.png", 560)
        with urllib.request.urlopen(f"{url}/api/v1/reading-list") as answer:  # noqa: S310 - our own demo
            key = json.loads(answer.read())["items"][0]["key"]
        take(f"{url}/studies/{key}", IMAGES / "study.png", 900)
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    main()
