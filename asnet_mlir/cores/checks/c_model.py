# SPDX-License-Identifier: Apache-2.0
"""A C model that came with a core, checked against the core's simulated Verilog.

The Verilog is the truth; a C model is something to check.  Of published circuits some come with
models whose operands are swapped, and some with models of another circuit.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from asnet_mlir.cores.core import Instance
from asnet_mlir.cores.operands import (
    corner_pairs,
    integer_corner_pairs,
    random_operands,
)
from asnet_mlir.cores.simulation.family import Widths
from asnet_mlir.cores.simulation.simulation import port_widths, run_library, simulate_pairs
from asnet_mlir.errors import InputError, ToolError
from asnet_mlir.support import processes
from asnet_mlir.support.formats import F32, FLOAT_FORMATS

__all__ = ["CFunction", "CModelReport", "check_c_model", "find_functions"]

Order = Literal["as given", "by name", "swapped", "both", "neither"]

_SECONDS = 60.0
_COMPILE_SECONDS = 60.0
_MOST_BYTES = 64 << 20
# What a simulation of iterative cores can do in a few seconds.
_MOST_CYCLES = 200_000_000
_FLAGS = ("-O1", "-w", "-fPIC", "-shared", "-fno-strict-aliasing", "-Wl,-z,defs")

# Widths in bits and kinds of the types that a C model may use.
_TYPES = {
    **{f"{sign}int{bits}_t": (sign or "s", bits) for sign in ("u", "") for bits in (8, 16, 32, 64)},
    "char": ("s", 8),
    "signed char": ("s", 8),
    "unsigned char": ("u", 8),
    "short": ("s", 16),
    "unsigned short": ("u", 16),
    "int": ("s", 32),
    "signed": ("s", 32),
    "unsigned": ("u", 32),
    "unsigned int": ("u", 32),
    "long": ("s", 64),
    "unsigned long": ("u", 64),
    "long long": ("s", 64),
    "unsigned long long": ("u", 64),
    "size_t": ("u", 64),
    "_Bool": ("u", 8),
    "bool": ("u", 8),
    "float": ("f", 32),
}

_DRIVER = r"""
#include <stdint.h>
#include <string.h>
typedef @A@ asnet_a;
typedef @B@ asnet_b;
typedef @R@ asnet_r;
static @X@ asnet_first(asnet_a bits) { @TAKE_A@ }
static @Y@ asnet_second(asnet_b bits) { @TAKE_B@ }
static asnet_r asnet_result(@Z@ value) { @GIVE@ }
int asnet_run(int64_t seed, int64_t interval, int64_t waiting, const int64_t *latencies,
              int64_t count, const void *a, const void *b, void *results, uint32_t *cycles) {
  for (int64_t i = 0; i < count; ++i)
    ((asnet_r *)results)[i] =
        asnet_result(@FUNCTION@(asnet_first(((const asnet_a *)a)[i]),
                                asnet_second(((const asnet_b *)b)[i])));
  return 0;
}
"""


@dataclass(frozen=True)
class CFunction:
    """A C function of two numbers: its name, the types of its result and of its operands.

    `names` are those of its operands.
    """

    name: str
    result: str
    operands: tuple[str, str]
    names: tuple[str, str] = field(default=("", ""), compare=False)


@dataclass(frozen=True)
class CModelReport:
    """What comparing a C function with the simulated Verilog found.

    `order` is the order of operands in which the function matches: "by name" where it takes them
    the other way round and calls them like the Verilog's ports.  `operands` are their names in C.
    `first_difference` holds `a`, `b`, `verilog`, `c` and `c_swapped` at the first pair at which the
    function, called in the order given, differs.
    """

    label: str
    c_file: str
    function: str
    order: Order
    vectors: int
    seed: int
    first_difference: dict[str, int] | None = None
    operands: tuple[str, str] = ("", "")
    is_reversed: bool = False

    @property
    def passed(self) -> bool:
        """Whether the function matches in the order given, or by the names of its operands."""
        return self.order in ("as given", "by name", "both")

    def summary(self) -> str:
        """Return the report as one line."""
        found = {
            "as given": "matches the Verilog as given",
            "by name": "matches the Verilog by the names of its operands, which it takes in the "
            f"order {', '.join(self.operands)}",
            "swapped": "matches the Verilog only with its operands swapped",
            "both": "matches the Verilog, in either order of operands",
            "neither": "matches the Verilog in neither order of operands",
        }[self.order]
        where = Path(self.c_file).name
        line = (
            f"{self.label}: C model {where}:{self.function} {found} "
            f"({self.vectors} operand pairs, seed {self.seed})"
        )
        if self.is_reversed and self.order == "as given":
            line += f"; by position: its operands are called {', '.join(self.operands)}"
        first = self.first_difference
        if first is not None and self.order != "by name":
            line += (
                f"; first difference: a = {first['a']:#x}, b = {first['b']:#x}: Verilog "
                f"{first['verilog']:#x}, C {first['c']:#x}, C swapped {first['c_swapped']:#x}"
            )
        return line

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {**asdict(self), "status": "pass" if self.passed else "fail"}


def check_c_model(
    instance: Instance,
    c_file: str | Path,
    function: str | None = None,
    *,
    random_vectors: int = 1_000_000,
    seed: int = 0,
) -> CModelReport:
    """Compare a C function of two operands with the simulated Verilog, in both operand orders.

    Operands are passed by value, extended to the width of their C type (with the sign if the core
    is signed); a `float` is passed and compared as bits, NaN operands being the canonical one.  The
    result is compared modulo the width of the core's result; any NaN equals any NaN in a `float`.

    Args:
      instance: the core.
      c_file: C source that can be compiled alone.
      function: its name; by default the only function of two numbers that the file defines, or the
        one that is named like the core or the file.
      random_vectors, seed: operand pairs besides the corners; integer cores of at most 16 operand
        bits are tried exhaustively.

    Raises:
      InputError: no such file or function, C that does not compile, crashes or does not end.
      ToolError: the simulation of the Verilog failed.
    """
    path = Path(c_file)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path}: more than {_MOST_BYTES >> 20} MiB of C")
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    chosen = _choose(path, find_functions(text), function, instance.core.name)
    widths = port_widths([instance])[0]
    a, b = _operands(instance, widths, random_vectors, seed)
    verilog = simulate_pairs(instance, a, b)
    with tempfile.TemporaryDirectory(prefix="asnet-c-model-") as name:
        results = []
        for swapped in (False, True):
            first, second = (b, a) if swapped else (a, b)
            order = (widths.b, widths.a) if swapped else (widths.a, widths.b)
            library = _compile(Path(name), path, text, chosen, order, widths.result, instance)
            kinds = Widths(*order, widths.result).dtypes
            rows, _ = run_library(
                library,
                first.astype(kinds[0]),
                second.astype(kinds[1]),
                kinds[2],
                1,
                label=f"{path}: {chosen.name}",
                seconds=_SECONDS,
                what="the C model",
            )
            results.append(rows[0])
    is_float = chosen.result == "float" and instance.core.format == "f32"
    equal = []
    for got in results:
        same = got == verilog
        if is_float:
            same |= F32.is_nan(got) & F32.is_nan(verilog)
        equal.append(same)
    as_given, swapped = (bool(same.all()) for same in equal)
    orders: dict[tuple[bool, bool], Order] = {
        (True, True): "both",
        (True, False): "as given",
        (False, True): "swapped",
        (False, False): "neither",
    }
    ports = instance.core.ports
    is_reversed = [n.lower() for n in chosen.names] == [ports.b.lower(), ports.a.lower()]
    matched = orders[as_given, swapped]
    if matched == "swapped" and is_reversed:
        matched = "by name"
    difference = None
    if not as_given:
        index = int(np.argmin(equal[0]))
        difference = {
            "a": int(a[index]),
            "b": int(b[index]),
            "verilog": int(verilog[index]),
            "c": int(results[0][index]),
            "c_swapped": int(results[1][index]),
        }
    return CModelReport(
        label=instance.label,
        c_file=str(path),
        function=chosen.name,
        order=matched,
        vectors=a.size,
        seed=seed,
        first_difference=difference,
        operands=chosen.names,
        is_reversed=is_reversed,
    )


def find_functions(text: str) -> list[CFunction]:
    """Return the functions of two numbers that C source defines, in their order."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)
    text = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", " ", text, flags=re.MULTILINE)
    found = []
    words = r"[A-Za-z_]\w*(?:\s+[A-Za-z_]\w*)*"
    for match in re.finditer(rf"({words})\s+([A-Za-z_]\w*)\s*\(([^(){{}};]*)\)\s*\{{", text):
        result = _type(match[1])
        parameters = match[3].split(",")
        if result is None or len(parameters) != 2:
            continue
        operands, names = [], []
        for parameter in parameters:
            named = re.fullmatch(rf"\s*({words})\s+([A-Za-z_]\w*)\s*", parameter)
            kind = _type(named[1]) if named else None
            if named is not None and kind is not None:
                operands.append(kind)
                names.append(named[2])
        if len(operands) == 2:
            pair = (operands[0], operands[1])
            found.append(CFunction(match[2], result, pair, (names[0], names[1])))
    return found


