"""The register map: declared once, used by the gateware, the driver, the C header and the docs.

The map is a list of pages of :data:`PAGE_BYTES`: page 0 is the system's, page 1 + i is mover i's,
and the last is the sequencer's, if there is one. Registers are 32 bits wide; quantities of 64 bits
are two registers ``_LOW`` and ``_HIGH``.
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..config import MAX_LOCKS, AcceleratorConfig
from ..errors import WeftError
from .record import RING_BYTES, RING_PLACES
from .windows import PAGE_BITS

__all__ = [
    "DESCRIPTOR_STORE",
    "IDENTITY",
    "PAGE_BYTES",
    "SEQUENCER_BIT",
    "SLOT_BYTES",
    "Page",
    "Register",
    "RegisterBusSignature",
    "RegisterError",
    "RegisterField",
    "RegisterMap",
    "mover_page",
    "sequencer_page",
    "system_page",
]

PAGE_BYTES = 0x8000
DESCRIPTOR_STORE = 0x4000
"""Offset of the BD slots in a mover's page; they are write-only."""
SLOT_BYTES = 256
LOCKS_A_REGISTER = 4
LOCK_FAULT_BIT = 31
SEQUENCER_BIT = 30
"""Of the interrupt registers."""
IDENTITY = 0x54464557
"""``WEFT`` in ASCII, least significant byte first."""


class RegisterError(WeftError, LookupError):
    """A register, field or page that does not exist, or a value that does not fit its field."""


@dataclass(frozen=True, kw_only=True)
class RegisterField:
    """Bits ``low`` ... ``low + width - 1`` of a register."""

    name: str
    low: int
    width: int
    doc: str


@dataclass(frozen=True, kw_only=True)
class Register:
    """One 32-bit register.

    ``access`` is ``ro`` (read), ``rw`` (read and write), ``wo`` (a write is an event, a read an
    error), ``w1c`` (read; a one clears its bit), or ``w1s`` (read; a one sets its bit, which the
    hardware clears).
    """

    name: str
    offset: int
    access: str
    fields: tuple[RegisterField, ...]
    doc: str

    def field(self, name: str) -> RegisterField:
        for candidate in self.fields:
            if candidate.name == name:
                return candidate
        raise RegisterError(f"register {self.name} has no field {name!r}")

    def pack(self, **values: int) -> int:
        """The register's word from its fields; a value that does not fit raises."""
        word = 0
        for name, value in values.items():
            entry = self.field(name)
            if not 0 <= value < 1 << entry.width:
                raise RegisterError(
                    f"{self.name}.{name} = {value}: must be from 0 to {(1 << entry.width) - 1}"
                )
            word |= value << entry.low
        return word

    def unpack(self, word: int) -> dict[str, int]:
        """The fields of `word` by name."""
        return {f.name: word >> f.low & (1 << f.width) - 1 for f in self.fields}


@dataclass(frozen=True, kw_only=True)
class Page:
    """The registers of one block."""

    name: str
    base: int
    registers: tuple[Register, ...]

    def register(self, name: str) -> Register:
        for candidate in self.registers:
            if candidate.name == name:
                return candidate
        raise RegisterError(f"page {self.name} has no register {name!r}")

    def address(self, name: str) -> int:
        """Byte address of register `name`."""
        return self.base + self.register(name).offset


class _Builder:
    """Gives registers ascending offsets."""

    def __init__(self) -> None:
        self.registers: list[Register] = []

    def add(self, name: str, access: str, doc: str, *fields: tuple[str, int, int, str]) -> None:
        entries = fields or (("value", 0, 32, doc),)
        self.registers.append(
            Register(
                name=name,
                offset=4 * len(self.registers),
                access=access,
                fields=tuple(
                    RegisterField(name=n, low=low, width=width, doc=text)
                    for n, low, width, text in entries
                ),
                doc=doc,
            )
        )


