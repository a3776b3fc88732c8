# SPDX-License-Identifier: Apache-2.0
"""Sums of products of 8-bit codes, quick whatever core makes the products.

A product of two codes is a table of 256 x 256 words.  Either it is *lifted*: written as a sum of
products of bytes, exact ones, for which processors have instructions; or vectors of codes that
share a weight look up its *row*.  Both give the bits of the core's *model*, which is the third way
(`docs/decisions/0027-contractions.md`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from asnet_mlir.binding import Binding
from asnet_mlir.compiler import bound_module
from asnet_mlir.cores.models.lifting import lift
from asnet_mlir.cores.models.model import STRATEGIES, Strategy
from asnet_mlir.errors import InputError
from asnet_mlir.evaluation.stages import Stage
from asnet_mlir.ir import module_from_text, run_passes
from asnet_mlir.native.contraction import Contraction, Lifted
from asnet_mlir.native.objects import Argument, Plan
from asnet_mlir.support.cache import content_hash

__all__ = [
    "WAYS",
    "Outlined",
    "Product",
    "Way",
    "parse_strategy",
    "contraction_from",
    "inlined",
    "names_instance",
    "outlined",
    "product_table",
]

Way = Literal["lifted", "rows", "models"]
#: How a sum of products of codes is computed, in the order in which it is documented.
WAYS: tuple[Way, ...] = get_args(Way)

_OUTLINE = "builtin.module(approx-outline-contractions)"
_PAIRS = 256 * 256
#: Lifted code of so few passes is always quicker than rows, and of so many never.
_FEW_PASSES, _MANY_PASSES = 2, 64


def parse_strategy(name: str | None) -> tuple[Strategy | None, Way | None]:
    """Return which strategy for models, and which way for contractions, a name forces.

    Raises:
      InputError: it is neither's.
    """
    if name is None:
        return None, None
    for way in WAYS:
        if name == way:
            return None, way
    for strategy in STRATEGIES:
        if name == strategy:
            return strategy, "models"
    raise InputError(f"strategy '{name}': one of {', '.join((*WAYS, *STRATEGIES))}")


@dataclass(frozen=True)
class Outlined:
    """A bound stage whose contractions are taken out.

    Nothing of it depends on parameters and latencies of cores, which are their models' affair.

    Attributes:
      text: the stage; its library declares the cores that it names, without them.
      code: what of the text its native code depends on: all but the library.
      products: of each contraction a module of its product, by number: `@main` takes codes and
        weights, tensors of 65,536 i8, and gives as many i32.
    """

    text: str
    code: str
    products: tuple[str, ...]


def outlined(stage: Stage, binding: Binding, way: Way | None) -> Outlined:
    """Bind a stage, and take the products of its contractions out of it.

    Args:
      binding: restricted to the stage.
      way: `models` leaves everything where it is.
    """
    with bound_module(stage.text, binding) as module:
        from mlir import ir

        if way != "models":
            run_passes(module, _OUTLINE, f"layer '{stage.layer}'")
        library, code, products = "", [], []
        i64 = ir.IntegerType.get_signless(64)
        for op in list(module.body.operations):
            if op.operation.name == "approx.library":
                for core in op.operation.regions[0].blocks[0].operations:
                    core.operation.attributes["parameters"] = ir.DictAttr.get({})
                    core.operation.attributes["latency"] = ir.IntegerAttr.get(i64, 0)
                    core.operation.attributes["interval"] = ir.IntegerAttr.get(i64, 1)
                library = str(op)
            elif "approx.product" in op.operation.attributes:
                products.append(str(op))
                op.operation.erase()
            else:
                code.append(str(op))
        return Outlined(
            _declared(library, "\n".join(code)),
            "\n".join(code),
            tuple(_declared(library, _product_text(text)) for text in products),
        )


def names_instance(text: str, number: int) -> bool:
    """Return whether an op of a module's text has an instance."""
    return re.search(rf"\binstance = {number}\b", text) is not None


def _declared(library: str, code: str) -> str:
    """Return a module of `code` and of the library's cores that it names."""
    cores = [
        line
        for line in library.splitlines()
        if (found := re.match(r"\s*approx\.core (\d+)", line))
        and names_instance(code, int(found[1]))
    ]
    declared = "\n".join(["approx.library {", *cores, "}"]) if cores else ""
    return f"module {{\n{declared}\n{code}\n}}\n"


