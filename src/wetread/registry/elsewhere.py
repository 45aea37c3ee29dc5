"""What a package says of a runtime that is not a file of its own: a server, a container, a peer.

In: ``[runtime]`` of ``model.toml``.  Out: nothing, or InvalidPackage naming the key.
Never: a password in an address; an image that may change under its name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from wetread.domain.model import Runtime
from wetread.errors import InvalidPackage
from wetread.network import is_loopback_name

_MODEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
#: Distribution reference grammar, with a digest.
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._/:-]{0,200}@sha256:[0-9a-f]{64}")
#: PS3.5 6.2: an AE title has up to 16 characters, without backslash.
_PEER = re.compile(r"[!-?A-\[\]-~]{1,16}@[A-Za-z0-9.:\[\]-]{1,253}:[0-9]{1,5}")
_MOST_CPUS = 256


def check_remote(runtime: Mapping[str, Any]) -> None:
    """Check the keys of ``kserve``, ``container`` and ``dicom-peer``.

    Raises
    ------
    InvalidPackage
    """
    if runtime["kind"] == "kserve":
        _check_url(runtime)
        for key in ("remote_model", "remote_version"):
            if (key == "remote_model" or key in runtime) and not _MODEL.fullmatch(runtime.get(key, "")):
                raise InvalidPackage(
                    f"runtime.{key} must be a name as the server knows it", key=f"runtime.{key}"
                )
    if runtime["kind"] == "container" and not _IMAGE.fullmatch(runtime.get("image", "")):
        raise InvalidPackage(
            "runtime.image must be pinned, like registry/name@sha256:..., so that it cannot change unseen",
            key="runtime.image",
        )
    if runtime["kind"] == "dicom-peer" and not _PEER.fullmatch(runtime.get("peer", "")):
        raise InvalidPackage("runtime.peer must be like AET@host:104", key="runtime.peer")
    if not 0 < runtime.get("cpus", 1) <= _MOST_CPUS:
        raise InvalidPackage(f"runtime.cpus must be above 0, to {_MOST_CPUS}", key="runtime.cpus")


def check_receiver(runtime: Runtime, allowed: Collection[str]) -> None:
    """Refuse a package that would send images where nobody here has said that they may go.

    Parameters
    ----------
    allowed
        ``HOST:PORT``; this machine itself need not be named.

    Raises
    ------
    InvalidPackage
    """
    receiver = find_receiver(runtime)
    if receiver and receiver not in {one.lower() for one in allowed}:
        raise InvalidPackage(
            f"The package sends images to {receiver}: where they may go, write that into registry.may_send_to"
            " of wetread.toml; else leave the package out",
            key="runtime.url" if runtime.kind == "kserve" else "runtime.peer",
        )


def find_receiver(runtime: Runtime) -> str:
    """Return ``HOST:PORT`` of another machine that a package sends images to; ``""``: they stay here."""
    if runtime.kind == "kserve":
        parts = urlsplit(runtime.url)
        host, port = parts.hostname or "", str(parts.port or (443 if parts.scheme == "https" else 80))
    elif runtime.kind == "dicom-peer":
        host, _, port = runtime.peer.partition("@")[2].rpartition(":")
        host = host.strip("[]")
    else:
        return ""
    return "" if is_loopback_name(host) else f"{host}:{port}".lower()


def _check_url(runtime: Mapping[str, Any]) -> None:
    url = runtime.get("url", "")
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidPackage("runtime.url is no address", key="runtime.url") from error
    has_more = parts.username or parts.password or parts.query or parts.fragment
    if not host or has_more or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidPackage("runtime.url must be like https://host:8000", key="runtime.url")
    is_allowed = is_loopback_name(host) or runtime.get("allows_plain_http", False)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_allowed):
        raise InvalidPackage(
            "runtime.url must begin with https:// beyond this machine: voxels of patients go there. In a"
            " network that you trust set runtime.allows_plain_http = true",
            key="runtime.url",
        )
