"""Faults of every kind at random: contained, named, and nothing hangs."""

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

from support.crossing import CROSSING
from support.engines import needs_compiler
from weft.engines import open_simulation
from weft.hw.bus.axi import Response
from weft.hw.bus.fault import FAULT_TEXT, FaultCode
from weft.hw.mover.descriptor import Descriptor
from weft.sim.dram import DramParameters, ErrorRange
from weft.sw.blocked import contiguous
from weft.sw.descriptor import BufferDescriptor
from weft.sw.device import Device
from weft.sw.errors import DeviceError

assert CROSSING.dma is not None
DMA = replace(CROSSING.dma, windows=1, pipelined=True)
CONFIG = replace(CROSSING, name="windowed", dma=DMA)
BEAT = CROSSING.dma.data_bytes
PAIRS = (("MM2S0", "Y", "X", "S2MM0"), ("MM2S1", "Q", "P", "S2MM1"))
MOST = 4
"""Tasks that a mover has at once."""

PIECE = 0x200
"""Bytes between what one task moves and what the next one does."""

BASE = 0x8000_0000
OUT, UNREADABLE, UNWRITABLE, CLOSED = 0x2000, 0x9000, 0xA000, 0xB000
"""Places in DRAM behind what goes in: what comes out, and where there are faults."""

PATIENCE = 30_000

FLAWS: dict[FaultCode, dict[str, int]] = {
    FaultCode.INVALID: {"valid": 0},
    FaultCode.UNSUPPORTED: {"operator": 1},
    FaultCode.FIELD_RANGE: {"acquire_enable": 1, "acquire_id": CONFIG.locks},
    FaultCode.NO_DESCRIPTOR: {},
    FaultCode.ADDRESS_RANGE: {"base": CONFIG.memory.bytes - CONFIG.memory.word_bytes},
    FaultCode.ALIGNMENT: {"base": 2},
}
"""Fields of a BD that the driver would not have so."""

SCRATCHPAD = (FaultCode.ADDRESS_RANGE, FaultCode.ALIGNMENT)
"""Those of them by which a BD of the scratchpad still moves what it can."""

EMPTY = tuple(code for code in FLAWS if code not in SCRATCHPAD)
"""Those by which a BD moves nothing."""


def faulty_memory(pick: Random) -> DramParameters:
    """Some bytes of a page answer with an error."""

    def bad(page: int) -> ErrorRange:
        start = BASE + page + pick.randrange(0x400)
        response = pick.choice((Response.SLVERR, Response.DECERR))
        return ErrorRange(start=start, stop=start + pick.randint(1, 100), response=response)

    stall = pick.choice((0, 0, 100, 200))
    return DramParameters(
        read_latency=pick.randrange(60),
        write_latency=pick.randrange(60),
        **dict.fromkeys(("stall_ar", "stall_r", "stall_aw", "stall_w", "stall_b"), stall),
        seed=pick.getrandbits(32),
        read_errors=(bad(UNREADABLE),),
        write_errors=(bad(UNWRITABLE),),
    )


