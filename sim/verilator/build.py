"""From Verilog to a shared library: verilate, compile, link, and keep the result."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.hw.errors import WeftError

from .bench import BENCH_NAME, Bench
from .cache import BuildCache, cache_folder
from .jobs import CommandError, run_all
from .toolchain import Toolchain

__all__ = [
    "BuildError",
    "Model",
    "ModelSource",
    "build_model",
    "find_toolchain",
    "model_cache",
    "model_is_cached",
]

HERE = Path(__file__).parent
HARNESS = ("harness.cpp", "dram.h", "waveform.h", "shim/lz4.h", "shim/zlib.h")
LIBRARY = "model.so"

VERILATE = [
    *("--cc", "-O3", "--noassert", "--prefix", "Vweft", "--timescale", "1ns/1ns"),
    *("--x-assign", "fast", "--x-initial", "fast"),
    *("-Wno-fatal", "-Wno-lint", "-Wno-style"),
    *("--output-split", "60000", "--output-split-cfuncs", "2000"),
]
COMPILE = [
    "-c",
    "-std=c++20",
    "-fPIC",
    "-fvisibility=hidden",
    "-DVL_TIME_CONTEXT",
    "-DVL_USER_FATAL",
]
FAST, SLOW = "-Os", "-O0"
"""What runs every cycle, and what runs once or hardly ever. A cycle streams megabytes of code
through the caches: of g++'s levels, -O2 is slower than -O1, and -Os is faster than both."""
RUNTIME = ("verilated.cpp", "verilated_threads.cpp")
UNIT_BYTES = 400_000
"""Generated files are compiled together up to this size: each reads headers that take a second."""
MACROS = ("COVERAGE", "SC", "TIMING", "TRACE_SAIF")
"""Parts of Verilator that no model here has."""

Report = Callable[[str], None]


class BuildError(WeftError):
    """A model could not be compiled: names the first error and the log."""


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """The design to compile.

    Parameters
    ----------
    name
        What the user calls it.
    top
        Its top module.
    verilog
        Gives its text.
    identity
        A hash of all that the text is made from, so that a model can be found again without making
        the text; or None.
    """

    name: str
    top: str
    verilog: Callable[[], str]
    identity: str | None = None


@dataclass(frozen=True, kw_only=True)
class Model:
    """A compiled design.

    Parameters
    ----------
    library
        The shared library.
    address_bits, beat_bytes, observation_bits
        See :class:`~weft.sim.verilator.bench.Bench`.
    build_seconds
        What making it took, once.
    """

    library: Path
    address_bits: int
    beat_bytes: int
    observation_bits: int
    build_seconds: float


def model_cache() -> BuildCache:
    """The models of this user."""
    return BuildCache(cache_folder() / "verilator")


def find_toolchain() -> Toolchain:
    """The tools of this machine; raises ``ToolchainError`` naming what is missing."""
    return Toolchain.find(model_cache().root / "zig")


def model_is_cached(source: ModelSource, toolchain: Toolchain, waveform: str | None = None) -> bool:
    """Whether :func:`build_model` would have nothing to do, as far as `identity` tells."""
    cache = model_cache()
    digest = None if source.identity is None else cache.note(source.identity)
    return digest is not None and cache.find(_key(source, digest, toolchain, waveform)) is not None


