"""Networks on a server that speaks KServe v2 (Triton, OpenVINO Model Server, KServe), over HTTP.

In: the server's address and a model's name there.  Out: a ``Session`` on it.
Never: anything but voxels sent; a redirect or a proxy followed; an answer believed beyond its bounds.

Tensors go as JSON, or as bytes where the server says that it knows the binary extension.

References
----------
Open Inference Protocol (KServe v2), REST; its extension "binary tensor data".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt

from wetread.domain.model import Runtime
from wetread.errors import InvalidOutput, InvalidPackage, ModelTimeout, PeerUnreachable
from wetread.infer.runtimes.session import Tensors, check_finite
from wetread.network import ClientTls, client_context

_CONNECT_S = 10.0
_LARGEST_DESCRIPTION = 1 << 20
_LARGEST_ANSWER = 512 << 20
_MOST_TENSORS = 64
_SILENT = "The server of the model does not answer: check runtime.url, and whether it is up."
_HEADER_LENGTH = "Inference-Header-Content-Length"
_DTYPES: Mapping[str, str] = {
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "BOOL": "|b1", "UINT8": "|u1", "INT8": "|i1",
    "UINT16": "<u2", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class KserveSession:
    """A model on another machine."""

    client: httpx.Client
    #: Path of the model.
    path: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    #: Whether the server takes and gives bytes.
    is_binary: bool

    def run(self, tensors: Tensors) -> Tensors:
        """Return the outputs; see ``Session``."""
        if set(tensors) != set(self.inputs):
            raise InvalidOutput("The network does not take this image.", inputs=len(self.inputs))
        body, headers = _pack(tensors, self.outputs, is_binary=self.is_binary)
        status, head, data = _ask(self.client, "POST", f"{self.path}/infer", _LARGEST_ANSWER, body, headers)
        if 400 <= status < 500:
            raise InvalidOutput("The network does not take this image.", status=status)
        found = _unpack(data, head.get(_HEADER_LENGTH))
        missing = [name for name in self.outputs if name not in found]
        if missing:
            raise InvalidOutput("The server's answer lacks an output.", outputs=len(missing))
        return check_finite({name: found[name] for name in self.outputs})


def open_kserve(runtime: Runtime) -> KserveSession:
    """Ask a server for a model.

    Raises
    ------
    PeerUnreachable
        If it does not answer, or is not ready.
    InvalidPackage
        If it has no such model, or one of other tensors than numbers.
    """
    client = httpx.Client(
        base_url=runtime.url,
        verify=client_context(ClientTls()) if runtime.url.startswith("https:") else False,
        timeout=httpx.Timeout(max(1.0, 0.9 * runtime.timeout_s), connect=_CONNECT_S),
        follow_redirects=False,
        # No proxy and no password file of the environment.
        trust_env=False,
    )
    version = f"/versions/{runtime.remote_version}" if runtime.remote_version else ""
    path = f"v2/models/{runtime.remote_model}{version}"
    status, _head, data = _ask(client, "GET", path, _LARGEST_DESCRIPTION)
    if status != httpx.codes.OK:
        raise InvalidPackage("The server has no such model: see runtime.remote_model.", status=status)
    told = _read_json(data)
    return KserveSession(
        client=client,
        path=path,
        inputs=_names(told, "inputs"),
        outputs=_names(told, "outputs"),
        is_binary=_knows_binary(client),
    )


def _knows_binary(client: httpx.Client) -> bool:
    status, _head, data = _ask(client, "GET", "v2", _LARGEST_DESCRIPTION)
    extensions = _read_json(data).get("extensions") if status == httpx.codes.OK else None
    return isinstance(extensions, list) and "binary_tensor_data" in extensions


def _names(told: Mapping[str, Any], key: str) -> tuple[str, ...]:
    listed = told.get(key)
    if not isinstance(listed, list) or not 1 <= len(listed) <= _MOST_TENSORS:
        raise InvalidPackage(f"The server does not name the {key} of its model.")
    names = tuple(one.get("name") if isinstance(one, Mapping) else None for one in listed)
    kinds = [one.get("datatype") for one in listed if isinstance(one, Mapping)]
    if not all(isinstance(one, str) and one for one in names) or any(one not in _DTYPES for one in kinds):
        raise InvalidPackage(f"The {key} of the server's model are no tensors of numbers.")
    return tuple(str(one) for one in names)


def _ask(
    client: httpx.Client,
    method: str,
    path: str,
    limit: int,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Mapping[str, str], bytes]:
    """Return status, headers and body; never more of it than the limit."""
    data = bytearray()
    try:
        with client.stream(method, path, content=body, headers=dict(headers or {})) as answer:
            for piece in answer.iter_bytes():
                data += piece
                if len(data) > limit:
                    raise InvalidOutput("The server's answer is larger than any real one.", limit=limit)
    except (httpx.ReadTimeout, httpx.WriteTimeout) as error:
        raise ModelTimeout("The server of the model did not answer within the package's limit.") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise PeerUnreachable(_SILENT, reason=type(error).__name__) from error
    if answer.status_code >= 500 or 300 <= answer.status_code < 400:
        raise PeerUnreachable("The server of the model cannot answer now.", status=answer.status_code)
    return answer.status_code, answer.headers, bytes(data)


def _pack(tensors: Tensors, outputs: tuple[str, ...], *, is_binary: bool) -> tuple[bytes, Mapping[str, str]]:
    described, raw = [], []
    for name, value in tensors.items():
        plain = np.ascontiguousarray(value, dtype="<f4")
        one: dict[str, Any] = {"name": name, "shape": list(plain.shape), "datatype": "FP32"}
        if is_binary:
            raw.append(plain.tobytes())
            one["parameters"] = {"binary_data_size": plain.nbytes}
        else:
            # As JSON has no NaN: what is none was refused before (``imaging.recipe``).
            one["data"] = plain.ravel().tolist()
        described.append(one)
    wanted = [{"name": name, "parameters": {"binary_data": is_binary}} for name in outputs]
    head = json.dumps({"inputs": described, "outputs": wanted}).encode()
    if not is_binary:
        return head, {"Content-Type": "application/json"}
    return b"".join([head, *raw]), {
        "Content-Type": "application/octet-stream",
        _HEADER_LENGTH: str(len(head)),
    }


def _unpack(data: bytes, header_length: str | None) -> dict[str, npt.NDArray[Any]]:
    length = len(data)
    if header_length is not None:
        length = int(header_length) if header_length.isdecimal() and len(header_length) < 12 else -1
    if not 0 <= length <= len(data):
        raise InvalidOutput("The server's answer does not say what it holds.")
    listed = _read_json(data[:length]).get("outputs")
    if not isinstance(listed, list) or len(listed) > _MOST_TENSORS:
        raise InvalidOutput("The server's answer names no outputs.")
    found, place = {}, length
    for one in listed:
        name, value, place = _tensor(one, data, place)
        found[name] = value
    return found


def _tensor(one: Any, data: bytes, place: int) -> tuple[str, npt.NDArray[Any], int]:
    try:
        shape = [int(side) for side in one["shape"]]
        dtype = np.dtype(_DTYPES[one["datatype"]])
        count = math.prod(shape)
        if min(shape, default=0) < 0 or count * dtype.itemsize > _LARGEST_ANSWER:
            raise ValueError("no shape")
        size = (one.get("parameters") or {}).get("binary_data_size")
        if size is None:
            value = np.asarray(one["data"], dtype=dtype)
        else:
            if size != count * dtype.itemsize or place + size > len(data):
                raise ValueError("no size")
            value = np.frombuffer(data, dtype, count, place).copy()
            place += size
        return str(one["name"]), value.reshape(shape), place
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InvalidOutput("The server's answer holds a tensor that is none.") from error


def _read_json(data: bytes) -> Mapping[str, Any]:
    try:
        read = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidOutput("The server answers with something else than KServe v2.") from error
    if not isinstance(read, Mapping):
        raise InvalidOutput("The server answers with something else than KServe v2.")
    return read
