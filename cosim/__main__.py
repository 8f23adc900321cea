"""``python -m cosim``: emits the system, builds a simulator with it and runs the suite."""

import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import click

from weft.generate import generate
from weft.hw.errors import WeftError

from .simulators import NoSimulatorError, find_simulator
from .system import CONFIG

__all__ = ["main"]

WORK = Path("build/cosim").absolute()
SUITE = ("registers", "transfers", "programs", "errors", "resets", "switch")


def outcomes(results: Path) -> Iterator[tuple[str, float, str]]:
    """Name, seconds and failure ("" for none) of each test in a file of cocotb's results."""
    for case in ElementTree.parse(results).iter("testcase"):
        module = case.get("classname", "").rpartition(".")[2]
        reason = ""
        for failure in [*case.iter("failure"), *case.iter("error")]:
            lines = (failure.get("message") or "").split("\n")
            reason = ": ".join([failure.get("type") or "failed", *filter(None, lines)][:2])
        yield f"{module}.{case.get('name')}", float(case.get("time", 0)), reason


@click.command()
@click.argument("names", nargs=-1)
@click.option("--simulator", type=click.Choice(["verilator", "icarus"]), help="Rather than found.")
def main(names: tuple[str, ...], simulator: str | None) -> None:
    """Run the suite, or its modules NAMES; exit 1 if a test fails.

    Where there is no simulator, a line says what was looked for, and that is no failure.
    """
    for name in names:
        if name not in SUITE:
            raise click.BadParameter(f"{name} is none of {', '.join(SUITE)}", param_hint="NAMES")
    try:
        found = find_simulator(simulator)
    except NoSimulatorError as missing:
        print(f"cosim: nothing was run: {missing}")
        return
    started = time.monotonic()
    print(f"cosim: {found}", flush=True)
    verilog, *_ = generate(CONFIG, WORK)
    log = WORK / "cosim.log"
    modules = [f"cosim.suite.{name}" for name in names or SUITE]
    results = found.run(verilog, modules, WORK, log)
    passed = failed = 0
    for name, seconds, reason in outcomes(results):
        print(f"{name:56}{seconds:6.1f} s  {reason or 'passed'}")
        passed, failed = passed + (not reason), failed + bool(reason)
    print(f"{time.monotonic() - started:.0f} s; {log}")
    print(f"cosim: {passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    logging.disable(logging.INFO)
    try:
        main()
    except WeftError as error:
        sys.exit(f"cosim: error: {error}")
