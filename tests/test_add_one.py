"""The seed's acceptance program: host -> scratchpad -> a core that adds one -> scratchpad -> host.

The core is a mover that reads, an operator that adds, and a mover that writes, gated by locks as
everything else is. The properties A1 to A7 are those of the seed's lowering.
"""

from typing import Any

import numpy as np
import pytest

import weft
from support.crossing import CROSSING
from support.engines import FASTEST
from weft.hw.mover.monitor import StallCause
from weft.sw import BufferDescriptor
from weft.sw.allocator import Allocator
from weft.sw.blocked import contiguous
from weft.sw.commands import Push, Wait
from weft.sw.errors import DescriptorError, QueueFullError
from weft.sw.locks import locked
from weft.sw.operators import add_constant
from weft.sw.sequence import RuntimeSequence

VIA = ("registers", "program")
INBOX, OUTBOX = 0x400, 0xC00
"""Where the scratchpad holds what the core reads and writes."""


@pytest.fixture(scope="module")
def device() -> Any:
    return weft.simulate(CROSSING, engine=FASTEST)


@pytest.fixture
def dev(device: Any) -> Any:
    """The device as new."""
    device.reset()
    transport = device.transport
    device.allocator = Allocator(transport.memory, transport.memory_base)
    return device


def core(seq: RuntimeSequence, length: int, ring: bool = False) -> None:
    """Add one to the words of the inbox, each time that it is full."""
    token_in, token_out = seq.lock("token_in"), seq.lock("token_out")
    read, write = (
        contiguous(CROSSING.memory, CROSSING.mover(name), base=base, length=4 * length)
        for name, base in (("P", INBOX), ("Q", OUTBOX))
    )
    adds = {"extensions": ("add_constant",), "parameters": {"add_constant": add_constant(1, 4)}}
    tasks = {
        "P": locked(
            BufferDescriptor(**vars(read) | adds | {"route": ("Q",)}), token_in.acquire_ge(1)
        ),
        "Q": locked(
            BufferDescriptor(**vars(write) | {"route": ("P",)}), release=token_out.release(1)
        ),
    }
    for mover, descriptor in tasks.items():
        seq.start_task(seq.configure_task(mover, [descriptor], ring=ring))


def program(
    dev: Any, length: int = 64, *, with_core: bool = True, swap: bool = False, equal: bool = False
) -> RuntimeSequence:
    """``add_one`` over arguments 0 and 1."""
    # Without its core it would wait for ever, and the check would say so.
    with RuntimeSequence(dev, checked=with_core) as seq:
        source, target = seq.argument(length, np.int32), seq.argument(length, np.int32)
        token_in, token_out = seq.lock("token_in"), seq.lock("token_out")

        def inbound() -> None:
            seq.memcpy(token_in, 0, 1)(source, dev.scratchpad(INBOX))

        gate = token_out.acquire_eq(1) if equal else token_out.acquire_ge(1)
        outbound = seq.memcpy(token_out, gate, 0, wait=False)
        if not swap:
            inbound()
        end = outbound(dev.scratchpad(OUTBOX), target)
        if swap:
            inbound()
        if with_core:
            core(seq, length)
        seq.dma_wait(end)
    return seq


def buffers(dev: Any, length: int = 64) -> Any:
    a, out = dev.allocate(length, np.int32), dev.allocate(length, np.int32)
    a[:] = np.arange(length) + 24
    return a, out


@pytest.mark.parametrize("via", VIA)
@pytest.mark.parametrize("swap", [False, True])
def test_three_runs_without_a_reset_in_either_order(dev: Any, via: str, swap: bool) -> None:
    """A1, and A4: the outbound copy may be asked for before the inbound one."""
    a, out = buffers(dev)
    seq = program(dev, swap=swap)
    for run in range(3):
        a[:] = np.arange(64) + 24 + 1000 * run
        out[:] = 0
        seq.run(a, out, via=via)
        np.testing.assert_array_equal(out, np.arange(64) + 25 + 1000 * run)
        assert dev.locks.values == [0] * CROSSING.locks
    assert dev.stats.host_copies == 0


