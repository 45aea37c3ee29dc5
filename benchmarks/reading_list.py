"""How long does the reading list take where many studies wait?

In: nothing; an index is filled with made-up studies, without files.  Out: per question median, p95, slowest.

    python benchmarks/reading_list.py --studies 50000
    WETREAD_TEST_DATABASE=postgresql python benchmarks/reading_list.py
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import Table, insert

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.chest_reader import describe_machine
from tests.stores import open_store

from wetread.domain.reading import Priority
from wetread.domain.study import study_key
from wetread.store import Store, schema
from wetread.store.list_rank import NUMBERS
from wetread.store.names import name_key
from wetread.store.reading_list import Wanted
from wetread.web import create_web
from wetread.web.listing import weigh

ORIGIN = "http://127.0.0.1"
FORM = {"Origin": ORIGIN}
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
#: The goal: most pages are there within this time.
GOAL_MS = 150.0
_BATCH = 2000
_FAMILIES = (
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


def make_rows(number: int, chance: random.Random, waiting: int) -> dict[Table, dict[str, Any]]:
    """Return the rows of one study that a model has read and that was delivered."""
    uid, at = f"2.25.1.{number}", NOW.timestamp() - chance.random() * 30 * 86400
    priority = chance.choices(list(Priority), (2, 10, 88))[0]
    name = f"{_FAMILIES[number % 9]}{number // 7}^Anna"
    score, findings = chance.random(), chance.randrange(3)
    study = {
        "study_instance_uid": uid,
        "key": study_key(uid),
        "patient_id": f"P{number}",
        "patient_name": name,
        "patient_key": name_key(name),
        "accession_number": f"A{number}",
        "study_date": "20261123",
        "study_description": "CT Thorax",
        "modalities": [chance.choice(("CT", "MR", "DX"))],
        "instance_count": 300,
        "covered_count": 300,
        "revision": 1,
        "first_received_at": at,
        "last_received_at": at,
        "state": "read",
        "source": "CT1",
        "reported_at": None if number < waiting else at + 3600,
        "list_priority": NUMBERS[priority],
        "list_score": score,
        "list_findings": findings,
    }
    reading = {
        "id": number + 1,
        "study_instance_uid": uid,
        "revision": 1,
        "model_name": "chest-ct",
        "model_version": "1",
        "digest": f"{number:064x}",
        "outcome": "read",
        "priority": priority.value,
        "score": score,
        "reasons": ["Nodule, 8 mm"],
        "problems": [],
        "finding_count": findings,
        "made_at": at,
        "superseded": False,
    }
    revision = {
        "study_instance_uid": uid,
        "revision": 1,
        "instance_count": 300,
        "cause": "quiet for 10 s",
        "begun_at": at,
        "finished_at": at,
    }
    document = {
        "id": number + 1,
        "reading_id": number + 1,
        "kind": "sr",
        "ordinal": 1,
        "sop_instance_uid": f"{uid}.9",
        "sop_class_uid": "1.2",
        "series_instance_uid": f"{uid}.8",
        "title": "SR",
        "content_digest": "0" * 64,
    }
    delivery = {
        "document_id": number + 1,
        "destination": "PACS",
        "study_instance_uid": uid,
        "revision": 1,
        "state": "failed" if chance.random() < 0.001 else "verified",
        "updated_at": at,
    }
    event = {"study_instance_uid": uid, "at": at, "stage": "infer", "message": "Read in 20 s."}
    return {
        schema.study: study,
        schema.reading: reading,
        schema.revision: revision,
        schema.document: document,
        schema.delivery: delivery,
        schema.event: event,
    }


def fill(store: Store, studies: int, waiting: int) -> None:
    """Put studies into an empty index."""
    chance = random.Random(1)
    for start in range(0, studies, _BATCH):
        made = [make_rows(number, chance, waiting) for number in range(start, min(start + _BATCH, studies))]
        with store.engine.begin() as connection:
            for table in made[0]:
                connection.execute(insert(table), [rows[table] for rows in made])


def questions(
    client: TestClient, store: Store, chance: random.Random
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield what readers do, and how."""

    def post(path: str, **asked: str) -> Callable[[], Any]:
        return lambda: client.post(path, data=asked, headers=FORM)

    yield "GET /", lambda: client.get("/")
    yield "live update", post("/fragments/list")
    yield "last page", post("/fragments/list", page="100000")
    yield "search a name", post("/fragments/list", text=f"rossi{chance.randrange(1000)}")
    yield "search a letter", post("/fragments/list", text="a")
    yield "only stat", post("/fragments/list", kind="stat")
    yield "delivery trouble", post("/fragments/list", kind="trouble")
    yield "one modality", post("/fragments/list", modality="MR")
    yield "reported", post("/fragments/list", show="reported")
    yield "pulse", lambda: store.history.pulse()
    yield "pulse of one sender", lambda: store.history.pulse(("CT1",))
    yield "place of a study", lambda: store.reading_list.place("2.25.1.7", Wanted(), weigh())


def main() -> None:
    """Fill an index and ask it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=50_000)
    parser.add_argument("--waiting", type=int, help="how many nobody has reported [default: all]")
    parser.add_argument("--times", type=int, default=40)
    options = parser.parse_args()
    waiting = options.studies if options.waiting is None else options.waiting
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "data")
        fill(store, options.studies, waiting)
        print(f"{options.studies} studies, {waiting} of them wait; ms: median, p95, slowest")
        app = create_web(store, (), now=lambda: NOW)
        chance = random.Random(2)
        with TestClient(app, base_url=ORIGIN) as client:
            for name, ask in questions(client, store, chance):
                took = sorted(time_ms(ask) for _ in range(options.times))
                p95 = took[int(0.95 * (len(took) - 1))]
                mark = "" if p95 <= GOAL_MS else "  over the goal"
                print(f"{name:22} {statistics.median(took):8.1f} {p95:8.1f} {took[-1]:8.1f}{mark}")
        store.close()


def time_ms(ask: Callable[[], Any]) -> float:
    """Return how long a question takes, in ms."""
    begun = time.perf_counter()
    answer = ask()
    took = 1000 * (time.perf_counter() - begun)
    if getattr(answer, "status_code", 200) >= 500:
        raise SystemExit(answer.text)
    return took


if __name__ == "__main__":
    main()
