"""Whatever is done to the trail, it is found."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text

from tests.audit.trail import make_event, open_again, run, tamper, verify, write_trail
from wetread.store import schema
from wetread.store.audit_export import export_entries, verify_export
from wetread.store.audit_verify import verify_against, verify_index

COUNT = 8
#: What makes the index agree with a trail that was cut: what a thorough attacker does too.
ADJUST = (
    "UPDATE audit_head SET sequence = COALESCE((SELECT MAX(sequence) FROM audit), 0),"
    " digest = COALESCE((SELECT digest FROM audit ORDER BY sequence DESC LIMIT 1), '')"
)


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trail")
    write_trail(folder, COUNT)
    return folder


@pytest.fixture
def copy(trail: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trail, tmp_path / "copy"))


def test_an_untouched_trail_is_whole(trail: Path) -> None:
    assert verify(trail) == []


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (["UPDATE audit SET message = replace(message, 'CT3', 'CT9') WHERE sequence = 3"], "entry 3:"),
        (["UPDATE audit SET digest = 'x' WHERE sequence = 3"], "entry 3:"),
        (["UPDATE audit SET at = at - 3600 WHERE sequence = 3"], "column at"),
        (["UPDATE audit SET event = '110103' WHERE sequence = 3"], "column event"),
        (["UPDATE audit SET actor = 'nobody' WHERE sequence = 3"], "column actor"),
        (["UPDATE audit SET study_instance_uid = '9.9' WHERE sequence = 3"], "column study_instance_uid"),
        (["DELETE FROM audit WHERE sequence = 1"], "entry 1: it is missing"),
        (["DELETE FROM audit WHERE sequence BETWEEN 3 AND 4"], "entry 3: 3 to 4 are missing"),
        (["DELETE FROM audit WHERE sequence = 8"], "entry 8: it is missing at the end"),
        (["DELETE FROM audit WHERE sequence > 5", ADJUST], "entry 6: 6 to 8 are missing at the end"),
        (["DELETE FROM audit", ADJUST], "entry 1: 1 to 8 are missing at the end"),
        (["DELETE FROM audit", "DELETE FROM audit_head"], "entry 1: 1 to 8 are missing at the end"),
        (["DELETE FROM audit WHERE sequence = 3", "UPDATE audit SET sequence = 3 WHERE sequence = 4"], "3:"),
        (["UPDATE audit SET sequence = -3 WHERE sequence = 3"], "entry -3:"),
        (["UPDATE audit_head SET sequence = 7"], "audit_head"),
        (["UPDATE audit_head SET digest = 'x'"], "audit_head"),
        (["UPDATE audit_head SET forwarded = 9"], "audit_head"),
        (["UPDATE audit SET message = CAST(x'ff00fe' AS TEXT) WHERE sequence = 3"], ""),
        (["DROP TABLE audit"], "cannot be read"),
    ],
)
def test_each_way_to_tamper_is_found(copy: Path, statements: list[str], told: str) -> None:
    tamper(copy, *statements)
    lines = [str(one) for one in verify(copy)]
    assert lines
    assert any(told in line for line in lines), lines


def test_two_entries_exchanged(copy: Path) -> None:
    audit = open_again(copy)
    run(audit, "UPDATE audit SET sequence = 100 WHERE sequence = 3")
    run(audit, "UPDATE audit SET sequence = 3 WHERE sequence = 4")
    run(audit, "UPDATE audit SET sequence = 4 WHERE sequence = 100")
    audit.engine.dispose()
    assert {3, 4} <= {one.sequence for one in verify(copy)}


def test_an_added_entry(copy: Path) -> None:
    audit = open_again(copy)
    run(
        audit,
        "INSERT INTO audit SELECT 9, message, digest, at, event, actor, study_instance_uid FROM audit"
        " WHERE sequence = 8",
    )
    run(audit, ADJUST)
    audit.engine.dispose()
    assert [one.sequence for one in verify(copy)] == [9]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("audit.head", None, "audit.head is gone"),
        ("audit.head", "8 ff ff\n", "audit.head was changed"),
        ("audit.head", "", "audit.head was changed"),
        ("audit.key", None, "the key is gone"),
        ("audit.key", "ab" * 32 + "\n", "entry 1:"),
    ],
)
def test_files_beside_the_index(copy: Path, name: str, content: str | None, told: str) -> None:
    if content is None:
        (copy / name).unlink()
    else:
        (copy / name).write_text(content)
    lines = [str(one) for one in verify(copy)]
    assert any(told in line for line in lines), lines


def test_everything_wiped_is_seen_by_the_history(copy: Path) -> None:
    audit = open_again(copy)
    run(
        audit,
        "INSERT INTO event (study_instance_uid, revision, at, stage, level, code, message)"
        " VALUES ('', 0, 0, 'receive', 'info', '', 'x')",
    )
    run(audit, "DELETE FROM audit")
    run(audit, "UPDATE audit_head SET sequence = 0, digest = ''")
    audit.engine.dispose()
    (copy / "audit.head").unlink()
    (copy / "audit.key").unlink()
    assert [str(one) for one in verify(copy)] == [
        "trail: it is empty, though the history is not: all entries were removed"
    ]


def test_an_old_index_put_back_is_seen_by_the_head(trail: Path, tmp_path: Path) -> None:
    now = Path(shutil.copytree(trail, tmp_path / "now"))
    audit = open_again(now)
    audit.record(make_event("later"))
    audit.engine.dispose()
    for path in trail.glob("index.sqlite*"):
        shutil.copy(path, now / path.name)
    assert [one.sequence for one in verify(now)] == [9]


def test_a_whole_folder_put_back_is_seen_by_an_outside_copy(trail: Path, tmp_path: Path) -> None:
    now = Path(shutil.copytree(trail, tmp_path / "now"))
    audit = open_again(now)
    audit.record(make_event("later"))
    export_entries(audit, tmp_path / "export.jsonl")
    audit.engine.dispose()
    old = open_again(trail)
    findings = list(verify_against(old.engine, tmp_path / "export.jsonl"))
    old.engine.dispose()
    assert verify(trail) == []
    assert [str(one) for one in findings] == ["entry 9: the copy has it, the trail has not"]


def test_what_is_cut_while_the_service_runs_is_told_for_ever(copy: Path) -> None:
    """The cut trail grows beyond its old end: only an entry of ours still tells."""
    audit = open_again(copy)
    run(audit, "DELETE FROM audit WHERE sequence > 5")
    run(audit, ADJUST)
    for number in range(6):
        audit.record(make_event(f"afterwards {number}"))
    audit.engine.dispose()
    lines = [str(one) for one in verify(copy)]
    assert "entry 6: 6 to 8 are missing" in lines
    assert "entry 9: it says that the trail was tampered with before: read it" in lines
    assert len(lines) == 2


def test_all_files_set_back_while_the_service_runs(trail: Path, copy: Path) -> None:
    """The process itself remembers the end."""
    audit = open_again(copy)
    audit.record(make_event("later"))
    run(audit, "DELETE FROM audit WHERE sequence > 8")
    run(audit, ADJUST)
    shutil.copy(trail / "audit.head", copy / "audit.head")
    audit.record(make_event("after"))
    audit.engine.dispose()
    assert any("tampered" in str(one) for one in verify(copy))


def test_a_lagging_head_is_no_alarm(copy: Path, trail: Path) -> None:
    audit = open_again(copy)
    audit.record(make_event("its note was lost in a crash"))
    audit.engine.dispose()
    shutil.copy(trail / "audit.head", copy / "audit.head")
    assert verify(copy) == []


EDITS = st.sampled_from(["message", "digest", "at", "event", "actor", "study_instance_uid", "sequence"])


@st.composite
def attacks(draw: st.DrawFn) -> tuple[str, int, object]:
    kind = draw(st.sampled_from(["edit", "delete", "cut", "exchange", "copy"]))
    number = draw(st.integers(1, COUNT))
    if kind == "edit":
        return (
            draw(EDITS),
            number,
            draw(st.text(max_size=20) | st.integers(-5, 10**6) | st.binary(max_size=9)),
        )
    return kind, number, draw(st.integers(1, COUNT))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(attack=attacks(), adjusts=st.booleans())
def test_any_attack_on_the_table_is_found(
    trail: Path, attack: tuple[str, int, object], adjusts: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(trail, Path(folder) / "copy"))
        audit = open_again(copy)
        before = _rows(audit.engine)
        try:
            _perform(audit, *attack)
        except Exception:  # noqa: BLE001 - the database itself refuses, e.g. a number that is taken
            audit.engine.dispose()
            return
        if adjusts:
            run(audit, ADJUST)
        after = _rows(audit.engine)
        found = list(verify_index(audit.engine, audit.key_file, audit.head_file))
        audit.engine.dispose()
        assert bool(found) == (before != after), (attack, found)


def _perform(audit: object, kind: str, number: int, value: object) -> None:
    if kind == "delete":
        run(audit, "DELETE FROM audit WHERE sequence = :n", n=number)
    elif kind == "cut":
        run(audit, "DELETE FROM audit WHERE sequence >= :n", n=number)
    elif kind == "exchange":
        run(audit, "UPDATE audit SET sequence = 100 WHERE sequence = :n", n=number)
        run(audit, "UPDATE audit SET sequence = :n WHERE sequence = :m", n=number, m=value)
        run(audit, "UPDATE audit SET sequence = :m WHERE sequence = 100", m=value)
    elif kind == "copy":
        run(audit, "DELETE FROM audit WHERE sequence = :m AND :m <> :n", n=number, m=value)
        run(
            audit,
            "INSERT OR IGNORE INTO audit SELECT :m, message, digest, at, event, actor,"
            " study_instance_uid FROM audit WHERE sequence = :n",
            n=number,
            m=value,
        )
    else:
        run(audit, f"UPDATE audit SET {kind} = :v WHERE sequence = :n", n=number, v=value)  # noqa: S608


def _rows(engine: Engine) -> list[tuple[object, ...]]:
    query = (
        "SELECT sequence, CAST(message AS BLOB), typeof(message), CAST(digest AS BLOB), typeof(digest), at,"
    )
    query += " typeof(at), CAST(event AS BLOB), CAST(actor AS BLOB), CAST(study_instance_uid AS BLOB)"
    with engine.connect() as connection:
        rows = connection.execute(text(f"{query} FROM audit ORDER BY sequence")).all()
        head = connection.execute(select(schema.audit_head)).all()
    return [tuple(row) for row in [*rows, *head]]


@pytest.mark.parametrize("kind", ["whole", "cut", "edited", "exchanged", "head", "no end"])
def test_an_export_is_verified_by_itself(trail: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "export.jsonl"
    audit = open_again(trail)
    assert export_entries(audit, out) == COUNT
    audit.engine.dispose()
    lines = out.read_text().splitlines()
    if kind == "cut":
        lines.pop()
    elif kind == "edited":
        lines[3] = lines[3].replace("CT3", "CT9")
    elif kind == "exchanged":
        lines[3], lines[4] = lines[4], lines[3]
    elif kind == "head":
        lines[0] = json.dumps(json.loads(lines[0]) | {"exported_at": "2001-01-01"})
    elif kind == "no end":
        shorter = json.loads(lines.pop())["sequence"] - 1
        head = json.loads(lines[0])
        lines[0] = json.dumps(head | {"end": [shorter, json.loads(lines[-1])["digest"]]})
    out.write_text("\n".join(lines) + "\n")
    assert bool(list(verify_export(out, audit.key_file))) == (kind != "whole")
