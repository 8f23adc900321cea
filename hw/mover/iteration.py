"""How far each BD slot has iterated."""

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .descriptor import Descriptor
from .words import offset_bits, word_notes

__all__ = ["ITERATION_WORDS", "Iteration", "fits"]

ITERATION_WORDS = (5, 7)
"""Words of a BD that hold its state: a write to one of them begins anew."""


def fits(value: Value, width: int, signed: bool) -> Value:
    """Whether the bits of `value` beyond `width` only extend it."""
    if not signed:
        return ~value[width:].any()
    beyond = value[width - 1 :]
    return ~beyond.any() | beyond.all()


class Iteration(wiring.Component):
    """The offset that a BD adds to its base, and its next one.

    An iterating BD (``iteration_size`` of 2 or more) adds ``offset`` to its base at every load, and
    steps: ``current`` by 1 and ``offset`` by ``iteration_stride``; both become 0 where ``current``
    reaches the size. No other BD has an offset. The state is a slot's, and begins with what was
    written to the BD: it is kept beside the BD store, so that host and mover write to different
    memories, and which of the two counts is one bit a slot.

    With ``load`` in cycle t, `offset` and `good` are those of ``load_slot`` from t+1 on, if it
    iterates, combinational from its BD. It may step from t+2 on. A step in cycle t counts from t+1
    on, for a load in t too.

    Parameters
    ----------
    descriptor
        The BD.

    Members
    -------
    load : 1
    load_slot : `range(descriptors)`
    bd : `descriptor.layout`
    notes : :func:`~weft.hw.mover.words.word_notes`
    step : 1
        The loaded BD, which iterates, begins an execution.
    written : 1
        A word of :data:`ITERATION_WORDS` of ``written_slot`` is written.
    written_slot : `range(descriptors)`
    offset : signed
        One bit wider than an address, at most 32 bits, of which a wrong one does not show ``good``.
    good : 1
        Offset and stride fit the mover's address unit.
    """

    def __init__(self, *, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        slots = range(descriptor.mover.descriptors)
        self._offset_bits = offset_bits(descriptor)
        super().__init__(
            {
                "load": In(1),
                "load_slot": In(slots),
                "bd": In(descriptor.layout),
                "notes": In(word_notes()),
                "step": In(1),
                "written": In(1),
                "written_slot": In(slots),
                "offset": Out(signed(self._offset_bits)),
                "good": Out(1),
            }
        )

    @property
    def descriptor(self) -> Descriptor:
        return self._descriptor

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bd, slots = self.bd, self._descriptor.mover.descriptors
        # A step too far is seen at the next load.
        shape = signed(self._offset_bits)
        # One that is over begins again from 0.
        state = data.StructLayout({"current": unsigned(16), "offset": shape, "good": 1, "over": 1})
        m.submodules.states = states = Memory(shape=state, depth=slots, init=[])
        read, write = states.read_port(domain="comb"), states.write_port()
        anew = Signal(slots, init=(1 << slots) - 1)
        now, offset = Signal(16), Signal(shape)
        stepped = Signal(signed(self._offset_bits + 1))
        slot, begins, over = Signal(range(slots)), Signal(), read.data.over
        m.d.comb += [
            read.addr.eq(slot),
            now.eq(Mux(begins, bd.iteration_current, Mux(over, 0, read.data.current))),
            offset.eq(Mux(begins, bd.iteration_offset, Mux(over, 0, read.data.offset))),
            self.offset.eq(offset),
            self.good.eq(~self.notes.stride & Mux(begins, ~self.notes.offset, read.data.good)),
        ]
        following, goes_on = Signal(17), Signal()
        # Looked up in the cycle before the step, beside the sums that it chooses.
        m.d.sync += goes_on.eq(following < bd.iteration_size)
        m.d.comb += [
            following.eq(now + 1),
            write.addr.eq(slot),
            write.en.eq(self.step),
            stepped.eq(offset + bd.iteration_stride[: self._offset_bits].as_signed()),
            write.data.current.eq(following),
            write.data.offset.eq(stepped),
            write.data.good.eq(~goes_on | (stepped[-1] == stepped[-2])),
            write.data.over.eq(~goes_on),
        ]
        with m.If(self.step):
            m.d.sync += anew.bit_select(slot, 1).eq(0)
        # A register, so that it is not looked up for every bit of the offset.
        with m.If(self.load):
            again = self.step & (self.load_slot == slot)
            rewritten = self.written & (self.load_slot == self.written_slot)
            m.d.sync += [
                slot.eq(self.load_slot),
                begins.eq((anew.bit_select(self.load_slot, 1) & ~again) | rewritten),
            ]
        with m.If(self.written):
            m.d.sync += anew.bit_select(self.written_slot, 1).eq(1)
        return m
