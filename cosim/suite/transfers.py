"""Scatter-gather between ``AxiRam`` and the scratchpad, both ways."""

import numpy as np

from cosim.bench import Bench, cosimulated


@cosimulated(None, 1, 2, 3, 4)
def views_go_to_the_scratchpad_and_back(bench: Bench, seed: int | None) -> None:
    """Rows of any length at any byte, and every byte between them stays as it was."""
    dev = bench.open()
    draws = np.random.default_rng(seed)
    for _ in range(4):
        rows, row = int(draws.integers(1, 12)), 4 * int(draws.integers(1, 20))
        source, target = (dev.allocate((rows + 1, row + 40), np.uint8) for _ in range(2))
        source[:] = draws.integers(0, 256, source.shape)
        target[:] = draws.integers(0, 256, target.shape)
        left, right = (int(n) for n in draws.integers(0, 40, 2))
        expected = target.copy()
        expected[1:, right : right + row] = source[:rows, left : left + row]
        where = dev.scratchpad(64 * int(draws.integers(0, 64)))
        dev.send(source[:rows, left : left + row], to=where).wait()
        dev.recv(target[1:, right : right + row], from_=where).wait()
        np.testing.assert_array_equal(target, expected)
        dev.free(source)
        dev.free(target)


@cosimulated(None, 1, 2)
def walks_of_four_dimensions(bench: Bench, seed: int | None) -> None:
    dev = bench.open()
    draws = np.random.default_rng(seed)
    source, target = (dev.allocate((5, 4, 6, 7), np.int16) for _ in range(2))
    source[:] = draws.integers(-(2**15), 2**15, source.shape)
    # Out of every other element of every dimension into as many at another place.
    dev.send(source[::2, ::2, ::2, ::2], to=dev.scratchpad(0x40)).wait()
    dev.recv(target[:3, 1:3, :3, 2:6], from_=dev.scratchpad(0x40)).wait()
    expected = np.zeros_like(target)
    expected[:3, 1:3, :3, 2:6] = source[::2, ::2, ::2, ::2]
    np.testing.assert_array_equal(target, expected)


@cosimulated(None, 1, 2)
def both_ways_at_once(bench: Bench, seed: int | None) -> None:
    """A receive of one place and a send to another share the port."""
    dev = bench.open()
    draws = np.random.default_rng(seed)
    first, second, back = (dev.allocate((6, 100), np.uint8) for _ in range(3))
    for array in (first, second):
        array[:] = draws.integers(0, 256, array.shape)
    dev.send(first, to=dev.scratchpad(0)).wait()
    transfers = [
        dev.recv(back, from_=dev.scratchpad(0)),
        dev.send(second, to=dev.scratchpad(0x1000)),
    ]
    for transfer in transfers:
        transfer.wait()
    np.testing.assert_array_equal(back, first)
    dev.recv(back, from_=dev.scratchpad(0x1000)).wait()
    np.testing.assert_array_equal(back, second)
