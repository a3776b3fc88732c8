# SPDX-License-Identifier: Apache-2.0
"""The proof itself, in a process: `python -m asnet_mlir.cores.proofs.prove_worker REQUEST`.

Reads `{"kind": "equal" | "native", ..}` and prints one JSON object; `prove.py` is the interface.
A process of its own, because neither MLIR's bindings nor z3 can be stopped within one, and because
MLIR cannot be loaded beside CIRCT or TensorFlow.

A proof goes from cheap to costly and ends at the first answer:

1. random operands and corner values: a difference refutes;
2. SAT sweeping with products of two wide factors abstracted (`_Products`), where there are such;
3. SAT sweeping of the exact circuits;
4. z3 on bit-vector terms.

An abstraction only forgets facts about products, so that "equal" holds for the exact ones as well;
its counterexamples count only where the exact evaluation of both texts differs.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from asnet_mlir.cores.circuits import aig
from asnet_mlir.cores.circuits import terms as smt
from asnet_mlir.cores.circuits.words import FALSE, TRUE, Word
from asnet_mlir.cores.operands import corner_values, integer_corner_pairs, random_operands
from asnet_mlir.errors import AsnetError
from asnet_mlir.support.formats import F32

__all__ = ["insensitive", "main", "prove", "prove_native"]

_CANONICAL_NAN = F32.canonical_nan
_RANDOM_PAIRS = 1 << 15
#: Bits that are flipped in one evaluation, which costs more for its ops than for its operands.
_FLIPS = 8
_MASK_PAIRS = 1 << 11  # a proof that fails finds bits that these miss
_CORNERS = 64  # of each operand
# Factors below this width are cheap as gates; above the other, sums of products grow too large.
_LEAST_ABSTRACTED, _MOST_ABSTRACTED = 5, 40
_OPERANDS_SECONDS = 2.0
_SEED = 20261123
_ATTEMPTS = 3

Answer = dict[str, Any]
Masks = tuple[int, int]


def _operands(function: smt.Function, count: int = _RANDOM_PAIRS) -> tuple[np.ndarray, np.ndarray]:
    """Return operands on which functions are compared, NaNs canonical where they are floats."""
    widths = function.widths
    if function.is_float[0] and function.is_float[1]:
        a, b = random_operands("f32", 32, 32, count, _SEED)
        corners = corner_values()
        corners = corners[:: max(1, corners.size // _CORNERS)]
        grid = [side.ravel() for side in np.meshgrid(corners, corners)]
    elif max(widths[:2]) > 64:
        rng = np.random.default_rng(_SEED)
        a, b = (
            np.array([int.from_bytes(rng.bytes(width // 8 + 1)) for _ in range(count >> 5)], object)
            for width in widths[:2]
        )
        grid = [a[:0], b[:0]]
    else:
        a, b = random_operands(None, widths[0], widths[1], count, _SEED)
        grid = list(integer_corner_pairs(widths[0], widths[1]))
    a, b = (np.concatenate(pair) for pair in zip((a, b), grid, strict=True))
    return _canonical(function, a, 0), _canonical(function, b, 1)


def _canonical(function: smt.Function, bits: np.ndarray, position: int) -> np.ndarray:
    if not function.is_float[position]:
        return bits
    nan = (bits & 0x7FFFFFFF) > 0x7F800000
    return np.where(nan, np.uint64(_CANONICAL_NAN), bits.astype(np.uint64))


def _masked(bits: np.ndarray, mask: int) -> np.ndarray:
    return bits & (mask if bits.dtype == object else bits.dtype.type(mask))


def _differing(
    one: smt.Function, two: smt.Function, masks: Masks, a: np.ndarray, b: np.ndarray
) -> np.ndarray:
    """Return the indices at which defined results of both functions differ."""
    left, poison_left = smt.evaluate(one, a, b)
    right, poison_right = smt.evaluate(two, _masked(a, masks[0]), _masked(b, masks[1]))
    unequal = np.asarray(_canonical(one, left, 2) != _canonical(two, right, 2), bool)
    for poison in (poison_left, poison_right):
        if poison is not None:
            unequal &= ~poison
    return np.flatnonzero(unequal)


def prove(one: smt.Function, two: smt.Function, masks: Masks | None, seconds: float) -> Answer:
    """Return the proof, or its failure, that `one(a, b)` is `two(a & masks[0], b & masks[1])`."""
    if one.widths != two.widths or one.is_float != two.is_float:
        return _answer("refuted", "types")
    masks = masks or ((1 << one.widths[0]) - 1, (1 << one.widths[1]) - 1)
    a, b = _operands(one)
    where = _differing(one, two, masks, a, b)
    if where.size:
        return _answer("refuted", "simulation", (int(a[where[0]]), int(b[where[0]])))
    end = time.monotonic() + seconds
    products = [_wide_products(function, masks) for function in (one, two)]
    ways = ["exact", "z3"]
    if all(products):
        ways = ["abstract", "normalised", *ways]
    for number, way in enumerate(ways):
        left = end - time.monotonic()
        if left < 0.5:
            break
        # Each way leaves time for the next; what it does not use, they have.
        budget = left * (0.6 if number + 1 < len(ways) else 1.0)
        if way == "z3":
            status, pair = _by_z3(one, two, masks, budget)
        else:
            status, pair = _by_sweeping(one, two, masks, budget, way)
        if status:
            return _answer("proved", {"z3": "z3"}.get(way, f"sweeping, {way} products"))
        if pair is not None:
            operands = [np.array([value], object) for value in pair]
            if _differing(one, two, masks, operands[0], operands[1]).size:
                return _answer("refuted", "z3" if way == "z3" else "sweeping", pair)
    return _answer("unknown", "")


def _answer(status: str, method: str, counterexample: Masks | None = None) -> Answer:
    if method == "sweeping, exact products":
        method = "sweeping"
    return {"status": status, "method": method, "counterexample": counterexample}


# ---- Sweeping


def _wide_products(function: smt.Function, masks: Masks) -> bool:
    """Whether a product of two wide factors is among the nodes."""
    zeros = smt.known_zeros(function)
    for node in function.nodes:
        if node.op == "muli":
            ones = (1 << node.width) - 1
            widths = [(ones & ~zeros[k]).bit_length() for k in node.operands]
            if min(widths) >= _LEAST_ABSTRACTED and max(widths) <= _MOST_ABSTRACTED:
                return True
    return False


class _Products:
    """Products of wide factors as new inputs, of which only some true facts are known.

    Products of equal factors, in either order, are one.  With `normalise`, `x * y` is taken as
    `(x' * y') >> n`, where `x'` and `y'` are the factors with their leading one at the top and n
    the places by which they were moved; two cores, of which one multiplies before and the other
    after it normalises, then share a product.  `facts` holds what is used of multiplication: where
    the leading one can be.
    """

    def __init__(self, graph: aig.Graph, normalise: bool) -> None:
        self._graph = graph
        self._normalise = normalise
        self._made: list[tuple[Word, Word, Word]] = []
        self.facts = TRUE

    def __call__(self, _: int, x: Word, y: Word) -> Word:
        """Return the product of two words modulo their width."""
        graph, width = self._graph, len(x)
        (low_x, x_live), (low_y, y_live) = _live(x), _live(y)
        least, most = sorted((len(x_live), len(y_live)))
        if least < _LEAST_ABSTRACTED or most > _MOST_ABSTRACTED:
            few, many = (x, y) if len(x_live) < len(y_live) else (y, x)
            return graph.multiply(many, few)
        x_live, y_live = (word + [FALSE] * (most - len(word)) for word in (x_live, y_live))
        product = self._of_normalised(x_live, y_live) if self._normalise else None
        product = product or self._of(x_live, y_live)
        return ([FALSE] * (low_x + low_y) + product + [FALSE] * width)[:width]

    def _of_normalised(self, x: Word, y: Word) -> Word:
        graph, width = self._graph, len(x)
        (x_top, x_by), (y_top, y_by) = (_normalised(graph, word) for word in (x, y))
        product = self._of(x_top, y_top)
        distance = graph.add([*x_by, FALSE], [*y_by, FALSE])[0]
        for position, bit in enumerate(distance):
            step = 1 << position
            # What falls out below is zero: a fact about the product.
            lost = graph.conjunction(bit, graph.any(product[:step]))
            self._assume(lost ^ 1)
            moved = (product[step:] + [FALSE] * step)[: 2 * width]
            product = graph.choose_word(bit, moved, product)
        return product

    def _of(self, x: Word, y: Word) -> Word:
        for known_x, known_y, product in self._made:
            if len(known_x) != len(x):
                continue
            for first, second in ((x, y), (y, x)):
                found = aig.same(self._graph, known_x + known_y, first + second, _OPERANDS_SECONDS)
                if found is True:
                    return product
        product = self._graph.word(2 * len(x))
        self._made.append((x, y, product))
        self._assume_leading_one(x, y, product)
        return product

    def _assume(self, fact: int) -> None:
        self.facts = self._graph.conjunction(self.facts, fact)

    def _assume_leading_one(self, x: Word, y: Word, product: Word) -> None:
        """Assume for all i, j: x >= 2^i, y >= 2^j make the product >= 2^(i+j); < and < make <."""
        graph, width = self._graph, len(x)
        x_least, y_least, least = (
            [graph.any(word[k:]) for k in range(len(word) + 1)] for word in (x, y, product)
        )
        for i in range(width + 1):
            for j in range(width + 1):
                both = graph.conjunction(x_least[i], y_least[j])
                either = graph.either(x_least[i], y_least[j])
                self._assume(graph.either(both ^ 1, least[i + j]))
                self._assume(graph.either(either, least[i + j] ^ 1))


def _live(word: Word) -> tuple[int, Word]:
    """Return the number of constant zeros at a word's low end, and its bits without those zeros."""
    live = [position for position, bit in enumerate(word) if bit != FALSE]
    return (live[0], word[live[0] : live[-1] + 1]) if live else (0, [])


