"""What a waveform viewer shows first: the signals worth seeing, by group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vcd.gtkw import GTKWSave

from weft.hw.bus.registers import RegisterMap
from weft.hw.config import AcceleratorConfig, MoverConfig
from weft.hw.gemm.feeder import step_activity
from weft.hw.mover.flight import in_flight

__all__ = ["SCOPES", "LayoutSignal", "waveform_groups", "write_layout"]

SCOPES = {"python": "bench.top", "verilator": "bench.weft"}
"""Where the top stands in the waveforms of each engine."""


@dataclass(frozen=True, kw_only=True)
class LayoutSignal:
    """A signal below the top.

    Parameters
    ----------
    scope
        Instances from the top down, separated by dots; empty at the top.
    name
        In there. A dot in it leads to a field of a structure.
    width
        In bits.
    label
        What the viewer calls it.
    is_number
        Whether it reads best as a decimal number.
    is_enum
        Whether Amaranth's waveforms have it as text.
    """

    scope: str
    name: str
    width: int = 1
    label: str
    is_number: bool = False
    is_enum: bool = False

    def bits(self, engine: str) -> int:
        """Its width in a waveform of `engine`; text counts as one bit."""
        return 1 if self.is_enum and engine == "python" else self.width

    def path(self, engine: str) -> str:
        """Full name in a waveform of `engine`."""
        # Amaranth escapes a name that is no identifier, as Verilog does.
        escape = "\\" if engine == "python" and "." in self.name else ""
        return ".".join(part for part in (SCOPES[engine], self.scope, escape + self.name) if part)


def waveform_groups(config: AcceleratorConfig) -> Iterator[tuple[str, list[LayoutSignal]]]:
    """Groups of signals of a system, the clock's first: (title, signals)."""
    yield "system", [_port("clk"), _port("rst"), _port("irq")]
    yield "control", list(_channels("s_axil", RegisterMap(config).address_bits, None))
    if config.dma is not None:
        yield "DRAM", list(_channels("m_axi", config.dma.address_bits, 8))
    for mover in config.movers:
        yield mover.name, list(_mover(config, mover))
    if config.array is not None:
        feeder = "accelerator.array.feeder"
        yield (
            "array",
            [
                LayoutSignal(scope=feeder, name="step", label="step"),
                *(
                    LayoutSignal(scope=feeder, name=f"o_activity.{name}", label=f"{name}, late")
                    for name in step_activity().members
                    if name != "step"
                ),
            ],
        )


def _port(name: str, width: int = 1, is_number: bool = False) -> LayoutSignal:
    return LayoutSignal(scope="", name=name, width=width, label=name, is_number=is_number)


def _channels(prefix: str, address_bits: int, length_bits: int | None) -> Iterator[LayoutSignal]:
    for channel in ("aw", "w", "b", "ar", "r"):
        yield _port(f"{prefix}_{channel}valid")
        yield _port(f"{prefix}_{channel}ready")
        if channel.startswith("a"):
            yield _port(f"{prefix}_{channel}addr", address_bits)
            if length_bits is not None:
                yield _port(f"{prefix}_{channel}len", length_bits, is_number=True)
        elif channel != "b" and length_bits is not None:
            yield _port(f"{prefix}_{channel}last")


def _mover(config: AcceleratorConfig, mover: MoverConfig) -> Iterator[LayoutSignal]:
    core = f"accelerator.{mover.name}.core"
    monitor = f"{core}.monitor"
    yield LayoutSignal(scope=monitor, name="busy", label="busy")
    yield LayoutSignal(scope=core, name="port__rows__valid", label="row valid")
    yield LayoutSignal(scope=core, name="port__rows__ready", label="row ready")
    for name in ("valid", "ready", "conflict"):
        label = name if name == "conflict" else f"stream {name}"
        yield LayoutSignal(scope=monitor, name=f"port__activity.{name}", label=label)
    yield LayoutSignal(scope=monitor, name="stall", width=3, label="stall, late", is_enum=True)
    yield LayoutSignal(scope=core, name="port__retired", label="retired")
    for scope, name, most, label in (
        ("loader", "descriptor_loaded", 255, "BD"),
        ("flight", "level", in_flight(config, mover), "in flight"),
        ("tasks", "level", mover.queue_depth, "queue"),
    ):
        yield LayoutSignal(
            scope=f"{core}.{scope}",
            name=name,
            width=most.bit_length(),
            label=label,
            is_number=True,
        )


def write_layout(waveform: Path, config: AcceleratorConfig, *, engine: str) -> list[Path]:
    """Write save files beside the file `waveform` of `engine`; their paths.

    ``WAVEFORM.gtkw`` opens it in GTKWave (``gtkwave WAVEFORM.gtkw``), with the groups of
    :func:`waveform_groups`. ``WAVEFORM.sucl`` has Surfer's commands for the same signals, except
    fields of structures, which its command language cannot name (``surfer WAVEFORM
    --command-file WAVEFORM.sucl``).
    """
    save, commands = (waveform.with_name(waveform.name + end) for end in (".gtkw", ".sucl"))
    lines = []
    with save.open("w") as file:
        gtkw = GTKWSave(file)
        gtkw.dumpfile(str(waveform.resolve()))
        gtkw.treeopen(SCOPES[engine].partition(".")[0] + ".")
        for title, signals in waveform_groups(config):
            lines.append(f"divider_add {title}")
            with gtkw.group(title):
                for signal in signals:
                    path, bits = signal.path(engine), signal.bits(engine)
                    suffix = f"[{bits - 1}:0]" if bits > 1 else ""
                    gtkw.trace(
                        path + suffix,
                        alias=f"{title} {signal.label}" if signal.scope else signal.label,
                        datafmt="dec" if signal.is_number else "hex",
                    )
                    if "." not in signal.name:
                        lines.append(f"variable_add {path}")
    commands.write_text("\n".join([*lines, "zoom_fit", ""]))
    return [save, commands]
