"""``weft bench``: the figures that are tracked."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import click
from rich.console import Console
from rich.table import Table

from ..config import load_config
from ..engines import open_simulation
from ..gemm_workload import GemmWorkload
from ..hw.config import AcceleratorConfig, ArrayConfig
from ..sim.simulation import Simulation
from ..sw.device import Device
from ..workload import run_workload
from .bench_ablation import ablation
from .bench_dma import dma
from .common import json_option, measured, print_json, progress

__all__ = ["bench"]


@dataclass(frozen=True, kw_only=True)
class Load:
    """What an engine is measured with: enough to see its speed, no more."""

    idle_cycles: int
    tiles: int
    """Of the array, in every direction of the product."""

    def workload(self, array: ArrayConfig) -> GemmWorkload:
        return GemmWorkload(
            m=self.tiles * array.mu, n=self.tiles * array.nu, k=self.tiles * array.ku
        )


LOADS = {
    "python": Load(idle_cycles=500, tiles=4),
    "verilator": Load(idle_cycles=100_000, tiles=64),
}

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


bench.add_command(ablation)
bench.add_command(dma)


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
    "--engine",
    "engines",
    multiple=True,
    type=click.Choice(list(LOADS)),
    help="Engine to measure; may stand twice.  [default: all that are found]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write FILE.json and FILE.md.",
)
@json_option
def simspeed(
    configs: tuple[str, ...], engines: tuple[str, ...], output: Path | None, as_json: bool
) -> int:
    """How fast the engines build and run a system, idle and multiplying.

    `build_seconds` is elaboration and, where the model is not in the cache, compilation;
    `outside_eval_share` the share of the time spent in driver and DRAM model; `verilog_*` what
    `weft generate` takes and writes. The summary compares the engines on a product.
    """
    systems = [load_config(config) for config in configs]
    engines = engines or _engines_found()
    rows = [row for system in systems for row in _measure(system, engines)]
    exact = all([row.pop("ok") for row in rows])
    result = measured(
        "simspeed",
        ",".join(system.name for system in systems),
        ",".join(system.hash for system in systems),
        rows=rows,
        summary=_summary(rows),
    )
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


def _engines_found() -> tuple[str, ...]:
    """Both engines, or the one that needs no compiler, with a word on why."""
    from ..sim.verilator.build import find_toolchain
    from ..sim.verilator.toolchain import ToolchainError

    try:
        find_toolchain()
    except ToolchainError as error:
        click.echo(f"weft: the verilator engine is not measured: {error}", err=True)
        return ("python",)
    return tuple(LOADS)


def _summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Speed on a product, by configuration and engine, and how much faster the compiled one is."""
    speeds = {
        (row["config"], row["engine"]): row["cycles_per_second"]
        for row in rows
        if row["workload"] != "idle"
    }
    summary = {f"{config} {engine}": speed for (config, engine), speed in speeds.items()}
    for config, engine in speeds:
        if engine == "verilator" and (config, "python") in speeds:
            ratio = speeds[config, engine] / speeds[config, "python"]
            summary[f"{config} verilator / python"] = round(ratio, 1)
    return summary


def _measure(system: AcceleratorConfig, engines: Sequence[str]) -> list[dict[str, Any]]:
    from ..generate import generate  # loads the Verilog back end

    if system.array is None:
        raise click.UsageError(f"configuration {system.name} has no array to run a product on")
    started = time.perf_counter()
    with TemporaryDirectory() as folder:
        verilog = next(path for path in generate(system, Path(folder)) if path.suffix == ".v")
        emission = {
            "verilog_bytes": verilog.stat().st_size,
            "verilog_seconds": round(time.perf_counter() - started, 2),
        }
    rows = []
    for engine in engines:
        load = LOADS[engine]
        rows += [row | emission for row in _measure_engine(system, engine, load)]
    return rows


def _measure_engine(system: AcceleratorConfig, engine: str, load: Load) -> Iterator[dict[str, Any]]:
    assert system.array is not None
    workload = load.workload(system.array)
    with (
        progress(f"simspeed {system.name}, {engine}") as bar,
        open_simulation(
            system,
            engine,
            memory_bytes=workload.memory_bytes,
            progress=bar.cycles,
            report=bar.building,
        ) as simulation,
    ):
        device = Device(simulation, system)

        def idle() -> tuple[bool, Meter]:
            with Meter(simulation) as meter:
                simulation.wait_interrupt(load.idle_cycles)
            return True, meter

        def product() -> tuple[bool, Meter]:
            meter = Meter(simulation)
            return run_workload(device, workload, engine=engine, meter=meter)["ok"], meter

        for work, action in (("idle", idle), (workload.title, product)):
            ok, meter = action()
            yield {
                "config": system.name,
                "engine": engine,
                "workload": work,
                "cycles": meter.cycles,
                "seconds": round(meter.seconds, 3),
                "cycles_per_second": round(meter.cycles / meter.seconds, 1),
                "outside_eval_share": round(1 - meter.evaluation / meter.seconds, 4),
                "build_seconds": round(simulation.build_seconds, 2),
                "ok": ok,
            }


class Meter:
    """What a simulation spends inside the ``with`` block."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.cycles = 0
        self.seconds = self.evaluation = 0.0

    def __enter__(self) -> Self:
        self.cycles -= self._simulation.cycles
        self.evaluation -= self._simulation.evaluation_seconds
        self.seconds -= time.perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        self.seconds += time.perf_counter()
        self.evaluation += self._simulation.evaluation_seconds
        self.cycles += self._simulation.cycles


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
    speed = Table(title="simulation speed", title_justify="left")
    for name in ("config", "engine", "workload"):
        speed.add_column(name)
    for name in ("cycles", "seconds", "cycles/s", "outside RTL"):
        speed.add_column(name, justify="right")
    for row in rows:
        figures = (_cell(row[name]) for name in ("cycles", "seconds", "cycles_per_second"))
        outside = f"{row['outside_eval_share']:.1%}"
        speed.add_row(row["config"], row["engine"], row["workload"], *figures, outside)
    build = Table(title="what it takes to build", title_justify="left")
    for name in ("config", "engine"):
        build.add_column(name)
    for name in ("build s", "Verilog s", "Verilog bytes"):
        build.add_column(name, justify="right")
    for row in rows:
        if row["workload"] == "idle":
            figures = (
                _cell(row[name]) for name in ("build_seconds", "verilog_seconds", "verilog_bytes")
            )
            build.add_row(row["config"], row["engine"], *figures)
    console = Console()
    console.print(speed)
    console.print(build)
