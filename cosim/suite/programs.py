"""Runtime sequences over the registers, and programs that the device fetches."""

from dataclasses import replace
from typing import Any

import numpy as np

from cosim.bench import Bench, cosimulated
from cosim.doorbell import Doorbell
from weft.hw.bus.opcodes import StopCode
from weft.hw.mover.descriptor import Descriptor
from weft.sw import BufferDescriptor
from weft.sw.sequence import RuntimeSequence
from weft.sw.words import ProgramWords

WORDS = 64
PIECE = 64
WALK = BufferDescriptor(base=0, bounds=(4,), strides=(16,), spatial_strides=(4, 8))
"""A piece of the scratchpad."""
RUN = BufferDescriptor(base=0, bounds=(1,), strides=(0,), run_length=PIECE)


def gated_copy(dev: Any) -> RuntimeSequence:
    """Argument 0 to the scratchpad and on to argument 1; locks order the two halves."""
    with RuntimeSequence(dev) as seq:
        source, target = (seq.argument(WORDS, np.int32) for _ in range(2))
        token_in, token_out = seq.lock("token_in"), seq.lock("token_out")
        where = dev.scratchpad(0x400)
        end = seq.memcpy(token_out, 1, 0, wait=False)(where, target)
        seq.memcpy(token_in, 0, 1)(source, where)
        seq.acquire(token_in.acquire_ge(1))
        seq.release(token_out.release(1))
        seq.dma_wait(end)
    return seq


def three_runs(bench: Bench, seed: int | None, via: str) -> None:
    dev = bench.open()
    a, out = (dev.allocate(WORDS, np.int32) for _ in range(2))
    seq = gated_copy(dev)
    for run in range(3):
        a[:] = np.random.default_rng([seed or 0, run]).integers(0, 2**31, WORDS)
        out[:] = 0
        seq.run(a, out, via=via)
        np.testing.assert_array_equal(out, a)
        assert dev.locks.values == [0] * dev.config.locks


@cosimulated(None, 1)
def a_sequence_over_the_registers(bench: Bench, seed: int | None) -> None:
    three_runs(bench, seed, "registers")


@cosimulated(None, 1, 2)
def the_same_by_the_driver_s_doorbell(bench: Bench, seed: int | None) -> None:
    three_runs(bench, seed, "program")


@cosimulated(None, 1, 2)
def the_same_with_its_completion_record(bench: Bench, seed: int | None) -> None:
    dev = bench.open()
    words = gated_copy(dev).to_words()
    bell = Doorbell(dev, words)
    for run in range(2):
        a, out = (dev.allocate(WORDS, np.int32) for _ in range(2))
        a[:] = np.random.default_rng([seed or 0, run]).integers(0, 2**31, WORDS)
        bell.ring(a.device_address, out.device_address)
        record = bell.wait()
        assert (record.status, record.code) == (1, StopCode.NONE)
        assert record.position == len(words) - 1
        assert 0 < record.cycles < 10_000
        np.testing.assert_array_equal(out, a)


def piecewise(config: Any, pieces: int) -> ProgramWords:
    """Argument 0 to argument 1 in pieces, each of which waits for the one before."""
    words = ProgramWords(config)
    walks = {
        "MM2S0": RUN,
        "Y": WALK,
        "X": replace(WALK, route=("S2MM0",)),
        "S2MM0": replace(RUN, route=("X",)),
    }
    for mover, walk in walks.items():
        words.write_slot(mover, 0, walk.encode(Descriptor(config, config.mover(mover))))
    for piece in range(pieces):
        words.push_at("MM2S0", 0, PIECE * piece, argument=0)
        words.push("Y", 0)
        words.wait("Y", piece + 1)
        words.push("X", 0)
        words.push_at("S2MM0", 0, PIECE * piece, argument=1)
        words.wait("S2MM0", piece + 1)
    words.end()
    return words


@cosimulated(None, 1)
def a_long_program_of_small_copies(bench: Bench, seed: int | None) -> None:
    dev = bench.open()
    source, target = (dev.allocate((24, PIECE), np.uint8) for _ in range(2))
    source[:] = np.random.default_rng(seed).integers(0, 256, source.shape)
    bell = Doorbell(dev, piecewise(dev.config, len(source)).words)
    bell.ring(source.device_address, target.device_address)
    assert bell.wait().status == 1
    np.testing.assert_array_equal(target, source)


@cosimulated(None, 1)
def what_a_program_cannot_do_stops_it(bench: Bench, seed: int | None) -> None:
    dev = bench.open()
    words = ProgramWords(dev.config)
    words.write("X", "BASE_LOW", 1)
    words.write("X", 0x3FFC, 1)
    words.write("X", "BASE_LOW", 2)
    words.end()
    bell = Doorbell(dev, words.words)
    bell.ring()
    record = bell.wait()
    assert (record.status, record.code, record.position) == (2, StopCode.REGISTER, 1)
    assert dev.registers.read("X", "BASE_LOW") == 1
