"""Several channels on one port of the scratchpad."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..bus.tcdm import MemoryPortSignature
from ..bus.turns import next_in_circle
from ..config import MemoryConfig

__all__ = ["PortShare"]


class PortShare(wiring.Component):
    """Lets several clients use one memory port in turn.

    Whoever asks first after the last one served, in a circle, is presented to the memory and stays
    so until its grant. So with n clients one waits for n - 1 grants of others at most, and one that
    asks alone has every cycle. ``memory.req`` is combinational from the requests, and their
    ``ready`` from ``memory.req.ready``; no cycle is lost on the way. With ``memory.looks_ahead``
    whose turn it is comes from a register, since it is chosen from what the clients will ask. What
    does not count in a read, its data, may be whatever a writer has. A response is passed on, in
    its cycle, to the client whose read it answers.

    With ``memory.fill_priority`` the port is urgent while any client that asks is: who stands
    before it must go, for it to come.

    Parameters
    ----------
    memory
        The scratchpad.
    reads
        One entry a client: whether it reads, else it writes and never gets a response.

    Members
    -------
    clients : the clients' memory ports
    memory : the shared port
    """

    def __init__(self, *, memory: MemoryConfig, reads: Sequence[bool]) -> None:
        self._config = memory
        self._reads = tuple(reads)
        port = MemoryPortSignature(memory)
        super().__init__({"clients": In(port).array(len(self._reads)), "memory": Out(port)})

    @property
    def config(self) -> MemoryConfig:
        return self._config

    @property
    def reads(self) -> tuple[bool, ...]:
        return self._reads

    def elaborate(self, platform: object) -> Module:
        m = Module()
        request = self.memory.req
        turn = self._look_ahead(m) if self._config.looks_ahead else self._choose(m)

        m.submodules.present = present = Module()
        number = _number(turn)
        present.d.comb += request.valid.eq(turn.any())
        place = Cat(request.payload.bank, request.payload.row, request.payload.write)
        with present.Switch(number):
            for index, client in enumerate(self.clients):
                given = client.req.payload
                with present.Case(index):
                    present.d.comb += place.eq(Cat(given.bank, given.row, given.write))
        # A single writer's word is wired through.
        word = Cat(request.payload.data, request.payload.strobe)
        writers = [index for index, reads in enumerate(self._reads) if not reads]
        with present.Switch(number):
            for index in writers:
                given = self.clients[index].req.payload
                with present.Case(index) if index != writers[-1] else present.Default():
                    present.d.comb += word.eq(Cat(given.data, given.strobe))
        for index, client in enumerate(self.clients):
            present.d.comb += client.req.ready.eq(request.ready & turn[index])
        if self._config.fill_priority:
            urgent = Cat(client.req.valid & client.urgent for client in self.clients)
            present.d.comb += self.memory.urgent.eq(urgent.any())
        self._respond(m, turn)
        return m

    def _choose(self, m: Module) -> Signal:
        """Whose turn it is, one-hot, of those that ask."""
        asking = Cat(client.req.valid for client in self.clients)
        turn, after = Signal.like(asking), Signal.like(asking)
        winner, beyond = next_in_circle(m, asking, after)
        m.d.comb += turn.eq(winner)
        with m.If(asking.any()):
            # One that is not granted is the first again in the next cycle.
            m.d.sync += after.eq(Mux(self.memory.req.ready, beyond, beyond | turn))
        return turn

    def _look_ahead(self, m: Module) -> Signal:
        """As :meth:`_choose`, from a register: of those that will ask when the port moves on.

        Who is not presented keeps its request, or takes up what follows where it has none.
        """
        request, following = self.memory.req, self.memory.following
        turn = Signal(len(self.clients))
        waiting = Cat(client.req.valid for client in self.clients) & ~turn
        coming, after = Signal.like(turn), Signal.like(turn)
        m.d.comb += coming.eq(waiting | Cat(client.following.valid for client in self.clients))
        winner, beyond = next_in_circle(m, coming, after)
        with m.If(~request.valid | request.ready):
            m.d.sync += turn.eq(winner)
            with m.If(coming.any()):
                m.d.sync += after.eq(beyond)

        m.submodules.foretell = foretell = Module()
        foretell.d.comb += following.valid.eq(coming.any())
        with foretell.Switch(_number(winner)):
            for index, client in enumerate(self.clients):
                shown = client.req.payload.bank
                with foretell.Case(index):
                    foretell.d.comb += following.bank.eq(
                        Mux(waiting[index], shown, client.following.bank)
                    )
        return turn

    def _respond(self, m: Module, turn: Signal) -> None:
        """Pass on the responses, which come ``memory.latency`` cycles after their grants."""
        # A module of its own: responses do not move the requests.
        m.submodules.response = response = Module()
        readers = [index for index, reads in enumerate(self._reads) if reads]
        whose = Cat(turn[index] for index in readers)
        if len(readers) > 1:
            for stage in range(self._config.latency):
                following = Signal(len(readers), name=f"whose_{stage}")
                m.d.sync += following.eq(whose)
                whose = following
        for place, index in enumerate(readers):
            own = whose[place] if len(readers) > 1 else 1
            response.d.comb += [
                self.clients[index].rsp.valid.eq(self.memory.rsp.valid & own),
                self.clients[index].rsp.data.eq(self.memory.rsp.data),
            ]


def _number(one_hot: Value) -> Value:
    """The binary number of the bit that is set."""
    return Cat(
        Cat(one_hot[i] for i in range(len(one_hot)) if i >> bit & 1).any()
        for bit in range((len(one_hot) - 1).bit_length())
    )
