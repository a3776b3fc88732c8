# SPDX-License-Identifier: Apache-2.0
"""Hardware of networks on integer codes: every word, cycles, bounds, queues, what is refused."""

import itertools
import json
import math
import re
from collections import Counter

import numpy as np
import pytest
from tflite_networks import Stack

import asnet_mlir
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends.program import from_program
from asnet_mlir.hardware.integers.code_graph import Access, Generic, Tensor
from asnet_mlir.hardware.integers.dataflow import Step, queue_depths
from asnet_mlir.hardware.integers.design import Lanes
from asnet_mlir.hardware.integers.loop_windows import Wanted, plan
from asnet_mlir.hardware.integers.scalars import Body, Interval, Scalar, bounds, evaluate
from asnet_mlir.hardware.simulation import simulate as simulation
from asnet_mlir.quantized import Builder, Quantization

RNG = np.random.default_rng(5)
CODES = Quantization(np.array([0.05]), np.array([-3]))
WIDE = Quantization(np.array([0.11]), np.array([4]))


def weights(*shape):
    quantization = Quantization(RNG.uniform(0.004, 0.02, shape[-1]), np.zeros(shape[-1], int))
    return RNG.integers(-127, 128, shape).astype(np.int8), quantization


def bias(channels):
    return RNG.integers(-500, 500, channels).astype(np.int32)


def residual(unsigned=False):
    """Convolutions, a residual sum, pools, a dense layer and a softmax, of 6 x 6 x 2 codes."""
    given = Quantization(CODES.scale, np.array([7]), signed=False) if unsigned else CODES
    net = Builder("residual", (6, 6, 2), given)
    same = ((1, 1), (1, 1))
    x = net.conv2d(net.input, *weights(3, 3, 2, 4), bias(4), CODES, layer="a", padding=same)
    y = net.conv2d(x, *weights(3, 3, 1, 4), None, WIDE, layer="b", padding=same, groups=4)
    y = net.conv2d(y, *weights(3, 3, 4, 4), bias(4), WIDE, layer="c", padding=same)
    x = net.add(x, y, CODES, layer="sum", activation=(-3, 127))
    x = net.max_pool(x, (2, 2), layer="pool", strides=(2, 2))
    x = net.average_pool(x, (3, 3), layer="mean", strides=(3, 3))
    x = net.reshape(x, (4,), layer="flat")
    x = net.dense(x, *weights(4, 5), bias(5), WIDE, layer="dense")
    return from_program(net.program(net.softmax(x, WIDE, layer="softmax")))


def dense(shape=(8,), channels=5):
    net = Builder("dense", shape, CODES)
    x = net.dense(net.input, *weights(shape[-1], channels), bias(channels), WIDE, layer="dense")
    return from_program(net.program(x))


def generated(network, tmp_path, binding=None, **options):
    asnet_mlir.generate(network, binding, output=tmp_path / "bundle", **options)
    return tmp_path / "bundle"


def check(bundle, network, n=3):
    """Simulate, and require every word and, where nothing else is faster, every cycle."""
    low, high = network.input_format.range
    x = RNG.integers(low, high + 1, (n, *network.input_shape)).astype(network.input_format.dtype)
    result = asnet_mlir.simulate(bundle, (x, np.zeros(n, int)), stall_seed=0)
    assert (result.mismatches, result.vector_mismatches) == (0, 0), result.differences
    return result


def test_every_word_of_all_kinds_of_layers(tmp_path):
    network = residual()
    bundle = generated(network, tmp_path, "muli=compressor42:N=8,SIGNED=1", lanes=["2"])
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert {entry["op"] for entry in manifest["instances"]} == {"muli"}
    assert manifest["instances"][0]["count"] > 4
    check(bundle, network)


