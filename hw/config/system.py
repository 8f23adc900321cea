"""The whole system: its parts, and what must hold between them."""

import dataclasses
import hashlib
import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ..errors import ConfigError
from ..registry import EXTENSIONS
from .array import ARRAY_PORTS, ARRAY_SINKS, PARAMETER_BITS, ArrayConfig
from .checks import check, check_range, is_power_of_two
from .dma import RECORD_BYTES, DmaConfig
from .memory import MemoryConfig
from .mover import SWITCH, MoverConfig
from .sequencer import SequencerConfig
from .tables import build

__all__ = ["MAX_LOCKS", "ROUTE_BITS", "AcceleratorConfig"]

ROUTE_BITS = 8
"""Width of a BD's route: a mask of the switch's sinks, or the index of one of its sources."""

MAX_LOCKS = 32
"""A descriptor names a lock in five bits."""

MAX_MOVERS = 30
"""Each has a bit in the interrupt registers; the two above are the locks' and the sequencer's."""


@dataclass(frozen=True, kw_only=True)
class AcceleratorConfig:
    """A whole system: scratchpad, movers, and optionally an array, a DMA and a sequencer.

    ``locks`` counting semaphores are shared by movers, sequencer and host.
    """

    name: str
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    movers: tuple[MoverConfig, ...]
    array: ArrayConfig | None = None
    dma: DmaConfig | None = None
    sequencer: SequencerConfig | None = None
    locks: int = 16

    def __post_init__(self) -> None:
        check(
            re.fullmatch(r"[A-Za-z0-9_.+-]+", self.name) is not None,
            "name",
            self.name,
            "must be of ASCII letters, digits and . _ + -",
        )
        names = [mover.name for mover in self.movers]
        check(0 < len(names) <= MAX_MOVERS, "movers", names, f"must be 1 to {MAX_MOVERS} movers")
        check_range("locks", self.locks, 1, MAX_LOCKS)
        if self.sequencer is not None:
            dma = self.dma
            check(dma is not None, "sequencer", self.sequencer, "needs a [dma]")
            assert dma is not None
            check(dma.data_bits >= 64, "dma.data_bits", dma.data_bits, "a sequencer takes 64")
        if self.dma is not None and (self.sequencer is not None or self.dma.records):
            check(
                self.dma.burst_beats * self.dma.data_bytes >= RECORD_BYTES,
                "dma.burst_beats",
                self.dma.burst_beats,
                f"a completion record is one burst of {RECORD_BYTES} bytes",
            )
        check(
            len({name.lower() for name in names}) == len(names),
            "movers",
            names,
            "each name once, whatever the case of its letters",
        )
        for mover in self.movers:
            check(
                not mover.has_result or (self.dma is not None and self.dma.records),
                f"movers.{mover.name}.extensions",
                mover.extensions,
                "a result stands in the records of tasks: needs dma.records",
            )
            self._check_bind(mover)
            if mover.is_scratchpad:
                self._check_scratchpad(mover)
        self._check_switch()
        for bank in range(self.memory.banks):
            check(
                any(mover.reaches(bank) for mover in self.movers),
                "memory.banks",
                self.memory.banks,
                f"no channel of a mover reaches bank {bank}",
            )
        if self.array is not None:
            bound = [mover.bind for mover in self.movers]
            for port in self.array.ports:
                check(
                    bound.count(port) == 1, "movers.bind", bound, f"exactly one mover binds {port}"
                )

    def _check_switch(self) -> None:
        sources, sinks = self.switch_sources, self.switch_sinks
        if not (sources or sinks):
            return
        check(bool(sources), "movers.bind", sinks, "the switch needs a source")
        for mover in self.movers:
            check(
                not mover.compares or len(sources) > 1,
                f"movers.{mover.name}.extensions",
                mover.extensions,
                "there is no other source on the switch to compare with",
            )
        check(
            1 <= len(sinks) <= ROUTE_BITS,
            "movers.bind",
            sinks,
            f"the switch takes 1 to {ROUTE_BITS} sinks",
        )

    def _check_bind(self, mover: MoverConfig) -> None:
        where, names = f"movers.{mover.name}.bind", {other.name: other for other in self.movers}
        if mover.bind == "export":
            return
        if mover.bind in ARRAY_PORTS:
            check(self.array is not None, where, mover.bind, "needs an [array]")
            assert self.array is not None
            check(mover.is_scratchpad, where, mover.bind, "only scratchpad movers feed the array")
            check(mover.bind in self.array.ports, where, mover.bind, "needs array.quantizer")
            check(
                mover.is_source == (mover.bind not in ARRAY_SINKS),
                where,
                mover.bind,
                "a, b, c and s take a read mover, d and e a write mover",
            )
            bits = self.beat_bits(mover)
            wanted = self.array.beat_bits(mover.bind)
            if mover.bind == "array.s":
                good = wanted % bits == 0 and bits % PARAMETER_BITS == 0
                rule = f"must be whole columns of {PARAMETER_BITS}, and divide {wanted}"
                check(good, where, mover.bind, f"beat is {bits} bits: {rule}")
                return
            check(bits == wanted, where, mover.bind, f"beat is {bits} bits, port {wanted}")
            return
        if mover.bind != SWITCH:
            known = "must be an array port, 'switch', a mover or 'export'"
            check(mover.bind in names, where, mover.bind, known)
            other = names[mover.bind]
            check(
                other.bind == mover.name
                and other.is_source != mover.is_source
                and other.is_scratchpad != mover.is_scratchpad,
                where,
                mover.bind,
                "a DRAM mover and a scratchpad mover of the other direction name each other",
            )
        check(self.dma is not None, where, mover.bind, "needs a [dma]")
        assert self.dma is not None
        if mover.is_scratchpad:
            bits = self.beat_bits(mover)
            check(
                bits == self.dma.data_bits,
                where,
                mover.bind,
                f"beat is {bits} bits, dma.data_bits {self.dma.data_bits}",
            )

    def _check_scratchpad(self, mover: MoverConfig) -> None:
        where = f"movers.{mover.name}"
        check(
            mover.reach == 0
            or (is_power_of_two(mover.reach) and mover.reach <= max(self.memory.groups)),
            f"{where}.reach",
            mover.reach,
            f"must be 0 (all) or a power of two of at most {max(self.memory.groups)}",
        )
        beat_bytes = mover.channels * self.memory.word_bytes
        for name in mover.beat_extensions:
            kind = EXTENSIONS[name]
            check(
                kind.takes(beat_bytes),
                f"{where}.extensions",
                name,
                f"takes {kind.shape}, not beats of {beat_bytes} bytes",
            )
        if mover.shares_ports_with:
            other = next((m for m in self.movers if m.name == mover.shares_ports_with), None)
            check(
                other is not None
                and other.shares_ports_with == mover.name
                and {mover.kind, other.kind} == {"read", "write"}
                and (mover.channels, mover.reach, mover.memory_ports, mover.high_priority)
                == (other.channels, other.reach, other.memory_ports, other.high_priority),
                f"{where}.shares_ports_with",
                mover.shares_ports_with,
                "a reader and a writer of the same channels, ports, reach and priority name each "
                "other",
            )

    def mover(self, name: str) -> MoverConfig:
        """The mover called `name`; raises ``KeyError`` where there is none."""
        for mover in self.movers:
            if mover.name == name:
                return mover
        raise KeyError(name)

    @property
    def switch_sources(self) -> tuple[str, ...]:
        """Names of the movers that give a stream to the switch, in the order of its inputs."""
        return tuple(m.name for m in self.movers if m.bind == SWITCH and m.is_source)

    @property
    def switch_sinks(self) -> tuple[str, ...]:
        """Names of the movers that take a stream of the switch, in the order of its outputs.

        Sources that compare are among them.
        """
        return tuple(
            m.name for m in self.movers if m.bind == SWITCH and (m.compares or not m.is_source)
        )

    def switch_ends(self, mover: MoverConfig, *, meets: bool = False) -> tuple[str, ...]:
        """Whom a BD of `mover`, which is on the switch, may name as the other end, but for itself.

        `meets`: the BD of a source has its stream compared with that of another source.
        """
        return self.switch_sinks if mover.is_source and not meets else self.switch_sources

    def beat_bits(self, mover: MoverConfig) -> int:
        """Width of the stream of `mover`, a scratchpad mover."""
        return mover.channels * self.memory.bank_bits

    def bound_to(self, bind: str) -> MoverConfig | None:
        """The mover whose stream is bound to `bind`, or None."""
        return next((mover for mover in self.movers if mover.bind == bind), None)

    def as_dict(self) -> dict[str, Any]:
        """The configuration as plain dictionaries, lists, strings and numbers."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @property
    def hash(self) -> str:
        """Hexadecimal digest of every parameter; the first 32 bits stand in a register."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from nested dictionaries; an unknown key or a wrong type is a `ConfigError`."""
        values = dict(values)
        sections: dict[str, Any] = {}
        for key, section in (
            ("memory", MemoryConfig),
            ("array", ArrayConfig),
            ("dma", DmaConfig),
            ("sequencer", SequencerConfig),
        ):
            if values.get(key) is not None:
                sections[key] = build(section, values[key], key)
            values.pop(key, None)
        movers = values.pop("movers", [])
        check(isinstance(movers, list | tuple), "movers", movers, "must be a list of tables")
        sections["movers"] = tuple(
            build(MoverConfig, mover, f"movers[{index}]") for index, mover in enumerate(movers)
        )
        return build(cls, values | sections, "configuration")

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read a configuration file; any flaw is a `ConfigError` that names it."""
        try:
            values = tomllib.loads(path.read_text())
        except OSError as error:
            raise ConfigError("config", str(path), error.strerror or "cannot be read") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError("config", str(path), f"is not TOML: {error}") from None
        return cls.from_dict(values)
