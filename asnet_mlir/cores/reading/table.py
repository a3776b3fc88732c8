# SPDX-License-Identifier: Apache-2.0
"""Tables as cores: an array with the result of every pair of operands.

The array of a file becomes the contents of a ROM in a generated module; from there on a table is a
core like any other.  What rows and columns stand for is stated by two parameters: `ROW_B` (0: the
row is chosen by a, 1: by b) and `SIGNED` (0: operands are unsigned; 1: two's complement, the last
row being -1; 2: two's complement, rows and columns in ascending order, the first being the most
negative).  What a file leaves open is asked for, not guessed.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from asnet_mlir.cores.core import (
    UNIT_OPS,
    Align,
    Core,
    Level,
    Parameter,
    checked_parameter,
)
from asnet_mlir.cores.ports import LIBRARY_PORTS
from asnet_mlir.cores.reading import significand
from asnet_mlir.cores.sources.source import Source, user_path
from asnet_mlir.errors import InputError
from asnet_mlir.support.cache import cached_directory, content_hash
from asnet_mlir.support.formats import FLOAT_OPS, OP_KINDS

__all__ = ["core_from_table", "is_table", "read_table"]

#: Files that are taken for tables of results, by what they hold.
TABLE_SUFFIXES = {
    ".npy": "numpy",
    ".csv": "text",
    ".tsv": "text",
    ".txt": "text",
    ".dat": "text",
    ".h": "c",
    ".hpp": "c",
    ".inc": "c",
    ".hex": "readmemh",
    ".mem": "readmemh",
    ".memh": "readmemh",
}

_MOST_BITS = 20
_MAX_BYTES = 64 << 20
_UNSIGNED, _CODES, _ASCENDING = 0, 1, 2
_ORDERS = {
    _UNSIGNED: "unsigned operands",
    _CODES: "two's complement operands, the last row being -1",
    _ASCENDING: "two's complement operands, the first row being the most negative",
}
#: A reading that fits so many times better than the one assumed is asked about.
_MUCH_BETTER = 4.0


def is_table(name: str | Path) -> bool:
    """Return whether a file's name is that of a table."""
    return Path(name).suffix.lower() in TABLE_SUFFIXES


