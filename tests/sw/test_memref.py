"""MemRef against numpy's own addresses, and the allocator that feeds it."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.sw.allocator import ALIGNMENT, Allocator
from weft.sw.errors import AllocationError, MemRefError, NotDeviceMemory
from weft.sw.memref import MemRef

BASE = 0x8000_0000


@pytest.fixture
def allocator() -> Allocator:
    return Allocator(np.zeros(1 << 16, np.uint8), BASE)


indices = st.tuples(*[st.slices(6), st.slices(7), st.slices(5)])


@settings(max_examples=60, deadline=None)
@given(index=indices, dtype=st.sampled_from([np.int8, np.int32]))
def test_slices_walk_as_numpy_s_do(index: tuple[slice, ...], dtype: Any) -> None:
    array = Allocator(np.zeros(1 << 12, np.uint8), BASE).allocate((6, 7, 5), dtype)
    view, ref = array[index], MemRef.from_numpy(array)[index]
    assert ref.sizes == view.shape
    flat = np.arange(array.size).reshape(array.shape)[index].reshape(-1)
    assert list(ref.access_order()) == (array.device_address + flat * array.itemsize).tolist()
    low, high = ref.extent
    assert view.size == 0 or all(low <= address < high for address in ref.access_order())
    assert MemRef.from_numpy(view).sizes == ref.sizes
    if view.size:
        assert list(MemRef.from_numpy(view).access_order()) == list(ref.access_order())


def test_integers_drop_a_dimension_and_transpose_turns_the_walk(allocator: Allocator) -> None:
    array = allocator.allocate((3, 4), np.int32)
    ref = MemRef.from_numpy(array)
    assert ref[1].sizes == (4,)
    assert ref[-1, 2].sizes == ()
    assert list(ref[-1, 2].access_order()) == [array.device_address + 4 * (2 * 4 + 2)]
    turned = MemRef.from_numpy(array.T)
    assert ref.transpose() == turned
    assert not turned.is_contiguous
    assert ref.is_contiguous
    assert ref[1].is_contiguous
    assert not ref[:, :2].is_contiguous
    assert ref.nbytes == 48


@pytest.mark.parametrize(
    ("offsets", "sizes", "strides"),
    [
        ((0, 0), (4, 1), None),
        ((0, 3), (1, 2), None),
        ((-1, 0), (1, 1), None),
        ((0, 0), (2, 2), (1, 4)),
        ((0, 0), (-1, 2), None),
        ((0,), (1,), None),
        ((0, 0), (1, 1), (1,)),
    ],
)
def test_a_subview_outside_its_parent_is_refused(
    allocator: Allocator, offsets: Any, sizes: Any, strides: Any
) -> None:
    ref = MemRef.from_numpy(allocator.allocate((3, 4), np.int8))
    with pytest.raises(MemRefError):
        ref.subview(offsets, sizes, strides)


def test_bad_indices_are_refused(allocator: Allocator) -> None:
    ref = MemRef.from_numpy(allocator.allocate((3, 4), np.int8))
    with pytest.raises(MemRefError, match="dimension 0: index 3 leaves 0 to 2"):
        ref[3]
    with pytest.raises(MemRefError, match="3 indices into 2 dimensions"):
        ref[0, 0, 0]
    with pytest.raises(MemRefError, match="must name each"):
        ref.transpose(0, 0)


def test_only_views_of_device_memory_have_an_address(allocator: Allocator) -> None:
    array = allocator.allocate((4, 4), np.int8)
    with pytest.raises(NotDeviceMemory, match=r"\(4, 4\) int8 is not in device memory"):
        MemRef.from_numpy(np.zeros((4, 4), np.int8))
    with pytest.raises(NotDeviceMemory, match="computed on the host"):
        MemRef.from_numpy(array + array)
    pairs = allocator.allocate((48,), np.int8).view(np.dtype([("x", "i4"), ("y", "i2")]))
    with pytest.raises(MemRefError, match="not whole int32s"):
        MemRef.from_numpy(pairs["x"])


def test_allocations_are_aligned_apart_and_come_back(allocator: Allocator) -> None:
    total = allocator.free_bytes
    arrays = [allocator.allocate((n, 3), np.int16) for n in (1, 30, 7, 100)]
    for array in arrays:
        assert array.device_address % ALIGNMENT == 0
        array[:] = 5
    spans = sorted((a.device_address, a.device_address + a.nbytes) for a in arrays)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    for array in (arrays[1], arrays[3], arrays[0], arrays[2]):
        allocator.free(array)
    assert allocator.free_bytes == total
    assert not allocator.allocate((total,), np.uint8).any()


def test_what_does_not_fit_is_said_in_bytes(allocator: Allocator) -> None:
    with pytest.raises(AllocationError, match=r"80000 bytes for \(20000,\) int32: 65536 of 65536"):
        allocator.allocate((20000,), np.int32)
    with pytest.raises(AllocationError, match="must not be negative"):
        allocator.allocate((-1,), np.int8)
    array = allocator.allocate((8, 8), np.int8)
    with pytest.raises(AllocationError, match="not the start"):
        allocator.free(array[1:])
    allocator.free(array)
    with pytest.raises(AllocationError, match="not the start"):
        allocator.free(array)
