"""Cutting in the DMA: spans into the bursts that AXI4 allows, runs into pieces of bus beats."""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Assume, Module, Mux, Signal

from weft.hw.config import BOUNDARY_BYTES
from weft.hw.dma.cutter import RunCutter
from weft.hw.dma.legalizer import BurstLegalizer
from weft.hw.mover.descriptor import RUN_LENGTH_BITS

from .harness import always, free, strengthen
from .proof import Mutant, Proof
from .specs import Steady

__all__ = ["PROOFS"]

ADDRESS_BITS = 26
LANES = 4
LANE_BITS = 2
CAP = 8
"""Beats of a burst."""


def legalizer_harness(design: Any) -> Module:
    m = Module()
    m.submodules.legalizer = legalizer = design(
        address_bits=ADDRESS_BITS, data_bits=8 * LANES, burst_beats=CAP
    )
    span, burst = legalizer.i.payload, legalizer.o.payload
    free(m, legalizer.i.valid, span, legalizer.o.ready)
    m.submodules.steady = Steady(legalizer.o)
    size = (span.after - span.address)[:ADDRESS_BITS]
    m.d.comb += Assume(span.exists == (size != 0))
    m.d.comb += Assume(size < 1 << RUN_LENGTH_BITS + 1)
    m.d.comb += Assume(span.address + size <= 1 << ADDRESS_BITS)

    # The span whose burst is offered: the one begun, or the one that is coming in.
    begun, end = Signal(), Signal()
    before, behind, fresh = Signal(LANE_BITS), Signal(LANE_BITS), Signal()
    beat, left = Signal(ADDRESS_BITS), Signal(RUN_LENGTH_BITS)
    first = span.address >> LANE_BITS
    last_of_span = (span.after - 1)[:ADDRESS_BITS]
    touched = Mux(span.exists, (last_of_span >> LANE_BITS) - first + 1, 0)
    now_beat, now_left, now_end = Signal.like(beat), Signal.like(left), Signal()
    m.d.comb += [
        now_beat.eq(Mux(begun, beat, first)),
        now_left.eq(Mux(begun, left, touched)),
        now_end.eq(Mux(begun, end, span.end)),
    ]
    taken = Mux(now_left == 0, 0, burst.len + 1)
    over = Signal()
    m.d.comb += over.eq(taken >= now_left)
    always(m, legalizer.o.valid == (begun | legalizer.i.valid), "a burst as long as there is one")
    always(m, legalizer.i.ready == (~begun | (legalizer.o.ready & over)), "no bubble between spans")
    with m.If(legalizer.o.valid):
        always(m, burst.none == (now_left == 0), "none for an empty span only")
        always(m, burst.end == (now_end & over), "end with the last burst of the BD's last span")
        lead = Mux(begun, Mux(fresh, before, 0), span.address[:LANE_BITS])
        rest = Mux(begun, behind, (-span.after)[:LANE_BITS])
        with m.If(now_left != 0):
            first_byte = burst.addr
            last_byte = burst.addr + taken * LANES - 1
            room = (BOUNDARY_BYTES - now_beat * LANES % BOUNDARY_BYTES) // LANES
            always(m, first_byte == now_beat << LANE_BITS, "bursts are consecutive and aligned")
            always(m, burst.before == lead, "the first burst begins with the span")
            always(m, burst.behind == Mux(over, rest, 0), "the last burst ends with it")
            always(m, taken <= now_left, "no beat beyond the span")
            always(m, taken <= CAP, "no burst beyond the cap")
            always(
                m,
                first_byte // BOUNDARY_BYTES == last_byte // BOUNDARY_BYTES,
                "no burst crosses a 4 KiB boundary",
            )
            always(
                m,
                (taken == now_left) | (taken == CAP) | (taken == room),
                "a burst is as long as span, cap and page allow",
            )

    with m.If(begun & legalizer.o.ready & over):
        m.d.sync += [begun.eq(legalizer.i.valid), beat.eq(first), left.eq(touched)]
        m.d.sync += [end.eq(span.end), fresh.eq(1)]
        m.d.sync += [before.eq(span.address), behind.eq(-span.after)]
    with m.Elif(legalizer.o.valid):
        m.d.sync += [end.eq(now_end), fresh.eq(~legalizer.o.ready & (fresh | ~begun))]
        with m.If(~begun):
            m.d.sync += [before.eq(span.address), behind.eq(-span.after)]
        with m.If(legalizer.o.ready):
            m.d.sync += [begun.eq(~over), beat.eq(now_beat + taken), left.eq(now_left - taken)]
        with m.Else():
            m.d.sync += [begun.eq(1), beat.eq(now_beat), left.eq(now_left)]

    def invariant(inner: Module, inside: SimpleNamespace) -> None:
        always(inner, inside.cutting == begun, "a span is in the registers")
        with inner.If(begun):
            held = inside.held
            room = BOUNDARY_BYTES // LANES - beat[: (BOUNDARY_BYTES // LANES - 1).bit_length()]
            always(inner, held.beat == beat, "the next beat")
            always(inner, held.more == Mux(left == 0, 0, left - 1), "the beats to come")
            always(inner, held.exists == (left != 0), "whether there is one")
            always(inner, held.longest == Mux(room < CAP, room, CAP), "as many in a burst")
            always(inner, held.before == Mux(fresh, before, 0), "the first lanes")
            always(inner, held.behind == behind, "the last lanes")
            always(inner, held.end == end, "the end of the BD")
            always(inner, beat + left <= 1 << (ADDRESS_BITS - LANE_BITS), "in the address space")
            always(inner, left <= (1 << RUN_LENGTH_BITS + 1 - LANE_BITS) + 1, "of one span")

    strengthen(legalizer, invariant)
    return m


