"""AXI4 and AXI4-Lite as bundles of streams.

Field names are those of the standard (AMBA AXI and ACE, ARM IHI 0022) without the channel prefix;
``weft.hw.top`` gives them their flat names. Only what weft drives is here: INCR bursts of
full-width beats, one ID, no locks, regions or quality of service.
"""

from enum import IntEnum

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

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

    Members
    -------
    aw, ar : stream of {addr, len 8}
        ``len`` is the number of beats less one; every beat is `data_bits` wide.
    w : stream of {data, strb, last}
    b : stream of {resp}
    r : stream of {data, resp, last}
    """

    def __init__(self, *, address_bits: int, data_bits: int) -> None:
        self.address_bits = address_bits
        self.data_bits = data_bits
        address = data.StructLayout({"addr": address_bits, "len": 8})
        write = data.StructLayout({"data": data_bits, "strb": data_bits // 8, "last": 1})
        read = data.StructLayout({"data": data_bits, "resp": Response, "last": 1})
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
        return isinstance(other, Axi4Signature) and (other.address_bits, other.data_bits) == (
            self.address_bits,
            self.data_bits,
        )

    def __repr__(self) -> str:
        return f"Axi4Signature(address_bits={self.address_bits}, data_bits={self.data_bits})"


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
