"""Where a mover keeps its buffer descriptors."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..agu.row import loop_step
from ..bus.registers import DESCRIPTOR_STORE, SLOT_BYTES, RegisterBusSignature
from ..bus.streams import present_fields
from ..bus.wires import adopt
from .descriptor import Descriptor
from .rows import row_fields
from .steps import LoopSteps, step_words
from .words import KeptField, kept_fields, kept_parts, word_notes

__all__ = ["BdStore"]


class _View:
    """Bits of a BD, put together from the lowest up; those that nobody adds are 0."""

    def __init__(self) -> None:
        self._pieces: list[Value] = []
        self._filled = 0
        self._sign: Value = Const(0, 1)

    def add(self, fields: Iterable[KeptField], kept: Value) -> Value:
        """Fields of a word, of which the bits that were `kept` follow each other; the last sign."""
        for field in fields:
            bits, kept = kept[: field.kept], kept[field.kept :]
            if field.sign is not None and field.kept:
                self._sign = bits[-1]
            extended = self._sign if field.sign is not None else Const(0, 1)
            self._pieces += [
                Const(0, field.offset - self._filled),
                bits,
                extended.replicate(field.width - field.kept),
            ]
            self._filled = field.offset + field.width
        return self._sign

    def bits(self) -> Value:
        return Cat(self._pieces)


class BdStore(wiring.Component):
    """BD slots: written a word at a time, read a whole BD a cycle.

    With ``read`` set in cycle t, ``bd`` shows BD ``slot`` from t+1 until the next ``read``, an
    asynchronous read (LUTRAM): what is written to it in cycle t or meanwhile shows, too. A mover
    keeps the host off the slot that it shows. What the rows of a BD need is 0 in ``bd``: with
    ``begin`` in cycle t that of the BD that shows is read from t+1 until the next ``begin``, bounds
    and deltas a loop at a time (:class:`~weft.hw.mover.steps.LoopSteps`), the others as ``running``
    (:class:`~weft.hw.mover.rows.RowSettings`). The mover keeps the host off that slot as well.

    Of a field that is wider than the mover's hardware the bits that fit are kept, extended in
    ``bd``; that others were different is noted, see :mod:`weft.hw.mover.words`.

    A request is answered as it comes. A read, a slot that the mover does not have, and a word
    beyond the BD's last are errors and change nothing. A ``refused`` write changes nothing either,
    and is no error on the bus, which would end a host's program far from its cause.

    Parameters
    ----------
    descriptor
        The BD.

    Members
    -------
    bus : :class:`~weft.hw.bus.registers.RegisterBusSignature`
        ``offset`` is relative to the mover's page and not below DESCRIPTOR_STORE.
    read : 1
    slot : `range(descriptors)`
    bd : `descriptor.layout`
    notes : :func:`~weft.hw.mover.words.word_notes`
    empty : 1
        A bound or the run length of ``bd`` is 0.
    single : a bit for each bound
        It is 1.
    iterates : 1
        ``iteration_size`` is 2 or more.
    begin : 1
    level : `range(loops)`
    step : :func:`~weft.hw.agu.row.loop_step`
        Combinational from ``level``.
    begun : `range(descriptors)`
        The slot that ``step`` and ``running`` are of.
    running : `descriptor.layout`
    writes : 1
        A word that exists is written in this cycle.
    written_slot : `range(descriptors)`
    written_word : `range(descriptor.words)`
    refused : 1
        It shall not be. Combinational from those.
    """

    def __init__(self, *, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        mover = descriptor.mover
        super().__init__(
            {
                "bus": In(RegisterBusSignature()),
                "read": In(1),
                "slot": In(range(mover.descriptors)),
                "bd": Out(descriptor.layout),
                "notes": Out(word_notes()),
                "empty": Out(1),
                "single": Out(mover.loops),
                "iterates": Out(1),
                "begin": In(1),
                "level": In(range(mover.loops)),
                "step": Out(loop_step(descriptor.address_bits, mover.guards)),
                "begun": Out(range(mover.descriptors)),
                "running": Out(descriptor.layout),
                "writes": Out(1),
                "written_slot": Out(range(mover.descriptors)),
                "written_word": Out(range(descriptor.words)),
                "refused": In(1),
            }
        )

    @property
    def descriptor(self) -> Descriptor:
        return self._descriptor

    def elaborate(self, platform: object) -> Module:
        m = Module()
        slots, words = self._descriptor.mover.descriptors, self._descriptor.words
        slot_low = (SLOT_BYTES - 1).bit_length()
        word = self.bus.offset[2:slot_low]
        slot = self.bus.offset[slot_low : (DESCRIPTOR_STORE - 1).bit_length()]
        exists = self.bus.write & (slot < slots) & (word < words)
        m.d.comb += [
            self.writes.eq(self.bus.request & exists),
            self.bus.error.eq(self.bus.request & ~exists),
            self.written_slot.eq(slot),
            self.written_word.eq(word),
        ]
        shown = Signal(range(slots))
        with m.If(self.read):
            m.d.sync += shown.eq(self.slot)

        m.submodules.steps = steps = LoopSteps(descriptor=self._descriptor)
        for name in ("begin", "level", "step", "begun"):
            adopt(steps, name, getattr(self, name))
        m.d.comb += [
            steps.write.eq(self.writes & ~self.refused),
            steps.slot.eq(slot),
            steps.word.eq(word),
            steps.given.eq(self.bus.write_data),
            steps.shown.eq(shown),
        ]
        stepped, of_rows = step_words(self._descriptor), row_fields(self._descriptor)

        # A memory for each other word, as each has an enable of its own, with what is noted of it.
        # The notes of words that are not shown here would have one almost empty: they share one.
        shows, runs = _View(), _View()
        found: dict[str, list[Value]] = defaultdict(list)
        apart: list[tuple[int, Value, Signal]] = []

        def keep(number: int, parts: dict[str, Value], where: str, from_slot: Value) -> data.View:
            shape = present_fields({name: len(value) for name, value in parts.items()})
            m.submodules[f"{where}_{number}"] = memory = Memory(shape=shape, depth=slots, init=[])
            write_port, read_port = memory.write_port(), memory.read_port(domain="comb")
            m.d.comb += [
                write_port.addr.eq(slot),
                write_port.data.eq(Cat(parts[name] for name in shape.members)),
                write_port.en.eq(self.writes & ~self.refused & (word == number)),
                read_port.addr.eq(from_slot),
            ]
            return read_port.data

        for number, group in groupby(kept_fields(self._descriptor), key=lambda field: field.word):
            fields = list(group)
            parts = kept_parts(fields, self.bus.write_data)
            kept, noted = parts.pop("kept"), dict[str, Value]()
            if number in stepped:
                fields = []
            elif fields[0].name in of_rows:
                runs.add(fields, keep(number, {"kept": kept}, "row_word", self.begun).kept)
                fields = []
            elif len(kept):
                shown_word = keep(number, {"kept": kept} | parts, "word", shown)
                kept, noted = shown_word.kept, {name: shown_word[name] for name in parts}
            if not noted:
                noted = {name: Signal(len(value)) for name, value in parts.items()}
                apart += [(number, parts[name], note) for name, note in noted.items()]
            sign = shows.add(fields, kept)
            for field in fields:
                if field.follows_sign and field.width > field.kept:
                    some_set, some_clear = noted["above"]
                    found[field.note].append(Mux(sign, some_clear, some_set))
            for name in parts.keys() - {"above"}:
                found[name].append(noted[name])
        self._elaborate_notes(m, apart, shown)
        m.d.comb += [
            self.bd.eq(shows.bits()),
            self.running.eq(runs.bits()),
            self.empty.eq(Cat(found.pop("empty")).any()),
            self.single.eq(Cat(found.pop("single"))),
            self.iterates.eq(Cat(found.pop("iterates"))),
            self.notes.eq(Cat(Cat(found[name]).any() for name, _ in word_notes())),
        ]
        return m

    def _elaborate_notes(
        self, m: Module, apart: Sequence[tuple[int, Value, Signal]], shown: Value
    ) -> None:
        """Keep what is noted when a word is written; of each its number, what, and where it shows.

        All notes of a BD are read and written together, those of other words as they were.
        """
        shape, slots = sum(len(note) for _, _, note in apart), self._descriptor.mover.descriptors
        m.submodules.apart = memory = Memory(shape=shape, depth=slots, init=[])
        write, before = memory.write_port(), memory.read_port(domain="comb")
        read = memory.read_port(domain="comb")
        given = [(self.written_word == number).replicate(len(note)) for number, _, note in apart]
        m.d.comb += [
            before.addr.eq(self.written_slot),
            write.addr.eq(self.written_slot),
            # No multiplexer: Yosys makes of one an enable for each bit, and of each bit a memory.
            write.data.eq(
                Cat(value & here for here, (_, value, _) in zip(given, apart, strict=True))
                | (Cat(~here for here in given) & before.data)
            ),
            write.en.eq(self.writes & ~self.refused),
            read.addr.eq(shown),
            Cat(note for _, _, note in apart).eq(read.data),
        ]