def test_pixels_at_once_where_outputs_and_the_reduction_are_few(tmp_path):
    """Groups of pixels that a row does not divide by, of one filter, of three, and of a pool."""
    net = Builder("pixels", (7, 9, 2), CODES)
    same = ((1, 1), (1, 1))
    x = net.conv2d(net.input, *weights(3, 3, 2, 1), bias(1), CODES, layer="one", padding=same)
    x = net.conv2d(x, *weights(2, 3, 1, 3), bias(3), WIDE, layer="three", strides=(1, 2))
    x = net.conv2d(x, *weights(3, 3, 1, 3), None, WIDE, layer="each", padding=same, groups=3)
    network = from_program(net.program(net.max_pool(x, (3, 3), layer="pool")))
    core = "muli=compressor42:N=8,SIGNED=1"
    bundle = generated(network, tmp_path, core, lanes=["8"])
    manifest = json.loads((bundle / "manifest.json").read_text())
    lanes = {entry["layer"]: entry["lanes"] for entry in manifest["layers"] if "lanes" in entry}
    # 3 pixels of 2 codes; of one code 2 pixels of 3 filters, of 3 channels, and of 3 maxima.
    assert lanes == {"one": 6, "three": 6, "each": 6, "pool": 6}
    engines = {entry["layer"]: entry["cycles"] for entry in manifest["layers"] if "lanes" in entry}
    assert engines["one"] == 9 * 11 * 2 > 7 * (3 * 9 + 1)  # as many as it has inputs
    assert check(bundle, network, 9).cycles_per_sample == 198


@pytest.mark.parametrize(
    ("width", "filters", "kernel", "stride", "pixels"),
    [(9, 1, 3, 1, 1), (11, 1, 3, 1, 3), (9, 1, 5, 2, 2), (8, 2, 3, 1, 3), (6, 3, 5, 3, 2)],
)
def test_a_chunk_reads_what_it_waits_for(width, filters, kernel, stride, pixels):
    """Each word of a row of windows, of all pixels, and no other one."""
    x = Tensor((2 * stride + kernel, (width - 1) * stride + kernel, 2), 8)
    moved = np.array([[stride, 0, 0, 1, 0, 0], [0, stride, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1]])
    kept, none = np.eye(6, dtype=int), np.zeros(6, int)
    factors = Tensor((kernel, kernel, 2, filters), 8, np.ones((kernel, kernel, 2, filters), int))
    body = Body(
        (Scalar("arg", (), 8), Scalar("arg", (), 8, number=1), Scalar("muli", (0, 1), 8)), 2
    )
    node = Generic(
        "a",
        Tensor((3, width, filters), 32),
        (3, width, filters, kernel, kernel, 2),
        (False, False, False, True, True, True),
        ((x, Access(moved, none[:3])), (factors, Access(kept[[3, 4, 5, 2]], none[:4]))),
        Access(kept[:3], none[:3]),
        None,
        body,
    )
    window = plan(node, Wanted(2 * filters * pixels), in_order=False)
    assert (window.pixels, window.pack) == (pixels, 2)
    seen, address, counts = set(), window.first, [0] * len(window.sizes)
    for _ in range(math.prod(window.sizes)):
        group = counts[window.group_loop] if pixels > 1 else 0
        seen |= {
            address + p * window.pixel_step for p in range(pixels) if group * pixels + p < width
        }
        place = next(
            i for i, n in enumerate(window.sizes) if counts[i] < n - 1 or i == len(counts) - 1
        )
        counts = [0] * place + [counts[place] + 1, *counts[place + 1 :]]
        address += window.deltas[place]
    row = x.shape[1]
    windows = range(width)
    wanted = {
        k * row + w * stride + j for w in windows for k in range(kernel) for j in range(kernel)
    }
    assert seen == wanted
    assert window.need == max(max(wanted) + 1, stride * row)