def _normalised(graph: aig.Graph, word: Word) -> tuple[Word, Word]:
    """Return a word moved up until its top bit is set, and by how much (0: as far as it goes)."""
    width = len(word)
    distance: Word = []
    for position in reversed(range((width - 1).bit_length())):
        step = 1 << position
        clear = graph.any(word[max(0, width - step) :]) ^ 1
        word = graph.choose_word(clear, ([FALSE] * step + word)[:width], word)
        distance.insert(0, clear)
    return word, distance


def _by_sweeping(
    one: smt.Function, two: smt.Function, masks: Masks, seconds: float, way: str
) -> tuple[bool, Masks | None]:
    graph = aig.Graph()
    start = time.monotonic()
    inputs = [graph.word(width) for width in one.widths[:2]]
    seen = [
        _canonical_word(graph, word) if is_float else word
        for word, is_float in zip(inputs, one.is_float[:2], strict=True)
    ]
    kept = [
        [bit if mask >> k & 1 else FALSE for k, bit in enumerate(word)]
        for word, mask in zip(seen, masks, strict=True)
    ]
    products = None if way == "exact" else _Products(graph, way == "normalised")
    results, bad = [], FALSE
    for function, (a, b) in ((one, seen), (two, kept)):
        words, undefined = aig.blast(graph, function, a, b, products)
        result = words[function.result]
        results.append(_canonical_word(graph, result) if function.is_float[2] else result)
        bad = graph.either(bad, undefined)
    facts = products.facts if products is not None else TRUE
    left, right = ([graph.conjunction(facts, bit) for bit in word] for word in results)
    left.append(graph.conjunction(facts, bad))
    right.append(FALSE)
    remaining = seconds - (time.monotonic() - start)
    if remaining < 0.2:
        return False, None
    found = aig.same(graph, left, right, remaining)
    if isinstance(found, dict):
        values = [
            sum(found.get(literal, 0) << k for k, literal in enumerate(word)) for word in inputs
        ]
        pair = [
            int(_canonical(one, np.array([value], object), side)[0])
            for side, value in enumerate(values)
        ]
        return False, (pair[0], pair[1])
    return found is True, None


