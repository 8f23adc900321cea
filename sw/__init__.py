"""The host side: views of device memory, descriptors, and the device that runs them."""

if __name__ == "sw":
    raise ImportError("import weft.sw, not sw")

from .allocator import DeviceArray
from .descriptor import BufferDescriptor, Guard
from .device import Device
from .locks import Lock
from .memref import MemRef
from .quantization import Quantization
from .run_array import ArrayReport
from .sequence import RuntimeSequence
from .transfer import ScratchpadAddress, Transfer
from .transport import Transport

__all__ = [
    "ArrayReport",
    "BufferDescriptor",
    "Device",
    "DeviceArray",
    "Guard",
    "Lock",
    "MemRef",
    "Quantization",
    "RuntimeSequence",
    "ScratchpadAddress",
    "Transfer",
    "Transport",
]
