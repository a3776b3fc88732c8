# SPDX-License-Identifier: Apache-2.0
"""The whole way: networks as a user names them, their bundles simulated against the software."""

import errno
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import asnet_mlir
from asnet_mlir.binding import Binding
from asnet_mlir.cli import main as cli
from asnet_mlir.data import load_data
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.evaluation import Evaluator
from asnet_mlir.hardware import compare_words, generate, simulate, synthesize
from asnet_mlir.hardware.comparison import software_outputs

IMAGES = 6
LOG_MULTIPLIER = Path(__file__).parents[2] / "examples" / "user_core" / "fmul_log.v"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mnist") / "bundle"
    generate("classification_mnist", Binding.parse(["mulf=fmul_trunc:P=20"]), output=folder)
    return folder


@pytest.mark.parametrize(
    "rules",
    [
        [],
        ["mulf=fmul_trunc:P=21", "divf=fdiv_trunc:P=22"],
        ["mulf@dense=fmul_trunc:P=9,LATENCY=7", "addf=fadd:LATENCY=0", "divf=fdiv_trunc:P=13"],
        [f"mulf={LOG_MULTIPLIER}"],
    ],
    ids=["exact", "truncated", "latencies", "own-verilog"],
)
def test_mnist_equals_the_software(tmp_path, rules):
    binding = Binding.parse(rules)
    generate("classification_mnist", binding, output=tmp_path / "b")
    result = simulate(tmp_path / "b", "mnist:test", samples=IMAGES)
    assert (result.samples, result.mismatches) == (IMAGES, 0), result.differences
    # What the explorer measured, in batches and vectors, is what the bundle computes.
    x = load_data("mnist:test").head(IMAGES).shaped((784,)).x
    evaluated = Evaluator("classification_mnist", binding).outputs(x).view(np.uint32)
    assert not compare_words(evaluated, software_outputs(tmp_path / "b", x))


def test_a_convolutional_network_with_bindings_by_layer(tmp_path):
    from asnet_mlir.frontends.keras import import_keras

    keras = import_keras()
    keras.utils.set_random_seed(5)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((7, 6, 2)),
            layers.Conv2D(3, (3, 2), strides=(2, 1), padding="same", name="conv"),
            layers.ReLU(name="relu"),
            layers.MaxPooling2D((2, 2), name="pool"),
            layers.Flatten(),
            layers.Dense(5, activation="sigmoid", name="hidden"),
            layers.Dense(4, activation="softmax", name="last"),
        ],
        name="little-conv",
    )
    rng = np.random.default_rng(0)
    x = rng.standard_normal((9, 7, 6, 2)).astype(np.float32)
    x[0, 0, 0] = [np.inf, -0.0]
    x[1, 2, 3] = [np.nan, 1e-42]
    np.savez(tmp_path / "d.npz", x=x, y=np.zeros(9, int))
    binding = Binding.parse(["mulf@conv=fmul_trunc:P=18", "mulf@hidden=fmul_trunc:P=3"])
    manifest = generate(model, binding, output=tmp_path / "b")
    assert {entry["layer"] for entry in manifest["layers"]} >= {"conv", "pool", "hidden", "last"}
    result = simulate(tmp_path / "b", str(tmp_path / "d.npz"), stall_seed=7)
    assert result.mismatches == 0, result.differences


def test_functions_folded_weights_and_plain_logic_in_hardware(tmp_path):
    """Every expansion, a concatenation, booleans in memory, an argmax; under approximate cores."""
    import jax
    import jax.numpy as jnp

    from asnet_mlir.frontends.jax import from_jax_function

    def function(x, gamma, variance):
        with jax.named_scope("norm"):
            x = x * (gamma * jax.lax.rsqrt(variance + 0.001))
        positive = jnp.abs(x) + 0.5
        parts = [jnp.tanh(x), jnp.expm1(x), jnp.log(positive), jnp.log1p(positive)]
        parts += [jnp.sqrt(positive), jax.lax.rsqrt(positive), jnp.floor(x), jnp.round(x * 3)]
        y = jnp.concatenate(parts, axis=1)
        y = jnp.where((y > 1).any(1, keepdims=True), y, -y)
        best = jnp.argmax(y, 1).astype(jnp.float32)[:, None]
        return jnp.concatenate([jax.nn.log_softmax(y), best, best.astype(jnp.int32) * 0.5], axis=1)

    rng = np.random.default_rng(3)
    gamma, variance = rng.uniform(0.5, 2, (2, 3)).astype(np.float32)
    network = from_jax_function(function, (np.zeros((1, 3), np.float32), gamma, variance), name="f")
    assert [weight.name for weight in network.weights] == ["norm/folded"]
    x = rng.standard_normal((6, 3)).astype(np.float32)
    x[0], x[1] = [np.inf, -0.0, 1e-42], [np.nan, 100.0, -100.0]
    np.savez(tmp_path / "d.npz", x=x, y=np.zeros(6, int))
    binding = Binding.parse(["mulf=fmul_trunc:P=12", "divf=fdiv_trunc:P=9"])
    generate(network, binding, output=tmp_path / "b")
    result = simulate(tmp_path / "b", str(tmp_path / "d.npz"))
    assert result.mismatches == 0, result.differences
    evaluated = Evaluator(network, binding).outputs(x).view(np.uint32)
    assert not compare_words(evaluated, software_outputs(tmp_path / "b", x))


