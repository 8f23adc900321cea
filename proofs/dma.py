"""The DRAM ports: reads never lack room, a write burst is raised when it is buffered whole."""

from types import SimpleNamespace
from typing import Any

from amaranth.hdl import Assume, Module, Mux, Signal, Value

from weft.hw.config import AcceleratorConfig, DmaConfig, MemoryConfig, MoverConfig
from weft.hw.dma.read import Mm2sPort
from weft.hw.dma.write import S2mmPort

from .harness import always, contents, free, strengthen, total
from .proof import Mutant, Proof
from .specs import Steady

__all__ = ["PROOFS"]

OUTSTANDING = 2
BUFFER = 3
CAP = 2
CONFIG = AcceleratorConfig(
    name="proof",
    memory=MemoryConfig(banks=2, bank_bits=32, rows=2, groups=(2,)),
    movers=(
        MoverConfig(name="X", kind="read", bind="S2MM0", spatial_bounds=(1,), loops=1),
        MoverConfig(name="Y", kind="write", bind="MM2S0", spatial_bounds=(1,), loops=1),
        MoverConfig(name="MM2S0", kind="mm2s", bind="Y", loops=1),
        MoverConfig(name="S2MM0", kind="s2mm", bind="X", loops=1),
    ),
    dma=DmaConfig(
        data_bits=32,
        address_bits=32,
        burst_beats=CAP,
        read_outstanding=OUTSTANDING,
        write_outstanding=OUTSTANDING,
        read_buffer=BUFFER,
        write_buffer=BUFFER,
        windows=1,
    ),
)


def read_harness(design: Any) -> Module:
    m = Module()
    m.submodules.port = port = design(config=CONFIG, mover=CONFIG.mover("MM2S0"))
    free(m, port.core.rows.valid, port.core.rows.payload, port.o.ready, port.drain, port.windows)
    free(m, port.ar.ready, port.r.valid, port.r.payload)
    m.submodules.steady_ar = Steady(port.ar)
    m.submodules.steady_o = Steady(port.o)

    # The memory answers what it has accepted, in order: beats to come of each burst.
    owed = [Signal(4, name=f"owed_{place}") for place in range(OUTSTANDING)]
    raised = port.ar.valid
    accepted = Mux(raised & port.ar.ready, port.ar.payload.len + 1, 0)
    answered = port.r.valid & port.r.payload.last
    with m.If(port.r.valid):
        m.d.comb += Assume(owed[0] != 0)
        m.d.comb += Assume(port.r.payload.last == (owed[0] == 1))
    first = owed[0] - port.r.valid
    with m.If(answered | (owed[0] == 0)):
        m.d.sync += [owed[0].eq(Mux(owed[1] == 0, accepted, owed[1]))]
        m.d.sync += owed[1].eq(Mux(owed[1] == 0, 0, accepted))
    with m.Else():
        m.d.sync += owed[0].eq(first)
        with m.If(accepted != 0):
            m.d.sync += owed[1].eq(accepted)
    bursts = total(burst != 0 for burst in owed)
    always(m, ~raised | (port.ar.payload.len < BUFFER), "no burst is longer than the buffer")
    always(m, port.r.ready, "R is always accepted")
    always(m, ~port.r.valid | (port.fill != BUFFER), "R always has room")
    always(m, bursts + raised <= OUTSTANDING, "no more bursts in flight than allowed")
    always(m, port.idle == (bursts + raised == 0), "idle when none is")
    asked = total(owed) + Mux(raised, port.ar.payload.len + 1, 0)
    always(m, port.fill + asked <= BUFFER, "every beat in flight has a place reserved")

    def invariant(inner: Module, inside: SimpleNamespace) -> None:
        buffer = inside.buffer
        beats = asked + buffer.held + buffer.o.valid
        always(inner, inside.credits + beats == BUFFER, "a credit for every place")
        always(inner, inside.outstanding == bursts + raised, "every burst is counted")
        always(inner, (owed[1] == 0) | (owed[0] != 0), "the memory's bursts stand in order")

    strengthen(port, invariant)
    return m


