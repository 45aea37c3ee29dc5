"""Dead letters by command, while the real service runs: a DCMTK storescp that is not there, then is."""

import json
import subprocess
import sys
from pathlib import Path

from tests.path.service import await_true
from tests.path.test_path import requires_storescu, scan, uid_of
from tests.ports import free_port
from wetread.domain.progress import DeliveryState

pytestmark = requires_storescu


def wetread(service, *arguments: str, status: int = 0) -> str:
    program = str(Path(sys.executable).parent / "wetread")
    command = [program, *arguments, "--config", str(service.folder / "wetread.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout


def test_a_dead_letter_is_listed_and_retried_by_command(make_service, visits, tmp_path: Path) -> None:
    port = free_port()
    service = make_service(f"""
[[destinations]]
name = "pacs"
to = "PEER@127.0.0.1:{port}"
connect_timeout_s = 2.0

[delivery]
waits_s = [1.0]
tries = 2

[study]
quiet_s = 2
""")
    study = uid_of(visits[0])
    scan(visits[0], service)

    def dead() -> list[dict[str, object]]:
        return json.loads(wetread(service, "deliveries", "list", "--state", "failed", "--json"))

    failed = await_true(dead, 180, "a dead letter")
    assert {one["study_instance_uid"] for one in failed} == {study}
    assert {one["problem_code"] for one in failed} == {"peer-unreachable"}
    assert wetread(service, "deliveries", "list", "--destination", "elsewhere") == ""
    wetread(service, "deliveries", "retry", status=1)
    wetread(service, "deliveries", "retry", "99999", status=1)
    folder = tmp_path / "in"
    folder.mkdir()
    peer = subprocess.Popen(["storescp", "+B", "+xa", "-od", str(folder), str(port)])
    try:
        assert f"{len(failed)} to be tried again." in wetread(service, "deliveries", "retry", "--all")
        service.await_delivered(study, timeout_s=60)
    finally:
        peer.terminate()
        peer.wait(10)
    with service.store() as store:
        rows = store.deliveries.list_for_study(study)
    assert {row.state for row in rows} == {DeliveryState.SENT}
    assert len(list(folder.iterdir())) == len(rows)
    assert any("asked for by" in event and "(command line)" in event for event in service.events(study))
    assert "Delivery of" in wetread(service, "audit", "list", "--study", study)
