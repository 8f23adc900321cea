"""AXI4 and AXI4-Lite as bundles of streams.

Field names are those of the standard (AMBA AXI and ACE, ARM IHI 0022) without the channel prefix;
``weft.hw.top`` gives them their flat names. Only what weft drives is here: INCR bursts of
full-width beats, no locks, regions or quality of service.
"""

from enum import IntEnum

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .streams import present_fields

__all__ = ["Axi4Signature", "AxiLiteSignature", "Response"]


class Response(IntEnum):
    """``xRESP``."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


class Axi4Signature(wiring.Signature):
    """An AXI4 port as its master sees it.

    Parameters
    ----------
    address_bits, data_bits
        Widths of the address and of the data channels.
    id_bits
        Width of an ID; with 0 there is none.

    Members
    -------
    aw, ar : stream of {id, addr, len 8}
        ``len`` is the number of beats less one; every beat is `data_bits` wide.
    w : stream of {data, strb, last}
    b : stream of {id, resp}
    r : stream of {id, data, resp, last}
    """

    def __init__(self, *, address_bits: int, data_bits: int, id_bits: int = 0) -> None:
        self.address_bits = address_bits
        self.data_bits = data_bits
        self.id_bits = id_bits
        address = present_fields({"id": id_bits, "addr": address_bits, "len": 8})
        write = data.StructLayout({"data": data_bits, "strb": data_bits // 8, "last": 1})
        answer = present_fields({"id": id_bits, "resp": Response})
        read = present_fields({"id": id_bits, "data": data_bits, "resp": Response, "last": 1})
        super().__init__(
            {
                "aw": Out(stream.Signature(address)),
                "w": Out(stream.Signature(write)),
                "b": In(stream.Signature(answer)),
                "ar": Out(stream.Signature(address)),
                "r": In(stream.Signature(read)),
            }
        )

    def _widths(self) -> dict[str, int]:
        return {
            "address_bits": self.address_bits,
            "data_bits": self.data_bits,
            "id_bits": self.id_bits,
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Axi4Signature) and other._widths() == self._widths()

    def __repr__(self) -> str:
        widths = ", ".join(f"{name}={value}" for name, value in self._widths().items())
        return f"Axi4Signature({widths})"


class AxiLiteSignature(wiring.Signature):
    """A 32-bit AXI4-Lite port as its master sees it.

    Members
    -------
    aw, ar : stream of {addr}
    w : stream of {data 32, strb 4}
    b : stream of {resp}
    r : stream of {data 32, resp}
    """

    def __init__(self, *, address_bits: int) -> None:
        self.address_bits = address_bits
        address = data.StructLayout({"addr": address_bits})
        write = data.StructLayout({"data": 32, "strb": 4})
        read = data.StructLayout({"data": 32, "resp": Response})
        super().__init__(
            {
                "aw": Out(stream.Signature(address)),
                "w": Out(stream.Signature(write)),
                "b": In(stream.Signature(data.StructLayout({"resp": Response}))),
                "ar": Out(stream.Signature(address)),
                "r": In(stream.Signature(read)),
            }
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AxiLiteSignature) and other.address_bits == self.address_bits

    def __repr__(self) -> str:
        return f"AxiLiteSignature(address_bits={self.address_bits})"