def corrupted(bundle, tmp_path, name, old, new):
    """Return a copy of the bundle with one piece of one file replaced."""
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    text = (copy / name).read_text()
    assert old in text, (name, old)
    (copy / name).write_text(text.replace(old, new, 1))
    return copy


def test_one_wrong_weight_bit_is_seen(bundle, tmp_path):
    words = (bundle / "rom" / "classification_mnist_weights_1.hex").read_text().split("\n")
    # Bits 31 to 16: the sign of the weight of a pixel in the middle of the picture, for one neuron.
    row = 1 + (14 * 28 + 14) * 10 + 3
    flipped = f"{int(words[row], 16) ^ 0x8000:04x}"
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    words[row] = flipped
    (copy / "rom" / "classification_mnist_weights_1.hex").write_text("\n".join(words))
    result = simulate(copy, "mnist:test", samples=IMAGES, modified=True)
    assert result.mismatches > 0 and result.vector_mismatches > 0
    assert "hardware" in result.differences[0] and "image" in result.differences[0]


def test_a_wrong_weight_that_the_data_never_reach_is_seen(bundle, tmp_path):
    """Of the first pixel, 0 in all images: the files are verified, and the vectors reach it."""
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    path = copy / "rom" / "classification_mnist_weights_1.hex"
    words = path.read_text().split("\n")
    words[1] = f"{int(words[1], 16) ^ 0x8000:04x}"
    path.write_text("\n".join(words))
    with pytest.raises(
        InputError, match=r"changed since it was generated: rom/classification_mnist_weights_1.hex;"
    ):
        simulate(copy, "mnist:test", samples=IMAGES)
    with pytest.raises(
        InputError, match=r"changed since it was generated: rom/classification_mnist_weights_1.hex;"
    ):
        synthesize(copy)
    result = simulate(copy, "mnist:test", samples=IMAGES, modified=True)
    assert (result.mismatches, result.vectors) == (0, 5) and not result.equal
    assert result.vector_mismatches > 0 and result.differences[0].startswith("vector ")


def test_one_wrong_parameter_bit_of_a_core_is_seen(bundle, tmp_path):
    copy = corrupted(bundle, tmp_path, "rtl/classification_mnist.sv", ".P(20)", ".P(21)")
    assert simulate(copy, "mnist:test", samples=IMAGES, modified=True).mismatches > 0


def test_a_wrong_instance_id_is_seen(tmp_path):
    """The software says one instance, the hardware was generated with another."""
    generate("classification_mnist", Binding.parse(["mulf=fmul_trunc:P=19"]), output=tmp_path / "a")
    generate("classification_mnist", Binding.parse(["mulf=fmul_trunc:P=20"]), output=tmp_path / "b")
    for name in ("network.mlir", "models.mlir"):
        shutil.copy(tmp_path / "a" / name, tmp_path / "b" / name)
    result = simulate(tmp_path / "b", "mnist:test", samples=IMAGES, modified=True)
    assert result.mismatches > 0 and result.vector_mismatches == 0


def test_another_order_of_the_sum_is_seen(tmp_path):
    """Pixels and weights both reversed: the same products, added in the other order."""
    import jax.numpy as jnp

    from asnet_mlir.frontends import load_model
    from asnet_mlir.frontends.jax import from_jax_function

    kernel, bias = (weight.value for weight in load_model("classification_mnist").weights)
    x = np.zeros((1, 784), np.float32)
    forward = from_jax_function(lambda x, w, b: x @ w + b, (x, kernel, bias), name="order")
    backward = from_jax_function(
        lambda x, w, b: jnp.flip(x, 1) @ w + b, (x, kernel[::-1].copy(), bias), name="order"
    )
    generate(forward, output=tmp_path / "forward")
    generate(backward, output=tmp_path / "backward")
    assert simulate(tmp_path / "forward", "mnist:test", samples=2).mismatches == 0
    assert simulate(tmp_path / "backward", "mnist:test", samples=2).mismatches == 0
    pixels = load_data("mnist:test").head(2).shaped((784,)).x
    left, right = (software_outputs(tmp_path / name, pixels) for name in ("forward", "backward"))
    assert compare_words(left, right)
    for name in ("network.mlir", "models.mlir", "weights.npz"):
        shutil.copy(tmp_path / "backward" / name, tmp_path / "forward" / name)
    result = simulate(tmp_path / "forward", "mnist:test", samples=2, modified=True)
    assert result.mismatches > 0


