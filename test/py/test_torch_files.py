# SPDX-License-Identifier: Apache-2.0
"""`.pt2` files of PyTorch, read without it (test/torch/write_files.py wrote them)."""

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

import asnet_mlir
from asnet_mlir.errors import InputError, UnsupportedError
from asnet_mlir.frontends import load_model

FOLDER = Path(__file__).parent / "data" / "torch"


@pytest.mark.parametrize("name", ["residual", "transformer", "gru"])
def test_against_pytorch(name):
    outputs = np.load(FOLDER / "outputs.npz")
    x, expected = outputs[f"{name}_x"], outputs[f"{name}_y"]
    network = load_model(FOLDER / f"{name}.pt2")
    assert network.fixed_batch is None
    got = asnet_mlir.run(network, x).outputs
    assert np.abs(got - expected).max() <= 2e-6 * np.abs(expected).max()


def test_names_are_the_modules_paths():
    network = load_model(FOLDER / "residual.pt2")
    text = network.stablehlo(1)
    assert '"jit(flat)/4.conv1/' in text and "/5.shortcut.0/" in text
    assert "0.weight" in [weight.name for weight in network.unfolded.weights]
    # The input, and the vector that the means become.
    assert text.count("stablehlo.transpose") <= 2


def changed(folder, change=lambda members: None, name="residual"):
    """Return a copy of a file whose members are changed; JSON is given parsed."""
    with zipfile.ZipFile(FOLDER / f"{name}.pt2") as file:
        members = {info.filename: file.read(info) for info in file.infolist()}
    parsed = {key: json.loads(data) for key, data in members.items() if key.endswith(".json")}
    own = {key.partition("/")[2]: value for key, value in (members | parsed).items()}
    change(own)
    path = folder / "net.pt2"
    with zipfile.ZipFile(path, "w") as file:
        for key, value in own.items():
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            file.writestr(f"{name}/{key}", data)
    return path


def model(members):
    return members["models/model.json"]


def nodes(members, target):
    graph = model(members)["graph_module"]["graph"]
    return [node for node in graph["nodes"] if target in node["target"]]


def weights(members):
    return members["data/weights/model_weights_config.json"]["config"]


def other_version(members):
    model(members)["schema_version"]["major"] = 9


def older(members):
    del members["models/model.json"]
    members["serialized_exported_program.json"] = b"{}"
    members["serialized_state_dict.pt"] = pickle.dumps({})


def pickled_weights(members):
    del members["data/weights/model_weights_config.json"]
    members["data/weights/model.pt"] = pickle.dumps({})


def compiled(members):
    del members["models/model.json"]
    members["data/aotinductor/model/net.so"] = b"\x7fELF"


def pickled_model(members):
    members.clear()
    members["data.pkl"] = pickle.dumps({})


def two_programs(members):
    members["models/other.json"] = model(members)


def pickled_weight(members):
    entry = weights(members)["0.weight"]
    entry["use_pickle"] = True
    members[f"data/weights/{entry['path_name']}"] = pickle.dumps(1)


def short_weight(members):
    entry = weights(members)["0.weight"]
    members[f"data/weights/{entry['path_name']}"] = bytes(8)


def far_strides(members):
    weights(members)["0.weight"]["tensor_meta"]["strides"][0]["as_int"] = 10**9


def lost_weight(members):
    del members[f"data/weights/{weights(members)['0.weight']['path_name']}"]


def custom(members):
    nodes(members, "conv2d")[0]["target"] = "torch.ops.acme.conv.default"


def called_by_name(members):
    nodes(members, "conv2d")[0]["target"] = "torch.load"


def unknown(members):
    nodes(members, "conv2d")[0]["target"] = "torch.ops.aten._cdist_forward.default"


def random(members):
    nodes(members, "relu_")[0]["target"] = "torch.ops.aten.bernoulli.default"


def in_training(members):
    norm = nodes(members, "batch_norm")[0]
    next(entry for entry in norm["inputs"] if entry["name"] == "training")["arg"] = {
        "as_bool": True
    }


def changes_a_buffer(members):
    spec = {"buffer_mutation": {"arg": {"name": "x"}, "buffer_name": "1.running_mean"}}
    model(members)["graph_module"]["signature"]["output_specs"].insert(0, spec)


