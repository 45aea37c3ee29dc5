"""Whether a command asks a running service or works on a data folder.

In: options, ``WETREAD_URL`` and ``WETREAD_TOKEN``.  Out: a ``Client``, or None: the data folder.
Never: both at once; a token on the command line, where everybody sees it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wetread.errors import ConfigError

if TYPE_CHECKING:
    from wetread.client import Client

UrlOption = Annotated[
    str, typer.Option("--url", help="Ask the service there instead of the data folder [env: WETREAD_URL].")
]
TokenOption = Annotated[
    Path | None,
    typer.Option("--token-file", help="Holds a token of `wetread tokens add` [env: WETREAD_TOKEN]."),
]


def open_service(
    url: str, token_file: Path | None, config: Path | None = None, data: Path | None = None
) -> Client | None:
    """Return how the service is asked; None where the command works on the data folder.

    ``WETREAD_URL`` counts only where no data folder is named.

    Raises
    ------
    ConfigError
        If both are named, or others can read the token.
    """
    is_local = config is not None or data is not None
    if url and is_local:
        raise ConfigError("Name a service (--url) or a data folder (--data, --config), not both.")
    address = url or ("" if is_local else os.environ.get("WETREAD_URL", ""))
    if not address:
        if token_file is not None:
            raise ConfigError("A token is for a service: name it with --url.")
        return None
    # Here, not above: a data folder is looked into without it.
    from wetread.client import Client

    return Client(address, _read_token(token_file))


def _read_token(path: Path | None) -> str:
    if path is None:
        return os.environ.get("WETREAD_TOKEN", "").strip()
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("The file with the token cannot be read.", file=path) from error
    if mode & 0o077:
        raise ConfigError("Others can read the token: chmod 600.", file=path)
    return text
