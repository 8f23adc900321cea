"""Which BD slots must not be written."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["SlotUse"]


class SlotUse(wiring.Component):
    """Knows the slots that a queued task names, the running task has loaded, or rows come from.

    A slot is queued from its ``push`` until the last task that names it leaves the queue: each slot
    remembers the turn of its last push. It is then in use by the running task, as are the slots
    that its chain loads, until another task begins or none runs; and so is in any case the slot of
    the BD whose loops are ``stepping``. ``in_use`` is combinational from it, ``step_slot`` and
    ``slot``, and shows pushes, pops and loads from the cycle after. Slots that do not exist are
    none. A task may be pushed and popped in the same cycle if the queue is empty.

    Parameters
    ----------
    slots
        BD slots.
    queue_depth
        Tasks in the queue.

    Members
    -------
    push, pop : 1
        A task enters, leaves the queue; ``pop`` comes with the ``load`` of its slot.
    push_slot, pop_slot : 8
        ``pop_slot`` may be any if no task is queued: the one that comes and goes was none.
    load : 1
    load_slot : 8
    running : 1
        There is a running task.
    stepping : 1
    step_slot : `range(slots)`
    slot : `range(slots)`
    in_use : 1
    """

    def __init__(self, *, slots: int, queue_depth: int) -> None:
        self._slots = slots
        self._queue_depth = queue_depth
        super().__init__(
            {
                "push": In(1),
                "push_slot": In(8),
                "pop_slot": In(8),
                "pop": In(1),
                "load": In(1),
                "load_slot": In(8),
                "running": In(1),
                "stepping": In(1),
                "step_slot": In(range(slots)),
                "slot": In(range(slots)),
                "in_use": Out(1),
            }
        )

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def queue_depth(self) -> int:
        return self._queue_depth

    def elaborate(self, platform: object) -> Module:
        m = Module()
        queued, loaded = Signal(self._slots), Signal(self._slots)
        # The load of the cycle before, whose slot comes too late to be decoded in its own.
        recent, recent_slot = Signal(), Signal(range(self._slots))
        # A turn is told from those of all other tasks in the queue.
        turn_bits = max(1, (self._queue_depth - 1).bit_length())
        pushed, popped = Signal(turn_bits), Signal(turn_bits)
        m.submodules.turns = turns = Memory(shape=turn_bits, depth=self._slots, init=[])
        write, read = turns.write_port(), turns.read_port(domain="comb")
        pushes = self.push & (self.push_slot < self._slots)
        passes = self.pop & (pushed == popped)  # no task is queued: the one that is pushed goes on
        loads = self.load & (self.load_slot < self._slots)
        slot_bits = max(1, (self._slots - 1).bit_length())
        push_slot, load_slot = self.push_slot[:slot_bits], self.load_slot[:slot_bits]
        # Not `load_slot`, which is the same then and comes late.
        pop_slot, exists = self.pop_slot[:slot_bits], self.pop_slot < self._slots
        m.d.comb += [
            write.en.eq(pushes),
            write.addr.eq(push_slot),
            write.data.eq(pushed),
            read.addr.eq(pop_slot),
            self.in_use.eq(
                queued.bit_select(self.slot, 1)
                | (loaded.bit_select(self.slot, 1) & self.running)
                | (recent & (recent_slot == self.slot) & self.running)
                | (self.stepping & (self.slot == self.step_slot))
            ),
        ]
        m.d.sync += [recent.eq(loads), recent_slot.eq(load_slot)]
        with m.If(recent):
            m.d.sync += loaded.bit_select(recent_slot, 1).eq(1)
        with m.If(self.pop):
            m.d.sync += [popped.eq(popped + 1), loaded.eq(0)]
            with m.If(exists & (read.data == popped)):
                m.d.sync += queued.bit_select(pop_slot, 1).eq(0)
        with m.If(self.push):
            m.d.sync += pushed.eq(pushed + 1)
        with m.If(pushes & ~passes):
            m.d.sync += queued.bit_select(push_slot, 1).eq(1)
        return m
