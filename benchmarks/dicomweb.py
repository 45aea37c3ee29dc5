"""DICOMweb against Orthanc's plugin: the same series, the same questions, in turn.

In: nothing; a CT of 400 images of 512 x 512 is made and sent to Orthanc and `wetread serve` on loopback.
Out: for each question the median of both, and the ratio of every round.

    python benchmarks/dicomweb.py --rounds 5
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.chest_reader import describe_machine
from tests.dicom.small_ct import SmallCt, write_ct
from tests.orthanc import Orthanc, running_orthanc
from tests.path.service import Service, await_true
from tests.ports import free_port

COUNT = 400
STUDY, SERIES = "2.25.77", "2.25.77.1"
#: No model may read while others are timed.
CONFIG = "[study]\nquiet_s = 3600\n"
OCTETS = {"Accept": 'multipart/related; type="application/octet-stream"'}


def make_series(folder: Path) -> list[Path]:
    noise = np.random.default_rng(1).integers(-1000, 2000, (8, 512, 512), dtype=np.int16)
    stored = noise[np.arange(COUNT) % len(noise)]
    ct = SmallCt(shape=(COUNT, 512, 512), study_uid=STUDY, series_uid=SERIES, stored=stored)
    return list(write_ct(folder, ct))


def send(folder: Path, aet: str, port: int) -> None:
    command = ["storescu", "+sd", "-aec", aet, "127.0.0.1", str(port), str(folder)]
    subprocess.run(command, check=True, env=os.environ | {"TCP_NODELAY": "1"})


def questions(uids: list[str]) -> dict[str, Callable[[httpx.Client], None]]:
    series = f"studies/{STUDY}/series/{SERIES}"

    def ask(path: str, **headers: str) -> Callable[[httpx.Client], None]:
        def one(client: httpx.Client) -> None:
            answer = client.get(path, headers=headers)
            assert answer.status_code == 200, (path, answer.status_code, answer.text[:200])

        return one

    def each(paths: list[str], **headers: str) -> Callable[[httpx.Client], None]:
        asked = [ask(path, **headers) for path in paths]
        return lambda client: [one(client) for one in asked] and None

    return {
        f"QIDO, {COUNT} instances": ask(f"{series}/instances"),
        "metadata of the series": ask(f"{series}/metadata"),
        "retrieve the series": ask(series, Accept='multipart/related; type="application/dicom"'),
        "100 single frames": each([f"{series}/instances/{uid}/frames/1" for uid in uids[:100]], **OCTETS),
        "20 rendered": each([f"{series}/instances/{uid}/rendered" for uid in uids[:20]], Accept="image/jpeg"),
    }


def time_all(base: str, uids: list[str]) -> dict[str, float]:
    took = {}
    with httpx.Client(base_url=base, timeout=120) as client:
        for name, ask in questions(uids).items():
            begun = time.perf_counter()
            ask(client)
            took[name] = time.perf_counter() - begun
    return took


def uids_of(base: str) -> list[str]:
    found = httpx.get(f"{base}/studies/{STUDY}/series/{SERIES}/instances", timeout=120).json()
    return [one["00080018"]["Value"][0] for one in found]


def compare(ours: str, theirs: str, rounds: int) -> dict[str, list[tuple[float, float]]]:
    uids = uids_of(theirs)
    assert sorted(uids) == sorted(uids_of(ours))
    assert len(uids) == COUNT
    pairs: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds + 1):
        order = [ours, theirs] if number % 2 else [theirs, ours]
        took = {base: time_all(base, uids) for base in order}
        if number:
            # The first round warms both up.
            for name in took[ours]:
                pairs.setdefault(name, []).append((took[ours][name], took[theirs][name]))
    return pairs


def tell(pairs: dict[str, list[tuple[float, float]]]) -> None:
    print(f"{'':26}{'Wetread s':>11}{'Orthanc s':>11}{'ratio':>8}   all rounds")
    for name, values in pairs.items():
        mine, other = (statistics.median(column) for column in zip(*values, strict=True))
        ratios = sorted(b / a for a, b in values)
        spread = ", ".join(f"{ratio:.1f}" for ratio in ratios)
        print(f"{name:26}{mine:11.3f}{other:11.3f}{statistics.median(ratios):8.1f}   {spread}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(describe_machine())
    with tempfile.TemporaryDirectory() as name, running_orthanc(Path(name) / "orthanc") as orthanc:
        folder, images = Path(name) / "service", Path(name) / "images"
        folder.mkdir()
        images.mkdir()
        make_series(images)
        service = Service(folder=folder, dicom_port=free_port(), http_port=free_port(), config=CONFIG)
        service.start()
        try:
            send(images, "WETREAD", service.dicom_port)
            send(images, orthanc.aet, orthanc.dicom_port)
            await_true(lambda: _has_all(orthanc), 60, "Orthanc's index")
            print(orthanc.get("/system")["Version"], "Orthanc", orthanc.get("/plugins/dicom-web")["Version"])
            tell(compare(f"http://127.0.0.1:{service.http_port}/dicom-web", orthanc.dicomweb_url, rounds))
        finally:
            service.stop()


def _has_all(orthanc: Orthanc) -> bool:
    return bool(orthanc.get("/statistics")["CountInstances"] == COUNT)


if __name__ == "__main__":
    main()
