"""A small server that speaks KServe v2, as Triton does: JSON, and bytes where it is told to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

HEADER = "Inference-Header-Content-Length"
Answer = Callable[[np.ndarray], np.ndarray]


@dataclass
class Served:
    """What the server does, and what it was asked."""

    models: dict[str, Answer]
    is_binary: bool = False
    url: str = ""
    asked: list[str] = field(default_factory=list)
    #: Bytes sent instead of an answer.
    instead: bytes | None = None
    status: int = 200
    hangs_s: float = 0.0


@contextmanager
def serve(served: Served) -> Iterator[Served]:  # noqa: C901 - a handler's methods
    """Serve on loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_arguments: Any) -> None:
            pass

        def do_GET(self) -> None:
            served.asked.append(self.path)
            if self.path == "/v2":
                extensions = ["binary_tensor_data"] if served.is_binary else []
                self.say(200, {"name": "small", "version": "1", "extensions": extensions})
                return
            name = self.path.removeprefix("/v2/models/").partition("/")[0]
            if name not in served.models:
                self.say(400, {"error": "unknown model"})
                return
            tensor = {"datatype": "FP32", "shape": [-1, 1, -1, -1]}
            self.say(
                200,
                {
                    "name": name,
                    "platform": "small",
                    "inputs": [{"name": "image", **tensor}],
                    "outputs": [{"name": "probabilities", **tensor}],
                },
            )

        def do_POST(self) -> None:
            served.asked.append(self.path)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(served.hangs_s)
            if served.instead is not None or served.status != 200:
                self.send(served.status, served.instead or b"{}", {})
                return
            length = int(self.headers.get(HEADER, len(body)))
            (one,) = json.loads(body[:length])["inputs"]
            if one["name"] != "image" or len(one["shape"]) != 4 or one["shape"][1] != 1:
                self.say(400, {"error": "unexpected shape"})
                return
            data = np.frombuffer(body, "<f4", offset=length) if served.is_binary else np.array(one["data"])
            name = self.path.removeprefix("/v2/models/").partition("/")[0]
            found = served.models[name](data.reshape(one["shape"])).astype("<f4")
            output: dict[str, Any] = {"name": "probabilities", "datatype": "FP32", "shape": list(found.shape)}
            if served.is_binary:
                output["parameters"] = {"binary_data_size": found.nbytes}
                head = json.dumps({"model_name": name, "outputs": [output]}).encode()
                self.send(200, head + found.tobytes(), {HEADER: str(len(head))})
            else:
                output["data"] = found.ravel().tolist()
                self.say(200, {"model_name": name, "outputs": [output]})

        def say(self, status: int, content: dict[str, Any]) -> None:
            self.send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

        def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
