# SPDX-License-Identifier: Apache-2.0
"""The registers of a control block: one description for SystemVerilog, C and the tables of docs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["ADDRESS_BITS", "Field", "Register", "c_header", "decoder", "registers", "table"]

#: Of the port: 256 bytes.
ADDRESS_BITS = 8
#: Counted up when a register's place or meaning changes.
MAP_VERSION = 1
_ID = 0x41534E54  # "ASNT"


@dataclass(frozen=True)
class Field:
    """Bits of a register.

    Attributes:
      name: in lower case.
      low, bits: its place.
      access: `ro`; `rw`; `w1`, where writing 1 is an event and 0 is read.
      source: of what is read, an expression of SystemVerilog.
      text: what it says.
      reset: of `rw`.
    """

    name: str
    low: int
    bits: int
    access: str
    source: str
    text: str
    reset: int = 0


@dataclass(frozen=True)
class Register:
    """A word of 32 bits: its name, its address in bytes and its fields."""

    name: str
    address: int
    fields: tuple[Field, ...]

    @property
    def is_written(self) -> bool:
        """Whether writing it has an effect."""
        return any(field.access != "ro" for field in self.fields)


def registers(
    input_words: int, output_words: int, version: str, weights: str = "rom"
) -> tuple[Register, ...]:
    """Return the registers of a network's control block.

    Args:
      input_words, output_words: of a frame.
      version: of this package, as `1.2.3`.
      weights: see `Shell`.
    """
    numbers = [int(part) & 0xFF for part in (*version.split("."), "0", "0")[:3] if part.isdecimal()]
    numbers += [0] * (3 - len(numbers))
    made = numbers[0] << 24 | numbers[1] << 16 | numbers[2] << 8 | MAP_VERSION
    words = [
        _constant("id", _ID, "0x41534e54, `ASNT`: such a block is here"),
        _constant("version", made, "bytes: asnet-mlir's three numbers, then that of this map"),
        (
            Field("run", 0, 1, "rw", "run_q", "samples are taken; 0: none after the one begun", 1),
            Field("clear", 1, 1, "w1", "1'b0", "1: counters and `error` become 0"),
        ),
        (
            Field("busy", 0, 1, "ro", "busy", "samples are in the hardware"),
            Field("in_frame", 1, 1, "ro", "in_frame", "a sample has been taken in part"),
            Field("error", 2, 1, "ro", "frame_error", "as the port `frame_error`"),
            *_weight_fields(weights),
        ),
        _counter("frames_in", "samples taken"),
        _counter("frames_out", "answers given"),
        _counter("frames_wrong", "of these, to samples of a wrong length"),
        _counter("latency", "cycles from one sample's first word to its answer's last"),
        _counter("interval", "cycles between the last two answers"),
        _counter("cycles", "cycles since reset or `clear`"),
        _counter("input_waits", "cycles in which a word could have been taken and none was there"),
        _counter("output_waits", "cycles in which a word of an answer was not taken"),
        _constant("input_words", input_words, "words of a sample"),
        _constant("output_words", output_words, "words of an answer"),
    ]  # fmt: skip
    names = ["id", "version", "control", "status"]
    result = []
    for number, fields in enumerate(words):
        name = names[number] if number < len(names) else fields[0].name
        result.append(Register(name, 4 * number, fields))
    return tuple(result)


def _weight_fields(weights: str) -> tuple[Field, ...]:
    """Return what the state says of weights outside."""
    texts = {
        "load": "a frame of weights came while samples were under way, or was wrong",
        "stream": "the memory answered with an error; nothing goes on before a reset",
    }
    if weights not in texts:
        return ()
    error = Field("weights_error", 9, 1, "ro", "weights_error", texts[weights])
    if weights == "stream":
        return (error,)
    loaded = Field("weights_loaded", 8, 1, "ro", "weights_loaded", "there are weights")
    return loaded, error


def _constant(name: str, value: int, text: str) -> tuple[Field, ...]:
    return (Field(name, 0, 32, "ro", f"32'h{value:08x}", text),)


def _counter(name: str, text: str) -> tuple[Field, ...]:
    return (Field(name, 0, 32, "ro", name, text),)


def decoder(words: Sequence[Register]) -> str:
    """Return what reads and writes the registers, on the signals of `asnet_axil`.

    Fields that are written are `NAME_q`, events `NAME_set`.
    """
    reads, writes, state, resets = "", "", "", ""
    word = f"[{ADDRESS_BITS - 1}:2]"
    for register in words:
        place = f"{ADDRESS_BITS - 2}'h{register.address // 4:x}"
        parts = []
        for field in register.fields:
            parts.append(
                f"(32'({field.source}) << {field.low})" if field.low else f"32'({field.source})"
            )
        reads += f"      {place}: read_data = {' | '.join(parts)};\n"
        for field in register.fields:
            if field.access == "ro":
                continue
            high = field.low + field.bits - 1
            hit = f"write && write_enable[{field.low // 8}] && write_address{word} == {place}"
            if field.access == "w1":
                state += f"  logic {field.name}_set;\n"
                state += f"  assign {field.name}_set = {hit} && write_data[{field.low}];\n"
                continue
            state += f"  logic [{field.bits - 1}:0] {field.name}_q;\n"
            resets += f"      {field.name}_q <= {field.bits}'d{field.reset};\n"
            writes += f"      if ({hit}) {field.name}_q <= write_data[{high}:{field.low}];\n"
    known = ", ".join(f"{ADDRESS_BITS - 2}'h{r.address // 4:x}" for r in words if r.is_written)
    return f"""{state}
  always_ff @(posedge clk) begin
    if (rst) begin
{resets}    end else begin
{writes}    end
  end
  // Registers that are not there, and writes to those that are only read, are answered by SLVERR.
  always_comb begin
    read_error = 1'b0;
    case (read_address{word})
{reads}      default: begin
        read_data  = '0;
        read_error = 1'b1;
      end
    endcase
    case (write_address{word})
      {known}: write_error = 1'b0;
      default: write_error = 1'b1;
    endcase
  end