def test_the_comparison_of_words():
    one = np.array([[0x3F800000, 0x7FC00000]], np.uint32)
    assert compare_words(one, one.copy()) == []
    assert compare_words(one, one ^ np.uint32([[1, 0]])) == [(0, 0)]
    assert compare_words(one, one ^ np.uint32([[0x80000000, 0]])) == [(0, 0)]
    assert compare_words(one, np.uint32([[0x3F800000, 0xFFC00001]])) == []  # NaN equals NaN
    assert compare_words(one, np.uint32([[0x3F800000, 0x7F800000]])) == [(0, 1)]
    assert compare_words(one, one[:, ::-1]) == [(0, 0), (0, 1)]
    with pytest.raises(InputError):
        compare_words(one, one[:, :1])


def test_command_line_reports_mismatches_with_status_1(bundle, tmp_path, capfd):
    good = ["simulate", str(bundle), "--data", "mnist:test", "-n", "2", "--json"]
    assert cli.main(good) == 0
    value = json.loads(capfd.readouterr().out)
    assert value["samples"] == 2 and value["mismatches"] == 0
    assert value["cycles_per_sample"] > 7840 and value["latency_cycles"] > 7840
    copy = corrupted(bundle, tmp_path, "rtl/classification_mnist.sv", ".P(20)", ".P(4)")
    changed = ["simulate", str(copy), "--data", "mnist:test", "-n", "2"]
    assert cli.main(changed) == 2
    error = capfd.readouterr().err
    assert "changed since it was generated: rtl/classification_mnist.sv; generate it" in error
    assert cli.main([*changed, "--modified"]) == 1
    out, error = capfd.readouterr()
    assert "asnet: warning: " in error and "generated: rtl/classification_mnist.sv\n" in error
    assert "2 images simulated" in out and " 0 mismatching words" not in out


def test_an_existing_folder_is_left_alone(bundle, tmp_path, capfd):
    before = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    assert cli.main(["generate", "classification_mnist", "-o", str(bundle)]) == 2
    assert "exists" in capfd.readouterr().err
    assert {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()} == before
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("years of work")
    assert cli.main(["generate", "classification_mnist", "-o", str(precious), "--force"]) == 2
    assert (precious / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    "damage",
    [
        lambda m: m["info"].update(weights=[]),
        lambda m: m["info"].update(weights=["zz"]),
        lambda m: m["info"].update(output_shape="x"),
        lambda m: m["info"].update(input_shape=3),
        lambda m: m.update(info=3),
        lambda m: m.update(output_words=-1),
        lambda m: m.update(format=2),
        lambda m: m.pop("memories"),
        lambda m: m["files"].update({"rom/none.hex": "0"}),
    ],
)
def test_a_damaged_manifest_is_refused(bundle, tmp_path, damage):
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    damage(manifest)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError):
        simulate(copy, "mnist:test", samples=1)


def test_a_file_that_is_gone_is_named(bundle, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    (copy / "rom" / "classification_mnist_weights_0.hex").unlink()
    with pytest.raises(InputError, match="weights"):
        simulate(copy, "mnist:test", samples=1)


def test_data_of_another_shape(bundle, tmp_path):
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 783)), y=np.zeros(2, int))
    with pytest.raises(InputError, match="samples have the shape 783, the network takes 784"):
        simulate(bundle, str(tmp_path / "d.npz"))


