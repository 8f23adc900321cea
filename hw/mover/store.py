"""Where a mover keeps its buffer descriptors."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..bus.registers import DESCRIPTOR_STORE, SLOT_BYTES, RegisterBusSignature
from .descriptor import Descriptor

__all__ = ["BdStore"]


class BdStore(wiring.Component):
    """BD slots: written a word at a time, read a whole BD a cycle.

    A word written by a request in cycle t is read from t+1 on. With ``read`` set in cycle t, ``bd``
    shows BD ``slot`` from t+1 and holds it until the next ``read``, whatever is written meanwhile:
    that register is the shadow in which a mover prefetches its next BD.

    A request is answered in the next cycle. A read, a slot that the mover does not have, and a word
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
    writes : 1
        A word that exists is written in this cycle.
    written_slot : `range(descriptors)`
    written_word : `range(descriptor.words)`
    refused : 1
        It shall not be. Combinational from those.
    """

    def __init__(self, *, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        super().__init__(
            {
                "bus": In(RegisterBusSignature()),
                "read": In(1),
                "slot": In(range(descriptor.mover.descriptors)),
                "bd": Out(descriptor.layout),
                "writes": Out(1),
                "written_slot": Out(range(descriptor.mover.descriptors)),
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
        row = data.ArrayLayout(unsigned(32), words)
        m.submodules.slots = memory = Memory(shape=row, depth=slots, init=[])
        write_port = memory.write_port(granularity=1)
        read_port = memory.read_port()
        m.d.comb += [
            read_port.en.eq(self.read),
            read_port.addr.eq(self.slot),
            self.bd.eq(read_port.data),
        ]

        slot_low = (SLOT_BYTES - 1).bit_length()
        word = self.bus.offset[2:slot_low]
        slot = self.bus.offset[slot_low : (DESCRIPTOR_STORE - 1).bit_length()]
        exists = self.bus.write & (slot < slots) & (word < words)
        m.d.comb += [
            self.writes.eq(self.bus.request & exists),
            self.written_slot.eq(slot),
            self.written_word.eq(word),
        ]
        m.d.comb += write_port.addr.eq(slot)
        m.d.comb += [write_port.data[index].eq(self.bus.write_data) for index in range(words)]
        m.d.sync += self.bus.error.eq(0)
        with m.If(self.bus.request):
            m.d.sync += self.bus.error.eq(~exists)
        with m.If(self.writes & ~self.refused):
            m.d.comb += write_port.en.eq(1 << word)
        return m
