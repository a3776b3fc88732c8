# SPDX-License-Identifier: Apache-2.0
"""The plain logic: what a network computes besides floating-point operations."""

from __future__ import annotations

from collections.abc import Sequence

from hw_module import NAN, Module, is_nan
from microcode import bits_for

__all__ = ["operation_code", "operation_width", "plain_logic"]

_SHIFTS = ("shli", "shrui", "shrsi")
_ORDERS = ("maxsi", "minsi", "maxui", "minui")


def operation_code(functions: Sequence[str], function: str) -> int:
    """Return what the input `operation` is for a function; for 0 the result is 0."""
    return functions.index(function) + 1


def operation_width(functions: Sequence[str]) -> int:
    """Return the width of the input `operation`."""
    return max(bits_for(len(functions) + 1), 1)


def plain_logic(name: str, functions: Sequence[str], latency: int) -> Module:
    """The plain logic: one function of two words and a condition, chosen by its code.

    With a latency of 1 there are registers behind what is deep (carries, shifts), before what comes
    of it: choices by comparisons, and float comparisons from several integer ones.  With a latency
    of 2 there are also registers before what is deep, behind what tells which function it is, what
    kind of operands there are and how far to shift.  Functions share what they have in common: one
    adder also subtracts and compares, one shifter shifts both ways.  A result that was not asked
    for is 0, so that results are united by OR; registers are cleared for this, at no cost of logic.
    """
    return _PlainLogic(name, functions, latency).build()


def _comment(latency: int) -> str:
    """Return what the module's header says."""
    when = ("in the same cycle", "in the cycle after its operands", "two cycles later")[latency]
    return "\n".join(
        [
            "What a network computes besides floating-point operations: a function of two words",
            f"and a condition, chosen by its code (Op_..). The result is there {when};",
            "it is 0 where no function was chosen.",
        ]
    )


