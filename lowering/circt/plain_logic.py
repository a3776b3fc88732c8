"""The plain logic: what a network computes besides floating-point operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hw_module import NAN, Module, is_nan
from microcode import bits_for

__all__ = ["plain_logic"]


def plain_logic(name: str, functions: Sequence[str], latency: int) -> Module:
    """The plain logic: one function of two words and a condition, chosen by its index.

    With a latency of 1 there are registers behind what is deep (carries, shifts), before what comes
    of it: choices by comparisons, and float comparisons from several integer ones.
    """
    m = Module(name, "Plain logic of the network: moves, integers, comparisons.")
    clock = m.clock("clk") if latency else None
    a = m.input("a", 32)
    b = m.input("b", 32)
    condition = m.input("condition", 1)
    width = bits_for(len(functions))
    index = m.input("operation", max(width, 1))

    chosen: dict[str, str] = {}

    def is_(*names: str) -> str:
        """Whether the function is one of `names`; those that nobody uses are left out."""
        terms = []
        for name in names:
            if name in functions:
                if name not in chosen:
                    is_name = m.equals(index, functions.index(name))
                    chosen[name] = m.name_as(f"is_{name}", is_name)
                terms.append(chosen[name])
        return m.or_(*terms) if terms else m.constant(0, 1)

    def have(*names: str) -> list[str]:
        return [name for name in names if name in functions]

    def cut(name: str, value: str) -> str:
        return m.register(f"{name}_q", value, clock) if clock else value

    groups: list[tuple[list[str], str]] = []  # functions, their common result

    # One operand or the other.
    orders = have("maxsi", "minsi", "maxui", "minui")
    picks = have("move", "select", *orders)
    signed_less = unsigned_less = None
    signed = have("maxsi", "minsi", *(f"cmpi_{p}" for p in ("slt", "sle", "sgt", "sge")))
    unsigned = have("maxui", "minui", *(f"cmpi_{p}" for p in ("ult", "ule", "ugt", "uge")))
    if signed:
        signed_less = m.compare("slt", a, b)
    if unsigned:
        unsigned_less = m.compare("ult", a, b)
    take_a = []
    if have("move"):
        take_a.append(is_("move"))
    if have("select"):
        take_a.append(m.and_(is_("select"), condition))
    for name in orders:
        less = signed_less if name.endswith("si") else unsigned_less
        assert less is not None
        take_a.append(m.and_(is_(name), less if name.startswith("min") else m.not_(less)))
    nan_a = is_nan(m, a) if have("negf", "canon") or _uses_cmpf(functions) else None
    if have("negf"):
        # The sign flips, except that of a NaN: its only form is the canonical one.
        assert nan_a is not None
        sign = m.and_(m.not_(m.extract(a, 31, 1)), m.not_(nan_a))
        groups.append((["negf"], m.concat(sign, m.extract(a, 0, 31))))
    if have("canon"):
        assert nan_a is not None
        groups.append((["canon"], m.mux(nan_a, m.constant(NAN, 32), a)))
    late: list[str] = []  # results that are made behind the registers
    if picks == ["move"]:
        groups.append((picks, a))
    elif picks:
        picked = m.mux(cut("take_a", m.or_(*take_a)), cut("a", a), cut("b", b))
        late.append(m.and_(picked, m.repeat(cut("is_picked", is_(*picks)), 32)))

    # Sums.
    sums = have("addi", "subi")
    if sums == ["addi"]:
        groups.append((sums, m.add(a, b)))
    elif sums == ["subi"]:
        groups.append((sums, m.sub(a, b)))
    elif sums:
        # a - b = ~(~a + b): one adder for both.
        flip = m.repeat(is_("subi"), 32)
        groups.append((sums, m.xor(m.add(m.xor(a, flip), b), flip)))

    for name, operation in (("andi", "and"), ("ori", "or"), ("xori", "xor"), ("muli", "mul")):
        if have(name):
            groups.append(([name], m.binary(operation, a, b)))
    for name, operation in (("shli", "shl"), ("shrui", "shru"), ("shrsi", "shrs")):
        if have(name):
            groups.append(([name], m.binary(operation, a, b)))
        for fixed in functions:
            if fixed.startswith(f"{name}_"):
                amount = m.constant(int(fixed.split("_")[1]), 32)
                groups.append(([fixed], m.binary(operation, a, amount)))
    if have("trunci"):
        groups.append((["trunci"], m.fit(m.extract(a, 0, 1), 32)))

    # One function is chosen, so that the others can be masked instead of passed over in turn.
    masked = [
        m.and_(m.name_as(f"value_of_{names[0]}", value), m.repeat(is_(*names), 32))
        for names, value in groups
    ]
    if masked:
        late.append(cut("word", m.or_(*masked)))

    # Comparisons: one bit.
    integer = have(*(name for name in functions if name.startswith("cmpi_")))
    terms = []
    if integer:
        bits = [m.and_(is_(name), m.compare(name.split("_")[1], a, b)) for name in integer]
        terms.append(cut("compared", m.or_(*bits)))
    if _uses_cmpf(functions):
        assert nan_a is not None
        terms += _float_comparisons(m, functions, a, b, nan_a, is_, cut)
    if terms:
        late.append(m.fit(m.or_(*terms), 32))
    m.output("result", m.or_(*late))
    return m


def _uses_cmpf(functions: Sequence[str]) -> bool:
    return any(name.startswith("cmpf_") for name in functions)


def _float_comparisons(
    m: Module,
    functions: Sequence[str],
    a: str,
    b: str,
    nan_a: str,
    is_: Callable[..., str],
    cut: Callable[[str, str], str],
) -> list[str]:
    """IEEE 754 comparisons from one comparison of integers (-0 equals +0, NaN is unordered)."""
    unordered = cut("unordered", m.or_(nan_a, is_nan(m, b)))
    zero = m.constant(0, 31)
    magnitudes = m.extract(a, 0, 31), m.extract(b, 0, 31)
    both_zero = cut(
        "both_zero", m.and_(*(m.compare("eq", magnitude, zero) for magnitude in magnitudes))
    )
    equal = m.or_(both_zero, cut("same_bits", m.compare("eq", a, b)))
    signs = cut("sign_a", m.extract(a, 31, 1)), cut("sign_b", m.extract(b, 31, 1))
    below = cut("below", m.compare("ult", *magnitudes))
    same_sign_less = m.mux(signs[0], m.and_(m.not_(below), m.not_(equal)), below)
    less = m.and_(
        m.not_(both_zero), m.mux(m.xor(*signs), signs[0], same_sign_less), m.not_(unordered)
    )
    equal = m.and_(equal, m.not_(unordered))
    greater = m.and_(m.not_(less), m.not_(equal), m.not_(unordered))
    basic = {"lt": [less], "gt": [greater], "eq": [equal], "le": [less, equal]}
    basic |= {"ge": [greater, equal], "ne": [less, greater]}
    terms = []
    for name in functions:
        if not name.startswith("cmpf_"):
            continue
        predicate = name.removeprefix("cmpf_")
        if predicate == "true":
            value = m.constant(1, 1)
        elif predicate == "false":
            value = m.constant(0, 1)
        elif predicate == "ord":
            value = m.not_(unordered)
        elif predicate == "uno":
            value = unordered
        else:
            parts = list(basic[predicate[1:]])
            value = m.or_(*parts, *([unordered] if predicate[0] == "u" else []))
        terms.append(m.and_(cut(f"is_{name}", is_(name)), value))
    return terms
