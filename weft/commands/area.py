"""``weft area``: what the parts of a system cost."""

from itertools import groupby
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ..config import load_config
from .common import config_option, json_option, measured, print_json, work_progress

__all__ = ["area"]

TARGET_NAMES = ("generic", "ecp5", "xcup")


@click.command()
@config_option
@click.option(
    "--target",
    type=click.Choice(TARGET_NAMES),
    default="xcup",
    show_default=True,
    help="generic: 6-input LUTs; ecp5: Lattice ECP5; xcup: AMD UltraScale+.",
)
@click.option("--no-dsp", is_flag=True, help="Build multipliers of logic, as the paper does.")
@click.option(
    "--flat",
    is_flag=True,
    help="Also synthesize the system in one piece, to compare (long, and much memory).",
)
@json_option
def area(config: str, target: str, no_dsp: bool, flat: bool, as_json: bool) -> None:
    """Estimate the area of a system with Yosys, a row a part.

    Each distinct part is synthesized once on its own and counted as often as it stands. Results are
    kept in the cache folder (WEFT_CACHE names another one).
    """
    from ..area import measure  # builds the whole system: not for --help

    system = load_config(config)
    with work_progress(f"area of {system.name}", "blocks to synthesize, seconds each") as report:
        figures = measure(system, target, no_dsp=no_dsp, flat=flat, progress=report)
    result = measured("area", system.name, system.hash, **figures)
    if as_json:
        print_json(result)
    else:
        _show(result)


def _show(result: dict[str, Any]) -> None:
    summary = result["summary"]
    dsp = ", multipliers in logic" if summary["no_dsp"] else ""
    table = Table(
        title=f"area of {result['config']}, {summary['target']}{dsp}, "
        f"yosys {summary['yosys']}, commit {result['commit']}",
        title_justify="left",
    )
    optional = [name for name in ("bram", "dsps", "memory_bits") if summary[name]]
    table.add_column("part")
    for name in ("instances", "LUTs", "share", "FFs", "share", *optional, "cells"):
        table.add_column(name, justify="right")
    for group, members in groupby(result["rows"], key=lambda row: row["group"]):
        rows = list(members)
        total = {
            column: sum(row[column] for row in rows)
            for column in ("luts", "share_luts", "ffs", "share_ffs", *optional, "cells")
        }
        table.add_row(f"[bold]{group}", "", *_cells(total, optional), style="bold")
        for row in rows:
            name = row["module"].partition(".")[2]
            table.add_row(f"  {name}", f"{row['instances']}", *_cells(row, optional), style="dim")
    table.add_section()
    for name in ("streamers", "dma", "crossbar", "array", "control"):
        table.add_row(
            name,
            "",
            f"{summary[f'{name}_luts']:,}",
            f"{summary[f'{name}_share_luts']:.1%}",
            f"{summary[f'{name}_ffs']:,}",
            f"{summary[f'{name}_share_ffs']:.1%}",
        )
    table.add_row("total", "", *_cells({**summary, "share_luts": 1, "share_ffs": 1}, optional))
    console = Console()
    console.print(table)
    console.print(f"Method: {summary['method']}.", f"Counted: {summary['counting']}.", sep="\n")
    if "flat_luts" in summary:
        console.print(
            f"In one piece: {summary['flat_luts']:,} LUTs, {summary['flat_ffs']:,} FFs; the sum of "
            f"the parts differs by {summary['flat_difference_luts']:+.1%} and "
            f"{summary['flat_difference_ffs']:+.1%}."
        )


def _cells(row: dict[str, Any], optional: list[str]) -> list[str]:
    return [
        f"{row['luts']:,}",
        f"{row['share_luts']:.1%}",
        f"{row['ffs']:,}",
        f"{row['share_ffs']:.1%}",
        *(f"{row[name]:,}" for name in optional),
        f"{row['cells']:,}",
    ]
