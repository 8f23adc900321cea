"""Ends the tasks of some movers, and says how far they came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .errors import DeviceTimeout
from .program import Program

__all__ = ["Stopped", "abort"]

POLLS = 10_000


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """How far an aborted mover came.

    Parameters
    ----------
    retired
        Its tasks that have retired, modulo 2**32; the one after these, if there was one, and those
        behind it were ended.
    executions
        Of that task: executions that have retired. The ones after these have released no lock.
    progress
        Bytes of the execution after those, in the order of its walk and without those that do not
        exist. Of an ``s2mm``: those that are in memory, where nothing behind them was written. Of a
        ``write`` mover: the same in the scratchpad, with the words of skipped channels. Of a
        source: those that its stream was given, clipped ones among them; and a ``read`` mover
        retires what it has read, taken by its stream or not. Bytes at fault are not counted.
    """

    retired: int
    executions: int
    progress: int


def abort(program: Program, movers: Sequence[str]) -> dict[str, Stopped]:
    """Abort `movers` and return when they are idle; what they did, by name.

    Raises
    ------
    DeviceTimeout
        They do not become idle.
    """
    registers = program.registers
    registers.write_fields("system", "ABORT", **dict.fromkeys(movers, 1))
    for _ in range(POLLS):
        left = [name for name, bit in registers.fields("system", "ABORT").items() if bit]
        if not set(left) & set(movers):
            break
    else:
        raise DeviceTimeout(f"an abort waits for {', '.join(left)}; {program.describe()}")
    program.forget(*movers)
    return {
        name: Stopped(
            retired=program.retired(name),
            executions=registers.read(name, "EXECUTIONS"),
            progress=registers.read(name, "PROGRESS"),
        )
        for name in movers
    }
