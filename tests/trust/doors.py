"""Services that can be killed and begun again in no time: everything is imported once, each is a fork.

    python -m tests.trust.doors DATA [DATABASE_URL]

In: "start" on standard input, or "wait".  Out: "PID PORT" of a service that receives; what became of it.
Reconciliation and receiving are those of the real service (`wetread.app`); nothing is read or delivered.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.stores import database_url, own_folder


@dataclass
class Doors:
    """The mother of the services, seen from the test."""

    data: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def __enter__(self) -> Doors:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.trust.doors", str(self.data), database_url(self.data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | self.environment,
            cwd=Path(__file__).parents[2],
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.communicate(timeout=60)

    def begin(self) -> int:
        """Start a service; returns its process at once, before it receives."""
        return int(self._ask("start"))

    def port(self) -> int | None:
        """Wait for the service's port; None where it was killed before."""
        answer = self._ask("port")
        return int(answer) if answer else None

    def kill(self, process: int) -> None:
        os.kill(process, signal.SIGKILL)

    def wait(self) -> None:
        """Wait until the service is dead."""
        self._ask("wait")

    def _ask(self, word: str) -> str:
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


def main() -> None:
    from wetread.inventory import Inventory
    from wetread.receive.cstore import ReceiverOptions, start_receiver
    from wetread.store import open_store
    from wetread.store.erasure import finish_deletions

    data, url = Path(sys.argv[1]), sys.argv[2]
    child, answer = 0, 0

    def serve(tell: int) -> None:
        # The database's URL comes from our mother: she has the server.
        store = own_folder(open_store(data, url))
        finish_deletions(store)
        receiver = start_receiver(ReceiverOptions(port=0), store)
        Inventory(store, lambda: datetime.now(UTC)).start()
        os.write(tell, f"{receiver.port}\n".encode())
        signal.pause()

    for line in sys.stdin:
        word = line.strip()
        if word == "start":
            answer, tell = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(answer)
                # The service's standard output is not that of its mother.
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(2, 1)
                serve(tell)
            os.close(tell)
            _answer(str(child))
        elif word == "port":
            with os.fdopen(os.dup(answer)) as pipe:
                _answer(pipe.readline().strip())
        elif word == "wait":
            os.waitpid(child, 0)
            os.close(answer)
            _answer("")
    if child:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _answer(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
