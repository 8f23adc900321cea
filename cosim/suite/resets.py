"""Resets and aborts while bursts are under way."""

import numpy as np

from cosim.bench import Bench, cosimulated
from cosim.doorbell import Doorbell
from weft.sw.sequence import RuntimeSequence

DELAYS = 3
"""Resets a test, at times from its seed."""


def delays(seed: int | None) -> list[int]:
    return np.random.default_rng(seed or 0).integers(1, 300, DELAYS).tolist()


def there_and_back(bench: Bench, delay: int, seed: int | None, hard: bool) -> None:
    """A program that fills the port both ways, a reset in its middle, then all of it."""
    dev = bench.open()
    draws = np.random.default_rng([seed or 0, delay])
    source, target, guard = (dev.allocate((12, 80), np.uint8) for _ in range(3))
    source[:] = draws.integers(0, 256, source.shape)
    guard[:] = 0x5A
    halves = [slice(0, 6), slice(6, 12)]
    with RuntimeSequence(dev) as seq:
        for place, half in enumerate(halves):
            where = dev.scratchpad(0x400 * place)
            seq.dma_wait(seq.memcpy("in")(source[half], where))
            end = seq.memcpy("out", wait=False)(where, target[half])
        seq.dma_wait(end)
    for via in ("registers", "program"):
        target[:] = 0xA5
        if via == "program":
            Doorbell(dev, seq.to_words()).ring()
        else:
            dev.send(source, to=dev.scratchpad(0x1000))
            dev.recv(target, from_=dev.scratchpad(0x2000))
        dev.transport.wait_interrupt(delay)
        if hard:
            bench.reset_now()
        dev.reset()
        left = target.copy()
        dev.transport.wait_interrupt(200)
        # Nothing is written any more, and nothing was written beside the target.
        np.testing.assert_array_equal(target, left)
        assert (guard == 0x5A).all()
    seq.run(via="program")
    np.testing.assert_array_equal(target, source)
    dev.reset()
    target[:] = 0
    seq.run(via="registers")
    np.testing.assert_array_equal(target, source)


@cosimulated(None, 1, 2, 3)
def a_soft_reset_in_flight(bench: Bench, seed: int | None) -> None:
    for delay in delays(seed):
        there_and_back(bench, delay, seed, hard=False)


@cosimulated(None, 1, 2)
def a_hard_reset_in_flight(bench: Bench, seed: int | None) -> None:
    for delay in delays(seed):
        there_and_back(bench, delay, seed, hard=True)


@cosimulated(None, 1, 2)
def an_abort_of_one_way_lets_the_other_go_on(bench: Bench, seed: int | None) -> None:
    dev = bench.open()
    draws = np.random.default_rng(seed)
    first, second, back = (dev.allocate((10, 96), np.uint8) for _ in range(3))
    for array in (first, second):
        array[:] = draws.integers(0, 256, array.shape)
    dev.send(first, to=dev.scratchpad(0)).wait()
    for delay in delays(seed):
        back[:] = 0
        outbound = dev.recv(back, from_=dev.scratchpad(0))
        dev.send(second, to=dev.scratchpad(0x1000))
        dev.transport.wait_interrupt(delay)
        dev.abort("MM2S0", "Y")
        outbound.wait()
        np.testing.assert_array_equal(back, first)
    dev.send(second, to=dev.scratchpad(0x1000)).wait()
    dev.recv(back, from_=dev.scratchpad(0x1000)).wait()
    np.testing.assert_array_equal(back, second)
