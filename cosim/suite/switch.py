"""Streams that meet in the switch: within DRAM, to several sinks, compared, and confined."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cosim.bench import Bench, cosimulated
from weft.hw.config import BOUNDARY_BYTES as PAGE_BYTES
from weft.sw.blocked import contiguous
from weft.sw.errors import DeviceError
from weft.sw.sequence import RuntimeSequence


def random_array(dev: Any, draws: np.random.Generator, *shape: int) -> Any:
    array = dev.allocate(shape, np.uint8)
    array[:] = draws.integers(0, 256, shape)
    return array


@cosimulated(None, 1, 2, 3)
def copies_within_dram(bench: Bench, seed: int | None) -> None:
    """Rows of any length from any byte to any byte, and every byte between them stays."""
    dev, draws = bench.open(), np.random.default_rng(seed)
    for via in ("registers", "program"):
        rows, row = (int(n) for n in draws.integers(1, (10, 70)))
        left, right = (int(n) for n in draws.integers(0, 40, 2))
        source, target = (random_array(dev, draws, rows, row + 40) for _ in range(2))
        expected = target.copy()
        expected[:, right : right + row] = source[:, left : left + row]
        with RuntimeSequence(dev) as seq:
            seq.memcpy("copy", wait=True)(
                source[:, left : left + row], target[:, right : right + row]
            )
        seq.run(via=via)
        np.testing.assert_array_equal(target, expected)


@cosimulated(None, 1, 2)
def one_source_and_two_sinks(bench: Bench, seed: int | None) -> None:
    """Each writes all of it in an order of its own; the source may be in the scratchpad."""
    dev, draws = bench.open(), np.random.default_rng(seed)
    source, plain, turned = (random_array(dev, draws, *s) for s in ((12, 16), (192,), (16, 12)))
    dev.send(source, to=dev.scratchpad(0x80)).wait()
    for giver in ("MM2S1", "X"):
        plain[:] = turned[:] = 0
        with RuntimeSequence(dev) as seq:
            ends = [
                seq.dma_memcpy_nd(name, view, route=(giver,))
                for name, view in (("S2MM0", plain), ("S2MM1", turned.T))
            ]
            if giver == "MM2S1":
                seq.dma_memcpy_nd(giver, source, route=("S2MM0", "S2MM1"))
            else:
                walk = contiguous(dev.config.memory, dev.config.mover(giver), base=0x80, length=192)
                walk = replace(walk, route=("S2MM0", "S2MM1"))
                seq.start_task(seq.configure_task(giver, [walk]))
            for end in ends:
                seq.dma_wait(end)
        seq.run(via="program")
        np.testing.assert_array_equal(plain, source.reshape(-1))
        np.testing.assert_array_equal(turned.T, source)


@cosimulated(None, 1, 2)
def where_dram_and_scratchpad_differ(bench: Bench, seed: int | None) -> None:
    """The record of the task, in memory, says it."""
    dev, draws = bench.open(), np.random.default_rng(seed)
    array = random_array(dev, draws, 20, 16)
    where = dev.scratchpad(0x200)
    dev.send(array, to=where).wait()
    assert dev.compare(array, where) is None
    for place in (0, 319, int(draws.integers(1, 319))):
        array[divmod(place, 16)] ^= 4
        assert dev.compare(where, array) == place
        array[divmod(place, 16)] ^= 4


@cosimulated(None, 1, 2)
def a_mover_stays_in_its_windows(bench: Bench, seed: int | None) -> None:
    """A burst outside does not reach the bus, of a reader or a writer; what is inside does."""
    dev, draws = bench.open(), np.random.default_rng(seed)
    room = random_array(dev, draws, 5 * PAGE_BYTES)
    page = -(-room.device_address // PAGE_BYTES)
    pages = room[page * PAGE_BYTES - room.device_address :][: 4 * PAGE_BYTES].reshape(4, -1)
    for mover, allowed in (("MM2S1", 1), ("S2MM0", 3)):
        dev.confine(mover, [((page + allowed) * PAGE_BYTES, PAGE_BYTES)])
    # The last of four pieces lies outside, at the end that is confined.
    for mover, source, target in (
        ("MM2S1", pages[1:3].reshape(-1)[-PAGE_BYTES - 192 :][:256], pages[3, 8:264]),
        ("S2MM0", pages[1, 5:261], pages[2:].reshape(-1)[PAGE_BYTES - 64 :][:256]),
    ):
        before = pages.copy()
        with RuntimeSequence(dev) as seq:
            seq.memcpy("copy", wait=True)(source, target)
        bench.memory.touched.clear()
        outside = page + 2
        with pytest.raises(DeviceError, match=f"mover {mover}, .* outside the windows"):
            seq.run()
        dev.reset()
        assert outside not in bench.memory.touched
        assert page + (1 if mover == "MM2S1" else 3) in bench.memory.touched
        np.testing.assert_array_equal(pages[:3], before[:3])
    # The registers say it, and forget it with the windows.
    for mover in ("MM2S1", "S2MM0"):
        assert dev.registers.fields(mover, "WINDOW0_FIRST_LOW")["enable"] == 1
        dev.confine(mover, [])
    seq.run()
    np.testing.assert_array_equal(target, source)
