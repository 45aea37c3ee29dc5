"""A running service with a version in the shadow that hangs and is killed: what is live goes its way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deliver.test_cstore import running_peer
from tests.path.service import Service, await_true
from tests.ports import free_port
from tests.promoted import make_live, make_shadow
from tests.stores import open_store
from tests.trust.quick import make_gate, study_uid, write_quick_model, write_quick_study
from wetread.deliver.cstore import read_item, send_items
from wetread.deliver.destination import parse_destination
from wetread.domain.progress import DeliveryState, StudyState
from wetread.domain.shadow import ShadowState
from wetread.registry import read_package
from wetread.store.shadows import ShadowRow


@pytest.fixture
def got() -> Counter[str]:
    """How often the destination got each object."""
    return Counter()


@pytest.fixture
def service(tmp_path: Path, got: Counter[str]) -> Iterator[Service]:
    """Version 1.0.0 is live, version 2.0.0 in the shadow waits at a pipe each time."""
    old = read_package(write_quick_model(tmp_path / "old"))
    folder = write_quick_model(tmp_path / "new", version="2.0.0")
    toml = folder / "model.toml"
    toml.write_text(toml.read_text().replace('state = "live"', 'state = "draft"'))
    new = read_package(folder)
    store = open_store(tmp_path / "data")
    make_live(store, old)
    make_shadow(store, new)
    store.close()

    def keep(event: Any) -> int:
        got[str(event.request.AffectedSOPInstanceUID)] += 1
        return 0x0000

    with running_peer(keep) as port:
        config = (
            f'models = ["{tmp_path / "old" / "quick"}", "{folder}"]\n'
            '[[rules]]\nname = "all"\nmodels = ["quick"]\n'
            f'[[destinations]]\nname = "pacs"\nto = "PEER@127.0.0.1:{port}"\nverify = "none"\n'
            "[study]\nquiet_s = 1\n"
        )
        made = Service(folder=tmp_path, dicom_port=free_port(), http_port=free_port(), config=config)
        yield made
        made.stop()


def scan(service: Service, number: int) -> str:
    files = write_quick_study(service.folder / f"scan{number}", number)
    target = parse_destination(f"WETREAD@127.0.0.1:{service.dicom_port}", "ours", "SCANNER")
    assert all(one.state is DeliveryState.SENT for one in send_items(target, list(map(read_item, files))))
    return study_uid(number)


def rows(service: Service, *studies: str) -> list[ShadowRow]:
    with service.store() as store:
        digest = store.model_states.list_all()[-1].digest
        found = [store.shadows.find(study, 1, digest) for study in studies]
    return [one for one in found if one is not None]


def are_read(service: Service, *studies: str) -> bool:
    held = rows(service, *studies)
    return len(held) == len(studies) and all(one.state is ShadowState.READ for one in held)


def kept(service: Service, study: str) -> tuple[object, ...]:
    with service.store() as store:
        return (
            store.studies.find(study),
            store.studies.list_revisions(study),
            store.readings.list_for_study(study),
            store.deliveries.list_for_study(study),
            store.history.list_for_study(study),
        )


def test_it_hangs_and_is_killed_and_what_is_live_never_knows(service: Service, got: Counter[str]) -> None:
    gate = make_gate(service.folder / "new")
    service.start()
    first = scan(service, 1)
    service.await_delivered(first)
    # Opens when the version in the shadow stands at the pipe, in the middle of its reading.
    with gate.open("wb"):
        before = kept(service, first)
        second = scan(service, 2)
        service.await_delivered(second)
    # The live reading has ended the other; the next one stands at the pipe again, and is killed there.
    with gate.open("wb"):
        assert kept(service, first) == before
        assert [one.state for one in rows(service, first, second)] == [ShadowState.WAITING] * 2
        service.kill()
    # From now on it reads without waiting.
    gate.unlink()
    service.start()
    await_true(lambda: are_read(service, first, second), 90, f"both in the shadow ({service.log})")
    assert kept(service, first) == before
    assert set(got.values()) == {1}, "each result went out once"
    with service.store() as store:
        assert store.studies.find(second).state is StudyState.READ
        assert {row.model_version for row in store.readings.list_for_study(second)} == {"1.0.0"}
    told = service.get("/api/v1/models/quick/2.0.0/shadow")
    assert (told["series"], told["waiting"], told["live"]["version"]) == (2, 0, "1.0.0")
    assert told["found"]["agreement"]["value"] == 1.0