def build_model(
    source: ModelSource,
    toolchain: Toolchain,
    *,
    waveform: str | None = None,
    report: Report = lambda text: None,
) -> Model:
    """The compiled `source`, made now unless the cache has it.

    Parameters
    ----------
    source
        The design.
    toolchain
        What compiles it.
    waveform
        The model can write waveforms of this format, ``vcd`` or ``fst``, and is slower for it.
    report
        Called with what is being done, now and then.

    Raises
    ------
    BuildError
        Verilator or the compiler refused; the log stays in the cache folder.
    WeftError
        The cache cannot be written.
    """
    cache = model_cache()
    digest = None if source.identity is None else cache.note(source.identity)
    if digest is None:
        report(f"{source.name}: Verilog")
        verilog = source.verilog()
        digest = _hash([verilog])
        if source.identity is not None:
            cache.write_note(source.identity, digest)
    else:
        verilog = None
    key = _key(source, digest, toolchain, waveform)
    folder = cache.find(key)
    if folder is None:
        build = _Build(
            source=source,
            verilog=verilog if verilog is not None else source.verilog(),
            toolchain=toolchain,
            waveform=waveform,
            log=cache.root / f"{key}.log",
            report=report,
        )
        folder = cache.make(
            key,
            build.fill,
            waiting=lambda: report(f"{source.name}: another process builds this model, waiting"),
        )
    facts = json.loads((folder / "model.json").read_text())
    return Model(
        library=folder / LIBRARY,
        **{name: facts[name] for name in Model.__dataclass_fields__ if name != "library"},
    )


def _key(source: ModelSource, digest: str, toolchain: Toolchain, waveform: str | None) -> str:
    texts = [(HERE / name).read_text() for name in ("bench.py", *HARNESS)]
    return _hash([source.top, digest, *_tools(toolchain, waveform), *texts])


def _tools(toolchain: Toolchain, waveform: str | None) -> list[str]:
    """What every object depends on."""
    versions = [*toolchain.versions.values(), *toolchain.compiler.command]
    return [str(waveform), *versions, Path(__file__).read_text()]