def write_harness(design: Any) -> Module:
    m = Module()
    m.submodules.port = port = design(config=CONFIG, mover=CONFIG.mover("S2MM0"))
    free(m, port.core.rows.valid, port.core.rows.payload, port.i.valid, port.i.payload)
    free(m, port.drain, port.windows, port.aw.ready, port.w.ready, port.b.valid, port.b.payload)
    m.submodules.steady_aw = Steady(port.aw)
    m.submodules.steady_w = Steady(port.w)

    # A burst counts from the cycle in which its AW is first there.
    pending = Signal()
    fresh, moved, answered = Signal(), Signal(), Signal()
    m.d.sync += pending.eq(port.aw.valid & ~port.aw.ready)
    m.d.comb += [
        fresh.eq(port.aw.valid & ~pending),
        moved.eq(port.w.valid & port.w.ready),
        answered.eq(port.b.valid & port.b.ready),
    ]
    # Beats to come on W: of the oldest burst, and of the one after it.
    oldest, second = Signal(8), Signal(8)
    beats = Mux(fresh, port.aw.payload.len + 1, 0)
    with m.If((oldest == 0) | (moved & (oldest == 1))):
        m.d.sync += [oldest.eq(Mux(second == 0, beats, second))]
        m.d.sync += second.eq(Mux(second == 0, 0, beats))
    with m.Else():
        m.d.sync += oldest.eq(oldest - moved)
        with m.If(fresh):
            m.d.sync += second.eq(beats)
    in_flight, unanswered = Signal(8), Signal(8)
    m.d.sync += in_flight.eq(in_flight + fresh - answered)
    m.d.sync += unanswered.eq(unanswered + (moved & port.w.payload.last) - answered)
    with m.If(port.b.valid):
        m.d.comb += Assume(unanswered != 0)
    always(m, (oldest == 0) | port.w.valid, "from AW on, W never waits for data")
    always(m, ~port.w.valid | (oldest != 0), "no W beat before or beyond its AW")
    with m.If(port.w.valid):
        always(m, port.w.payload.last == (oldest == 1), "last with the last beat of the burst")
    always(m, ~fresh | (second == 0), "no AW before the burst before has all its beats on W")
    always(m, in_flight + fresh <= OUTSTANDING, "no more bursts in flight than allowed")
    always(m, port.idle == (in_flight + fresh == 0), "idle when none is")

    def invariant(inner: Module, inside: SimpleNamespace) -> None:
        buffer, claimed = inside.buffer, inside.left
        waiting: Value = buffer.held + buffer.o.valid
        always(inner, inside.buffered + claimed == waiting, "a beat is claimed or is not")
        always(inner, (claimed == 0) | buffer.o.valid, "the next beat is at hand")
        left = Mux(inside.dropping, 0, claimed)  # a burst outside all windows has no W
        always(inner, inside.outstanding == in_flight + fresh, "every burst is counted")
        always(inner, in_flight <= OUTSTANDING, "the count is in range")
        with inner.If(~port.w.valid):
            always(inner, (left == beats) & (second == 0), "nothing on W before the burst")
        with inner.Elif(port.w.payload.last):
            always(inner, left == second + beats, "what follows the last beat is the next burst")
        with inner.Else():
            always(inner, (left + 1 == oldest) & (left != 0), "what follows is the burst's rest")
            always(inner, (second == 0) & ~fresh, "and no other burst")
        waits_for_last = total((oldest != 0, second != 0))
        always(
            inner,
            in_flight == unanswered + waits_for_last,
            "a burst waits for its last beat or for its answer",
        )

        def short(ring: Module, names: SimpleNamespace) -> None:
            for row in contents(ring, names.storage):
                burst = inside.bursts.shape(row)
                always(ring, burst.none | (burst.len < CAP), "no burst is longer than the cap")

        def capped(cutting: Module, names: SimpleNamespace) -> None:
            longest = names.held.longest
            always(
                cutting,
                ~names.cutting | ((longest != 0) & (longest <= CAP)),
                "nor is the next to be cut",
            )

        def planned(planner: Module, names: SimpleNamespace) -> None:
            strengthen(names.legalizer, capped)

        strengthen(inside.bursts, short)
        strengthen(inside.planner, planned)

    strengthen(port, invariant)
    return m


_SIZE = f"{BUFFER} beats of buffer, {OUTSTANDING} outstanding, cap {CAP}"

PROOFS = (
    Proof(
        name="read-credits",
        design=Mm2sPort,
        claim="every beat asked for has a place reserved: R is always accepted and always has "
        "room; every burst in flight is counted, none beyond the limit; AR and the stream hold "
        "while stalled",
        size=_SIZE,
        harness=read_harness,
        depth=2,
        mutants=(
            Mutant(
                flaw="asks for a beat more than it has room for",
                old="(spare >= 0)",
                new="(spare >= -1)",
            ),
            Mutant(
                flaw="gives a credit back twice when a burst is raised",
                old="spare + freed",
                new="spare + freed + freed",
            ),
            Mutant(
                flaw="raises a burst over an AR that is not taken",
                old="                & (~self.ar.valid | self.ar.ready)\n",
                new="",
            ),
            Mutant(
                flaw="forgets a burst raised in the cycle of another's last beat",
                old="with m.If(raised & ~answered_last):",
                new="with m.If(answered_last & raised):\n"
                "            m.d.sync += outstanding.eq(outstanding - 1)\n"
                "        with m.Elif(raised):",
            ),
        ),
        reach=8,
    ),
    Proof(
        name="write-bursts",
        design=S2mmPort,
        claim="AW is raised when the whole burst is buffered: from then on W never waits for data; "
        "as many W beats as AW says, the last one marked; none beyond the limit in flight; AW and "
        "W hold while stalled",
        size=_SIZE,
        harness=write_harness,
        depth=2,
        mutants=(
            Mutant(
                flaw="raises AW a beat early",
                old="(spare >= 0)",
                new="(spare >= -1)",
            ),
            Mutant(
                flaw="raises a burst over an AW that is not taken",
                old="(outstanding != dma.write_outstanding) & aw_free)",
                new="(outstanding != dma.write_outstanding))",
            ),
            Mutant(
                flaw="marks the first beat as the last",
                old="self.w.payload.last.eq(left == 1)",
                new="self.w.payload.last.eq(left == beats)",
            ),
        ),
        reach=10,
    ),
)
