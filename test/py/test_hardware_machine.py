# SPDX-License-Identifier: Apache-2.0
"""The sequential machine in Verilator against scalar loops in the defined order, bit for bit."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asnet_mlir.cores import load_core
from asnet_mlir.cores.ports import Ports
from asnet_mlir.errors import InputError, ToolError
from asnet_mlir.hardware.bundle import write
from asnet_mlir.hardware.bundle.manifest import verify_files
from asnet_mlir.hardware.bundle.unit import CoreFiles
from asnet_mlir.hardware.schedule.registers import Registers
from asnet_mlir.hardware.simulation.simulate import simulate as run_simulation

NAN = 0x7FC00000
F32 = np.float32
KINDS = {"mulf": "fmul", "addf": "fadd", "divf": "fdiv", "maxf": "fmax"}
IDS = {kind: number for number, kind in enumerate(KINDS, start=1)}


def core_files(name: str, **parameters: int) -> CoreFiles:
    instance = load_core(name).instance(parameters)
    core = instance.core
    return CoreFiles(
        op=core.op or "",
        module=core.module,
        sources=tuple((source.path.name, source.text) for source in core.sources),
        parameters=dict(instance.parameters),
        latency=instance.latency,
        canonical_nan=True,
        ports=core.ports,
        label=instance.label,
    )


def exact_cores() -> dict[int, CoreFiles]:
    return {IDS[kind]: core_files(name) for kind, name in KINDS.items()}


def library(cores: dict[int, CoreFiles]) -> str:
    lines = [
        f'  approx.core {key} "{core.op}" @{core.module} {{}} latency {core.latency} interval 1'
        for key, core in cores.items()
    ]
    return "approx.library {\n" + "\n".join(lines) + "\n}\n"


def op(kind: str) -> str:
    return f"{{instance = {IDS[kind]}}} : f32"


def dense_network(cores: dict[int, CoreFiles], inputs: int = 12, outputs: int = 4) -> str:
    """Dense, ReLU, then each output less their maximum, divided by their sum."""
    x, w, y = (
        f"tensor<1x{inputs}xf32>",
        f"tensor<{inputs}x{outputs}xf32>",
        f"tensor<1x{outputs}xf32>",
    )
    m = "tensor<1xf32>"
    row = "affine_map<(n, j) -> (n, j)>"
    each = "affine_map<(n, j) -> (n)>"
    return f"""{library(cores)}
