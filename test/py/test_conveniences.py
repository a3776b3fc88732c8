# SPDX-License-Identifier: Apache-2.0
"""What makes the verbs easy to call: bindings of texts, data of arrays, lists, help, completion."""

import os
import subprocess
import sys

import numpy as np
import pytest

import asnet_mlir
from asnet_mlir.binding import Binding, Rule
from asnet_mlir.cli import main as cli
from asnet_mlir.cores import load_core, parse_instance
from asnet_mlir.errors import InputError
from asnet_mlir.exploration import Exploration, Result
from asnet_mlir.network import ApproxTexts, Network, Weight
from asnet_mlir.support.forms import FORMS


def test_the_verbs_are_listed():
    assert {"evaluate", "explore", "generate", "Binding"} <= set(dir(asnet_mlir))
    assert all(getattr(asnet_mlir, name) is not None for name in dir(asnet_mlir))


def test_what_says_a_binding(tmp_path):
    text = "mulf@a=fmul_trunc:P=3"
    binding = Binding.parse([text])
    binding.save(tmp_path / "b.json")
    instance = parse_instance("fmul_trunc:P=3", op="mulf")
    for value in (
        text,
        [text],
        (text,),
        {"mulf@a": "fmul_trunc:P=3"},
        {"mulf@a": instance},
        [Rule("mulf", instance, "a")],
        binding.to_json(),
        tmp_path / "b.json",
        str(tmp_path / "b.json"),
        binding,
    ):
        assert Binding.of(value) == binding, value
    assert Binding.of(None) == Binding.of([]) == Binding.of({}) == Binding()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "a binding is 'OP.*', a list or a mapping of such, or a Binding, not int"),
        ([3], "not int"),
        (np.zeros(1000), "not ndarray"),
        ({"mulf": 3}, "binding of 'mulf': a core is a text or an Instance, not 3"),
        ({"mulf@": "fmul"}, "the layer it is bound in has no name"),
        ("fmul", "write a binding as"),
        ("none.json", "none.json"),
    ],
)
def test_what_says_no_binding(value, message):
    with pytest.raises(InputError, match=message) as caught:
        Binding.of(value)
    assert len(str(caught.value)) < 200


def test_arrays_are_data_and_texts_are_bindings(mlp):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 13)), [0, 1] * 10
    rule = "mulf=fmul_trunc:P=20"
    found = asnet_mlir.evaluate(mlp, (x, y), rule)
    assert found.samples == 20 and found.binding.label == rule
    again = asnet_mlir.evaluate(mlp, (x, np.array(y)), Binding.parse([rule]))
    assert again.accuracy == found.accuracy
    assert "instance = 1" in asnet_mlir.compile(mlp, "bound", {"mulf": "fmul"})


@pytest.mark.parametrize("data", [5, (1, 2), (np.zeros((3, 2)), ["a"] * 3), (np.zeros(9999), [0])])
def test_what_is_no_data(data):
    with pytest.raises(InputError) as caught:
        asnet_mlir.load_data(data)
    assert len(str(caught.value)) < 200


def test_representations_fit_on_a_line():
    weight = Weight("dense/kernel", np.zeros((784, 10), np.float32))
    binding = Binding.of("mulf@fc 1=fmul_trunc:P=20")
    network = Network("n", (784,), (10,), (weight,), ApproxTexts("n", {}))
    things = {
        "Weight('dense/kernel', float32[784, 10])": weight,
        "Network('n', [784] -> [10], 1 weights)": network,
        "Binding('mulf@\"fc 1\"=fmul_trunc:P=20')": binding,
        "Rule('mulf@\"fc 1\"=fmul_trunc:P=20')": binding.rules[0],
        "Instance('fmul_trunc:P=20')": binding.rules[0].instance,
        "Core('fmul')": load_core("fmul"),
        "Dataset('mnist:test:5', 5 samples of 28x28x1)": asnet_mlir.load_data("mnist:test:5"),
        "Exploration('n' on 'd', 5 samples, 1 results, chosen 'exact')": Exploration(
            *("n", "d", 5, None, None, (Result(Binding(), 0.5),), 1.0, 1),
            chosen=Result(Binding(), 0.5),
        ),
    }
    assert [repr(thing) for thing in things.values()] == list(things)
    assert len(repr(Result(binding, 0.5))) < 250


@pytest.mark.parametrize(
    "arguments",
    [
        ["--bind", "mulf=A", "mulf@fc 1=B", "MODEL"],
        ["MODEL", "--bind", "mulf=A", "mulf@fc 1=B"],
        ["--bind", "mulf=A", "--bind", "mulf@fc 1=B", "MODEL"],
        ["--bind=mulf=A", "mulf@fc 1=B", "--", "MODEL"],
        ["--bind=mulf=A", "MODEL", "--bind", "mulf@fc 1=B"],
    ],
)
@pytest.mark.parametrize("lanes", [["--lanes", "2", "a=b=3"], ["--lanes", "2", "--lanes", "a=b=3"]])
def test_lists_end_where_the_model_begins(arguments, lanes):
    options = cli.make_parser().parse_args(cli.spread(["compile", *lanes, *arguments]))
    assert options.model == "MODEL"
    assert options.bind == ["mulf=A", "mulf@fc 1=B"] and options.lanes == ["2", "a=b=3"]


def test_every_argument_has_a_help_text(capsys):
    parser = cli.make_parser()
    verbs = next(a for a in parser._actions if a.dest == "verb").choices
    cores = next(a for a in verbs["cores"]._actions if a.dest == "core_verb").choices
    for name, verb in {**verbs, **cores}.items():
        for action in verb._actions:
            assert action.help or action.dest == "core_verb", (name, action.dest)
        verb.format_help()
    text = " ".join(verbs["compile"].format_help().split())
    assert ", ".join(FORMS) in text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("asnet ev", ["evaluate "]),
        ("asnet compile --emit s", ["stablehlo", "scheduled", "sv"]),
        ("asnet evaluate classification_mnist --data mnist", ["mnist:train", "mnist:test"]),
        ("asnet cores check fmul_t", ["fmul_trunc "]),
        ("asnet evaluate conv", ["convolutional_mnist", "convolutional_svhn"]),
    ],
)
def test_completion(line, expected, tmp_path):
    """As a shell asks: the answer comes on file descriptor 8, separated as it says."""
    answer = tmp_path / "answer"
    program = f"exec 8>{answer}; exec {sys.executable} -m asnet_mlir.cli"
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "_ARGCOMPLETE_SUPPRESS_SPACE": "0",
    }
    subprocess.run(["bash", "-c", program], env=environment, cwd=tmp_path, check=True)
    assert sorted(answer.read_text().split("\n")) == sorted(expected)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_for_shells(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    assert "asnet" in capsys.readouterr().out