def test_a_failing_core_is_not_generated(tmp_path):
    from asnet_mlir.errors import MismatchError

    text = LOG_MULTIPLIER.read_text()
    (tmp_path / "core.toml").write_text(
        'name = "liar"\nmodule = "fmul_log"\nop = "mulf"\nformat = "f32"\n'
        'sources = ["fmul_log.v"]\nlatency_cycles = 3\nexact = true\n'
        '[ports]\nclock = "CLK"\na = "X"\nb = "Y"\nresult = "Z"\n'
    )
    (tmp_path / "fmul_log.v").write_text(text)
    binding = Binding.parse([f"mulf={tmp_path / 'core.toml'}"])
    with pytest.raises((InputError, MismatchError), match=r"latency|cycles"):
        generate("classification_mnist", binding, output=tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_inputs_of_a_core_that_are_tied(tmp_path, mlp):
    """Enable, active-low reset and a mode: the bundle holds them, and equals the software."""
    from asnet_mlir.binding import Rule
    from asnet_mlir.cores import core_from_verilog

    (tmp_path / "m.v").write_text(
        "module mul_en(input clk, rst_n, ce, input [3:0] mode, input [31:0] a, b,\n"
        "              output reg [31:0] y, output spare);\n"
        "  reg [31:0] r;\n  assign spare = r[0];\n  wire [8:0] e = a[30:23] + b[30:23];\n"
        "  wire zero = a[30:23] == 0 || b[30:23] == 0 || e < 127 || e >= 382;\n"
        "  wire [7:0] k = e - 9'd127;\n"
        "  always @(posedge clk or negedge rst_n) if (!rst_n) r <= 0; else if (ce)\n"
        "    r <= {a[31] ^ b[31], zero ? 31'd0 : {k, a[22:0] ^ {mode, 19'd0}}};\n"
        "  always @(posedge clk) if (ce) y <= r;\nendmodule\n"
    )
    ports = {"result": "y", "constant": {"mode": 5}}
    core = core_from_verilog([tmp_path / "m.v"], op="mulf", ports=ports)
    binding = Binding((Rule("mulf", core.instance()),))
    generate(mlp, binding, output=tmp_path / "b")
    text = "".join(path.read_text() for path in (tmp_path / "b" / "rtl").glob("mlp*.sv"))
    for port in (".ce (1'h1)", ".rst_n (1'h1)", ".mode (4'h5)"):
        assert port in re.sub(r" +", " ", text)
    x = np.random.default_rng(0).standard_normal((5, 13)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, y=np.zeros(5, int))
    result = simulate(tmp_path / "b", str(tmp_path / "d.npz"))
    assert result.mismatches == 0, result.differences
    # With another mode the hardware is another one.
    files = (tmp_path / "b" / "rtl").glob("mlp*.sv")
    (file,) = (path for path in files if ".mode" in path.read_text())
    file.write_text(re.sub(r"(\.mode *\()4'h5", r"\g<1>4'hA", file.read_text()))
    assert simulate(tmp_path / "b", str(tmp_path / "d.npz"), modified=True).mismatches > 0


def test_cores_that_no_machine_can_use_are_named(tmp_path, mlp):
    from asnet_mlir.cores import core_from_verilog
    from asnet_mlir.hardware.bundle.core_files import core_files

    (tmp_path / "k.v").write_text(
        "module k(input [31:0] bit, b, output [31:0] y); assign y = bit & b; endmodule\n"
    )
    core = core_from_verilog([tmp_path / "k.v"], op="mulf")
    with pytest.raises(UnsupportedError, match=r"k\.v:1: .*rename what has the name of a keyword"):
        core_files(core.instance())


def test_forms_of_the_hardware(mlp):
    binding = Binding.parse(["mulf=fmul_trunc:P=3"])
    assert "approx.start" in asnet_mlir.compile(mlp, "scheduled", binding)
    assert "hw.module @mlp" in asnet_mlir.compile(mlp, "hw", binding)
    assert ".P(3)" in asnet_mlir.compile(mlp, "sv", binding)


def test_what_hardware_cannot_do_is_named():
    import jax

    from asnet_mlir.frontends.jax import from_jax_function

    network = from_jax_function(
        lambda x: jax.lax.div(x.astype(np.int32), np.int32(3)),
        (np.zeros((1, 2), np.float32),),
    )
    with pytest.raises(InputError, match="'arith.divsi' op has no hardware; supported are"):
        asnet_mlir.compile(network, "sv")


def test_a_full_disk_changes_nothing(tmp_path, monkeypatch, capfd):
    out = tmp_path / "b"
    arguments = ["generate", "classification_mnist", "-o", str(out)]
    assert cli.main(arguments) == 0
    before = (out / "manifest.json").read_bytes()
    write = Path.write_bytes

    def full(path, data):
        if path.name == "filelist.f":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    capfd.readouterr()
    assert cli.main([*arguments, "--force"]) == 1
    error = capfd.readouterr().err
    assert f"{out}: can't be written: No space left on device; nothing was changed" in error
    assert error.count("\n") == 1
    assert (out / "manifest.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