def system_page(config: AcceleratorConfig) -> Page:
    """Page 0: identity, interrupts, first error, time, and the array's counters."""
    build = _Builder()
    each = movers = tuple(
        (mover.name, i, 1, f"mover {mover.name}") for i, mover in enumerate(config.movers)
    )
    build.add("IDENTITY", "ro", "'WEFT' in ASCII, first letter in the lowest byte")
    build.add("VERSION", "ro", "major << 16 | minor << 8 | patch")
    build.add("CONFIG_HASH", "ro", "first 32 bits of the hash of the configuration")
    build.add(
        "CAPABILITIES",
        "ro",
        "what was built",
        ("movers", 0, 8, "number of movers"),
        ("array", 8, 1, "there is a systolic array"),
        ("dma", 9, 1, "there is a DMA"),
        ("sequencer", 10, 1, "there is a sequencer"),
    )
    build.add(
        "CONTROL",
        "wo",
        "commands",
        ("reset", 0, 1, "drain the bus, then reset everything but this page"),
        ("clear_counters", 1, 1, "zero the time, the array's counters and every mover's"),
    )
    build.add(
        "STATUS",
        "ro",
        "state of the system",
        ("resetting", 0, 1, "a soft reset waits for the bus to drain"),
    )
    if config.sequencer is not None:
        movers += (("sequencer", SEQUENCER_BIT, 1, "the sequencer"),)
    done = "a task pushed with `interrupt` has retired; a program has ended"
    build.add("IRQ_DONE", "w1c", done, *movers)
    build.add("IRQ_DONE_MASK", "rw", "which IRQ_DONE bits raise the interrupt", *movers)
    faults = (*movers, ("locks", LOCK_FAULT_BIT, 1, "the locks"))
    failed = "a fault was recorded, a push refused, or a program ended with an error"
    build.add("IRQ_FAULT", "w1c", failed, *faults)
    build.add("IRQ_FAULT_MASK", "rw", "which IRQ_FAULT bits raise the interrupt", *faults)
    build.add(
        "FIRST_ERROR",
        "ro",
        "the first fault since reset",
        ("valid", 0, 1, "there was one"),
        ("mover", 8, 8, "index of the mover; for locks then the host, the sequencer, and LOCK_SET"),
        ("code", 16, 8, "FaultCode"),
        ("descriptor", 24, 8, "BD slot; the lock of a lock's fault"),
    )
    build.add("CYCLES", "ro", "cycles since reset or clear_counters")
    build.add("SPAN_FIRST", "ro", "CYCLES when an array-side mover issued its first address")
    build.add("SPAN_LAST", "ro", "CYCLES when an array-side mover last wrote")
    if config.array is not None:
        build.add("ARRAY_ACTIVE", "ro", "cycles from first operand to last result, summed")
        build.add("ARRAY_STEPS", "ro", "steps taken")
        build.add("ARRAY_BUBBLES", "ro", "cycles without a step between two steps of a stretch")
        build.add("ARRAY_STARVED_A", "ro", "cycles in which a step waited for A")
        build.add("ARRAY_STARVED_B", "ro", "cycles in which a step waited for B")
        build.add("ARRAY_STARVED_C", "ro", "cycles in which a step waited for C alone")
        build.add("ARRAY_BLOCKED_D", "ro", "cycles in which a step waited for room in D alone")
        build.add("ARRAY_BLOCKED_E", "ro", "cycles in which a step waited for room in E alone")
        build.add("ARRAY_STARVED_S", "ro", "cycles in which a step waited for parameters alone")
    _add_locks(build, config.locks)
    if config.memory.fill_priority:
        build.add(
            "ARBITRATION",
            "rw",
            "who goes first at the banks of the scratchpad",
            ("fill_priority", 0, 1, "the emptiest readers and the fullest writers of a class"),
        )
    if config.memory.bank_counters:
        for bank in range(config.memory.banks):
            text = f"cycles in which a request for bank {bank} was not granted"
            build.add(f"BANK_CONFLICT_{bank}", "ro", text)
    build.add("ABORT", "w1s", "movers to abort; a bit falls when its mover is idle", *each)
    return Page(name="system", base=0, registers=tuple(build.registers))


def _add_locks(build: _Builder, locks: int) -> None:
    """The host's access to the locks."""
    lock = ("id", 0, 5, "the lock")
    build.add("LOCK_SET", "wo", "make a lock be a value", lock, ("value", 8, 6, "its value"))
    build.add(
        "LOCK_RELEASE", "wo", "add to a lock", lock, ("delta", 8, 7, "two's complement, in 7 bits")
    )
    build.add(
        "LOCK_ACQUIRE",
        "wo",
        "try once to acquire a lock",
        lock,
        ("value", 8, 6, "what it must be"),
        ("equal", 16, 1, "exactly, and leave it; else at least, and take that off"),
    )
    build.add(
        "LOCK_RESULT",
        "ro",
        "the last LOCK_ACQUIRE",
        ("done", 0, 1, "it is over"),
        ("granted", 1, 1, "the lock was acquired"),
    )
    errors = [("locks", 0, locks, "a release that would have left 0 to 63, a bit a lock")]
    if locks < MAX_LOCKS:
        errors.append(("unknown", 31, 1, "of a lock that does not exist"))
    build.add("LOCK_ERRORS", "ro", "what the locks refused since reset", *errors)
    for first in range(0, locks, LOCKS_A_REGISTER):
        some = range(first, min(first + LOCKS_A_REGISTER, locks))
        fields = [(f"lock{i}", 8 * (i - first), 8, f"value of lock {i}") for i in some]
        build.add(f"LOCKS_{first // LOCKS_A_REGISTER}", "ro", "values of locks", *fields)


