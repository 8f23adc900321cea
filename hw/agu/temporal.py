"""The temporal address generation unit: nested loops, one row a cycle."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..errors import ConfigError
from .row import BOUND_BITS, loop_step, temporal_row, temporal_task

__all__ = ["TemporalAgu"]


class TemporalAgu(wiring.Component):
    """Runs the loops of one BD after the other and gives the address of every iteration.

    The address is one register. A step adds one number to it: the delta of the outermost loop that
    steps, which is coded to contain the rewind of the loops inside (see
    :mod:`weft.hw.mover.descriptor`), so there is neither a multiplier nor a sum over loops. Every
    guard runs the same way with deltas of its own. Address arithmetic is modulo
    ``2**address_bits``, guard arithmetic modulo ``2**GUARD_BITS``; deltas are sign-extended.

    Because one loop steps a row, and the loops inside it only begin again, what a BD says of its
    loops need not be here: it is read, from wherever it is, for the one loop. So is what remains of
    it, from a LUTRAM; a loop that begins again is known as such, and has its whole bound left.
    Which loop steps next is a register: after any other it is the innermost one of more than one
    iteration, and after that, if it then is in its last, the next one outwards that is not.

    A task accepted in cycle t shows its first row in cycle t+1. A row leaves in every cycle in
    which ``o.ready`` is set, and the next task is accepted in the cycle in which the last row of
    the current one leaves, so there is no bubble between iterations or between tasks: n rows,
    over any number of tasks without an empty one, take n+1 cycles from the first acceptance.
    ``i.ready`` is therefore combinational from ``o.ready``. ``o.valid`` and ``o.payload`` are
    registers and hold while stalled; the address does until the next task, through a reset too.

    A task that is ``empty`` is accepted like any other and gives no row; it costs one cycle. A
    bound of 0 or 1 is not looked for: the task says ``empty`` and ``single``, which a mover knows
    since its BD was written.

    Parameters
    ----------
    address_bits
        Width of an address, 1 to 64.
    loops
        Nested loops, 1 to 8; loop 0 is the innermost.
    guards
        Affine windows that run along, 0 to 4.
    settings
        Shape of what is copied from the task and given with every row of it.

    Members
    -------
    i : stream of :func:`~weft.hw.agu.row.temporal_task`
    level : `range(loops)`
        The loop that steps next; any if none does. A register.
    step : :func:`~weft.hw.agu.row.loop_step`
        That loop in the BD of the row on offer.
    o : stream of :func:`~weft.hw.agu.row.temporal_row`
        ``mark`` is set in a row in which loops 0..``mark_level`` are all in their last iteration (a
        level beyond the outermost loop means all loops), ``end`` where all loops are.

    Raises
    ------
    ConfigError
        A parameter is out of its range.

    Source: the pattern is that of DataMaestro, section III-B, whose stride counter for each loop
    and sum over them this replaces.
    """

    def __init__(self, *, address_bits: int, loops: int, guards: int, settings: object) -> None:
        for name, value, low, high in (
            ("address_bits", address_bits, 1, 64),
            ("loops", loops, 1, 8),
            ("guards", guards, 0, 4),
        ):
            if not low <= value <= high:
                raise ConfigError(name, value, f"must be from {low} to {high}")
        self._address_bits = address_bits
        self._loops = loops
        self._guards = guards
        self._settings = settings
        super().__init__(
            {
                "i": In(stream.Signature(temporal_task(address_bits, loops, guards, settings))),
                "level": Out(range(loops)),
                "step": In(loop_step(address_bits, guards)),
                "o": Out(stream.Signature(temporal_row(address_bits, guards, settings))),
            }
        )

    @property
    def address_bits(self) -> int:
        return self._address_bits

    @property
    def loops(self) -> int:
        return self._loops

    @property
    def guards(self) -> int:
        return self._guards

    @property
    def settings(self) -> object:
        return self._settings

    def elaborate(self, platform: object) -> Module:
        m = Module()
        task, row, step = self.i.payload, self.o.payload, self.step
        levels = range(self._loops)

        # What a task leaves behind for its loops, and where they stand.
        single = Signal(self._loops)  # the bound is 1
        marked = Signal(self._loops)  # the loop counts for `mark`
        fresh = Signal(self._loops)  # the loop is in its first iteration
        last = Signal(self._loops)  # the loop is in its last iteration
        innermost = Signal.like(self.level)  # of the loops that are not single
        address = Signal(self._address_bits, reset_less=True)
        m.d.comb += row.address.eq(address)
        left = data.StructLayout({"iterations": BOUND_BITS, "two": 1})
        m.submodules.remaining = remaining = Memory(shape=left, depth=self._loops, init=[])
        read, write = remaining.read_port(domain="comb"), remaining.write_port()

        def first(loops: Sequence[Value]) -> Value:
            """The innermost one of `loops`."""
            chosen: Value = Const(self._loops - 1, len(self.level))
            for level in reversed(levels[:-1]):
                chosen = Mux(loops[level], level, chosen)
            return chosen

        def show(in_last: Sequence[Value], counted: Sequence[Value]) -> None:
            """Register `mark` and `end` of the row that begins."""
            ends = [a | ~b for a, b in zip(in_last, counted, strict=True)]
            m.d.sync += [row.mark.eq(Cat(ends).all()), row.end.eq(Cat(in_last).all())]

        now, outwards = Signal(left), Signal.like(self.level)
        m.d.comb += [
            outwards.eq(first([~last[level] & (self.level != level) for level in levels])),
            read.addr.eq(self.level),
            now.eq(Mux(fresh.bit_select(self.level, 1), Cat(step.bound, step.two), read.data)),
            write.addr.eq(self.level),
            write.data.iterations.eq(now.iterations - 1),
            # Told here, so that the way to `end` is not as long as a count.
            write.data.two.eq(now.iterations == 3),
            self.i.ready.eq(~self.o.valid | (self.o.ready & row.end)),
        ]
        with m.If(self.i.valid & self.i.ready):
            counts = [Const(1) if level == 0 else task.mark_level >= level for level in levels]
            m.d.sync += [
                self.o.valid.eq(~task.empty),
                address.eq(task.base),
                row.first.eq(1),
                row.settings.eq(task.settings),
                single.eq(task.single),
                marked.eq(Cat(counts)),
                fresh.eq(~0),
                last.eq(task.single),
                self.level.eq(first(~task.single)),
                innermost.eq(first(~task.single)),
            ]
            m.d.sync += [row.guards[index].eq(task.guards[index]) for index in range(self._guards)]
            show(list(task.single), counts)
        with m.Elif(self.o.valid & self.o.ready):
            with m.If(row.end):
                m.d.sync += self.o.valid.eq(0)
            with m.Else():
                m.d.comb += write.en.eq(1)
                m.d.sync += [
                    address.eq(address + step.delta),
                    row.first.eq(0),
                    self.level.eq(Mux((self.level == innermost) & now.two, outwards, innermost)),
                ]
                m.d.sync += [
                    row.guards[index].eq(row.guards[index] + step.guards[index])
                    for index in range(self._guards)
                ]
                with m.Switch(self.level):
                    for level in levels:
                        with m.Case(level):
                            m.d.sync += [last[level].eq(now.two), fresh[level].eq(0)]
                            m.d.sync += [
                                part.eq(restart)
                                for inner in range(level)
                                for part, restart in (
                                    (fresh[inner], 1),
                                    (last[inner], single[inner]),
                                )
                            ]
                            show([*single[:level], now.two, *last[level + 1 :]], [*marked])
        return m
