"""A real PostgreSQL of its own for the tests of a run, made on first use and removed at the end.

PostgreSQL refuses to run as root: where we are root, the cluster belongs to the user ``postgres``.
"""

from __future__ import annotations

import atexit
import functools
import getpass
import hashlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.ports import free_port

#: Debian's; another installation is found by PATH.
_DEBIAN = Path("/usr/lib/postgresql/15/bin")
INITDB = shutil.which("initdb", path=f"{_DEBIAN}:{os.environ['PATH']}")

requires_postgresql = pytest.mark.skipif(
    INITDB is None, reason="PostgreSQL is not installed (apt install postgresql-15)."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A PostgreSQL server: a Unix socket and a loopback port, passwords by SCRAM."""

    folder: Path
    port: int
    password: str
    run: Callable[..., None]

    def url(self, database: str) -> str:
        return f"postgresql://wetread:{self.password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.url(database), autocommit=True)

    def create(self, database: str) -> str:
        """Make an empty database, unless it is there; returns its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
            if known.fetchone() is None:
                connection.execute(f'CREATE DATABASE "{database}" TEMPLATE template0')
        return self.url(database)

    def start(self) -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", str(self.folder / "log"), "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", "immediate", "stop")

    def disconnect_all(self, database: str) -> int:
        """Break every connection to a database; returns how many there were."""
        query = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = %s AND pid <> pg_backend_pid()"
        )
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            row = connection.execute(query, (database,)).fetchone()
        assert row is not None
        return int(row[0])

    @property
    def admin_url(self) -> str:
        return f"postgresql://tester:{self.password}@127.0.0.1:{self.port}/postgres"


def make_cluster(folder: Path) -> Cluster:
    """Make and start a server; its role ``wetread`` may make databases and is no superuser."""
    assert INITDB is not None
    programs = Path(INITDB).parent
    owner = "postgres" if os.geteuid() == 0 else getpass.getuser()
    account = pwd.getpwnam(owner)
    folder.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(folder, account.pw_uid, account.pw_gid)

    def run(program: str, *arguments: str) -> None:
        as_owner = {"user": account.pw_uid, "group": account.pw_gid} if os.geteuid() == 0 else {}
        subprocess.run(
            [str(programs / program), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **as_owner,  # type: ignore[arg-type]
        )

    cluster = Cluster(folder=folder, port=free_port(), password=secrets.token_hex(16), run=run)
    secret = folder / "password"
    secret.touch(mode=0o600)
    secret.write_text(cluster.password)
    if os.geteuid() == 0:
        os.chown(secret, account.pw_uid, account.pw_gid)
    run(
        *("initdb", "-D", str(folder / "data"), "-U", "tester", "--pwfile", str(secret)),
        *("--auth", "scram-sha-256", "--locale", "C.UTF-8", "--no-sync"),
    )
    with (folder / "data" / "postgresql.conf").open("a") as settings:
        settings.write(
            f"listen_addresses = '127.0.0.1'\nport = {cluster.port}\nunix_socket_directories = '{folder}'\n"
            # What is tested is not whether PostgreSQL survives a power cut.
            "fsync = off\nmax_connections = 200\n"
        )
    cluster.start()
    with psycopg.connect(cluster.admin_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE wetread LOGIN CREATEDB PASSWORD '{cluster.password}'")
    return cluster


@functools.cache
def shared_cluster() -> Cluster:
    """The server of this run."""
    folder = Path(tempfile.mkdtemp(prefix="wetread-postgresql-"))
    cluster = make_cluster(folder)

    def remove() -> None:
        cluster.stop()
        shutil.rmtree(folder)

    atexit.register(remove)
    return cluster


def database_name(data: Path) -> str:
    """Name of the database that belongs to a data folder."""
    return "wetread_" + hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:24]