def read_table(name: str | Path) -> np.ndarray:
    """Return the table in a file, (rows, columns), int64; both are powers of two.

    Raises:
      InputError: the file can't be read; another count, ragged rows, a float, a NaN, or a number of
        more than 32 bits: where.
    """
    path = user_path(name)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path}: more than {_MAX_BYTES >> 20} MiB for a table")
        kind = TABLE_SUFFIXES[path.suffix.lower()]
        if kind == "numpy":
            rows = _read_numpy(path)
        else:
            text = path.read_bytes().decode("utf-8-sig")
            reader = {"text": _read_text, "c": _read_c, "readmemh": _read_readmemh}[kind]
            rows = reader(path, text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not text in UTF-8") from None
    return _shaped(path, rows)


def _read_numpy(path: Path) -> np.ndarray:
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: no array: {' '.join(str(error).split())}") from None
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iu":
        kind = getattr(found, "dtype", type(found).__name__)
        raise InputError(f"{path}: holds {kind}; a table holds integers")
    if found.size and (int(found.max()) >= 1 << 32 or int(found.min()) < -(1 << 31)):
        raise InputError(f"{path}: holds a number of more than 32 bits")
    return found.astype(np.int64)


def _number(where: str, token: str) -> int:
    """Return an integer as C and CSV write it: decimal, 0x.., maybe with a suffix of C."""
    text = re.sub(r"(?<=[0-9a-fA-F])[uUlL]+$", "", token.strip().strip("\"'"))
    if re.fullmatch(r"[+-]?(0[xX][0-9a-fA-F]+|0[bB][01]+|[0-9]+)", text, re.ASCII):
        digits = text.lstrip("+-")
        value = int(digits, 0) if digits[1:2] in ("x", "X", "b", "B") else int(digits)
        value = -value if text[0] == "-" else value
        if not -(1 << 31) <= value < 1 << 32:
            raise InputError(f"{where}: {token.strip()} has more than 32 bits")
        return value
    if re.fullmatch(r"[+-]?([0-9]*\.[0-9]*|[0-9.]+[eE][+-]?[0-9]+)[fF]?", text, re.ASCII):
        raise InputError(f"{where}: {text} is a float; a table holds integers")
    raise InputError(f"{where}: '{token.strip()[:40]}' is no integer")


def _read_text(path: Path, text: str) -> np.ndarray:
    rows: list[list[int]] = []
    lines: list[int] = []
    for number, line in enumerate(text.splitlines(), start=1):
        code = re.split(r"#|//", line, maxsplit=1)[0].strip()
        if not code:
            continue
        tokens = re.split(r"\s*[,;]\s*|\s+", code)
        if tokens[-1] == "":
            tokens.pop()  # a comma at the end
        where = f"{path}:{number}"
        rows.append([_number(where, token) for token in tokens])
        lines.append(number)
        if len(rows[-1]) != len(rows[0]):
            raise InputError(
                f"{where}: {len(rows[-1])} numbers in this row, {len(rows[0])} in the first one"
            )
    return np.array(rows, np.int64)


def _read_c(path: Path, text: str) -> np.ndarray:
    """Return the one array that a C file initialises, as it is nested there."""
    code = re.sub(
        r"//[^\n]*|/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.DOTALL
    )
    starts = list(re.finditer(r"(\w+)\s*((?:\[[^]]*\]\s*)*)=\s*\{", code))
    if not starts:
        raise InputError(f"{path}: no array with an initialiser '= {{..}}'")
    if len(starts) > 1:
        names = ", ".join(match[1] for match in starts)
        raise InputError(f"{path}: several arrays are initialised: {names}; leave the table's only")
    rows: list[list[int]] = [[]]
    depth, position, nested = 1, starts[0].end(), False
    for match in re.finditer(r"[{}]|[^{},\s]+|,", code[position:]):
        token = match[0]
        if token in "{}":
            depth += 1 if token == "{" else -1
            nested |= token == "{"
            if depth == 0:
                break
            if depth > 2:
                raise InputError(f"{path}: the array '{starts[0][1]}' has more than two dimensions")
            if token == "{" and rows[-1]:
                rows.append([])
        elif token != ",":
            try:
                if re.fullmatch("[+-]?00*[1-9][0-9]+[uUlL]*", token, re.ASCII):
                    raise InputError(f": {token} is octal in C; write it without the 0 in front")
                rows[-1].append(_number("", token))
            except InputError as error:
                line = code.count("\n", 0, position + match.start()) + 1
                raise InputError(f"{path}:{line}{error}") from None
    if depth:
        raise InputError(f"{path}: the initialiser of '{starts[0][1]}' does not end")
    lengths = {len(row) for row in rows}
    if nested and len(lengths) > 1:
        short = next(k for k, row in enumerate(rows) if len(row) != len(rows[0]))
        raise InputError(
            f"{path}: {len(rows[short])} numbers in row {short}, {len(rows[0])} in the first one"
        )
    found = np.array(rows, np.int64)
    sizes = re.findall(r"\[\s*(\d+)\s*\]", starts[0][2])
    if sizes and np.prod([int(size) for size in sizes]) != found.size:
        raise InputError(
            f"{path}: '{starts[0][1]}' is declared {' x '.join(sizes)} but has {found.size} numbers"
        )
    if not nested and len(sizes) == 2:
        found = found.reshape(int(sizes[0]), int(sizes[1]))
    return found


def _read_readmemh(path: Path, text: str) -> np.ndarray:
    code = re.sub(
        r"//[^\n]*|/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.DOTALL
    )
    words: dict[int, int] = {}
    address = 0
    for number, line in enumerate(code.splitlines(), start=1):
        for token in line.split():
            digits = token.removeprefix("@").replace("_", "")
            if not re.fullmatch(r"[0-9a-fA-F]{1,16}", digits, re.ASCII):
                raise InputError(f"{path}:{number}: '{token[:40]}' is no hexadecimal number")
            value = int(digits, 16)
            if token[0] == "@":
                address = value
                continue
            if value >= 1 << 32:
                raise InputError(f"{path}:{number}: {token} has more than 32 bits")
            if address in words or address >= 1 << _MOST_BITS:
                raise InputError(
                    f"{path}:{number}: address {address:#x} "
                    + ("is given twice" if address in words else "is too large for a table")
                )
            words[address] = value
            address += 1
    if words and len(words) != max(words) + 1:
        missing = next(k for k in range(max(words) + 1) if k not in words)
        raise InputError(f"{path}: no word for address {missing:#x}")
    return np.array([words[k] for k in range(len(words))], np.int64)


def _shaped(path: Path, found: np.ndarray) -> np.ndarray:
    """Return a table as rows and columns; numbers in one row or column are a square one's."""
    if found.size == 0:
        raise InputError(f"{path}: holds no number")
    if found.ndim == 1 or (found.ndim == 2 and 1 in found.shape):
        side = int(np.sqrt(found.size))
        if side * side != found.size or side & (side - 1):
            near = 4 ** round(np.log2(found.size) / 2)
            raise InputError(
                f"{path}: {found.size:,} numbers; a table has 2^N x 2^N ({near:,}), or its rows "
                "are lines or nested"
            )
        found = found.reshape(side, side)
    if found.ndim != 2:
        raise InputError(f"{path}: an array of {found.ndim} dimensions; a table has two")
    if any(size & (size - 1) or size < 2 for size in found.shape):
        rows, columns = found.shape
        hint = ""
        if all((size - 1) & (size - 2) == 0 for size in found.shape):
            hint = "; remove headings of rows and columns"
        raise InputError(
            f"{path}: {rows} x {columns} numbers; rows and columns are powers of two{hint}"
        )
    if found.size > 1 << _MOST_BITS:
        raise InputError(f"{path}: {found.size:,} numbers; at most {1 << _MOST_BITS:,}")
    return found


def _operands(size: int, order: int) -> np.ndarray:
    """Return the operand that each row (or column) stands for."""
    index = np.arange(size)
    if order == _UNSIGNED:
        return index
    return index - size // 2 if order == _ASCENDING else (index + size // 2) % size - size // 2


def _distance(table: np.ndarray, op: str, order: int, row_b: bool, bits: int) -> float:
    """Return the mean distance of a table from an operation, as read in an order."""
    rows, columns = (_operands(size, order) for size in table.shape)
    x, y = rows[:, None], columns[None, :]
    a, b = (y, x) if row_b else (x, y)
    exact = {"muli": a * b, "addi": a + b, "subi": a - b}[op]
    values = table
    if order != _UNSIGNED:
        values = table - ((table >> (bits - 1) == 1).astype(np.int64) << bits)
    return float(np.abs(values - exact).mean())


def _settle(
    path: Path, table: np.ndarray, op: str | None, bits: int, given: Mapping[str, int]
) -> dict[str, int]:
    """Return what rows and columns stand for: as stated, or what leaves no choice."""
    row_b, order = given.get("ROW_B"), given.get("SIGNED")
    if row_b is None:
        if table.shape[0] != table.shape[1] or (table != table.T).any():
            what = "has more rows than columns or fewer"
            if table.shape[0] == table.shape[1]:
                what = f"differs from its transpose in {int((table != table.T).sum()):,} places"
            raise InputError(
                f"{path}: {what}: state which operand chooses the row, ROW_B=0 (a) or ROW_B=1 (b)"
            )
        row_b = 0
    if order is None:
        order = _UNSIGNED
        ops = [op] if op in ("muli", "addi", "subi") else ["muli", "addi", "subi"]
        fits = {
            o: min(_distance(table, name, o, bool(row_b), bits) for name in ops) for o in _ORDERS
        }
        best = min(fits, key=lambda o: fits[o])
        if (table < 0).any() or fits[best] * _MUCH_BETTER < fits[order]:
            signs = ", ".join(f"SIGNED={o}: {text}" for o, text in _ORDERS.items())
            why = "holds negative numbers" if (table < 0).any() else "may be signed"
            raise InputError(
                f"{path}: {why}; state how it is to be read ({signs}). SIGNED={best} fits "
                f"{'/'.join(ops)} best: a mean distance of {fits[best]:.4g}"
            )
    if order == _UNSIGNED and (table < 0).any():
        row, column = (int(k[0]) for k in np.nonzero(table < 0))
        raise InputError(
            f"{path}: {table[row, column]} in row {row}, column {column}, but SIGNED=0 says that "
            "it is unsigned"
        )
    return {"SIGNED": order, "ROW_B": row_b}


def _result_bits(path: Path, table: np.ndarray, op: str | None, wide: tuple[int, int]) -> int:
    """Return the bits of a result: those of the operation, or the fewest that hold all results."""
    low, high = int(table.min()), int(table.max())
    signed = low < 0
    fewest = max(high.bit_length() + signed, (~low).bit_length() + 1 if signed else 1)
    bits = fewest
    if op is not None:
        widest = max(wide)
        known = {"muli": sum(wide), "divi": wide[0], "maxi": widest, "mini": widest}
        bits = known.get(op, widest + 1)
    if fewest > bits:
        value = low if (~low).bit_length() + 1 > bits else high
        row, column = (int(k[0]) for k in np.nonzero(table == value))
        raise InputError(
            f"{path}: {value} in row {row}, column {column} does not fit into the {bits} bits of "
            f"{op} on {wide[0]} and {wide[1]} bits"
        )
    return bits


def core_from_table(
    name: str | Path,
    op: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    level: Level | None = None,
    align: Align = "right",
    format: str = "f32",
    signed: bool | None = None,
) -> Core:
    """Return the core that the table in a file is.

    Args:
      name: a file with a suffix of `TABLE_SUFFIXES`.
      op: one of `FLOAT_OPS` (the table multiplies or adds significands) or `INTEGER_OPS`, or None.
      parameters: `SIGNED` and `ROW_B`, and for one of `FLOAT_OPS` those of the wrapper.
      level, align, format: as in `core_from_verilog`.
      signed: the same as `SIGNED=1` or `SIGNED=0`.

    Raises:
      InputError: see `read_table`; a result of too many bits; or it is open what rows and columns
        stand for.
    """
    path = user_path(name)
    table = read_table(path)
    if op is not None and op not in OP_KINDS:
        raise InputError(f"unknown operation '{op}'; one of {', '.join(OP_KINDS)}")
    is_unit = op in FLOAT_OPS
    if op in FLOAT_OPS and op not in UNIT_OPS:
        raise InputError(f"{path}: no table of integers computes {op}; {', '.join(UNIT_OPS)} do")
    if level not in (None, "significand" if is_unit else "integer"):
        raise InputError(f"{path}: level is '{level}'; a table is an integer circuit")
    own = UNIT_OPS[str(op)] if is_unit else op
    stem = re.sub(r"\W", "_", path.stem, flags=re.ASCII)
    module = f"table_{stem}"
    stated, others = {}, {}
    if signed is not None:
        stated["SIGNED"] = int(signed)
    for key, value in (parameters or {}).items():
        legal = {"SIGNED": 2, "ROW_B": 1}.get(key)
        number = checked_parameter(
            module, Parameter(key, 0, None if legal is None else 0, legal), value
        )
        if legal is not None:
            if stated.get(key, number) != number:
                raise InputError(f"{path}: {key}={number}, but --signed or --no-signed")
            stated[key] = number
        elif is_unit:
            others[key] = number
        else:
            raise InputError(f"{path}: unknown parameter '{key}'; a table has SIGNED, ROW_B")
    rows, columns = (size.bit_length() - 1 for size in table.shape)
    wide = (columns, rows) if stated.get("ROW_B") else (rows, columns)
    bits = _result_bits(path, table, own, wide)
    settled = _settle(path, table, own, bits, {**({"SIGNED": 0} if is_unit else {}), **stated})
    if is_unit and settled["SIGNED"]:
        raise InputError(f"{path}: SIGNED={settled['SIGNED']}, but {op} takes an unsigned table")
    digits = (bits + 3) // 4
    mask = (1 << bits) - 1
    text = "".join(f"{value & mask:0{digits}x}\n" for value in table.ravel().tolist())
    folder = cached_directory(
        "tables", content_hash(text), lambda new: _write(new / "table.hex", text)
    )
    core = Core(
        name=module,
        module=module,
        op=own,
        format=None,
        sources=(
            Source(
                path.resolve().with_name(f"{module}.sv"),
                _verilog(module, rows, columns, bits, settled, folder / "table.hex"),
            ),
        ),
        ports=LIBRARY_PORTS,
        parameters=tuple(
            Parameter(key, value, value, value, declared=0) for key, value in settled.items()
        ),
        latency_cycles=1,
        special_values="none",
        summary=(
            f"table of {table.shape[0]} x {table.shape[1]}, {_ORDERS[settled['SIGNED']]}, row = "
            f"{'b' if settled['ROW_B'] else 'a'}; in hardware a ROM of {table.size} words of "
            f"{bits} bits"
        ),
        path=path,
        signed=bool(settled["SIGNED"]),
    )
    if not is_unit:
        return core
    wrapped = significand.wrap(core, str(op), cast(Any, format), align)
    changed = dict(wrapped.instance(others).parameters)
    fixed = [
        dataclasses.replace(p, default=changed[p.name], declared=p.default)
        if p.name in others
        else p
        for p in wrapped.parameters
    ]
    summary = f"{wrapped.summary}; {core.summary}"
    return dataclasses.replace(wrapped, parameters=tuple(fixed), summary=summary)


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _verilog(
    module: str,
    rows: int,
    columns: int,
    bits: int,
    settled: Mapping[str, int],
    data: Path,
) -> str:
    """Return the module around the ROM: the address is the row's number, then the column's."""

    def half(bits: int) -> str:
        return f"(SIGNED == 2) ? {bits}'d{1 << (bits - 1)} : {bits}'d0"

    lines = (
        f"// A table of {1 << rows} x {1 << columns} results: a ROM, read in a clock cycle.",
        "//",
        "// ROW_B:    the row is chosen by a_i (0) or b_i (1).",
        "// SIGNED:   0: operands are unsigned; 1: two's complement; 2: the same, and the first",
        "//           row is that of the most negative operand.",
        "// Latency:  1.",
        f"module {module} #(",
        f"  parameter int unsigned SIGNED = {settled['SIGNED']},",
        f"  parameter int unsigned ROW_B  = {settled['ROW_B']}",
        ") (",
        "  input  logic clk_i,",
        f"  input  logic [((ROW_B != 0) ? {columns} : {rows})-1:0] a_i,",
        f"  input  logic [((ROW_B != 0) ? {rows} : {columns})-1:0] b_i,",
        f"  output logic [{bits - 1}:0] result_o",
        ");",
        "",
        "  // Where rows ascend from the most negative operand, the sign bit is inverted.",
        f"  localparam logic [{rows - 1}:0] RowFlip    = {half(rows)};",
        f"  localparam logic [{columns - 1}:0] ColumnFlip = {half(columns)};",
        "",
        f"  logic [{rows - 1}:0] row;",
        f"  logic [{columns - 1}:0] column;",
        f"  logic [{bits - 1}:0] words [{1 << (rows + columns)}];",
        "",
        "  if (ROW_B != 0) begin : gen_row_b",
        "    assign row    = b_i ^ RowFlip;",
        "    assign column = a_i ^ ColumnFlip;",
        "  end else begin : gen_row_a",
        "    assign row    = a_i ^ RowFlip;",
        "    assign column = b_i ^ ColumnFlip;",
        "  end",
        "",
        f'  initial $readmemh("{data}", words);',
        "  always_ff @(posedge clk_i) result_o <= words[{row, column}];",
        "",
        "endmodule",
        "",
    )
    return "\n".join(lines)
