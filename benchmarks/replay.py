"""How fast are changed rules held against past studies?

In: nothing; an index is filled with made-up CT and MR studies, without files.  Out: studies a second, and the
most memory, where rules offer the models the same series as before and where they do not.

    python benchmarks/replay.py --studies 5000 --slices 120
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import insert

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.chest_reader import describe_machine

from wetread.domain.study import study_key
from wetread.match import parse_rules
from wetread.registry import read_models
from wetread.replay import Trial, replay
from wetread.store import Store, open_store, schema

CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
NOW = [{"name": "CT", "models": ["chest-ct"], "level": "series", "modality": "CT"}]
CHANGED = {
    "another name (nothing changes)": [{**NOW[0], "name": "other"}],
    "every tenth CT changes": [{**NOW[0], "when": [{"not": {"keyword": "StationName", "equals": "CT1"}}]}],
    "every CT changes": [{**NOW[0], "modality": "MR"}],
}  # fmt: skip


def make_rows(number: int, slices: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    uid, modality = f"2.25.7.{number}", "MR" if number % 4 == 0 else "CT"
    study = {
        "study_instance_uid": uid,
        "key": study_key(uid),
        "patient_id": f"P{number}",
        "study_date": f"{2015 + number % 11}{1 + number % 12:02}{1 + number % 28:02}",
        "modalities": [modality],
        "instance_count": slices,
        "covered_count": slices,
        "first_received_at": 1.0,
        "last_received_at": 1.0 + number,
        "state": "read",
    }
    return study, [make_instance(uid, modality, number, plane) for plane in range(slices)]


def make_instance(uid: str, modality: str, number: int, plane: int) -> dict[str, Any]:
    header = {
        "Modality": modality,
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "PatientID": f"P{number}",
        "PatientAge": "063Y",
        "BodyPartExamined": "CHEST",
        "StationName": f"CT{number % 10}",
        "SeriesNumber": 1,
        "ConvolutionKernel": "B31f",
        "SliceThickness": 1.25,
        "ImagePositionPatient": [-200.0, -200.0, 2.5 * plane],
        "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "PixelSpacing": [0.7, 0.7],
        "Rows": 512,
        "Columns": 512,
        "RescaleSlope": 1.0,
        "RescaleIntercept": -1024.0,
    }
    return {
        "sop_instance_uid": f"{uid}.1.{plane + 1}",
        "study_instance_uid": uid,
        "series_instance_uid": f"{uid}.1",
        "sop_class_uid": CT_STORAGE,
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "content_digest": "",
        "size": 1,
        "header": header,
        "received_at": 1.0,
        "arrival": plane + 1,
    }


def fill(store: Store, studies: int, slices: int) -> None:
    for begin in range(0, studies, 200):
        rows = [make_rows(number, slices) for number in range(begin, min(begin + 200, studies))]
        with store.engine.begin() as connection:
            connection.execute(insert(schema.study), [study for study, _ in rows])
            connection.execute(insert(schema.instance), [one for _, several in rows for one in several])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--slices", type=int, default=120)
    asked = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder))
        fill(store, asked.studies, asked.slices)
        print(f"{asked.studies} studies of {asked.slices} slices")
        for words, changed in CHANGED.items():
            trial = Trial(store=store, models=read_models(), now=parse_rules(NOW), then=parse_rules(changed))
            begun, after, told = time.perf_counter(), "", 0
            while True:
                batch = replay(trial, limit=1000, after=after)
                told += len(batch.items)
                if batch.after is None:
                    break
                after = batch.after
            took_s = time.perf_counter() - begun
            print(f"{words:40} {asked.studies / took_s:8.0f} studies/s, {told} changed")
        print(f"most memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")
        store.close()


if __name__ == "__main__":
    main()
