# SPDX-License-Identifier: Apache-2.0
"""The worker's program: `python -m asnet_mlir.worker_main SOCKET FOLDERS`; see `asnet_mlir.worker`.

A module of its own, so that classes of messages are those of `asnet_mlir.worker` at both ends.
"""

import sys

from asnet_mlir.worker import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
