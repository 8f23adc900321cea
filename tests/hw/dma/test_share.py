import dataclasses
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from amaranth.sim import Simulator

from support.bench import collect, feed, run, stalls, watch
from weft.hw.bus.axi import Response
from weft.hw.config import DmaConfig
from weft.hw.dma.share import ReadShare, WriteShare, id_bits

DMA = DmaConfig(data_bits=32, burst_beats=4, read_buffer=8, write_buffer=8, aging=3)
CLASSES = [[True, True], [True, False], [False, True, True], [True, False, True, False, False]]
Burst = tuple[int, int]
"""Address and beats."""


def share(kind: Any, priorities: list[bool], aging: int = 3) -> Any:
    dma = dataclasses.replace(DMA, aging=aging)
    return kind(dma=dma, priorities=priorities, bits=id_bits(len(priorities)))


def bursts(clients: int, count: int, beats: int, seed: object) -> list[list[Burst]]:
    """What each client asks for; an address says whose it is, and the how-manieth."""
    pick = random.Random(repr(seed))
    return [
        [(client << 24 | number << 8, pick.randint(1, beats)) for number in range(count)]
        for client in range(clients)
    ]


def word(address: int, beat: int) -> int:
    return (address + beat) * 0x9E3779B1 & 0xFFFFFFFF


def response(address: int) -> Response:
    return [Response.OKAY, Response.SLVERR, Response.DECERR][word(address, 0) % 3]


def ask(stream: Any, wanted: list[Burst], stall: float, seed: object) -> Any:
    async def client(ctx: Any) -> None:
        items = [{"addr": address, "len": beats - 1} for address, beats in wanted]
        await feed(ctx, stream, items, stalls(stall, (seed, "ask")))

    return client


def expect(stream: Any, wanted: list[dict[str, int]], stall: float, seed: object) -> Any:
    async def client(ctx: Any) -> None:
        taken = await collect(ctx, stream, len(wanted), stalls(stall, (seed, "expect")))
        assert [{name: payload[name] for name in wanted[0]} for payload in taken] == wanted

    return client