func.func @main(%x: {x} {{approx.role = "input"}}, %w: {w} {{approx.weight = "dense/kernel"}},
                %b: tensor<{outputs}xf32> {{approx.weight = "dense/bias"}}) -> {y} {{
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %e = tensor.empty() : {y}
  %em = tensor.empty() : {m}
  %f = linalg.fill ins(%zero : f32) outs(%e : {y}) -> {y}
  %d = linalg.generic {{indexing_maps = [affine_map<(n, j, k) -> (n, k)>,
      affine_map<(n, j, k) -> (k, j)>, affine_map<(n, j, k) -> (n, j)>],
      iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%x, %w : {x}, {w}) outs(%f : {y}) attrs = {{approx.layer = "dense"}} {{
  ^bb0(%a: f32, %c: f32, %o: f32):
    %p = approx.mulf %a, %c {op("mulf")}
    %s = approx.addf %o, %p {op("addf")}
    linalg.yield %s : f32
  }} -> {y}
  %r = linalg.generic {{indexing_maps = [{row}, affine_map<(n, j) -> (j)>, {row}],
      iterator_types = ["parallel", "parallel"]}}
      ins(%d, %b : {y}, tensor<{outputs}xf32>) outs(%e : {y}) attrs = {{approx.layer = "dense"}} {{
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = approx.addf %a, %c {op("addf")}
    %g = arith.cmpf ole, %s, %zero : f32
    %q = arith.select %g, %zero, %s : f32
    linalg.yield %q : f32
  }} -> {y}
  %fm = linalg.fill ins(%lowest : f32) outs(%em : {m}) -> {m}
  %max = linalg.generic {{indexing_maps = [{row}, {each}],
      iterator_types = ["parallel", "reduction"]}}
      ins(%r : {y}) outs(%fm : {m}) attrs = {{approx.layer = "softmax"}} {{
  ^bb0(%a: f32, %o: f32):
    %s = approx.maxf %o, %a {op("maxf")}
    linalg.yield %s : f32
  }} -> {m}
  %n = linalg.generic {{indexing_maps = [{row}, {each}, {row}],
      iterator_types = ["parallel", "parallel"]}}
      ins(%r, %max : {y}, {m}) outs(%e : {y}) attrs = {{approx.layer = "softmax"}} {{
  ^bb0(%a: f32, %c: f32, %o: f32):
    %neg = arith.negf %c : f32
    %s = approx.addf %a, %neg {op("addf")}
    %i = arith.bitcast %s : f32 to i32
    %one = arith.constant 1 : i32
    %inc = arith.addi %i, %one : i32
    %q = arith.bitcast %inc : i32 to f32
    linalg.yield %q : f32
  }} -> {y}
  %fs = linalg.fill ins(%zero : f32) outs(%em : {m}) -> {m}
  %sum = linalg.generic {{indexing_maps = [{row}, {each}],
      iterator_types = ["parallel", "reduction"]}}
      ins(%n : {y}) outs(%fs : {m}) attrs = {{approx.layer = "softmax"}} {{
  ^bb0(%a: f32, %o: f32):
    %s = approx.addf %o, %a {op("addf")}
    linalg.yield %s : f32
  }} -> {m}
  %z = linalg.generic {{indexing_maps = [{row}, {each}, {row}],
      iterator_types = ["parallel", "parallel"]}}
      ins(%n, %sum : {y}, {m}) outs(%e : {y}) attrs = {{approx.layer = "softmax"}} {{
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = approx.divf %a, %c {op("divf")}
    linalg.yield %s : f32
  }} -> {y}
  return %z : {y}
}}
"""


def canonical(value: F32) -> F32:
    return F32(np.uint32(NAN).view(F32)) if np.isnan(value) else value


def maximum(a: F32, b: F32) -> F32:
    """IEEE 754-2019 maximum."""
    if np.isnan(a) or np.isnan(b):
        return canonical(F32(np.nan))
    if a == b:
        return a if not np.signbit(a) else b
    return max(a, b)


def from_bits(bits: int) -> F32:
    return canonical(np.uint32(bits & 0xFFFFFFFF).view(F32))


def dense_reference(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, reverse: bool = False
) -> np.ndarray:
    inputs, outputs = w.shape
    order = range(inputs)[::-1] if reverse else range(inputs)
    y = []
    for j in range(outputs):
        total = F32(0)
        for k in order:
            total = total + canonical(x[k]) * w[k, j]
        total = total + b[j]
        y.append(F32(0) if total <= 0 else canonical(total))
    largest = F32(-np.inf)
    for value in y:
        largest = maximum(largest, value)
    shifted = []
    for value in y:
        difference = canonical(value + (-largest if not np.isnan(largest) else largest))
        shifted.append(from_bits(int(difference.view(np.uint32)) + 1))
    total = F32(0)
    for value in shifted:
        total = canonical(total + value)
    return np.array([canonical(value / total) for value in shifted], F32).view(np.uint32)


def convolution_network(cores: dict[int, CoreFiles]) -> str:
    """5x5x2: padded convolution 3x3x2x3 of stride 2, maximum over 2x2, dense to 2."""
    return f"""{library(cores)}
func.func @main(%x: tensor<1x5x5x2xf32> {{approx.role = "input"}},
                %k: tensor<3x3x2x3xf32> {{approx.weight = "conv/kernel"}},
                %w: tensor<12x2xf32> {{approx.weight = "dense/kernel"}}) -> tensor<1x2xf32> {{
  %zero = arith.constant 0.0 : f32
  %lowest = arith.constant 0xFF800000 : f32
  %pad = tensor.pad %x low[0, 1, 1, 0] high[0, 1, 1, 0] {{
  ^bb0(%a: index, %b: index, %c: index, %d: index):
    tensor.yield %zero : f32
  }} {{approx.layer = "conv"}} : tensor<1x5x5x2xf32> to tensor<1x7x7x2xf32>
  %e = tensor.empty() : tensor<1x3x3x3xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<1x3x3x3xf32>) -> tensor<1x3x3x3xf32>
  %c = linalg.generic {{indexing_maps = [
      affine_map<(n, i, j, o, u, v, c) -> (n, i * 2 + u, j * 2 + v, c)>,
      affine_map<(n, i, j, o, u, v, c) -> (u, v, c, o)>,
      affine_map<(n, i, j, o, u, v, c) -> (n, i, j, o)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction",
                        "reduction"]}}
      ins(%pad, %k : tensor<1x7x7x2xf32>, tensor<3x3x2x3xf32>) outs(%f : tensor<1x3x3x3xf32>)
      attrs = {{approx.layer = "conv"}} {{
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = approx.mulf %a, %b {op("mulf")}
    %s = approx.addf %o, %p {op("addf")}
    linalg.yield %s : f32
  }} -> tensor<1x3x3x3xf32>
  %window = tensor.empty() : tensor<2x2xf32>
  %ep = tensor.empty() : tensor<1x2x2x3xf32>
  %fp = linalg.fill ins(%lowest : f32) outs(%ep : tensor<1x2x2x3xf32>) -> tensor<1x2x2x3xf32>
  %m = linalg.generic {{indexing_maps = [
      affine_map<(n, i, j, o, u, v) -> (n, i + u, j + v, o)>,
      affine_map<(n, i, j, o, u, v) -> (u, v)>, affine_map<(n, i, j, o, u, v) -> (n, i, j, o)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction"]}}
      ins(%c, %window : tensor<1x3x3x3xf32>, tensor<2x2xf32>) outs(%fp : tensor<1x2x2x3xf32>)
      attrs = {{approx.layer = "pool"}} {{
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = approx.maxf %o, %a {op("maxf")}
    linalg.yield %s : f32
  }} -> tensor<1x2x2x3xf32>
  %flat = tensor.collapse_shape %m [[0], [1, 2, 3]] : tensor<1x2x2x3xf32> into tensor<1x12xf32>
  %ed = tensor.empty() : tensor<1x2xf32>
  %fd = linalg.fill ins(%zero : f32) outs(%ed : tensor<1x2xf32>) -> tensor<1x2xf32>
  %d = linalg.generic {{indexing_maps = [affine_map<(n, j, k) -> (n, k)>,
      affine_map<(n, j, k) -> (k, j)>, affine_map<(n, j, k) -> (n, j)>],
      iterator_types = ["parallel", "parallel", "reduction"]}}
      ins(%flat, %w : tensor<1x12xf32>, tensor<12x2xf32>) outs(%fd : tensor<1x2xf32>)
      attrs = {{approx.layer = "dense"}} {{
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = approx.mulf %a, %b {op("mulf")}
    %s = approx.addf %o, %p {op("addf")}
    linalg.yield %s : f32
  }} -> tensor<1x2xf32>
  return %d : tensor<1x2xf32>
}}
"""


def convolution_reference(x: np.ndarray, kernel: np.ndarray, w: np.ndarray) -> np.ndarray:
    padded = np.zeros((7, 7, 2), F32)
    padded[1:6, 1:6] = x.reshape(5, 5, 2)
    convolved = np.zeros((3, 3, 3), F32)
    for i, j, o in np.ndindex(3, 3, 3):
        total = F32(0)
        for u, v, c in np.ndindex(3, 3, 2):
            total = canonical(total + padded[2 * i + u, 2 * j + v, c] * kernel[u, v, c, o])
        convolved[i, j, o] = total
    pooled = np.full((2, 2, 3), -np.inf, F32)
    for i, j, o in np.ndindex(2, 2, 3):
        for u, v in np.ndindex(2, 2):
            pooled[i, j, o] = maximum(pooled[i, j, o], convolved[i + u, j + v, o])
    flat = pooled.reshape(-1)
    y = np.zeros(2, F32)
    for j in range(2):
        for k in range(12):
            y[j] = canonical(y[j] + flat[k] * w[k, j])
    return y.view(np.uint32)


def special_inputs(rng: np.random.Generator, samples: int, words: int) -> np.ndarray:
    """Random samples; all but the first few have something special in them."""
    x = rng.standard_normal((samples, words)).astype(F32)
    specials = np.array(
        [
            0,
            1 << 31,
            1,
            0x807FFFFF,
            0x00800000,
            0x7F800000,
            0xFF800000,
            0x7F7FFFFF,
            0x7F800001,
            0xFFFFFFFF,
        ],
        np.uint32,
    ).view(F32)
    for index in range(4, samples):
        x[index, rng.integers(words)] = specials[(index - 4) % len(specials)]
    x[3] = 0
    return x


@dataclasses.dataclass(frozen=True)
class Case:
    folder: Path
    network: str
    cores: dict[int, CoreFiles]
    weights: dict[str, np.ndarray]
    inputs: np.ndarray
    expected: np.ndarray
    manifest: dict[str, object]


def make_case(
    folder: Path,
    network: Callable[[dict[int, CoreFiles]], str],
    weights: dict[str, np.ndarray],
    inputs: np.ndarray,
    reference: Callable[[np.ndarray], np.ndarray],
) -> Case:
    cores = exact_cores()
    text = network(cores)
    manifest = write.write_bundle(text, weights, cores, folder, name="net")
    with np.errstate(all="ignore"):
        expected = np.stack([reference(sample) for sample in inputs])
    return Case(folder, text, cores, weights, inputs, expected, manifest)


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Case:
    rng = np.random.default_rng(11)
    w = rng.standard_normal((12, 4)).astype(F32)
    b = rng.standard_normal(4).astype(F32)
    return make_case(
        tmp_path_factory.mktemp("dense") / "bundle",
        dense_network,
        {"dense/kernel": w, "dense/bias": b},
        special_inputs(rng, 24, 12),
        lambda x: dense_reference(x, w, b),
    )


@pytest.fixture(scope="module")
def convolution(tmp_path_factory: pytest.TempPathFactory) -> Case:
    rng = np.random.default_rng(12)
    kernel = rng.standard_normal((3, 3, 2, 3)).astype(F32)
    w = rng.standard_normal((12, 2)).astype(F32)
    return make_case(
        tmp_path_factory.mktemp("convolution") / "bundle",
        convolution_network,
        {"conv/kernel": kernel, "dense/kernel": w},
        special_inputs(rng, 16, 50),
        lambda x: convolution_reference(x, kernel, w),
    )


def assert_equal(got: np.ndarray, expected: np.ndarray) -> None:
    different = np.argwhere(got != expected)
    assert not len(different), [
        f"sample {i} word {j}: {got[i, j]:08x}, expected {expected[i, j]:08x}"
        for i, j in different[:5]
    ]


def test_dense_equals_the_reference_bit_for_bit(dense: Case) -> None:
    result = run_simulation(dense.folder, dense.inputs)
    assert_equal(result.outputs, dense.expected)
    assert result.cycles_per_sample == dense.manifest["predicted_cycles_per_sample"]
    assert result.latency_cycles == dense.manifest["predicted_cycles_per_sample"]


def test_convolution_equals_the_reference_bit_for_bit(convolution: Case) -> None:
    result = run_simulation(convolution.folder, convolution.inputs)
    assert_equal(result.outputs, convolution.expected)
    assert result.cycles_per_sample == convolution.manifest["predicted_cycles_per_sample"]


def test_pauses_of_the_streams_change_nothing_but_time(dense: Case) -> None:
    results = [run_simulation(dense.folder, dense.inputs, stall_seed=seed) for seed in (1, 2)]
    for result in results:
        assert_equal(result.outputs, dense.expected)
        assert result.cycles_per_sample > float(str(dense.manifest["predicted_cycles_per_sample"]))
    assert results[0].cycles_per_sample != results[1].cycles_per_sample


def test_a_frame_ends_at_its_tlast(dense: Case) -> None:
    """Short frames are padded with NaNs, long ones cut off; the bench checks who is reported."""
    lengths = [1, 12, 13, 12, 11, 2, 12, 40, 12, 25, 1, 12, *(12 for _ in range(12))]
    sent = np.arange(12) < np.array(lengths)[:, None]
    w, b = dense.weights["dense/kernel"], dense.weights["dense/bias"]
    with np.errstate(all="ignore"):
        padded = [dense_reference(x, w, b) for x in np.where(sent, dense.inputs, F32(np.nan))]
    for seed in (0, 1):
        result = run_simulation(dense.folder, dense.inputs, stall_seed=seed, frames=lengths)
        assert_equal(result.outputs, np.stack(padded))
    # Half a frame before the reset and half of one behind it.
    result = run_simulation(dense.folder, dense.inputs, frames=lengths, reset_cycle=206)
    assert_equal(result.outputs, np.stack(padded))


def test_a_slower_memory_changes_nothing_but_time(dense: Case, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    manifest = write.write_bundle(
        dense.network, dense.weights, dense.cores, folder, name="net", registers=Registers(memory=2)
    )
    result = run_simulation(folder, dense.inputs)
    assert_equal(result.outputs, dense.expected)
    assert result.cycles_per_sample == manifest["predicted_cycles_per_sample"]


def test_a_flipped_weight_bit_is_seen(dense: Case, tmp_path: Path) -> None:
    folder = shutil.copytree(dense.folder, tmp_path / "bundle")
    rom = folder / "rom" / "net_weights.hex"
    lines = rom.read_text().splitlines()
    place = next(i for i, line in enumerate(lines) if not line.startswith("//"))
    lines[place] = f"{int(lines[place], 16) ^ (1 << 20):08x}"
    rom.write_text("\n".join(lines) + "\n")
    assert (run_simulation(folder, dense.inputs).outputs != dense.expected).any()
    assert verify_files(folder) == ["rom/net_weights.hex"]
    assert verify_files(dense.folder) == []


def test_another_parameter_of_a_core_is_seen(dense: Case, tmp_path: Path) -> None:
    # The same network and weights on a multiplier that ignores the last bits.
    cores = dense.cores | {IDS["mulf"]: core_files("fmul_trunc", P=1)}
    write.write_bundle(dense_network(cores), dense.weights, cores, tmp_path / "bundle", name="net")
    got = run_simulation(tmp_path / "bundle", dense.inputs).outputs
    assert (got != dense.expected).any()


def test_another_order_of_the_sum_is_seen(dense: Case) -> None:
    w, b = dense.weights["dense/kernel"], dense.weights["dense/bias"]
    with np.errstate(all="ignore"):
        reversed_sums = np.stack([dense_reference(x, w, b, reverse=True) for x in dense.inputs])
    assert (run_simulation(dense.folder, dense.inputs).outputs != reversed_sums).any()


def test_equal_input_gives_equal_bytes(dense: Case, tmp_path: Path) -> None:
    write.write_bundle(dense.network, dense.weights, dense.cores, tmp_path / "again", name="net")
    for path in sorted(dense.folder.rglob("*")):
        if path.is_file():
            other = tmp_path / "again" / path.relative_to(dense.folder)
            assert other.read_bytes() == path.read_bytes(), path.name
    names = {
        str(path.relative_to(dense.folder)) for path in dense.folder.rglob("*") if path.is_file()
    }
    assert names == {
        *json.loads((dense.folder / "manifest.json").read_text())["files"],
        "manifest.json",
    }


def test_an_existing_folder_is_not_touched(dense: Case, tmp_path: Path) -> None:
    arguments = (dense.network, dense.weights, dense.cores)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("precious")
    for force in (False, True):
        with pytest.raises(InputError, match="exists"):
            write.write_bundle(*arguments, folder, name="net", force=force)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    made = tmp_path / "made"
    write.write_bundle(*arguments, made, name="net")
    (made / "stale").write_text("")
    with pytest.raises(InputError, match="nothing was written"):
        write.write_bundle(*arguments, made, name="net")
    assert (made / "stale").exists()
    write.write_bundle(*arguments, made, name="net", force=True)
    assert not (made / "stale").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "mine"]


def test_what_does_not_fit_is_named(dense: Case, tmp_path: Path) -> None:
    def generate(**changes: object) -> None:
        given = {
            "network": dense.network,
            "weights": dense.weights,
            "cores": dense.cores,
            **changes,
        }
        write.write_bundle(out_dir=tmp_path / "bundle", name="net", **given)  # type: ignore[arg-type]

    with pytest.raises(InputError, match="no weight 'dense/bias'"):
        generate(weights={"dense/kernel": dense.weights["dense/kernel"]})
    with pytest.raises(InputError, match="'dense/bias' has 5 elements, the network wants 4"):
        generate(weights=dense.weights | {"dense/bias": np.zeros(5, F32)})
    with pytest.raises(InputError, match=r"instance 2 \(addf\): no core"):
        generate(cores={key: core for key, core in dense.cores.items() if key != 2})
    with pytest.raises(
        InputError, match="instance 1: the network wants mulf, the core computes addf"
    ):
        generate(cores=dense.cores | {1: dense.cores[2]})
    with pytest.raises(InputError, match="declares latency"):
        generate(cores=dense.cores | {1: core_files("fmul", LATENCY=7)})
    unbound = dense.network.replace(f"approx.divf %a, %c {op('divf')}", "approx.divf %a, %c : f32")
    with pytest.raises(InputError, match=r"'approx.divf' op is not bound .*layer 'softmax'"):
        generate(network=unbound)
    assert not (tmp_path / "bundle").exists()


def test_inputs_of_another_shape_are_refused(dense: Case) -> None:
    with pytest.raises(InputError, match="takes samples of 12 words"):
        run_simulation(dense.folder, np.zeros((2, 13), F32))
    with pytest.raises(InputError, match="no manifest"):
        run_simulation(dense.folder / "rtl", np.zeros((2, 12), F32))


def test_a_machine_that_never_answers_is_an_error(dense: Case, tmp_path: Path) -> None:
    folder = shutil.copytree(dense.folder, tmp_path / "bundle")
    code = folder / "rom" / "net_microcode.hex"
    lines = code.read_text().split()
    code.write_text("\n".join(["0" * len(lines[0])] * len(lines)) + "\n")
    with pytest.raises(ToolError, match="words after"):
        run_simulation(folder, dense.inputs[:1])


def test_a_core_may_make_any_nan(tmp_path: Path) -> None:
    """What a core returns becomes the canonical NaN unless the core promises it."""
    ports = "input logic [31:0] x, y, output logic [31:0] z"
    verilog = f"module xor_core({ports}); assign z = x ^ y; endmodule\n"
    sources = (("xor.sv", verilog),)
    core = CoreFiles("addf", "xor_core", sources, ports=Ports("x", "y", "z"))
    text = """
approx.library { approx.core 9 "addf" @xor_core {} latency 0 interval 1 }
func.func @main(%x: tensor<1x64xf32> {approx.role = "input"}) -> tensor<1x63xf32> {
  %e = tensor.empty() : tensor<1x63xf32>
  %l = tensor.extract_slice %x[0, 0] [1, 63] [1, 1] : tensor<1x64xf32> to tensor<1x63xf32>
  %h = tensor.extract_slice %x[0, 1] [1, 63] [1, 1] : tensor<1x64xf32> to tensor<1x63xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(n, j) -> (n, j)>,
      affine_map<(n, j) -> (n, j)>, affine_map<(n, j) -> (n, j)>],
      iterator_types = ["parallel", "parallel"]}
      ins(%l, %h : tensor<1x63xf32>, tensor<1x63xf32>) outs(%e : tensor<1x63xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = approx.addf %a, %b {instance = 9} : f32
    linalg.yield %s : f32
  } -> tensor<1x63xf32>
  return %r : tensor<1x63xf32>
}
"""
    write.write_bundle(text, {}, {9: core}, tmp_path / "bundle", name="net")
    # Signs and exponents that often differ in all bits of the exponent.
    rng = np.random.default_rng(13)
    x = rng.choice(np.array([0x00812345, 0x7F012345, 0xFF000001, 0x3F800000], np.uint32), (20, 64))
    raw = x[:, :-1] ^ x[:, 1:]
    nan = np.isnan(raw.view(F32))
    assert nan.any() and (raw[nan] != NAN).any()
    got = run_simulation(tmp_path / "bundle", x.view(F32)).outputs
    assert_equal(got, np.where(nan, np.uint32(NAN), raw))
