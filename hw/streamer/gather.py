"""From the words of the channels to the beat that a read port gives."""

from collections.abc import Mapping, Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.streams import compute_beat
from ..bus.tcdm import memory_response
from ..config import MemoryConfig
from ..extensions import extension_setting

__all__ = ["Gather", "fetched_row"]


def fetched_row(memory: MemoryConfig, channels: int) -> data.StructLayout:
    """A row whose words are there: those that are not ``valid`` were skipped, and read as the byte
    ``pad``; ``mark``, ``end`` and ``error`` are the beat's."""
    words = data.ArrayLayout(memory_response(memory), channels)
    return data.StructLayout({"words": words, "pad": 8, "mark": 1, "end": 1, "error": 1})


class Gather(wiring.Component):
    """Puts the words of a row together, fills the gaps, and rearranges the bytes as its BD says.

    Bytes are moved first and filled after, with a bit for each that says whether it is there: the
    other way round every bit would pass two multiplexers, which are one LUT together only if the
    byte itself has gone through one of them before.

    A beat is offered in the cycle in which its row is, and waits for the settings of its BD; they
    are taken with the BD's last beat. Combinational.

    Parameters
    ----------
    memory
        The scratchpad.
    channels
        Words of a row.
    orders
        By name, in their order: what a BD can have done to a beat, see
        :class:`~weft.hw.extensions.rearrangement.Rearrangement`.

    Members
    -------
    i : stream of :func:`fetched_row`
    o : stream of :func:`~weft.hw.bus.streams.compute_beat`
    <name> : stream of :func:`~weft.hw.extensions.extension.extension_setting`
        One for each BD, in order.
    """

    def __init__(
        self, *, memory: MemoryConfig, channels: int, orders: Mapping[str, Sequence[int]]
    ) -> None:
        self._memory = memory
        self._channels = channels
        self._orders = {name: tuple(order) for name, order in orders.items()}
        super().__init__(
            {
                "i": In(stream.Signature(fetched_row(memory, channels))),
                "o": Out(stream.Signature(compute_beat(channels * memory.bank_bits))),
            }
            | {name: In(stream.Signature(extension_setting(0))) for name in self._orders}
        )

    @property
    def memory(self) -> MemoryConfig:
        return self._memory

    @property
    def channels(self) -> int:
        return self._channels

    @property
    def orders(self) -> dict[str, tuple[int, ...]]:
        return dict(self._orders)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row, beat = self.i.payload, self.o.payload
        words = [row.words[channel] for channel in range(self._channels)]
        content: Value = Cat(word.data for word in words)
        there: Value = Cat(word.valid.replicate(self._memory.word_bytes) for word in words)
        settings = [getattr(self, name) for name in self._orders]
        told = Signal()
        m.d.comb += told.eq(Cat(setting.valid for setting in settings).all())
        for name, setting in zip(self._orders, settings, strict=True):
            moved, moved_there = Signal.like(content), Signal.like(there)
            order, enable = self._orders[name], setting.payload.enable
            m.d.comb += [
                moved.eq(Mux(enable, Cat(content.word_select(at, 8) for at in order), content)),
                moved_there.eq(Mux(enable, Cat(there[at] for at in order), there)),
                setting.ready.eq(told & self.i.valid & self.o.ready & row.end),
            ]
            content, there = moved, moved_there
        m.d.comb += [
            beat.data.eq(
                Cat(
                    Mux(there[byte], content.word_select(byte, 8), row.pad)
                    for byte in range(len(there))
                )
            ),
            beat.mark.eq(row.mark),
            beat.end.eq(row.end),
            beat.error.eq(row.error),
            self.o.valid.eq(self.i.valid & told),
            self.i.ready.eq(self.o.ready & told),
        ]
        return m
