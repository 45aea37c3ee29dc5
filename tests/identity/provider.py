"""OpenID Connect providers for tests: a certified one (oidc-provider, by npm), and one that lies."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwk, jwt

from tests.ports import free_port

HERE = Path(__file__).parent / "oidc"
NPM, NODE = shutil.which("npm"), shutil.which("node")
CLIENT_SECRET = "of-a-test-only-0123456789"  # noqa: S105 - of no provider but the test's


def install() -> Path:
    """Return a folder with the provider's packages; the same lock file is installed once."""
    lock = (HERE / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "wetread-tests"
    folder = cache / f"oidc-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not folder.exists():
        assert NPM
        work = cache / f"new-{os.getpid()}"
        work.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, work)
        command = [NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=work, check=True, capture_output=True, timeout=300)
        with contextlib.suppress(OSError):  # another run was first
            work.rename(folder)
        shutil.rmtree(work, ignore_errors=True)
    return folder


@contextlib.contextmanager
def running_provider(
    redirect_uri: str, accounts: dict[str, dict[str, Any]], guest: str = ""
) -> Iterator[str]:
    """Run the certified provider, and yield its issuer; ``guest`` is let in where nobody is named."""
    assert NODE
    folder, port = install(), free_port()
    shutil.copy(HERE / "provider.js", folder)
    told = {
        "port": port,
        "redirectUri": redirect_uri,
        "secret": CLIENT_SECRET,
        "accounts": accounts,
        "guest": guest,
    }
    process = subprocess.Popen(
        [NODE, "provider.js"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=os.environ | {"WETREAD_TEST_PROVIDER": json.dumps(told)},
    )  # fmt: skip
    try:
        assert process.stdout
        assert any("ready" in line for line in process.stdout), "the provider did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@dataclass
class Liar:
    """A provider that says what a test wants: certified ones cannot be made to lie."""

    key: jwk.RSAKey = field(default_factory=lambda: jwk.RSAKey.generate_key(2048, {"kid": "k1"}))
    #: Change the claims, or return another token altogether.
    lie: Callable[[dict[str, Any]], dict[str, Any] | str] = dict
    #: Path -> (status, body) in place of the truth.
    instead: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    discovery: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    forms: list[dict[str, list[str]]] = field(default_factory=list)
    #: Of the sign-in that has begun: what a real one learns from the browser.
    nonce: str = ""
    issuer: str = ""

    def answer(self, path: str) -> tuple[int, bytes]:
        self.asked.append(path)
        if path in self.instead:
            return self.instead[path]
        body = {
            "/.well-known/openid-configuration": self._discovery,
            "/keys": lambda: {"keys": [self.key.as_dict(private=False) | {"use": "sig"}]},
            "/token": lambda: {"access_token": "x", "token_type": "Bearer", "id_token": self._token()},
        }[path]()
        return 200, json.dumps(body).encode()

    def sign(self, claims: dict[str, Any], alg: str = "RS256", key: Any = None, **header: Any) -> str:
        return jwt.encode({"alg": alg, "kid": "k1", **header}, claims, key or self.key, algorithms=[alg])

    def _discovery(self) -> dict[str, Any]:
        truth = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/auth",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        return truth | self.discovery

    def _token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": "wetread", "sub": "u1", "nonce": self.nonce, "iat": now,
            "exp": now + 300, "preferred_username": "anna", "groups": ["radiologists"],
        }  # fmt: skip
        told = self.lie(claims)
        return told if isinstance(told, str) else self.sign(told)


@contextlib.contextmanager
def running_liar() -> Iterator[Liar]:
    """Run a provider that lies."""
    liar = Liar()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = liar.answer(urlsplit(self.path).path)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", body.decode())
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            liar.forms.append(parse_qs(self.rfile.read(length).decode()))
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        liar.issuer = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield liar
        server.shutdown()
        thread.join()
