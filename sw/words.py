"""Programs of the sequencer, word by word."""

from __future__ import annotations

from collections.abc import Sequence

from ..hw.bus.opcodes import (
    ADD_ARGUMENT,
    ARGUMENT_LOW,
    EQUAL,
    LOOP_COUNTERS,
    Opcode,
    instruction,
)
from ..hw.bus.registers import PAGE_BYTES, RegisterMap
from ..hw.config import AcceleratorConfig
from ..hw.errors import ConfigError
from ..hw.mover.locks import LOCK_DELTA_BITS, LOCK_VALUE_BITS
from .errors import ProgramWordError

__all__ = ["ProgramWords"]

WORD = 1 << 32
WIDE = 1 << 64
MAX_REPEAT = 256


class ProgramWords:
    """Builds a program: one method an opcode, each of which appends an instruction.

    Pages go by name (a mover's, or ``system``), registers by name or by byte offset. Every method
    refuses a value that the instruction cannot carry, and appends nothing then.

    Parameters
    ----------
    config
        The system; it has a sequencer.

    Attributes
    ----------
    words : list of int
        What stands so far, 64 bits each.

    Raises
    ------
    ConfigError
        `config` has no sequencer.
    ProgramWordError
        By the methods: names instruction, field, value and limit.
    RegisterError
        By the methods: there is no such page or register.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        if config.sequencer is None:
            raise ConfigError("sequencer", None, "a program needs one to play it")
        self._config = config
        self._arguments = config.sequencer.arguments
        self._map = RegisterMap(config)
        self.words: list[int] = []

    @property
    def position(self) -> int:
        """Index of the next word: where a `loop` can go back to."""
        return len(self.words)

    def to_bytes(self) -> bytes:
        """The program as it lies in DRAM."""
        return b"".join(word.to_bytes(8, "little") for word in self.words)

    def end(self) -> None:
        """The program is done."""
        self._append(Opcode.END)

    def write(self, page: str, register: str | int, value: int) -> None:
        """Register := `value`."""
        op = Opcode.WRITE
        _check(op, "value", value, 0, WORD - 1)
        self._append(op, self._page(op, page), self._offset(op, page, register), value)

    def masked_write(self, page: str, register: str | int, value: int, mask: int) -> None:
        """The register's bits in `mask` := those of `value`; it must be one that can be read."""
        op = Opcode.MASKED_WRITE
        _check(op, "value", value, 0, WORD - 1)
        _check(op, "mask", mask, 0, WORD - 1)
        self._append(op, self._page(op, page), self._offset(op, page, register), value, mask)

    def block_write(self, page: str, register: str | int, values: Sequence[int]) -> None:
        """Registers from `register` up := `values`."""
        op = Opcode.BLOCK_WRITE
        offset = self._offset(op, page, register)
        _check(op, "len(values)", len(values), 1, (PAGE_BYTES - offset) // 4)
        for value in values:
            _check(op, "value", value, 0, WORD - 1)
        even = [*values, 0] if len(values) % 2 else list(values)
        pairs = zip(even[::2], even[1::2], strict=True)
        payload = [low | high << 32 for low, high in pairs]
        self._append(op, self._page(op, page), offset, len(values), *payload)

    def write_slot(self, mover: str, slot: int, words: Sequence[int]) -> None:
        """The words of a BD, from the first on, into `slot` of `mover`: a block write."""
        self._mover(Opcode.BLOCK_WRITE, mover)
        base = self._map.page(mover).base
        self.block_write(mover, self._map.slot_address(mover, slot) - base, words)

    def argument(self, page: str, register: str | int, index: int, addend: int = 0) -> None:
        """`register` and the next := argument `index` plus `addend`, 64 bits, low half first."""
        op = Opcode.ARG
        offset = self._offset(op, page, register)
        _check(op, "offset", offset, 0, PAGE_BYTES - 8)
        _check(op, "index", index, 0, self._arguments - 1)
        self._append(op, self._page(op, page), offset, index, _wide(op, "addend", addend))

    def push(self, mover: str, slot: int, repeat: int = 1, interrupt: bool = False) -> None:
        """Push a task when the mover's queue has room."""
        op = Opcode.PUSH
        task = self._task(op, mover, slot, repeat, interrupt)
        self._append(op, self._mover(op, mover), 0, task)

    def push_at(
        self,
        mover: str,
        slot: int,
        base: int,
        repeat: int = 1,
        interrupt: bool = False,
        argument: int | None = None,
    ) -> None:
        """Push a task at `base`, or at argument `argument` plus `base` if it is given."""
        op = Opcode.PUSH_AT
        task = self._task(op, mover, slot, repeat, interrupt)
        if argument is None:
            guarded = self._config.mover(mover).is_scratchpad and self._config.mover(mover).guards
            _check(op, "base", base, -WIDE // 2 if guarded else 0, WIDE - 1)
        else:
            _check(op, "argument", argument, 0, self._arguments - 1)
            task |= ADD_ARGUMENT | argument << ARGUMENT_LOW
        self._append(op, self._mover(op, mover), 0, task, _wide(op, "base", base))

    def wait(self, mover: str, count: int) -> None:
        """Wait until `mover` has retired `count` tasks since the doorbell."""
        op = Opcode.WAIT
        _check(op, "count", count, 0, WORD - 1)
        self._append(op, self._mover(op, mover), 0, count)

    def acquire(self, lock: int, value: int, equal: bool = False) -> None:
        """Wait until the lock is at least `value` and take that off, or is `equal` and leave it."""
        op = Opcode.ACQUIRE
        self._check_lock(op, lock)
        _check(op, "value", value, 0, (1 << LOCK_VALUE_BITS) - 1)
        self._append(op, lock, 0, value | (EQUAL if equal else 0))

    def release(self, lock: int, delta: int) -> None:
        """Add `delta` to the lock."""
        op = Opcode.RELEASE
        self._check_lock(op, lock)
        _check(op, "delta", delta, -1 << LOCK_DELTA_BITS - 1, (1 << LOCK_DELTA_BITS - 1) - 1)
        self._append(op, lock, 0, delta % WORD)

    def set_lock(self, lock: int, value: int) -> None:
        """Lock := `value`."""
        op = Opcode.SET_LOCK
        self._check_lock(op, lock)
        _check(op, "value", value, 0, (1 << LOCK_VALUE_BITS) - 1)
        self._append(op, lock, 0, value)

    def loop(self, counter: int, iterations: int, to: int) -> None:
        """Go back to position `to` until what lies between has been done `iterations` times.

        Loops inside each other take different counters.
        """
        op = Opcode.LOOP
        _check(op, "counter", counter, 0, LOOP_COUNTERS - 1)
        _check(op, "iterations", iterations, 1, WORD - 1)
        _check(op, "to", to, max(0, self.position - 0xFFFF), self.position)
        self._append(op, counter, self.position - to, iterations)

    def _append(
        self, op: Opcode, target: int = 0, arg: int = 0, imm: int = 0, *payload: int
    ) -> None:
        fields = {"op": int(op), "target": target, "arg": arg, "imm": imm}
        self.words += [instruction().const(fields).as_bits(), *payload]

    def _page(self, op: Opcode, page: str) -> int:
        number = self._map.page(page).base // PAGE_BYTES
        if page == "sequencer":
            raise ProgramWordError(op.name, "page", page, "a program cannot write its own page")
        return number

    def _mover(self, op: Opcode, mover: str) -> int:
        names = [entry.name for entry in self._config.movers]
        if mover not in names:
            raise ProgramWordError(op.name, "mover", mover, f"must be one of {', '.join(names)}")
        return 1 + names.index(mover)

    def _offset(self, op: Opcode, page: str, register: str | int) -> int:
        found = self._map.page(page)
        offset = found.register(register).offset if isinstance(register, str) else register
        if not 0 <= offset < PAGE_BYTES or offset % 4:
            limit = f"must be a multiple of 4 below {PAGE_BYTES:#x}"
            raise ProgramWordError(op.name, "offset", offset, limit)
        return offset

    def _check_lock(self, op: Opcode, lock: int) -> None:
        _check(op, "lock", lock, 0, self._config.locks - 1)

    def _task(self, op: Opcode, mover: str, slot: int, repeat: int, interrupt: bool) -> int:
        page = self._map.pages[self._mover(op, mover)]
        _check(op, "slot", slot, 0, self._config.mover(mover).descriptors - 1)
        _check(op, "repeat", repeat, 1, MAX_REPEAT)
        return page.register("PUSH").pack(
            descriptor=slot, repeat=repeat - 1, interrupt=int(interrupt)
        )


def _check(op: Opcode, field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ProgramWordError(op.name, field, value, f"must be from {low} to {high}")


def _wide(op: Opcode, field: str, value: int) -> int:
    """An addend of 64 bits, which may be negative."""
    _check(op, field, value, -WIDE // 2, WIDE - 1)
    return value % WIDE