@dataclass
class Arbitration:
    """Watches the addresses of the clients and of the port, and holds them to the contract.

    One stands on the port in every cycle in which anybody asks, except AW while two bursts a client
    wait for W; it stays until it is taken, and is taken from its client in the same cycle; nobody
    waits for more bursts than the arbiter promises.
    """

    dut: Any
    channel: str
    owners: list[int] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)

    async def watch(self, ctx: Any) -> None:
        clients, port = getattr(self.dut, self.channel), getattr(self.dut, f"bus_{self.channel}")
        count, aging = len(clients), self.dut.dma.aging
        high = sum(self.dut.priorities)
        low = count - high
        bound = {True: high - 1 + -(-high // aging), False: low - 1 + low * aging}
        watched = [signal for client in clients for signal in (client.valid, client.ready)]
        if self.channel == "aw":
            w = self.dut.bus_w
            watched.append(w.valid & w.ready & w.payload.last)
        for log in (self.owners, self.cycles):
            log.clear()
        waits = [0] * count
        cycle = waiting = 0
        held: int | None = None
        while True:
            _, _, valid, ready, payload, *seen = await ctx.tick().sample(
                port.valid, port.ready, port.payload, *watched
            )
            asking = [k for k in range(count) if seen[2 * k]]
            taken = [k for k in asking if seen[2 * k + 1]]
            owner = payload.id
            assert taken == ([owner] if valid and ready else [])
            assert valid == (held is not None or (bool(asking) and waiting < 2 * count))
            if valid:
                assert payload.addr >> 24 == owner
                assert owner in asking
                assert held in (None, owner)
            if self.channel == "aw":
                waiting += (valid and held is None) - seen[-1]
            if valid and held is None:
                assert waits[owner] <= bound[self.dut.priorities[owner]]
                waits = [wait + (k in asking) for k, wait in enumerate(waits)]
                waits[owner] = 0
                self.owners.append(owner)
                self.cycles.append(cycle)
            held = owner if valid and not ready else None
            cycle += 1


@dataclass
class ReadSlave:
    """Answers the port's reads, the beats of different clients mixed at random."""

    dut: Any
    stall: float
    seed: object
    beats: int = 0
    cycles: list[int] = field(default_factory=list)

    async def serve(self, ctx: Any) -> None:
        ar, r = self.dut.bus_ar, self.dut.bus_r
        pick = random.Random(repr(self.seed))
        shape = r.payload.shape()
        owed: dict[int, list[dict[str, int]]] = {k: [] for k in range(len(self.dut.ar))}
        offering, cycle = False, 0
        self.cycles.clear()
        while True:
            accepting = pick.random() >= self.stall
            ctx.set(ar.ready, accepting)
            able = [k for k, beats in owed.items() if beats]
            if not offering and able and pick.random() >= self.stall:
                ctx.set(r.payload, shape.const(owed[pick.choice(able)].pop(0)))
                ctx.set(r.valid, 1)
                offering = True
            _, _, asked, payload, taken = await ctx.tick().sample(ar.valid, ar.payload, r.ready)
            if offering and taken:
                ctx.set(r.valid, 0)
                offering = False
                self.cycles.append(cycle)
            if asked and accepting:
                owed[payload.id] += [
                    {"id": payload.id} | beat for beat in answer(payload.addr, payload.len + 1)
                ]
            cycle += 1


def answer(address: int, beats: int) -> list[dict[str, int]]:
    return [
        {"data": word(address, k), "resp": response(address), "last": k == beats - 1}
        for k in range(beats)
    ]


@pytest.mark.parametrize("priorities", CLASSES)
@pytest.mark.parametrize("stall", [0.0, 0.3, 0.9])
def test_reads_come_back_to_who_asked(priorities: list[bool], stall: float) -> None:
    dut = share(ReadShare, priorities)
    clients, seed = len(priorities), (priorities, stall)
    wanted = bursts(clients, 10 if stall < 0.5 else 3, 3, seed)
    benches = []
    for k, mine in enumerate(wanted):
        benches.append(ask(dut.ar[k], mine, stall, (seed, k)))
        beats = [beat for burst in mine for beat in answer(*burst)]
        benches.append(expect(dut.r[k], beats, stall, (seed, k)))
    slave = ReadSlave(dut, stall, seed)
    arbitration = Arbitration(dut, "ar")
    run(dut, benches, background=[slave.serve, arbitration.watch, watch(dut.bus_ar)])
    assert sorted(arbitration.owners) == [k for k, mine in enumerate(wanted) for _ in mine]


def test_reads_run_at_full_rate() -> None:
    """An address and a beat in every cycle, whoever they belong to."""
    dut = share(ReadShare, [True, True, True])
    wanted = bursts(3, 20, 1, 0)
    benches = [ask(dut.ar[k], mine, 0.0, k) for k, mine in enumerate(wanted)]
    benches += [
        expect(dut.r[k], [beat for burst in mine for beat in answer(*burst)], 0.0, k)
        for k, mine in enumerate(wanted)
    ]
    slave, arbitration = ReadSlave(dut, 0.0, 0), Arbitration(dut, "ar")
    run(dut, benches, background=[slave.serve, arbitration.watch])
    assert arbitration.owners == [0, 1, 2] * 20
    assert arbitration.cycles == list(range(60))
    # Answered in the cycle after.
    assert slave.cycles == list(range(1, 61))


def test_one_client_alone_has_every_cycle() -> None:
    dut = share(ReadShare, [False, True, True])
    (wanted,) = bursts(1, 20, 1, 0)
    slave, arbitration = ReadSlave(dut, 0.0, 0), Arbitration(dut, "ar")
    beats = [beat for burst in wanted for beat in answer(*burst)]
    benches = [ask(dut.ar[0], wanted, 0.0, 0), expect(dut.r[0], beats, 0.0, 0)]
    run(dut, benches, background=[slave.serve, arbitration.watch])
    assert arbitration.cycles == list(range(20))


def test_the_high_class_goes_first_and_the_low_one_is_not_starved() -> None:
    dut = share(ReadShare, [False, True, True], aging=3)
    benches = [ask(dut.ar[k], mine, 0.0, k) for k, mine in enumerate(bursts(3, 9, 1, 0))]

    async def bus(ctx: Any) -> None:
        ctx.set(dut.bus_ar.ready, 1)

    arbitration = Arbitration(dut, "ar")
    run(dut, [bus, *benches], background=[arbitration.watch])
    assert arbitration.owners[:12] == [1, 2, 1, 0, 2, 1, 2, 0, 1, 2, 1, 0]


@dataclass
class WriteSlave:
    """Takes the port's writes and answers them, of different clients in any order."""

    dut: Any
    stall: float
    seed: object
    written: list[tuple[int, int, list[tuple[int, int, int]]]] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)

    async def serve(self, ctx: Any) -> None:
        aw, w, b = self.dut.bus_aw, self.dut.bus_w, self.dut.bus_b
        pick = random.Random(repr(self.seed))
        shape = b.payload.shape()
        asked: list[tuple[int, int, int]] = []
        beats: list[tuple[int, int, int]] = []
        owed: dict[int, list[Response]] = {k: [] for k in range(len(self.dut.aw))}
        self.written.clear(), self.cycles.clear()
        offering, cycle = False, 0
        while True:
            open_aw, open_w = pick.random() >= self.stall, pick.random() >= self.stall
            ctx.set(aw.ready, open_aw)
            ctx.set(w.ready, open_w)
            able = [k for k, answers in owed.items() if answers]
            if not offering and able and pick.random() >= self.stall:
                number = pick.choice(able)
                ctx.set(b.payload, shape.const({"id": number, "resp": owed[number].pop(0)}))
                ctx.set(b.valid, 1)
                offering = True
            _, _, is_asked, address, is_given, beat, taken = await ctx.tick().sample(
                aw.valid, aw.payload, w.valid, w.payload, b.ready
            )
            if offering and taken:
                ctx.set(b.valid, 0)
                offering = False
            if is_asked and open_aw:
                asked.append((address.id, address.addr, address.len + 1))
            if is_given and open_w:
                beats.append((beat.data, beat.strb, beat.last))
                self.cycles.append(cycle)
            if asked and len(beats) >= asked[0][2]:
                number, start, count = asked.pop(0)
                self.written.append((number, start, beats[:count]))
                del beats[:count]
                owed[number].append(response(start))
            cycle += 1


def data(burst: Burst) -> list[dict[str, int]]:
    address, beats = burst
    return [
        {"data": word(address, k), "strb": word(address, k) >> 7 & 0xF, "last": k == beats - 1}
        for k in range(beats)
    ]


def give(stream: Any, wanted: list[Burst], stall: float, seed: object) -> Any:
    """W of a client that may offer its data long before their address, or after."""

    async def client(ctx: Any) -> None:
        beats = [beat for burst in wanted for beat in data(burst)]
        await feed(ctx, stream, beats, stalls(stall, (seed, "give")))

    return client


def write_benches(dut: Any, wanted: list[list[Burst]], stall: float, seed: object) -> list[Any]:
    benches = []
    for k, mine in enumerate(wanted):
        answers = [{"resp": response(address)} for address, _ in mine]
        benches += [
            ask(dut.aw[k], mine, stall, (seed, k)),
            give(dut.w[k], mine, stall, (seed, k)),
            expect(dut.b[k], answers, stall, (seed, k)),
        ]
    return benches


def check_written(slave: WriteSlave, arbitration: Arbitration, wanted: list[list[Burst]]) -> None:
    """Every burst whole, with its own data, in the order in which the addresses were taken."""
    left = [list(mine) for mine in wanted]
    expected = []
    for owner in arbitration.owners:
        burst = left[owner].pop(0)
        beats = [(beat["data"], beat["strb"], beat["last"]) for beat in data(burst)]
        expected.append((owner, burst[0], beats))
    assert slave.written == expected
    assert not any(left)


@pytest.mark.parametrize("priorities", CLASSES)
@pytest.mark.parametrize("stall", [0.0, 0.3, 0.9])
def test_writes_keep_the_order_of_their_addresses(priorities: list[bool], stall: float) -> None:
    dut = share(WriteShare, priorities)
    seed = (priorities, stall)
    wanted = bursts(len(priorities), 10 if stall < 0.5 else 3, 3, seed)
    slave, arbitration = WriteSlave(dut, stall, seed), Arbitration(dut, "aw")
    run(
        dut,
        write_benches(dut, wanted, stall, seed),
        background=[slave.serve, arbitration.watch, watch(dut.bus_aw), watch(dut.bus_w)],
    )
    check_written(slave, arbitration, wanted)


@pytest.mark.parametrize("beats", [1, 3])
def test_writes_run_at_full_rate(beats: int) -> None:
    """A beat in every cycle, though the bursts have any length and change hands every time."""
    dut = share(WriteShare, [True, True, True])
    wanted = bursts(3, 20, beats, beats)
    slave, arbitration = WriteSlave(dut, 0.0, 0), Arbitration(dut, "aw")
    run(
        dut,
        write_benches(dut, wanted, 0.0, 0),
        background=[slave.serve, arbitration.watch, watch(dut.bus_w)],
    )
    check_written(slave, arbitration, wanted)
    assert arbitration.owners == [0, 1, 2] * 20
    total = sum(count for mine in wanted for _, count in mine)
    # The first beat comes in the cycle after its address.
    assert slave.cycles == list(range(1, 1 + total))
    if beats == 1:
        assert arbitration.cycles == list(range(60))


def test_an_answer_to_nobody_is_not_taken() -> None:
    reads, writes = share(ReadShare, [True] * 3), share(WriteShare, [True] * 3)
    for dut, channel in ((reads, "r"), (writes, "b")):

        async def check(ctx: Any, dut: Any = dut, channel: str = channel) -> None:
            port, clients = getattr(dut, f"bus_{channel}"), getattr(dut, channel)
            for client in clients:
                ctx.set(client.ready, 1)
            ctx.set(port.valid, 1)
            for number in range(4):
                ctx.set(port.payload.id, number)
                assert [ctx.get(client.valid) for client in clients] == [
                    k == number for k in range(3)
                ]
                assert ctx.get(port.ready) == (number < 3)

        run(dut, [check])


@pytest.mark.parametrize("bits", [0, 2])
def test_one_client_is_wires(bits: int) -> None:
    """Everything passes in its own cycle, both ways, and the ID, if there is one, is 0."""
    reads = ReadShare(dma=DMA, priorities=[True], bits=bits)
    writes = WriteShare(dma=DMA, priorities=[False], bits=bits)
    for dut, forward, backward in ((reads, ["ar"], "r"), (writes, ["aw", "w"], "b")):

        async def check(
            ctx: Any, dut: Any = dut, forward: list[str] = forward, backward: str = backward
        ) -> None:
            pairs = [(getattr(dut, name)[0], getattr(dut, f"bus_{name}")) for name in forward]
            pairs.append((getattr(dut, f"bus_{backward}"), getattr(dut, backward)[0]))
            for source, target in pairs:
                names = set(source.payload.shape().members) & set(target.payload.shape().members)
                for value in (1, 0):
                    ctx.set(source.valid, value)
                    ctx.set(target.ready, value)
                    for name in names:
                        ctx.set(source.payload[name], value)
                    assert ctx.get(target.valid) == ctx.get(source.ready) == value
                    assert all(ctx.get(target.payload[name]) == value for name in names)
            if bits:
                assert ctx.get(getattr(dut, f"bus_{forward[0]}").payload.id) == 0

        simulator = Simulator(dut)
        simulator.add_testbench(check)
        simulator.run()


def test_impossible_shares_are_refused() -> None:
    for kind in (ReadShare, WriteShare):
        with pytest.raises(ValueError, match="at least one client"):
            kind(dma=DMA, priorities=[], bits=1)
        with pytest.raises(ValueError, match="1 bits of ID do not tell 3 clients apart"):
            kind(dma=DMA, priorities=[True] * 3, bits=1)
