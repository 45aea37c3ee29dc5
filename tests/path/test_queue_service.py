"""The queue of a service that reads: what its API says, and the command on its data folder."""

import json
import shutil
import urllib.request

import pytest
from typer.testing import CliRunner

from tests.path.service import Service, await_true
from tests.path.test_path import scan, uid_of
from wetread.cli import app
from wetread.domain.progress import StudyState
from wetread.domain.study import study_key

pytestmark = [
    pytest.mark.sqlite,
    pytest.mark.skipif(
        shutil.which("storescu") is None, reason="storescu is not installed (apt install dcmtk)."
    ),
]


def look(service: Service) -> dict:
    return service.get("/api/v1/queue")


def keys(queue: dict, stage: str) -> list[str]:
    return [one["study_key"] for one in queue[stage]]


def test_a_running_service_tells_what_it_reads_and_how_long_it_took(make_service, visits) -> None:
    service = make_service("[study]\nquiet_s = 1\n")
    study = uid_of(visits[0])
    scan(visits[0], service)
    reading = await_true(lambda: look(service)["reading"], 120, "the reading")
    [one] = reading
    assert (one["study_key"], one["worker"], one["stage"]) == (study_key(study), "local", "reading")
    service.await_state(study, StudyState.READ)
    await_true(lambda: not look(service)["reading"], 60, "its end")
    queue = look(service)
    told = CliRunner().invoke(app, ["queue", "--json", "--data", str(service.data)])
    assert json.loads(told.stdout) == queue, "the command on the data folder says the same"
    assert [keys(queue, stage) for stage in ("arriving", "waiting", "stuck", "failed")] == [[], [], [], []]
    paces = {one["name"]: one for one in queue["paces"]}
    assert paces["chest-ct"]["count"] == 1
    assert paces["chest-ct"]["median_s"] > 0
    # Without an account doors are open on this machine.
    with urllib.request.urlopen(f"http://127.0.0.1:{service.http_port}/queue") as answer:
        page = answer.read().decode()
    assert "Nothing is read at this moment." in page
    assert "chest-ct" in page