def test_groups_of_channels_at_once(tmp_path):
    """Three filters of each channel; one filter of three channels."""
    net = Builder("groups", (5, 6, 5), CODES)
    x = net.conv2d(net.input, *weights(3, 3, 1, 15), bias(15), WIDE, layer="each", groups=5)
    x = net.conv2d(x, *weights(2, 2, 3, 5), bias(5), CODES, layer="grouped", groups=5)
    network = from_program(net.program(x))
    bundle = generated(network, tmp_path, lanes=["9"])
    manifest = json.loads((bundle / "manifest.json").read_text())
    lanes = {entry["layer"]: entry["lanes"] for entry in manifest["layers"]}
    # Of 5 groups 3 and then 2.
    assert lanes == {"each": 9, "grouped": 3}
    assert manifest["predicted_cycles_per_sample"] == 3 * (4 * 2 * 9 + 1)
    assert check(bundle, network, 9).cycles_per_sample == 219


def test_a_tensor_in_two_sums(tmp_path):
    """Both scale it: that is computed once, and is of 64 bits."""
    net = Builder("sums", (3, 3, 2), CODES)
    x = net.conv2d(net.input, *weights(1, 1, 2, 2), bias(2), CODES, layer="a")
    y = net.add(x, net.clamp(x, (-20, 30), layer="clamp"), WIDE, layer="first")
    y = net.max_pool(y, (1, 1), layer="between")
    network = from_program(net.program(net.add(y, x, CODES, layer="second")))
    check(generated(network, tmp_path), network)


def test_bound_adders_keep_the_order_of_sums(tmp_path):
    network = dense((9,), 7)
    rules = ["addi=loa:N=32,K=6", "muli=compressor42:N=8,SIGNED=1"]
    bundle = generated(network, tmp_path, rules, lanes=["3"])
    manifest = json.loads((bundle / "manifest.json").read_text())
    counts = {entry["op"]: entry["count"] for entry in manifest["instances"]}
    assert counts["muli"] == 3 and counts["addi"] >= 3  # outputs only: a term after the other
    check(bundle, network, 9)


def test_a_reset_ends_serial_products(tmp_path):
    """Padding offers codes while there is a reset, and products are under way when there is one."""
    net = Builder("late", (4, 4, 1), CODES)
    x = net.pad(net.input, ((1, 0), (1, 0), (0, 0)), layer="pad")
    codes = net.constant(np.arange(25, dtype=np.int8).reshape(5, 5, 1), CODES, layer="codes")
    network = from_program(net.program(net.add(x, codes, WIDE, layer="sum")))
    bundle = generated(network, tmp_path, target_fps=1e8 / 1200)
    assert "_serial #" in "".join(path.read_text() for path in bundle.glob("rtl/*_f.sv"))
    x = RNG.integers(-128, 128, (2, 4, 4, 1)).astype(np.int8)
    wanted = asnet_mlir.run(network, x).outputs.view(np.uint8).reshape(2, -1)
    for cycle in (0, 400, 401, 413):
        assert (simulation.simulate(bundle, x, reset_cycle=cycle).outputs == wanted).all(), cycle


def test_ties_of_negative_numbers_are_rounded_away_from_zero(tmp_path):
    """Twice rounded sums, as TensorFlow Lite's: a sign is a shift by more than a word has bits."""
    path = tmp_path / "residual.tflite"
    path.write_bytes(Stack(0, (6, 6, 8)).residual(8, 1).content())
    # Of these samples one meets a tie.
    x = np.random.default_rng(1).integers(-128, 128, (8, 6, 6, 8)).astype(np.int8)[:1]
    bundle = generated(str(path), tmp_path, lanes=["8"])
    assert asnet_mlir.simulate(bundle, (x, np.zeros(1, int))).mismatches == 0


