"""MemRef: a strided view of a buffer, as MLIR's memref has it, with bounds that are checked."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .errors import MemRefError, NotDeviceMemory

__all__ = ["MemRef"]

Index = int | slice


@dataclass(frozen=True, kw_only=True)
class MemRef:
    """Elements of a device buffer in an order: the last dimension runs fastest.

    Element ``(i0, i1, ...)`` lies at ``address + (offset + sum(i * stride)) * itemsize``.

    Parameters
    ----------
    address
        Device byte address of the buffer.
    offset
        Of the first element, in elements.
    sizes, strides
        A pair a dimension, outermost first; strides are in elements and may be 0 or negative.
    dtype
        Of the elements.
    argument
        Where the buffer is an argument of a runtime sequence: its index. `address` counts from the
        argument's, which is known when the sequence runs.

    Raises
    ------
    MemRefError
        Sizes and strides that do not pair up, a negative size or address.
    """

    address: int
    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]
    argument: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dtype", np.dtype(self.dtype))
        if len(self.sizes) != len(self.strides):
            raise MemRefError(f"{len(self.sizes)} sizes do not pair with {len(self.strides)}")
        if any(size < 0 for size in self.sizes):
            raise MemRefError(f"sizes = {self.sizes}: must not be negative")
        if self.address < 0:
            raise MemRefError(f"address = {self.address}: must not be negative")
        if self.dtype.itemsize == 0 or self.dtype.hasobject:
            raise MemRefError(f"dtype = {self.dtype}: must be of a fixed size in bytes")

    @classmethod
    def from_numpy(cls, array: npt.NDArray[Any]) -> Self:
        """The view that `array`, an array in device memory, is.

        Raises
        ------
        NotDeviceMemory
            `array` is not an array (or a view of one) that a device allocated.
        MemRefError
            Its strides are no whole number of elements.
        """
        address = getattr(array, "device_address", None)
        if address is None:
            raise NotDeviceMemory(
                f"an array of {array.shape} {array.dtype} is not in device memory; "
                "take one from Device.allocate"
            )
        itemsize = array.dtype.itemsize
        if any(stride % itemsize for stride in array.strides):
            raise MemRefError(f"strides of {array.strides} bytes are not whole {array.dtype}s")
        return cls(
            address=address,
            offset=0,
            sizes=array.shape,
            strides=tuple(stride // itemsize for stride in array.strides),
            dtype=array.dtype,
        )

    @property
    def itemsize(self) -> int:
        """Bytes an element."""
        return self.dtype.itemsize

    @property
    def elements(self) -> int:
        """Number of elements."""
        return int(np.prod(self.sizes, dtype=object))

    @property
    def nbytes(self) -> int:
        """Bytes that a walk through the view moves."""
        return self.elements * self.itemsize

    @property
    def first_address(self) -> int:
        """Byte address of element (0, 0, ...)."""
        return self.address + self.offset * self.itemsize

    @property
    def extent(self) -> tuple[int, int]:
        """Lowest byte address touched, and the one after the highest; equal if there is none."""
        if self.elements == 0:
            return self.first_address, self.first_address
        steps = [
            (size - 1) * stride * self.itemsize
            for size, stride in zip(self.sizes, self.strides, strict=True)
        ]
        low = self.first_address + sum(step for step in steps if step < 0)
        high = self.first_address + sum(step for step in steps if step > 0) + self.itemsize
        return low, high

    @property
    def is_contiguous(self) -> bool:
        """Whether a walk through the view is one run of ascending addresses."""
        expected = 1
        for size, stride in zip(reversed(self.sizes), reversed(self.strides), strict=True):
            if size != 1 and stride != expected:
                return self.elements == 0
            expected *= size
        return True

    def access_order(self) -> Iterator[int]:
        """Byte address of every element, in the order of the walk."""
        for index in itertools.product(*(range(size) for size in self.sizes)):
            steps = sum(i * stride for i, stride in zip(index, self.strides, strict=True))
            yield self.first_address + steps * self.itemsize

    def subview(
        self,
        offsets: Sequence[int],
        sizes: Sequence[int],
        strides: Sequence[int] | None = None,
    ) -> Self:
        """`sizes` elements from `offsets` on, every `strides`-th (default: each).

        Raises
        ------
        MemRefError
            A count that is not this view's rank, or an element outside it.
        """
        strides = [1] * len(self.sizes) if strides is None else strides
        for name, values in (("offsets", offsets), ("sizes", sizes), ("strides", strides)):
            if len(values) != len(self.sizes):
                raise MemRefError(
                    f"{name} = {tuple(values)}: the view has {len(self.sizes)} dimensions"
                )
        for dimension, (start, size, step) in enumerate(zip(offsets, sizes, strides, strict=True)):
            last = start + (size - 1) * step
            limit = self.sizes[dimension]
            if size < 0 or (size and not (0 <= start < limit and 0 <= last < limit)):
                raise MemRefError(
                    f"dimension {dimension}: {size} elements from {start} in steps of {step} "
                    f"leave 0 to {limit - 1}"
                )
        return replace(
            self,
            offset=self.offset
            + sum(start * stride for start, stride in zip(offsets, self.strides, strict=True)),
            sizes=tuple(sizes),
            strides=tuple(
                step * stride for step, stride in zip(strides, self.strides, strict=True)
            ),
        )

    def __getitem__(self, index: Index | tuple[Index, ...]) -> Self:
        """Basic indexing as numpy has it: an integer drops its dimension, a slice keeps it."""
        indices = index if isinstance(index, tuple) else (index,)
        if len(indices) > len(self.sizes):
            raise MemRefError(f"{len(indices)} indices into {len(self.sizes)} dimensions")
        indices += (slice(None),) * (len(self.sizes) - len(indices))
        offsets, sizes, strides, kept = [], [], [], []
        for dimension, (entry, limit) in enumerate(zip(indices, self.sizes, strict=True)):
            if isinstance(entry, slice):
                steps = range(*entry.indices(limit))
                offsets.append(steps.start if steps else 0)
                sizes.append(len(steps))
                strides.append(steps.step)
                kept.append(dimension)
            else:
                if not -limit <= entry < limit:
                    raise MemRefError(
                        f"dimension {dimension}: index {entry} leaves 0 to {limit - 1}"
                    )
                offsets.append(entry % limit)
                sizes.append(1)
                strides.append(1)
        return self.subview(offsets, sizes, strides)._pick(kept)

    def transpose(self, *axes: int) -> Self:
        """The same elements with the dimensions in the order `axes` (default: reversed)."""
        order = axes or tuple(reversed(range(len(self.sizes))))
        if sorted(order) != list(range(len(self.sizes))):
            raise MemRefError(f"axes = {axes}: must name each of {len(self.sizes)} dimensions once")
        return self._pick(order)

    def _pick(self, dimensions: Sequence[int]) -> Self:
        return replace(
            self,
            sizes=tuple(self.sizes[d] for d in dimensions),
            strides=tuple(self.strides[d] for d in dimensions),
        )
