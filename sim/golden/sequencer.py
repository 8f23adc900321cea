"""What a program of the sequencer does, from the meaning of its instructions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ...hw.bus.axi import Response
from ...hw.bus.opcodes import Opcode, StopCode

__all__ = ["Effect", "Player", "Registers", "Step"]

Effect = tuple[object, ...]
"""What is done, to what, and with which values: ``("write", page, offset, value)``,
``("read", page, offset)``, ``("push", mover, word, base)`` (base None without one),
``("wait", mover, count)``, ``("acquire", lock, value, equal)``, ``("release", lock, delta)`` and
``("set", lock, value)``."""

PAGE_END = 0x8000


class Registers(Protocol):
    """The register pages; an access that they refuse gives None or False."""

    def read(self, page: int, offset: int) -> int | None: ...

    def write(self, page: int, offset: int, value: int) -> bool: ...


@dataclass(kw_only=True)
class Step:
    """An instruction: its place, its opcode (0 if it was not read), and what it did, in order."""

    position: int
    op: int
    effects: list[Effect] = field(default_factory=list)


class _Stop(Exception):  # noqa: N818 - the end of a program is not an error of the model
    def __init__(self, code: StopCode) -> None:
        super().__init__(code)
        self.code = code


def _need(condition: bool, code: StopCode) -> None:
    if not condition:
        raise _Stop(code)


class Player:
    """Plays a program instruction by instruction; what it waits for is taken to come.

    Parameters
    ----------
    fetch
        The program: its 64-bit words by index, and how the bus answers there.
    registers
        What accesses go to.
    arguments
        The argument registers.
    movers, locks
        Their numbers.

    Attributes
    ----------
    code : StopCode or None
        How it ended; None while it has not.
    """

    def __init__(
        self,
        fetch: Callable[[int], tuple[int, Response]],
        registers: Registers,
        *,
        arguments: Sequence[int],
        movers: int,
        locks: int,
    ) -> None:
        self.code: StopCode | None = None
        self._fetch = fetch
        self._registers = registers
        self._arguments = arguments
        self._movers = movers
        self._locks = locks
        self._counters = [0] * 4

    def steps(self) -> Iterator[Step]:
        """Every instruction up to that which ends the program, included."""
        position = 0
        while self.code is None:
            step = Step(position=position, op=0)
            try:
                position = self._execute(step)
            except _Stop as stop:
                self.code = stop.code
            yield step

    def _word(self, position: int) -> int:
        word, response = self._fetch(position)
        _need(response != Response.SLVERR, StopCode.FETCH_SLVERR)
        _need(response != Response.DECERR, StopCode.FETCH_DECERR)
        return word

    def _execute(self, step: Step) -> int:
        """Do the instruction at ``step.position``; where to go on."""
        here, do = step.position, step.effects.append
        word = self._word(here)
        op, target, arg, imm = word & 0xFF, word >> 8 & 0xFF, word >> 16 & 0xFFFF, word >> 32
        step.op = op
        following = here + 1
        match op:
            case Opcode.END:
                _need(target == arg == imm == 0, StopCode.BAD_ARGUMENT)
                raise _Stop(StopCode.NONE)
            case Opcode.WRITE:
                self._check_page(target, arg)
                self._write(step, target, arg, imm)
            case Opcode.MASKED_WRITE:
                self._check_page(target, arg)
                mask = self._word(following)
                _need(mask < 1 << 32, StopCode.BAD_ARGUMENT)
                do(("read", target, arg))
                old = self._registers.read(target, arg)
                _need(old is not None, StopCode.REGISTER)
                assert old is not None
                bits = [(imm if mask >> bit & 1 else old) >> bit & 1 for bit in range(32)]
                self._write(step, target, arg, sum(bit << i for i, bit in enumerate(bits)))
                following += 1
            case Opcode.BLOCK_WRITE:
                self._check_page(target, arg)
                _need(0 < imm <= (PAGE_END - arg) // 4, StopCode.BAD_ARGUMENT)
                for index in range(imm):
                    pair = self._word(following + index // 2)
                    self._write(step, target, arg + 4 * index, pair >> 32 * (index % 2))
                following += (imm + 1) // 2
            case Opcode.ARG:
                self._check_page(target, arg)
                _need(
                    arg + 4 < PAGE_END and imm < len(self._arguments) and imm < 16,
                    StopCode.BAD_ARGUMENT,
                )
                value = (self._arguments[imm] + self._word(following)) % (1 << 64)
                self._write(step, target, arg, value)
                self._write(step, target, arg + 4, value >> 32)
                following += 1
            case Opcode.PUSH:
                self._check_mover(target)
                _need(arg == 0 and imm < 1 << 17, StopCode.BAD_ARGUMENT)
                do(("push", target - 1, imm, None))
            case Opcode.PUSH_AT:
                self._check_mover(target)
                task, index, adds = imm & 0x1FFFF, imm >> 24 & 15, imm >> 31
                legal = arg == 0 and imm == task | index << 24 | adds << 31
                legal = legal and (index < len(self._arguments) if adds else index == 0)
                _need(legal, StopCode.BAD_ARGUMENT)
                base = self._word(following) + (self._arguments[index] if adds else 0)
                do(("push", target - 1, task, base % (1 << 64)))
                following += 1
            case Opcode.WAIT:
                self._check_mover(target)
                _need(arg == 0, StopCode.BAD_ARGUMENT)
                do(("wait", target - 1, imm))
            case Opcode.ACQUIRE:
                self._check_lock(target)
                equal, value = divmod(imm, 256)
                _need(arg == 0 and equal < 2 and value < 64, StopCode.BAD_ARGUMENT)
                do(("acquire", target, value, equal))
            case Opcode.RELEASE:
                self._check_lock(target)
                delta = imm - (imm >> 31 << 32)
                _need(arg == 0 and -64 <= delta < 64, StopCode.BAD_ARGUMENT)
                do(("release", target, delta))
            case Opcode.SET_LOCK:
                self._check_lock(target)
                _need(arg == 0 and imm < 64, StopCode.BAD_ARGUMENT)
                do(("set", target, imm))
            case Opcode.LOOP:
                _need(target < 4 and imm > 0 and arg <= here, StopCode.BAD_ARGUMENT)
                self._counters[target] = (self._counters[target] or imm) - 1
                if self._counters[target]:
                    return here - arg
            case _:
                raise _Stop(StopCode.BAD_OPCODE)
        return following

    def _write(self, step: Step, page: int, offset: int, value: int) -> None:
        step.effects.append(("write", page, offset, value % (1 << 32)))
        done = self._registers.write(page, offset, value % (1 << 32))
        _need(done, StopCode.REGISTER)

    def _check_page(self, target: int, offset: int) -> None:
        _need(target <= self._movers, StopCode.BAD_TARGET)
        _need(offset < PAGE_END and offset % 4 == 0, StopCode.BAD_ARGUMENT)

    def _check_mover(self, target: int) -> None:
        _need(1 <= target <= self._movers, StopCode.BAD_TARGET)

    def _check_lock(self, target: int) -> None:
        _need(target < self._locks, StopCode.BAD_TARGET)
