# SPDX-License-Identifier: Apache-2.0
"""`python -m asnet_mlir.cli`."""

from asnet_mlir.cli.program import asnet

if __name__ == "__main__":
    asnet()
