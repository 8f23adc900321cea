"""The extensions of a mover, one behind the other."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.cut import Cut
from ..bus.streams import compute_beat
from ..bus.wires import adopt
from .extension import Extension, extension_setting

__all__ = ["Chain"]


class _Stage(wiring.Component):
    """An extension that a BD goes through, or past.

    No beat passes before the BD's setting is there; it is taken with the BD's last beat. Both ways
    are combinational, so no beat overtakes another.

    Members
    -------
    setting : stream of :func:`~weft.hw.extensions.extension.extension_setting`
    i, o : stream of :func:`~weft.hw.bus.streams.compute_beat`
    """

    def __init__(self, *, extension: Extension) -> None:
        self._extension = extension
        beat = compute_beat(extension.width)
        super().__init__(
            {
                "setting": In(stream.Signature(extension_setting(extension.parameter_bits))),
                "i": In(stream.Signature(beat)),
                "o": Out(stream.Signature(beat)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.extension = inner = self._extension
        setting = self.setting.payload
        m.d.comb += [
            inner.i.payload.eq(self.i.payload),
            inner.o.ready.eq(self.o.ready),
            self.setting.ready.eq(self.i.valid & self.i.ready & self.i.payload.end),
        ]
        if inner.parameter_bits:
            m.d.comb += inner.parameter.eq(setting.parameter)
        with m.If(setting.enable):
            m.d.comb += [
                self.o.payload.eq(inner.o.payload),
                self.o.valid.eq(inner.o.valid),
                self.i.ready.eq(inner.i.ready & self.setting.valid),
                inner.i.valid.eq(self.i.valid & self.setting.valid),
            ]
        with m.Else():
            m.d.comb += [
                self.o.payload.eq(self.i.payload),
                self.o.valid.eq(self.i.valid & self.setting.valid),
                self.i.ready.eq(self.o.ready & self.setting.valid),
            ]
        return m


class Chain(wiring.Component):
    """Extensions in their order, each of which every BD goes through or past.

    A beat passes every cycle that the extensions leave. It is offered in the cycle in which it
    comes, and one later for each extension that has a register behind it (``cut``), bypassed or
    not: so beats keep their order, and a BD may be in one extension while the next BD, with
    settings of its own, is in another.

    ``ready`` is combinational through all of it. A stalled payload holds.

    Parameters
    ----------
    extensions
        The extensions by name, in order; at least one, all of the same width.

    Members
    -------
    i, o : stream of :func:`~weft.hw.bus.streams.compute_beat`
    <name of the extension> : stream of :func:`~weft.hw.extensions.extension.extension_setting`
        One for each BD, in order, taken with the last of its beats that comes there.

    Source: DataMaestro, section III-E (datapath extensions).
    """

    def __init__(self, *, extensions: Mapping[str, Extension]) -> None:
        widths = {extension.width for extension in extensions.values()}
        if len(widths) != 1:
            raise ValueError(f"extensions of a chain have one width, not {sorted(widths)}")
        self._extensions = dict(extensions)
        beat = stream.Signature(compute_beat(widths.pop()))
        super().__init__(
            {"i": In(beat), "o": Out(beat)}
            | {
                name: In(stream.Signature(extension_setting(extension.parameter_bits)))
                for name, extension in extensions.items()
            }
        )

    @property
    def extensions(self) -> dict[str, Extension]:
        return dict(self._extensions)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        stages: list[_Stage | Cut] = []
        for name, extension in self._extensions.items():
            stage = m.submodules[name] = _Stage(extension=extension)
            adopt(stage, "setting", getattr(self, name))
            stages.append(stage)
            if extension.cut:
                cut = m.submodules[f"{name}_cut"] = Cut(compute_beat(extension.width))
                stages.append(cut)
        adopt(stages[0], "i", self.i)
        for before, after in pairwise(stages):
            adopt(after, "i", wiring.flipped(before.o))
        adopt(stages[-1], "o", self.o)
        return m