def _type(words: str) -> str | None:
    """Return the name of a number's type without qualifiers, as `_TYPES` has it; or None."""
    dropped = {"const", "static", "inline", "extern", "register", "volatile", "__inline"}
    kept = [word for word in words.split() if word not in dropped]
    if len(kept) > 1 and kept[-1] == "int":
        kept.pop()  # as in `unsigned long int`
    if len(kept) > 1 and kept[0] == "signed" and kept[1] != "char":
        kept.pop(0)
    name = " ".join(kept)
    return name if name in _TYPES else None


def _choose(
    path: Path, found: Sequence[CFunction], wanted: str | None, core_name: str
) -> CFunction:
    names = [function.name for function in found]
    listing = ", ".join(names) or "none"
    if wanted is not None:
        if wanted not in names:
            raise InputError(
                f"{path}: no function '{wanted}' of two numbers that returns a number; "
                f"it has {listing}"
            )
        return found[names.index(wanted)]
    if not found:
        raise InputError(f"{path}: no function of two numbers that returns a number")
    for name in (core_name, path.stem):
        if name in names:
            return found[names.index(name)]
    if len(found) > 1:
        raise InputError(
            f"{path}: several functions could be the model: {listing}; name one (FILE.c:FUNCTION)"
        )
    return found[0]


