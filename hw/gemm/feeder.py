"""Taking steps: the join of A, B, C and room for what comes of them."""

from enum import IntEnum

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.streams import compute_beat
from ..config import ArrayConfig
from .collector import tile_ticket
from .element import element_control

__all__ = [
    "WAITS",
    "Feeder",
    "Lacking",
    "array_operator",
    "operator_bits",
    "step_activity",
    "wanted_results",
]


WAITS = ("starved_a", "starved_b", "starved_c", "blocked_d", "blocked_e", "starved_s")
"""What a step may have waited for."""


def array_operator() -> data.FlexibleLayout:
    """A's operator word; the bits between are zero.

    ``c_present``: the tiles that begin in this BD add to a beat of C each. ``e_wanted``: those that
    end in it go to E, and not to D unless ``d_too``. ``zero_a``, ``zero_b`` are subtracted from
    every operand of this BD's steps.
    """
    return data.FlexibleLayout(
        32,
        {
            "c_present": data.Field(1, 0),
            "e_wanted": data.Field(1, 1),
            "d_too": data.Field(1, 2),
            "zero_a": data.Field(signed(8), 8),
            "zero_b": data.Field(signed(8), 16),
        },
    )


def operator_bits(array: ArrayConfig) -> int:
    """The bits of the word that `array` does not ignore."""
    layout = array_operator()
    known = {"c_present": True, "zero_a": array.zero_points, "zero_b": array.zero_points}
    known |= dict.fromkeys(("e_wanted", "d_too"), array.quantizer)
    masks = ((1 << layout[name].width) - 1 << layout[name].offset for name in known if known[name])
    return sum(masks)


def wanted_results() -> data.StructLayout:
    """Where a tile goes: to D, to E, or to both."""
    return data.StructLayout({"d": 1, "e": 1})


class Lacking(IntEnum):
    """What a tile's ticket waits for: room in D, room in E, or parameters."""

    D = 0
    E = 1
    S = 2


def step_activity() -> data.StructLayout:
    """What happened in a cycle, for the counters.

    A step is *wanted* while a tile is open, an operator word is there, or a beat of A or B is.

    ``busy``: a step was taken, a tile is open (it had its first step and not its last), or one is
    on its way out. ``step``: a step was taken. Of a wanted step that was not: ``starved_a``, no A
    (or no operator word for it); ``starved_b``, no B; ``starved_c``, both were there but not the
    tile's C; ``blocked_d``, all were there and mu cycles had passed, but every slot for D was
    taken; ``blocked_e``, ``starved_s``: D had one if it wanted the tile, but every slot for E was
    taken, or one was left but no parameters. The first two may meet; the others are alone.
    """
    return data.StructLayout({name: 1 for name in ("busy", "step", *WAITS)})


class Feeder(wiring.Component):
    """Takes a beat of A and of B together: a step. One a cycle; registered for the mesh.

    A step is taken when A, B and the operator word of A's BD are there and

    - for the first step of a tile with C: its C is loaded;
    - for the step with ``mark``, the last of a tile: the step before with ``mark`` was taken at
      least mu cycles ago, and the tile's ticket is accepted, which reserves its place in D, E or
      both.

    A BD that ends without ``mark`` leaves its tile open for the next; whether the tile has C was
    settled at its first step, and where it goes is at its last. ``a.ready`` and ``b.ready`` are the
    step itself, and so depend on all these valids and on A's ``mark`` in the same cycle.

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
        One word a BD of A, an :func:`array_operator`, taken with its ``end`` beat.
    i_preload : stream of 1
        C of the next tile that has one is in place; the payload is its ``error``.
    o_ticket : stream of :func:`~weft.hw.gemm.collector.tile_ticket`
        One a tile, with its last step.
    o_wanted : :func:`wanted_results`
        Where the ticket's tile goes.
    lacking : :class:`Lacking`
        What the ticket waits for while it does.
    in_flight : 1
        A tile is between its last step and the taking of its last beat.
    o_control : :func:`~weft.hw.gemm.element.element_control`
    o_a, o_b : mu, nu lanes of ku * factor_bits
        Rows of A, columns of B, less their zero points.
    o_activity : :func:`step_activity`
        Of the cycle before.
    """

    def __init__(self, *, array: ArrayConfig) -> None:
        self._array = array
        lane = array.ku * array.factor_bits
        super().__init__(
            {
                "a": In(stream.Signature(compute_beat(array.a_bits))),
                "b": In(stream.Signature(compute_beat(array.b_bits))),
                "operator": In(stream.Signature(32)),
                "i_preload": In(stream.Signature(1)),
                "o_ticket": Out(stream.Signature(tile_ticket())),
                "o_wanted": Out(wanted_results()),
                "lacking": In(Lacking),
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
        word = array_operator()(self.operator.payload)
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
            with_c.eq(first & word.c_present),
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
            self.o_wanted.d.eq(~word.e_wanted | word.d_too),
            self.o_wanted.e.eq(word.e_wanted),
        ]

        m.d.sync += self.o_control.eq(Cat(step, step & first, step & with_c, step & mark))
        with m.If(pace != 0):
            m.d.sync += pace.eq(pace - 1)
        with m.If(step):
            m.d.sync += [first.eq(mark), tile_error.eq(error & ~mark)]
            with m.If(mark):
                m.d.sync += pace.eq(mu - 1)
            a, b = self.a.payload.data, self.b.payload.data
            for i in range(mu):
                row = a.word_select(i, ku * bits)
                m.d.sync += self.o_a[i].eq(self._factors(row, word.zero_a))
            for j in range(nu):
                column = Cat(b.word_select(k * nu + j, bits) for k in range(ku))
                m.d.sync += self.o_b[j].eq(self._factors(column, word.zero_b))

        stuck = self.o_ticket.valid & ~self.o_ticket.ready
        wanted = ~first | self.operator.valid | self.a.valid | self.b.valid
        m.d.sync += [
            self.o_activity.busy.eq(step | ~first | self.in_flight),
            self.o_activity.step.eq(step),
            self.o_activity.starved_a.eq(wanted & ~(self.a.valid & self.operator.valid)),
            self.o_activity.starved_b.eq(wanted & ~self.b.valid),
            self.o_activity.starved_c.eq(operands & ~addend),
            self.o_activity.blocked_d.eq(stuck & (self.lacking == Lacking.D)),
            self.o_activity.blocked_e.eq(stuck & (self.lacking == Lacking.E)),
            self.o_activity.starved_s.eq(stuck & (self.lacking == Lacking.S)),
        ]
        return m

    def _factors(self, operands: Value, zero: Value) -> Value:
        """What is multiplied of a lane's operands."""
        if not self._array.zero_points:
            return operands
        bits, width = self._array.operand_bits, self._array.factor_bits
        each = (operands.word_select(k, bits).as_signed() for k in range(self._array.ku))
        return Cat((operand - zero)[:width] for operand in each)
