# SPDX-License-Identifier: Apache-2.0
"""Weights outside of integer hardware: loaded into RAM, or read from a slow memory."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from test_hardware_integers import CODES, bias, dense, residual, weights

import asnet_mlir
from asnet_mlir.errors import InputError, ToolError, UnsupportedError
from asnet_mlir.frontends.program import from_program
from asnet_mlir.hardware.bundle import kit
from asnet_mlir.hardware.integers.weight_memories import Fed, WeightSources
from asnet_mlir.hardware.shell.options import WeightMemory, weight_image, weight_places
from asnet_mlir.hardware.synthesis.needs import needs_of
from asnet_mlir.quantized import Builder
from asnet_mlir.support import verilator

RNG = np.random.default_rng(11)


def check(bundle, network, n=3, **options):
    low, high = network.input_format.range
    x = RNG.integers(low, high + 1, (n, *network.input_shape)).astype(network.input_format.dtype)
    result = asnet_mlir.simulate(bundle, (x, np.zeros(n, int)), **options)
    assert (result.mismatches, result.vector_mismatches) == (0, 0), result.differences
    return result


@pytest.fixture(scope="module")
def streamed(tmp_path_factory):
    """A residual network whose weights lie in external memory, but for those of layer b."""
    network = residual()
    folder = tmp_path_factory.mktemp("weights") / "bundle"
    asnet_mlir.generate(network, output=folder, lanes=["4"], weights_from=["stream", "b=rom"])
    return network, folder


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """A dense layer whose weights lie in external memory."""
    network = dense((24,), 16)
    folder = tmp_path_factory.mktemp("weights") / "bundle"
    asnet_mlir.generate(network, output=folder, lanes=["8"], weights_from=["stream"])
    return network, folder


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    network = dense((12,), 10)
    folder = tmp_path_factory.mktemp("weights") / "bundle"
    asnet_mlir.generate(network, output=folder, lanes=["8"], weights_from=["load"], control=True)
    return network, folder


def test_weights_from_a_memory_of_random_latency(streamed):
    network, bundle = streamed
    check(bundle, network, stall_seed=3, reset_cycle=500)
    outside = json.loads((bundle / "manifest.json").read_text())["outside_weights"]
    assert [memory["layer"] for memory in outside["memories"]] == ["a", "c", "dense"]
    assert [memory["place"] for memory in outside["memories"]] == [0, 128, 320]


def test_cycles_are_those_that_the_bandwidth_allows(streamed):
    """A bus of 4 bytes a cycle: what goes through it in the long run is predicted."""
    network, bundle = streamed
    manifest = json.loads((bundle / "manifest.json").read_text())
    predicted = manifest["predicted_cycles_per_sample"]
    assert 4 * predicted == manifest["outside_weights"]["bytes_per_sample"]
    measured = check(bundle, network, 60).cycles_per_sample
    assert 0.95 * predicted < measured < 1.05 * predicted


def changed(bundle, folder, file, old, new):
    """Return a copy of a bundle with a file changed."""
    shutil.copytree(bundle, folder)
    path = folder / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    return folder


def test_a_memory_slower_than_promised_makes_it_wait_and_nothing_else(narrow, tmp_path):
    network, bundle = narrow
    slow = changed(
        bundle, tmp_path / "slow", "tb/memory.sv", "ASNET_MEMORY_PAUSE 0", "ASNET_MEMORY_PAUSE 9"
    )
    quick = json.loads((bundle / "manifest.json").read_text())["predicted_cycles_per_sample"]
    result = check(slow, network, stall_seed=1, modified=True)
    assert result.cycles_per_sample > 3 * quick


def test_an_error_of_the_memory_ends_answers_and_makes_none_wrong(narrow, tmp_path):
    network, bundle = narrow
    broken = changed(
        bundle,
        tmp_path / "broken",
        "tb/observed.sv",
        "assign m_axi_rresp = '0;",
        "assign m_axi_rresp = memory.place == 40 ? 2'd2 : 2'd0;",
    )
    with pytest.raises(ToolError, match=r"bench: 0 of \d+ words"):
        check(broken, network, 1, modified=True)


BENCH = r"""
#include "Vtop.h"
#include "verilated.h"
#include <cstdio>
#include <cstring>
#include <deque>
// L N WORDS..: loads; S N WORDS..: a sample, sent when it is taken; R N: cycles; P: what there is;
// B N WORDS..: loads while the sample that was begun is under way.
struct Word { unsigned data; bool last; };
Vtop top;
std::deque<Word> samples, weights;
unsigned taken = 0;
void step() {
  top.s_axis_tvalid = !samples.empty();
  top.s_weights_tvalid = !weights.empty();
  const Word sample = samples.empty() ? Word{} : samples.front();
  const Word weight = weights.empty() ? Word{} : weights.front();
  top.s_axis_tdata = sample.data;
  top.s_axis_tlast = sample.last;
  top.s_weights_tdata = weight.data;
  top.s_weights_tlast = weight.last;
  top.m_axis_tready = 1;
  top.clk = 0; top.eval();
  const bool in = top.s_axis_tvalid && top.s_axis_tready;
  const bool load = top.s_weights_tvalid && top.s_weights_tready;
  if (top.m_axis_tvalid) std::printf("%02x%s", top.m_axis_tdata, top.m_axis_tlast ? "\n" : " ");
  top.clk = 1; top.eval();
  if (in) { samples.pop_front(); ++taken; }
  if (load) weights.pop_front();
}
int main() {
  top.rst = 1;
  for (int i = 0; i < 4; ++i) step();
  top.rst = 0;
  for (char what[2]; std::scanf("%1s", what) == 1;) {
    unsigned n = 0, word;
    if (*what == 'P') {
      std::printf("loaded %d error %d taken %u\n", top.weights_loaded, top.weights_error, taken);
      continue;
    }
    if (std::scanf("%u", &n) != 1) return 2;
    if (*what == 'R') { while (n--) step(); continue; }
    auto &queue = *what == 'S' ? samples : weights;
    for (unsigned i = 0; i < n && std::scanf("%x", &word) == 1; ++i)
      queue.push_back({word, i == n - 1});
    if (*what == 'L') while (!weights.empty()) step();
  }
}
"""


@pytest.fixture(scope="module")
def bench(loaded):
    """A program that loads weights and sends samples as its standard input says."""
    _, bundle = loaded
    folder = bundle.parent / "build"
    folder.mkdir()
    verilator.translate(
        (bundle / "filelist.f").read_text().split(),
        top="dense",
        prefix="Vtop",
        into=folder,
        cwd=bundle,
        options=["-Wno-lint", "--x-assign", "fast", "--x-initial", "fast"],
        purpose="translating",
    )
    (folder / "bench.cpp").write_text(BENCH)
    parts = [*(path.name for path in folder.glob("Vtop*.cpp")), "bench.cpp"]
    (folder / "all.cpp").write_text("".join(f'#include "{part}"\n' for part in parts))
    verilator.compile_model(
        [folder / "all.cpp"],
        folder / "bench",
        level="-O0",
        includes=[folder],
        cwd=folder,
        purpose="compiling",
    )
    vectors = kit.read_vectors(bundle, json.loads((bundle / "manifest.json").read_text()))
    image = [int(word, 16) for word in (bundle / "tb/vectors/weights.hex").read_text().split()]

    def run(*commands):
        said = subprocess.run(
            [folder / "bench"], input=" ".join(commands), cwd=bundle, capture_output=True, text=True
        )
        assert said.returncode == 0
        return said.stdout.splitlines()

    def words(kind, values):
        return f"{kind} {len(values)} " + " ".join(f"{value:x}" for value in values)

    answers = [" ".join(f"{word:02x}" for word in row) for row in vectors.outputs]
    return run, words, image, vectors.inputs.tolist(), answers


def test_loaded_weights(loaded):
    network, bundle = loaded
    check(bundle, network, stall_seed=2, reset_cycle=20)
    image = np.fromfile(bundle / "weights" / "dense.bin", "<u4")
    assert image[-1] == image[:-1].sum(dtype=np.uint32)
    assert not list(bundle.glob("rom/*weights*"))


def test_engines_that_begin_with_padding_wait_for_weights(tmp_path):
    """The first row is of padding only, so it is computed before a sample is there."""
    net = Builder("padded", (1, 1, 16), CODES)
    kernel = weights(1, 1, 16, 32)
    x = net.pad(net.input, ((1, 1), (0, 0), (0, 0)), layer="pad", code=100)
    x = net.conv2d(x, *kernel, bias(32), CODES, layer="a")
    network = from_program(net.program(x))
    asnet_mlir.generate(network, output=tmp_path / "bundle", lanes=["32"], weights_from=["load"])
    check(tmp_path / "bundle", network)


def test_what_is_needed_counts_memories_of_weights(loaded, tmp_path):
    _, bundle = loaded
    manifest = json.loads((bundle / "manifest.json").read_text())
    memory = manifest["memories"]["stage_0_dense_weights"]
    without = changed(
        bundle, tmp_path / "without", "rtl/dense_stage_0_dense.sv", "dense_weights #", "other #"
    )
    difference = [needs_of(one, manifest)["memory_bits"] for one in (bundle, without)]
    depth = 1 << (memory["words"] - 1).bit_length()
    assert difference[0] - difference[1] == depth * memory["width"]


def test_no_sample_is_taken_before_there_are_weights(bench):
    run, words, image, samples, answers = bench
    said = run(words("S", samples[0]), "R 200 P", words("L", image), "R 200 P")
    assert said == ["loaded 0 error 0 taken 0", answers[0], "loaded 1 error 0 taken 12"]


@pytest.mark.parametrize("spoil", ["word", "sum", "short", "long"])
def test_weights_that_did_not_come_whole_are_not_used(bench, spoil):
    run, words, image, samples, answers = bench
    wrong = {
        "word": [image[0] ^ 1, *image[1:]],
        "sum": [*image[:-1], image[-1] ^ 0x80],
        "short": image[:-1],
        "long": [*image, 0],
    }[spoil]
    said = run(
        *(words("L", image), words("S", samples[1]), "R 200"),
        *(words("L", wrong), words("S", samples[2]), "R 200 P"),
        *(words("L", image), "R 200 P"),
    )
    assert said == [
        answers[1],
        "loaded 0 error 1 taken 12",
        answers[2],
        "loaded 1 error 0 taken 24",
    ]


@pytest.mark.parametrize("cycles", [1, 5, 13, 20])
def test_weights_written_while_samples_are_under_way_are_refused(bench, cycles):
    run, words, image, samples, answers = bench
    wrong = [word ^ 0xFFFFFFFF for word in image]
    said = run(
        *(words("L", image), words("S", samples[0]), f"R {cycles}", words("B", wrong), "R 300 P"),
        *(words("S", samples[3]), "R 200"),
    )
    assert said == [answers[0], "loaded 1 error 1 taken 12", answers[3]]


def test_a_sample_does_not_begin_as_weights_do(bench):
    """Both are offered in one cycle: the weights are taken, the sample waits for their end."""
    run, words, image, samples, answers = bench
    said = run(
        words("L", image), words("S", samples[4]), words("B", image), words("B", image), "R 300 P"
    )
    assert said == [answers[4], "loaded 1 error 0 taken 12"]


def test_words_of_a_row_begin_with_its_lowest_bits():
    fed = Fed("load", (0x1_0000_0002, 0x7_89AB_CDEF), 35)
    assert fed.words() == [2, 1, 0x89ABCDEF, 7]
    memories = [WeightMemory("a", (1, 2), 1, 64, 1), WeightMemory("b", (3,), 1, 64, 1)]
    assert weight_image("load", memories) == [1, 2, 3, 6]
    places = weight_places(memories)
    assert places == [0, 64] and weight_image("stream", memories)[places[1] // 4] == 3


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["flash"], "modes are rom, load, stream"),
        (["=load"], "MODE or LAYER=MODE"),
        (["load", "dense=stream"], "not both"),
    ],
)
def test_sources_that_there_are_not(texts, message):
    with pytest.raises(InputError, match=message):
        WeightSources(texts)


def test_layers_without_weights_have_no_source(tmp_path):
    with pytest.raises(InputError, match="'pool': no such layer; those with weights: a, b, c, d"):
        asnet_mlir.generate(residual(), output=tmp_path / "b", weights_from=["pool=load"])
    assert not (tmp_path / "b").exists()


def test_floats_keep_their_weights(tmp_path):
    from stream_networks import dense as floats

    with pytest.raises(UnsupportedError, match="networks on codes"):
        asnet_mlir.generate(floats(), output=tmp_path / "b", weights_from=["load"])
