"""What `weft generate` writes: Verilog, the register map for C and for machines, a port list."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amaranth.back import verilog
from amaranth.hdl import Shape
from amaranth.lib import data, wiring

from weft.hw.bus.fault import FAULT_TEXT
from weft.hw.bus.registers import DESCRIPTOR_STORE, SLOT_BYTES, RegisterMap
from weft.hw.config import AcceleratorConfig
from weft.hw.errors import WeftError
from weft.hw.mover.descriptor import Descriptor
from weft.hw.top import Top
from weft.hw.version import __version__

__all__ = ["TOP_NAME", "generate", "register_header", "register_json", "top_verilog"]

TOP_NAME = "weft"


def top_verilog(top: Top) -> str:
    """`top` and all below it as one Verilog text whose top module is ``weft``."""
    # The Yosys that came with Amaranth: the search would prefer whatever stands in PATH.
    os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")
    return verilog.convert(top, name=TOP_NAME, emit_src=False, strip_internal_attrs=True)


def register_json(config: AcceleratorConfig) -> dict[str, Any]:
    """The register map and the descriptor layouts as plain data."""
    registers = RegisterMap(config)
    return {
        "weft": __version__,
        "config": config.as_dict(),
        "config_hash": config.hash,
        "address_bits": registers.address_bits,
        "descriptor_store": DESCRIPTOR_STORE,
        "slot_bytes": SLOT_BYTES,
        "pages": [
            {
                "name": page.name,
                "base": page.base,
                "registers": [
                    {
                        "name": register.name,
                        "offset": register.offset,
                        "access": register.access,
                        "doc": register.doc,
                        "fields": [
                            {"name": f.name, "low": f.low, "width": f.width, "doc": f.doc}
                            for f in register.fields
                        ],
                    }
                    for register in page.registers
                ],
            }
            for page in registers.pages
        ],
        "descriptors": {
            mover.name: {
                "slots": mover.descriptors,
                "words": (descriptor := Descriptor(config, mover)).words,
                "fields": list(_fields(descriptor.layout)),
                "unsupported": list(descriptor.unsupported),
            }
            for mover in config.movers
        },
        "faults": {
            code.name: {"code": int(code), "text": text} for code, text in FAULT_TEXT.items()
        },
    }


def _fields(layout: Any, prefix: str = "", offset: int = 0) -> Iterator[dict[str, Any]]:
    """The leaves of an Amaranth layout, arrays spelled out."""
    for key, entry in layout:
        name = f"{prefix}_{key}" if prefix else str(key)
        shape = entry.shape
        if isinstance(shape, data.Layout):
            yield from _fields(shape, name, offset + entry.offset)
        else:
            cast = Shape.cast(shape)
            yield {
                "name": name,
                "bit": offset + entry.offset,
                "width": cast.width,
                "signed": cast.signed,
            }


def register_header(config: AcceleratorConfig) -> str:
    """The register map and the descriptor layouts as a C header."""
    regs = register_json(config)
    lines = [
        f"/* weft {__version__}: registers of configuration {config.name} ({config.hash}). */",
        "#ifndef WEFT_REGS_H",
        "#define WEFT_REGS_H",
        "",
        f"#define WEFT_CONFIG_HASH 0x{config.hash[:8]}u",
        f"#define WEFT_DESCRIPTOR_STORE 0x{DESCRIPTOR_STORE:x}u",
        f"#define WEFT_SLOT_BYTES {SLOT_BYTES}u",
    ]
    for name, fault in regs["faults"].items():
        lines.append(f"#define WEFT_FAULT_{name} {fault['code']}u /* {fault['text']} */")
    for page in regs["pages"]:
        stem = f"WEFT_{page['name'].upper()}"
        lines += ["", f"#define {stem}_BASE 0x{page['base']:x}u"]
        for register in page["registers"]:
            name = f"{stem}_{register['name']}"
            address = page["base"] + register["offset"]
            lines.append(
                f"#define {name} 0x{address:x}u /* {register['access']}: {register['doc']} */"
            )
            for field in register["fields"]:
                if field["width"] < 32:
                    part = f"{name}_{field['name'].upper()}"
                    lines.append(f"#define {part}_LSB {field['low']}u")
                    lines.append(f"#define {part}_WIDTH {field['width']}u")
    for mover, descriptor in regs["descriptors"].items():
        stem = f"WEFT_{mover.upper()}_BD"
        lines += ["", f"#define {stem}_SLOTS {descriptor['slots']}u"]
        lines.append(f"#define {stem}_WORDS {descriptor['words']}u")
        for field in descriptor["fields"]:
            lines.append(f"#define {stem}_{field['name'].upper()}_BIT {field['bit']}u")
            lines.append(f"#define {stem}_{field['name'].upper()}_WIDTH {field['width']}u")
    return "\n".join([*lines, "", "#endif", ""])


def _readme(top: Top) -> str:
    config = top.config
    lines = [
        f"weft {__version__}, configuration {config.name}, hash {config.hash}",
        "",
        f"weft.v        top module `{TOP_NAME}`",
        "weft_regs.h   registers and descriptor fields for C",
        "weft_regs.json  the same for machines",
        "",
        "Ports (clk and synchronous active-high rst, and:)",
    ]
    for name, member in top.signature.members.items():
        direction = "out" if member.flow == member.flow.Out else "in"
        lines.append(f"  {direction:<4}{Shape.cast(member.shape).width:>5}  {name}")
    lines += ["", "Parameters", json.dumps(config.as_dict(), indent=2), ""]
    return "\n".join(lines)


def generate(
    config: AcceleratorConfig, folder: Path, *, unit: wiring.Component | None = None
) -> list[Path]:
    """Write weft.v, weft_regs.h, weft_regs.json and README.txt into `folder` (made if absent).

    `unit` is an accelerator of the user's own, see :class:`~weft.hw.accelerator.Accelerator`.
    Returns the paths. A folder that cannot be written is a :class:`WeftError`.
    """
    top = Top(config, unit=unit)
    contents = {
        "weft.v": top_verilog(top),
        "weft_regs.h": register_header(config),
        "weft_regs.json": json.dumps(register_json(config), indent=2) + "\n",
        "README.txt": _readme(top),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            (folder / name).write_text(text)
    except OSError as error:
        raise WeftError(f"cannot write to {folder}: {error.strerror}") from None
    return [folder / name for name in contents]
