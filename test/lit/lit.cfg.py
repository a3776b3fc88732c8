# SPDX-License-Identifier: Apache-2.0
"""`lit test/lit`: finds its tools in the environment that lit itself runs in."""

# ruff: noqa: F821 (lit defines `config`)

import importlib.util
import os
import sys
from pathlib import Path

import lit.formats

from asnet_mlir import plugin
from asnet_mlir.support.tools import asnet_opt_path

config.name = "asnet-mlir"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir"]
config.test_source_root = os.path.dirname(__file__)

# Outputs stay out of the sources.
config.test_exec_root = str(Path(__file__).parents[2] / "build" / "lit")

_llvm = Path(next(iter(importlib.util.find_spec("llvm").submodule_search_locations)))
config.environment["PATH"] = os.pathsep.join(
    [
        str(asnet_opt_path().parent),  # asnet-opt itself, not the script that starts it
        str(_llvm / "bin"),  # FileCheck, not
        str(plugin.mlir_opt_path().parent),  # upstream's mlir-opt, which knows no approx
        str(Path(sys.executable).parent),
        config.environment.get("PATH", ""),
    ]
)
# What is wrong is said once, in full.
config.environment["FILECHECK_OPTS"] = "--dump-input=fail --color=false"
config.substitutions.append(("%python", sys.executable))
_plugin = plugin.plugin_path()
config.substitutions.append(
    ("%plugins", f"--load-dialect-plugin={_plugin} --load-pass-plugin={_plugin}")
)