def _operands(
    instance: Instance, widths: Widths, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return corners and random pairs, or every pair of narrow integers."""
    core = instance.core
    kinds = widths.dtypes
    if core.is_stateful:
        pace = max(core.initiation_interval, instance.latency)
        count = min(count, max(1 << 16, _MOST_CYCLES // pace))
    if core.format is None and widths.a + widths.b <= 16:
        pairs = np.arange(1 << widths.a + widths.b, dtype=np.uint32)
        a, b = pairs >> np.uint32(widths.b), pairs & np.uint32((1 << widths.b) - 1)
        return a.astype(kinds[0]), b.astype(kinds[1])
    if core.format is not None:
        corners = corner_pairs(FLOAT_FORMATS[core.format])
    else:
        corners = integer_corner_pairs(widths.a, widths.b)
    drawn = random_operands(core.format, widths.a, widths.b, count, (seed, 0))
    a, b = (
        np.concatenate([corner.astype(kind), values.astype(kind)])
        for corner, values, kind in zip(corners, drawn, kinds[:2], strict=True)
    )
    if core.format is not None:
        a, b = FLOAT_FORMATS[core.format].canonical(a), FLOAT_FORMATS[core.format].canonical(b)
    return a, b


def _compile(
    folder: Path,
    path: Path,
    text: str,
    function: CFunction,
    operand_widths: tuple[int, int],
    result_width: int,
    instance: Instance,
) -> Path:
    """Compile the model with a loop over arrays; return the shared library."""
    if re.search(r"\bmain\s*\(", text):
        text = f"#define main asnet_main_of_the_model\n{text}\n#undef main"
    widths = Widths(*operand_widths, result_width)
    values = {"FUNCTION": function.name, "Z": function.result}
    for letter, dtype in zip("ABR", widths.dtypes, strict=True):
        values[letter] = f"uint{dtype.itemsize * 8}_t"
    for letter, kind, width in zip("XY", function.operands, operand_widths, strict=True):
        values[letter] = kind
        side = "A" if letter == "X" else "B"
        if _TYPES[kind][0] == "f":
            if width != 32:
                raise InputError(
                    f"{path}: {function.name} takes a float, but the core's operand has "
                    f"{width} bits"
                )
            values[f"TAKE_{side}"] = (
                "float value; memcpy(&value, &bits, sizeof value); return value;"
            )
        elif instance.core.signed:
            shift = 64 - width
            values[f"TAKE_{side}"] = f"return (int64_t)((uint64_t)bits << {shift}) >> {shift};"
        else:
            values[f"TAKE_{side}"] = "return bits;"
    if _TYPES[function.result][0] == "f":
        values["GIVE"] = "uint32_t bits; memcpy(&bits, &value, sizeof bits); return (asnet_r)bits;"
    else:
        mask = (1 << result_width) - 1
        values["GIVE"] = f"return (asnet_r)((uint64_t)value & {mask:#x}ull);"
    driver = _DRIVER
    for key, value in values.items():
        driver = driver.replace(f"@{key}@", value)
    where = str(path).replace("\\", "\\\\").replace('"', '\\"')
    (folder / "model.c").write_text(f'#line 1 "{where}"\n{text}\n{driver}', encoding="utf-8")
    output = folder / f"model{sum(1 for _ in folder.glob('*.so'))}.so"
    try:
        processes.run(
            ["gcc", *_FLAGS, f"-I{path.resolve().parent}", "model.c", "-lm", "-o", output.name],
            purpose=f"compiling {path}",
            cwd=folder,
            timeout_seconds=_COMPILE_SECONDS,
            env={"LC_ALL": "C"},
        )
    except ToolError as error:
        lines = [part.strip() for part in str(error).split(" | ")]
        told = [line for line in lines if "error:" in line or "undefined reference" in line]
        told.sort(key=lambda line: "ld returned" in line)
        line = re.sub(r"^model\.c:\(\S*\): ", "", told[0]) if told else str(error)
        raise InputError(line if line.startswith(str(path)) else f"{path}: {line}") from None
    return output
