"""Three ways to bring a view over: the same bytes arrive, and each is counted for what it is."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.pages import named_config
from weft.sim.golden.system import SystemModel
from weft.sw import Device, MemRef
from weft.sw.errors import DescriptorError, MappingError, NotDeviceMemory

TINY = named_config("tiny")
WORD = TINY.memory.word_bytes


def opened(**options: Any) -> Device:
    return Device(SystemModel(TINY, **options), TINY)


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(0, 20),
    words=st.integers(1, 9),
    gap=st.integers(0, 5),
    prefetch=st.booleans(),
    seed=st.integers(0, 99),
)
def test_all_modes_deliver_the_same_stream(
    height: int, words: int, gap: int, prefetch: bool, seed: int
) -> None:
    dev, random = opened(prefetch=prefetch), np.random.default_rng(seed)
    memory = dev.allocate((height, words * WORD + gap), np.uint8)
    memory[:] = random.integers(0, 256, memory.shape, np.uint8)
    piece = memory[:, : words * WORD]
    runs = 1 if gap == 0 else max(height, 1)
    for mode in ("sg", "row", "naive"):
        where, before = dev.scratchpad(WORD * int(random.integers(0, 99))), vars(dev.stats).copy()
        back = dev.allocate((height, words * WORD + 2 * gap), np.uint8)
        dev.send(piece, to=where, mode=mode).wait(timeout=10_000)
        dev.recv(back[:, gap : gap + words * WORD], from_=where, mode=mode).wait()
        np.testing.assert_array_equal(back[:, gap : gap + words * WORD], piece)
        assert back.sum() == piece.sum()
        after = {name: value - before[name] for name, value in vars(dev.stats).items()}
        calls = runs if mode == "row" else 1
        assert after["dma_calls"] == 2 * calls
        assert after["host_copies"] == (2 if mode == "naive" else 0)
        assert after["bytes_read"] == after["bytes_written"] == piece.size
        assert 4 * calls <= after["dma_bds"] <= 5 * calls
        dev.free(back)


def test_naive_takes_any_memory_and_gives_its_staging_back() -> None:
    dev = opened()
    where = dev.scratchpad(64)
    source = np.arange(60, dtype=np.int16).reshape(5, 12)[::-2, 1::3]
    target = np.zeros((8, 3), np.int16)
    free = dev.allocator.free_bytes
    transfer = dev.send(source, to=where, mode="naive")
    assert dev.allocator.free_bytes < free
    transfer.wait()
    transfer.wait()
    dev.recv(target[1::3, ::-1][:, :4], from_=where, mode="naive").wait()
    np.testing.assert_array_equal(target[1::3, ::-1].reshape(-1), source.reshape(-1)[:9])
    assert target[::3].sum() == target[2::3].sum() == 0
    assert dev.allocator.free_bytes == free
    with pytest.raises(DescriptorError, match="leaves the scratchpad"):
        dev.send(source, to=dev.scratchpad((1 << 14) - 4), mode="naive")
    assert dev.allocator.free_bytes == free
    assert dev.stats.host_copies == 2
    with pytest.raises(NotDeviceMemory):
        dev.send(source, to=where, mode="row")


def test_naive_through_a_view_of_device_memory() -> None:
    dev = opened()
    where = dev.scratchpad(0)
    memory = dev.allocate((6, 10), np.int32)
    memory[:] = np.arange(60).reshape(6, 10)
    ref = MemRef.from_numpy(memory[4:0:-1, 2:9:3])
    np.testing.assert_array_equal(dev.view(ref), memory[4:0:-1, 2:9:3])
    dev.send(ref, to=where, mode="naive").wait()
    expected = memory.copy()
    expected[4:0:-1, 0:6:2] = memory[4:0:-1, 2:9:3]
    dev.recv(MemRef.from_numpy(memory[4:0:-1, 0:6:2]), from_=where, mode="naive").wait()
    np.testing.assert_array_equal(memory, expected)


def test_rows_of_broken_words_are_refused() -> None:
    dev = opened()
    memory = dev.allocate((4, 10), np.uint8)
    with pytest.raises(MappingError, match="runs of 6 bytes are not whole words of 4"):
        dev.send(memory[:, :6], to=dev.scratchpad(0), mode="row")
    assert dev.registers.read("MM2S0", "RETIRED") == 0
    dev.send(memory[:1, :6], to=dev.scratchpad(0), mode="row").wait()


def test_a_view_beyond_the_loops_takes_several_descriptors() -> None:
    dev = opened()
    where = dev.scratchpad(16)
    memory = dev.allocate((3,) * 6, np.int8)
    memory[:] = np.arange(3**6).reshape(memory.shape) % 100
    piece = memory[:, :2, :2, :2, :2, :2]
    dev.send(piece, to=where).wait()
    assert (dev.stats.dma_calls, dev.stats.dma_bds) == (1, 6)
    back = dev.allocate((3,) * 6, np.int8)
    dev.recv(back[:, :2, :2, :2, :2, :2], from_=where).wait()
    np.testing.assert_array_equal(back[:, :2, :2, :2, :2, :2], piece)
    assert np.count_nonzero(back) == np.count_nonzero(piece)