def test_the_literal_encoding_leaves_its_lock(dev: Any) -> None:
    """A2: what waits for equality does not take, so the program is not one to run twice."""
    a, out = buffers(dev)
    seq = program(dev, equal=True)
    assert "token_out begins at 0 and ends at 1" in seq.check().warnings[0]
    seq.run(a, out)
    np.testing.assert_array_equal(out, a + 1)
    assert dev.locks.values[:2] == [0, 1]


def test_a_slow_core_shows_as_a_lock_that_is_waited_for(dev: Any) -> None:
    """A3."""
    a, out = buffers(dev)
    seq = program(dev, with_core=False)
    del seq.commands[-1]  # nobody waits yet
    seq.run(a, out)
    dev.program.pause(500)
    states = {state.mover.name: state for state in dev.program.diagnose()}
    assert (states["X"].lock, states["X"].lock_value) == (1, 0)
    assert states["S2MM0"].stall == StallCause.STARVED
    assert dev.locks.values[:2] == [1, 0]
    late = RuntimeSequence(dev, checked=False)
    for name in ("token_in", "token_out"):
        late.lock(name)
    core(late, 64)
    late.run()
    dev.wait("S2MM0", 1)
    np.testing.assert_array_equal(out, a + 1)


def test_lengths_beyond_a_field_of_the_seeds_hardware(dev: Any) -> None:
    """A5: 300 words wrapped there. Here they pass, and what is too long is refused."""
    a, out = buffers(dev, 300)
    program(dev, 300).run(a, out)
    np.testing.assert_array_equal(out, a + 1)
    seq = RuntimeSequence(dev)
    with pytest.raises(DescriptorError, match="leaves the scratchpad"):
        seq.memcpy("token_in", 0, 1)(seq.argument(3000, np.int32), dev.scratchpad(INBOX))
    long = BufferDescriptor(base=0, bounds=(70_000,), strides=(0,), route=("Y",))
    with pytest.raises(DescriptorError, match=r"bounds\[0\] = 70000: must be from 0 to 65535"):
        seq.write_bd("MM2S0", 0, long)
    assert seq.commands[1:] == []


def push_often(dev: Any, times: int) -> None:
    for _ in range(times):
        dev.push("X", 3)


@pytest.mark.parametrize("via", VIA)
def test_six_pushes_to_a_channel_that_waits(dev: Any, via: str) -> None:
    """A6: those beyond the queue wait or are an error, and none is lost."""
    depth = CROSSING.mover("X").queue_depth
    assert depth < 6
    a, out = dev.allocate(16, np.int32), dev.allocate((6, 16), np.int32)
    a[:] = range(16)
    with RuntimeSequence(dev) as seq:
        gate = seq.lock("gate")
        seq.memcpy(gate)(a, dev.scratchpad(INBOX))
        walk = contiguous(CROSSING.memory, CROSSING.mover("X"), base=INBOX, length=64)
        walk = BufferDescriptor(**vars(walk) | {"route": ("S2MM0",)})
        seq.write_bd("X", 3, locked(walk, gate.acquire_ge(1)))
        seq.dma_memcpy_nd("S2MM0", out, route=("X",))
        for _ in range(depth):
            seq.push_queue("X", 3)
        for _ in range(6):
            seq.release(gate.release(1))
        for _ in range(6 - depth):
            end = seq.push_queue("X", 3)
        seq.dma_wait(end)
    seq.run(via=via)
    dev.wait("S2MM0", 1)
    np.testing.assert_array_equal(out, np.tile(np.arange(16), (6, 1)))
    # The same by a host that does not look.
    push_often(dev, depth + 1)
    with pytest.raises(QueueFullError, match="X"):
        push_often(dev, 6)


@pytest.mark.parametrize("via", VIA)
def test_a_token_without_a_waiter_holds_nothing_up(dev: Any, via: str) -> None:
    """A7: the inbound copy's tokens are asked for, and nobody waits for them, many times."""
    a, out = buffers(dev)
    seq = program(dev)
    asked = [c for c in seq.commands if isinstance(c, Push) and c.issue_token]
    waited = [c.token for c in seq.commands if isinstance(c, Wait)]
    assert {push.token for push in asked} - set(waited)
    for _ in range(12):
        seq.run(a, out, via=via)
    np.testing.assert_array_equal(out, a + 1)
    assert dev.registers.read("Y", "RETIRED") == 12