def cutter_harness(design: Any) -> Module:
    m = Module()
    m.submodules.cutter = cutter = design(address_bits=ADDRESS_BITS, lanes=LANES)
    run, piece = cutter.i.payload, cutter.o.payload
    free(m, cutter.i.valid, run, cutter.o.ready)
    m.submodules.steady = Steady(cutter.o)
    length = run.low + run.size + run.high
    m.d.comb += Assume((length != 0) & (length < 1 << RUN_LENGTH_BITS + 1))

    # The run that is being cut, and how many of its bytes have gone.
    cutting = Signal()
    kept = Signal.like(run)
    gone = Signal(RUN_LENGTH_BITS + 1)
    existing_to = kept.low + kept.size
    total = existing_to + kept.high
    exists = (gone >= kept.low) & (gone < existing_to)
    lane = Mux(exists, (kept.address + gone - kept.low)[:LANE_BITS], 0)
    region_to = Mux(gone < kept.low, kept.low, Mux(exists, existing_to, total))
    last = Signal()
    m.d.comb += last.eq(gone + piece.count == total)
    always(m, cutter.o.valid == cutting, "a piece as long as the run lasts")
    always(m, cutter.i.ready == (~cutting | (cutter.o.ready & last)), "no bubble between runs")
    with m.If(cutting):
        always(m, piece.exists == exists, "a piece exists as its bytes do")
        always(m, piece.lane == lane, "the lane is that of the piece's first byte")
        always(m, piece.count != 0, "a piece has a byte")
        always(m, piece.lane + piece.count <= LANES, "a piece lies in one beat")
        always(m, gone + piece.count <= region_to, "no piece is both clipped and existing")
        always(
            m,
            (gone + piece.count == region_to) | (piece.lane + piece.count == LANES),
            "a piece is as long as run and beat allow",
        )
        always(m, piece.end == (kept.end & last), "end with the last piece of the BD")
        always(m, piece.pad == kept.pad, "the pad is the run's")
        always(m, piece.address == kept.address, "the address is the run's")

    with m.If(cutter.i.valid & cutter.i.ready):
        m.d.sync += [cutting.eq(1), kept.eq(run), gone.eq(0)]
    with m.Elif(cutter.o.valid & cutter.o.ready):
        m.d.sync += [cutting.eq(~last), gone.eq(gone + piece.count)]

    def invariant(inner: Module, inside: SimpleNamespace) -> None:
        with inner.If(cutting):
            always(inner, (gone < total) & (total < 1 << RUN_LENGTH_BITS + 1), "bytes are to come")
            in_low, below_high = gone < kept.low, gone < existing_to
            for register, value, what in (
                (inside.left, region_to - gone, "the bytes to come of the piece's kind"),
                (inside.body, in_low & (kept.size != 0), "existing bytes come behind them"),
                (inside.tail, below_high & (kept.high != 0), "high bytes come behind them"),
                (inside.end, kept.end, "the end of the BD"),
            ):
                always(inner, register == value, what)
            with inner.If(inside.body):
                always(inner, inside.then_size == kept.size, "how many existing bytes")
                always(inner, inside.then_lane == kept.address[:LANE_BITS], "their first lane")
            with inner.If(inside.tail):
                always(inner, inside.then_high == kept.high, "how many high bytes")

    strengthen(cutter, invariant)
    return m


PROOFS = (
    Proof(
        name="bursts",
        design=BurstLegalizer,
        claim="bursts are consecutive, hold exactly the beats that the span touches, never cross "
        "4 KiB, stay within the cap, and are as long as that allows; `end` comes once; payload and "
        "valid hold while stalled",
        size=f"{8 * LANES}-bit bus, cap {CAP}, {ADDRESS_BITS}-bit addresses, spans full width",
        harness=legalizer_harness,
        depth=2,
        mutants=(
            Mutant(
                flaw="disregards the page",
                old="Mux(block == last - bursts, low, 0)",
                new="0",
            ),
            Mutant(
                flaw="forgets a beat that is begun",
                old="Cat(1, after) + Cat(partial, ~first)",
                new="Cat(1, after) + Cat(0, ~first)",
            ),
            Mutant(
                flaw="ends with every burst",
                old="now.end & final",
                new="now.end",
            ),
            Mutant(
                flaw="forgets a first burst that is not taken at once",
                old="cutting & spans.valid, burst.valid)",
                new="cutting & spans.valid, cutting | burst.ready & burst.valid)",
            ),
        ),
        reach=4,
    ),
    Proof(
        name="pieces",
        design=RunCutter,
        claim="the pieces are the run's bytes, once each and in order; none lies in two beats or "
        "is both clipped and existing; `end` comes once; payload and valid hold while stalled",
        size=f"{LANES} lanes, runs full width",
        harness=cutter_harness,
        depth=2,
        mutants=(
            Mutant(
                flaw="starts every beat in the run's lane",
                old="[left.eq(left - room), piece.lane.eq(0)]",
                new="[left.eq(left - room)]",
            ),
            Mutant(
                flaw="ends before the high bytes",
                old="final.eq(done & ~body & ~tail)",
                new="final.eq(done & ~body)",
            ),
            Mutant(
                flaw="takes the next run while stalled",
                old="~self.o.valid | (self.o.ready & final)",
                new="~self.o.valid | final",
            ),
        ),
        reach=5,
    ),
)
