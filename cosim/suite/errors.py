"""Error responses of the memory: the mover that met them says so, the others go on."""

import numpy as np
import pytest
from cocotbext.axi import AxiResp

from cosim.bench import Bench, cosimulated
from cosim.doorbell import Doorbell
from cosim.system import MEMORY_BASE, MEMORY_BYTES
from weft.hw.bus.fault import FaultCode
from weft.hw.bus.opcodes import StopCode
from weft.sw.errors import DeviceError
from weft.sw.sequence import RuntimeSequence

BEAT = 16


def spoilt(bench: Bench, seed: int | None, response: AxiResp) -> None:
    """A send and a receive that meet a refused beat in their middle, then clean ones."""
    dev = bench.open()
    draws = np.random.default_rng(seed)
    source, target = (dev.allocate((8, 96), np.uint8) for _ in range(2))
    source[:] = draws.integers(0, 256, source.shape)
    target[:] = 0xA5
    where, kind = dev.scratchpad(0), response.name

    hit = source[5:].device_address // BEAT * BEAT
    bench.refuse(range(hit, hit + 1), response)
    transfer = dev.send(source, to=where)
    with pytest.raises(DeviceError, match=f"mover MM2S0, .* a read with {kind}") as caught:
        transfer.wait()
    assert hit - 256 < caught.value.address <= hit

    dev.reset()
    hit = target[5:].device_address // BEAT * BEAT
    bench.refuse(range(hit, hit + 1), response)
    dev.send(source, to=where).wait()
    transfer = dev.recv(target, from_=where)
    with pytest.raises(DeviceError, match=f"mover S2MM0, .* a write with {kind}") as caught:
        transfer.wait()
    assert hit - 256 < caught.value.address <= hit
    # What is not the source's is as it was.
    assert np.isin(target[target != source], 0xA5).all()

    dev.reset()
    bench.memory.refused = range(0)
    dev.send(source, to=where).wait()
    dev.recv(target, from_=where).wait()
    np.testing.assert_array_equal(target, source)


@cosimulated(None, 1, 2)
def a_slave_error(bench: Bench, seed: int | None) -> None:
    spoilt(bench, seed, AxiResp.SLVERR)


@cosimulated(None, 1)
def a_decode_error(bench: Bench, seed: int | None) -> None:
    spoilt(bench, seed, AxiResp.DECERR)


@cosimulated(None, 1)
def beyond_the_memory(bench: Bench, seed: int | None) -> None:
    """A program whose source lies where nothing is stops there, and its record says why."""
    dev = bench.open()
    source, target = (dev.allocate(64, np.uint8) for _ in range(2))
    source[:] = np.arange(64)
    with RuntimeSequence(dev) as seq:
        argument = seq.argument(64, np.uint8)
        seq.dma_wait(seq.memcpy("in")(argument, dev.scratchpad(0)))
        seq.memcpy("out")(dev.scratchpad(0), target)
    bell, outside = Doorbell(dev, seq.to_words()), MEMORY_BASE + MEMORY_BYTES
    bell.ring(outside)
    record = bell.wait()
    assert (record.status, record.code) == (2, StopCode.MOVER)
    assert (record.fault, record.fault_address) == (FaultCode.READ_SLVERR, outside)
    # The program waits for what failed: nothing was pushed behind it.
    assert dev.registers.read("S2MM0", "RETIRED") == 0
    assert not target.any()
    dev.reset()
    bell.ring(source.device_address)
    assert bell.wait().status == 1
    np.testing.assert_array_equal(target, source)
