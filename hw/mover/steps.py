"""What BDs say of their loops, a loop at a time."""

from collections.abc import Iterator

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..agu.row import BOUND_BITS, loop_step
from .descriptor import Descriptor
from .words import WORD_BITS

__all__ = ["LoopSteps", "step_words"]


def _delta_words(descriptor: Descriptor) -> Iterator[range]:
    """The words with the deltas of the address, and with those of each guard."""
    loops, layout = descriptor.mover.loops, descriptor.layout
    offsets = [layout["deltas"].offset]
    if descriptor.mover.guards:
        guards = layout["guards"]
        for index in range(descriptor.mover.guards):
            guard = guards.shape[index]
            offsets.append(guards.offset + guard.offset + guard.shape["deltas"].offset)
    for offset in offsets:
        yield range(offset // WORD_BITS, offset // WORD_BITS + loops)


def _bound_words(descriptor: Descriptor) -> range:
    """The words with the bounds, two in each."""
    first = descriptor.layout["bounds"].offset // WORD_BITS
    return range(first, first + (descriptor.mover.loops + 1) // 2)


def step_words(descriptor: Descriptor) -> frozenset[int]:
    """The words of a BD that :class:`LoopSteps` keeps."""
    return frozenset(_bound_words(descriptor)).union(*_delta_words(descriptor))


class LoopSteps(wiring.Component):
    """Bounds and deltas of all BDs, for the address generator to read as its loops step.

    Only one loop steps a row, so one memory has the same number of all loops of all slots, where
    otherwise each loop would need a memory of its own, and registers for what the BD that runs
    said. LUTRAM is deep enough.

    With `begin` in cycle t `step` is that of slot `shown` from t+1 on, until the next `begin`: an
    asynchronous read (LUTRAM), so that slot must not be written.

    Parameters
    ----------
    descriptor
        The BD.

    Members
    -------
    write : 1
    slot : `range(descriptors)`
    word : `range(descriptor.words)`
    given : 32
        A word of a BD is written; one that is not among :func:`step_words` is no matter here.
    begin : 1
    shown : `range(descriptors)`
    begun : `range(descriptors)`
        The slot that `step` is of.
    level : `range(loops)`
    step : :func:`~weft.hw.agu.row.loop_step`
        A delta that is wider than an address is cut; that it was is noted by the store.
    """

    def __init__(self, *, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        mover = descriptor.mover
        slots = range(mover.descriptors)
        super().__init__(
            {
                "write": In(1),
                "slot": In(slots),
                "word": In(range(descriptor.words)),
                "given": In(WORD_BITS),
                "begin": In(1),
                "shown": In(slots),
                "begun": Out(slots),
                "level": In(range(mover.loops)),
                "step": Out(loop_step(descriptor.address_bits, mover.guards)),
            }
        )

    @property
    def descriptor(self) -> Descriptor:
        return self._descriptor

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.If(self.begin):
            m.d.sync += self.begun.eq(self.shown)

        halves = [self.given.word_select(half, BOUND_BITS) for half in range(2)]
        bounds = self._kept(
            m,
            "bounds",
            _bound_words(self._descriptor),
            given=Cat(Cat(half, half == 2) for half in halves),
            index=self.level >> 1,
        )
        # Written whole, in the order of its fields.
        one, two = (bounds.word_select(half, BOUND_BITS + 1) for half in range(2))
        fields = [Mux(self.level[:1], two, one)]
        widths = [len(self.step.delta)] + [WORD_BITS] * self._descriptor.mover.guards
        for number, words in enumerate(_delta_words(self._descriptor)):
            given = self.given[: widths[number]]
            fields.append(self._kept(m, f"deltas_{number}", words, given=given, index=self.level))
        m.d.comb += self.step.eq(Cat(fields))
        return m

    def _kept(self, m: Module, name: str, words: range, *, given: Value, index: Value) -> Value:
        """Keep what is `given` with each of `words`; that with number `index` of the BD."""
        bits = (len(words) - 1).bit_length()
        kept = Memory(shape=len(given), depth=self._descriptor.mover.descriptors << bits, init=[])
        m.submodules[name] = kept
        write, read = kept.write_port(), kept.read_port(domain="comb")
        number = Signal(range(self._descriptor.words), name=f"{name}_number")
        m.d.comb += [
            number.eq(self.word - words.start),
            write.en.eq(self.write & (self.word >= words.start) & (self.word < words.stop)),
            write.addr.eq(Cat(number[:bits], self.slot)),
            write.data.eq(given),
            read.addr.eq(Cat(index[:bits], self.begun)),
        ]
        return read.data
