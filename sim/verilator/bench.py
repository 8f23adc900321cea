"""The Verilog around the design that the C++ harness drives, and what the harness must know."""

from __future__ import annotations

import re
from dataclasses import dataclass

from weft.hw.errors import WeftError

from ..amaranth_engine import ANSWER_CYCLES

__all__ = ["BENCH_NAME", "Bench"]

BENCH_NAME = "bench"
OBSERVATION = "trace"
"""The design's optional output that the engine records; called `observation` on the bench."""

_BURST = ("id", "addr", "len", "size", "burst", "valid")
_HOST = [
    *(
        f"s_axil_{channel}{field}"
        for channel in ("aw", "ar")
        for field in ("addr", "valid", "ready")
    ),
    *(f"s_axil_w{field}" for field in ("data", "strb", "valid", "ready")),
    *(f"s_axil_b{field}" for field in ("resp", "valid", "ready")),
    *(f"s_axil_r{field}" for field in ("data", "resp", "valid", "ready")),
    "irq",
]
_MASTER = [
    *(f"m_axi_{channel}{field}" for channel in ("aw", "ar") for field in _BURST),
    *(f"m_axi_w{field}" for field in ("data", "strb", "last", "valid")),
    *(f"m_axi_{channel}ready" for channel in ("b", "r")),
]
_MEMORY = [
    *(f"m_axi_{channel}ready" for channel in ("aw", "ar", "w")),
    *(f"m_axi_b{field}" for field in ("id", "resp", "valid")),
    *(f"m_axi_r{field}" for field in ("id", "data", "resp", "last", "valid")),
]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A module ``bench`` with the design inside it.

    - ``clk``, the host's ``s_axil_*`` and ``irq`` pass through, as do the master's ``m_axi_*``.
    - What the memory drives comes from inputs ``next_*`` through a register, so that it changes
      with the clock edge, and the design has no input whose logic runs again before it.
    - ``rst`` is the constant 0, as in the other engine: the reset's multiplexers vanish. Any other
      input is 0, too.

    Parameters
    ----------
    verilog
        The bench's text, to be compiled with the design's.
    header
        ``ports.h`` of the harness.
    address_bits
        Of the register port.
    beat_bytes
        Of the memory port; 0 where there is none.
    observation_bits
        Of the design's ``trace``; 0 where there is none.

    Raises
    ------
    WeftError
        The design lacks a port that the host needs.
    """

    verilog: str
    header: str
    address_bits: int
    beat_bytes: int
    observation_bits: int

    @classmethod
    def around(cls, verilog: str, top: str) -> Bench:
        """The bench for module `top` of `verilog`, as Amaranth writes it."""
        ports = _ports(verilog, top)
        missing = [name for name in ("clk", *_HOST) if name not in ports]
        if missing:
            raise WeftError(f"module {top} has no port {missing[0]}: the simulator cannot run it")
        has_memory = "m_axi_wdata" in ports
        passed = _HOST + (_MASTER if has_memory else [])
        registered = _MEMORY if has_memory else []
        names = ["clk", *passed, *(_next(name) for name in registered)]
        body = ["input clk;"]
        body += [f"{direction} {_range(w)}{n};" for n, (direction, w) in _pick(ports, passed)]
        for name, (_, width) in _pick(ports, registered):
            body += [
                f"input {_range(width)}{_next(name)};",
                f"reg {_range(width)}{name} = 0;",
                f"always @(posedge clk) {name} <= {_next(name)};",
            ]
        connections = {name: name for name in ("clk", *passed, *registered)}
        observation_bits = 0
        if OBSERVATION in ports:
            observation_bits = ports[OBSERVATION][1]
            names.append("observation")
            body.append(f"output {_range(observation_bits)}observation;")
            connections[OBSERVATION] = "observation"
        for name, (direction, width) in ports.items():
            if direction == "input" and name not in connections:
                connections[name] = f"{width}'d0"
        pins = ", ".join(f".{name}({value})" for name, value in connections.items())
        body.append(f"{top} {top}({pins});")
        lines = [f"module {BENCH_NAME}({', '.join(names)});", *(f"  {line}" for line in body)]
        beat_bytes = ports["m_axi_wdata"][1] // 8 if has_memory else 0
        macros = {
            "AXI": int(has_memory),
            "BEAT_BYTES": beat_bytes,
            "OBSERVATION_BITS": observation_bits,
            "ANSWER_CYCLES": ANSWER_CYCLES,
        }
        return cls(
            verilog="\n".join([*lines, "endmodule", ""]),
            header="".join(f"#define WEFT_{name} {value}\n" for name, value in macros.items()),
            address_bits=ports["s_axil_awaddr"][1],
            beat_bytes=beat_bytes,
            observation_bits=observation_bits,
        )


def _ports(verilog: str, top: str) -> dict[str, tuple[str, int]]:
    """Direction and width of each port of module `top`."""
    module = re.search(rf"^module {top}\(.*?^endmodule", verilog, re.DOTALL | re.MULTILINE)
    if module is None:
        raise WeftError(f"the Verilog has no module {top}")
    found = re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", module.group(), re.MULTILINE)
    return {name: (direction, int(high or 0) + 1) for direction, high, name in found}


def _pick(ports: dict[str, tuple[str, int]], names: list[str]) -> list[tuple[str, tuple[str, int]]]:
    return [(name, ports[name]) for name in names]


def _next(name: str) -> str:
    return "next_" + name.removeprefix("m_axi_")


def _range(width: int) -> str:
    return f"[{width - 1}:0] " if width > 1 else ""
