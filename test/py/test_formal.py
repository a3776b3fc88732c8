# SPDX-License-Identifier: Apache-2.0
"""The formal link from a core in the hardware to the exact one: what is true is proved, what is not
is refuted by operands that a simulation confirms."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from asnet_mlir.binding import Binding
from asnet_mlir.cli import main as cli
from asnet_mlir.cores import load_core, parse_instance
from asnet_mlir.cores.core import Core
from asnet_mlir.cores.proofs.formal import Claim, claim, exact_core, prove_claims
from asnet_mlir.cores.reading.from_verilog import core_from_verilog
from asnet_mlir.cores.sources.source import Source
from asnet_mlir.cores.verilog.elaborate import elaborate
from asnet_mlir.cores.verilog.structure import unroll
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.hardware import generate
from asnet_mlir.hardware.prove import prove

EXAMPLES = Path(__file__).parents[2] / "examples"


def changed(core: Core, module: str, old: str, new: str) -> Core:
    """Return a core in the text of one of whose modules something is replaced."""
    sources = []
    for source in core.sources:
        text = source.text
        if re.search(rf"\bmodule {module}\b", text):
            assert old in text, old
            text = text.replace(old, new)
        sources.append(Source(source.path, text))
    return dataclasses.replace(core, sources=tuple(sources))


def test_truncating_cores_at_several_parameters_and_latencies_are_proved():
    instances = [
        load_core(name).instance({"P": p, "LATENCY": latency, "FLUSH": flush})
        for name, latencies in (
            ("fmul_trunc", (0, 3, 9)),
            ("fdiv_trunc", (0, 15, 33)),
            ("fadd_trunc", (0, 4, 9)),
        )
        for p, latency, flush in (
            (0, latencies[0], 0),
            (12, latencies[1], 0),
            (22, latencies[2], 0),
            (1, latencies[1], 1),
        )
    ]
    instances += [load_core(name).instance() for name in ("fmul", "fadd", "fsub", "fdiv", "fmin")]
    for link in prove_claims([claim(instance) for instance in instances]):
        assert (link.status, link.counterexample) == ("proved", None), link
        assert link.claim.exact.latency == 0 and link.seconds < 5
        p = dict(link.claim.instance.parameters).get("P", 0)
        assert link.claim.masks == (0xFFFFFFFF << p & 0xFFFFFFFF,) * 2


def mutants() -> dict[str, Claim]:
    mul, div = load_core("fmul_trunc"), load_core("fdiv_trunc")
    mask = "~((32'd1 << P) - 32'd1)"
    wrong_bit = changed(mul, "fmul_trunc", mask, f"{mask} & ~32'h00200000")
    one_operand = changed(mul, "fmul_trunc", "b_i & Mask", "b_i")
    swapped = changed(div, "fdiv_trunc", "(a_i & Mask)", "(b_i & Mask)")
    swapped = changed(swapped, "fdiv_trunc", ".b_i     (b_i & Mask)", ".b_i     (a_i & Mask)")
    short = changed(
        mul,
        "asnet_fmul",
        ".Cut(4), .Cuts(Cuts), .Latency(Spread)) u_flags_4",
        ".Cut(4), .Cuts(Cuts), .Latency(0)) u_flags_4",
    )
    early = claim(div.instance({"P": 3}), latency=14)
    flushing = claim(mul.instance({"P": 4, "FLUSH": 1}))
    return {
        "wrong_p": claim(mul.instance({"P": 20}), ignored=19),
        "wrong_p_div": claim(div.instance({"P": 7}), ignored=8),
        "wrong_bit": claim(wrong_bit.instance({"P": 8})),
        "one_operand": claim(one_operand.instance({"P": 8})),
        "swapped": claim(swapped.instance({"P": 2})),
        # A register of the flags is missing: they are of the pair that comes after.
        "short": claim(short.instance({"P": 8, "LATENCY": 3})),
        "early": early,
        "flushing": dataclasses.replace(flushing, exact=load_core("fmul").instance({"LATENCY": 0})),
    }


@pytest.fixture(scope="module")
def refuted() -> dict[str, Any]:
    claims = mutants()
    return dict(zip(claims, prove_claims(list(claims.values())), strict=True))


@pytest.mark.parametrize("name", list(mutants()))
def test_a_mutant_is_refuted_by_operands_that_a_simulation_confirms(refuted, name):
    link = refuted[name]
    assert link.status == "refuted", link
    pair = link.counterexample
    assert pair.confirmed and pair.hardware != pair.exact
    assert re.fullmatch(
        r"a = [0-9a-f]{8}, b = [0-9a-f]{8}: hardware [0-9a-f]{8}, exact [0-9a-f]{8} "
        r"\(confirmed by simulation\)",
        str(pair),
    )
    if name == "short":
        assert link.reason == "its result depends on operands 2 and 3 cycles before"
    if name == "early":
        assert link.reason == "its result depends on operands 15 cycles before"


def test_what_cannot_be_told_in_time_is_unknown():
    """Rows of two bits against the `*` of Verilog: no solver sees that they are equal."""
    (link,) = prove_claims(
        [claim(load_core("fmul_dsp").instance(), against="fmul", ignored=0)], seconds=1.0
    )
    assert (link.status, link.counterexample) == ("unknown", None)
    assert link.reason and link.seconds < 10
    assert link.to_json()["reason"] == link.reason


# ---- Unrolling


def pipeline(tmp_path: Path, body: str) -> Core:
    (tmp_path / "m.v").write_text(
        "module m(input clk, input [31:0] a, b, output [31:0] y);\n"
        "  reg [31:0] r, s;\n" + body + "\nendmodule\n"
    )
    ports = {"a": "a", "b": "b", "result": "y", "clock": "clk"}
    return core_from_verilog([tmp_path / "m.v"], op="mulf", ports=ports, latency=1)


@pytest.mark.parametrize(
    ("body", "inputs"),
    [
        ("assign y = a ^ b;", ["a@0", "b@0"]),
        ("always @(posedge clk) r <= a ^ b; assign y = r;", ["a@1", "b@1"]),
        ("always @(posedge clk) begin r <= a; s <= r; end assign y = s ^ b;", ["a@2", "b@0"]),
        ("always @(posedge clk) r <= a; assign y = r ^ a;", ["a@0", "a@1"]),
    ],
)
def test_a_pipeline_over_time(tmp_path, body, inputs):
    # A core's latency is checked where it is made, which this is about to see for itself.
    instance = pipeline(tmp_path, "always @(posedge clk) r <= a ^ b; assign y = r;").instance()
    (tmp_path / "n.v").write_text(
        "module m(input clk, input [31:0] a, b, output [31:0] y);\n"
        f"  reg [31:0] r, s;\n  {body}\nendmodule\n"
    )
    source = Source(tmp_path / "n.v", (tmp_path / "n.v").read_text())
    core = dataclasses.replace(instance.core, sources=(source,))
    other = core.instance()
    (netlist,) = elaborate([other], simplify=False)
    unrolled = unroll(netlist, other)
    found = [name for name, port in unrolled["ports"].items() if port["direction"] == "input"]
    assert found == inputs
    assert not any("dff" in cell["type"] for cell in unrolled["cells"].values())


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("always @(posedge clk) r <= r ^ a ^ b; assign y = r;", "not a feed-forward pipeline"),
        ("wire [31:0] w = w ^ a; assign y = w ^ b;", "combinational loop"),
    ],
)
def test_what_is_no_pipeline_is_refused(tmp_path, body, error):
    instance = pipeline(tmp_path, "always @(posedge clk) r <= a ^ b; assign y = r;").instance()
    text = (
        "module m(input clk, input [31:0] a, b, output [31:0] y);\n"
        f"  reg [31:0] r, s;\n  {body}\nendmodule\n"
    )
    core = dataclasses.replace(instance.core, sources=(Source(tmp_path / "n.v", text),))
    (netlist,) = elaborate([core.instance()], simplify=False)
    with pytest.raises((InputError, UnsupportedError), match=error):
        unroll(netlist, core.instance())


# ---- Claims


def test_claims():
    assert exact_core(load_core("fdiv_trunc")).name == "fdiv"
    assert exact_core(load_core("fmul_dsp")).name == "fmul_dsp"
    assert exact_core(load_core("fmul_drum")) is None
    with pytest.raises(InputError, match="fmul_drum: claims to be no exact core behind masks"):
        claim(load_core("fmul_drum").instance())
    with pytest.raises(InputError, match="fadd: computes addf of f32, not mulf"):
        claim(parse_instance("fmul_trunc:P=3"), against="fadd")
    with pytest.raises(InputError, match="33 ignored bits"):
        claim(parse_instance("fmul_trunc:P=3"), ignored=33)
    with pytest.raises(UnsupportedError, match="only pipelines on f32"):
        claim(load_core("drum").instance())


def test_a_core_on_the_command_line(capfd):
    assert cli.main(["prove", "fmul_trunc:P=20"]) == 0
    out = capfd.readouterr().out
    assert out.startswith(
        "fmul_trunc:P=20 (latency 3) is fmul of a & fff00000, b & fff00000: proved in "
    )
    assert cli.main(["prove", "fdiv_trunc:P=4", "--ignore", "5", "--json"]) == 1
    (proof,) = json.loads(capfd.readouterr().out)["proofs"]
    assert (proof["status"], proof["against"], proof["latency"]) == ("refuted", "fdiv", 15)
    assert proof["counterexample"]["confirmed"] and proof["masks"] == [0xFFFFFFE0] * 2


# ---- Bundles


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: Any, mlp_model: Any) -> Path:
    rules = [
        "mulf=fmul_trunc:P=9",
        "mulf@last=fmul_trunc:P=20,LATENCY=5",
        "divf=fdiv_trunc:P=13",
    ]
    folder = tmp_path_factory.mktemp("formal") / "bundle"
    generate(mlp_model, Binding.parse(rules), output=folder)
    return folder


@pytest.fixture(scope="module")
def mlp_model() -> Any:
    import jax
    import numpy as np

    from asnet_mlir.frontends.jax import from_jax_function

    rng = np.random.default_rng(1)
    w1, w2 = (rng.standard_normal(shape).astype(np.float32) for shape in ((5, 4), (4, 3)))

    def f(x: Any, w1: Any, w2: Any) -> Any:
        with jax.named_scope("first"):
            y = jax.nn.relu(x @ w1) / 3.0
        with jax.named_scope("last"):
            return y @ w2

    return from_jax_function(f, (np.zeros((1, 5), np.float32), w1, w2), name="mlp")


def test_the_cores_of_a_bundle_are_proved_as_they_are_bound(bundle):
    result = prove(bundle)
    assert result.proved and not result.unclaimed
    labels = {link.claim.instance.label: link for link in result.links}
    assert {"fmul_trunc:P=9", "fmul_trunc:P=20,LATENCY=5", "fdiv_trunc:P=13"} <= set(labels)
    assert all(places == 1 for places in result.places)
    link = labels["fmul_trunc:P=20,LATENCY=5"]
    assert link.claim.latency == 5
    # What is proved is the bundle's text.
    assert all(str(s.path).startswith(str(bundle)) for s in link.claim.instance.core.sources)


@pytest.mark.parametrize(
    ("file", "old", "new", "label"),
    [
        ("rtl/mlp.sv", ".P(20)", ".P(19)", "fmul_trunc:P=19,LATENCY=5"),
        ("rtl/mlp.sv", ".LATENCY(5)", ".LATENCY(6)", "fmul_trunc:P=20,LATENCY=6"),
        ("cores/mlp_fdiv_trunc.sv", "32'd1 << P", "32'd2 << P", "fdiv_trunc:P=13"),
        ("cores/mlp_fadd.sv", "{sign_r, rounded_r[30:0]}", "{~sign_r, rounded_r[30:0]}", "fadd"),
    ],
)
def test_a_changed_bundle_is_refuted(bundle, tmp_path, capfd, file, old, new, label):
    shutil.copytree(bundle, tmp_path / "b")
    path = tmp_path / "b" / file
    text = re.sub(r"(\.\w+) +\(", r"\1(", path.read_text())
    assert old in text
    path.write_text(text.replace(old, new))
    assert cli.main(["prove", str(tmp_path / "b")]) == 2
    assert f"changed since it was generated: {file}; generate it" in capfd.readouterr().err
    assert cli.main(["prove", str(tmp_path / "b"), "--modified"]) == 1
    lines = capfd.readouterr().out.splitlines()
    wrong = [k for k, line in enumerate(lines) if ": refuted in " in line]
    assert wrong and any(lines[k].startswith(f"{label} (latency") for k in wrong)
    assert all("(confirmed by simulation)" in lines[k + 1] for k in wrong)
    assert any(": proved in " in line for line in lines)
    assert lines[-1].startswith("not covered: the way of operands to the cores")


def test_a_mask_in_front_of_the_cores_is_said_not_to_be_covered(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "b")
    path = tmp_path / "b" / "rtl" / "mlp.sv"
    text = re.sub(r"(\.a_i *)\((\w+)\)", r"\1(\2 & 32'hFFFF0000)", path.read_text())
    assert text != path.read_text()
    path.write_text(text)
    with pytest.raises(InputError, match="changed since it was generated: rtl/mlp.sv;"):
        prove(tmp_path / "b")
    result = prove(tmp_path / "b", modified=True)
    assert result.proved and result.not_covered.startswith("the way of operands to the cores")


def test_a_bundle_without_an_instance_is_named(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "b")
    path = tmp_path / "b" / "rtl" / "mlp.sv"
    path.write_text(path.read_text().replace("fdiv_trunc #", "fdiv #"))
    with pytest.raises(InputError, match="its RTL has no instance of fdiv_trunc:P=13"):
        prove(tmp_path / "b", modified=True)


def test_cores_that_claim_nothing_are_named(mlp_model, tmp_path):
    binding = Binding.parse([f"mulf={EXAMPLES / 'user_core' / 'fmul_log.v'}"])
    generate(mlp_model, binding, output=tmp_path / "b")
    result = prove(tmp_path / "b")
    assert result.proved and len(result.unclaimed) == 1 and result.links


def test_options_of_a_core_are_not_for_a_bundle(bundle, capfd):
    assert cli.main(["prove", str(bundle), "--ignore", "3"]) == 2
    assert "is a bundle, which says itself" in capfd.readouterr().err
