"""The words of a program, fetched ahead of their use."""

from amaranth.hdl import Module, Mux, ResetInserter, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.axi import Axi4Signature, Response
from ..config import DmaConfig
from ..dma.buffer import BeatBuffer

__all__ = ["POSITION_BITS", "WORD_BITS", "ProgramFetcher", "piece_words", "program_piece"]

WORD_BITS = 64
POSITION_BITS = 32


def piece_words(dma: DmaConfig) -> int:
    """How many words come at once: an instruction and its payload, where a beat holds two."""
    return min(2, dma.data_bits // WORD_BITS)


def program_piece(dma: DmaConfig) -> data.StructLayout:
    """Consecutive ``words`` of a program, and how the bus answered the beat that they lie in.

    The position of the first is a multiple of their number.
    """
    return data.StructLayout(
        {"words": data.ArrayLayout(WORD_BITS, piece_words(dma)), "resp": Response}
    )


class ProgramFetcher(wiring.Component):
    """Reads a program in aligned bursts and gives it piece by piece, one a cycle.

    ``jump`` in cycle t forgets whatever was fetched and goes on with the piece that holds word
    `position` of the program at ``base``: its AR is raised in t+2, and a beat that comes in cycle t
    is offered in t+2. From then on bursts of up to an eighth of `fetch_beats` are read ahead, as
    far as all their beats have room, so ``r`` is always accepted. Beats in flight when a jump comes
    are thrown away as they arrive; until they have, at most `fetch_beats` beats more are in flight
    beside them.

    Reading ahead goes beyond the end of a program, for at most `fetch_beats` beats: an error there
    counts only if its word is used. No burst crosses a multiple of its longest length, and so none
    4 KiB. Behind the last address of the bus every word is a DECERR.

    Parameters
    ----------
    dma
        The bus.
    fetch_beats
        Beats of room, a power of two.

    Members
    -------
    jump, stop : 1
        Pulses; ``stop`` forgets everything and fetches nothing more.
    base : `dma.address_bits`
        A multiple of 64; constant between jumps.
    position : 32
        Counts with ``jump``.
    o : stream of :func:`program_piece`
    ar, r : stream
        As in :class:`~weft.hw.bus.axi.Axi4Signature`.
    drain : 1
        While set, no further AR is raised; one that is raised holds until it is taken.
    idle : 1
        No AR is raised and no beat is in flight.

    Attributes
    ----------
    burst_beats : int
        The longest burst.
    """

    def __init__(self, *, dma: DmaConfig, fetch_beats: int) -> None:
        self._dma = dma
        self._fetch_beats = fetch_beats
        self.burst_beats = min(dma.burst_beats, max(1, fetch_beats // 8))
        bus = Axi4Signature(address_bits=dma.address_bits, data_bits=dma.data_bits).members
        super().__init__(
            {
                "jump": In(1),
                "stop": In(1),
                "base": In(dma.address_bits),
                "position": In(POSITION_BITS),
                "o": Out(stream.Signature(program_piece(dma))),
                "ar": bus["ar"],
                "r": bus["r"],
                "drain": In(1),
                "idle": Out(1),
            }
        )

    @property
    def dma(self) -> DmaConfig:
        return self._dma

    @property
    def fetch_beats(self) -> int:
        return self._fetch_beats

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dma, room = self._dma, self._fetch_beats
        lane_bits = (dma.data_bytes - 1).bit_length()
        burst_bits = (self.burst_beats - 1).bit_length()
        piece_bits = WORD_BITS * piece_words(dma)
        pieces = dma.data_bits // piece_bits
        flush = Signal()
        m.d.comb += flush.eq(self.jump | self.stop)
        beat = data.StructLayout({"data": dma.data_bits, "resp": Response})
        buffer = BeatBuffer(beat, depth=room)
        m.submodules.buffer = ResetInserter(flush)(buffer)

        # The beat to be asked for next, and one bit more: it lies behind the last address.
        running = Signal()
        following = Signal(dma.address_bits - lane_bits + 1)
        behind = following[-1]
        start = Signal(dma.address_bits + 1)
        m.d.comb += start.eq(self.base + (self.position << 3))

        reserved = Signal(range(room + 1))  # beats in flight or in the buffer, none forgotten
        flying = Signal(range(2 * room + 1))  # beats in flight, forgotten ones as well
        forgotten = Signal(range(2 * room + 1))
        raised, taken = Signal(), Signal()
        beats = Signal(range(self.burst_beats + 1))
        asked = Mux(raised, beats, 0)
        m.d.comb += [
            beats.eq(self.burst_beats - following[:burst_bits]),
            raised.eq(
                running
                & ~flush
                & ~behind
                & ~self.drain
                & (~self.ar.valid | self.ar.ready)
                & (reserved <= room - self.burst_beats)
                & (flying <= 2 * room - self.burst_beats)
            ),
            self.idle.eq(flying == 0),
        ]
        with m.If(~self.ar.valid | self.ar.ready):
            m.d.sync += self.ar.valid.eq(raised)
            with m.If(raised):
                m.d.sync += [
                    self.ar.payload.addr.eq(following[:-1] << lane_bits),
                    self.ar.payload.len.eq(beats - 1),
                ]
        with m.If(self.jump):
            m.d.sync += [running.eq(1), following.eq(start[lane_bits:])]
        with m.Elif(self.stop):
            m.d.sync += running.eq(0)
        with m.Elif(raised):
            # To the next multiple of a burst.
            m.d.sync += following.eq(following + beats)
        arrives = self.r.valid
        m.d.comb += self.r.ready.eq(1)
        with m.If(raised | arrives):
            m.d.sync += flying.eq(flying + asked - arrives)
        with m.If(flush):
            m.d.sync += [reserved.eq(0), forgotten.eq(flying - arrives)]
        with m.Else():
            with m.If(raised | taken):
                m.d.sync += reserved.eq(reserved + asked - taken)
            with m.If(arrives & (forgotten != 0)):
                m.d.sync += forgotten.eq(forgotten - 1)
        m.d.comb += [
            buffer.i.valid.eq(arrives & (forgotten == 0) & ~flush),
            buffer.i.payload.data.eq(self.r.payload.data),
            buffer.i.payload.resp.eq(self.r.payload.resp),
        ]

        # Pieces of a beat.
        last = Signal()
        held, piece = buffer.o.payload, self.o.payload
        with m.If(buffer.o.valid):
            m.d.comb += [self.o.valid.eq(1), piece.resp.eq(held.resp)]
        with m.Elif(running & behind & (reserved == 0)):
            m.d.comb += [self.o.valid.eq(1), piece.resp.eq(Response.DECERR)]
        m.d.comb += [
            taken.eq(buffer.o.valid & self.o.ready & last),
            buffer.o.ready.eq(self.o.ready & last),
        ]
        if pieces == 1:
            m.d.comb += [piece.words.eq(held.data), last.eq(1)]
            return m
        index = Signal(range(pieces))
        m.d.comb += [
            piece.words.eq(held.data.word_select(index, piece_bits)),
            last.eq(index == pieces - 1),
        ]
        with m.If(self.jump):
            m.d.sync += index.eq(self.position[piece_words(dma) - 1 :])
        with m.Elif(buffer.o.valid & self.o.ready):
            m.d.sync += index.eq(index + 1)
        return m
