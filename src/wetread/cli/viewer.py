"""The commands about the viewer.

In: the viewer's package.  Out: a viewer that is set up.  Never: a download.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wetread.cli.console import console

viewer_app = typer.Typer(no_args_is_help=True, help="The viewer beside the findings (OHIF).")


@viewer_app.callback()
def describe() -> None:
    """Keep the command's name, though it is the only one."""


@viewer_app.command("install")
def install_viewer(
    package: Annotated[Path, typer.Argument(help="ohif-app-3.13.2.tgz, fetched with npm pack.", exists=True)],
    config: Annotated[Path | None, typer.Option(help="wetread.toml", exists=True, dir_okay=False)] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of index, images and results.")] = None,
) -> None:
    """Set up OHIF from its npm package; a service that runs shows it at once."""
    from wetread.config import Config, read_config
    from wetread.web.ohif.prepare import VERSION, install

    settings = read_config(config) if config else Config()
    folder = install(package, (data or settings.data) / "viewer")
    console.print(f"OHIF {VERSION} is set up in {folder}.")
