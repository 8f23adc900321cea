"""Taking steps: the join of A, B, C and room for D."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.streams import compute_beat
from ..config import ArrayConfig
from .element import element_control

__all__ = ["C_PRESENT", "Feeder", "step_activity", "tile_ticket"]

C_PRESENT = 1 << 0
"""Bit of A's operator word: the tiles that begin in this BD add to a beat of C each."""


def tile_ticket() -> data.StructLayout:
    """What a D beat says beside its data: ``end`` of the BD; ``error`` of a beat that made it."""
    return data.StructLayout({"end": 1, "error": 1})


def step_activity() -> data.StructLayout:
    """What happened in a cycle, for the counters.

    A step is *wanted* while a tile is open, an operator word is there, or a beat of A or B is.

    ``busy``: a step was taken, a tile is open (it had its first step and not its last), or one is
    on its way out. ``step``: a step was taken. Of a wanted step that was not: ``starved_a``, no A
    (or no operator word for it); ``starved_b``, no B; ``starved_c``, both were there but not the
    tile's C; ``blocked_d``, all were there and mu cycles had passed, but every slot for D was
    taken. The first two may meet; the last two are alone.
    """
    return data.StructLayout(
        {"busy": 1, "step": 1, "starved_a": 1, "starved_b": 1, "starved_c": 1, "blocked_d": 1}
    )


class Feeder(wiring.Component):
    """Takes a beat of A and of B together: a step. One a cycle; registered for the mesh.

    A step is taken when A, B and the operator word of A's BD are there and

    - for the first step of a tile with C: its C is loaded;
    - for the step with ``mark``, the last of a tile: the step before with ``mark`` was taken at
      least mu cycles ago, and there is room for the tile's ticket, which reserves its place in D.

    A BD that ends without ``mark`` leaves its tile open for the next; whether the tile has C was
    settled at its first step. ``a.ready`` and ``b.ready`` are the step itself, and so depend on all
    these valids and on A's ``mark`` in the same cycle.

    Parameters
    ----------
    array : :class:`~weft.hw.config.ArrayConfig`

    Members
    -------
    a : stream of :func:`~weft.hw.bus.streams.compute_beat`
        [mu][ku] operands, k fastest.
    b : stream of :func:`~weft.hw.bus.streams.compute_beat`
        [ku][nu] operands, n fastest. ``mark`` and ``end`` mean nothing here.
    operator : stream of 32
        One word a BD of A, taken with its ``end`` beat. Bit 0 is :data:`C_PRESENT`.
    i_preload : stream of 1
        C of the next tile that has one is in place; the payload is its ``error``.
    o_ticket : stream of :func:`tile_ticket`
        One a tile, with its last step.
    in_flight : 1
        A tile is between its last step and the taking of its D beat.
    o_control : :func:`~weft.hw.gemm.element.element_control`
    o_a, o_b : mu, nu lanes of ku * operand_bits
        Rows of A, columns of B.
    o_activity : :func:`step_activity`
        Of the cycle before.
    """

    def __init__(self, *, array: ArrayConfig) -> None:
        self._array = array
        lane = array.ku * array.operand_bits
        super().__init__(
            {
                "a": In(stream.Signature(compute_beat(array.a_bits))),
                "b": In(stream.Signature(compute_beat(array.b_bits))),
                "operator": In(stream.Signature(32)),
                "i_preload": In(stream.Signature(1)),
                "o_ticket": Out(stream.Signature(tile_ticket())),
                "in_flight": In(1),
                "o_control": Out(element_control()),
                "o_a": Out(lane).array(array.mu),
                "o_b": Out(lane).array(array.nu),
                "o_activity": Out(step_activity()),
            }
        )

    @property
    def array(self) -> ArrayConfig:
        return self._array

    def elaborate(self, platform: object) -> Module:
        m = Module()
        mu, nu, ku, bits = (
            self._array.mu,
            self._array.nu,
            self._array.ku,
            self._array.operand_bits,
        )
        mark = self.a.payload.mark
        first = Signal(init=1)
        pace = Signal(range(mu))
        tile_error = Signal()

        operands = Signal()
        with_c = Signal()
        addend = Signal()
        able = Signal()
        step = Signal()
        error = Signal()
        m.d.comb += [
            operands.eq(self.a.valid & self.operator.valid & self.b.valid),
            with_c.eq(first & self.operator.payload[0]),
            addend.eq(~with_c | self.i_preload.valid),
            able.eq(operands & addend & (~mark | (pace == 0))),
            step.eq(able & (~mark | self.o_ticket.ready)),
            error.eq(
                tile_error
                | self.a.payload.error
                | self.b.payload.error
                | (with_c & self.i_preload.payload)
            ),
            self.a.ready.eq(step),
            self.b.ready.eq(step),
            self.operator.ready.eq(step & self.a.payload.end),
            self.i_preload.ready.eq(step & with_c),
            self.o_ticket.valid.eq(able & mark),
            self.o_ticket.payload.end.eq(self.a.payload.end),
            self.o_ticket.payload.error.eq(error),
        ]

        m.d.sync += self.o_control.eq(Cat(step, step & first, step & with_c, step & mark))
        with m.If(pace != 0):
            m.d.sync += pace.eq(pace - 1)
        with m.If(step):
            m.d.sync += [first.eq(mark), tile_error.eq(error & ~mark)]
            with m.If(mark):
                m.d.sync += pace.eq(mu - 1)
            for i in range(mu):
                m.d.sync += self.o_a[i].eq(self.a.payload.data.word_select(i, ku * bits))
            for j in range(nu):
                column = [self.b.payload.data.word_select(k * nu + j, bits) for k in range(ku)]
                m.d.sync += self.o_b[j].eq(Cat(column))

        wanted = ~first | self.operator.valid | self.a.valid | self.b.valid
        m.d.sync += [
            self.o_activity.busy.eq(step | ~first | self.in_flight),
            self.o_activity.step.eq(step),
            self.o_activity.starved_a.eq(wanted & ~(self.a.valid & self.operator.valid)),
            self.o_activity.starved_b.eq(wanted & ~self.b.valid),
            self.o_activity.starved_c.eq(operands & ~addend),
            self.o_activity.blocked_d.eq(self.o_ticket.valid & ~self.o_ticket.ready),
        ]
        return m