def _canonical_word(graph: aig.Graph, word: Word) -> Word:
    nan = [_CANONICAL_NAN >> k & 1 for k in range(32)]
    return graph.choose_word(graph.is_nan(word), nan, word)


# ---- z3


def _by_z3(
    one: smt.Function, two: smt.Function, masks: Masks, seconds: float
) -> tuple[bool, Masks | None]:
    import z3

    arguments = [z3.BitVec(name, width) for name, width in zip("ab", one.widths[:2], strict=True)]
    kept = [term & mask for term, mask in zip(arguments, masks, strict=True)]
    left = smt.build_terms(one, arguments, prefix="one")
    right = smt.build_terms(two, kept, prefix="two")

    def is_nan(term: Any) -> Any:
        return z3.UGT(term & 0x7FFFFFFF, z3.BitVecVal(0x7F800000, 32))

    results = left.values[one.result], right.values[two.result]
    unequal = results[0] != results[1]
    if one.is_float[2]:
        unequal = z3.And(unequal, z3.Not(z3.And(is_nan(results[0]), is_nan(results[1]))))
    solver = z3.SolverFor("QF_BV")
    solver.set("timeout", max(1, int(seconds * 1000)))
    for term, is_float in zip(arguments, one.is_float[:2], strict=True):
        if is_float:
            solver.add(z3.Implies(is_nan(term), term == _CANONICAL_NAN))
    solver.add(z3.Or(unequal, *left.undefined, *right.undefined))
    found = solver.check()
    if found == z3.sat:
        model = solver.model()
        pair = [model.eval(term, model_completion=True).as_long() for term in arguments]
        return False, (pair[0], pair[1])
    return found == z3.unsat, None


