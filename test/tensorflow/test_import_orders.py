# SPDX-License-Identifier: Apache-2.0
"""TensorFlow and CIRCT may be imported before or after asnet_mlir, or after MLIR."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import numpy as np
import tensorflow as tf

with tf.name_scope("scope"):
    weights = tf.Variable(np.random.default_rng(0).standard_normal((784, 10)).astype(np.float32))

@tf.function(input_signature=[tf.TensorSpec([None, 784], tf.float32)])
def net(x):
    with tf.name_scope("layer"):
        return tf.matmul(x, weights)

data = asnet.load_data("mnist:test:300")
accuracy = float(np.mean(np.argmax(net(data.x.reshape(300, 784)), 1) == data.y))
assert asnet.evaluate(net, data).accuracy == accuracy
bound = asnet.Binding.parse(["mulf@layer=fmul_trunc:P=20"])
assert "instance = 1" in asnet.compile(net, "bound", bound)
space = {"cores": [
    {"op": "mulf", "core": "fmul_trunc", "parameters": {"P": {"ParamLow": 20, "ParamHigh": 21}}}]}
done = []
result = asnet.explore(net, data, space, progress=lambda *a: done.append(a[:2]))
assert done == [(1, 3), (2, 3), (3, 3)] and result.exact.accuracy == accuracy
asnet.generate("classification_mnist", output=FOLDER)
import sys
print("mlir here" if "mlir" in sys.modules else "mlir elsewhere")
"""

ORDERS = {
    "import tensorflow; import asnet_mlir as asnet": "mlir elsewhere",
    "import asnet_mlir as asnet; import tensorflow": "mlir elsewhere",
    "import asnet_mlir as asnet; asnet.compile('classification_mnist'); import tensorflow": (
        "mlir here"
    ),
    "import circt, tensorflow, asnet_mlir as asnet": "mlir elsewhere",
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_works(order, tmp_path):
    script = f"{order}\nFOLDER = {str(tmp_path / 'bundle')!r}\n{SCRIPT}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split("\n")[-2] == ORDERS[order]
    assert (tmp_path / "bundle" / "manifest.json").is_file()


def test_a_module_of_the_command_line_may_import_tensorflow(tmp_path):
    (tmp_path / "my_network.py").write_text(
        "import numpy as np\n"
        "import tensorflow as tf\n"
        "def net():\n"
        "    weights = tf.Variable(np.ones((784, 10), np.float32), name='weights')\n"
        "    return tf.function(lambda x: tf.matmul(x, weights)), (tf.zeros([1, 784]),)\n"
    )
    command = [sys.executable, "-m", "asnet_mlir.cli.main", "compile", "my_network:net"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'approx.weight = "weights"' in done.stdout
