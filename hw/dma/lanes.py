"""Byte lanes of a bus beat: rotation and masks, as expressions."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

__all__ = ["lanes_from", "rotate_lanes", "spread"]


def rotate_lanes(m: Module, data: Value, amount: Value) -> Value:
    """Move the byte in lane l of `data` to lane ``(l + amount) mod lanes``.

    One level of two-to-one multiplexers for each bit of `amount`, each its own signal: a nested
    expression would grow exponentially.
    """
    for level, step in enumerate(amount):
        rotated = Signal(len(data), name=f"rotated_{level}")
        m.d.comb += rotated.eq(Mux(step, data.rotate_left(8 << level), data))
        data = rotated
    return data


def lanes_from(start: Value, lanes: int) -> Value:
    """One bit a lane, set where the lane is `start` or above; none is where `start` is `lanes`."""
    return (Const(-1, lanes) << start)[:lanes]


def spread(mask: Value) -> Value:
    """A byte of ones for each bit set in `mask`, which should be a signal: it is named per bit."""
    return Cat(bit.replicate(8) for bit in mask)
