# SPDX-License-Identifier: Apache-2.0
"""C models that came with cores: what matches, what is swapped, what is wrong, what misbehaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asnet_mlir.cores import Core, Instance, Ports, parse_instance
from asnet_mlir.cores.checks.c_model import CFunction, check_c_model, find_functions
from asnet_mlir.cores.sources.source import Source
from asnet_mlir.errors import AsnetError, InputError


def core_of(expression: str, width: int = 8, signed: bool = False) -> Instance:
    """Return an instance of a combinational core of that name, 16 bits out."""
    sign = "signed " if signed else ""
    text = (
        f"module mine(input {sign}[{width - 1}:0] A, input {sign}[{width - 1}:0] B, "
        f"output [15:0] O);\nassign O = {expression};\nendmodule\n"
    )
    source = Source(Path("/nowhere/mine.v"), text)
    core = Core("mine", "mine", None, None, (source,), Ports("A", "B", "O"), signed=signed)
    return core.instance()


@pytest.fixture
def c_file(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "a model.c"
        path.write_text(text)
        return path

    return write


def test_functions_are_found() -> None:
    text = """
    #include <stdint.h>
    #define f(a, b) \\
        g(a, b) {
    /* int commented(int a, int b) { return 0; } */ // int too(int a, int b) {
    static int helper(int a) { return a; }
    int declared(int a, int b);
    char *text(int a, int b) { return "int quoted(int a, int b) {"; }
    void nothing(int a, int b) { }
    int pointers(int *a, int b) { return 0; }
    static inline const uint64_t mul8u_1JFF(const uint64_t A, uint64_t const B) { return A * B; }
    unsigned long int wide(unsigned a,
                           signed long long int b) { return a; }
    float real(float x, const float y) { if (x) { return x; } return y; }
    struct s { int x; };
    struct s aggregate(struct s a, struct s b) { return a; }
    """
    assert find_functions(text) == [
        CFunction("mul8u_1JFF", "uint64_t", ("uint64_t", "uint64_t")),
        CFunction("wide", "unsigned long", ("unsigned", "long long")),
        CFunction("real", "float", ("float", "float")),
    ]


@pytest.mark.parametrize(
    "body, order",
    [
        ("a * 2 - b", "as given"),
        ("b * 2 - a", "swapped"),
        ("a * 2 + b", "neither"),
        ("a == 200 && b == 3 ? 0 : a * 2 - b", "neither"),
    ],
)
def test_orders(c_file, body: str, order: str) -> None:
    path = c_file(
        "#include <stdint.h>\n#include <stdio.h>\n"
        f"uint64_t model(const uint64_t a, const uint64_t b) {{ return {body}; }}\n"
        'int main(void) { printf("%d", (int)model(1, 2)); return 0; }\n'
    )
    report = check_c_model(core_of("A * 2 - B"), path)
    assert report.order == order
    assert report.passed == (order == "as given")
    assert report.vectors == 1 << 16 and report.function == "model"
    assert json.loads(json.dumps(report.to_json()))["status"] == (
        "pass" if report.passed else "fail"
    )
    assert "\n" not in report.summary() and "a model.c:model" in report.summary()
    if order == "neither":
        first = report.first_difference
        assert first is not None
        a, b = first["a"], first["b"]
        assert first["verilog"] == (a * 2 - b) & 0xFFFF != first["c"]
        if "200" in body:
            assert (a, b) == (200, 3)
    if order == "swapped":
        assert "only with its operands swapped" in report.summary()


def test_operands_swapped_by_name(c_file) -> None:
    """`f(B, A)` of published models: the same operands, in another order."""
    path = c_file("#include <stdint.h>\nuint64_t f(uint64_t B, uint64_t A) { return A * 2 - B; }")
    report = check_c_model(core_of("A * 2 - B"), path)
    assert (report.order, report.passed) == ("by name", True)
    assert "by the names of its operands, which it takes in the order B, A" in report.summary()
    assert "first difference" not in report.summary()
    # Named the other way round, but called as the Verilog is.
    path = c_file("#include <stdint.h>\nuint64_t f(uint64_t b, uint64_t a) { return b * 2 - a; }")
    report = check_c_model(core_of("A * 2 - B"), path)
    assert report.order == "as given" and report.passed
    assert "by position: its operands are called b, a" in report.summary()


def test_operands_that_may_be_exchanged_and_signs(c_file) -> None:
    path = c_file("int f(int a, int b) { return a * b; }")
    assert check_c_model(core_of("A * B", signed=True), path).order == "both"
    assert check_c_model(core_of("A * B"), path).order == "both"
    # The same Verilog read as unsigned numbers, which the C model does not take them for.
    unsigned = c_file("unsigned f(unsigned a, unsigned b) { return (a & 255) * (b & 255); }")
    assert check_c_model(core_of("A * B", signed=True), unsigned).order == "neither"
    assert check_c_model(core_of("A * B"), unsigned).order == "both"
    small = c_file("#include <stdint.h>\nint16_t f(int8_t a, int8_t b) { return a * b; }")
    assert check_c_model(core_of("A * B", signed=True), small).order == "both"


def test_floats(c_file) -> None:
    instance = parse_instance("fsub")
    path = c_file("float f(float a, float b) { return a - b; }")
    assert check_c_model(instance, path, random_vectors=20_000).order == "as given"
    path = c_file("float f(float a, float b) { return b - a; }")
    assert check_c_model(instance, path, random_vectors=20_000).order == "swapped"
    path = c_file(
        "#include <stdint.h>\n#include <string.h>\n"
        "uint32_t f(uint32_t a, uint32_t b) { float x, y; memcpy(&x, &a, 4); memcpy(&y, &b, 4);"
        "x -= y; memcpy(&a, &x, 4); return x == x ? a : 0x7fc00000; }"
    )
    assert check_c_model(instance, path, random_vectors=20_000).order == "as given"
    with pytest.raises(InputError, match="takes a float, but the core's operand has 8 bits"):
        check_c_model(core_of("A + B"), c_file("float f(float a, float b) { return a; }"))


def test_which_function(c_file) -> None:
    two = "int {0}(int a, int b) {{ return a + b; }}\nint other(int a, int b) {{ return a; }}\n"
    instance = core_of("A + B")
    assert check_c_model(instance, c_file(two.format("mine"))).function == "mine"
    path = c_file(two.format("add"))
    with pytest.raises(InputError, match=r"several functions .*: add, other; name one"):
        check_c_model(instance, path)
    assert check_c_model(instance, path, "other").order == "neither"
    with pytest.raises(InputError, match="no function 'sub' .* it has add, other"):
        check_c_model(instance, path, "sub")
    with pytest.raises(InputError, match="no function of two numbers"):
        check_c_model(instance, c_file("int f(int a) { return a; }"))
    with pytest.raises(InputError, match="cannot be read: No such file"):
        check_c_model(instance, path.with_name("missing.c"))


@pytest.mark.parametrize(
    "body, message",
    [
        ("return a + ;", r"a model\.c:1:\d+: error: expected expression"),
        ("return a + missing(b);", "undefined reference|missing"),
        ("return *(volatile int *)0 + a + b;", "the C model crashed"),
        ("__builtin_trap(); return a;", "the C model crashed"),
        ("for (volatile int i = 0;; i++) {} return a;", "took longer than 1 s"),
        ("extern void exit(int); exit(7); return a;", "the C model crashed"),
    ],
)
def test_models_that_misbehave(
    c_file, body: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asnet_mlir.cores.checks.c_model._SECONDS", 1.0)
    with pytest.raises(AsnetError, match=message) as caught:
        check_c_model(core_of("A + B"), c_file(f"int f(int a, int b) {{ {body} }}"))
    assert "\n" not in str(caught.value)
