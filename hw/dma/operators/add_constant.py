"""Adds a constant to every element of a stream."""

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ...bus.streams import switch_beat

__all__ = ["AddConstant", "add_constant_word"]

WORD_BYTES = 8
"""The largest element."""


def add_constant_word() -> data.StructLayout:
    """Elements of ``2**size`` bytes; ``constant`` is sign-extended or cut to that."""
    return data.StructLayout({"size": 2, "constant": signed(30)})


class AddConstant(wiring.Component):
    """Adds the BD's constant to each element of 1, 2, 4 or 8 bytes, modulo its range.

    The BD's word is :func:`add_constant_word`. Elements are little-endian and lie densely from
    the BD's first byte on; one that the BD's end cuts is the low bytes of a sum. A constant of 0
    changes nothing.

    A beat accepted in cycle t is offered in t+1, one a cycle; ``o`` is a register. ``count``,
    ``end`` and ``error`` stay with their beat. ``i.ready`` is combinational from ``o.ready``.

    Parameters
    ----------
    width
        Bits of a beat, a multiple of 64.

    Members
    -------
    operator : stream of 32 bits
        As :func:`add_constant_word`.
    i, o : stream of :func:`~weft.hw.bus.streams.switch_beat`
    """

    def __init__(self, *, width: int) -> None:
        if width < 8 * WORD_BYTES or width % (8 * WORD_BYTES):
            raise ValueError(f"a beat has a multiple of {8 * WORD_BYTES} bits, not {width}")
        self._width = width
        super().__init__(
            {
                "operator": In(stream.Signature(add_constant_word().size)),
                "i": In(stream.Signature(switch_beat(width))),
                "o": Out(stream.Signature(switch_beat(width))),
            }
        )

    @property
    def width(self) -> int:
        return self._width

    def elaborate(self, platform: object) -> Module:
        m = Module()
        word = add_constant_word()(self.operator.payload)
        accepted = Signal()
        m.d.comb += [
            self.i.ready.eq(self.operator.valid & (~self.o.valid | self.o.ready)),
            accepted.eq(self.i.valid & self.i.ready),
            self.operator.ready.eq(accepted & self.i.payload.end),
        ]

        # The constant in every element of a word, and the bytes whose carry goes on to the next.
        extended = Signal(signed(8 * WORD_BYTES))
        addend = Signal(8 * WORD_BYTES)
        carries = Signal(WORD_BYTES)
        m.d.comb += extended.eq(word.constant)
        with m.Switch(word.size):
            for size in range(4):
                element = 1 << size
                copies = WORD_BYTES // element
                with m.Case(size):
                    m.d.comb += [
                        addend.eq(extended[: 8 * element].replicate(copies)),
                        carries.eq(Cat((k + 1) % element != 0 for k in range(WORD_BYTES))),
                    ]

        def sum_of(value: Value) -> Value:
            """One adder with a bit between bytes that passes a carry on, or swallows it."""
            bytes_of = [(value[8 * k :][:8], addend[8 * k :][:8]) for k in range(WORD_BYTES)]
            left = Cat(Cat(given, carries[k]) for k, (given, _) in enumerate(bytes_of))
            right = Cat(Cat(added, Const(0, 1)) for _, added in bytes_of)
            total = (left + right)[: len(left)]
            return Cat(total[9 * k :][:8] for k in range(WORD_BYTES))

        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += self.o.valid.eq(accepted)
            with m.If(accepted):
                m.d.sync += [
                    self.o.payload.eq(self.i.payload),
                    self.o.payload.data.eq(
                        Cat(
                            sum_of(self.i.payload.data[at:][: 8 * WORD_BYTES])
                            for at in range(0, self._width, 8 * WORD_BYTES)
                        )
                    ),
                ]
        return m
