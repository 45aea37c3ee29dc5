"""The command that makes certificates for tests.

In: host names, AE titles.  Out: files, and what to write into ``wetread.toml``.
Never: a certificate that overwrites another.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from wetread.cli.console import console


def certificates(
    out: Annotated[Path, typer.Option(help="Folder for the files; made if it is not there.")],
    host: Annotated[
        list[str] | None,
        typer.Option(help="Name or address of this gateway [default: localhost, 127.0.0.1]."),
    ] = None,
    peer: Annotated[
        list[str] | None, typer.Option(help="AET, or AET@HOST for one that results go to.")
    ] = None,
    days: Annotated[int, typer.Option(help="How long they are valid.", min=1, max=825)] = 90,
) -> None:
    """Make a certificate authority for tests, our certificate, and one for each peer."""
    from wetread.certificates import make_authority, sign
    from wetread.errors import ConfigError

    peers = [one.partition("@")[::2] for one in peer or []]
    for title, _ in peers:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,16}", title):
            raise ConfigError("An AE title that names a file has letters, digits, _ and - only.", aet=title)
    hosts = tuple(host or ("localhost", "127.0.0.1", "::1"))
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = make_authority("Wetread test authority", days)
    authority.write(out, "authority")
    sign(authority, hosts[0], hosts=hosts, days=days, server=True).write(out, "server")
    where = out.resolve()
    lines = [
        "[dicom]",
        f'certificate = "{where / "server.pem"}"',
        f'key = "{where / "server.key"}"',
        f'authorities = "{where / "authority.pem"}"',
    ]
    for title, address in peers:
        named = (address,) if address else ()
        signed = sign(authority, title, hosts=named, days=days, server=bool(address))
        signed.write(out, title)
        lines += ["", "[[dicom.peers]]", f'aet = "{title}"', f'certificate = "{signed.fingerprint}"']
    typer.echo("\n".join(lines))
    console.print(f"For tests, valid {days} days. In a hospital use its own authority and delete {out}.")