class Injector:
    """A device in which one pair of movers fails while the other one copies."""

    def __init__(self, simulation: Any, dram: DramParameters, pick: Random) -> None:
        self.simulation = simulation
        self.dram = dram
        self.pick = pick
        self.dev = Device(simulation, CONFIG)
        assert self.dev.transport.memory_base == BASE
        for pair in PAIRS:
            for mover in (pair[0], pair[3]):
                self.dev.confine(mover, [(BASE, CLOSED)])
        self.restart()

    def restart(self) -> None:
        """As new, and nothing but time lets a wait for the interrupt return."""
        self.dev.reset()
        for name in ("IRQ_DONE_MASK", "IRQ_FAULT_MASK"):
            self.dev.registers.write("system", name, 0)

    def place(self, pair: int, task: int, outwards: bool) -> int:
        """In DRAM."""
        return 2 * OUT * pair + OUT * outwards + PIECE * task

    def bytes_at(self, place: int, size: int) -> Any:
        return self.dev.transport.memory[place : place + size]

    def begin(self, name: str, sizes: list[int], route: str, places: list[int]) -> None:
        """A task for each of `sizes`, in a slot of its own."""
        config = CONFIG.mover(name)
        for slot, (size, place) in enumerate(zip(sizes, places, strict=True)):
            if config.is_scratchpad:
                walk = contiguous(CONFIG.memory, config, base=place, length=size)
            else:
                run = {"base": BASE + place, "bounds": (1,), "strides": (0,)}
                walk = BufferDescriptor(**run, run_length=size)
            self.dev.write_descriptor(name, slot, replace(walk, route=(route,)))

    def push(self, *movers: str, count: int, lost: tuple[str, int] = ("", 0)) -> None:
        """The first `count` slots of `movers`; in place of one of them, one that does not exist."""
        for slot in range(count):
            for name in movers:
                named = CONFIG.mover(name).descriptors if lost == (name, slot) else slot
                self.dev.registers.write_fields(name, "PUSH", descriptor=named)

    def settle(self, name: str, count: int) -> None:
        """Until `count` tasks have retired."""
        deadline = self.simulation.cycles + PATIENCE
        while self.dev.registers.read(name, "RETIRED") != count:
            assert self.simulation.cycles < deadline, f"{name} hangs: {self.dev.program.describe()}"
            self.simulation.wait_interrupt(50)

    def copy(self, pair: int, sizes: list[int], *, outwards: bool) -> None:
        """Begin to move pieces."""
        source, sink = PAIRS[pair][2:] if outwards else PAIRS[pair][:2]
        dram = [self.place(pair, task, outwards) for task in range(len(sizes))]
        inside = [0x1000 * pair + PIECE * task for task in range(len(sizes))]
        self.begin(source, sizes, sink, inside if outwards else dram)
        self.begin(sink, sizes, source, dram if outwards else inside)
        self.push(sink, source, count=len(sizes))

    def through(self, pair: int, sizes: list[int]) -> None:
        """In and out again; everything has come."""
        self.refill(pair)
        for outwards in (False, True):
            source, sink = PAIRS[pair][2:] if outwards else PAIRS[pair][:2]
            before = self.dev.registers.read(sink, "RETIRED")
            self.copy(pair, sizes, outwards=outwards)
            self.settle(sink, before + len(sizes))
            self.settle(source, before + len(sizes))
        self.compare(pair, sizes)

    def refill(self, pair: int) -> None:
        self.bytes_at(self.place(pair, 0, False), OUT)[:] = np.frombuffer(
            self.pick.randbytes(OUT), np.uint8
        )

    def compare(self, pair: int, sizes: list[int], but: int = -1) -> None:
        """What came out is what went in, except for one task."""
        for task, size in enumerate(sizes):
            if task != but:
                ends = (self.bytes_at(self.place(pair, task, side), size) for side in (False, True))
                np.testing.assert_array_equal(*ends, err_msg=f"pair {pair}, task {task}")

    def inject(self) -> FaultCode:
        """One round; what was injected."""
        pick = self.pick
        victim, outwards = pick.randrange(2), pick.random() < 0.5
        count = pick.randint(1, MOST)
        sizes = [BEAT * pick.randint(1, PIECE // BEAT) for _ in range(count)]
        bad = pick.randrange(count)
        source, sink = PAIRS[victim][2:] if outwards else PAIRS[victim][:2]
        dram = sink if outwards else source
        error = (self.dram.write_errors if outwards else self.dram.read_errors)[0]
        answer = (FaultCode.WRITE_SLVERR if outwards else FaultCode.READ_SLVERR) + (
            error.response == Response.DECERR
        )
        code = pick.choice([FaultCode(answer), FaultCode.WINDOW, *EMPTY, *SCRATCHPAD])
        self.through(victim, sizes)  # what the scratchpad holds is known from here on
        before = self.dev.registers.read(source, "RETIRED")

        # The one that shall fail, and how.
        places = [self.place(victim, task, outwards) for task in range(count)]
        inside = [0x1000 * victim + PIECE * task for task in range(count)]
        failing = dram
        if code == answer:
            places[bad] = max(error.start - BASE - pick.randrange(sizes[bad]), 0)
        elif code == FaultCode.WINDOW:
            places[bad] = CLOSED + pick.randrange(0x1000 - PIECE)
        else:
            pool = (source, sink) if code in EMPTY else PAIRS[victim][1:3][outwards:][:1]
            failing = pick.choice(pool)
        self.begin(source, sizes, sink, inside if outwards else places)
        self.begin(sink, sizes, source, places if outwards else inside)
        self.spoil(failing, bad, FLAWS.get(code, {}))
        others = [BEAT * pick.randint(1, PIECE // BEAT) for _ in range(pick.randint(1, MOST))]
        self.refill(1 - victim)
        other = PAIRS[1 - victim]
        idle = self.dev.registers.read(other[1], "RETIRED")
        self.copy(1 - victim, others, outwards=False)
        missing = (failing, bad) if code == FaultCode.NO_DESCRIPTOR else ("", 0)
        self.push(*pick.sample((source, sink), 2), count=count, lost=missing)

        # The others have all their bytes.
        self.settle(other[1], idle + len(others))
        idle = self.dev.registers.read(other[3], "RETIRED")
        self.copy(1 - victim, others, outwards=True)
        self.settle(other[3], idle + len(others))
        self.compare(1 - victim, others)
        # The victim's other tasks too, and all retire, unless a BD that moves nothing has put its
        # stream out of step: then its ends wait, and are left by an abort.
        if code in EMPTY:
            self.settle(sink if failing == sink else source, before + count)
            self.dev.abort(source, sink)
        else:
            self.settle(source, before + count)
            self.settle(sink, before + count)
        slot = CONFIG.mover(failing).descriptors if code == FaultCode.NO_DESCRIPTOR else bad
        with pytest.raises(DeviceError) as caught:
            self.dev.program.check()
        found = caught.value
        assert (found.mover, found.descriptor, found.cause) == (failing, slot, FAULT_TEXT[code])
        if code in (answer, FaultCode.WINDOW):
            assert 0 <= found.address - BASE - places[bad] + BEAT < sizes[bad] + BEAT
        for name in other:
            assert not self.dev.registers.fields(name, "STATUS")["error"]
        self.restart()
        if code not in EMPTY:
            if not outwards:  # what is in the scratchpad is still there
                self.copy(victim, sizes, outwards=True)
                self.settle(PAIRS[victim][3], count)
            self.compare(victim, sizes, but=bad)
        return code

    def spoil(self, name: str, slot: int, fields: dict[str, int]) -> None:
        """Change a BD past the driver, which would not have it."""
        layout = Descriptor(CONFIG, CONFIG.mover(name)).layout
        words = dict(enumerate(self.dev.program.ledger(name).slots[slot]))
        for field, value in fields.items():
            word, bit = divmod(layout[field].offset, 32)
            mask = ((1 << min(layout[field].width, 32)) - 1) << bit
            words[word] = words[word] & ~mask | value << bit
        self.dev.registers.write_slot(name, slot, words)


@pytest.mark.soak
@needs_compiler
def test_a_thousand_faults_are_contained_and_named() -> None:
    found: list[FaultCode] = []
    for seed in range(50):
        pick = Random(seed)
        dram = faulty_memory(pick)
        with open_simulation(CONFIG, "verilator", memory_bytes=1 << 16, dram=dram) as simulation:
            injector = Injector(simulation, dram, pick)
            found += [injector.inject() for _ in range(24)]
    assert len(found) >= 1000
    assert {*FLAWS, FaultCode.WINDOW} <= set(found)
