"""How long after the last image do the results stand at the PACS?

In: nothing; a phantom of 300 slices is made, Orthanc and `wetread serve` are started on loopback.
Out: per run, the time from the last image to SR, SEG and GSPS at Orthanc, less quiet period and model.

    python benchmarks/path.py --runs 5
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.chest_reader import describe_machine
from tests.orthanc import Orthanc, running_orthanc
from tests.path.service import Service
from tests.ports import free_port

from wetread.phantom import PhantomPlan, ScannerOptions, plan_options, write_phantom

QUIET_S = 2.0
SLICES = 300


def make_study(folder: Path, seed: int) -> list[Path]:
    scanner = ScannerOptions(step_mm=1.1, length_mm=SLICES * 1.1)
    options = plan_options(PhantomPlan(seed=seed, scanner=scanner))
    write_phantom(options, folder)
    return sorted((folder / "visit1").glob("*.dcm"))


def measure(files: list[Path], service: Service, orthanc: Orthanc) -> dict[str, float]:
    known = orthanc.get("/changes?last")["Last"]
    command = ["storescu", "-aec", "WETREAD", "127.0.0.1", str(service.dicom_port), *map(str, files)]
    subprocess.run(command, check=True, env=os.environ | {"TCP_NODELAY": "1"})
    wanted, seen = {"SR", "SEG", "PR"}, set()
    while seen < wanted:
        for change in orthanc.get(f"/changes?since={known}&limit=1000")["Changes"]:
            known = max(known, change["Seq"])
            if change["ChangeType"] == "NewInstance":
                series = orthanc.get(f"/instances/{change['ID']}/series")
                seen |= {series["MainDicomTags"]["Modality"]} & wanted
        arrived = time.time()
        time.sleep(0.02)
    with service.store() as store:
        row = store.studies.list_newest(limit=1)[0]
        at = {
            event.stage: event.at.timestamp()
            for event in store.history.list_for_study(row.study_instance_uid)
            if event.stage in ("assemble", "match", "infer", "compose")
        }
    model_s = at["infer"] - at["match"]
    total_s = arrived - row.last_received_at
    return {
        "total_s": total_s,
        "model_s": model_s,
        "wait_s": at["assemble"] - row.last_received_at,
        "match_s": at["match"] - at["assemble"],
        "compose_s": at["compose"] - at["infer"],
        "deliver_s": arrived - at["compose"],
        "overhead_s": total_s - QUIET_S - model_s,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    print(describe_machine())
    results = []
    with tempfile.TemporaryDirectory() as name, running_orthanc(Path(name) / "orthanc") as orthanc:
        folder = Path(name) / "service"
        folder.mkdir()
        config = (
            f"[study]\nquiet_s = {QUIET_S}\n[[destinations]]\nname = 'pacs'\n"
            f"to = '{orthanc.aet}@127.0.0.1:{orthanc.dicom_port}'\n"
        )
        service = Service(folder=folder, dicom_port=free_port(), http_port=free_port(), config=config)
        service.start()
        try:
            for run in range(runs):
                files = make_study(Path(name) / f"study{run}", seed=100 + run)
                results.append(measure(files, service, orthanc))
                print({key: round(value, 2) for key, value in results[-1].items()}, flush=True)
        finally:
            service.stop()
    print(f"{'':12}{'median':>9}{'min':>9}{'max':>9}")
    for key in results[0]:
        values = [result[key] for result in results]
        print(f"{key:12}{statistics.median(values):9.2f}{min(values):9.2f}{max(values):9.2f}")


if __name__ == "__main__":
    main()
