"""``weft generate``: write the RTL and what belongs to it."""

from pathlib import Path

import click

from ..config import load_config
from .common import config_option, json_option, print_json

__all__ = ["generate"]


@click.command()
@config_option()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Folder for weft.v, weft_regs.h, weft_regs.json and README.txt.",
)
@json_option
def generate(config: str, output: Path, as_json: bool) -> None:
    """Write Verilog, register header and port list of a configuration."""
    from .. import generate as generator  # builds the whole system: not for --help

    system = load_config(config)
    paths = generator.generate(system, output)
    if as_json:
        print_json(
            {
                "config": system.name,
                "config_hash": system.hash,
                "files": [str(path) for path in paths],
            }
        )
    else:
        for path in paths:
            click.echo(path)