def mover_page(config: AcceleratorConfig, index: int) -> Page:
    """Page of mover `index`: control, status, queue, errors, counters; then its BD store."""
    build = _Builder()
    build.add(
        "CONTROL",
        "wo",
        "commands",
        ("clear_error", 0, 1, "forget the sticky error and the refused flag"),
    )
    build.add(
        "STATUS",
        "ro",
        "what the mover does now",
        ("busy", 0, 1, "a BD is loaded or in flight"),
        ("error", 1, 1, "a fault is recorded in ERROR"),
        ("refused", 2, 1, "a push met a full queue"),
        ("locked", 3, 1, "a BD waits for its lock"),
        ("stall", 4, 4, "StallCause"),
        ("descriptor", 8, 8, "BD slot loaded last"),
        ("in_flight", 16, 8, "BDs loaded and not retired"),
        ("lock", 24, 5, "the lock that was waited for last"),
    )
    build.add(
        "PUSH",
        "wo",
        "push a task",
        ("descriptor", 0, 8, "BD slot"),
        ("repeat", 8, 8, "executions less one"),
        ("interrupt", 16, 1, "set the mover's IRQ_DONE bit when the task retires"),
        ("rebase", 17, 1, "the first BD of the chain goes to BASE in place of its own"),
    )
    build.add("BASE_LOW", "rw", "base for a push with `rebase`, low half")
    build.add("BASE_HIGH", "rw", "base for a push with `rebase`, high half")
    build.add("LEVEL", "ro", "tasks in the queue, the running one excluded")
    build.add("REFUSED", "ro", "pushes dropped because the queue was full")
    build.add("RETIRED", "ro", "tasks retired: the token")
    build.add(
        "ERROR",
        "ro",
        "first fault since clear_error",
        ("code", 0, 8, "FaultCode"),
        ("descriptor", 8, 8, "BD slot"),
    )
    build.add("FAULT_LOW", "ro", "address of the fault, low half")
    build.add("FAULT_HIGH", "ro", "address of the fault, high half")
    build.add("ADDRESS_LOW", "ro", "address of the current row, low half")
    build.add("ADDRESS_HIGH", "ro", "address of the current row, high half")
    build.add("ACTIVE", "ro", "cycles in which a beat moved")
    build.add("STARVED", "ro", "cycles busy without input: memory (source) or stream (sink)")
    build.add("BLOCKED", "ro", "cycles busy with input but no room at the output")
    build.add("CONFLICT", "ro", "cycles in which a request to memory was not granted")
    build.add("ACCESSES", "ro", "words (scratchpad) or bus beats (DRAM) accessed")
    stood = "after an abort or a reset those of the task that it ended, until the next push"
    build.add("EXECUTIONS", "ro", f"executions of the present task that have retired; {stood}")
    build.add("PROGRESS", "ro", f"bytes that the execution after these has moved; {stood}")
    mover = config.movers[index]
    if config.dma is not None and config.dma.records:
        _add_records(build, config.dma.address_bits)
    if not mover.is_scratchpad and config.dma is not None:
        for window in range(config.dma.windows):
            _add_window(build, f"WINDOW{window}", config.dma.address_bits)
    return Page(name=mover.name, base=(index + 1) * PAGE_BYTES, registers=tuple(build.registers))


def _add_records(build: _Builder, address_bits: int) -> None:
    """Where the records of a mover's tasks lie."""
    low, high = (RING_BYTES - 1).bit_length(), address_bits - 32
    text = f"ring of {RING_PLACES} task records, {{}} half of its address; 0 for none"
    part = ("ring", low, 32 - low, f"low bits of the address / {RING_BYTES}")
    build.add("RECORDS_LOW", "rw", text.format("low"), part)
    if high:
        text = text.format("high")
        build.add("RECORDS_HIGH", "rw", text, ("value", 0, high, text))