"""


def c_header(name: str, words: Sequence[Register]) -> str:
    """Return the registers as a header of C; names begin with the design's."""
    prefix = name.upper()
    lines = [
        f"// Registers of {name}, 32 bits each: addresses in bytes from the block's first one,",
        "// and of each field its lowest bit and its mask.",
        f"#ifndef {prefix}_REGISTERS_H",
        f"#define {prefix}_REGISTERS_H",
        "",
    ]
    for register in words:
        own = f"{prefix}_{register.name.upper()}"
        lines.append(f"#define {own} 0x{register.address:02x}u")
        for field in register.fields:
            if field.bits == 32:
                lines[-1] += f" // {_plain(field.text)}"
                continue
            part = f"{own}_{field.name.upper()}"
            lines.append(f"#define {part}_SHIFT {field.low}u // {_plain(field.text)}")
            lines.append(f"#define {part}_MASK 0x{((1 << field.bits) - 1) << field.low:x}u")
    return "\n".join([*lines, "", "#endif", ""])


def _plain(text: str) -> str:
    return text.replace("`", "")


def table(words: Sequence[Register]) -> str:
    """Return the registers as a table of Markdown."""
    lines = ["| address | register | bits | | what it says |", "|---|---|---|---|---|"]
    for register in words:
        for field in register.fields:
            high = field.low + field.bits - 1
            bits = f"{high}:{field.low}" if field.bits > 1 else f"{field.low}"
            name = register.name if field.bits == 32 else f"{register.name}.{field.name}"
            lines.append(
                f"| 0x{register.address:02x} | `{name}` | {bits} | {field.access} | {field.text} |"
            )
    return "\n".join(lines) + "\n"
