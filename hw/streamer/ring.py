"""What the FIFOs of a memory port have in common.

Rows enter all channels together and beats leave (or enter) them together, so one pointer on that
side serves all channels; only the other side is a channel's own. These FIFOs are therefore built
in place, of a memory, two pointers and a level, and not of complete queues.
"""

from amaranth.hdl import Module, Mux, Signal, Value

__all__ = ["count", "following"]


def following(pointer: Value, depth: int) -> Value:
    """`pointer` one further in a ring of `depth` entries."""
    if depth & (depth - 1) == 0:
        return pointer + 1
    return Mux(pointer == depth - 1, 0, pointer + 1)


def count(m: Module, level: Signal, *, up: Value, down: Value, occupied: Signal) -> None:
    """Keep `level`, the ups less the downs, and `occupied`, whether it is more than 0.

    Both are registers. A down on 0 without an up must not happen.
    """
    with m.If(up & ~down):
        m.d.sync += [level.eq(level + 1), occupied.eq(1)]
    with m.Elif(down & ~up):
        m.d.sync += [level.eq(level - 1), occupied.eq(level != 1)]
