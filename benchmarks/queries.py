"""How long do searches take in a large archive?

In: nothing; an index is filled with made-up studies, without files.  Out: per question median, p95, slowest.

    python benchmarks/queries.py --studies 100000 --instances 50
    WETREAD_TEST_DATABASE=postgresql python benchmarks/queries.py
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine, func, insert, select, text

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.chest_reader import describe_machine
from tests.stores import open_store

from wetread.domain.query import Level
from wetread.domain.study import study_key
from wetread.share.qido import read_search, write_answer
from wetread.store import schema
from wetread.store.catalogue import Catalogue
from wetread.store.catalogued import pack_metadata
from wetread.store.names import name_key

FAMILIES = (
    "Müller",
    "Smith",
    "Yamada",
    "Garcia",
    "Nguyen",
    "Okafor",
    "Ivanova",
    "Rossi",
    "Jensen",
    "Kowalski",
)
GIVEN = ("Anna", "John", "Tarou", "Maria", "Minh", "Chidi", "Olga", "Luca", "Freja", "Jan")
MODALITIES = ("CT", "CT", "CT", "MR", "MR", "DX", "DX", "DX", "US", "PT")
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
_BATCH = 2000


def make_study(number: int, instances: int, chance: random.Random) -> tuple[dict[str, Any], list, list]:
    patient = chance.randrange(number // 3 + 1)
    name = f"{FAMILIES[patient % 10]}{patient}^{GIVEN[patient // 10 % 10]}"
    modality = chance.choice(MODALITIES)
    uid = f"2.25.1.{number}"
    date = f"{2015 + number % 11}{1 + number % 12:02}{1 + number % 28:02}"
    study = {
        "study_instance_uid": uid,
        "key": study_key(uid),
        "patient_id": f"P{patient}",
        "patient_name": name,
        "patient_key": name_key(name),
        "patient_birth_date": "19600101",
        "patient_sex": "F",
        "accession_number": f"A{number}",
        "study_date": date,
        "study_time": f"{number % 24:02}{number % 60:02}00",
        "study_description": "CHEST",
        "modalities": [modality],
        "instance_count": instances,
        "first_received_at": number,
        "last_received_at": number,
        "state": "read",
        "covered_count": instances,
        "revision": 1,
    }
    series = {
        "study_instance_uid": uid,
        "series_instance_uid": f"{uid}.1",
        "modality": modality,
        "series_number": 1,
        "performed_date": date,
        "performed_time": "",
        "scheduled_step_id": "",
        "requested_procedure_id": "",
        "instance_count": instances,
        "head": f"{uid}.1.1",
    }
    header = {
        "00080020": {"vr": "DA", "Value": [date]},
        "00080060": {"vr": "CS", "Value": [modality]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]},
        "00100020": {"vr": "LO", "Value": [f"P{patient}"]},
    }
    packed = pack_metadata(orjson.dumps(header))
    rows = [
        {
            "sop_instance_uid": f"{uid}.1.{one}",
            "study_instance_uid": uid,
            "series_instance_uid": f"{uid}.1",
            "sop_class_uid": CT_STORAGE,
            "transfer_syntax_uid": "1.2.840.10008.1.2.1",
            "content_digest": "0" * 64,
            "size": 1,
            "header": {"Modality": modality},
            "received_at": number,
            "arrival": one,
            "instance_number": one,
            "metadata": packed,
        }
        for one in range(1, instances + 1)
    ]
    return study, [series], rows


def fill(engine: Engine, studies: int, instances: int) -> None:
    chance = random.Random(1)
    held: dict[Any, list] = {schema.study: [], schema.series: [], schema.instance: []}
    for number in range(studies):
        study, series, rows = make_study(number, instances, chance)
        held[schema.study].append(study)
        held[schema.series] += series
        held[schema.instance] += rows
        if number % (_BATCH // instances or 1) == 0 or number == studies - 1:
            with engine.begin() as connection:
                for table, several in held.items():
                    connection.execute(insert(table), several)
            held = {table: [] for table in held}
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def questions(studies: int, chance: random.Random) -> Iterator[tuple[str, Level, dict, list]]:
    while True:
        number = chance.randrange(studies)
        year = f"{2015 + number % 11}"
        yield "patient id", Level.STUDY, {}, [("PatientID", f"P{number // 3}")]
        yield "accession number", Level.STUDY, {}, [("AccessionNumber", f"A{number}")]
        yield "a day", Level.STUDY, {}, [("StudyDate", f"{year}{1 + number % 12:02}{1 + number % 28:02}")]
        yield "newest 100", Level.STUDY, {}, [("limit", "100")]
        yield "a modality, newest 100", Level.STUDY, {}, [("ModalitiesInStudy", "MR"), ("limit", "100")]
        yield "a rare modality", Level.STUDY, {}, [("ModalitiesInStudy", "ES"), ("limit", "100")]
        yield "beginning of a name", Level.STUDY, {}, [("PatientName", f"smith{number % 997}*")]
        yield "a name that nobody has", Level.STUDY, {}, [("PatientName", "*zzz*")]
        yield "series of a study", Level.SERIES, {"StudyInstanceUID": f"2.25.1.{number}"}, []
        yield "instances of a study", Level.IMAGE, {"StudyInstanceUID": f"2.25.1.{number}"}, []


def measure(catalogue: Catalogue, studies: int, rounds: int) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {}
    asked = questions(studies, random.Random(2))
    for _ in range(rounds * 10):
        name, level, path, parameters = next(asked)
        begun = time.perf_counter()
        search = read_search(level, path, parameters)
        write_answer(
            search, catalogue.search(search.query, is_brief=search.is_brief), "http://127.0.0.1/dicom-web"
        )
        took.setdefault(name, []).append(1000 * (time.perf_counter() - begun))
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--instances", type=int, default=50, help="of each study")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--data", type=Path, help="keep the index here, for further runs; SQLite only")
    options = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as name:
        store = open_store(options.data or Path(name) / "data")
        with store.engine.connect() as connection:
            is_filled = connection.execute(select(schema.study.c.key).limit(1)).first() is not None
        if not is_filled:
            fill(store.engine, options.studies, options.instances)
        with store.engine.connect() as connection:
            count = connection.execute(select(func.count()).select_from(schema.instance)).scalar_one()
        print(f"{store.engine.dialect.name}, {options.studies} studies, {count} instances")
        print(f"{'ms':26}{'median':>9}{'p95':>9}{'slowest':>9}")
        for question, values in measure(store.catalogue, options.studies, options.rounds).items():
            p95 = statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]
            print(f"{question:26}{statistics.median(values):9.1f}{p95:9.1f}{max(values):9.1f}")
        store.close()


if __name__ == "__main__":
    main()