def seen_in_place(members):
    """A view of what a later op changes in place, used after that."""
    graph = model(members)["graph_module"]["graph"]
    places = [i for i, node in enumerate(graph["nodes"]) if "relu_" in node["target"]]
    taken = graph["nodes"][places[0]]["inputs"][0]["arg"]

    def node(target, arg, name):
        return {
            "target": f"torch.ops.aten.{target}", "metadata": {}, "name": name,
            "inputs": [{"name": "self", "arg": arg, "kind": 1}],
            "outputs": [{"as_tensor": {"name": name}}],
        }  # fmt: skip

    graph["nodes"].insert(places[0], node("detach.default", taken, "seen"))
    graph["nodes"].insert(places[0] + 2, node("abs.default", {"as_tensor": {"name": "seen"}}, "a"))


def open_size(members):
    graph = model(members)["graph_module"]["graph"]
    graph["tensor_values"]["input"]["sizes"][2] = {"as_expr": {"expr_str": "s1", "hint": None}}


def no_graph(members):
    del model(members)["graph_module"]["graph"]["nodes"]


def wrong_argument(members):
    nodes(members, "conv2d")[0]["inputs"][3]["arg"] = {"as_ints": [1, 2, 3]}


def no_such_value(members):
    nodes(members, "relu_")[0]["inputs"][0]["arg"]["as_tensor"]["name"] = "nowhere"


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (other_version, UnsupportedError, r"version 9\.\d+ of PyTorch's format .* 8 is supported"),
        (older, UnsupportedError, "saved by an older PyTorch, as a pickle, .* never loaded"),
        (pickled_weights, UnsupportedError, "saved by an older PyTorch, as a pickle"),
        (compiled, UnsupportedError, "compiled code without its graph; save the program again"),
        (pickled_model, InputError, "is a pickle .* never loaded; save the program again"),
        (two_programs, UnsupportedError, "holds several programs, 'model', 'other'"),
        (pickled_weight, UnsupportedError, "'0.weight' is a pickle, .* never loaded"),
        (short_weight, InputError, r"'0.weight' is to have \[4, 3, 3, 3\] numbers, of 2"),
        (far_strides, InputError, "'0.weight' is to have"),
        (lost_weight, InputError, "lacks its member 'data/weights/weight_"),
        (custom, UnsupportedError, "op acme.conv.default of layer '0': is a custom op"),
        (called_by_name, UnsupportedError, "op torch.load of layer '0': is a custom op"),
        (unknown, UnsupportedError, r"op aten._cdist_forward.default is .*run_decompositions\(\)"),
        (random, UnsupportedError, "bernoulli.default.* gives random numbers"),
        (in_training, UnsupportedError, r"statistics of the batch; .*model.eval\(\)"),
        (changes_a_buffer, UnsupportedError, r"changes '1.running_mean' .*model.eval\(\)"),
        (seen_in_place, UnsupportedError, "layer '2': changes in place what 'seen' looks at"),
        (open_size, InputError, r"input 'input' is of the open shape \[\?, 3, \?, 16\]"),
        (no_graph, InputError, "a damaged .pt2 file: KeyError: 'nodes'"),
        (wrong_argument, InputError, r"op aten.conv2d.* stride is \[1, 2, 3\] for 2 dimensions"),
        (no_such_value, InputError, "layer '2': nothing gives 'nowhere'"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path, change, kind, message):
    path = changed(tmp_path, change)
    with pytest.raises(InputError, match=message) as error:
        load_model(path)
    assert type(error.value) is kind
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", pickle.dumps({"w": 1})])
def test_no_archive(tmp_path, content):
    path = tmp_path / "net.pt2"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a .pt2 file, or a damaged one"):
        load_model(path)


def test_an_archive_that_unpacks_to_more_than_it_is(tmp_path):
    path = tmp_path / "net.pt2"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("net/data/weights/weight_0", bytes(101 << 20))
    with pytest.raises(InputError, match="unpacks from .* which no trained network does"):
        load_model(path)


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.ckpt"])
def test_pickles_say_what_to_do(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(pickle.dumps({}))
    with pytest.raises(InputError, match=r"is never loaded; .*torch.export.save\("):
        load_model(path)
