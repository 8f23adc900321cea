"""The pieces of DRAM that a mover may touch."""

from amaranth.hdl import Cat, Value
from amaranth.lib import data

from ..config import BOUNDARY_BYTES

__all__ = ["PAGE_BITS", "allowed", "window_layout"]

PAGE_BITS = (BOUNDARY_BYTES - 1).bit_length()


def window_layout(address_bits: int) -> data.StructLayout:
    """The pages of 4 KiB from number ``first`` to number ``last``, both included, if ``enable``.

    A burst lies in one page, so it lies in a window whole or not at all. While no window is
    enabled everything is allowed.
    """
    page = address_bits - PAGE_BITS
    return data.StructLayout({"first": page, "last": page, "enable": 1})


def allowed(windows: data.View, address: Value) -> Value:
    """Whether a burst at `address` may be made under an array of :func:`window_layout`.

    Combinational: two comparisons a window, side by side.
    """
    page = address[PAGE_BITS:]
    count = windows.shape().length
    enabled = [windows[index].enable for index in range(count)]
    inside = [
        windows[index].enable & (page >= windows[index].first) & (page <= windows[index].last)
        for index in range(count)
    ]
    return ~Cat(enabled).any() | Cat(inside).any()