def test_cycles_are_predicted_and_lanes_shorten_them(tmp_path):
    network = dense((12,), 10)
    bundle = generated(network, tmp_path, lanes=["4"])
    manifest = json.loads((bundle / "manifest.json").read_text())
    # 10 outputs of 12 terms, 4 at once, and a cycle between frames.
    assert manifest["predicted_cycles_per_sample"] == 10 * 12 // 4 + 1
    assert check(bundle, network, 9).cycles_per_sample == 31
    # Frames of other lengths: codes that lack are 0, the bench checks which are reported.
    x = RNG.integers(-128, 128, (24, 12)).astype(np.int8)
    lengths = [12, 1, 13, 12, 11, 40] * 4
    for number, length in enumerate(lengths):
        x[number, length:] = 0
    outputs = simulation.simulate(bundle, x, frames=lengths, stall_seed=7).outputs
    assert (outputs == asnet_mlir.run(network, x).outputs.view(np.uint8)).all()


@pytest.mark.parametrize(
    "name", ["addi", "subi", "muli", "andi", "maxsi", "shrsi", "divsi", "shli"]
)
def test_bounds_hold_what_ops_give(name):
    amounts = name.startswith("sh")
    second = Interval(1, 5) if amounts or name == "divsi" else Interval(-9, 4)
    body = Body((Scalar("arg", (), 8), Scalar("arg", (), 8, number=1), Scalar(name, (0, 1), 8)), 2)
    for low, high in itertools.combinations(range(-120, 121, 40), 2):
        a, b = np.meshgrid(np.arange(low, high + 1), np.arange(second.low, second.high + 1))
        values = evaluate(body, [a, b])
        found = bounds(body, [Interval(low, high), second])[-1]
        assert found.low <= values.min() and values.max() <= found.high


def test_queue_of_the_short_branch_holds_what_the_long_one_needs():
    fork, far, joined = Tensor((1, 64), 8), Tensor((1, 64), 8), Tensor((1, 64), 8)
    each = np.arange(1, 65)
    steps = [
        Step([fork], far, [np.minimum(each + 20, 64)]),
        Step([fork, far], joined, [each, each]),
    ]
    long, short = queue_depths(steps, fork, [0, 1])
    assert long == 2 and 20 <= short < 20 + 100


def test_a_rate_gives_the_fewest_lanes_and_is_reached(tmp_path):
    network = residual()
    bundle = generated(network, tmp_path, target_fps=1e8 / 660, clock_mhz=100.0)
    manifest = json.loads((bundle / "manifest.json").read_text())
    lanes = {entry["layer"]: entry["lanes"] for entry in manifest["layers"] if "lanes" in entry}
    # 36 x 4 sums of 18, 9 and 36 terms; 64 codes around them go in.
    assert {name: lanes[name] for name in "abc"} == {"a": 4, "b": 2, "c": 8}
    assert manifest["predicted_cycles_per_sample"] <= 660
    result = check(bundle, network, 6)
    assert result.cycles_per_sample <= 660
    assert {"a", "b", "c", "dense"} <= {layer["layer"] for layer in result.layers}
    for layer in result.layers:
        assert 0.9 <= layer["utilisation"] / layer["utilisation_bound"] <= 1.01


def test_models_of_stages_of_which_some_are_padding(tmp_path, monkeypatch):
    net = Builder("padded", (4, 4, 2), CODES)
    same = ((1, 1), (1, 1))
    x = net.conv2d(net.input, *weights(3, 3, 2, 3), bias(3), CODES, layer="a", padding=same)
    network = from_program(net.program(net.max_pool(x, (2, 2), layer="pool", strides=(2, 2))))
    bundle = generated(network, tmp_path)
    monkeypatch.setattr(simulation, "_DEEP", 2)
    monkeypatch.setattr(simulation, "_LEVELS", ((0, "-Og"),))
    check(bundle, network)


def test_averages_of_several_counts_and_of_the_least_codes(tmp_path):
    net = Builder("pools", (4, 4, 3), Quantization(np.array([0.05]), np.array([0])))
    x = net.average_pool(net.input, (2, 2), layer="padded", padding=((1, 1), (1, 1)))
    network = from_program(net.program(net.average_pool(x, (5, 5), layer="whole")))
    bundle = generated(network, tmp_path)
    x = RNG.integers(-128, 128, (12, 4, 4, 3)).astype(np.int8)
    x[0], x[1] = -128, 127
    result = asnet_mlir.simulate(bundle, (x, np.zeros(12, int)))
    assert (result.mismatches, result.vector_mismatches) == (0, 0), result.differences
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert result.cycles_per_sample == manifest["predicted_cycles_per_sample"]