def _add_window(build: _Builder, name: str, address_bits: int) -> None:
    """A piece of DRAM that a mover may touch: the pages of its first and of its last byte."""
    high = address_bits - 32
    page = ("page", PAGE_BITS, 32 - PAGE_BITS, "low bits of the number of a page of 4 KiB")
    enable = ("enable", 0, 1, "bursts outside the enabled windows are not made")
    for end, fields in (("FIRST", (enable, page)), ("LAST", (page,))):
        build.add(f"{name}_{end}_LOW", "rw", f"{end.lower()} address, low half", *fields)
        if high:
            text = f"{end.lower()} address, high half"
            build.add(f"{name}_{end}_HIGH", "rw", text, ("value", 0, high, text))


def sequencer_page(config: AcceleratorConfig) -> Page:
    """The sequencer's page: doorbell, arguments, and what became of the program."""
    assert config.sequencer is not None
    build = _Builder()
    build.add("DOORBELL_LOW", "rw", "address of the program, low half")
    build.add("DOORBELL_HIGH", "wo", "address of the program, high half; starts it")
    build.add(
        "STATUS",
        "ro",
        "state of the program",
        ("busy", 0, 1, "a program runs, or its record is being written"),
        ("done", 1, 1, "the last program came to its END"),
        ("error", 2, 1, "the last program was stopped by an error"),
        ("refused", 3, 1, "a doorbell rang while a program ran; it was not heard"),
        ("code", 8, 8, "StopCode"),
        ("op", 16, 8, "Opcode of the present instruction, or of the last one"),
    )
    build.add("POSITION", "ro", "index of the 64-bit word of the present, or the last, instruction")
    build.add("RECORD_LOW", "rw", "address of the completion record, low half")
    build.add("RECORD_HIGH", "rw", "address of the completion record, high half; 0 for none")
    build.add("CYCLES_LOW", "ro", "cycles from the doorbell to the program's end, low half")
    build.add("CYCLES_HIGH", "ro", "cycles from the doorbell to the program's end, high half")
    for index in range(config.sequencer.arguments):
        build.add(f"ARG{index}_LOW", "rw", f"argument {index}, low half")
        build.add(f"ARG{index}_HIGH", "rw", f"argument {index}, high half")
    base = (1 + len(config.movers)) * PAGE_BYTES
    return Page(name="sequencer", base=base, registers=tuple(build.registers))


class RegisterMap:
    """Every page of a system.

    Attributes
    ----------
    pages : tuple of :class:`Page`
        Page 0 is the system's; the movers follow in the configuration's order, then the sequencer.
    address_bits : int
        Width of the AXI4-Lite address.
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self.pages = (
            system_page(config),
            *(mover_page(config, index) for index in range(len(config.movers))),
            *([sequencer_page(config)] if config.sequencer is not None else []),
        )
        self.address_bits = (len(self.pages) * PAGE_BYTES - 1).bit_length()

    def page(self, name: str) -> Page:
        """The page of mover `name`, ``system`` or ``sequencer``."""
        for candidate in self.pages:
            if candidate.name == name:
                return candidate
        raise RegisterError(f"there is no page {name!r}")

    def slot_address(self, mover: str, slot: int) -> int:
        """Byte address of the first word of BD `slot` of `mover`."""
        count = self.config.mover(mover).descriptors
        if not 0 <= slot < count:
            raise RegisterError(f"{mover} BD {slot}: must be from 0 to {count - 1}")
        return self.page(mover).base + DESCRIPTOR_STORE + slot * SLOT_BYTES


class RegisterBusSignature(wiring.Signature):
    """The bridge's view of one page.

    ``request`` is a pulse of one cycle with ``write``, byte ``offset`` in the page (a multiple of
    4) and ``write_data``. In the same cycle the page says whether it is an ``error``, for an offset
    without a register or an access that the register does not allow; 0 without a request. What is
    read is ``read_data`` in the next cycle, always; it counts if there was no error.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "request": Out(1),
                "write": Out(1),
                "offset": Out(range(PAGE_BYTES)),
                "write_data": Out(32),
                "read_data": In(32),
                "error": In(1),
            }
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RegisterBusSignature)

    def __repr__(self) -> str:
        return "RegisterBusSignature()"
