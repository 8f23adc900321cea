"""Connections that are wires and nothing else."""

from amaranth.lib import wiring

__all__ = ["adopt"]


def adopt(component: wiring.Component, member: str, interfaces: object) -> None:
    """Make `interfaces` (of a child or a neighbour) the very ports `member` of `component`.

    `wiring.connect` of many channels in one parent becomes one process that the simulator
    evaluates whole whenever any channel moves. Sharing the signals costs nothing there and is the
    same netlist. The signatures must be equal; anything else raises `TypeError`.
    """
    declared = component.signature.members[member]
    wanted = wiring.Signature({member: declared})
    holder = wiring.PureInterface(wanted)
    setattr(holder, member, interfaces)
    reasons: list[str] = []
    if not wanted.is_compliant(holder, reasons=reasons, path=(member,)):
        raise TypeError(f"{member}: {'; '.join(reasons)}")
    setattr(component, member, interfaces)