def _hash(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode())
        digest.update(b"\0")
    return digest.hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class _Build:
    """One build, in a folder that is given to :meth:`fill`."""

    source: ModelSource
    verilog: str
    toolchain: Toolchain
    waveform: str | None
    log: Path
    report: Report

    def fill(self, folder: Path) -> None:
        """Make library and facts in `folder`."""
        started = time.perf_counter()
        name = self.source.name
        work = folder / "work"
        work.mkdir()
        bench = Bench.around(self.verilog, self.source.top)
        (work / "design.v").write_text(_without_names(self.verilog))
        (work / "bench.v").write_text(bench.verilog)
        (work / "ports.h").write_text(bench.header)
        self.report(f"{name}: {self.toolchain.verilator}")
        self._run([self._verilate(work)], self.toolchain.verilator.environment)
        runtime = self._runtime()
        self._compile_all(work, self._units(work))
        self.report(f"{name}: linking")
        self._run([self._link([runtime, work], folder / LIBRARY)], self._environment)
        facts: dict[str, Any] = {
            "name": name,
            "waveform": self.waveform,
            "address_bits": bench.address_bits,
            "beat_bytes": bench.beat_bytes,
            "observation_bits": bench.observation_bits,
            "build_seconds": round(time.perf_counter() - started, 3),
            **self.toolchain.versions,
        }
        (folder / "model.json").write_text(json.dumps(facts, indent=2) + "\n")
        shutil.rmtree(work)
        self.log.unlink(missing_ok=True)

    @property
    def _compiler_name(self) -> str:
        program, *words = self.toolchain.compiler.command
        return " ".join([Path(program).name, *words])

    def _verilate(self, work: Path) -> list[str]:
        options = [*VERILATE, "--top-module", BENCH_NAME, "--Mdir", str(work)]
        if self.waveform is not None:
            options += [f"--trace-{self.waveform}", "--no-trace-top"]
        binary = str(self.toolchain.verilator.binary)
        return [binary, *options, str(work / "bench.v"), str(work / "design.v")]

    def _runtime(self) -> Path:
        """The folder of Verilator's own objects, which are the same for every design."""
        include = self.toolchain.verilator.include
        units = [_Unit(level=SLOW, files=(include / name,)) for name in RUNTIME]
        if self.waveform is not None:
            file = include / f"verilated_{self.waveform}_c.cpp"
            units.append(_Unit(level=FAST, files=(file,)))
        return model_cache().make(
            _hash(["runtime", *_tools(self.toolchain, self.waveform)]),
            lambda folder: self._compile_all(folder, units),
            waiting=lambda: self.report(f"{self.source.name}: another process builds its runtime"),
        )

    def _units(self, work: Path) -> list[_Unit]:
        """What is to be compiled of the design and around it, the longest work first."""
        units = [_Unit(level=FAST, files=(HERE / "harness.cpp",))]
        generated = sorted(work.glob("*.cpp"), key=_size, reverse=True)
        slow = [file for file in generated if "Slow" in file.name]
        units += _packed(SLOW, slow)
        units += _packed(FAST, [file for file in generated if file not in slow])
        return sorted(units, key=lambda unit: sum(map(_size, unit.files)), reverse=True)

    def _compile_all(self, folder: Path, units: Sequence[_Unit]) -> None:
        """Make the objects of `units` in `folder`."""
        title = f"{self.source.name}: compiling with {self._compiler_name}"
        commands = [self._compile(folder, unit) for unit in units]
        self._run(commands, self._environment, lambda done: self.report(f"{title} {done}"))

    @property
    def _environment(self) -> dict[str, str]:
        return os.environ | self.toolchain.compiler.environment

    def _compile(self, work: Path, unit: _Unit) -> list[str]:
        traced = self.waveform is not None
        macros = {name: 0 for name in MACROS} | {
            "TRACE": int(traced),
            "TRACE_VCD": int(self.waveform == "vcd"),
            "TRACE_FST": int(self.waveform == "fst"),
        }
        include = self.toolchain.verilator.include
        folders = [HERE / "shim", work, include, include / "vltstd", HERE]
        source, *others = unit.files
        if others:
            source = work / f"unit_{source.name}"
            source.write_text("".join(f'#include "{file.name}"\n' for file in unit.files))
        return [
            *self.toolchain.compiler.command,
            *COMPILE,
            unit.level,
            *self.toolchain.compiler.flags,
            *(f"-DVM_{name}={value}" for name, value in macros.items()),
            *(f"-I{folder}" for folder in folders),
            str(source),
            "-o",
            str(work / f"{source.name}.o"),
        ]

    def _link(self, folders: Sequence[Path], library: Path) -> list[str]:
        objects = sorted(str(file) for folder in folders for file in folder.glob("*.o"))
        command = self.toolchain.compiler.command
        return [*command, "-shared", "-pthread", *objects, "-o", str(library)]

    def _run(
        self,
        commands: Sequence[list[str]],
        environment: dict[str, str],
        progress: Callable[[str], None] = lambda done: None,
    ) -> None:
        try:
            run_all(commands, environment, self.log, progress)
        except CommandError as failure:
            raise BuildError(self._complaint(failure)) from None

    def _complaint(self, failure: CommandError) -> str:
        """One line for a command that failed."""
        lines = self.log.read_text(errors="replace").splitlines()
        first = next((line.strip() for line in lines if "rror" in line), failure.args[0])
        return f"cannot build the model of {self.source.name}: {first} (log: {self.log})"


@dataclass(frozen=True, kw_only=True)
class _Unit:
    """Files that are compiled as one, at an optimisation level."""

    level: str
    files: tuple[Path, ...]


def _packed(level: str, files: Sequence[Path]) -> list[_Unit]:
    """`files` in their order as units of at most `UNIT_BYTES`, or of one larger file."""
    units: list[list[Path]] = []
    room = 0
    for file in files:
        size = _size(file)
        if size > room:
            units.append([])
            room = UNIT_BYTES
        units[-1].append(file)
        room -= size
    return [_Unit(level=level, files=tuple(unit)) for unit in units]


def _size(file: Path) -> int:
    return file.stat().st_size


def _without_names(verilog: str) -> str:
    """Signals that had no name in the design begin with an underscore: waveforms leave them out."""
    return re.sub(r"\\\$(?=\S)", r"\\_$", verilog)
