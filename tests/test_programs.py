"""Programs played by the sequencer in the whole system, word by word."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import weft
from support.sequences import WALK_X, WALK_Y, dram_walk
from weft.config import load_config
from weft.hw.bus.fault import FaultCode
from weft.hw.bus.opcodes import StopCode, completion_record
from weft.hw.bus.registers import SEQUENCER_BIT
from weft.hw.config import RECORD_BYTES, SequencerConfig
from weft.hw.mover.descriptor import Descriptor
from weft.sim.dram import DramParameters, ErrorRange
from weft.sim.simulation import MEMORY_BASE
from weft.sw import BufferDescriptor
from weft.sw.words import ProgramWords

TINY = load_config("tiny")
CONFIG = replace(
    TINY,
    name="copier",
    array=None,
    movers=tuple(mover for mover in TINY.movers if not mover.bind.startswith("array")),
    sequencer=SequencerConfig(),
)
SIZE = 64


class Doorbell:
    """A device, and what a program of it leaves."""

    def __init__(self, **options: Any) -> None:
        self.dev = weft.simulate(CONFIG, engine="python", **options)
        self.registers = self.dev.registers
        self.record = self.dev.allocate(RECORD_BYTES, np.uint8)
        for name in ("IRQ_DONE_MASK", "IRQ_FAULT_MASK"):
            self.registers.write("system", name, 1 << SEQUENCER_BIT)

    def ring(self, words: ProgramWords, *arguments: int) -> None:
        program = self.dev.allocate(len(words.to_bytes()), np.uint8)
        program[:] = np.frombuffer(words.to_bytes(), np.uint8)
        self.record[:] = 0
        quantities = {f"ARG{index}": value for index, value in enumerate(arguments)}
        quantities |= {"RECORD": self.record.device_address, "DOORBELL": program.device_address}
        for name, value in quantities.items():
            self.registers.write("sequencer", f"{name}_LOW", value % 2**32)
            self.registers.write("sequencer", f"{name}_HIGH", value // 2**32)

    def wait(self) -> Any:
        """The completion record, when the interrupt has come."""
        assert self.dev.transport.wait_interrupt(20_000)
        both = [self.registers.read("system", f"IRQ_{name}") for name in ("DONE", "FAULT")]
        assert both[0] == 1 << SEQUENCER_BIT
        record = completion_record().from_bits(int.from_bytes(bytes(self.record), "little"))
        status = self.registers.fields("sequencer", "STATUS")
        assert (status["busy"], status["code"]) == (0, record.code)
        assert bool(both[1] >> SEQUENCER_BIT & 1) == status["error"] == (record.status == 2)
        assert record.position == self.registers.read("sequencer", "POSITION")
        self.registers.write("system", "IRQ_DONE", both[0])
        self.registers.write("system", "IRQ_FAULT", both[1])
        return record


def descriptors(words: ProgramWords, **walks: BufferDescriptor) -> None:
    for mover, walk in walks.items():
        words.write_slot(mover, 0, words_of(mover, walk))


def words_of(mover: str, walk: BufferDescriptor) -> list[int]:
    return walk.encode(Descriptor(CONFIG, CONFIG.mover(mover)))


def there_and_back(blocks: int) -> ProgramWords:
    """Argument 0 to the scratchpad and on to argument 1, block by block in a loop."""
    words = ProgramWords(CONFIG)
    descriptors(
        words,
        MM2S0=dram_walk(0, SIZE),
        Y=WALK_Y,
        X=WALK_X,
        S2MM0=dram_walk(0, SIZE),
    )
    for block in range(blocks):
        words.push_at("MM2S0", 0, SIZE * block, argument=0)
        words.push("Y", 0)
        words.wait("Y", block + 1)
        words.push("X", 0)
        words.push_at("S2MM0", 0, SIZE * block, argument=1)
        words.wait("S2MM0", block + 1)
    words.end()
    return words


@pytest.fixture(scope="module")
def bell() -> Doorbell:
    return Doorbell()


def test_send_and_receive_by_doorbell_and_again_on_other_arrays(bell: Doorbell) -> None:
    words = there_and_back(3)
    for seed in range(2):
        data, back = (bell.dev.allocate(3 * SIZE, np.uint8) for _ in range(2))
        data[:] = np.random.default_rng(seed).integers(0, 256, data.size)
        bell.ring(words, data.device_address, back.device_address)
        record = bell.wait()
        assert (record.status, record.code) == (1, StopCode.NONE)
        assert record.position == words.position - 1
        assert 0 < record.cycles < 2000
        np.testing.assert_array_equal(back, data)


def test_registers_locks_and_loops_as_the_host_sees_them(bell: Doorbell) -> None:
    words = ProgramWords(CONFIG)
    words.write("X", "BASE_LOW", 0x1234_5678)
    words.masked_write("X", "BASE_LOW", 0xFFFF_FFFF, 0x00FF_0000)
    words.argument("Y", "BASE_LOW", 2, 5)
    words.set_lock(3, 4)
    words.acquire(3, 2)
    start = words.position
    words.release(3, 1)
    words.loop(0, 7, start)
    words.end()
    bell.ring(words, 0, 0, 2**40 - 1)
    assert bell.wait().status == 1
    assert bell.registers.read("X", "BASE_LOW") == 0x12FF_5678
    assert bell.registers.read_wide("Y", "BASE") == 2**40 + 4
    assert bell.registers.read("system", "LOCKS_0") >> 24 & 0x3F == 4 - 2 + 7


def test_a_register_that_does_not_exist_stops_it(bell: Doorbell) -> None:
    words = ProgramWords(CONFIG)
    words.write("X", "BASE_LOW", 1)
    words.write("X", 0x3FFC, 1)
    words.write("X", "BASE_LOW", 2)
    words.end()
    bell.ring(words)
    record = bell.wait()
    assert (record.status, record.code, record.position) == (2, StopCode.REGISTER, 1)
    assert bell.registers.read("X", "BASE_LOW") == 1


def test_a_failed_mover_stops_it_and_stands_in_the_record() -> None:
    hit = MEMORY_BASE + 0x8000
    errors = (ErrorRange(start=hit, stop=hit + 1),)
    bell = Doorbell(dram=DramParameters(read_errors=errors))
    back = bell.dev.allocate(SIZE, np.uint8)
    words = there_and_back(1)
    bell.ring(words, hit, back.device_address)
    record = bell.wait()
    assert (record.status, record.code) == (2, StopCode.MOVER)
    first = bell.registers.map.page("system").register("FIRST_ERROR").unpack(record.first_error)
    assert CONFIG.movers[first["mover"]].name == "MM2S0"
    assert record.fault == FaultCode.READ_SLVERR
    assert record.fault_address == hit
    # Nothing was pushed behind the wait that did not end.
    assert bell.registers.read("X", "RETIRED") == 0
    bell.dev.reset()
    assert bell.registers.read("sequencer", "STATUS") == 0


def test_a_soft_reset_in_the_middle_of_a_program() -> None:
    bell = Doorbell(latency=30, backpressure=0.3, seed=2)
    data, back = (bell.dev.allocate(3 * SIZE, np.uint8) for _ in range(2))
    data[:] = np.arange(data.size) % 251
    for pause in (1, 60, 150, 300):
        bell.ring(there_and_back(3), data.device_address, back.device_address)
        bell.dev.transport.wait_interrupt(pause)
        assert bell.registers.fields("sequencer", "STATUS")["busy"]
        bell.dev.reset()
        assert not bell.registers.fields("sequencer", "STATUS")["busy"]
    for name in ("IRQ_DONE_MASK", "IRQ_FAULT_MASK"):
        bell.registers.write("system", name, 1 << SEQUENCER_BIT)
    back[:] = 0
    bell.ring(there_and_back(3), data.device_address, back.device_address)
    assert bell.wait().status == 1
    np.testing.assert_array_equal(back, data)
