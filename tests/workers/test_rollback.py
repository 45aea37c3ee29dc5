"""A roll-back in the middle of readings on several workers: nothing of the withdrawn version is kept."""

import subprocess
from pathlib import Path

from tests.postgres import requires_postgresql
from tests.promoted import make_live
from tests.trust.quick import make_gate, study_uid, write_quick_model, write_quick_study
from tests.workers.pool import WETREAD, Pool
from wetread.deliver.destination import parse_destination
from wetread.deliver.files import send_files
from wetread.registry import read_package

pytestmark = requires_postgresql


def test_what_the_withdrawn_version_reads_is_not_kept(make_pool, tmp_path: Path) -> None:
    old, new = (write_quick_model(tmp_path, f"quick-{v}", f"{v}.0.0") for v in (1, 2))
    rule = '[[rules]]\nname = "all"\nmodels = ["quick"]\n'
    pool: Pool = make_pool(f'models = ["{old}", "{new}"]\n{rule}[study]\nquiet_s = 0.2\n')
    store = pool.store()
    make_live(store, read_package(old), read_package(new))
    store.close()
    gate = make_gate(tmp_path)
    _serve, first, second = pool.start_all(("serve", "--readings", "0"), ("worker",), ("worker",))
    for number in (1, 2):
        folder = write_quick_study(tmp_path / "scans", number)[0].parent
        send_files(folder, parse_destination(f"WETREAD@127.0.0.1:{pool.dicom_port}"))
    pool.await_true(lambda: pool.running(first) and pool.running(second), 60, "a reading on each worker")
    with gate.open("wb"):
        # At least one of them is inside of the new version's code by now.
        command = [WETREAD, "models", "rollback", "quick", "--why", "It sees nothing.", "--config"]
        done = subprocess.run(
            [*command, str(tmp_path / "wetread.toml")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("quick  1.0.0  live")
        gate.unlink()
    pool.await_true(lambda: set(pool.states()) == {"read"} and len(pool.states()) == 2, 60, "both read")
    rows = pool.ask("SELECT study_instance_uid, model_version FROM reading ORDER BY study_instance_uid")
    assert rows == [(study_uid(1), "1.0.0"), (study_uid(2), "1.0.0")]
    told = [row[0] for row in pool.ask("SELECT message FROM event WHERE stage = 'infer'")]
    assert "quick 2.0.0 is not live any more: what it read is not kept." in told