# ---- Masks


def insensitive(kernel: Any, a: np.ndarray, b: np.ndarray, widths: Masks) -> Masks:
    """Return the masks of the operand bits whose flipping changed any result tried.

    Args:
      kernel: result bits of arrays of operand bits.
      a, b: operands tried.
      widths: bits of a and b.
    """
    base = kernel(a, b)
    masks = []
    for side, width in enumerate(widths):
        mask = 0
        for first in range(0, width, _FLIPS):
            places = range(first, min(first + _FLIPS, width))
            flipped = [np.tile(operand, len(places)) for operand in (a, b)]
            kind = object if a.dtype == object else flipped[side].dtype.type
            bits = np.array([1 << place for place in places], kind)
            flipped[side] = flipped[side] ^ np.repeat(bits, len(a))
            changed = kernel(*flipped).reshape(len(places), -1) != base
            mask |= sum(
                1 << place for place, any_ in zip(places, changed.any(1), strict=True) if any_
            )
        masks.append(mask)
    return masks[0], masks[1]


def _kernel(function: smt.Function) -> Any:
    def run(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        canonical = _canonical(function, a, 0), _canonical(function, b, 1)
        return _canonical(function, smt.evaluate(function, *canonical)[0], 2)

    return run


def sensitive_masks(function: smt.Function) -> Masks:
    """Return `insensitive` of a function on the operands that comparisons use."""
    a, b = (side[:_MASK_PAIRS] for side in _operands(function, _MASK_PAIRS))
    nan = np.zeros(a.shape, bool)
    if function.is_float[0]:  # neither NaN nor what a flipped bit makes one
        nan = ((a >> 23 & 0xFF) == 0xFF) | ((b >> 23 & 0xFF) == 0xFF)
    return insensitive(_kernel(function), a[~nan], b[~nan], function.widths[:2])


def prove_native(one: smt.Function, references: list[smt.Function], seconds: float) -> Answer:
    """Return the proof that `one` is a reference on masked operands, the masks with it."""
    masks = sensitive_masks(one)
    full = (1 << one.widths[0]) - 1, (1 << one.widths[1]) - 1
    end = time.monotonic() + seconds
    wide = _wide_products(one, full)
    references = sorted(references, key=lambda other: _wide_products(other, full) != wide)
    answer = _answer("unknown", "")
    for number, reference in enumerate(references):
        for _ in range(_ATTEMPTS):
            if any(mask & _CANONICAL_NAN != _CANONICAL_NAN for mask in masks):
                return _answer("refuted", "a needed operand bit is ignored")
            budget = (end - time.monotonic()) / (len(references) - number)
            if budget < 0.5:
                return answer
            answer = prove(one, reference, masks, budget)
            answer["masks"] = masks
            if answer["status"] != "refuted":
                break
            # A bit that seldom counts may have been missed: look where it did.
            pair = [np.array([value], object) for value in answer["counterexample"] or (0, 0)]
            more = insensitive(_kernel(one), pair[0], pair[1], (32, 32))
            widened = masks[0] | more[0], masks[1] | more[1]
            if widened == masks:
                return answer
            masks = widened
        if answer["status"] != "unknown":
            return answer
    return answer


def _results(request: dict[str, Any]) -> Iterator[Answer]:
    for job in request["jobs"]:
        start = time.monotonic()
        try:
            one = smt.parse(job["text"])
            references = [smt.parse(text) for text in job["references"]]
            if request["kind"] == "native":
                answer = prove_native(one, references, job["seconds"])
            else:
                masks = (job["masks"][0], job["masks"][1]) if job["masks"] else None
                answer = prove(one, references[0], masks, job["seconds"])
        except AsnetError as error:
            answer = _answer("unknown", str(error))
        yield {**answer, "seconds": time.monotonic() - start}


def main() -> None:
    """Answer the request in the file named on the command line."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for answer in _results(request):
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
