# SPDX-License-Identifier: Apache-2.0
"""Transposition of blocks of samples by native code."""

from __future__ import annotations

from asnet_mlir.evaluation.cpu import TO_LLVM
from asnet_mlir.ir import module_from_text, run_passes
from asnet_mlir.native.objects import LoadedObject, compile_object, native_key
from asnet_mlir.support.cache import cached_bytes

__all__ = ["transposer"]


def transposer(rows: int, columns: int, lanes: int, element: str = "f32") -> int:
    """Return the address of native code that transposes [rows, columns].

    It takes the array and the result, [columns, rows], and works on tiles of `lanes` x `lanes`,
    where both sides have as many.

    Args:
      element: MLIR's type of the elements.
    """
    key = native_key("transposer", str(rows), str(columns), str(lanes), element)
    if key not in _TRANSPOSERS:

        def make() -> bytes:
            with module_from_text(_transposer_text(rows, columns, lanes, element)) as module:
                run_passes(module, TO_LLVM, "transposing")
                return compile_object(module, 1)

        _TRANSPOSERS[key] = LoadedObject(cached_bytes("transposers", key, make))
    return _TRANSPOSERS[key].address("asnet_main")


_TRANSPOSERS: dict[str, LoadedObject] = {}


def _transposer_text(rows: int, columns: int, lanes: int, element: str) -> str:
    source, target = f"memref<{rows}x{columns}x{element}>", f"memref<{columns}x{rows}x{element}>"
    lines = [
        f"func.func @main(%x: {source}, %y: {target}) attributes {{llvm.emit_c_interface}} {{",
        *(f"  %c{i} = arith.constant {i} : index" for i in range(lanes)),
    ]
    for name, value in (("step", lanes), ("rows", rows), ("columns", columns)):
        lines.append(f"  %{name} = arith.constant {value} : index")
    if rows < lanes or columns < lanes:
        lines += [
            "  scf.for %i = %c0 to %rows step %c1 {",
            "    scf.for %j = %c0 to %columns step %c1 {",
            f"      %v = memref.load %x[%i, %j] : {source}",
            f"      memref.store %v, %y[%j, %i] : {target}",
            "    }",
            "  }",
        ]
    else:
        vector = f"vector<{lanes}x{element}>"
        for name, size in (("last_row", rows - lanes), ("last_column", columns - lanes)):
            lines.append(f"  %{name} = arith.constant {size} : index")
        lines += [
            "  scf.for %row = %c0 to %rows step %step {",
            # The last tile overlaps the one before it rather than reaching beyond the end.
            "    %i = arith.minsi %row, %last_row : index",
            "    scf.for %column = %c0 to %columns step %step {",
            "      %j = arith.minsi %column, %last_column : index",
        ]
        values = []
        for k in range(lanes):
            lines.append(f"      %i{k} = arith.addi %i, %c{k} : index")
            lines.append(f"      %r0_{k} = vector.load %x[%i{k}, %j] : {source}, {vector}")
            values.append(f"%r0_{k}")
        size, step = 1, 0
        while size < lanes:
            step += 1
            following = list(values)
            low = [j if not j & size else lanes + j - size for j in range(lanes)]
            high = [j + size if not j & size else lanes + j for j in range(lanes)]
            for k in range(lanes):
                if k & size:
                    continue
                pair = f"{values[k]}, {values[k + size]}"
                for position, mask in ((k, low), (k + size, high)):
                    name = f"%r{step}_{position}"
                    lines.append(
                        f"      {name} = vector.shuffle {pair} {mask} : {vector}, {vector}"
                    )
                    following[position] = name
            values, size = following, size * 2
        for k in range(lanes):
            lines.append(f"      %j{k} = arith.addi %j, %c{k} : index")
            lines.append(f"      vector.store {values[k]}, %y[%j{k}, %i] : {target}, {vector}")
        lines += ["    }", "  }"]
    lines += ["  return", "}"]
    return "\n".join(lines) + "\n"