class _PlainLogic:
    def __init__(self, name: str, functions: Sequence[str], latency: int) -> None:
        self.m = Module(name, _comment(latency))
        self.functions = functions
        self.decodes = latency > 1
        self.clock = self.m.clock("clk") if latency else None
        # As they come, and behind the decoder.
        self.early_a = self.m.input("a", 32)
        self.early_b = self.m.input("b", 32)
        early_condition = self.m.input("condition", 1)
        self.index = self.m.input("operation", operation_width(functions))
        self.a = self.decoded("a_d", self.early_a)
        self.b = self.decoded("b_d", self.early_b)
        self.condition = self.decoded("condition_d", early_condition)
        self.chosen: dict[str, str] = {}
        self.kept: dict[tuple[str, ...], str] = {}

    # -- helpers ---------------------------------------------------------------------------------

    def have(self, *names: str) -> list[str]:
        return [name for name in names if name in self.functions]

    def is_(self, *names: str) -> str:
        """Whether the function is one of `names`, behind the decoder."""
        used = tuple(self.have(*names))
        if not self.decodes or not used:
            return self.is_early(*names)
        if used not in self.kept:
            name = f"is_{used[0]}_d" if len(used) == 1 else f"is_any_{len(self.kept)}_d"
            self.kept[used] = self.decoded(name, self.is_early(*used))
        return self.kept[used]

    def is_early(self, *names: str) -> str:
        """Whether the function is one of `names`; those that nobody uses are left out."""
        m = self.m
        terms = []
        for name in self.have(*names):
            if name not in self.chosen:
                width = m.widths[self.index]
                code = m.parameter(f"Op_{name}", operation_code(self.functions, name), width)
                is_name = m.compare("eq", self.index, code)
                self.chosen[name] = m.name_as(f"is_{name}", is_name)
            terms.append(self.chosen[name])
        return m.or_(*terms) if terms else m.constant(0, 1)

    def decoded(self, name: str, value: str) -> str:
        """Behind the decoder's register, if there is one."""
        return self.m.register(name, value, self.clock) if self.decodes and self.clock else value

    def cut(self, name: str, value: str) -> str:
        return self.m.register(f"{name}_q", value, self.clock) if self.clock else value

    def cut_if(self, name: str, enable: str, value: str) -> str:
        """Like `cut`, and 0 if not `enable`."""
        m = self.m
        if self.clock:
            clear = m.hint(f"no_{name}", m.not_(enable))
            return m.register(f"{name}_q", value, self.clock, clear)
        return m.and_(value, m.repeat(enable, m.widths[value]))

    def part(self, word: str, low: int, width: int) -> str:
        return self.m.extract(word, low, width)

    # -- construction ----------------------------------------------------------------------------

    def build(self) -> Module:
        m = self.m
        self.integers = self.have(*(name for name in self.functions if name.startswith("cmpi_")))
        self.floats = self.have(*(name for name in self.functions if name.startswith("cmpf_")))
        self.nan_a = None
        if self.have("negf", "canon") or self.floats:
            self.nan_a = self.decoded("a_is_nan_d", m.hint("a_is_nan", is_nan(m, self.early_a)))
        words: list[str] = []
        bits: list[str] = []
        self.sums(words)
        self.choices(words)
        self.bitwise(words)
        self.shifts(words)
        if self.have("muli"):
            words.append(self.cut_if("product", self.is_("muli"), m.binary("mul", self.a, self.b)))
        if self.integers or self.floats:
            bits.append(self.comparison())
        if self.have("trunci"):
            bits.append(self.cut("truncated", m.and_(self.is_("trunci"), self.part(self.a, 0, 1))))
        if bits:
            words.append(m.fit(m.or_(*bits), 32))
        m.output("result", m.or_(*words))
        return m

    def sums(self, words: list[str]) -> None:
        """One adder: a + b, or a + ~b + 1, whose carry also says that a is at least b."""
        m = self.m
        ordered = [f"{kind}{name}" for kind in "su" for name in ("lt", "le", "gt", "ge")]
        compares = self.have(*_ORDERS, *(f"cmpi_{name}" for name in ordered), *self.floats)
        # Who is unequal is less or greater; where nothing else is ordered, taken as greater.
        subtracts = [*self.have("subi"), *compares, *(self.have("cmpi_ne") if compares else [])]
        self.below = m.constant(0, 1)
        if not subtracts and not self.have("addi"):
            return
        if not subtracts:
            total = m.add(self.a, self.b)
        else:
            is_minus = self.is_(*subtracts) if self.have("addi") else m.constant(1, 1)
            m.hint("is_minus", is_minus)
            other = m.xor(self.b, m.repeat(is_minus, 32))
            zero, one = m.constant(0, 1), m.constant(1, 1)
            wide = m.add(m.concat(zero, self.a, one), m.concat(zero, other, is_minus))
            m.hint("total", wide)
            total = self.part(wide, 1, 32)
            self.below = m.name_as("below", m.not_(self.part(wide, 33, 1)))
        if self.have("addi", "subi"):
            words.append(self.cut_if("sum", self.is_("addi", "subi"), total))

    def choices(self, words: list[str]) -> None:
        """One operand or the other, also without a NaN's payload or with another sign."""
        m, a, b = self.m, self.a, self.b
        orders = self.have(*_ORDERS)
        same = self.have("move", "negf", "canon")
        if not orders and not same and not self.have("select"):
            return
        a_signs = self.part(a, 31, 1), self.part(b, 31, 1)
        less = self.below
        if self.have("maxsi", "minsi"):
            signed = m.mux(m.hint("signs_differ", m.xor(*a_signs)), a_signs[0], less)
            less = m.hint("a_is_less", m.mux(self.is_("maxsi", "minsi"), signed, less))
        take_a = []
        if same:
            take_a.append(self.is_(*same))
        if self.have("select"):
            take_a.append(m.and_(self.is_("select"), self.condition))
        if self.have("minsi", "minui"):
            take_a.append(m.and_(self.is_("minsi", "minui"), less))
        if self.have("maxsi", "maxui"):
            take_a.append(m.and_(self.is_("maxsi", "maxui"), m.not_(less)))
        enable = m.hint("is_choice", self.is_(*same, "select", *orders))
        first = a
        if self.have("negf"):
            sign = m.xor(a_signs[0], self.is_("negf"))
            first = m.concat(sign, self.part(a, 0, 31))
        enable_a = enable
        if self.have("negf", "canon"):
            # The only form of a NaN is the canonical one, whose sign does not flip.
            assert self.nan_a is not None
            replaced = m.hint("replaced", m.and_(self.is_("negf", "canon"), self.nan_a))
            enable_a = m.and_(enable, m.not_(replaced))
            nan = m.repeat(self.cut("replaced", replaced), 32)
            words.append(m.and_(nan, m.constant(NAN, 32)))
        picked = self.cut_if("a", enable_a, first)
        if orders or self.have("select"):
            second = self.cut_if("b", enable, b)
            picked = m.mux(self.cut("take_a", m.or_(*take_a)), picked, second)
        words.append(picked)

    def bitwise(self, words: list[str]) -> None:
        """And, or (and as well as xor) and xor in a function of four inputs for each bit."""
        m = self.m
        terms = []
        if self.have("andi", "ori"):
            both = m.binary("and", self.a, self.b)
            terms.append(m.and_(both, m.repeat(self.is_("andi", "ori"), 32)))
        if self.have("xori", "ori"):
            either = m.xor(self.a, self.b)
            terms.append(m.and_(either, m.repeat(self.is_("xori", "ori"), 32)))
        if terms:
            words.append(self.cut("bitwise", m.or_(*terms)))

    def shifts(self, words: list[str]) -> None:
        """A shifter to the right; what goes left passes it backwards.

        Where all amounts are fixed, there are wires.  An amount of 32 or more leaves nothing, or
        copies of the sign.
        """
        m, a, early_a, early_b = self.m, self.a, self.early_a, self.early_b
        fixed = {
            name: (kind, int(name.split("_")[1]))
            for kind in _SHIFTS
            for name in self.functions
            if name.startswith(f"{kind}_")
        }
        if not self.have(*_SHIFTS):
            operations = {"shli": "shl", "shrui": "shru", "shrsi": "shrs"}
            terms = [
                m.and_(
                    m.binary(operations[kind], a, m.constant(amount, 32)),
                    m.repeat(self.is_(name), 32),
                )
                for name, (kind, amount) in fixed.items()
            ]
            if terms:
                words.append(self.cut("shifted", m.or_(*terms)))
            return

        def names(kind: str) -> list[str]:
            return self.have(kind, *(name for name, (other, _) in fixed.items() if other == kind))

        # Variable amounts, unless the function has one of its own.
        amounts = [self.part(early_b, 0, 5)]
        is_far = m.compare("ne", self.part(early_b, 5, 27), m.constant(0, 27))
        if fixed:
            is_variable = m.hint("by_variable", self.is_early(*_SHIFTS))
            amounts = [m.and_(amounts[0], m.repeat(is_variable, 5))]
            amounts += [
                m.and_(m.constant(amount, 5), m.repeat(self.is_early(name), 5))
                for name, (_, amount) in fixed.items()
            ]
            far = [name for name, (_, amount) in fixed.items() if amount > 31]
            is_far = m.or_(m.and_(is_far, is_variable), *([self.is_early(*far)] if far else []))
        amount = m.or_(*amounts)
        fill = m.constant(0, 1)
        signed = names("shrsi")
        if signed:
            is_signed = m.hint("is_signed_shift", self.is_early(*signed))
            fill = self.decoded("fill_d", m.and_(is_signed, self.part(early_a, 31, 1)))
            amount = m.or_(amount, m.repeat(m.and_(is_far, is_signed), 5))
            is_far = m.and_(is_far, m.not_(is_signed))
        m.hint("amount", amount)
        m.hint("is_far", is_far)
        left, right = names("shli"), [*names("shrui"), *signed]
        word = early_a
        if left:
            mirrored = self.mirrored(early_a)
            is_left = m.hint("is_left", self.is_early(*left))
            word = m.mux(is_left, mirrored, early_a) if right else mirrored
            m.hint("to_shift", word)
        word, amount = self.decoded("to_shift_d", word), self.decoded("amount_d", amount)
        is_far = self.decoded("is_far_d", is_far)
        for level in reversed(range(5)):
            step = 1 << level
            moved = m.concat(m.repeat(fill, step), self.part(word, step, 32 - step))
            word = m.mux(self.part(amount, level, 1), moved, word)
            m.hint(f"shifted_{step}", word)
        near = m.not_(is_far)
        if left:
            enable = m.and_(self.decoded("is_left_d", is_left), near)
            words.append(self.cut_if("shifted_left", enable, self.mirrored(word)))
        if right:
            enable = m.and_(self.is_(*right), near)
            words.append(self.cut_if("shifted_right", enable, word))

    def mirrored(self, word: str) -> str:
        return self.m.concat(*(self.part(word, bit, 1) for bit in range(32)))

    def comparison(self) -> str:
        """Whether what the function asks for holds: less, equal, greater, or (floats) unordered.

        IEEE 754: -0 equals +0, a NaN is unordered, negative numbers are ordered by their bits the
        other way round.
        """
        m, a, b, cut = self.m, self.a, self.b, self.cut
        everything = [*self.integers, *self.floats]
        sign = cut("sign", self.part(a, 31, 1))
        differ = cut("signs_differ", m.xor(self.part(a, 31, 1), self.part(b, 31, 1)))
        magnitude = self.part(a, 0, 31)
        same = cut("same_magnitude", m.compare("eq", magnitude, self.part(b, 0, 31)))
        equal = m.hint("equal_bits", m.and_(same, m.not_(differ)))
        below = cut("is_below", self.below)
        # Of integers without a sign; then of the others, which have one.
        less = below
        if any(name.startswith("cmpi_s") for name in self.integers) or self.floats:
            signed = [name for name in self.integers if name.startswith("cmpi_s")]
            has_sign = cut("has_sign", self.is_(*signed, *self.floats))
            less = m.mux(m.and_(has_sign, differ), sign, below)
        unordered = m.constant(0, 1)
        if self.floats:
            assert self.nan_a is not None
            is_float = m.hint("compares_floats", self.is_(*self.floats))
            nan_b = self.decoded("b_is_nan_d", is_nan(m, self.early_b))
            unordered = cut("unordered", m.and_(is_float, m.or_(self.nan_a, nan_b)))
            is_zero = m.equals(magnitude, 0)
            zeros = m.hint("both_zero", m.and_(same, cut("zero", m.and_(is_float, is_zero))))
            backwards = m.and_(cut("is_float", is_float), sign, m.not_(differ))
            less = m.xor(less, m.and_(backwards, m.not_(equal)))
            less = m.hint("less", m.and_(less, m.not_(zeros), m.not_(unordered)))
            equal = m.hint("equal", m.and_(m.or_(equal, zeros), m.not_(unordered)))
        greater = m.not_(m.or_(less, equal, unordered))
        terms = []
        for name, value in (("lt", less), ("eq", equal), ("gt", greater), ("un", unordered)):
            wanted = [function for function in everything if name in _cases(function)]
            if wanted:
                terms.append(m.and_(cut(f"wants_{name}", self.is_(*wanted)), value))
        return m.or_(*terms) if terms else m.constant(0, 1)


def _cases(function: str) -> set[str]:
    """Return in which of the cases less, equal, greater and unordered a comparison holds."""
    kind, predicate = function.split("_")
    every = {"lt", "eq", "gt", "un"}
    if kind == "cmpi":
        name = predicate if predicate in ("eq", "ne") else predicate[1:]
        is_unordered = False
    elif predicate in ("true", "false"):
        return every if predicate == "true" else set()
    elif predicate in ("ord", "uno"):
        return every - {"un"} if predicate == "ord" else {"un"}
    else:
        name, is_unordered = predicate[1:], predicate[0] == "u"
    cases = {
        "lt": {"lt"},
        "le": {"lt", "eq"},
        "gt": {"gt"},
        "ge": {"gt", "eq"},
        "eq": {"eq"},
        "ne": {"lt", "gt"},
    }[name]
    return cases | {"un"} if is_unordered else cases