def test_a_device_is_filled(tmp_path):
    network = dense((320,), 128)
    fewer, more = (
        asnet_mlir.generate(network, output=tmp_path / f"{dsp}", fit="25k", dsp=dsp)
        for dsp in (False, True)
    )
    area = fewer["predicted_area"]["soft"], more["predicted_area"]["dsp"]
    assert 15000 < area[0]["luts"] <= 24288
    assert area[1]["dsps"] == 28 and 15000 < area[1]["luts"] <= 24288
    assert more["predicted_cycles_per_sample"] < fewer["predicted_cycles_per_sample"]


def test_terms_beyond_a_devices_multipliers_are_in_logic(tmp_path):
    network = dense((32,), 32)
    bundle = generated(network, tmp_path, lanes=["32"], device="25k", dsp=True)
    manifest = json.loads((bundle / "manifest.json").read_text())
    # 32 terms and a requantization, of which 28 have a multiplier.
    assert manifest["predicted_area"]["dsp"]["dsps"] == 28
    layer = (bundle / "rtl" / "dense_stage_0_dense.sv").read_text()
    kinds = Counter(
        re.findall(r"dense_(?:stage_0_dense_)?(pair|term_in_logic) (?:#.*)?term", layer)
    )
    assert 2 * kinds["pair"] + kinds["term_in_logic"] == 32 and kinds["term_in_logic"] > 4
    check(bundle, network)


def test_tables_of_codes_are_roms(tmp_path):
    net = Builder("table", (4,), CODES)
    network = from_program(net.program(net.function(net.input, np.tanh, WIDE, layer="tanh")))
    manifest = json.loads((generated(network, tmp_path) / "manifest.json").read_text())
    assert [memory["words"] for memory in manifest["memories"].values()] == [256]


@pytest.mark.parametrize("text", ["0", "x", "dense=", "=4", "-1"])
def test_lanes_that_are_no_number_are_refused(text):
    with pytest.raises(InputError, match="lanes"):
        Lanes([text])


def test_a_device_that_is_too_small_is_refused_with_one_that_is_not(tmp_path):
    message = "does not fit ECP5 25k: .* block RAMs where there are 56 .* it fits 85k"
    with pytest.raises(InputError, match=message):
        generated(dense((1024,), 256), tmp_path, fit="25k")


@pytest.mark.parametrize("options", [{"target_fps": 100.0}, {"fit": "25k"}])
def test_rates_of_float_networks_are_refused(tmp_path, options):
    message = "takes f32: .* for networks that take integer codes"
    with pytest.raises(InputError, match=message):
        generated("classification_mnist", tmp_path, **options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"style": "shared"}, UnsupportedError, "style 'stream' only"),
        ({"lanes": ["other=4"]}, InputError, "'other': no such layer; layers are dense"),
        ({"clock_mhz": 200.0}, InputError, "made for 120 MHz on ECP5 at most, not 200"),
        ({"target_fps": 2e7}, InputError, "'dense' takes at least 8; at most 12500000 images/s"),
        ({"target_fps": 1e9, "lanes": ["2"]}, InputError, "those of single ones"),
        ({"target_fps": 0.0}, InputError, "above 0"),
        ({"target_fps": 9.0, "fit": "25k"}, InputError, "either a rate to reach or a device"),
        ({"fit": "12k"}, InputError, "unknown ECP5 device '12k'; devices are 25k, 45k, 85k"),
    ],
)
def test_what_integer_hardware_refuses(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        generated(dense(), tmp_path, **options)
    assert not (tmp_path / "bundle").exists()
