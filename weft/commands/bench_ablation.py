"""``weft bench ablation``: what each feature of the streamers is worth."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ..ablation import CASES, GROUPS, QUICK_CASES, STEPS, Runner, summarize
from ..config import load_config
from ..hw.config import AcceleratorConfig
from .common import (
    config_option,
    engine_option,
    json_option,
    measured,
    print_json,
    work_progress,
)

__all__ = ["ablation"]


@click.command()
@config_option()
@click.option(
    "--group",
    "groups",
    multiple=True,
    type=click.Choice(GROUPS),
    help="Group of workloads; may stand several times.  [default: all]",
)
@engine_option("what is done sooner")
@click.option("--quick", is_flag=True, help="One small workload a group.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Also write ablation.json, ablation.png and ablation.svg there.",
)
@json_option
def ablation(
    config: str,
    groups: tuple[str, ...],
    engine: str,
    quick: bool,
    output: Path | None,
    as_json: bool,
) -> int:
    """What prefetch, transposer, broadcaster, implicit im2col and addressing modes are worth.

    Six steps, each with a feature more. What a step cannot do is done the long way, on the RTL: an
    operand that lies transposed, or an im2col matrix, is rearranged by a pass through the
    scratchpad; C has all rows in memory. Operands stand in the scratchpad before and after.
    `utilization_temporal` is the array's ideal steps by the cycles of rearranging passes and of the
    array; `accesses` are words of the scratchpad. Every result is checked.
    """
    if output is not None and find_spec("matplotlib") is None:
        raise click.UsageError("-o: the figure needs matplotlib: pip install 'weft[bench]'")
    system = load_config(config)
    rows = _measure(system, engine, groups or GROUPS, quick)
    result = measured("ablation", system.name, system.hash, rows=rows, summary=summarize(rows))
    if output is not None:
        from ..ablation.figure import draw

        output.mkdir(parents=True, exist_ok=True)
        (output / "ablation.json").write_text(json.dumps(result, indent=1) + "\n")
        draw(rows, output / "ablation")
    if as_json:
        print_json(result)
    else:
        _show(result)
    exact = all(row["ok"] for row in rows)
    if not exact:
        click.echo("weft: error: a result differs from its reference", err=True)
    return 0 if exact else 1


def _measure(
    system: AcceleratorConfig, engine: str, groups: tuple[str, ...], quick: bool
) -> list[dict[str, Any]]:
    cases = [case for case in (QUICK_CASES if quick else CASES) if case.group in groups]
    total = len(cases) * len(STEPS)
    rows: list[dict[str, Any]] = []
    predicted = sum(case.predicted_cycles(system) for case in cases)
    with (
        work_progress("ablation", "measurements") as done,
        Runner(
            system,
            engine=engine,
            predicted_cycles=predicted,
            report=lambda text: done(len(rows), total, text),
        ) as runner,
    ):
        for step in STEPS:
            for case in cases:
                done(len(rows), total, f"step {step.number}, {case.group} {case.shape}")
                rows.append(runner.measure(case, step))
    return rows


def _show(result: dict[str, Any]) -> None:
    console = Console()
    for title, name, style in (
        ("utilisation, median", "utilization_median", "{:.3f}"),
        ("utilisation, lowest", "utilization_lowest", "{:.3f}"),
        ("accesses, all shapes", "accesses", "{:,}"),
    ):
        values = result["summary"][name]
        table = Table(title=title, title_justify="left")
        table.add_column("step")
        for group in values:
            table.add_column(group, justify="right")
        for step in STEPS:
            cells = [style.format(values[group][str(step.number)]) for group in values]
            table.add_row(f"{step.number} {step.title}", *cells)
        console.print(table)