def _product_text(function: str) -> str:
    """Return the functions of a module that computes a product of codes for arrays of them."""
    name = re.search(r"@(product_\d+)\(", function)
    assert name is not None, function
    codes, words = f"tensor<{_PAIRS}xi8>", f"tensor<{_PAIRS}xi32>"
    maps = ", ".join(["affine_map<(d0) -> (d0)>"] * 3)
    return "\n".join(
        [
            f"func.func @main(%x: {codes} {{approx.value = 0 : i64}}, "
            f"%w: {codes} {{approx.value = 1 : i64}}) -> ({words} {{approx.value = 2 : i64}}) {{",
            f"  %empty = tensor.empty() : {words}",
            f'  %all = linalg.generic {{indexing_maps = [{maps}], iterator_types = ["parallel"]}} '
            f"ins(%x, %w : {codes}, {codes}) outs(%empty : {words}) {{",
            "  ^bb0(%a: i8, %b: i8, %o: i32):",
            f"    %product = func.call @{name[1]}(%a, %b) : (i8, i8) -> i32",
            "    linalg.yield %product : i32",
            f"  }} -> {words}",
            f"  return %all : {words}",
            "}",
            function,
        ]
    )


def inlined(text: str) -> str:
    """Return the module of a product without calls but those of models."""
    with module_from_text(text) as module:
        run_passes(module, "builtin.module(inline, symbol-dce)", "a product")
        return str(module)


def product_table(
    entry: int, signature: list[dict[str, Any]], parameters: np.ndarray
) -> np.ndarray:
    """Run the native code of a product; return int32[256 weights, 256 codes]."""
    codes = np.arange(256, dtype=np.uint8)
    arrays: dict[int, np.ndarray] = {
        0: np.tile(codes, 256),
        1: np.repeat(codes, 256),
        2: np.empty(_PAIRS, np.int32),
    }
    arguments = []
    for argument in signature:
        if argument["role"] == "value":
            arguments.append(Argument("value", argument["name"]))
        elif argument["role"] == "arena":
            arguments.append(Argument("arena", argument["bytes"]))
        else:
            arguments.append(Argument("constant", parameters.ctypes.data))
    Plan([(entry, arguments)], [a.nbytes for a in arrays.values()]).run(arrays, 1, 1)
    return arrays[2].reshape(256, 256)


def contraction_from(attribute: Any) -> dict[str, Any]:
    """Return the attribute `approx.contraction` as JSON has it; constants as hexadecimal bytes."""
    from mlir import ir

    described: dict[str, Any] = {}
    for entry in attribute:
        value = entry.attr
        if isinstance(value, ir.DenseI64ArrayAttr):
            described[entry.name] = list(value)
        elif isinstance(value, (ir.IntegerAttr, ir.BoolAttr, ir.StringAttr)):
            described[entry.name] = value.value
        else:
            described[entry.name] = np.ascontiguousarray(np.array(value)).tobytes().hex()
    return described


class Product:
    """A product of two codes, as a table and, where it may be quicker, lifted."""

    _chosen: ClassVar[dict[str, bool]] = {}

    def __init__(self, table: np.ndarray, way: Way | None) -> None:
        """Take int32[256 weights, 256 codes]; `way` forces how sums are computed."""
        self.table = np.ascontiguousarray(table)
        self.key = content_hash("product", self.table.tobytes())
        self._way = way
        spread = self.table.max(1).astype(np.int64) - self.table.min(1)
        self._has_rows = bool((spread < 1 << 16).all())
        self.lifted: Lifted | None = None if way == "rows" else lift(self.table)

    @property
    def ways(self) -> tuple[Way, ...]:
        """The ways that apply, other than `models`."""
        lifted: tuple[Way, ...] = ("lifted",) if self.lifted is not None else ()
        rows: tuple[Way, ...] = ("rows",) if self._has_rows and self._way != "lifted" else ()
        return lifted + rows

    def contraction(
        self,
        described: Mapping[str, Any],
        weights: Mapping[str, np.ndarray],
        prepared: Mapping[int, np.ndarray],
    ) -> Contraction:
        """Return the contraction `described` for given weights, the quickest way."""
        codes = _codes(described, weights, prepared)
        if self.lifted is None or (self._has_rows and self.lifted.passes > _MANY_PASSES):
            return Contraction(described, codes, self.table)
        lifted = Contraction(described, codes, self.lifted)
        if "rows" not in self.ways or self.lifted.passes <= _FEW_PASSES:
            return lifted
        rows = Contraction(described, codes, self.table)
        shape = [described[name] for name in ("ranges", "reduces", "x", "w", "y", "lanes")]
        key = content_hash(str(self.lifted.passes), repr(shape))
        if key not in self._chosen:
            self._chosen[key] = lifted.seconds() <= rows.seconds()
        return lifted if self._chosen[key] else rows


def _codes(
    described: Mapping[str, Any],
    weights: Mapping[str, np.ndarray],
    prepared: Mapping[int, np.ndarray],
) -> np.ndarray:
    if "weight" in described:
        return np.ascontiguousarray(weights[described["weight"]])
    if "prepared" in described:
        return prepared[described["prepared"]]
    return np.frombuffer(bytes.fromhex(described["constant"]), np.uint8)
