# SPDX-License-Identifier: Apache-2.0
# %% [markdown]
# # asnet-mlir from Python
#
# The same verbs as on the command line: compile, evaluate, explore, report, and the hardware's.
# The cells run as they are, in a notebook (Jupytext, VS Code) or as a script:
# `python examples/python_api.py`.

# %%
import tempfile
from pathlib import Path

import numpy as np

import asnet_mlir as asnet

output = Path(tempfile.mkdtemp(prefix="asnet-api-"))

# %% [markdown]
# ## A network and its test set
# Built-in names, `.keras` files, Keras models, JAX functions and StableHLO files are models.

# %%
network = asnet.load_model("classification_mnist")
data = asnet.load_data("mnist:test:2000")
print(network.name, network.input_shape, "->", network.output_shape, f"{len(data)} samples")

# %% [markdown]
# ## Compile
# Every form is text that can be read, changed and fed back.

# %%
binding = asnet.Binding.parse(["mulf=fmul_trunc:P=20", "divf=fdiv_trunc:P=22"])
bound = asnet.compile(network, "bound", binding)
print("\n".join(line[:110] for line in bound.splitlines() if "approx.mulf" in line)[:330])

# %% [markdown]
# ## Evaluate
# What the hardware with these cores would compute, bit for bit.

# %%
exact = asnet.evaluate(network, data)
approximate = asnet.evaluate(network, data, binding)
print(f"exact {exact.accuracy:.4f}, approximate {approximate.accuracy:.4f}")

# %% [markdown]
# Outputs themselves, for many bindings of one network: a `Session` computes only what changed.

# %%
from asnet_mlir.evaluation import Session  # noqa: E402
from asnet_mlir.evaluation.evaluate import prepare_data  # noqa: E402

session = Session(network, prepare_data(data, network))
for p in (0, 12, 22):
    outputs = session.outputs(asnet.Binding.parse([f"mulf=fmul_trunc:P={p}"]))
    print(f"P={p:<2}", np.round(outputs[0], 4))

# %% [markdown]
# ## Explore
# Which configurations are there, and which of them keeps 92 %?  The constraints may be a file too.

# %%
constraints = {
    "scope": "network",
    "cores": [
        {
            "op": "mulf",
            "core": "fmul_trunc",
            "parameters": {"P": {"ParamLow": 18, "ParamHigh": 22}},
        }
    ],
}
store = output / "results.sqlite"
found = asnet.explore(network, data, constraints, store=store, choose="accuracy>=0.9")
for result in found.results:
    print(f"{result.accuracy:.4f}  {result.binding.label}")
assert found.chosen is not None
print("chosen:", found.chosen.binding.label)

# %% [markdown]
# ## Report
# One HTML page that opens offline, and the same figures as pictures.

# %%
for path in asnet.report(store, output / "report.html", png=output / "figures"):
    print(path.relative_to(output))

# %% [markdown]
# ## Hardware
# The chosen configuration as SystemVerilog, compared with the software word by word.

# %%
manifest = asnet.generate(network, found.chosen.binding, output=output / "bundle")
comparison = asnet.simulate(output / "bundle", data, samples=3)
print(f"{comparison.samples} images simulated, {comparison.mismatches} mismatching words")
