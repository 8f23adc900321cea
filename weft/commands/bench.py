"""``weft bench``: the figures that are tracked."""

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from ..config import load_config
from ..engines import open_simulation
from ..hw.config import AcceleratorConfig
from ..sw.device import Device
from ..workload import GemmWorkload, run_gemm
from .common import commit, json_option, print_json, progress

__all__ = ["bench"]

IDLE_CYCLES = 500
TILES = 4
"""The product measured is this many array tiles in every direction."""

COLUMNS = (
    "config",
    "engine",
    "workload",
    "cycles",
    "seconds",
    "cycles_per_second",
    "outside_eval_share",
    "build_seconds",
    "verilog_bytes",
    "verilog_seconds",
)


@click.group(no_args_is_help=False)
def bench() -> None:
    """Measure."""


@bench.command()
@click.option(
    "--config",
    "configs",
    multiple=True,
    default=("tiny", "datamaestro"),
    show_default=True,
    metavar="NAME|FILE.toml",
    help="Configuration to measure; may stand several times.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write FILE.json and FILE.md.",
)
@json_option
def simspeed(configs: tuple[str, ...], output: Path | None, as_json: bool) -> int:
    """How fast the simulator builds and runs a system, idle and multiplying.

    `build_seconds` is elaboration and compilation for the engine, `outside_eval_share` the share of
    the time spent in driver and DRAM model, `verilog_*` what `weft generate` takes and writes.
    """
    systems = [load_config(config) for config in configs]
    rows = [row for system in systems for row in _measure(system)]
    exact = all(row.pop("ok") for row in rows)
    result = {
        "bench": "simspeed",
        "config": ",".join(system.name for system in systems),
        "config_hash": ",".join(system.hash for system in systems),
        "commit": commit(),
        "rows": rows,
        "summary": {f"{row['config']} {row['workload']}": row["cycles_per_second"] for row in rows},
    }
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        Path(f"{output}.json").write_text(json.dumps(result, indent=2) + "\n")
        Path(f"{output}.md").write_text(_markdown(result))
    if as_json:
        print_json(result)
    else:
        _show(result)
    if not exact:
        click.echo("weft: error: a measured product differs from numpy's", err=True)
    return 0 if exact else 1


def _measure(system: AcceleratorConfig) -> list[dict[str, Any]]:
    from ..generate import generate  # loads the Verilog back end

    if system.array is None:
        raise click.UsageError(f"configuration {system.name} has no array to run a product on")
    workload = GemmWorkload(
        m=TILES * system.array.mu, n=TILES * system.array.nu, k=TILES * system.array.ku
    )
    started = time.perf_counter()
    with TemporaryDirectory() as folder:
        verilog = next(path for path in generate(system, Path(folder)) if path.suffix == ".v")
        emission = {
            "verilog_bytes": verilog.stat().st_size,
            "verilog_seconds": round(time.perf_counter() - started, 2),
        }
    rows = []
    with (
        progress(f"simspeed {system.name}") as bar,
        open_simulation(system, "python", progress=bar.cycles) as simulation,
    ):
        device = Device(simulation, system)

        def idle() -> bool:
            simulation.wait_interrupt(IDLE_CYCLES)
            return True

        def product() -> bool:
            return bool(run_gemm(device, workload, engine=simulation.engine)["ok"])

        name = f"gemm {workload.m}x{workload.n}x{workload.k}"
        for work, action in (("idle", idle), (name, product)):
            cycles, evaluation = simulation.cycles, simulation.evaluation_seconds
            started = time.perf_counter()
            ok = action()
            seconds = time.perf_counter() - started
            cycles = simulation.cycles - cycles
            evaluation = simulation.evaluation_seconds - evaluation
            rows.append(
                {
                    "config": system.name,
                    "engine": simulation.engine,
                    "workload": work,
                    "cycles": cycles,
                    "seconds": round(seconds, 3),
                    "cycles_per_second": round(cycles / seconds, 1),
                    "outside_eval_share": round(1 - evaluation / seconds, 4),
                    "build_seconds": round(simulation.build_seconds, 2),
                    **emission,
                    "ok": ok,
                }
            )
    return rows


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _markdown(result: dict[str, Any]) -> str:
    lines = [
        f"# {result['bench']}",
        "",
        f"Commit {result['commit']}, configurations {result['config']} ({result['config_hash']}).",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "---|" * len(COLUMNS),
    ]
    for row in result["rows"]:
        lines.append("| " + " | ".join(_cell(row[name]) for name in COLUMNS) + " |")
    return "\n".join(lines) + "\n"


def _show(result: dict[str, Any]) -> None:
    rows = result["rows"]
    speed = Table(title=f"simulation speed, {rows[0]['engine']} engine", title_justify="left")
    for name in ("config", "workload"):
        speed.add_column(name)
    for name in ("cycles", "seconds", "cycles/s", "outside RTL"):
        speed.add_column(name, justify="right")
    for row in rows:
        figures = (_cell(row[name]) for name in ("cycles", "seconds", "cycles_per_second"))
        outside = f"{row['outside_eval_share']:.1%}"
        speed.add_row(row["config"], row["workload"], *figures, outside)
    build = Table(title="what it takes to build", title_justify="left")
    build.add_column("config")
    for name in ("elaboration s", "Verilog s", "Verilog bytes"):
        build.add_column(name, justify="right")
    for row in rows:
        if row["workload"] == "idle":
            figures = (
                _cell(row[name]) for name in ("build_seconds", "verilog_seconds", "verilog_bytes")
            )
            build.add_row(row["config"], *figures)
    console = Console()
    console.print(speed)
    console.print(build)
