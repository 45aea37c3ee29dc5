"""The command that takes in a model package.

In: a folder or zip, ours or a MONAI bundle.  Out: a checked package in the models folder; lines to write.
Never: wetread.toml changed; a model that reads from now on without somebody saying so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wetread.cli.place import ConfigOption, DataOption


def add_model(
    source: Annotated[
        Path,
        typer.Argument(help="Package or MONAI bundle: folder or zip.", exists=True, metavar="PACKAGE"),
    ],
    name: Annotated[str, typer.Option(help="Of a bundle's package [default: the bundle's].")] = "",
    version: Annotated[str, typer.Option(help="Of a bundle's package [default: the bundle's].")] = "",
    channel: Annotated[str, typer.Option(help="Of a bundle with several: its number or name.")] = "",
    code: Annotated[str, typer.Option(help="Of what a bundle marks, like SCT:78961009:Spleen.")] = "",
    modality: Annotated[str, typer.Option(help="That a bundle reads, like CT [default: as it says].")] = "",
    axes: Annotated[str, typer.Option(help="Of a bundle that does not turn its images, like RAS.")] = "",
    weights: Annotated[str, typer.Option(help="Of a bundle with several files of weights.")] = "",
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Take in a model package or a MONAI bundle: check it, try it out, put it into the models folder."""
    from wetread.config import Config, read_config
    from wetread.infer.trial import try_model
    from wetread.lab.torchscript import to_onnx
    from wetread.registry.adding import add_package
    from wetread.registry.bundle import Wishes
    from wetread.registry.elsewhere import find_receiver

    settings = read_config(config) if config else Config()
    added = add_package(
        source,
        (data or settings.data) / "models",
        wishes=Wishes(
            name=name,
            version=version,
            channel=channel,
            code=code,
            modality=modality,
            axes=axes.upper(),
            weights=weights,
        ),
        to_onnx=to_onnx,
        try_model=try_model,
        trusted_keys=settings.registry.trusted_keys,
    )
    identity = added.model.identity
    for line in added.checked:
        typer.echo(f"checked  {line}")
    where = "was there before" if added.was_there else "put into"
    typer.echo(f"{identity.name} {identity.version}, {added.model.state}, {where} {added.folder}")
    typer.echo("Write into wetread.toml:")
    typer.echo(f'models = ["{added.folder.resolve()}"]')
    if receiver := find_receiver(added.model.runtime):
        typer.echo(f'[registry]\nmay_send_to = ["{receiver}"]    # it gets images: is that agreed on?')
    typer.echo(f'[[rules]]\nname = "{identity.name}"\nmodels = ["{identity.name}"]')
